package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// Versions that came in one body: the newest is the record, the others are in the history,
// whatever was there before.
func TestPutRecordWithOlder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		stored *model.Record
		older  []*model.Record
		want   store.Outcome
		after  *model.Record
		steps  map[string]int // how many of each
	}{
		{"created", nil, []*model.Record{first()}, store.Created, second(), map[string]int{putNew: 1, archive: 1}},
		{"several", nil, []*model.Record{first(), job("Running", "", "a"), job("Running", "", "b")}, store.Created, second(), map[string]int{putNew: 1, archive: 3}},
		{"the_same_again", nil, []*model.Record{second()}, store.Created, second(), map[string]int{putNew: 1}},
		{"duplicate", second(), []*model.Record{first()}, store.Duplicate, second(), map[string]int{putNew: 1, get: 1, archive: 1}},
		{"updated", first(), []*model.Record{job("Running", "", "a")}, store.Updated, second(), map[string]int{putNew: 1, get: 3, archive: 3, put: 1}},
		{"stale", third(), []*model.Record{first()}, store.Stale, third(), map[string]int{putNew: 1, get: 1, archive: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.stored != nil {
				w.put(t, records, jobKey, coslocal.Object{Body: encode(t, test.stored)})
			}
			outcome, key, err := w.open(t, options()).PutRecord(t.Context(), second(), test.older...)
			if outcome != test.want || key != jobKey || err != nil {
				t.Errorf("PutRecord = %q, %q, %v; want %q", outcome, key, err, test.want)
			}
			w.wantObject(t, records, jobKey, encode(t, test.after))
			for _, r := range append(slices.Clone(test.older), second()) {
				w.wantKept(t, encode(t, r))
			}
			steps := map[string]int{}
			for _, s := range w.steps() {
				steps[s]++
			}
			if fmt.Sprint(steps) != fmt.Sprint(test.steps) {
				t.Errorf("requests %v; want %v", steps, test.steps)
			}
		})
	}
}

// Nothing is answered as stored before all of it is: what fails in the history is an error,
// which tells what to do. The outcome says what became of the record all the same.
func TestHistoryThatFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		stored  *model.Record
		put     *model.Record
		older   []*model.Record
		outcome store.Outcome
		after   *model.Record
	}{
		{"stale", third(), second(), nil, "", third()},
		{"updated", first(), second(), nil, "", first()},
		{"older", nil, second(), []*model.Record{first()}, store.Created, second()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.stored != nil {
				w.put(t, records, jobKey, coslocal.Object{Body: encode(t, test.stored)})
			}
			w.Deny(at(archive))
			outcome, _, err := w.open(t, options()).PutRecord(t.Context(), test.put, test.older...)
			if outcome != test.outcome || !errors.Is(err, cosclient.ErrMisconfigured) || !cosclient.IsDenied(err) {
				t.Errorf("PutRecord = %q, %v; want %q, ErrMisconfigured", outcome, err, test.outcome)
			}
			if !strings.Contains(err.Error(), "grant name/cos:PutObject") || !strings.Contains(err.Error(), "ci/history/jobs/j1/") {
				t.Errorf("err = %v; want it to name the permission and the key", err)
			}
			w.wantObject(t, records, jobKey, encode(t, test.after))
		})
	}
}

