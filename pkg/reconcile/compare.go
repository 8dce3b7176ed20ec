package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

const (
	// grace is how long after a job's end its callback may still be on the way.
	grace = 5 * time.Minute
	// maxJobBytes is how long one job may be: as long as the longest callback.
	maxJobBytes = 6 << 20
	// largeJobBytes is how long a job may be that is compared beside others: as it is read,
	// it takes several times as much.
	largeJobBytes = 256 << 10
)

// A fate says what became of a job in this run.
type fate uint8

const (
	undecided fate = iota // the time ran out before it
	compared              // its record is as CI has the job
	waiting               // it is to be asked for in the next run
	passed                // it was not understood, and is kept
	lost                  // it was not understood, and could not be kept
)

// A verdict is what became of one job.
type verdict struct {
	id      string    // empty where it could not be found
	created time.Time // zero where it could not be found
	fate    fate
}

func isCompared(v verdict) bool { return v.fate == compared }

// compareAll compares the jobs of an answer with their records by compare: side by side, but
// for the large ones.
func (l *listingRun) compareAll(ctx context.Context, jobs []job, compare func(context.Context, job) verdict) ([]verdict, error) {
	verdicts := make([]verdict, len(jobs))
	atATime := func(large bool, limit int) error {
		return errors.Join(parallel.ForEach(len(jobs), limit, func(i int) error {
			if (len(jobs[i].element) > largeJobBytes) == large {
				verdicts[i] = compare(ctx, jobs[i])
			}
			return nil
		})...)
	}
	if err := atATime(false, MaxCOSRequests); err != nil {
		return nil, err
	}
	return verdicts, atATime(true, 1)
}

// leavePending compares a job of a list, unless it is to be asked for by its id anyway. A
// record that COS keeps out of reach does not hold up the list so.
func (l *listingRun) leavePending(ctx context.Context, j job) verdict {
	if len(l.queue.ids) > 0 {
		if id, created := j.summary(); l.queue.waiting[id] {
			return verdict{id: id, created: created, fate: waiting}
		}
	}
	return l.compareOne(ctx, j)
}

// compareOne compares one job, unless the time is up.
func (l *listingRun) compareOne(ctx context.Context, j job) verdict {
	if ctx.Err() != nil {
		id, created := j.summary()
		return verdict{id: id, created: created}
	}
	if j.run != nil {
		return l.compareRun(ctx, *j.run)
	}
	return l.compareElement(ctx, j.element)
}

// takeTurn waits until fewer than MaxCOSRequests jobs are being compared, and returns a
// function that ends the turn. No request to CI may be made during a turn: it could wait
// for a large answer to be closed, and the jobs of that answer for their turns.
func (l *listingRun) takeTurn() (end func()) {
	turns := l.bucket.run.turns
	turns <- struct{}{}
	return func() { <-turns }
}

// compareElement reads a job as CI wrote it, and compares it.
func (l *listingRun) compareElement(ctx context.Context, element []byte) verdict {
	defer l.takeTurn()()
	if len(element) > maxJobBytes {
		return l.reject(ctx, element, fmt.Errorf("it has %d bytes, and %d are read", len(element), maxJobBytes))
	}
	r, err := model.DecodeQueried(element)
	if err != nil {
		return l.reject(ctx, element, err)
	}
	v := verdict{id: r.ID, created: parseTime(r.CreationTime), fate: waiting}
	if hasEnded(r) {
		v.fate = l.compareRecord(ctx, r)
	}
	return v
}

// compareRun compares a run of a workflow as the list has it, without its tasks. It is
// fetched only where its record is missing or does not agree.
func (l *listingRun) compareRun(ctx context.Context, run ci.RunSummary) verdict {
	r := &model.Record{
		Kind: model.KindWorkflow, ID: run.RunID, State: run.State,
		CreationTime: rfc3339(run.CreateTime), StartTime: rfc3339(run.StartTime), EndTime: rfc3339(run.EndTime),
	}
	v := verdict{id: r.ID, created: parseTime(run.CreateTime), fate: waiting}
	switch {
	case r.ID == "":
		return l.reject(ctx, run.Element, errors.New("it has no RunId, or none that can be an id"))
	case !hasEnded(r):
		return v
	case l.isRecorded(ctx, r):
		l.bucket.count(Recorded)
		v.fate = compared
		return v
	}
	p, err := l.source.byID(ctx, []string{r.ID})
	if err != nil {
		return l.unfetched(ctx, v, err)
	}
	defer p.close()
	for _, given := range p.jobs {
		if id, _ := given.summary(); id == r.ID || id == "" {
			return l.compareElement(ctx, given.element)
		}
	}
	return v // CI does not know it: it is asked for again before it is given up
}

