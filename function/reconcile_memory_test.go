package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// TestTimerMemory hands timer's events to the built function, where there is much to
// compare, and looks at the most memory that it took.
func TestTimerMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("measures a process of Linux")
	}
	for name, test := range map[string]struct {
		jobs, recorded int           // how many there are, and how many of them have a record
		nodes          int           // of each job
		within         time.Duration // in which they were created
		limit          time.Duration // of an event
	}{
		"long_jobs": {jobs: testsize.Pick(110, 200), nodes: testsize.Pick(1_000, 6_000), within: time.Hour, limit: time.Minute},
		"many_jobs": {jobs: testsize.Pick(150, 4_000), recorded: testsize.Pick(135, 3_600), within: time.Hour, limit: time.Minute},
		"at_once":   {jobs: testsize.Pick(150, 3_000), within: 90 * time.Second, limit: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, -1)
			credential := coslocal.Credential{SecretID: "secret-id-of-this-test", SecretKey: secretKey, SessionToken: sessionText}
			ciServer := cilocaltest.NewServerWith(t, cilocal.Options{COS: s.Server.Server, Credentials: []coslocal.Credential{credential}}, mediaIn)
			p := start(t, buildFunction)
			settings := s.settings("RECONCILE_BUCKETS="+mediaIn, "CI_ENDPOINT="+ciServer.Endpoint, "TAG_MD5=true")
			operation := ""
			if test.nodes > 0 {
				operation = cilocaltest.LargeOperation(test.nodes)
			}
			for i := range test.jobs {
				job := cilocal.Job{
					ID: fmt.Sprintf("j%d", i), Input: cilocal.Object{Region: region, Key: "in.mp4"},
					Output: cilocal.Object{Region: region, Key: fmt.Sprintf("out/%d.mp4", i)}, Operation: operation,
				}
				age := 10*time.Minute + test.within - time.Duration(i)*test.within/time.Duration(test.jobs)
				if _, err := ciServer.AddJob(mediaIn, job, cilocal.Plan{Age: age, Lost: true}); err != nil {
					t.Fatal(err)
				}
				if i < test.recorded {
					body, err := ciServer.Callback(mediaIn, job.ID, "JSON")
					if err != nil {
						t.Fatal(err)
					}
					if a := p.invoke(t, settings, body); a.status != 200 {
						t.Fatalf("%d %s", a.status, a.body)
					}
				}
			}
			settings.TimeLimit = test.limit
			events := 0
			for complete := false; !complete; events++ {
				if events == 100 {
					t.Fatalf("not complete after %d events: %s", events, p.output)
				}
				returned, err := p.Invoke(context.Background(), settings, []byte(timerEvent))
				if err != nil {
					t.Fatalf("%v\n%s", err, p.output)
				}
				complete = readCounts(t, string(returned)).Complete
			}
			if n := len(s.Keys(recordsIn, "ci/jobs/")); n != test.jobs {
				t.Errorf("%d records of %d jobs", n, test.jobs)
			}
			const maxKiB = 96 << 10
			peak := p.status("VmHWM")
			t.Logf("%d jobs in %d events: at most %d KiB in memory", test.jobs, events, peak)
			if peak == 0 || peak > maxKiB {
				t.Errorf("the process took up to %d KiB, want at most %d", peak, maxKiB)
			}
		})
	}
}
