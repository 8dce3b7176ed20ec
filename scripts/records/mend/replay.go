package mend

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// A Body is a rejected body, as today's decoder sees it.
type Body struct {
	Key      string
	Size     int64
	Received time.Time
	Source   string       // "query" where it came from a query to CI, else empty
	Reason   string       // why it is not understood, or not whole; empty where it is
	Jobs     []PlannedJob // those that are understood
	Probe    bool         // it is a test of the console's, about no job
}

// A PlannedJob is a job of a body, and what receiving it would do.
type PlannedJob struct {
	Kind  model.Kind
	ID    string
	State string
	Key   string
	Would store.Outcome // created, duplicate, updated or stale; empty where its record could not be read
}

// Hash returns the hash that names the body.
func (b Body) Hash() string { return b.Key[strings.LastIndexByte(b.Key, '/')+1:] }

// IsWhole reports whether all of the body is understood.
func (b Body) IsWhole() bool { return b.Reason == "" }

// Examine reads a rejected body and says what receiving it again would do. Its error
// wraps store.ErrNotFound where there is no such body. Where the record of a job could not
// be read, the body is there all the same, beside the error.
func (m *Mender) Examine(ctx context.Context, key string) (Body, error) {
	o, err := m.options.Store.GetObject(ctx, key)
	if err != nil {
		return Body{}, err
	}
	body := Body{Key: key, Size: int64(len(o.Body)), Received: o.LastModified, Source: o.Source}
	records, probe, err := decode(o)
	if err != nil {
		body.Reason = err.Error()
	}
	body.Probe = probe
	var failed error
	for _, record := range records {
		planned, err := m.planJob(ctx, record)
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("what receiving %s would do is not known: %w", key, err))
		}
		body.Jobs = append(body.Jobs, planned)
	}
	return body, failed
}

// decode decodes a body as what it came as. Records may be there beside an error: those
// that were understood.
func decode(o store.Object) (records []*model.Record, probe bool, err error) {
	if o.Source == model.SourceQuery {
		record, err := model.DecodeQueried(o.Body)
		if err != nil {
			return nil, false, err
		}
		return []*model.Record{record}, false, nil
	}
	callback, err := model.Decode(o.Body)
	if callback == nil {
		return nil, false, err
	}
	return callback.Records, callback.Probe != "", err
}

// planJob compares a record with the one that is stored, as the store would.
func (m *Mender) planJob(ctx context.Context, record *model.Record) (PlannedJob, error) {
	planned := PlannedJob{Kind: record.Kind, ID: record.ID, State: record.State, Key: record.Key(m.options.StoreOptions.Prefix)}
	ours, err := record.Encode()
	if err != nil {
		return planned, err
	}
	err = m.options.Store.ReadObject(ctx, planned.Key, func(stored store.Object) error {
		switch {
		case bytes.Equal(stored.Body, ours):
			planned.Would = store.Duplicate
		case model.Supersedes(stored.Body, ours):
			planned.Would = store.Stale
		default:
			planned.Would = store.Updated
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		planned.Would, err = store.Created, nil
	}
	return planned, err
}

// Replayed is what receiving a body again did.
type Replayed struct {
	Jobs    []receive.Result
	Removed bool // the body was taken away
}

// Replay receives a rejected body again, as what it came as: a callback, or a job of an
// answer to a query. With remove, a body that was received whole is taken away. Its error
// is that of the Receiver; what was stored by then is in the result.
func (m *Mender) Replay(ctx context.Context, key string, remove bool) (Replayed, error) {
	o, err := m.options.Store.GetObject(ctx, key)
	if err != nil {
		return Replayed{}, err
	}
	var done Replayed
	if o.Source == model.SourceQuery {
		done.Jobs, err = m.receiveQueried(ctx, o)
	} else {
		var results receive.Results
		results, err = m.receiver().Callback(ctx, o.Body)
		done.Jobs = results.Jobs
	}
	if err != nil || !remove {
		return done, err
	}
	if err := m.options.Store.DeleteRejected(ctx, key); err != nil {
		return done, fmt.Errorf("received, but not taken away: %w", err)
	}
	done.Removed = true
	return done, nil
}

func (m *Mender) receiveQueried(ctx context.Context, o store.Object) ([]receive.Result, error) {
	record, err := model.DecodeQueried(o.Body)
	if err != nil {
		return nil, err
	}
	result, err := m.receiver().Record(ctx, record)
	return []receive.Result{result}, err
}
