package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

const (
	maxOutputsAtOnce = 16    // of one job
	maxTagged        = 5_000 // outputs of one callback, so that it is answered in time
)

// BugReason is the reason of a tag that was not written because of a bug.
const BugReason = "a bug in ci-callback; its stack is in the function's log"

// tagCount counts the outputs of a callback that were to be tagged.
type tagCount struct{ atomic.Int64 }

// tagging is what became of the tags of one job.
type tagging struct {
	results []store.TagResult
	refused error // the first tag that COS refused
	err     error // the most severe error but those
}

// Tag tags the outputs of a record, if they are to be tagged, and leaves the record alone.
// Its error is like that of Callback; what COS refuses for good is none.
func (r *Receiver) Tag(ctx context.Context, record *model.Record) (tags []store.TagResult, refused, err error) {
	t := r.startTagging(ctx, record, new(tagCount))()
	return t.results, t.refused, t.err
}

// startTagging starts to tag the outputs of a record, and returns a function that waits
// until that is done.
func (r *Receiver) startTagging(ctx context.Context, record *model.Record, tagged *tagCount) (wait func() tagging) {
	outputs := r.outputsToTag(record)
	if len(outputs) == 0 {
		return func() tagging { return tagging{} }
	}
	done := make(chan tagging, 1)
	go func() {
		var t tagging
		defer func() { done <- t }()
		defer parallel.Recover(&t.err)
		t = r.tagOutputs(ctx, outputs, record.EndTime, tagged)
	}()
	return func() tagging { return <-done }
}

// outputsToTag returns the outputs that are to be tagged: those of a successful job that
// come with an MD5, if tagging is switched on.
func (r *Receiver) outputsToTag(record *model.Record) []model.Output {
	if !r.TagMD5 || record.State != "Success" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(record.Outputs), func(o model.Output) bool { return o.MD5 == "" })
}

// tagOutputs tags outputs, up to what is left of maxTagged, and says of the others that
// they are not.
func (r *Receiver) tagOutputs(ctx context.Context, outputs []model.Output, endTime string, tagged *tagCount) tagging {
	ended, _ := time.Parse(time.RFC3339, endTime) // the zero time where the record has none
	before := int(tagged.Add(int64(len(outputs)))) - len(outputs)
	allowed := outputs[:max(0, min(len(outputs), maxTagged-before))]
	t := tagging{results: make([]store.TagResult, len(allowed), len(allowed)+1)}
	errs := parallel.ForEach(len(allowed), maxOutputsAtOnce, func(i int) (err error) {
		t.results[i] = store.TagResult{Bucket: allowed[i].Bucket, Object: allowed[i].Key, Outcome: store.Failed, Reason: BugReason}
		tag, err := r.Store.TagOutput(ctx, allowed[i], ended)
		if _, isBug := errors.AsType[*parallel.PanicError](err); !isBug {
			t.results[i] = tag
		}
		return err
	})
	if more := len(outputs) - len(allowed); more > 0 {
		reason := fmt.Sprintf("%d more outputs: of a callback, %d are tagged", more, maxTagged)
		t.results = append(t.results, store.TagResult{Outcome: store.Skipped, Reason: reason})
	}
	if i := slices.IndexFunc(errs, isRefusal); i >= 0 {
		t.refused = errs[i]
	}
	t.err = cosclient.MostSevere(slices.DeleteFunc(errs, isRefusal))
	return t
}

// isRefusal reports whether COS refused, and will until the operator changes something.
func isRefusal(err error) bool { return errors.Is(err, cosclient.ErrMisconfigured) }
