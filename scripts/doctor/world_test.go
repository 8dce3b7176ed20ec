package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testgolden"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

const (
	recordBucket = "records-1250000000"
	mediaBucket  = "media-1250000000"
	region       = "ap-guangzhou"
	firstToken   = "first+token/of=the&callback"
	secondToken  = "second-token-of-the-callback"
)

var credential = coslocal.Credential{
	SecretID: "AKIDdoctor-secret-id", SecretKey: "doctor-secret-key", SessionToken: "doctor-session-token",
}

// clinic is a doctor with a patient: a local COS and an environment.
type clinic struct {
	transport http.RoundTripper // nil: the network
	t         *testing.T
	cos       *coslocaltest.Server
	env       map[string]string
	now       func() time.Time
	ctx       context.Context
	cancel    context.CancelFunc
	status    int
	out       string
	err       string
	reports   int // so far
}

func newClinic(t *testing.T, o coslocal.Options) *clinic {
	t.Helper()
	if o.Credentials == nil {
		o.Credentials = []coslocal.Credential{credential}
	}
	c := &clinic{t: t, cos: coslocaltest.NewServerWith(t, o), now: time.Now}
	c.ctx, c.cancel = context.WithCancel(t.Context())
	t.Cleanup(c.cancel)
	for _, bucket := range []string{recordBucket, mediaBucket} {
		if err := c.cos.CreateBucket(bucket, region); err != nil {
			t.Fatal(err)
		}
	}
	c.env = environmentFor(c.cos.Endpoint)
	return c
}

// environmentFor returns settings that are all well, for a COS at an endpoint.
func environmentFor(endpoint string) map[string]string {
	return map[string]string{
		"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "CALLBACK_TOKEN": firstToken + ", " + secondToken,
		"TAG_MD5": "true", "COS_ENDPOINT": endpoint,
		"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey,
		"TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
	}
}

// run runs the doctor, and fails the test where a secret is in what it says.
func (c *clinic) run(args ...string) *clinic {
	c.t.Helper()
	var environ []string
	for name, value := range c.env {
		environ = append(environ, name+"="+value)
	}
	transport := c.transport
	if transport == nil {
		network := cosclient.NewTransport()
		c.t.Cleanup(network.CloseIdleConnections)
		transport = network
	}
	var out, err bytes.Buffer
	c.status = run(c.ctx, args, world{
		environ: environ, transport: transport, now: c.now, out: &out, err: &err,
	})
	c.out, c.err = out.String(), err.String()
	for _, secret := range []string{firstToken, secondToken, "first%2Btoken", credential.SecretID, credential.SecretKey, credential.SessionToken, "doctor-secret"} {
		if strings.Contains(c.out+c.err, secret) {
			c.t.Errorf("the secret %q is in the output:\n%s%s", secret, c.out, c.err)
		}
	}
	return c
}

// report runs the doctor with -json and returns the document.
func (c *clinic) report(args ...string) report {
	c.t.Helper()
	c.run(append(args, "-json")...)
	var r report
	d := json.NewDecoder(strings.NewReader(c.out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.More() {
		c.t.Fatalf("not one JSON document: %v\n%s%s", err, c.out, c.err)
	}
	if r.OK != (c.status == exitOK) {
		c.t.Errorf("ok is %v, and the exit status %d", r.OK, c.status)
	}
	c.reports++
	o, err := parse(args)
	if err != nil {
		c.t.Fatal(err)
	}
	if o.timeout >= 10*time.Second { // else, on a slow machine, more may come too late than is tested
		findings.Compare(c.t, fmt.Sprintf("%s, report %d", c.t.Name(), c.reports), r.findings())
	}
	for _, check := range r.Checks {
		if check.Detail == "" || (check.Verdict == verdictFailed || check.Verdict == verdictWarning) && check.Remedy == "" {
			c.t.Errorf("%s does not say enough: %+v", check.Name, check)
		}
	}
	return r
}

// findings are what the doctor says in each test, of all that is not well.
var findings = testgolden.Open(filepath.Join("testdata", "findings.txt"))

// changing is what is another in each run: ports, random names, ids of requests, times, and
// what the network says.
var changing = regexp.MustCompile(`((?:localhost|127\.0\.0\.1):)[0-9]{2,}|(doctor/)[a-z2-7]{26}|(rejected/)[0-9a-f]{64}|(request id )"[^"]+"|[0-9hms]+( ahead| behind| ago)|(, in )[0-9.]+ s\n|(no answer: )[^;\n]+`)

// constant puts an ellipsis in the place of what is another in each run.
func constant(text string) string { return changing.ReplaceAllString(text, "$1$2$3$4$6$7…$5") }

// usual is what most reports say, and no news.
var usual = regexp.MustCompile(`^(because of |none: a job whose|none was named: whether|2 tokens(; the first is used here|; all are tried here)?, one with)`)

// findings writes down what a report finds wrong.
func (r report) findings() string {
	var text strings.Builder
	for _, c := range r.Checks {
		if c.Verdict == verdictOK || usual.MatchString(c.Detail) {
			continue
		}
		fmt.Fprintf(&text, "%s %s: %s\n", c.Verdict, c.Name, c.Detail)
		if c.Remedy != "" {
			fmt.Fprintf(&text, "    %s\n", c.Remedy)
		}
	}
	return constant(text.String())
}

// find returns a check of the report.
func (c *clinic) find(r report, name string) check {
	c.t.Helper()
	i := slices.IndexFunc(r.Checks, func(check check) bool { return check.Name == name })
	if i < 0 {
		c.t.Fatalf("there is no check %q in %+v", name, r.Checks)
	}
	return r.Checks[i]
}

// wants holds the verdicts that are not ok against the expected ones.
func (c *clinic) wants(r report, want map[string]verdict) {
	c.t.Helper()
	for _, check := range r.Checks {
		if check.Name == "RECONCILE_BUCKETS" && c.env["RECONCILE_BUCKETS"] == "" && check.Verdict == verdictWarning {
			continue // TestSettingsSaid has this one
		}
		if expected := want[check.Name]; check.Verdict != expected && (check.Verdict != verdictOK || expected != "") {
			c.t.Errorf("%s is %s, want %s: %s", check.Name, check.Verdict, expected, check.Detail)
		}
		delete(want, check.Name)
	}
	for name := range want {
		c.t.Errorf("there is no check %q", name)
	}
	if failed := slices.ContainsFunc(r.Checks, func(check check) bool { return check.Verdict == verdictFailed }); failed == r.OK {
		c.t.Errorf("a check failed: %t; ok: %t", failed, r.OK)
	}
}

// leavesNothing checks that what was written is gone.
func (c *clinic) leavesNothing() {
	c.t.Helper()
	if keys := c.cos.Keys(recordBucket, ""); len(keys) > 0 {
		c.t.Errorf("left over: %q", keys)
	}
}

// serve starts a server that answers in the place of the function, or of a proxy.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// denyAll refuses one action everywhere.
func denyAll(action string) func(coslocal.Request) bool {
	return func(r coslocal.Request) bool { return r.Action() == action }
}

// transportFunc is an http.RoundTripper in the place of the network.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
