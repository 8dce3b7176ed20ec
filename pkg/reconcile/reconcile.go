package reconcile

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
)

const (
	// MaxCOSRequests is how many requests to COS may be on their way at a time: the store
	// of the [Options] is to be opened with that many slots. As many jobs are compared at a
	// time.
	MaxCOSRequests = 16

	// minReserve is what is kept of the time limit for the last save of the state, and
	// answerTime what is kept of that to return.
	minReserve = 300*time.Millisecond + answerTime
	answerTime = 50 * time.Millisecond
)

// A Bucket is a bucket whose jobs are compared with the records: the one that the input of
// the jobs is in.
type Bucket struct {
	Name   string // <name>-<appid>
	Region string
}

// A Workflow is a workflow whose runs are compared too.
type Workflow struct {
	ID     string
	Bucket string // empty: in every bucket
}

// Options say what is compared, with what, and how.
type Options struct {
	Buckets   []Bucket
	Types     []string // job types, by CI's tags; nil means [ci.Tags]
	Workflows []Workflow
	Since     time.Duration // how far back to look where there is no state

	CI       *ci.Client
	Store    *store.Store      // opened with [MaxCOSRequests] slots
	Receiver *receive.Receiver // on the same store

	// Log gets the warnings, at most 100 and one that counts the others; nil means that
	// nothing is logged.
	Log *slog.Logger
	// TimeLimit is that of the invocation, which ends with the context's deadline. The work
	// ends a tenth of it earlier. 0 means the time to the deadline.
	TimeLimit time.Duration
	// Stateless looks back from now, and neither reads nor writes a state.
	Stateless bool
	// DryRun writes nothing: what is counted as repaired and replaced would be.
	DryRun bool
	// Progress, if it is not nil, is called after each answer of CI, once at a time.
	Progress func(Progress)
}

// Progress is how far the run is in one bucket.
type Progress struct {
	Bucket  string
	Type    string // the job type, or the workflow's id
	Counts         // of the bucket so far
	Pending int    // of this type
}

// A Result is what one run did. Its JSON is what the function returns to the platform.
type Result struct {
	Counts
	Pending  int  `json:"pending"`  // jobs to be asked for in the next run
	Complete bool `json:"complete"` // the run came to the end of everything

	Unknown  int       `json:"-"` // ids that CI did not know twice
	Findings []Finding `json:"-"` // the last 100 of each bucket
}

// Run compares CI's jobs with the records once, as far as the time goes.
//
// The result tells what was done, also beside an error. The error names each bucket that
// CI, COS or a setting kept it from, and the cause. It is nil where merely the time ran
// out, or single jobs are to be asked for again: the next run goes on there.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Types == nil {
		o.Types = ci.Tags()
	}
	r := newRun(o)
	work, cancel := r.workContext(ctx)
	defer cancel()
	o.Buckets = uniqueBuckets(o.Buckets)
	buckets := make([]*bucketRun, len(o.Buckets))
	errs := parallel.ForEach(len(buckets), max(1, len(buckets)), func(i int) error {
		buckets[i] = newBucketRun(r, o.Buckets[i])
		return buckets[i].reconcile(work, ctx)
	})
	r.report.end()
	result, err := sum(buckets), errors.Join(errs...)
	result.Complete = result.Complete && err == nil
	return result, err
}

// uniqueBuckets returns the buckets in their order, each once.
func uniqueBuckets(buckets []Bucket) []Bucket {
	var found []Bucket
	for _, b := range buckets {
		if !slices.ContainsFunc(found, func(other Bucket) bool { return other.Name == b.Name }) {
			found = append(found, b)
		}
	}
	return found
}

// run is what the buckets of one Run share.
type run struct {
	options Options
	report  report
	began   time.Time
	turns   chan struct{} // one for each job that is being compared

	untagged  *receive.Receiver // the receiver, without tagging
	tagFaults atomic.Int64      // jobs whose tags were out of reach

	progressMu sync.Mutex
}

func newRun(o Options) *run {
	r := &run{options: o, began: time.Now(), turns: make(chan struct{}, MaxCOSRequests)}
	r.report.log = o.Log
	untagged := *o.Receiver
	untagged.TagMD5 = false
	r.untagged = &untagged
	return r
}

// workContext returns a context that ends early enough to save the state.
func (r *run) workContext(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	limit := cmp.Or(r.options.TimeLimit, time.Until(deadline))
	return context.WithDeadline(ctx, deadline.Add(-max(limit/10, minReserve)))
}

// receiver returns what receives records: without tagging, once the tags of too many jobs
// were out of reach.
func (r *run) receiver() *receive.Receiver {
	if r.tagFaults.Load() >= maxFaults {
		return r.untagged
	}
	return r.options.Receiver
}

// progress tells of progress.
func (r *run) progress(p Progress) {
	if r.options.Progress == nil {
		return
	}
	r.progressMu.Lock()
	defer r.progressMu.Unlock()
	r.options.Progress(p)
}

// sum adds up what was done in all buckets.
func sum(buckets []*bucketRun) Result {
	result := Result{Complete: true}
	for _, b := range buckets {
		if b == nil { // it panicked
			result.Complete = false
			continue
		}
		result.Counts.add(b.last.Counts)
		result.Pending += b.pending()
		result.Unknown += b.last.Unknown
		result.Complete = result.Complete && b.last.Complete
		for _, f := range b.last.Findings {
			f.Bucket = b.bucket.Name
			result.Findings = append(result.Findings, f)
		}
	}
	return result
}
