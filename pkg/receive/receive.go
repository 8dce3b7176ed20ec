package receive

import (
	"context"
	"errors"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// maxJobsAtOnce is how many jobs of one callback are stored side by side.
const maxJobsAtOnce = 8

// A Receiver stores what it is given.
type Receiver struct {
	Store  *store.Store
	TagMD5 bool // tag outputs with their MD5
}

// Results say what became of a callback.
type Results struct {
	Jobs []Result // in the callback's order

	// Rejected is the key under which the body was kept, because it was not understood,
	// or not all of it; "" where there was no need to.
	Rejected string
}

// A Result says what became of one job, workflow run or review.
type Result struct {
	Kind   model.Kind
	ID     string
	State  string // as CI sent it
	Type   string // of a job, CI's Tag, such as Transcode
	Bucket string // of the input; "" where CI does not say
	Queue  string // the id of the queue; "" where CI does not say

	Outcome store.Outcome     // "" where the record is not stored
	Key     string            // of the record
	Tags    []store.TagResult // what became of the tags of the outputs

	// RefusedTag is why COS refused a tag, where it did. To try again does not help; the
	// operator has to change a setting or a permission.
	RefusedTag error
}

// Probe is the outcome of a callback with which somebody only tried whether anything
// answers. It is not stored.
const Probe store.Outcome = "probe"

// Callback stores all that the body of a callback says.
//
// Its error wraps a [*model.MalformedError] where the body, or a part of it, was not
// understood; the body is then kept, under the key Results.Rejected. It wraps
// [cosclient.ErrUnavailable] where trying again later may help, and
// [cosclient.ErrMisconfigured] where a setting or a permission must change first.
func (r *Receiver) Callback(ctx context.Context, body []byte) (results Results, err error) {
	defer parallel.Recover(&err)
	callback, malformed := model.Decode(body)
	if malformed != nil {
		results.Rejected, err = r.Reject(ctx, body)
		return results, mostSevere([]error{err, malformed})
	}
	if callback.Probe != "" {
		results.Jobs = []Result{{Kind: model.KindReview, ID: callback.Probe, Outcome: Probe}}
		return results, nil
	}
	results.Jobs, err = r.storeAll(ctx, callback.Records, callback.Older)
	return results, err
}

// Reject keeps a body that is no callback, so that nothing is lost, and returns the key.
func (r *Receiver) Reject(ctx context.Context, body []byte) (key string, err error) {
	defer parallel.Recover(&err)
	return r.Store.PutRejected(ctx, body, "")
}

// Record stores one record, and the older versions of it that are given, and tags its
// outputs. Its error is like that of Callback.
func (r *Receiver) Record(ctx context.Context, newest *model.Record, older ...*model.Record) (Result, error) {
	return r.storeOne(ctx, newest, older, new(tagCount))
}

// storeAll stores records, with the older versions of them that came in the same body, and
// forgets each of them as soon as it is encoded. Its error is the most severe of what
// happened.
func (r *Receiver) storeAll(ctx context.Context, records, older []*model.Record) ([]Result, error) {
	results := make([]Result, len(records))
	olderOf := map[string][]*model.Record{} // by the record's key
	for _, o := range older {
		olderOf[o.Key("")] = append(olderOf[o.Key("")], o)
	}
	tagged := new(tagCount)
	errs := parallel.ForEach(len(records), maxJobsAtOnce, func(i int) (err error) {
		record := records[i]
		records[i] = nil // it can have megabytes
		results[i], err = r.storeOne(ctx, record, olderOf[record.Key("")], tagged)
		return err
	})
	return results, mostSevere(errs)
}

// storeOne stores a record with its older versions and tags its outputs, neither of which
// waits for the other.
func (r *Receiver) storeOne(ctx context.Context, record *model.Record, older []*model.Record, tagged *tagCount) (Result, error) {
	result := Result{Kind: record.Kind, ID: record.ID, State: record.State, Type: record.Tag, Queue: record.QueueID}
	if record.Input != nil {
		result.Bucket = record.Input.Bucket
	}
	waitForTags := r.startTagging(ctx, record, tagged)
	err := r.putRecord(ctx, record, older, &result)
	tags := waitForTags()
	result.Tags, result.RefusedTag = tags.results, tags.refused
	return result, mostSevere([]error{err, tags.err})
}

// putRecord stores a record with its older versions, and says so in the result.
func (r *Receiver) putRecord(ctx context.Context, record *model.Record, older []*model.Record, result *Result) (err error) {
	defer parallel.Recover(&err) // the tags are still waited for
	result.Outcome, result.Key, err = r.Store.PutRecord(ctx, record, older...)
	return err
}

// mostSevere returns the error that decides what is to be done: a bug, else a setting,
// else COS, else a body that is not understood.
func mostSevere(errs []error) error {
	var worst error
	for _, err := range errs {
		if err != nil && (worst == nil || severity(err) > severity(worst)) {
			worst = err
		}
	}
	return worst
}

func severity(err error) int {
	_, malformed := errors.AsType[*model.MalformedError](err)
	switch {
	case malformed:
		return 0
	case errors.Is(err, cosclient.ErrUnavailable):
		return 1
	case errors.Is(err, cosclient.ErrMisconfigured):
		return 2
	default:
		return 3
	}
}
