package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// trip is how much longer than it does each request to COS takes here.
const trip = 60 * time.Millisecond

// course is a callback on its way, and what it may take.
type course struct {
	name     string
	tag      string
	jobs     int
	again    bool // the callback was delivered before
	requests int64
	trips    time.Duration // round trips, one after the other
	longest  time.Duration // on a real clock
}

func courses() []course {
	return []course{
		{"first", "TAG_MD5=false", 1, false, 1, 1, 90 * time.Millisecond},
		{"first_tagged", "TAG_MD5=true", 1, false, 4, 2, 150 * time.Millisecond},
		{"duplicate", "TAG_MD5=false", 1, true, 2, 2, 150 * time.Millisecond},
		{"duplicate_tagged", "TAG_MD5=true", 1, true, 4, 2, 150 * time.Millisecond},
		{"forty", "TAG_MD5=false", 40, false, 40, 5, 700 * time.Millisecond},
		{"forty_tagged", "TAG_MD5=true", 40, false, 160, 10, 700 * time.Millisecond},
	}
}

// body writes the sample callback for so many jobs.
func (c course) body(t *testing.T) string {
	_, job, _ := strings.Cut(string(sample(t, "digitalwatermark.xml")), "</EventName>")
	job, _, _ = strings.Cut(job, "</Response>")
	var jobs strings.Builder
	for i := range c.jobs {
		jobs.WriteString(strings.NewReplacer(sampleJob, fmt.Sprintf("j%d", i), sampleFile, fmt.Sprintf("output/j%d.mp4", i)).Replace(job))
	}
	return "<Response><EventName>TaskFinish</EventName>" + jobs.String() + "</Response>"
}

// prepare makes a COS that is slow from now on.
func (c course) prepare(t *testing.T) *site {
	s := newSite(t, -1)
	for i := range c.jobs {
		s.putOutput(t, fmt.Sprintf("output/j%d.mp4", i))
	}
	if c.again {
		s.newReceiver(t, s.Server).post(t, c.body(t), c.tag)
	}
	s.Inject(coslocal.Fault{Delay: trip})
	return s
}

// run delivers the callback and returns how long that took.
func (c course) run(t *testing.T, r *receiver) time.Duration {
	body := c.body(t)
	before, started := r.RequestCount(), time.Now()
	a := r.post(t, body, c.tag)
	took := time.Since(started)
	if n := r.RequestCount() - before; a.status != 200 || n != c.requests {
		t.Fatalf("%d requests, want %d: %d %.300s", n, c.requests, a.status, a.body)
	}
	return took
}

// TestRoundTrips counts the round trips of a callback, by a clock that they alone move.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, c := range courses() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.prepare(t)
			synctest.Test(t, func(t *testing.T) {
				if took := c.run(t, s.newReceiver(t, s.Server)); took != c.trips*trip {
					t.Errorf("took %v, want %d times %v", took, c.trips, trip)
				}
			})
		})
	}
}

// TestLatency measures the same over sockets. The best of some tries tells, as the machine
// may be busy; the bound stays.
func TestLatency(t *testing.T) {
	if !testsize.Full() {
		t.Skip("measures by a real clock: " + testsize.Variable + "=1 runs it")
	}
	for _, c := range courses() {
		t.Run(c.name, func(t *testing.T) {
			best := time.Hour
			for try := 0; try < 10 && best >= c.longest; try++ {
				best = min(best, c.run(t, c.prepare(t).newReceiver(t, nil)))
			}
			t.Logf("%v, %d COS requests", best.Round(time.Millisecond/10), c.requests)
			if best >= c.longest && !underRace {
				t.Errorf("took %v, want less than %v", best, c.longest)
			}
		})
	}
}
