package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
)

const functionHost = "1250000000-abcdefghij.ap-guangzhou.tencentscf.com"

// addCI gives a clinic a local CI, whose queues call back the function with the second
// token, and a comparison that ended five minutes ago.
func (c *clinic) addCI(o cilocal.Options) *cilocaltest.Server {
	c.t.Helper()
	o.Credentials = []coslocal.Credential{credential}
	server := cilocaltest.NewServerWith(c.t, o, mediaBucket)
	c.env["CI_ENDPOINT"] = server.Endpoint
	c.env["RECONCILE_BUCKETS"] = mediaBucket + "@" + region
	if err := server.SetCallback(mediaBucket, "https://"+functionHost+"/?token="+secondToken, "XML"); err != nil {
		c.t.Fatal(err)
	}
	c.putState(c.lastRun(5*time.Minute, true))
	return server
}

func (c *clinic) lastRun(ago time.Duration, complete bool) string {
	return fmt.Sprintf(`{"version":1,"bucket":%q,"last":{"began":%q,"ended":%q,"complete":%t,"checked":12,"repaired":1}}`, mediaBucket,
		c.now().Add(-ago-time.Minute).Format(time.RFC3339), c.now().Add(-ago).Format(time.RFC3339), complete)
}

func (c *clinic) putState(state string) {
	c.t.Helper()
	if err := c.cos.PutObject(recordBucket, reconcile.StateKey("ci/", mediaBucket), coslocal.Object{Body: []byte(state)}); err != nil {
		c.t.Fatal(err)
	}
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	const (
		list, job, queues, last = mediaBucket + ": list jobs", mediaBucket + ": ask for a job", mediaBucket + ": queues", mediaBucket + ": last comparison"
		runs                    = mediaBucket + ": runs of w1"
	)
	deny := func(action string) func(*clinic, *cilocaltest.Server) {
		return func(_ *clinic, s *cilocaltest.Server) {
			s.Deny(func(r coslocal.Request) bool { return cilocal.Action(r) == action })
		}
	}
	state := func(state string) func(*clinic, *cilocaltest.Server) {
		return func(c *clinic, _ *cilocaltest.Server) { c.putState(state) }
	}
	tests := map[string]struct {
		prepare func(*clinic, *cilocaltest.Server)
		want    map[string]verdict
		remedy  map[string]string // a word of the remedy
	}{
		"one_queue_calls_nobody": {func(_ *clinic, s *cilocaltest.Server) {
			s.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Key == "queue" }, Header: http.Header{"X-Ci-Request-Id": {"1"}},
				Body: []byte("<Response><QueueList><QueueId>p1</QueueId><Name>queue-1</Name></QueueList></Response>")})
		}, map[string]verdict{mediaBucket + ": callback of queue-1": verdictWarning}, nil},
		"well":         {func(*clinic, *cilocaltest.Server) {}, map[string]verdict{}, nil},
		"may_not_list": {deny("DescribeMediaJobs"), map[string]verdict{list: verdictFailed, job: verdictSkipped, runs: verdictSkipped, queues: verdictSkipped}, map[string]string{list: "ci:DescribeMediaJobs on bucket " + mediaBucket}},
		"may_not_ask":  {deny("DescribeMediaJob"), map[string]verdict{job: verdictFailed}, map[string]string{job: "ci:DescribeMediaJob"}},
		"may_not_list_runs": {deny("DescribeMediaWorkflowExecutions"), map[string]verdict{runs: verdictFailed},
			map[string]string{runs: "ci:DescribeMediaWorkflowExecutions"}},
		"may_not_see_queues": {deny("DescribeMediaQueues"), map[string]verdict{queues: verdictWarning}, map[string]string{queues: "-for doctor"}},
		"not_CI": {func(_ *clinic, s *cilocaltest.Server) {
			s.Inject(coslocal.Fault{Body: []byte("<html>Log in</html>"), Header: http.Header{"Content-Type": {"text/html"}}})
		}, map[string]verdict{list: verdictFailed, job: verdictSkipped, runs: verdictSkipped, queues: verdictSkipped}, map[string]string{list: "CI_ENDPOINT"}},
		"throttled": {func(_ *clinic, s *cilocaltest.Server) { s.Inject(coslocal.Fault{Status: 503, Code: "SlowDown"}) },
			map[string]verdict{list: verdictFailed, job: verdictSkipped, runs: verdictSkipped, queues: verdictSkipped}, map[string]string{list: "later"}},
		"one_kind_of_queue_refused": {func(_ *clinic, s *cilocaltest.Server) {
			s.Deny(func(r coslocal.Request) bool { return r.Key == "asrqueue" })
		}, map[string]verdict{}, nil},
		"wrong_key": {func(_ *clinic, s *cilocaltest.Server) {
			s.Inject(coslocal.Fault{Status: 403, Code: "SignatureDoesNotMatch"})
		},
			map[string]verdict{list: verdictFailed, job: verdictSkipped, runs: verdictSkipped, queues: verdictSkipped}, map[string]string{list: "TENCENTCLOUD_SECRETKEY"}},
		"unknown_type": {func(c *clinic, _ *cilocaltest.Server) { c.env["RECONCILE_TYPES"] = "Nonsense" },
			map[string]verdict{list: verdictWarning}, map[string]string{list: "RECONCILE_TYPES"}},
		"wrong_endpoint": {func(c *clinic, _ *cilocaltest.Server) { c.env["CI_ENDPOINT"] = "nonsense" },
			map[string]verdict{"CI_ENDPOINT": verdictFailed, list: verdictSkipped, job: verdictSkipped, runs: verdictSkipped, queues: verdictSkipped}, nil},
		"no_queues": {func(_ *clinic, s *cilocaltest.Server) {
			s.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "queue") }, Header: http.Header{"X-Ci-Request-Id": {"1"}},
				Body: []byte("<Response></Response>")})
		}, map[string]verdict{queues: verdictWarning}, nil},
		"no_answer_about_the_state": {func(c *clinic, _ *cilocaltest.Server) {
			c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, "reconcile/") }, Reset: true})
		}, map[string]verdict{last: verdictFailed}, nil},
		"never_compared": {func(c *clinic, _ *cilocaltest.Server) {
			c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, "reconcile/") }, Status: 404, Code: "NoSuchKey"})
		}, map[string]verdict{last: verdictWarning}, map[string]string{last: "timer trigger"}},
		"may_not_read_the_state": {func(c *clinic, _ *cilocaltest.Server) {
			c.cos.Deny(func(r coslocal.Request) bool { return strings.Contains(r.Key, "reconcile/") })
		}, map[string]verdict{last: verdictFailed}, map[string]string{last: "name/cos:GetObject"}},
		"unreadable_state":  {state("{}"), map[string]verdict{last: verdictWarning}, nil},
		"no_comparison_yet": {state(`{"version":1}`), map[string]verdict{last: verdictWarning}, map[string]string{last: "timer trigger"}},
		"not_to_the_end": {func(c *clinic, _ *cilocaltest.Server) { c.putState(c.lastRun(time.Minute, false)) },
			map[string]verdict{last: verdictWarning}, map[string]string{last: "more time"}},
		"long_ago": {func(c *clinic, _ *cilocaltest.Server) { c.putState(c.lastRun(61*time.Minute, true)) },
			map[string]verdict{last: verdictWarning}, map[string]string{last: "timer trigger"}},
		"not_so_long_ago": {func(c *clinic, _ *cilocaltest.Server) { c.putState(c.lastRun(59*time.Minute, true)) }, map[string]verdict{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.env["CALLBACK_TOKEN"], c.env["RECONCILE_WORKFLOWS"] = secondToken, "w1"
			server := c.addCI(cilocal.Options{})
			test.prepare(c, server)
			r := c.report("-media", mediaBucket)
			if n := server.RequestCount(); name == "throttled" && n != 1 {
				t.Errorf("CI was asked %d times, and had refused the first", n)
			}
			for check, word := range test.remedy {
				if remedy := c.find(r, check).Remedy; !strings.Contains(remedy, word) {
					t.Errorf("the remedy of %s does not name %s: %s", check, word, remedy)
				}
			}
			c.wants(r, test.want)
		})
	}
}

