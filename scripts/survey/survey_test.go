package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

const (
	recordBucket = "records-1250000000"
	mediaBucket  = "media-1250000000"
	region       = "ap-guangzhou"
)

var credential = coslocal.Credential{SecretID: "AKIDsurvey-secret-id", SecretKey: "survey-secret-key", SessionToken: "survey-session-token"}

// field is what a survey is made in: a COS, a CI, and an environment.
type field struct {
	t   *testing.T
	cos *coslocaltest.Server
	ci  *cilocaltest.Server
	env map[string]string
	ctx context.Context

	status   int
	out, err string
}

func newField(t *testing.T, cos coslocal.Options, ci cilocal.Options) *field {
	t.Helper()
	cos.Credentials, ci.Credentials = []coslocal.Credential{credential}, []coslocal.Credential{credential}
	f := &field{t: t, ctx: t.Context(), cos: coslocaltest.NewServerWith(t, cos, recordBucket), ci: cilocaltest.NewServerWith(t, ci, mediaBucket)}
	f.env = map[string]string{
		"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "COS_ENDPOINT": f.cos.Endpoint,
		"RECONCILE_BUCKETS": mediaBucket, "CI_ENDPOINT": f.ci.Endpoint,
		"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey, "TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
	}
	for _, age := range []time.Duration{29 * 24 * time.Hour, time.Minute} {
		if _, err := f.ci.AddJob(mediaBucket, cilocal.Job{Created: time.Now().Add(-age)}, cilocal.Plan{}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// run runs the survey, and fails the test where a secret is in what it says.
func (f *field) run(args ...string) *field {
	f.t.Helper()
	var environ []string
	for name, value := range f.env {
		environ = append(environ, name+"="+value)
	}
	transport := cosclient.NewTransport()
	f.t.Cleanup(transport.CloseIdleConnections)
	var out, err bytes.Buffer
	f.status = run(f.ctx, args, world{environ: environ, transport: transport, now: time.Now, pause: func(context.Context, time.Duration) {}, out: &out, err: &err})
	f.out, f.err = out.String(), err.String()
	for _, secret := range []string{credential.SecretID, credential.SecretKey, credential.SessionToken} {
		if strings.Contains(f.out+f.err, secret) {
			f.t.Errorf("the secret %q is in the output:\n%s%s", secret, f.out, f.err)
		}
	}
	return f
}

// observe runs the survey and returns what it found.
func (f *field) observe(args ...string) []observation {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "survey.json")
	f.run(append(args, "-yes", "-json", path)...)
	encoded, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatalf("%v: %s", err, f.err)
	}
	var found []observation
	if err := json.Unmarshal(encoded, &found); err != nil {
		f.t.Fatal(err)
	}
	return found
}

// wants holds the verdicts that are not "as assumed" against the expected ones. What SCF
// is asked is left out unless an echo function is there.
func (f *field) wants(found []observation, want map[string]verdict, echo bool) {
	f.t.Helper()
	if len(found) != len(assumptions) {
		f.t.Fatalf("%d of %d assumptions were looked at", len(found), len(assumptions))
	}
	isDifferent := false
	for _, o := range found {
		expected := want[o.ID]
		switch {
		case !echo && strings.HasPrefix(o.ID, "scf."), slices.Contains([]string{"cos.tag_header", "cos.internal_endpoint"}, o.ID) && expected == "":
			expected = open
		case expected == "":
			expected = same
		}
		if o.Verdict != expected || o.Observed == "" {
			f.t.Errorf("%+v, want %s", o, expected)
		}
		isDifferent = isDifferent || o.Verdict == different
	}
	if isDifferent != (f.status == exitDifferent) {
		f.t.Errorf("status %d: %s", f.status, f.err)
	}
	if keys := f.cos.Keys(recordBucket, ""); len(keys) > 0 {
		f.t.Errorf("left over: %q", keys)
	}
}

// TestAsAssumed puts every assumption to the local services: they do what this project
// relies on.
func TestAsAssumed(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	found := f.observe("-echo", f.deployEcho())
	f.wants(found, nil, true)
	for _, o := range found {
		if !strings.Contains(f.out, o.ID) || !strings.Contains(f.out, o.Observed) {
			t.Errorf("%s is not printed", o.ID)
		}
	}
	if !strings.Contains(f.out, fmt.Sprintf("\n%d as assumed, 0 different, 2 open\n", len(assumptions)-2)) {
		t.Errorf("it sums up:\n%s", f.out[len(f.out)-200:])
	}
}

var buildEcho = testprogram.New("./echo")

func TestMain(m *testing.M) { testprogram.Main(m) }

// deployEcho starts the echo function as SCF would, and returns its address.
func (f *field) deployEcho() string {
	f.t.Helper()
	binary, err := buildEcho()
	if err != nil {
		f.t.Fatal(err)
	}
	function, err := scflocal.Start(context.WithoutCancel(f.ctx), binary, nil, f.t.Output())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = function.Stop() })
	settings := scflocal.Settings{Environment: map[string]string{"TENCENTCLOUD_SECRETID": "role-id"}}
	gateway := httptest.NewServer(scflocal.Gateway{Invoke: func(r *http.Request, payload []byte) ([]byte, error) {
		return function.Invoke(r.Context(), settings, payload)
	}})
	f.t.Cleanup(gateway.Close)
	return gateway.URL
}

