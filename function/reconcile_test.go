package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
	"github.com/ci-callback/ci-callback/pkg/receive"
)

const timerEvent = `{"Type":"Timer","TriggerName":"every-ten-minutes","Time":"2026-11-27T10:00:00Z","Message":""}`

// compared is a site with a local CI and a function that compares, all without sockets.
type compared struct {
	*site
	ci       *cilocal.Server
	receiver *receiver
}

// newCompared makes one. It must be called in the bubble whose clock it goes by.
func newCompared(t *testing.T) *compared {
	t.Helper()
	credential := coslocal.Credential{SecretID: "secret-id-of-this-test", SecretKey: secretKey, SessionToken: sessionText}
	cos, err := coslocal.New(coslocal.Options{Credentials: []coslocal.Credential{credential}, KeepRequests: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cos.Close() })
	for _, bucket := range []string{recordsIn, mediaIn} {
		if err := cos.CreateBucket(bucket, region); err != nil {
			t.Fatal(err)
		}
	}
	c := &compared{ci: cilocaltest.New(t, cilocal.Options{COS: cos, Credentials: []coslocal.Credential{credential}}, mediaIn)}
	c.site = &site{Server: &coslocaltest.Server{Server: cos}, environment: map[string]string{
		"RECORD_BUCKET": recordsIn, "CALLBACK_TOKEN": token, "TAG_MD5": "true", "RECONCILE_BUCKETS": mediaIn,
		"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey, "TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
	}}
	c.receiver = c.newReceiver(t, c.ci.WithCOS())
	return c
}

// addLostJob makes a job that ended nine minutes ago, and whose callback was lost.
func (c *compared) addLostJob(t *testing.T, id string, age time.Duration) {
	t.Helper()
	job := cilocal.Job{ID: id, Input: cilocal.Object{Region: region, Key: "in.mp4"}, Output: cilocal.Object{Region: region, Key: "out/" + id + ".mp4"}}
	if _, err := c.ci.AddJob(mediaIn, job, cilocal.Plan{Age: age, Run: time.Minute, Lost: true}); err != nil {
		t.Fatal(err)
	}
}

// timer hands the function a timer's event.
func (c *compared) timer(environment ...string) (string, error) {
	ctx, cancel := invoked(c.with(environment...), timeLimit)
	defer cancel()
	returned, err := c.receiver.Invoke(ctx, []byte(timerEvent))
	return string(returned), err
}

// counts are what a run returns.
type counts struct {
	Checked, Recorded, Repaired, Replaced, Pending int
	Complete                                       bool
}

func readCounts(t *testing.T, returned string) (c counts) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(returned))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		t.Errorf("returned %q: %v", returned, err)
	}
	return c
}

// lines returns the log lines with that message.
func (c *compared) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	return slices.DeleteFunc(logLines(t, c.receiver.output.String()), func(l map[string]any) bool { return l["msg"] != message })
}

