package reconcile_test

import (
	"errors"
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
	jobs := testsize.Pick(400, 4000)
	limits := testsize.Pick([]time.Duration{time.Second, time.Minute}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 10 * time.Second, time.Minute})
	for _, limit := range limits {
		t.Run(limit.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				for i := range jobs {
					id := fmt.Sprintf("j%04d", i)
					w.add(id, time.Hour-time.Duration(i)*800*time.Millisecond, cilocal.Plan{})
					if i%10 != 0 {
						w.putCallback(id)
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
	jobs := testsize.Pick(300, 3000)
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

// What a job costs, in requests to COS and to CI, besides the list and the state.
func TestRequestsPerJob(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange       func(*world)
		tagged        bool
		wantCOS, want int // requests to COS, and to CI
	}{
		"recorded":        {func(w *world) { w.callback("j1") }, true, 1, 0},
		"repaired":        {func(*world) {}, false, 2, 0},
		"repaired_tagged": {func(*world) {}, true, 5, 0},
		"replaced":        {forgeRecord, false, 8, 0},
		"replaced_tagged": {forgeRecord, true, 11, 0},
		"run_recorded":    {func(w *world) { w.addRun(); w.callback("i1") }, false, 1, 0},
		"run_repaired":    {func(w *world) { w.addRun() }, false, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				ofRun := strings.HasPrefix(name, "run_")
				if !ofRun {
					w.add("j1", time.Hour, cilocal.Plan{})
				}
				test.arrange(w)
				before := w.net.count()
				_, err := w.run(func(o *reconcile.Options) {
					o.Stateless = true
					o.Receiver.TagMD5 = test.tagged
					if ofRun {
						o.Types, o.Workflows = []string{}, []reconcile.Workflow{{ID: workflow}}
					}
				})
				cos, asked := 0, 0
				for _, r := range w.net.since(before) {
					if strings.Contains(r, ".ci.") {
						asked++
					} else {
						cos++
					}
				}
				if err != nil || cos != test.wantCOS || asked != 1+test.want {
					t.Errorf("%d requests to COS and %d to CI, error %v: %v", cos, asked, err, w.net.since(before))
				}
			})
		})
	}
}

// forgeRecord stores a record of j1 that CI does not agree with.
func forgeRecord(w *world) {
	w.receive([]byte(`{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1","State":"Failed","Tag":"Transcode","EndTime":"1999-12-31T20:00:00+0800"}}`))
}

// addRun puts a run of the workflow into CI that ended an hour ago.
func (w *world) addRun() { w.addRunOf("i1", cilocal.Plan{}) }

// addRunOf puts a run of the workflow into CI that was created an hour ago.
func (w *world) addRunOf(id string, plan cilocal.Plan) {
	w.t.Helper()
	run := cilocal.Run{ID: id, WorkflowID: workflow, Created: time.Now().Add(-time.Hour), Tasks: []cilocal.Task{{Type: "Transcode", Name: "T_1"}}}
	plan.Lost = true
	if _, err := w.ci.AddRun(media, run, plan); err != nil {
		w.t.Fatal(err)
	}
}

// The bounds on requests at a time hold over all buckets.
func TestRequestsAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		var buckets []reconcile.Bucket
		for n := range 8 {
			name := fmt.Sprintf("media%d-1250000000", n)
			buckets = append(buckets, reconcile.Bucket{Name: name, Region: region})
			if err := errors.Join(w.ci.CreateBucket(name, region), w.cos.CreateBucket(name, region)); err != nil {
				t.Fatal(err)
			}
			for i := range 30 {
				job := cilocal.Job{ID: fmt.Sprintf("j%d-%d", n, i), Tag: "Transcode", Output: cilocal.Object{Key: fmt.Sprint("out/", i)}}
				if _, err := w.ci.AddJob(name, job, cilocal.Plan{Age: time.Hour, Lost: true}); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.net.cosDelay, w.net.ciDelay = 10*time.Millisecond, 30*time.Millisecond
		w.mustRun(reconcile.Counts{Checked: 240, Repaired: 240}, func(o *reconcile.Options) { o.Buckets = buckets })
		if w.net.mostCI != ci.MaxRequests || w.net.mostCOS != reconcile.MaxCOSRequests {
			t.Errorf("%d requests to CI and %d to COS at a time", w.net.mostCI, w.net.mostCOS)
		}
	})
}