// TestOtherwise has COS and CI do something else. Only what was asked about it is
// different then.
func TestOtherwise(t *testing.T) {
	t.Parallel()
	known := http.Header{"X-Cos-Request-Id": {"1"}}
	knownToCI := http.Header{"X-Ci-Request-Id": {"1"}}
	key := func(suffix, method string) func(coslocal.Request) bool {
		return func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, suffix) && r.Method == method }
	}
	tests := map[string]struct {
		cos     coslocal.Options
		ci      cilocal.Options
		prepare func(*field)
		want    map[string]verdict
	}{
		"conflict_is_412": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/conflict", "PUT"), Nth: 2, Status: 412, Code: "PreconditionFailed"})
		}, want: map[string]verdict{"cos.create_only_conflict": different}},
		"conditions_honoured": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Header.Get("If-Match") != "" }, Status: 412, Code: "PreconditionFailed"})
		}, want: map[string]verdict{"cos.write_conditions": different}},
		"missing_is_403": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/missing", "GET"), Status: 403, Code: "AccessDenied"})
		}, want: map[string]verdict{"cos.missing_key": different}},
		"no_such_tag_set": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/untagged", "GET"), Status: 404, Code: "NoSuchTagSet"})
		}},
		"untagged_is_400": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/untagged", "GET"), Status: 400, Code: "InvalidRequest"})
		}, want: map[string]verdict{"cos.untagged": different}},
		"tags_stay": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/overwritten", "GET"), Header: known,
				Body: []byte("<Tagging><TagSet><Tag><Key>survey</Key><Value>x</Value></Tag></TagSet></Tagging>")})
		}, want: map[string]verdict{"cos.tags_after_overwrite": different}},
		"tagging_touches": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/touched", "HEAD"), Nth: 2, Header: http.Header{"Etag": {`"other"`}}})
		}, want: map[string]verdict{"cos.tagging_changes_nothing_else": different}},
		"tags_on_nothing": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/missing", "PUT"), Status: 200, Header: known})
		}, want: map[string]verdict{"cos.tags_of_a_missing_key": different}},
		"tags_lag": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/lag", "GET"), Nth: 3, Header: known, Body: []byte("<Tagging><TagSet></TagSet></Tagging>")})
		}, want: map[string]verdict{"cos.tags_read_after_write": different}},
		"stale_reads": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/stale", "GET"), Nth: 7, Body: []byte("round5"), Header: known})
		}, want: map[string]verdict{"cos.read_after_overwrite": different}},
		"etag_of_parts": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/etag", "HEAD"), Header: http.Header{"Etag": {`"05a9-3"`}, "X-Cos-Request-Id": {"1"}}})
		}, want: map[string]verdict{"cos.etag_is_md5": different}},
		"delete_is_404": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: key("/missing", "DELETE"), Status: 404, Code: "NoSuchKey"})
		}, want: map[string]verdict{"cos.delete_missing": different}},
		"five_minutes": {cos: coslocal.Options{MaxClockSkew: 5 * time.Minute}, want: map[string]verdict{"cos.clock_skew": different}},
		"may_not_tag": {prepare: func(f *field) {
			f.cos.Deny(func(r coslocal.Request) bool { return r.Action() == "PutObjectTagging" })
		}, want: map[string]verdict{"cos.tags_after_overwrite": open, "cos.tagging_changes_nothing_else": open, "cos.tags_of_a_missing_key": open,
			"cos.tags_read_after_write": open, "cos.tag_header": different}},
		"one_answer_lost": {prepare: func(f *field) { f.cos.Inject(coslocal.Fault{Match: key("/untagged", "GET"), Reset: true}) },
			want: map[string]verdict{"cos.untagged": open}},

		"queue_demanded": {ci: cilocal.Options{DemandQueue: true}, want: map[string]verdict{
			"ci.list_without_queue": different, "ci.last_token": different, "ci.token_header_ci": different, "ci.token_header_cos": different,
			"ci.start_is_exclusive": open, "ci.retention": open, "ci.answers_are_known": different, "ci.four_at_a_time": different}},
		"token_is_empty": {ci: cilocal.Options{LastToken: cilocal.LastTokenEmpty}},
		"token_is_repeated": {ci: cilocal.Options{LastToken: cilocal.LastTokenRepeated}, prepare: func(f *field) {
			for range 100 { // with the one that is there, two pages
				if _, err := f.ci.AddJob(mediaBucket, cilocal.Job{Created: time.Now().Add(-30 * time.Minute)}, cilocal.Plan{}); err != nil {
					f.t.Fatal(err)
				}
			}
		}},
		"token_never_ends": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
				return r.Query.Get("startCreationTime") != "" && r.Query.Get("size") == "100"
			}, Nth: 1, Header: knownToCI,
				Body: []byte("<Response><NextToken>again</NextToken></Response>")})
		}, want: map[string]verdict{"ci.last_token": different}},
		"token_in_CIs_header_alone":  {ci: cilocal.Options{TokenHeader: cilocal.TokenHeaderCI}, want: map[string]verdict{"ci.token_header_cos": different}},
		"token_in_COSs_header_alone": {ci: cilocal.Options{TokenHeader: cilocal.TokenHeaderCOS}, want: map[string]verdict{"ci.token_header_ci": different}},
		"unknown_id_is_404": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasPrefix(r.Key, "jobs/j0") }, Status: 404, Code: "NoSuchJob"})
		}, want: map[string]verdict{"ci.unknown_id": different}},
		"prefix_refused": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasPrefix(r.Key, "jobs/s0") }, Status: 400, Code: "InvalidArgument"})
		}, want: map[string]verdict{"ci.every_id_prefix": different}},
		"old_path_gone": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasPrefix(r.Key, "doc_jobs/") }, Status: 405, Code: "MethodNotAllowed"})
		}, want: map[string]verdict{"ci.old_paths": different}},
		"more_types_are_listed": {ci: cilocal.Options{MoreTags: []string{"PicProcess"}}, prepare: func(f *field) {
			if _, err := f.ci.AddJob(mediaBucket, cilocal.Job{Tag: "PicProcess"}, cilocal.Plan{}); err != nil {
				f.t.Fatal(err)
			}
		}, want: map[string]verdict{"ci.unlisted_types": different}},
		"answers_of_another_root": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Key == "jobs" }, Header: knownToCI, Body: []byte("<Html/>")})
		}, want: map[string]verdict{"ci.list_without_queue": open, "ci.last_token": open, "ci.token_header_ci": open, "ci.token_header_cos": open,
			"ci.unlisted_types": open, "ci.start_is_exclusive": open, "ci.retention": open, "ci.answers_are_known": different, "ci.four_at_a_time": open}},
		"throttled_once": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Key == "jobs" && len(r.Query) == 2 }, Nth: 12, Status: 503, Code: "SlowDown"})
		}, want: map[string]verdict{"ci.four_at_a_time": different}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newField(t, test.cos, test.ci)
			if test.prepare != nil {
				test.prepare(f)
			}
			f.wants(f.observe(), test.want, false)
		})
	}
}

