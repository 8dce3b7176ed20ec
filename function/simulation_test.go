package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

var (
	schedules = flag.Int("schedules", testsize.Pick(150, 2000), "how many random schedules TestSimulation runs")
	seed      = flag.Uint64("seed", 0, "run this one schedule of TestSimulation alone")
)

// TestSimulation runs random schedules: several instances, jobs in several versions,
// deliveries in any order and number, redelivered on anything but 200, every kind of
// fault at any request, instances killed at any point, and somebody else who tags the
// outputs too.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) { simulate(t, *seed) })
		return
	}
	const workers = 4
	var races atomic.Int64
	started := time.Now()
	t.Run("schedules", func(t *testing.T) {
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for n := worker; n < *schedules && !t.Failed(); n += workers {
					synctest.Test(t, func(t *testing.T) { races.Add(int64(simulate(t, uint64(n+1)))) })
				}
			})
		}
	})
	took := time.Since(started)
	t.Logf("%d schedules in %v, %.0f a second; %d writes raced in a way that only a compare-and-swap prevents",
		*schedules, took.Round(time.Millisecond), float64(*schedules)/took.Seconds(), races.Load())
}

// schedule is one random course of events.
type schedule struct {
	*world
	rng       *rand.Rand
	objects   []string // outputs
	callbacks []*callback
	queue     []*callback // deliveries to come
	underway  []*delivery
	foreign   int       // tags that somebody else has set
	faults    int       // that are still to happen
	garbling  int       // answers with tag sets that are still to be unreadable, one after the other
	garbled   bool      // that they have begun to be
	outage    time.Time // COS does nothing until then
	kills     int
}

// simulate runs the schedule of a seed and returns how many races it counted.
func simulate(t *testing.T, seed uint64) int {
	s := &schedule{world: newWorld(t, 3), rng: rand.New(rand.NewPCG(seed, 1))}
	s.faults, s.kills = s.rng.IntN(8), s.rng.IntN(3)
	if s.rng.IntN(6) == 0 {
		s.garbling = 1 + s.rng.IntN(8)
	}
	if s.rng.IntN(12) == 0 {
		s.outage = time.Now().Add(time.Duration(s.rng.IntN(30)) * time.Second)
	}
	s.arrange()
	for steps := 0; len(s.queue) > 0 || len(s.underway) > 0 || len(s.late) > 0; steps++ {
		s.step()
		if steps > 5000 {
			s.complain("it does not end")
			break
		}
	}
	s.checkEnd(s.callbacks)
	s.fail(fmt.Sprintf("schedule of seed %d (go test ./function -run TestSimulation -seed %d)", seed, seed))
	races := 0
	for _, n := range s.raced {
		races += n
	}
	return races
}

// arrange makes the jobs, their versions and the deliveries of them.
func (s *schedule) arrange() {
	var all []jobVersion
	for j := range 1 + s.rng.IntN(2) {
		job := jobVersion{id: fmt.Sprintf("j%d", j), object: fmt.Sprintf("out/%d.mp4", j), md5: strings.Repeat(fmt.Sprint(j+1), 32)}
		object := coslocal.Object{Body: []byte(job.id), LastModified: time.Now(), Tags: []coslocal.Tag{{Key: "owner", Value: "x"}}}
		if err := s.cos.PutObject(simMedia, job.object, object); err != nil {
			s.t.Fatal(err)
		}
		s.objects = append(s.objects, job.object)
		for v := range 1 + s.rng.IntN(3) {
			all = append(all, s.version(job, v))
		}
	}
	for _, v := range all {
		versions := []jobVersion{v}
		if s.rng.IntN(4) == 0 {
			versions = append(versions, pick(s.rng, all)) // two jobs in one callback, or two versions of one
		}
		s.callbacks = append(s.callbacks, s.newCallback(v.id+" "+v.note, versions...))
	}
	for _, c := range s.callbacks {
		for range 1 + s.rng.IntN(2) {
			s.queue = append(s.queue, c)
		}
	}
	s.rng.Shuffle(len(s.queue), func(a, b int) { s.queue[a], s.queue[b] = s.queue[b], s.queue[a] })
}

// version makes one of a job's versions. Some differ in nothing that orders them but
// their bytes.
func (s *schedule) version(job jobVersion, n int) jobVersion {
	job.note, job.forged = fmt.Sprintf("version %d", n), s.rng.IntN(8) == 0
	job.state = pick(s.rng, []string{"Running", "Success", "Success", "Failed"})
	if job.state != "Running" {
		job.end = fmt.Sprintf("2000-01-01T00:00:0%d+0000", s.rng.IntN(3))
	}
	return job
}

// step makes one thing happen.
func (s *schedule) step() {
	waiting := s.waiting()
	idle := s.collect()
	switch n := s.rng.IntN(20); {
	case n < 4 && len(s.queue) > 0 && len(idle) > 0:
		limit := pick(s.rng, []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second})
		s.underway = append(s.underway, pick(s.rng, idle).deliver(s.queue[0], limit))
		s.queue = s.queue[1:]
	case n == 4 && s.foreign < 3:
		s.tagByAnother()
	case n == 5 && s.kills > 0:
		s.kills--
		s.kill(pick(s.rng, s.instances), func() bool { return s.rng.IntN(2) == 0 })
	case n == 6 && len(s.late) > 0 || len(s.queue)+len(s.underway) == 0:
		s.land()
	case len(waiting) > 0:
		f := pick(s.rng, waiting)
		s.meet(f, s.fate(f))
	default:
		time.Sleep(time.Duration(1+s.rng.IntN(200)) * time.Millisecond)
	}
}

// fate draws what becomes of a request: a fault while COS is out, or as long as there
// are some left, since COS recovers in the end.
func (s *schedule) fate(f *flight) fate {
	if time.Now().Before(s.outage) {
		return pick(s.rng, []fate{refused503, stalled, stalled, reset})
	}
	tags := f.request.Method == http.MethodGet && f.request.URL.Query().Has("tagging")
	if s.garbling > 0 && tags && (s.garbled || s.rng.IntN(3) == 0) {
		s.garbled = true
		s.garbling--
		return pick(s.rng, []fate{emptyAnswer, jsonAnswer, markupAnswer})
	}
	if s.faults == 0 || s.rng.IntN(3) > 0 {
		return answered
	}
	s.faults--
	return pick(s.rng, faults())
}

// collect takes the deliveries that ended, and delivers again what was not answered
// with 200. It returns the instances that have nothing to do.
func (s *schedule) collect() (idle []*instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway = slices.DeleteFunc(s.underway, func(d *delivery) bool {
		if d.done && (d.answer == nil || d.answer.status != 200) {
			s.queue = append(s.queue, d.callback)
		}
		return d.done
	})
	return slices.DeleteFunc(slices.Clone(s.instances), func(i *instance) bool { return i.current != nil })
}

// tagByAnother adds a tag to an output as its owner does, all at once.
func (s *schedule) tagByAnother() {
	s.foreign++
	key := pick(s.rng, s.objects)
	object, _ := s.cos.Object(simMedia, key)
	s.tell("somebody tags %s foreign%d", key, s.foreign)
	tags := append(object.Tags, coslocal.Tag{Key: fmt.Sprintf("foreign%d", s.foreign), Value: "y"})
	if err := s.cos.SetTags(simMedia, key, tags); err != nil {
		s.t.Fatal(err)
	}
}

// land carries out a request that was given up.
func (s *schedule) land() {
	if len(s.late) > 0 {
		f := s.late[0]
		s.late = s.late[1:]
		s.landLate(f)
	}
}
