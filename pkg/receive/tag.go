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

// Tag tags the outputs of a record, if they are to be tagged, and leaves the record alone.
// Its error is like that of Callback. What COS refused for good is no error, but refused.
func (r *Receiver) Tag(ctx context.Context, record *model.Record) (tags []store.TagResult, refused, err error) {
	outputs := r.outputsToTag(record)
	if len(outputs) == 0 {
		return nil, nil, nil
	}
	return r.tagOutputs(ctx, outputs, record.EndTime, new(tagCount))
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
// they are not. refused is the first tag that COS refused, err the most severe error but
// those.
func (r *Receiver) tagOutputs(ctx context.Context, outputs []model.Output, endTime string, tagged *tagCount) (results []store.TagResult, refused, err error) {
	ended, _ := time.Parse(time.RFC3339, endTime) // the zero time where the record has none
	before := int(tagged.Add(int64(len(outputs)))) - len(outputs)
	allowed := outputs[:max(0, min(len(outputs), maxTagged-before))]
	results = make([]store.TagResult, len(allowed), len(allowed)+1)
	errs := parallel.ForEach(len(allowed), maxOutputsAtOnce, func(i int) (err error) {
		results[i] = store.TagResult{Bucket: allowed[i].Bucket, Object: allowed[i].Key, Outcome: store.Failed, Reason: BugReason}
		tag, err := r.Store.TagOutput(ctx, allowed[i], ended)
		if _, isBug := errors.AsType[*parallel.PanicError](err); !isBug {
			results[i] = tag
		}
		return err
	})
	if more := len(outputs) - len(allowed); more > 0 {
		reason := fmt.Sprintf("%d more outputs: of a callback, %d are tagged", more, maxTagged)
		results = append(results, store.TagResult{Outcome: store.Skipped, Reason: reason})
	}
	if i := slices.IndexFunc(errs, isRefusal); i >= 0 {
		refused = errs[i]
	}
	return results, refused, cosclient.MostSevere(slices.DeleteFunc(errs, isRefusal))
}

// isRefusal reports whether COS refused, and will until the operator changes something.
func isRefusal(err error) bool { return errors.Is(err, cosclient.ErrMisconfigured) }
