package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// faultTime is how long COS may keep one job's record, or the state, out of reach.
const faultTime = 10 * time.Second

// maxFaults is how many jobs' records may be out of reach before a bucket is given up, and
// how many jobs' tags before tagging is.
const maxFaults = 10

// A bucketRun is one run's work on one bucket. Its listings are worked on one after the
// other; only jobs of one answer are compared side by side.
type bucketRun struct {
	run      *run
	bucket   Bucket
	ci       *ci.Bucket
	state    *State
	listings []*listingRun

	answered bool // CI did, at least once
	failures []failure
	saving   chan struct{}           // closed when the last save half-way has ended; nil before the first
	unsaved  error                   // why that save failed
	giveUp   context.CancelCauseFunc // ends the work on this bucket

	mu     sync.Mutex // jobs are compared side by side
	last   LastRun
	faults int   // jobs whose records were out of reach
	fault  error // the last of these, or of those that the time cut short
}

// A failure is what kept the run from one listing.
type failure struct {
	listing string
	err     error
}

func newBucketRun(r *run, bucket Bucket) *bucketRun {
	return &bucketRun{run: r, bucket: bucket, last: LastRun{Began: wholeSecond(r.began)}}
}

// errGivenUp is why the work on a bucket ended before its time.
var errGivenUp = fmt.Errorf("COS refuses %d records, or keeps them out of reach", maxFaults)

// errNoTime is why the work on a bucket ends where the time left does not suffice for
// another page.
var errNoTime = errors.New("the time left is not enough for a page")

// reconcile does the work. saving is a context that outlives that of the work.
func (b *bucketRun) reconcile(work, saving context.Context) error {
	work, b.giveUp = context.WithCancelCause(work)
	defer b.giveUp(nil)
	if err := b.open(work); err != nil {
		return fmt.Errorf("bucket %s: %w", b.bucket.Name, err)
	}
	for _, l := range b.inOrder() {
		if work.Err() != nil {
			break
		}
		if err := l.reconcile(work); err != nil {
			b.failures = append(b.failures, failure{l.name, err})
		}
	}
	return b.close(work, saving)
}

// open reads the state, and makes the listings that the settings name.
func (b *bucketRun) open(ctx context.Context) (err error) {
	if b.ci, err = b.run.options.CI.Bucket(b.bucket.Name, b.bucket.Region); err != nil {
		return err
	}
	if b.state, err = b.loadState(ctx); err != nil {
		return err
	}
	for _, tag := range unique(b.run.options.Types) {
		b.listings = append(b.listings, newListingRun(b, tag, listing(&b.state.Tags, tag), jobsOf{b.ci, tag}))
	}
	var workflows []string
	for _, w := range b.run.options.Workflows {
		if w.Bucket == "" || w.Bucket == b.bucket.Name {
			workflows = append(workflows, w.ID)
		}
	}
	for _, id := range unique(workflows) {
		b.listings = append(b.listings, newListingRun(b, id, listing(&b.state.Workflows, id), runsOf{b.ci, id}))
	}
	return nil
}

// unique returns the names in their order, each once: two listings of one name would share
// a state.
func unique(names []string) []string {
	var found []string
	for _, name := range names {
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}

// loadState reads the state of the run before. One that is missing or unreadable is
// begun anew, and so is one that COS answers 403 for: a role that may not list can get
// that for a key that is not there. Any other failure ends the work on this bucket, since
// the state would be written over.
func (b *bucketRun) loadState(ctx context.Context) (*State, error) {
	fresh := &State{Version: StateVersion, Bucket: b.bucket.Name, Region: b.bucket.Region}
	if b.run.options.Stateless {
		return fresh, nil
	}
	ctx, cancel := context.WithTimeout(ctx, faultTime)
	defer cancel()
	o, err := b.run.options.Store.GetObject(ctx, b.stateKey())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fresh, nil
	case cosclient.IsDenied(err):
		b.warnState("the state of the reconciliation may not be read; all jobs of the last days are compared", err)
		return fresh, nil
	case err != nil:
		return nil, err
	}
	s, err := ParseState(o.Body)
	if err != nil {
		b.warnState("the state of the reconciliation cannot be read; all jobs of the last days are compared", err)
		return fresh, nil
	}
	s.Bucket, s.Region = b.bucket.Name, b.bucket.Region
	return s, nil
}

func (b *bucketRun) stateKey() string { return StateKey(b.run.options.Store.Prefix(), b.bucket.Name) }

func (b *bucketRun) warnState(message string, err error) {
	b.run.report.warn(message, text("bucket", b.bucket.Name), text("state", b.stateKey()), text("error", err.Error()))
}

// inOrder returns the listings, those first that have waited longest.
func (b *bucketRun) inOrder() []*listingRun {
	type waiting struct { // a sort over listingRun would make the linker keep all of the SDK
		until time.Time
		i     int
	}
	order := make([]waiting, len(b.listings))
	for i, l := range b.listings {
		order[i] = waiting{l.Until, i}
	}
	slices.SortStableFunc(order, func(x, y waiting) int { return x.until.Compare(y.until) })
	listings := make([]*listingRun, len(order))
	for i, o := range order {
		listings[i] = b.listings[o.i]
	}
	return listings
}

