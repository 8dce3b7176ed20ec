package board

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// live is what is known of the bucket: it is listed at the start, and again by and by,
// and records are read in the background, the newest first.
type live struct {
	board *Board
	wake  chan struct{} // holds one where a listing is wanted at once

	mu sync.Mutex
	snapshot
}

// A snapshot is what a page is made of. Its slices are never changed, only replaced.
type snapshot struct {
	entries  []catalog.Entry // of records, the newest first
	rejected []catalog.Entry // of rejected bodies, the newest first
	states   []*reconcile.State
	listed   time.Time // when the last listing had ended; zero before the first has
	listing  int       // keys listed so far, by the first listing
	filling  bool      // records are still being read
	behind   bool      // something is known to be in the bucket that entries lack
	problem  string    // what went wrong last; empty if nothing did
}

const (
	fillChunk   = 256    // records read between two looks at whether a listing is wanted
	maxFill     = 20_000 // records that are read in the background, the newest
	listingRest = 20     // a listing is followed by so many times its duration without one
)

func (l *live) init(b *Board) {
	l.board, l.wake = b, make(chan struct{}, 1)
}

// look returns what is known now.
func (l *live) look() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot
}

func (l *live) change(change func(*snapshot)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.snapshot)
}

// refreshSoon asks for a listing at once: something was written. Until one that began
// later has ended, what is known is behind.
func (l *live) refreshSoon() {
	l.change(func(s *snapshot) {
		s.behind = true
		select {
		case l.wake <- struct{}{}:
		default:
		}
	})
}

// run lists and reads until ctx ends.
func (l *live) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := l.board.Clock()
		partly, err := l.list(ctx)
		took := l.board.Clock().Sub(began)
		if err == nil {
			err = errors.Join(partly, l.fill(ctx))
		}
		if err != nil && ctx.Err() == nil {
			l.board.Log.Warn("the board could not read the record bucket", "error", err.Error())
		}
		l.change(func(s *snapshot) {
			if s.filling, s.problem = false, ""; err != nil {
				s.problem = err.Error()
			}
		})
		rest := l.board.Refresh
		if err == nil { // what failed took the time of its tries, and may go well the next time
			rest = max(rest, listingRest*took)
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-time.After(rest):
		}
	}
}

// list lists the records, the rejected bodies and what reconciliations said. What keeps it
// from one of the last two, partly, does not keep it from the records.
func (l *live) list(ctx context.Context) (partly, err error) {
	c := l.board.Catalog
	first := l.look().listed.IsZero()
	entries, err := c.List(ctx, model.Kinds(), time.Time{}, func(n int) {
		if first {
			l.change(func(s *snapshot) { s.listing = n })
		}
	})
	if err != nil {
		return nil, err
	}
	rejected, rejectedErr := c.ListAll(ctx, "rejected/")
	states, statesErr := l.readStates(ctx)
	l.change(func(s *snapshot) {
		s.entries, s.states = entries, states
		if rejectedErr == nil {
			s.rejected = rejected
		}
		s.listed, s.filling = l.board.Clock(), len(l.missing(entries)) > 0
		s.behind = len(l.wake) > 0
	})
	return errors.Join(rejectedErr, statesErr), nil
}

// readStates reads the state of the reconciliation of each bucket, as far as COS gives it.
func (l *live) readStates(ctx context.Context) (states []*reconcile.State, err error) {
	entries, err := l.board.Catalog.ListAll(ctx, "reconcile/")
	for _, e := range entries {
		o, readErr := l.board.Catalog.Get(ctx, e.Key)
		if errors.Is(readErr, catalog.ErrNotFound) {
			continue
		}
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		if state, err := reconcile.ParseState(o.Body); err == nil { // else it is of a later version
			states = append(states, state)
		}
	}
	return states, err
}

// fill reads the records that are not known yet, the newest first, until all are, or
// another listing is wanted.
func (l *live) fill(ctx context.Context) error {
	missing := l.missing(l.look().entries)
	for len(missing) > 0 && len(l.wake) == 0 {
		n := min(len(missing), fillChunk)
		if _, err := l.board.Catalog.Summaries(ctx, missing[:n]); err != nil {
			return err
		}
		missing = missing[n:]
	}
	return nil
}

// missing returns the entries that are to be read in the background, and were not yet.
func (l *live) missing(entries []catalog.Entry) []catalog.Entry {
	entries = entries[:min(len(entries), maxFill)]
	var missing []catalog.Entry
	for i, s := range l.board.Catalog.CachedAll(entries) {
		if s == nil {
			missing = append(missing, entries[i])
		}
	}
	return missing
}

// has reports whether a record was listed as it is.
func (s snapshot) has(record catalog.Entry) bool {
	return slices.ContainsFunc(s.entries, func(e catalog.Entry) bool { return e.Key == record.Key && e.ETag == record.ETag })
}

// hashOfKey returns the last part of a key.
func hashOfKey(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
