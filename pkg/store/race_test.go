package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// TestFiveWayRaces lets five instances write five versions of one job at once. Each of
// them is in the record or in the history in the end. The record is the newest but for a
// few in a hundred: between an instance's reading and its writing lies one round trip, and
// COS has no compare-and-swap. How many they are depends on how much the round trips
// differ; here they differ by a factor of ten.
func TestFiveWayRaces(t *testing.T) {
	t.Parallel()
	races := testsize.Pick(300, 2_000)
	behind := 0
	for n := range races {
		synctest.Test(t, func(t *testing.T) {
			if !raceOfFive(t, rand.New(rand.NewPCG(uint64(n), 5))) {
				behind++
			}
		})
	}
	t.Logf("%d of %d races ended behind the newest version", behind, races)
	if behind > races/10 {
		t.Errorf("%d of %d races ended behind the newest version; want a few in a hundred", behind, races)
	}
}

// raceOfFive runs one race, and reports whether the record is the newest version then.
func raceOfFive(t *testing.T, rng *rand.Rand) bool {
	w := newWorld(t)
	versions := make([]*model.Record, 5)
	for i := range versions {
		versions[i] = job("Success", fmt.Sprintf("2026-11-20T10:00:0%d+08:00", i), "")
	}
	var all sync.WaitGroup
	for i, version := range versions {
		o := options()
		o.Backoff = nil // the store's own
		s, err := store.NewPool(&distant{base: w.Server, rng: rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))}).Open(o)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if _, _, err := s.PutRecord(t.Context(), version); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, version := range versions {
		w.wantKept(t, encode(t, version))
	}
	stored, _ := w.Object(records, jobKey)
	return bytes.Equal(stored.Body, encode(t, versions[4]))
}

// distant is a connection on which a request and its answer take 5 to 50 milliseconds
// each.
type distant struct {
	base http.RoundTripper
	mu   sync.Mutex
	rng  *rand.Rand
}

func (d *distant) RoundTrip(r *http.Request) (*http.Response, error) {
	d.travel()
	response, err := d.base.RoundTrip(r)
	d.travel()
	return response, err
}

func (d *distant) travel() {
	d.mu.Lock()
	way := 5*time.Millisecond + time.Duration(d.rng.Int64N(int64(45*time.Millisecond)))
	d.mu.Unlock()
	time.Sleep(way)
}