// isRecorded reports whether the record of a run agrees with what the list says of it.
func (l *listingRun) isRecorded(ctx context.Context, r *model.Record) bool {
	defer l.takeTurn()()
	ctx, cancel := context.WithTimeout(ctx, faultTime)
	defer cancel()
	stored, err := l.look(ctx, r)
	return err == nil && stored.agrees
}

// unfetched deals with a run that CI lists and does not give.
func (l *listingRun) unfetched(ctx context.Context, v verdict, err error) verdict {
	if ctx.Err() != nil {
		v.fate = undecided
		return v
	}
	l.warn("CI does not give a run of a workflow; it is asked for again", text("id", v.id), slog.String("error", err.Error()))
	return v
}

// rfc3339 returns a time of CI's as a record has it, or "".
func rfc3339(s string) string {
	if t := parseTime(s); !t.IsZero() {
		return t.Format(time.RFC3339)
	}
	return ""
}

// hasEnded reports whether a job ended so long ago that its callback is not on the way any
// more. One that names no time has.
func hasEnded(r *model.Record) bool {
	ended, ok := r.Time()
	return model.IsTerminal(r.State) && (!ok || time.Since(ended) >= grace)
}

// reject keeps what is not understood, and passes it.
func (l *listingRun) reject(ctx context.Context, element []byte, reason error) verdict {
	id, created := job{element: element}.summary()
	v := verdict{id: id, created: created, fate: passed}
	key := ""
	if !l.bucket.run.options.DryRun {
		jobCtx, cancel := context.WithTimeout(ctx, faultTime)
		defer cancel()
		var err error
		if key, err = l.bucket.run.options.Store.PutRejected(jobCtx, element, model.SourceQuery); err != nil {
			v.fate = lost
			if l.outOfReach(ctx, id, err) == undecided {
				v.fate = undecided
			}
			return v
		}
	}
	l.bucket.find(Finding{ID: id, Type: l.name, Outcome: Rejected})
	l.warn("what CI says of a job is not understood; it is kept, and passed over",
		text("id", id), slog.String("rejected", key), slog.String("reason", reason.Error()))
	return v
}

// A storedRecord is what is known of the record that a job has, compared with CI.
type storedRecord struct {
	state  string // empty where there is none, or COS does not say
	source string
	agrees bool // with CI, or it is not ours to replace
	ended  bool // its state is one that a job does not leave
}

// unreadable is the state of what is stored in the place of a record, and is none.
const unreadable = "unreadable"

