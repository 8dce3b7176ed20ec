package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
)

// Outcome says what became of a record.
type Outcome string

// The outcomes of PutRecord.
const (
	Created   Outcome = "created"   // there was none
	Duplicate Outcome = "duplicate" // the same bytes were there already
	Updated   Outcome = "updated"   // an older one was there
	Stale     Outcome = "stale"     // a newer one is there
)

// PutRecord writes a record unless it or a newer one is there, and returns its key. The
// older versions of it, if any are given, go to its history. It returns without an error
// only once what is stored is not older than newest, and all of these versions are in the
// record or in its history. Its error wraps [cosclient.ErrUnavailable] or
// [cosclient.ErrMisconfigured]; the outcome is set all the same where newest was stored.
//
// What a record costs, in requests to COS and in round trips:
//
//	created     1 in 1: it is written, if there is none
//	duplicate   2 in 2: … and what is there is read
//	stale       3 in 3: … and ours goes to the history
//	updated     7 in 6: … theirs and ours go to the history, side by side, theirs is read
//	            again, ours is written, and read back
func (s *Store) PutRecord(ctx context.Context, newest *model.Record, older ...*model.Record) (Outcome, string, error) {
	key := newest.Key(s.options.Prefix)
	ours, err := newest.Encode()
	if err != nil {
		return "", "", err
	}
	history := model.HistoryPrefix(s.options.Prefix, newest.Kind, newest.ID)
	if err := s.checkPrefix(key, version{}.key(history)); err != nil {
		return "", "", err
	}
	var outcome Outcome
	errs := parallel.ForEach(1+len(older), 1+maxHistoryWrites, func(i int) (err error) {
		if i > 0 {
			return s.archiveOlder(ctx, history, ours, older[i-1])
		}
		outcome, err = s.putNewest(ctx, key, history, ours)
		return err
	})
	if outcome == "" {
		key = ""
	}
	return outcome, key, cosclient.MostSevere(errs)
}

// checkPrefix checks keys that begin with RECORD_PREFIX.
func (s *Store) checkPrefix(keys ...string) error {
	for _, key := range keys {
		if err := cosname.CheckKey(key); err != nil {
			return fmt.Errorf("%w: RECORD_PREFIX: %w", cosclient.ErrMisconfigured, err)
		}
	}
	return nil
}

// putNewest writes a record unless it or a newer one is there.
func (s *Store) putNewest(ctx context.Context, key, history string, ours []byte) (Outcome, error) {
	if !s.records.versioned.Load() {
		created, err := cosclient.Retry(ctx, s.session, func() (bool, error) {
			return s.create(ctx, key, contents{body: ours, contentType: jsonType})
		})
		if err != nil {
			return "", err
		}
		if created {
			return Created, nil
		}
	}
	r := &replacement{store: s, key: key, history: history, ours: ours, archived: map[[sha256.Size]byte]bool{}}
	return cosclient.Retry(ctx, s.session, func() (Outcome, error) { return r.replaceIfNewer(ctx) })
}

// replacement is the replacing of a record that may be there, over all of its tries.
type replacement struct {
	store        *Store
	key          string
	history      string // what the keys of its history begin with
	ours         []byte
	archived     map[[sha256.Size]byte]bool // versions that are in the history, by their hashes
	outcome      Outcome                    // what our own write did or, if its answer was lost, may have done
	acknowledged bool                       // COS has confirmed that write
}

// replaceIfNewer reads what is stored, and if that is older than ours, writes ours. It is
// one try: after a fault it starts over with reading, since another instance may have
// written in between.
func (r *replacement) replaceIfNewer(ctx context.Context) (Outcome, error) {
	stored, theirs, err := r.store.compareStored(ctx, r.key, r.ours)
	switch {
	case err != nil:
		return "", err
	case stored == equal:
		return cmp.Or(r.outcome, Duplicate), nil
	case stored == newer:
		return r.yield(ctx)
	case stored == missing:
		return r.create(ctx)
	}
	old := newVersion(theirs.body)
	err = r.archive(ctx, old, newVersion(r.ours))
	theirs.release()
	if err != nil {
		return "", err
	}
	return r.replace(ctx, old.sum)
}

