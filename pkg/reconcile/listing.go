package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

const (
	// overlap is how far before its beginning a listing's end moves Until: a job may be in
	// CI's list a little later than its creation time says, and our clock may be ahead.
	overlap = 2 * time.Minute
	// maxEmptyPages is how many pages without a job may follow one another in a list.
	maxEmptyPages = 100
)

// A listingRun is one run's work on the jobs of one type, or on the runs of one workflow.
type listingRun struct {
	*Listing // how far it is, as the state has it
	bucket   *bucketRun
	name     string // the type, or the workflow's id
	source   source // where to ask for the jobs
	queue    *queue // Pending and Missed, while the run lasts

	started time.Time     // Until, when the run began
	first   time.Time     // created later than that are the jobs of the listing that goes on
	order   time.Time     // when the last job was created that was listed
	held    bool          // Until must stay: a job was neither compared nor is it pending
	mixed   bool          // Until must stay: the jobs come out of order
	pages   int           // that were handled in this run
	took    time.Duration // the last of them
	tokens  map[string]bool
	refused bool            // CI refused a token in this run
	seen    map[string]bool // ids that became pending in this run
}

func newListingRun(b *bucketRun, name string, l *Listing, s source) *listingRun {
	now := wholeSecond(b.run.began)
	if l.Until.IsZero() {
		l.Until = now.Add(-b.run.options.Since)
	}
	for _, t := range []*time.Time{&l.Until, &l.Began} {
		if t.After(now) { // a clock that was ahead wrote it
			*t = now
		}
	}
	return &listingRun{
		Listing: l, bucket: b, name: name, source: s,
		queue: newQueue(l.Pending, l.Missed), started: l.Until, tokens: map[string]bool{}, seen: map[string]bool{},
	}
}

// reconcile lists and compares the jobs created since the last time, and then those that
// had not ended then.
func (l *listingRun) reconcile(ctx context.Context) error {
	listed := l.list(ctx)
	if errors.Is(listed, ci.ErrBadRequest) {
		l.warn("CI does not know this type of jobs, or this workflow", slog.String("error", listed.Error()))
		listed = nil
	}
	if ctx.Err() != nil || errors.Is(listed, cosclient.ErrUnavailable) {
		return l.failureOf(ctx, listed)
	}
	return errors.Join(listed, l.failureOf(ctx, l.askPending(ctx)))
}

// failureOf returns err, or nil for one that is due to the end of the time alone. Where CI
// has answered nothing at all, it is CI that is to blame.
func (l *listingRun) failureOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && l.bucket.answered {
		return nil
	}
	return err
}

// A position is where in CI's list a page stands.
type position struct {
	since time.Time // the list of the jobs created later than that
	token string    // of the page; empty for the first
	size  int       // jobs a page
}