// TestTimer finds a job whose callback was lost, tags its output, and finds it recorded
// the next time.
func TestTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompared(t)
		c.addLostJob(t, "jlost", 10*time.Minute)
		returned, err := c.timer()
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"checked":1,"recorded":0,"repaired":1,"replaced":0,"pending":0,"complete":true}`; returned != want {
			t.Errorf("returned %s, want %s", returned, want)
		}
		stored, _ := c.site.Object(recordsIn, "ci/jobs/jlost.json")
		if !strings.Contains(string(stored.Body), `"source":"query"`) {
			t.Errorf("the record is %s", stored.Body)
		}
		if o, _ := c.site.Object(mediaIn, "out/jlost.mp4"); len(o.Tags) != 1 || o.Tags[0].Key != "md5" {
			t.Errorf("the output has the tags %v; %s; %s", o.Tags, stored.Body, c.receiver.output)
		}
		lines := c.lines(t, "reconcile")
		if len(lines) != 1 {
			t.Fatalf("log: %s", c.receiver.output)
		}
		want := map[string]any{
			"level": "INFO", "msg": "reconcile", "requestId": "request-id-of-this-test", "timer": "every-ten-minutes",
			"checked": 1.0, "recorded": 0.0, "repaired": 1.0, "replaced": 0.0, "pending": 0.0, "unknown": 0.0, "complete": true,
			"ciRequests": float64(c.ci.RequestCount()), "cosRequests": float64(c.site.RequestCount()), "durationMs": lines[0]["durationMs"],
			"time": lines[0]["time"],
		}
		if diff := cmp.Diff(want, lines[0]); diff != "" {
			t.Errorf("log line (-want +got):\n%s", diff)
		}
		if _, ok := lines[0]["durationMs"].(float64); !ok || !strings.Contains(c.receiver.output.String(), `"level":"WARN"`) || !strings.Contains(c.receiver.output.String(), "jlost") {
			t.Errorf("log: %s", c.receiver.output)
		}

		time.Sleep(10 * time.Minute)
		if returned, err = c.timer(); err != nil || readCounts(t, returned) != (counts{Complete: true}) {
			t.Errorf("the next run returned %s, %v", returned, err)
		}
		c.receiver.output.Reset()
		if _, err = c.timer("LOG_LEVEL=error"); err != nil || c.receiver.output.String() != "" {
			t.Errorf("LOG_LEVEL=error: %v, log %s", err, c.receiver.output)
		}
		body, err := c.ci.Callback(mediaIn, "jlost", "XML")
		if err != nil {
			t.Fatal(err)
		}
		if a := c.receiver.post(t, string(body)); a.status != 200 || a.outcome() != "stale" {
			t.Errorf("a callback that comes after all: %d %s", a.status, a.body)
		}
	})
}

// TestTimerSettings holds that each setting is handed on.
func TestTimerSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		settings []string
		want     counts
		keys     []string
	}{
		{"default", nil, counts{Checked: 1, Repaired: 1, Complete: true}, []string{"ci/jobs/jnew.json"}},
		{"other_type", []string{"RECONCILE_TYPES=Snapshot"}, counts{Complete: true}, nil},
		{"this_type", []string{"RECONCILE_TYPES=Snapshot,Transcode"}, counts{Checked: 1, Repaired: 1, Complete: true}, []string{"ci/jobs/jnew.json"}},
		{"more_days", []string{"RECONCILE_DAYS=6"}, counts{Checked: 2, Repaired: 2, Complete: true}, []string{"ci/jobs/jnew.json", "ci/jobs/jold.json"}},
		{"workflows", []string{"RECONCILE_TYPES=Snapshot", "RECONCILE_WORKFLOWS=w1"}, counts{Checked: 1, Repaired: 1, Complete: true}, []string{"ci/workflows/i1.json"}},
		{"endpoint", []string{"CI_ENDPOINT=http://{bucket}.ci.{region}.localhost"}, counts{Checked: 1, Repaired: 1, Complete: true}, []string{"ci/jobs/jnew.json"}},
		{"workflow_of_bucket", []string{"RECONCILE_TYPES=Snapshot", "RECONCILE_WORKFLOWS=w2@" + mediaIn}, counts{Complete: true}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCompared(t)
				c.addLostJob(t, "jnew", 10*time.Minute)
				c.addLostJob(t, "jold", 5*24*time.Hour)
				asked := &recording{RoundTripper: c.ci.WithCOS()}
				c.receiver = c.newReceiver(t, asked)
				run := cilocal.Run{ID: "i1", WorkflowID: "w1", Name: "main", Object: "in.mp4"}
				if _, err := c.ci.AddRun(mediaIn, run, cilocal.Plan{Age: time.Hour, Run: time.Minute, Lost: true}); err != nil {
					t.Fatal(err)
				}
				returned, err := c.timer(test.settings...)
				if err != nil || readCounts(t, returned) != test.want {
					t.Errorf("returned %s, %v; want %+v", returned, err, test.want)
				}
				at := "https://" + mediaIn + ".ci." + region + ".myqcloud.com/"
				if test.name == "endpoint" {
					at = "http://" + mediaIn + ".ci." + region + ".localhost/"
				}
				if !strings.Contains(strings.Join(asked.sent, " "), " "+at) {
					t.Errorf("asked %q, not %s", asked.sent, at)
				}
				keys := slices.DeleteFunc(c.site.Keys(recordsIn, ""), func(key string) bool { return strings.HasPrefix(key, "ci/reconcile/") })
				if diff := cmp.Diff(test.want.Repaired, len(keys)); diff != "" || !slices.Equal(test.keys, keys) {
					t.Errorf("records %q, want %q", keys, test.keys)
				}
			})
		})
	}
}

// TestTimerWithoutBuckets does nothing and says which variable to set, even where other
// settings are wrong that only callbacks need.
func TestTimerWithoutBuckets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompared(t)
		c.addLostJob(t, "jlost", 10*time.Minute)
		returned, err := c.timer("RECONCILE_BUCKETS", "RECORD_BUCKET")
		if err != nil || readCounts(t, returned) != (counts{Complete: true}) {
			t.Errorf("returned %s, %v", returned, err)
		}
		lines := logLines(t, c.receiver.output.String())
		if len(lines) != 1 || lines[0]["level"] != "WARN" || !strings.HasPrefix(lines[0]["msg"].(string), "RECONCILE_BUCKETS ") || lines[0]["requestId"] != "request-id-of-this-test" {
			t.Errorf("log: %s", c.receiver.output)
		}
		if c.ci.RequestCount()+c.site.RequestCount() != 0 {
			t.Error("something was asked")
		}
	})
}

// TestTimerMisconfigured names all that is wrong in one error, and asks nobody. Callbacks
// do not notice.
func TestTimerMisconfigured(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		wrong []string
		says  []string
	}{
		{"reconcile", []string{"RECONCILE_TYPES=?", "RECONCILE_DAYS=0"}, []string{"RECONCILE_TYPES", "RECONCILE_DAYS"}},
		{"without_buckets", []string{"RECONCILE_BUCKETS", "RECONCILE_DAYS=0"}, []string{"RECONCILE_DAYS"}},
		{"records", []string{"RECORD_PREFIX=/", "TENCENTCLOUD_SECRETID"}, []string{"RECORD_PREFIX", "TENCENTCLOUD_SECRETID"}},
		{"all", []string{"RECORD_BUCKET", "TAG_MD5=?", "RECONCILE_BUCKETS=x", "RECONCILE_TYPES=?", "RECONCILE_WORKFLOWS=?", "RECONCILE_DAYS=?", "CI_ENDPOINT=?"},
			[]string{"RECORD_BUCKET", "TAG_MD5", "RECONCILE_BUCKETS", "RECONCILE_TYPES", "RECONCILE_WORKFLOWS", "RECONCILE_DAYS", "CI_ENDPOINT"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCompared(t)
				returned, err := c.timer(test.wrong...)
				wrong, _ := errors.AsType[config.Errors](err)
				if returned != "" || len(wrong) < len(test.says) {
					t.Fatalf("returned %q, %v", returned, err)
				}
				for _, variable := range test.says {
					if !strings.Contains(err.Error(), variable) || !strings.Contains(c.receiver.output.String(), variable) {
						t.Errorf("%s is not named: %v\n%s", variable, err, c.receiver.output)
					}
				}
				if lines := logLines(t, c.receiver.output.String()); len(lines) != 1 || lines[0]["level"] != "ERROR" {
					t.Errorf("log: %s", c.receiver.output)
				}
				if c.ci.RequestCount()+c.site.RequestCount() != 0 {
					t.Error("something was asked")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCompared(t)
		a := c.receiver.post(t, string(sample(t, "digitalwatermark.xml")), "TAG_MD5=false", "RECONCILE_BUCKETS=x", "RECONCILE_DAYS=x", "RECONCILE_TYPES=?", "CI_ENDPOINT=x", "RECONCILE_WORKFLOWS=?")
		if a.status != 200 {
			t.Errorf("a callback beside wrong settings of the timer: %d %s", a.status, a.body)
		}
	})
}

// TestTimerError returns an error that names the bucket and the cause, and logs the counts
// beside it.
func TestTimerError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompared(t)
		c.addLostJob(t, "jlost", 10*time.Minute)
		c.ci.Deny(func(r coslocal.Request) bool { return cilocal.Action(r) == "DescribeMediaJobs" })
		returned, err := c.timer()
		if returned != "" || err == nil || !strings.Contains(err.Error(), mediaIn) || !strings.Contains(err.Error(), "ci:DescribeMediaJobs") {
			t.Errorf("returned %q, %v", returned, err)
		}
		lines := c.lines(t, "reconcile")
		if len(lines) != 1 || lines[0]["level"] != "ERROR" || lines[0]["complete"] != false || !strings.Contains(lines[0]["error"].(string), mediaIn) {
			t.Errorf("log: %s", c.receiver.output)
		}
	})
}

// TestTimerEndsInTime returns before the platform kills the instance, and that is no
// error: the next event goes on.
func TestTimerEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompared(t)
		for i := range 200 {
			c.addLostJob(t, "j"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+string(rune('a'+i/26)), 10*time.Minute)
		}
		c.site.Inject(coslocal.Fault{Delay: 300 * time.Millisecond})
		started := time.Now()
		ctx, cancel := invoked(c.environment, 10*time.Second)
		defer cancel()
		returned, err := c.receiver.Invoke(ctx, []byte(timerEvent))
		took := time.Since(started)
		if got := readCounts(t, string(returned)); err != nil || got.Complete || got.Repaired == 0 || took >= 10*time.Second || took < 8*time.Second {
			t.Errorf("returned %s, %v after %v", returned, err, took)
		}
	})
}

// TestTimerBug returns an error that says nothing of the bug; the log has its stack.
func TestTimerBug(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, c *compared) {
		t.Helper()
		returned, err := c.timer()
		if returned != "" || err == nil || err.Error() != receive.BugReason {
			t.Errorf("returned %q, %v", returned, err)
		}
		bugs := c.lines(t, "bug")
		if len(bugs) != 1 || !strings.Contains(bugs[0]["error"].(string), "a bug for this test") || !strings.Contains(bugs[0]["stack"].(string), "_test.go") {
			t.Errorf("log: %s", c.receiver.output)
		}
	}
	t.Run("requests", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCompared(t)
			c.addLostJob(t, "jlost", 10*time.Minute)
			c.receiver = c.newReceiver(t, panicking{c.ci.WithCOS(), http.MethodGet, false})
			check(t, c)
		})
	})
	t.Run("handler", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newCompared(t)
			c.receiver.options.Environ = func() []string { panic("a bug for this test, with a secret in it") }
			check(t, c)
		})
	})
}

// TestTimerLogInjection keeps a line a line, whatever the trigger is called.
func TestTimerLogInjection(t *testing.T) {
	t.Parallel()
	for kind, text := range hostile() {
		synctest.Test(t, func(t *testing.T) {
			c := newCompared(t)
			name, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := invoked(c.environment, timeLimit)
			defer cancel()
			if returned, err := c.receiver.Invoke(ctx, []byte(`{"Type":"Timer","TriggerName":`+string(name)+`}`)); err != nil {
				t.Errorf("%s: returned %q, %v", kind, returned, err)
			}
			if lines := c.lines(t, "reconcile"); len(lines) != 1 {
				t.Errorf("%s: log %s", kind, c.receiver.output)
			}
		})
	}
}

// TestReconcileTypes holds the default of RECONCILE_TYPES against the types that package
// ci lists.
func TestReconcileTypes(t *testing.T) {
	t.Parallel()
	settings, err := config.LoadReconcile(config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(ci.Tags())), slices.Sorted(slices.Values(settings.Types))); diff != "" {
		t.Errorf("types of ci and of config (-ci +config):\n%s", diff)
	}
}

// TestTimerOfTheBinary hands a timer's event to the built function, with a COS and a CI on
// sockets.
func TestTimerOfTheBinary(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	credential := coslocal.Credential{SecretID: "secret-id-of-this-test", SecretKey: secretKey, SessionToken: sessionText}
	ciServer := cilocaltest.NewServerWith(t, cilocal.Options{COS: s.Server.Server, Credentials: []coslocal.Credential{credential}}, mediaIn)
	c := &compared{site: s, ci: ciServer.Server}
	c.addLostJob(t, "jlost", 10*time.Minute)
	p := start(t, buildFunction)
	settings := s.settings("RECONCILE_BUCKETS="+mediaIn, "CI_ENDPOINT="+ciServer.Endpoint, "TAG_MD5=true")
	returned, err := p.Invoke(context.Background(), settings, []byte(timerEvent))
	if want := `{"checked":1,"recorded":0,"repaired":1,"replaced":0,"pending":0,"complete":true}`; err != nil || string(returned) != want {
		t.Errorf("returned %s, %v; want %s\n%s", returned, err, want, p.output)
	}
	if a := p.invoke(t, s.settings(), []byte(oneJob("jother", "Success", "", "o", sampleMD5))); a.status != 200 {
		t.Errorf("a callback after the timer's event: %d %s", a.status, a.body)
	}
	p.printed(t)
	for _, secret := range []string{secretKey, sessionText, token} {
		if strings.Contains(p.output.String(), secret) {
			t.Errorf("the log holds a secret: %s", p.output)
		}
	}
}