// TestQueues looks at the callback of a queue. No part of its URL but the host is shown.
func TestQueues(t *testing.T) {
	t.Parallel()
	good := ci.NotifyConfig{State: "On", Event: "TaskFinish,WorkflowFinish", URL: "https://" + functionHost + "/?token=" + secondToken}
	for name, test := range map[string]struct {
		change  func(*ci.NotifyConfig)
		verdict verdict
		detail  string
	}{
		"well":          {func(*ci.NotifyConfig) {}, verdictOK, "on, this function, with a right token"},
		"other_token":   {func(n *ci.NotifyConfig) { n.URL = "https://" + functionHost + "/?token=" + url.QueryEscape(firstToken) }, verdictOK, "on, this function"},
		"wrong_token":   {func(n *ci.NotifyConfig) { n.URL += "-of-somebody-else" }, verdictWarning, "with a token that is none of CALLBACK_TOKEN"},
		"no_token":      {func(n *ci.NotifyConfig) { n.URL = "https://" + functionHost }, verdictWarning, "with a token that is none"},
		"other_address": {func(n *ci.NotifyConfig) { n.URL = "https://other.example/?token=" + secondToken }, verdictWarning, "calls back other.example, which is not the address"},
		"no_URL":        {func(n *ci.NotifyConfig) { n.URL = "" }, verdictWarning, "no URL is entered"},
		"no_address":    {func(n *ci.NotifyConfig) { n.URL = "nonsense" }, verdictWarning, "what is entered is no URL"},
		"switched_off":  {func(n *ci.NotifyConfig) { n.State = "Off" }, verdictWarning, functionHost + " is entered, and switched off"},
		"other_event":   {func(n *ci.NotifyConfig) { n.Event = "WorkflowFinish" }, verdictWarning, "without the event TaskFinish"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoctor(options{url: &url.URL{Scheme: "https", Host: functionHost, Path: "/"}},
				world{environ: []string{"CALLBACK_TOKEN=" + firstToken + "," + secondToken}, now: time.Now})
			q := ci.Queue{Name: "queue-1", NotifyConfig: good}
			test.change(&q.NotifyConfig)
			f := d.judgeQueue(q)
			if f.Verdict != test.verdict || !strings.Contains(f.Detail, test.detail) {
				t.Errorf("%+v, want %s: %s", f, test.verdict, test.detail)
			}
			if text := f.Detail + f.Remedy; strings.Contains(text, "token=") || strings.Contains(text, "somebody-else") {
				t.Errorf("it shows a token: %s", text)
			}
		})
	}
}

// TestQueueWithoutURL has no -url to compare with.
func TestQueueWithoutURL(t *testing.T) {
	t.Parallel()
	d := newDoctor(options{}, world{environ: []string{"CALLBACK_TOKEN=" + secondToken}, now: time.Now})
	f := d.judgeQueue(ci.Queue{NotifyConfig: ci.NotifyConfig{State: "On", Event: "TaskFinish", URL: "https://anywhere.example/?token=" + secondToken}})
	if f.Verdict != verdictOK || !strings.Contains(f.Detail, "name the function with -url") {
		t.Errorf("%+v", f)
	}
}
