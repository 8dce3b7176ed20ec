package mend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// A Verdict says how a record stands to what CI says of its job.
type Verdict string

// The verdicts of an audit.
const (
	Confirmed Verdict = "confirmed"       // CI says the same
	Differs   Verdict = "differs"         // CI says something else: a forged or a wrong record, or one that is behind
	Unknown   Verdict = "unknown"         // CI knows no such job: a forged record, or one of more than a month ago
	NotAsked  Verdict = "cannot be asked" // there is no way to ask CI about it
	NotRecord Verdict = "unreadable"      // what is stored is no record
	Later     Verdict = "later format"    // a later program wrote the record, and this one cannot judge it
)

// IsFinding reports whether somebody should look at a record with this verdict.
func (v Verdict) IsFinding() bool { return v == Differs || v == Unknown || v == NotRecord }

// An Audited is a record that CI was asked about.
type Audited struct {
	Key     string
	Kind    model.Kind
	ID      string
	Type    string
	Verdict Verdict
	Ours    string // the state in the record
	CI      string // the state that CI says; empty where it says none
	Reason  string // why it could not be asked about, or judged
}

// AuditProgress is how far an audit is.
type AuditProgress struct{ Read, Asked, Total int }

const (
	auditChunk = 2560 // records that are in memory at a time, without their detail
	maxAsked   = ci.MaxIDs
)

// Audit asks CI, by id, about the records of entries, and changes nothing. each is told
// the verdict of one record after the other, in no certain order. The error is the first
// that kept it from records of a bucket; the others are asked about all the same.
func (m *Mender) Audit(ctx context.Context, c *catalog.Catalog, entries []catalog.Entry, each func(Audited), progress func(AuditProgress)) error {
	if m.options.CI == nil {
		return errNoCI
	}
	a := &audit{mender: m, catalog: c, each: each, progress: progress, total: len(entries)}
	var failed error
	for len(entries) > 0 {
		n := min(len(entries), auditChunk)
		if err := a.chunk(ctx, entries[:n]); err != nil {
			failed = cmp.Or(failed, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		entries = entries[n:]
	}
	return failed
}

// audit is one run of Audit.
type audit struct {
	mender   *Mender
	catalog  *catalog.Catalog
	total    int
	each     func(Audited)
	progress func(AuditProgress)

	mu          sync.Mutex
	read, asked int
}

// subject is a record that is asked about.
type subject struct {
	Audited
	record  *model.Record // without its detail
	refused error         // why COS does not give it
}

// chunk reads records and asks about them.
func (a *audit) chunk(ctx context.Context, entries []catalog.Entry) error {
	subjects := make([]subject, len(entries))
	err := a.catalog.ReadAll(ctx, entries, func(i int, o catalog.Object) error {
		subjects[i] = a.newSubject(o)
		a.advance(1, 0)
		return nil
	}, func(i int, err error) {
		s := a.subjectOf(entries[i].Key)
		s.Verdict, s.Reason, s.refused = NotAsked, err.Error(), err
		subjects[i] = s
	})
	if err != nil {
		return err
	}
	var refused error
	for _, s := range subjects {
		refused = cmp.Or(refused, s.refused)
	}
	batches := a.batches(subjects)
	errs := parallel.ForEach(len(batches), ci.MaxRequests, func(i int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return a.ask(ctx, batches[i])
	})
	return errors.Join(dedupe(append(errs, refused))...)
}

// dedupe keeps the first of the errors that read alike.
func dedupe(errs []error) []error {
	seen := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		if err == nil || seen[err.Error()] {
			return true
		}
		seen[err.Error()] = true
		return false
	})
}

// subjectOf returns what a key says of its record.
func (a *audit) subjectOf(key string) subject {
	return subject{Audited: Audited{Key: key, Kind: catalog.KindOfKey(a.catalog.Prefix(), key), ID: catalog.IDOfKey(key)}}
}

func (a *audit) newSubject(o catalog.Object) subject {
	s := a.subjectOf(o.Key)
	record, err := model.ParseRecord(o.Body)
	if err != nil {
		s.Verdict = NotRecord
		return s
	}
	record.Detail = nil
	s.Kind, s.ID, s.Type, s.Ours, s.record = record.Kind, record.ID, record.Tag, record.State, record
	return s
}

// advance counts records that were read or judged.
func (a *audit) advance(read, asked int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read += read
	a.asked += asked
	if a.progress != nil {
		a.progress(AuditProgress{Read: a.read, Asked: a.asked, Total: a.total})
	}
}

// judge hands over a verdict.
func (a *audit) judge(s subject, verdict Verdict, theirs, reason string) {
	s.Verdict, s.CI, s.Reason = verdict, theirs, reason
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	a.each(s.Audited)
	if a.progress != nil {
		a.progress(AuditProgress{Read: a.read, Asked: a.asked, Total: a.total})
	}
}

// A batch is records that one request can ask about: jobs of one bucket, or one workflow
// run.
type batch struct {
	bucket, region string
	subjects       []subject
}