// save writes a state.
func (b *bucketRun) save(ctx context.Context, encoded []byte) error {
	return b.run.options.Store.PutObject(ctx, b.stateKey(), "application/json", encoded)
}

// keepsState reports whether the run writes a state.
func (b *bucketRun) keepsState() bool { return !b.run.options.Stateless && !b.run.options.DryRun }

// encodeState returns the bytes of the state as it is.
func (b *bucketRun) encodeState() ([]byte, error) {
	for _, l := range b.listings {
		l.Pending, l.Missed = l.queue.ids, l.queue.missedIDs()
	}
	return b.state.encode()
}

// saveHalfWay saves the state as it is behind a page, while the next page is looked at.
// Where it cannot, the run goes on, and what counts is the last save.
func (b *bucketRun) saveHalfWay(ctx context.Context) {
	if b.finishSaving(); b.unsaved != nil || !b.keepsState() {
		return
	}
	encoded, err := b.encodeState()
	if err != nil {
		b.unsaved = err
		return
	}
	b.saving = make(chan struct{})
	go func() {
		defer close(b.saving)
		defer parallel.Recover(&b.unsaved)
		ctx, cancel := context.WithTimeout(ctx, faultTime)
		defer cancel()
		b.unsaved = b.save(ctx, encoded)
	}()
}

// finishSaving waits for the last save half-way, so that no other overtakes it.
func (b *bucketRun) finishSaving() {
	if b.saving != nil {
		<-b.saving
	}
}

// saveAtEnd saves the state for the last time. One try may take all of the time left.
func (b *bucketRun) saveAtEnd(ctx context.Context) error {
	b.finishSaving()
	if !b.keepsState() {
		return nil
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(faultTime)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-answerTime))
	defer cancel()
	encoded, err := b.encodeState()
	if err != nil {
		return err
	}
	return b.save(cosclient.WithWholeTime(ctx), encoded)
}

// close saves the state for the last time, and returns what kept the run from the bucket.
func (b *bucketRun) close(work, saving context.Context) error {
	err := b.failure(work)
	b.last.Complete = err == nil && work.Err() == nil
	b.last.Ended = wholeSecond(time.Now())
	b.state.Last = &b.last
	if unsaved := b.saveAtEnd(saving); unsaved != nil {
		err = errors.Join(err, fmt.Errorf("bucket %s: %w", b.bucket.Name, unsaved))
	}
	return err
}

// failure returns the error of the work, or nil if it went well as far as the time went.
func (b *bucketRun) failure(work context.Context) error {
	cause := context.Cause(work)
	_, bug := errors.AsType[*parallel.PanicError](cause)
	ranOut := errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled)
	switch {
	case bug:
		return fmt.Errorf("bucket %s: %w", b.bucket.Name, cause)
	case errors.Is(cause, errGivenUp):
		return fmt.Errorf("bucket %s: %w: %w", b.bucket.Name, errGivenUp, b.fault)
	case ranOut && b.last.Checked == b.faults && b.fault != nil:
		return fmt.Errorf("bucket %s: %w", b.bucket.Name, b.fault)
	}
	return b.listingFailures()
}

// listingFailures joins what kept the run from its listings: of each kind of error one,
// with the names of the listings.
func (b *bucketRun) listingFailures() error {
	var errs []error
	for _, kind := range []error{cosclient.ErrMisconfigured, cosclient.ErrUnavailable, nil} {
		var names []string
		var first error
		for _, f := range b.failures {
			if kindOf(f.err) == kind {
				names, first = append(names, f.listing), cmp.Or(first, f.err)
			}
		}
		if first != nil {
			errs = append(errs, fmt.Errorf("bucket %s: %s: %w", b.bucket.Name, shortList(names), first))
		}
	}
	return errors.Join(errs...)
}

// kindOf returns which of the two kinds an error is, or nil for another.
func kindOf(err error) error {
	for _, kind := range []error{cosclient.ErrMisconfigured, cosclient.ErrUnavailable} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// shortList names the first few.
func shortList(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// count counts a job that was compared.
func (b *bucketRun) count(o Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last.Checked++
	switch o {
	case Recorded:
		b.last.Recorded++
	case Repaired:
		b.last.Repaired++
	case Replaced:
		b.last.Replaced++
	}
}

// find notes a finding. Of too many, the oldest is dropped.
func (b *bucketRun) find(f Finding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.last.Findings) == maxFindings {
		b.last.Findings = slices.Delete(b.last.Findings, 0, 1)
	}
	b.last.Findings = append(b.last.Findings, f)
}

// isOver notes that a record was out of reach, and reports whether the work on the bucket
// is over, so that the job stays where it was. A bug ends the work at once.
func (b *bucketRun) isOver(ctx context.Context, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, bug := errors.AsType[*parallel.PanicError](err); bug {
		b.giveUp(err)
		return true
	}
	if ctx.Err() != nil {
		b.fault = cmp.Or(b.fault, err)
		return true
	}
	b.fault = err
	b.last.Checked++
	if b.faults++; b.faults == maxFaults {
		b.giveUp(errGivenUp)
	}
	return false
}

// pending returns how many jobs wait to be asked for.
func (b *bucketRun) pending() int {
	n := 0
	for _, l := range b.listings {
		n += len(l.queue.ids)
	}
	return n
}