// look reads the record of a job and compares it with what CI says.
func (l *listingRun) look(ctx context.Context, r *model.Record) (storedRecord, error) {
	var s storedRecord
	err := l.bucket.run.options.Store.ReadRecord(ctx, r.Kind, r.ID, func(o store.Object, recorded *model.Record) error {
		if recorded == nil {
			s.state = unreadable
			return nil
		}
		s = storedRecord{state: recorded.State, source: recorded.Source, ended: model.IsTerminal(recorded.State)}
		s.agrees = recorded.LaterFormat() || s.ended && model.Agrees(recorded, r)
		if s.agrees || !s.ended || r.Detail == nil {
			return nil
		}
		ours, err := r.Encode()
		s.agrees = err == nil && model.Supersedes(o.Body, ours)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s, nil
	case errors.Is(err, store.ErrTooLong):
		return storedRecord{state: unreadable}, nil
	case cosclient.IsDenied(err) && !l.bucket.run.options.DryRun: // the create-only write decides
		return s, nil
	}
	return s, err
}

// compareRecord compares a job that has ended with its record, and mends the record where
// they differ.
func (l *listingRun) compareRecord(ctx context.Context, r *model.Record) fate {
	jobCtx, cancel := context.WithTimeout(ctx, faultTime)
	defer cancel()
	stored, err := l.look(jobCtx, r)
	if err != nil {
		return l.outOfReach(ctx, r.ID, err)
	}
	if stored.agrees {
		l.bucket.count(Recorded)
		if stored.source != model.SourceQuery {
			return compared
		}
		return l.tagAgain(ctx, jobCtx, r)
	}
	return l.mend(ctx, jobCtx, r, stored)
}

// mend writes the record of CI's answer, where there is none of the job's end or one that
// does not agree.
func (l *listingRun) mend(ctx, jobCtx context.Context, r *model.Record, stored storedRecord) fate {
	outcome := Repaired
	if stored.ended {
		outcome = Replaced
	}
	untagged := false // it would be tagged, and is not
	if !l.bucket.run.options.DryRun {
		receiver := l.bucket.run.receiver()
		result, err := receiver.Record(jobCtx, r)
		if result.Outcome == "" {
			return l.outOfReach(ctx, r.ID, err)
		}
		if result.Outcome == store.Duplicate || result.Outcome == store.Stale { // another was faster
			outcome = Recorded
		}
		untagged = l.untagged(ctx, r, receiver.TagMD5, result.RefusedTag, err)
	}
	l.bucket.count(outcome)
	if outcome != Recorded {
		l.bucket.find(Finding{ID: r.ID, Type: cmp.Or(r.Tag, l.name), Outcome: outcome, State: r.State, Was: stored.state})
		l.warnMended(outcome, r, stored.state)
	}
	if untagged {
		return waiting
	}
	return compared
}

// warnMended writes the line of a record that was mended.
func (l *listingRun) warnMended(outcome Outcome, r *model.Record, was string) {
	message := "a job that has ended had no record of it: its callback was lost, or never asked for"
	if outcome == Replaced {
		message = "the record of a job did not agree with CI: a callback was wrong, or forged"
	}
	l.bucket.run.report.warn(message, slog.String("outcome", string(outcome)), text("id", r.ID), text("tag", cmp.Or(r.Tag, l.name)),
		text("state", r.State), text("was", was), slog.String("bucket", l.bucket.bucket.Name), text("queue", r.QueueID), slog.String("endTime", r.EndTime))
}

// tagAgain tags the outputs of a job whose record is already CI's answer: the run that
// wrote it may have ended before it tagged them.
func (l *listingRun) tagAgain(ctx, jobCtx context.Context, r *model.Record) fate {
	if l.bucket.run.options.DryRun {
		return compared
	}
	receiver := l.bucket.run.receiver()
	_, refused, err := receiver.Tag(jobCtx, r)
	if l.untagged(ctx, r, receiver.TagMD5, refused, err) {
		return waiting
	}
	return compared
}

// untagged reports whether the outputs of a job are still to be tagged, and counts an error
// that only another try can help. A tag that COS refuses is none of these: it is for the
// operator to change something. What is no tag set is no word of COS, though the store
// gives it up as if it were: the next run may get one.
func (l *listingRun) untagged(ctx context.Context, r *model.Record, tried bool, refused, err error) bool {
	if errors.Is(refused, cosclient.ErrNotFromService) {
		refused, err = nil, cmp.Or(err, refused)
	}
	if refused != nil {
		l.warn("COS refuses to tag an output of a job", text("id", r.ID), slog.String("error", refused.Error()))
	}
	if err != nil && ctx.Err() == nil {
		l.bucket.run.tagFaults.Add(1)
		l.warn("outputs of a job could not be tagged; they are tagged by the next run", text("id", r.ID), slog.String("error", err.Error()))
	}
	hasMD5 := func(o model.Output) bool { return o.MD5 != "" }
	return err != nil || !tried && l.bucket.run.options.Receiver.TagMD5 && r.Succeeded() && slices.ContainsFunc(r.Outputs, hasMD5)
}

// outOfReach deals with a record that COS refuses, or keeps out of reach. Too many of them,
// and the bucket is given up.
func (l *listingRun) outOfReach(ctx context.Context, id string, err error) fate {
	if l.bucket.isOver(ctx, err) {
		return undecided
	}
	l.warn("COS refuses the record of a job, or keeps it out of reach; the job is asked for again", text("id", id), slog.String("error", err.Error()))
	return waiting
}
