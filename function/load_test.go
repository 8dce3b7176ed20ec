package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
)

// load is many callbacks of many jobs, each in several versions that come in any order
// and more than once, through several instances at once.
type load struct {
	callbacks, instances int
	trip                 time.Duration // that a request to COS takes longer
	outputs              int           // objects that are tagged, of all the jobs
}

// edition is one of the callbacks of a job.
type edition struct {
	body    []byte
	encoded []byte // the record that is to come of it
	key     string
}

// editionOf returns a callback of a job, the newer the greater v is.
func (l load) editionOf(t testing.TB, job, v int) edition {
	state, end := "Running", ""
	if v > 0 {
		state, end = "Success", fmt.Sprintf("2000-01-01T00:00:%02d+0000", v)
	}
	one := edition{body: []byte(oneJob(fmt.Sprintf("j%d", job), state, end, fmt.Sprintf("o%d", job%l.outputs), sampleMD5))}
	callback, err := model.Decode(one.body)
	if err != nil {
		t.Fatal(err)
	}
	one.key = callback.Records[0].Key("ci/")
	if one.encoded, err = callback.Records[0].Encode(); err != nil {
		t.Fatal(err)
	}
	return one
}

// run delivers it all, and checks that every record is there and the newest. The heap in
// use, once a fifth of it is delivered and at the end, comes back in bytes.
func (l load) run(t testing.TB) (early, late uint64) {
	s := newSite(t, -1)
	for i := range l.outputs {
		s.putOutput(t, fmt.Sprintf("o%d", i))
	}
	s.Inject(coslocal.Fault{Delay: l.trip})
	instances := make([]*receiver, l.instances)
	transports := make([]func(), l.instances)
	for i := range instances {
		transport := cosclient.NewTransport()
		instances[i], transports[i] = s.newReceiver(t, transport), transport.CloseIdleConnections
	}
	const versions = 4
	jobs := l.callbacks / 10 // ten deliveries of each, so that most versions come twice or more
	newest := make([]atomic.Int32, jobs)
	var refused atomic.Int64
	deliver := func(r *receiver, job, v int) {
		ctx, cancel := invoked(s.with("TAG_MD5=true"), timeLimit)
		defer cancel()
		returned, err := r.Invoke(ctx, event(t, []string{token}, l.editionOf(t, job, v).body))
		if a := read(t, returned, err); a.status != 200 {
			if refused.Add(1) == 1 {
				t.Errorf("job %d, version %d: %d %s", job, v, a.status, a.body)
			}
			return
		}
		for old := newest[job].Load(); old < int32(v) && !newest[job].CompareAndSwap(old, int32(v)); old = newest[job].Load() {
		}
	}
	phase := func(from, to int) {
		var running sync.WaitGroup
		for i, r := range instances {
			running.Go(func() {
				random := rand.New(rand.NewPCG(uint64(from), uint64(i)))
				for n := from + i; n < to; n += len(instances) {
					// Different versions of one job go through one instance, in any order: where
					// two instances replace a record at once, COS has no way to keep the newer.
					// The same version goes through all of them.
					job := n % jobs
					v := random.IntN(versions)
					if job%len(instances) != i {
						v = versions - 1
					}
					deliver(r, job, v)
				}
			})
		}
		running.Wait()
	}
	phase(0, l.callbacks/5)
	early = heapInUse(instances)
	phase(l.callbacks/5, l.callbacks)
	late = heapInUse(instances)
	for _, closeIdle := range transports {
		closeIdle()
	}
	for job := range jobs {
		want := l.editionOf(t, job, int(newest[job].Load()))
		if stored, found := s.Object(recordsIn, want.key); !found || !bytes.Equal(stored.Body, want.encoded) {
			t.Errorf("%s: found %v, want version %d: %s", want.key, found, newest[job].Load(), stored.Body)
		}
	}
	if n := len(s.Keys(recordsIn, "ci/jobs/")); n != jobs {
		t.Errorf("%d records of %d jobs", n, jobs)
	}
	for i := range l.outputs {
		if o, _ := s.Object(mediaIn, fmt.Sprintf("o%d", i)); len(o.Tags) != 1 || o.Tags[0].Value != sampleMD5 {
			t.Errorf("o%d has tags %v", i, o.Tags)
		}
	}
	return early, late
}

// heapInUse is measured without what the test itself collects.
func heapInUse(instances []*receiver) uint64 {
	for _, r := range instances {
		r.output.Reset()
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// TestLoad delivers callbacks through six instances at once: 10,000 at full size.
func TestLoad(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l := load{callbacks: 300, instances: 6, trip: 2 * time.Millisecond, outputs: 30}
	if testsize.Full() && !underRace {
		l.callbacks, l.outputs = 10_000, 500
	}
	t.Run("callbacks", func(t *testing.T) {
		started := time.Now()
		early, late := l.run(t)
		took := time.Since(started)
		t.Logf("%d callbacks in %v, %.0f a second; %d KB of heap in use after a fifth of them, %d KB in the end",
			l.callbacks, took.Round(time.Millisecond), float64(l.callbacks)/took.Seconds(), early>>10, late>>10)
		if late > early+4<<20 {
			t.Errorf("the heap grew from %d to %d KB", early>>10, late>>10)
		}
	})
	goleak.VerifyNone(t, before)
}

// BenchmarkSoak is the same for as long as one likes: -benchtime 100x is a million
// callbacks.
func BenchmarkSoak(b *testing.B) {
	l := load{callbacks: 10_000, instances: 6, trip: 2 * time.Millisecond, outputs: 500}
	for b.Loop() {
		l.run(b)
	}
	b.ReportMetric(float64(l.callbacks)*float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
}

// TestMemory delivers callbacks, 10,000 at full size, to the built function and looks at
// the most memory that it took.
func TestMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("measures a process of Linux")
	}
	callbacks := testsize.Pick(300, 10_000)
	const maxKiB = 32_000 // a little less than 32 MB
	s := newSite(t, -1)
	p := start(t, buildFunction)
	body := string(sample(t, "digitalwatermark.xml"))
	started := time.Now()
	for i := range callbacks {
		returned, err := p.Invoke(context.Background(), s.settings("TAG_MD5=true"), s.nextJob(t, body, i%(callbacks/2)))
		if a := read(t, returned, err); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	took := time.Since(started)
	t.Logf("%d callbacks in %v, %.0f a second, one after the other: at most %d KiB in memory", callbacks, took.Round(time.Millisecond), float64(callbacks)/took.Seconds(), p.status("VmHWM"))
	if peak := p.status("VmHWM"); peak == 0 || peak > maxKiB {
		t.Errorf("the process took up to %d KiB, want at most %d", peak, maxKiB)
	}
}
