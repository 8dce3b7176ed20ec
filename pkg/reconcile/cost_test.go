package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
)

// allTypes lets a run look at all types of jobs that can be listed.
func allTypes(o *reconcile.Options) { o.Types = nil }

// An idle run costs one request to CI a type, and two to COS: the state, read and written.
func TestIdleRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.mustRun(reconcile.Counts{}, allTypes)
		before := w.net.count()
		w.mustRun(reconcile.Counts{}, allTypes)
		requests := map[string]int{}
		for _, r := range w.net.since(before) {
			method, rest, _ := strings.Cut(r, " ")
			service := "COS"
			if strings.Contains(rest, ".ci.") {
				service = "CI"
			}
			requests[service+" "+method]++
		}
		if n := len(ci.Tags()); requests["CI GET"] != n || requests["COS GET"] != 1 || requests["COS PUT"] != 1 || len(requests) != 3 {
			t.Errorf("for %d types: %v", n, requests)
		}
	})
}

// 4,000 jobs of which 400 have no record, at 10 milliseconds a request to COS and 30 to CI,
// take less than six seconds of work, in any number of runs.
func TestFourThousandJobs(t *testing.T) {
	t.Parallel()
	jobs := testsize.Pick(800, 4000)
	limits := testsize.Pick([]time.Duration{time.Second, time.Minute}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 10 * time.Second, time.Minute})
	for _, limit := range limits {
		t.Run(limit.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				for i := range jobs {
					id := fmt.Sprintf("j%04d", i)
					w.add(id, time.Hour-time.Duration(i)*800*time.Millisecond, cilocal.Plan{})
					if i%10 != 0 {
						w.callback(id)
					}
				}
				// The other types take 0.66 seconds, however many jobs there are.
				checkWork(t, w, limit, jobs/10, time.Second+5*time.Second*time.Duration(jobs)/4000)
			})
		})
	}
}

// 3,000 jobs that were created within 90 seconds get done in runs of two seconds, and so
// do as many of one second.
func TestManyJobsAtOnce(t *testing.T) {
	t.Parallel()
	jobs := testsize.Pick(600, 3000)
	for _, within := range []time.Duration{90 * time.Second, time.Millisecond} {
		t.Run(within.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				for i := range jobs {
					w.add(fmt.Sprintf("j%04d", i), 7*time.Minute-time.Duration(i)*within/time.Duration(jobs), cilocal.Plan{})
				}
				checkWork(t, w, 2*time.Second, jobs, time.Minute)
			})
		})
	}
}

// checkWork runs until all jobs have been compared, at the delays that the costs are stated
// for, and looks at what that took and did.
func checkWork(t *testing.T, w *world, limit time.Duration, wantRepaired int, maxWork time.Duration) {
	t.Helper()
	w.net.cosDelay, w.net.ciDelay = 10*time.Millisecond, 30*time.Millisecond
	var work time.Duration
	repaired, runs, before := 0, 0, w.net.count()
	for done := false; !done && runs < 100; runs++ {
		started := time.Now()
		result, err := w.runFor(limit, allTypes)
		if err != nil {
			t.Fatal(err)
		}
		work += time.Since(started)
		repaired += result.Repaired
		l := w.state().Tags["Transcode"]
		done = l.Began.IsZero() && len(l.Pending) == 0
		time.Sleep(10*time.Second - time.Since(started))
	}
	t.Logf("limit %v: %v of work in %d runs, %d requests; at most %d to COS and %d to CI at a time",
		limit, work, runs, w.net.count()-before, w.net.mostCOS, w.net.mostCI)
	if work > maxWork || repaired != wantRepaired || len(w.cos.Keys(records, "ci/history/")) != 0 {
		t.Errorf("%v of work, %d repaired, state %+v", work, repaired, w.state().Tags["Transcode"])
	}
	if w.net.mostCOS > reconcile.MaxCOSRequests || w.net.mostCI > ci.MaxRequests {
		t.Errorf("%d requests to COS and %d to CI at a time", w.net.mostCOS, w.net.mostCI)
	}
}