// list goes through CI's list of the jobs created later than Until, page by page, from
// where the last run came to.
func (l *listingRun) list(ctx context.Context) error {
	at := position{since: l.Until, size: ci.MaxSize}
	if l.Next != "" && !l.Since.IsZero() {
		at.since, at.token = l.Since, l.Next
		l.order = l.Until
	}
	l.first = at.since
	pages := pager{source: l.source}
	defer pages.close()
	for empty := 0; empty < maxEmptyPages; {
		p, err := pages.get(ctx, at)
		if errors.Is(err, ci.ErrBadRequest) && at.token != "" {
			if at, err = l.afterRefusal(at, err); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		l.bucket.answered = true
		l.begin(p)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < l.took*5/4 && len(p.jobs) > 0 {
			p.close()
			l.bucket.giveUp(errNoTime) // it would be cut short, and be listed again
			return nil
		}
		next, err := l.after(at, p)
		if err == nil && next != nil && next.token != "" && !p.large {
			pages.prefetch(ctx, *next)
		}
		cut, handleErr := l.handle(ctx, p)
		if handleErr != nil || cut {
			return handleErr
		}
		if len(p.jobs) > 0 {
			empty = 0
		} else {
			empty++
		}
		switch {
		case err != nil:
			return err
		case next == nil:
			l.end()
			return nil
		}
		at = *next
		l.halfWay(ctx, at, p)
	}
	return fmt.Errorf("CI's list of %s has %d pages in a row without a job", l.name, maxEmptyPages)
}

// begin notes when a listing begins: by CI's clock, should ours be ahead of it.
func (l *listingRun) begin(p *page) {
	if !l.Began.IsZero() {
		return
	}
	l.Began = wholeSecond(time.Now())
	if !p.date.IsZero() && p.date.Before(l.Began) {
		l.Began = wholeSecond(p.date)
	}
}

// after returns where the list goes on behind a page, or nil where it ends. CI's pages do
// not say what comes on the last page: no token, an empty one and one that came before all
// count as the end, but for a full page, behind which the list is asked on by time.
func (l *listingRun) after(at position, p *page) (*position, error) {
	size := min(ci.MaxSize, 5*p.size) // a page of fewer was too long with more
	l.tokens[at.token] = true
	if p.next != "" && !l.tokens[p.next] {
		return &position{at.since, p.next, size}, nil
	}
	if len(p.jobs) < p.size || len(p.jobs) == 0 {
		return nil, nil
	}
	last := wholeSecond(p.lastCreation())
	since := last.Add(-time.Second)
	if !since.After(at.since) {
		since = last
		l.warn("CI's list gives no token for the next page, and a whole page is of one second: some of its jobs may not be compared", slog.Time("created", last))
	}
	if !since.After(at.since) {
		return nil, fmt.Errorf("CI's list of %s does not go on behind %s", l.name, at.since.Format(time.RFC3339))
	}
	return &position{since: since, size: size}, nil
}

// afterRefusal returns where the list goes on when CI does not take a token any more: at
// Until, and the second before that once more, since Until can lie within a second that was
// not listed to its end.
func (l *listingRun) afterRefusal(at position, err error) (position, error) {
	since := l.Until.Add(-time.Second)
	if l.refused && !since.After(l.first) { // that was tried
		since = l.Until
	}
	if l.refused && !since.After(l.first) {
		// Not wrapped: that CI takes a request for a wrong one says here nothing of the type.
		return at, fmt.Errorf("CI refuses the tokens of its own list of %s: %v", l.name, err)
	}
	l.warn("CI refuses the token of a page; the list is begun again where it came to", slog.String("error", err.Error()))
	l.refused = true
	l.Next, l.Since, l.Until = "", time.Time{}, since
	l.started, l.first, l.order = since, since, time.Time{}
	clear(l.tokens)
	return position{since: since, size: at.size}, nil
}

// handle compares the jobs of a page, and reports whether the time cut that short. What was
// not compared then is listed again by the next run. Only where a run does not get to the
// end of a single page, the rest becomes pending, so that every run comes further.
func (l *listingRun) handle(ctx context.Context, p *page) (cut bool, err error) {
	defer p.close()
	before, started := l.bucket.last.Checked, time.Now()
	verdicts, err := l.compareAll(ctx, p.jobs, l.leavePending)
	if err != nil {
		return false, err
	}
	tooLong := l.pages == 0 && errors.Is(context.Cause(ctx), context.DeadlineExceeded) && slices.ContainsFunc(verdicts, isCompared)
	for _, v := range verdicts {
		if v.fate == undecided && tooLong && v.id != "" {
			v.fate = waiting
		}
		if v.fate == undecided {
			cut = true
			continue
		}
		l.apply(v)
		l.note(v.created)
	}
	l.progress()
	p.compared = l.bucket.last.Checked > before
	if !cut {
		l.pages++
		l.took = time.Since(started)
	}
	return cut, nil
}

// note looks at the order of the jobs. Where CI does not list the oldest first, there is no
// telling what is still to come.
func (l *listingRun) note(created time.Time) {
	if created.IsZero() {
		return
	}
	if created.Before(l.order) || created.Before(l.first) {
		l.mixed = true
		l.Until = l.first
	}
	l.order = created
}

// apply takes the verdict on a job into the state.
func (l *listingRun) apply(v verdict) {
	switch v.fate {
	case compared, passed:
		l.queue.remove(v.id)
	case waiting:
		l.seen[v.id] = l.seen[v.id] || !l.queue.waiting[v.id]
		if !l.queue.add(v.id) {
			l.held = true
		}
	case lost:
		l.held = true
	}
}

// halfWay moves the state behind a page, and saves it if the page had a job to compare.
func (l *listingRun) halfWay(ctx context.Context, at position, p *page) {
	if !l.held { // else the next run finds again what this one had to leave
		l.move(at)
	}
	if p.compared {
		l.bucket.saveHalfWay(ctx)
	}
}

// move moves the state to the page to go on with.
func (l *listingRun) move(at position) {
	if !l.mixed {
		l.Until = l.reached()
	}
	l.Next, l.Since = at.token, time.Time{}
	if at.token != "" {
		l.Since = at.since
	}
}

// reached returns how far the listing has come: one second less than the creation time of
// the last job, since others of that second can still come. Where that is no further than
// the run before, the whole run went into one second; it is that second then, and Next goes
// on within it.
func (l *listingRun) reached() time.Time {
	if l.order.IsZero() {
		return l.Until
	}
	last := wholeSecond(l.order)
	switch until := last.Add(-time.Second); {
	case until.After(l.started):
		return until
	case last.After(l.started):
		return last
	}
	return l.Until
}

// end moves the state behind a listing that came to its end.
func (l *listingRun) end() {
	if !l.held {
		began := l.Began
		if now := wholeSecond(time.Now()); began.After(now) {
			began = now
		}
		l.Until = began.Add(-overlap)
	}
	l.Next, l.Since, l.Began = "", time.Time{}, time.Time{}
}

// progress tells how far the run is.
func (l *listingRun) progress() {
	l.bucket.run.progress(Progress{Bucket: l.bucket.bucket.Name, Type: l.name, Counts: l.bucket.last.Counts, Pending: len(l.queue.ids)})
}

// askPending asks for the jobs that had not ended, some at a time and at most
// maxPendingRequests times, those first that have waited longest.
func (l *listingRun) askPending(ctx context.Context) error {
	ids, size := l.duePending(), l.source.idsAtATime()
	for len(ids) > 0 && ctx.Err() == nil {
		some := ids[:min(size, len(ids))]
		p, err := l.source.byID(ctx, some)
		unfit := errors.Is(err, ci.ErrTooLarge) || errors.Is(err, ci.ErrBadRequest)
		switch {
		case unfit && len(some) > 1: // one of them may be to blame
			size = max(1, len(some)/5)
			continue
		case errors.Is(err, ci.ErrBadRequest):
			l.miss(some[0])
		case errors.Is(err, ci.ErrTooLarge):
			l.pass(some[0], err)
		case err != nil:
			return err
		default:
			l.bucket.answered = true
			if cut, err := l.handleAsked(ctx, some, p); cut || err != nil {
				return err
			}
		}
		ids = ids[len(some):]
	}
	return nil
}

// duePending returns the ids to ask for in this run. Those that became pending in it have
// had their turn.
func (l *listingRun) duePending() []string {
	var ids []string
	for _, id := range l.queue.ids {
		if !l.seen[id] {
			ids = append(ids, id)
		}
	}
	return ids[:min(len(ids), maxPendingRequests*l.source.idsAtATime())]
}

// maxPendingRequests is how many requests of one run ask for the pending jobs of one listing.
const maxPendingRequests = 100

// pass lets go of a job that no run will ever be able to compare.
func (l *listingRun) pass(id string, err error) {
	l.queue.remove(id)
	l.bucket.find(Finding{ID: id, Type: l.name, Outcome: Rejected})
	l.warn("what CI says of a job is too long to be read; the job is passed over", text("id", id), slog.String("error", err.Error()))
}

// handleAsked compares the jobs that were asked for by their ids, and reports whether the
// time cut that short.
func (l *listingRun) handleAsked(ctx context.Context, ids []string, p *page) (cut bool, err error) {
	defer p.close()
	before := l.bucket.last.Checked
	verdicts, err := l.compareAll(ctx, p.jobs, l.compareOne)
	if err != nil {
		return false, err
	}
	answered := map[string]bool{}
	unnamed := 0 // elements that were passed, and name no id
	for _, v := range verdicts {
		answered[v.id] = true
		l.queue.found(v.id)
		switch {
		case v.fate == undecided:
			cut = true
		case v.fate == waiting || v.fate == lost:
			l.queue.moveToEnd(v.id)
		case v.id == "":
			unnamed++
		default:
			l.queue.remove(v.id)
		}
	}
	for _, id := range p.unknown {
		answered[id] = true
	}
	l.passSilent(ids, answered, unnamed)
	l.progress()
	if l.bucket.last.Checked > before && !cut {
		l.bucket.saveHalfWay(ctx)
	}
	p.close()
	for _, id := range p.unknown {
		if cut || err != nil {
			break
		}
		cut, err = l.handleUnknown(ctx, id, p)
	}
	return cut, err
}

// handleUnknown deals with an id that CI does not know where it was asked for: some jobs
// may be known at the path that their kind had before.
func (l *listingRun) handleUnknown(ctx context.Context, id string, asked *page) (cut bool, err error) {
	if asked.old || !l.source.hasOldPath(id) {
		l.miss(id)
		return false, nil
	}
	p, err := l.source.byOldPath(ctx, id)
	switch {
	case errors.Is(err, cosclient.ErrMisconfigured): // the role may not ask there
		l.miss(id)
		return false, nil
	case err != nil:
		l.queue.moveToEnd(id)
		return false, err
	}
	return l.handleAsked(ctx, []string{id}, p)
}

// passSilent deals with the ids that an answer does not name. As many as there were jobs
// that could not be read are those; others have their turn again.
func (l *listingRun) passSilent(ids []string, answered map[string]bool, unread int) {
	var silent []string
	for _, id := range ids {
		if !answered[id] {
			silent = append(silent, id)
		}
	}
	for _, id := range silent {
		if len(silent) == unread {
			l.queue.remove(id)
		} else {
			l.queue.moveToEnd(id)
		}
	}
}

// miss deals with an id that CI does not know. It may be too new for CI's index, so that it
// is dropped only the second time.
func (l *listingRun) miss(id string) {
	if !l.queue.waiting[id] {
		return
	}
	if !l.queue.miss(id) {
		l.queue.moveToEnd(id)
		return
	}
	l.queue.remove(id)
	l.bucket.last.Unknown++
	l.bucket.find(Finding{ID: id, Type: l.name, Outcome: Unknown})
	l.warn("CI does not know a job any more that had not ended; it is given up", text("id", id))
}

// warn writes a line about this listing.
func (l *listingRun) warn(message string, fields ...slog.Attr) {
	l.bucket.run.report.warn(message, append(fields, text("type", l.name), slog.String("bucket", l.bucket.bucket.Name))...)
}