// yield leaves a newer record where it is, once ours is in the history.
func (r *replacement) yield(ctx context.Context) (Outcome, error) {
	if err := r.archive(ctx, newVersion(r.ours)); err != nil {
		return "", err
	}
	if r.acknowledged {
		return r.outcome, nil
	}
	return Stale, nil
}

// create writes ours where nothing is stored.
func (r *replacement) create(ctx context.Context) (Outcome, error) {
	created, err := r.store.create(ctx, r.key, contents{body: r.ours, contentType: jsonType})
	switch {
	case err != nil:
		return "", err
	case !created:
		return "", r.store.contended(r.key)
	}
	r.outcome, r.acknowledged = Created, true
	if r.store.records.versioned.Load() {
		return r.readBack(ctx)
	}
	return Created, nil
}

// replace writes ours over what is stored, if that still has the hash of what went into
// the history. Between the reading and the writing lies one round trip, in which another
// instance may write what is newer than ours: no less is possible without a
// compare-and-swap. That version is in the history then.
func (r *replacement) replace(ctx context.Context, archived [sha256.Size]byte) (Outcome, error) {
	unchanged, err := r.store.holds(ctx, r.key, archived)
	switch {
	case err != nil:
		return "", err
	case !unchanged:
		return "", r.store.contended(r.key)
	}
	r.outcome = Updated
	if err := r.store.overwrite(ctx, r.key, contents{body: r.ours, contentType: jsonType}); err != nil {
		return "", err
	}
	r.acknowledged = true
	return r.readBack(ctx)
}

// readBack makes sure that what is stored is not older than ours.
func (r *replacement) readBack(ctx context.Context) (Outcome, error) {
	stored, theirs, err := r.store.compareStored(ctx, r.key, r.ours)
	switch {
	case err != nil:
		return "", err
	case stored == equal:
		return r.outcome, nil
	case stored == newer:
		return r.yield(ctx)
	case stored == older:
		theirs.release()
	}
	return "", r.store.contended(r.key)
}

// errContended means that what is stored has changed since it was read.
var errContended = errors.New("other instances keep writing it")

// contended returns the error with which a try ends because another instance was faster.
// The next try begins with reading.
func (s *Store) contended(key string) error {
	return &cosclient.Error{Verb: putObject.verb, Object: s.options.Bucket + "/" + key, Kind: cosclient.ErrUnavailable, Err: errContended}
}

// comparison is how the stored object relates to the record that is being written.
type comparison int

const (
	missing comparison = iota
	equal
	newer
	older // or no record at all
)

// compareStored reads what is stored and compares it with ours, in one try. Where it is
// older, it is returned as well, and the caller must release it.
func (s *Store) compareStored(ctx context.Context, key string, ours []byte) (comparison, *object, error) {
	stored, err := s.read(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return missing, nil, nil
	}
	if err != nil {
		return missing, nil, err
	}
	c, err := compareBytes(stored.body, ours, cosclient.IsFromCOS(stored.header))
	if c == older && err == nil {
		return older, stored, nil
	}
	stored.release()
	if err != nil {
		return missing, nil, newError(getObject, s.options.Bucket, key, err)
	}
	return c, nil, nil
}

// compareBytes compares what is stored with ours. What may not be COS's is believed only
// if it is ours, or a record.
func compareBytes(stored, ours []byte, isFromCOS bool) (comparison, error) {
	switch {
	case bytes.Equal(stored, ours):
		return equal, nil
	case model.Supersedes(stored, ours):
		return newer, nil
	}
	if !isFromCOS {
		if _, err := model.ParseRecord(stored); err != nil {
			return missing, cosclient.ErrNotFromService
		}
	}
	return older, nil
}