// A record of a format that this version of the function does not know yet is never
// replaced, so that going back to it destroys nothing.
func TestLaterFormatIsNeverReplaced(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]string{
		"later":             `{"version":9,"kind":"job","id":"j1","state":"Running","detail":{}}`,
		"of_another_form":   `{"version":9,"kind":"job","id":"j1","state":["Success"],"outputs":"none"}`,
		"with_less_in_it":   `{"version":9,"kind":"job","id":"j1"}`,
		"with_later_fields": `{"version":9,"kind":"job","id":"j1","phases":[{"state":"x"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(t, records, jobKey, coslocal.Object{Body: []byte(later)})
			for _, r := range []*model.Record{first(), third()} {
				if outcome, _, err := w.open(t, options()).PutRecord(t.Context(), r); outcome != store.Stale || err != nil {
					t.Errorf("PutRecord = %q, %v; want stale", outcome, err)
				}
				w.wantKept(t, encode(t, r))
			}
			w.wantObject(t, records, jobKey, []byte(later))
		})
	}
}

// versionOne returns a record's bytes as the function wrote them up to version 1.
func versionOne(t *testing.T, r *model.Record) []byte {
	return []byte(strings.Replace(string(encode(t, r)), `{"version":2,`, `{"version":1,`, 1))
}

// Records of version 1 under redeliveries of the same callbacks, in any order and more than
// once: the newest version of the job is the record in the end, in today's format, and every
// version of either format is kept.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	versions := []*model.Record{first(), second(), third()}
	for stored := range versions {
		for _, order := range permutations([]int{0, 1, 2}) {
			t.Run(fmt.Sprintf("%d_stored_then_%v", stored, order), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.put(t, records, jobKey, coslocal.Object{Body: versionOne(t, versions[stored])})
				for range 2 {
					for _, i := range order {
						if _, _, err := w.open(t, options()).PutRecord(t.Context(), versions[i]); err != nil {
							t.Fatal(err)
						}
					}
				}
				w.wantObject(t, records, jobKey, encode(t, third()))
				w.wantKept(t, versionOne(t, versions[stored]))
				for _, v := range versions {
					w.wantKept(t, encode(t, v))
				}
			})
		}
	}
}

func permutations(of []int) [][]int {
	if len(of) < 2 {
		return [][]int{of}
	}
	var all [][]int
	for i, first := range of {
		rest := slices.Delete(slices.Clone(of), i, i+1)
		for _, p := range permutations(rest) {
			all = append(all, append([]int{first}, p...))
		}
	}
	return all
}

// Over all records of a pool, eight versions at a time are on their way to a history.
func TestHistoryWritesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		counted := &countedWrites{wire: w.wire}
		pool := store.NewPool(counted)
		var all sync.WaitGroup
		for i := range 4 {
			s, err := pool.Open(options())
			if err != nil {
				t.Fatal(err)
			}
			var older []*model.Record
			for n := range 20 {
				older = append(older, job("Running", "", fmt.Sprint(n)))
			}
			newest := second()
			newest.ID = fmt.Sprint("j", i)
			for _, r := range older {
				r.ID = newest.ID
			}
			all.Go(func() {
				if _, _, err := s.PutRecord(t.Context(), newest, older...); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(w.Keys(records, "ci/history/")); n != 80 || counted.most != 8 {
			t.Errorf("%d versions in the history, %d at a time; want 80, 8", n, counted.most)
		}
	})
}

// countedWrites takes a while for each write to a history that has at least so many bytes,
// and counts how many there are at a time.
type countedWrites struct {
	*wire
	counter
	atLeast int64
}

func (c *countedWrites) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/history/") && r.ContentLength >= c.atLeast {
		c.add(1)
		defer c.add(-1)
		time.Sleep(10 * time.Millisecond)
	}
	return c.wire.RoundTrip(r)
}

// Of large records that are replaced, one at a time is in memory until it is in the
// history; a write to the history that fails lets the next one have its turn.
func TestLargeRecordsAreArchivedOneAtATime(t *testing.T) {
	t.Parallel()
	for name, denied := range map[string]bool{"written": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if denied {
					w.Deny(at(archive))
				}
				large := &countedWrites{wire: w.wire, atLeast: 1 << 20}
				s, err := store.NewPool(large).Open(options())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var all sync.WaitGroup
				for i := range 6 {
					stored := first()
					stored.ID, stored.Message = fmt.Sprint("j", i), strings.Repeat("x", 2<<20)
					w.put(t, records, stored.Key("ci/"), coslocal.Object{Body: encode(t, stored)})
					newest := second()
					newest.ID = stored.ID
					all.Go(func() {
						outcome, _, err := s.PutRecord(ctx, newest)
						if denied && !cosclient.IsDenied(err) || !denied && (outcome != store.Updated || err != nil) {
							t.Errorf("PutRecord = %q, %v", outcome, err)
						}
					})
				}
				all.Wait()
				if n := len(w.Keys(records, "ci/history/")); !denied && n != 12 {
					t.Errorf("%d versions in the history; want 12", n)
				}
				if large.most != 1 {
					t.Errorf("%d large versions were on their way at a time; want 1", large.most)
				}
			})
		})
	}
}