// TestSCFOtherwise has a function URL that is of another opinion in everything.
func TestSCFOtherwise(t *testing.T) {
	t.Parallel()
	const event = `{"event":{"path":"/","body":{"a":1},"queryString":{"survey":3}},"credentials":true,"credentialsAtStart":true,"bodyBytes":7}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, event) }))
	t.Cleanup(server.Close)
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	want := map[string]verdict{}
	for _, a := range assumptions {
		if strings.HasPrefix(a.ID, "scf.") && a.ID != "scf.body_of_bytes" {
			want[a.ID] = different
		}
	}
	f.wants(f.observe("-echo", server.URL), want, true)
}

func TestNotEcho(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	for _, o := range f.observe("-echo", server.URL) {
		if o.ID == "scf.body_as_sent" && (o.Verdict != open || !strings.Contains(o.Observed, "is not scripts/survey/echo: status 404")) {
			t.Errorf("%+v", o)
		}
	}
}

// TestWithoutMedia names no media bucket: nothing is asked of CI.
func TestWithoutMedia(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	delete(f.env, "RECONCILE_BUCKETS")
	for _, o := range f.observe() {
		if strings.HasPrefix(o.ID, "ci.") && (o.Verdict != open || o.Observed != errNoMedia.Error()) {
			t.Errorf("%+v", o)
		}
	}
	if f.ci.RequestCount() != 0 || f.status != exitOK {
		t.Errorf("%d requests to CI, status %d", f.ci.RequestCount(), f.status)
	}
}

func TestPermanentKey(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	permanent := coslocal.Credential{SecretID: credential.SecretID, SecretKey: credential.SecretKey}
	f.cos.SetCredentials(permanent)
	f.ci.SetCredentials(permanent)
	delete(f.env, "TENCENTCLOUD_SESSIONTOKEN")
	f.wants(f.observe(), map[string]verdict{"ci.token_header_ci": open, "ci.token_header_cos": open}, false)
}

func TestAsksNobodyUnlessTold(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{}).run()
	if f.status != exitOK || f.cos.RequestCount()+f.ci.RequestCount() != 0 {
		t.Errorf("status %d, %d requests", f.status, f.cos.RequestCount()+f.ci.RequestCount())
	}
	for _, a := range assumptions {
		if !strings.Contains(f.out, a.ID+"\n  assumed  "+a.Assumed) {
			t.Errorf("%s is not printed", a.ID)
		}
	}
}

// TestAssumptionsSayEnough holds the table itself: names of one form, each once, and
// every column filled.
func TestAssumptionsSayEnough(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, a := range assumptions {
		service, rest, _ := strings.Cut(a.ID, ".")
		if names[a.ID] || rest == "" || !slices.Contains([]string{"cos", "ci", "scf"}, service) {
			t.Errorf("the name %q", a.ID)
		}
		names[a.ID] = true
		if a.Assumed == "" || a.DependsOnIt == "" || a.Asked == "" || a.ask == nil {
			t.Errorf("%+v", a)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args    []string
		prepare func(*field)
		status  int
		says    string
	}{
		"unknown_option":  {[]string{"-nonsense"}, nil, exitUsage, "usage:"},
		"argument":        {[]string{"-yes", "all"}, nil, exitUsage, "an argument too many"},
		"no_time":         {[]string{"-yes", "-timeout", "0s"}, nil, exitUsage, "-timeout"},
		"echo_no_address": {[]string{"-yes", "-echo", "nonsense"}, nil, exitUsage, "-echo must be"},
		"no_settings":     {[]string{"-yes"}, func(f *field) { delete(f.env, "RECORD_BUCKET") }, exitDifferent, "RECORD_BUCKET is not set"},
		"bad_media":       {[]string{"-yes", "-media", "Media"}, nil, exitDifferent, "RECONCILE_BUCKETS is wrong"},
		"no_bucket":       {[]string{"-yes"}, func(f *field) { f.env["RECORD_BUCKET"] = "other-1250000000" }, exitDifferent, "run the doctor first"},
		"versioned": {[]string{"-yes"}, func(f *field) {
			if err := f.cos.SetVersioning(recordBucket, "Enabled"); err != nil {
				f.t.Fatal(err)
			}
		}, exitDifferent, "has, or had, versioning"},
		"no_COS": {[]string{"-yes"}, func(f *field) { f.cos.Inject(coslocal.Fault{Reset: true}) }, exitDifferent, "run the doctor first"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newField(t, coslocal.Options{}, cilocal.Options{})
			if test.prepare != nil {
				test.prepare(f)
			}
			f.run(test.args...)
			if f.status != test.status || !strings.Contains(f.err, test.says) || f.out != "" {
				t.Errorf("status %d\n%s\n%s", f.status, f.out, f.err)
			}
			if keys := f.cos.Keys(recordBucket, ""); len(keys) > 0 {
				t.Errorf("it wrote %q", keys)
			}
		})
	}
	if f := newField(t, coslocal.Options{}, cilocal.Options{}).run("-help"); f.status != exitOK || f.out != usage {
		t.Errorf("-help: status %d\n%s", f.status, f.out)
	}
}

// TestInterrupted still removes what was written.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	ctx, cancel := context.WithCancel(f.ctx)
	t.Cleanup(cancel)
	f.ctx = ctx
	f.cos.Inject(coslocal.Fault{AfterWork: true, Match: func(r coslocal.Request) bool {
		if r.Header.Get("If-None-Match") != "" {
			cancel()
			return true
		}
		return false
	}})
	found := f.observe()
	if found[0].Verdict != same || found[2].Verdict != open {
		t.Errorf("%+v", found[:3])
	}
	if keys := f.cos.Keys(recordBucket, ""); len(keys) > 0 {
		t.Errorf("left over: %q", keys)
	}
}

func TestLeftOver(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	f.cos.Deny(func(r coslocal.Request) bool { return r.Action() == "DeleteObject" })
	f.run("-yes")
	keys := f.cos.Keys(recordBucket, "")
	if len(keys) == 0 {
		t.Fatal("nothing is left over")
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "ci/survey/") || !strings.Contains(f.out, "by hand when you like: "+key+"\n") {
			t.Errorf("%s is left over, and not named", key)
		}
	}
}