// batches puts records into batches, and judges those that cannot be asked about.
func (a *audit) batches(subjects []subject) []batch {
	jobs := map[[2]string][]subject{}
	var batches []batch
	for _, s := range subjects {
		if s.Key == "" { // it was gone when it was to be read
			a.advance(0, 1)
			continue
		}
		if s.refused != nil {
			a.judge(s, NotAsked, "", s.Reason)
			continue
		}
		if s.Verdict == NotRecord {
			a.judge(s, NotRecord, "", "what is stored is no record")
			continue
		}
		if s.record.LaterFormat() {
			a.judge(s, Later, "", fmt.Sprintf("it is of version %d, and this program knows %d", s.record.Version, model.Version))
			continue
		}
		bucket, region, why := a.whereToAsk(s.record)
		switch {
		case why != "":
			a.judge(s, NotAsked, "", why)
		case s.Kind == model.KindWorkflow:
			batches = append(batches, batch{bucket, region, []subject{s}})
		default:
			jobs[[2]string{bucket, region}] = append(jobs[[2]string{bucket, region}], s)
		}
	}
	for where, all := range jobs {
		for few := range slices.Chunk(all, maxAsked) {
			batches = append(batches, batch{where[0], where[1], few})
		}
	}
	return batches
}

// whereToAsk returns the bucket that a record's job belongs to, or why CI cannot be asked.
func (a *audit) whereToAsk(r *model.Record) (bucket, region, why string) {
	if r.Kind == model.KindReview {
		return "", "", "reviews are not asked about"
	}
	if r.Input == nil || r.Input.Bucket == "" {
		return "", "", "the record does not say which bucket the job belongs to"
	}
	return r.Input.Bucket, cmp.Or(r.Input.Region, a.mender.options.StoreOptions.Region), ""
}

// ask asks about a batch, and judges each of its records.
func (a *audit) ask(ctx context.Context, b batch) error {
	bucket, err := a.mender.options.CI.Bucket(b.bucket, b.region)
	if err != nil {
		a.judgeAll(b.subjects, err)
		return nil // the record names a bucket that there cannot be; the others are not kept back
	}
	if b.subjects[0].Kind == model.KindWorkflow {
		return a.askRun(ctx, bucket, b.subjects[0])
	}
	return a.askJobs(ctx, bucket, b.subjects)
}

func (a *audit) judgeAll(subjects []subject, err error) {
	for _, s := range subjects {
		a.judge(s, NotAsked, "", err.Error())
	}
}

func (a *audit) askRun(ctx context.Context, bucket *ci.Bucket, s subject) error {
	run, err := bucket.Run(ctx, s.ID)
	switch {
	case errors.Is(err, ci.ErrNotFound):
		a.judge(s, Unknown, "", "")
		return nil
	case err != nil:
		a.judge(s, NotAsked, "", err.Error())
		return err
	}
	defer run.Close()
	a.compare(s, run.WorkflowExecution)
	return nil
}

func (a *audit) askJobs(ctx context.Context, bucket *ci.Bucket, subjects []subject) error {
	open := map[string]subject{}
	ids := make([]string, len(subjects))
	for i, s := range subjects {
		open[s.ID], ids[i] = s, s.ID
	}
	jobs, err := bucket.Jobs(ctx, ids...)
	if err != nil {
		a.judgeAll(subjects, err)
		return err
	}
	a.compareAll(open, jobs)
	jobs.Close()
	var failed error
	for _, s := range open { // neither known nor named as unknown: asked for where such jobs were before
		if err := a.askOldPath(ctx, bucket, s); err != nil {
			failed = cmp.Or(failed, err)
		}
	}
	return failed
}

// compareAll judges the records of an answer's jobs, and takes them out of open.
func (a *audit) compareAll(open map[string]subject, jobs *ci.Jobs) {
	for _, element := range jobs.JobsDetail {
		id := ci.ChildText(element, "JobId")
		if s, ok := open[id]; ok {
			delete(open, id)
			a.compare(s, element)
		}
	}
}

func (a *audit) askOldPath(ctx context.Context, bucket *ci.Bucket, s subject) error {
	if !ci.HasOldPath(s.ID) {
		a.judge(s, Unknown, "", "")
		return nil
	}
	jobs, err := bucket.OldJob(ctx, s.ID)
	if err != nil {
		a.judge(s, NotAsked, "", err.Error())
		return err
	}
	defer jobs.Close()
	open := map[string]subject{s.ID: s}
	a.compareAll(open, jobs)
	if len(open) > 0 {
		a.judge(s, Unknown, "", "")
	}
	return nil
}

// compare judges a record by CI's answer.
func (a *audit) compare(s subject, element []byte) {
	theirs, err := model.DecodeQueried(element)
	switch {
	case err != nil:
		a.judge(s, NotAsked, "", "CI's answer is not understood: "+err.Error())
	case model.Agrees(s.record, theirs):
		a.judge(s, Confirmed, theirs.State, "")
	default:
		a.judge(s, Differs, theirs.State, "")
	}
}
