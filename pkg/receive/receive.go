package receive

import (
	"context"

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
// Its error wraps a [*model.MalformedError] where the body, or some of its jobs, were not
// understood; the body is then kept, under the key Results.Rejected, and the other jobs
// are stored. It wraps [cosclient.ErrUnavailable] where trying again later may help, and
// [cosclient.ErrMisconfigured] where a setting or a permission must change first. Of
// several errors it is the most severe.
func (r *Receiver) Callback(ctx context.Context, body []byte) (results Results, err error) {
	callback, malformed := model.Decode(body)
	switch {
	case malformed == nil:
		results.Jobs, err = r.storeCallback(ctx, callback)
		return results, err
	case callback == nil:
		callback = new(model.Callback)
	}
	// Neither waits for the other: what keeps one from its place may not keep the other.
	errs := parallel.ForEach(2, 2, func(i int) (err error) {
		if i == 0 {
			results.Rejected, err = r.Reject(ctx, body)
		} else {
			results.Jobs, err = r.storeCallback(ctx, callback)
		}
		return err
	})
	if err = cosclient.MostSevere(errs); err == nil {
		err = malformed
	}
	return results, err
}

// storeCallback stores what was understood of a callback.
func (r *Receiver) storeCallback(ctx context.Context, callback *model.Callback) ([]Result, error) {
	if callback.Probe != "" {
		return []Result{probeResult(callback.Probe)}, nil
	}
	return r.storeAll(ctx, callback)
}

func probeResult(probe string) Result {
	if probe == model.ProbeEmpty {
		return Result{Outcome: Probe}
	}
	return Result{Kind: model.KindReview, ID: probe, Outcome: Probe}
}

// Reject keeps a body that is no callback, so that nothing is lost, and returns the key.
func (r *Receiver) Reject(ctx context.Context, body []byte) (string, error) {
	return r.Store.PutRejected(ctx, body, "")
}

// Record stores one record and tags its outputs. The older versions of it, if any are
// given, go to its history. Its error is like that of Callback. The result has an outcome
// if the newest version is stored, even if there is an error.
func (r *Receiver) Record(ctx context.Context, newest *model.Record, older ...*model.Record) (Result, error) {
	return r.storeOne(ctx, newest, older, new(tagCount))
}

// storeAll stores the records of a callback, and lets go of each as soon as it is encoded.
// Its error is the most severe of what happened.
func (r *Receiver) storeAll(ctx context.Context, callback *model.Callback) ([]Result, error) {
	records, older := callback.Records, groupByID(callback.Older)
	results := make([]Result, len(records))
	tagged := new(tagCount)
	errs := parallel.ForEach(len(records), maxJobsAtOnce, func(i int) (err error) {
		record := records[i]
		records[i] = nil // it can have megabytes
		results[i], err = r.storeOne(ctx, record, older[recordID{record.Kind, record.ID}], tagged)
		return err
	})
	return results, cosclient.MostSevere(errs)
}

// recordID is what the versions of one record have in common.
type recordID struct {
	kind model.Kind
	id   string
}

func groupByID(records []*model.Record) map[recordID][]*model.Record {
	groups := map[recordID][]*model.Record{}
	for _, r := range records {
		id := recordID{r.Kind, r.ID}
		groups[id] = append(groups[id], r)
	}
	return groups
}

// storeOne stores a record and tags its outputs, neither of which waits for the other.
func (r *Receiver) storeOne(ctx context.Context, record *model.Record, older []*model.Record, tagged *tagCount) (Result, error) {
	result := Result{Kind: record.Kind, ID: record.ID, State: record.State, Type: record.Tag, Queue: record.QueueID}
	if record.Input != nil {
		result.Bucket = record.Input.Bucket
	}
	outputs, endTime := r.outputsToTag(record), record.EndTime
	things := 1 // to be done
	if len(outputs) > 0 {
		things = 2
	}
	errs := parallel.ForEach(things, things, func(i int) (err error) {
		if i == 0 {
			result.Outcome, result.Key, err = r.Store.PutRecord(ctx, record, older...)
		} else {
			result.Tags, result.RefusedTag, err = r.tagOutputs(ctx, outputs, endTime, tagged)
		}
		return err
	})
	return result, cosclient.MostSevere(errs)
}
