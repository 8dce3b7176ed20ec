package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testgolden"
	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
	"github.com/ci-callback/ci-callback/pkg/model"
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
	cos *coslocal.Server
	ci  *cilocal.Server
	env map[string]string
	ctx context.Context
	// transport is in this process, but for an echo function. What it costs to listen and
	// to connect would be most of the time that these tests take.
	transport http.RoundTripper

	status   int
	out, err string
}

// newField has a COS and a CI with jobs of all kinds, of which some have records.
func newField(t *testing.T, cos coslocal.Options, ci cilocal.Options) *field {
	t.Helper()
	cos.Credentials, ci.Credentials = []coslocal.Credential{credential}, []coslocal.Credential{credential}
	stored, err := coslocal.New(cos)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stored.Close() })
	for _, bucket := range []string{recordBucket, mediaBucket} {
		if err := stored.CreateBucket(bucket, ""); err != nil {
			t.Fatal(err)
		}
	}
	ci.COS = stored
	f := &field{t: t, ctx: t.Context(), cos: stored, ci: cilocaltest.New(t, ci, mediaBucket)}
	f.transport = localTransport{f.ci.WithCOS()}
	f.env = map[string]string{
		"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "RECONCILE_BUCKETS": mediaBucket,
		"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey, "TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
	}
	for _, made := range []struct {
		tag  string
		age  time.Duration
		code string
	}{
		{"Transcode", 29 * 24 * time.Hour, ""}, {"Transcode", 2 * time.Minute, "Broken"}, {"Transcode", time.Minute, ""},
		{"Translation", time.Minute, ""}, {"SpeechRecognition", time.Minute, ""}, {"PicProcess", time.Minute, ""},
		{"DocProcess", time.Minute, ""}, {"FileUncompress", time.Minute, ""},
	} {
		job := cilocal.Job{Tag: made.tag, Created: time.Now().Add(-made.age), Output: cilocal.Object{Key: "out/${JobId}.mp4"}}
		id, err := f.ci.AddJob(mediaBucket, job, cilocal.Plan{Code: made.code})
		if err != nil {
			t.Fatal(err)
		}
		if made.age == time.Minute {
			f.receive(id)
		}
	}
	return f
}

// localTransport is where the echo function is reached by the network alone.
type localTransport struct{ services http.RoundTripper }

func (l localTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == "127.0.0.1" {
		return http.DefaultTransport.RoundTrip(r)
	}
	return l.services.RoundTrip(r)
}

// receive stores the record of a job's callback, as the function would.
func (f *field) receive(id string) {
	f.t.Helper()
	body, err := f.ci.Callback(mediaBucket, id, "XML")
	if err != nil {
		f.t.Fatal(err)
	}
	callback, err := model.Decode(body)
	if err != nil {
		f.t.Fatal(err)
	}
	f.store(callback.Records[0])
}

// store stores a record.
func (f *field) store(r *model.Record) {
	f.t.Helper()
	encoded, err := r.Encode()
	if err == nil {
		err = f.cos.PutObject(recordBucket, r.Key("ci/"), coslocal.Object{Body: encoded})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// written are the keys that a survey has left behind.
func (f *field) written() []string { return f.cos.Keys(recordBucket, "ci/survey/") }

// run runs the survey, and fails the test where a secret is in what it says.
func (f *field) run(args ...string) *field {
	f.t.Helper()
	var environ []string
	for name, value := range f.env {
		environ = append(environ, name+"="+value)
	}
	var out, err bytes.Buffer
	f.status = run(f.ctx, args, world{environ: environ, transport: f.transport, now: time.Now, pause: func(context.Context, time.Duration) {}, rounds: 4, out: &out, err: &err})
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
	for i, o := range found {
		expected := want[o.ID]
		switch {
		case assumptions[i].ask == nil:
			expected = notAsked
		case !echo && strings.HasPrefix(o.ID, "scf."), o.ID == "cos.tag_header" && expected == "":
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
	if keys := f.written(); len(keys) > 0 {
		f.t.Errorf("left over: %q", keys)
	}
}

// said is what the survey says in each test, but for the assumptions themselves.
var said = testgolden.Open(filepath.Join("testdata", "observed.txt"))

// changing is what is another in each run: ids and hashes, ports, names and times.
var changing = regexp.MustCompile(`[0-9a-f]{32}|(localhost:|127\.0\.0\.1:)[0-9]{2,}|(survey/)[a-z2-7]{26}|(slowest after )[0-9hms]+`)

// says compares what was observed with the golden file: of all assumptions, or of those
// that are not as assumed. Left out is what every run says, and what is the machine's.
func (f *field) says(found []observation, all bool) {
	f.t.Helper()
	var text strings.Builder
	for _, o := range found {
		left := o.Verdict == notAsked || o.Observed == errNoEcho.Error() || slices.Contains([]string{"scf.exit", "scf.server_port", "scf.deadline"}, o.ID)
		if !left && (all || o.Verdict != same && (o.ID != "cos.tag_header" || o.Verdict != open)) {
			fmt.Fprintf(&text, "%s is %s: %s\n", o.ID, o.Verdict, o.Observed)
		}
	}
	said.Compare(f.t, f.t.Name(), changing.ReplaceAllString(text.String(), "$1$2$3…"))
}

// TestAsAssumed puts every assumption to the local services: they do what this project
// relies on. This one goes over the network, as a survey does.
func TestAsAssumed(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	transport := cosclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	f.transport = transport
	f.env["COS_ENDPOINT"] = "http://{bucket}.cos.{region}.localhost:" + coslocaltest.Listen(t, f.cos).Port
	f.env["CI_ENDPOINT"] = "http://{bucket}.ci.{region}.localhost:" + coslocaltest.Listen(t, f.ci).Port
	found := f.observe("-echo", f.deployEcho())
	f.wants(found, nil, true)
	f.says(found, true)
	byHand := 0
	for i, o := range found {
		if !strings.Contains(f.out, o.ID) || o.Verdict != notAsked && !strings.Contains(f.out, o.Observed) {
			t.Errorf("%s is not printed", o.ID)
		}
		if assumptions[i].ask == nil {
			byHand++
			if !strings.Contains(f.out, "not asked  "+o.ID+"\n") || !strings.Contains(f.out, "by hand   "+o.Asked+"\n") {
				t.Errorf("how a person can ask about %s is not printed", o.ID)
			}
		}
	}
	if !strings.Contains(f.out, fmt.Sprintf("\n%d as assumed, 0 different, 1 open, %d not asked\n", len(assumptions)-1-byHand, byHand)) {
		t.Errorf("it sums up:\n%s", f.out[len(f.out)-200:])
	}
}

var buildEcho = testprogram.New("./echo")

func TestMain(m *testing.M) { testprogram.Main(m) }

// startEcho starts an instance of the echo function, as SCF would.
func (f *field) startEcho(output io.Writer) (*scflocal.Function, error) {
	binary, err := buildEcho()
	if err != nil {
		return nil, err
	}
	function, err := scflocal.Start(context.WithoutCancel(f.ctx), binary, nil, output)
	if err == nil {
		f.t.Cleanup(func() { _ = function.Stop() })
	}
	return function, err
}

// deployEcho returns the address of the echo function. As SCF does, it starts a new
// instance where the last one has ended, and answers for one that runs out of time.
func (f *field) deployEcho() string {
	f.t.Helper()
	function, err := f.startEcho(f.t.Output())
	if err != nil {
		f.t.Fatal(err)
	}
	gateway := httptest.NewServer(scflocal.Gateway{Invoke: func(r *http.Request, payload []byte) ([]byte, error) {
		select {
		case <-function.Exited():
			if function, err = f.startEcho(f.t.Output()); err != nil {
				return nil, err
			}
		default:
		}
		settings := scflocal.Settings{Environment: map[string]string{"TENCENTCLOUD_SECRETID": "role-id"}, Region: region, AppID: "1250000000", TimeLimit: 20 * time.Second}
		do := r.URL.Query().Get("do")
		if do == "timeout" {
			settings.TimeLimit = 20 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(r.Context(), settings.TimeLimit)
		defer cancel()
		returned, err := function.Invoke(ctx, settings, payload)
		if do == "exit" {
			<-function.Exited()
		}
		return returned, err
	}})
	f.t.Cleanup(gateway.Close)
	return gateway.URL
}

// TestSigterm has the echo function say that a signal ends it, since that is what a
// person is to look for in its log.
func TestSigterm(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	var printed bytes.Buffer
	function, err := f.startEcho(&printed)
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(function.Pid())
	if err == nil {
		err = process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-function.Exited()
	if !strings.Contains(printed.String(), "SIGTERM") {
		t.Errorf("printed %q", printed.String())
	}
}

// otherwise is a world in which COS or CI do something else.
type otherwise struct {
	cos     coslocal.Options
	ci      cilocal.Options
	prepare func(*field)
	want    map[string]verdict // what is not as assumed then
}

// listedJob is a job in an answer of CI.
const listedJob = "<Response><JobsDetail><JobId>j1</JobId><State>Success</State><Code>Success</Code><Tag>Transcode</Tag>" +
	"<CreationTime>2026-11-01T10:00:00+0800</CreationTime><StartTime>-</StartTime><EndTime></EndTime><Operation><MediaResult><OutputFile>" +
	"<Bucket>other-1250000000</Bucket><ObjectName>0.ts</ObjectName><ObjectPrefix>out/</ObjectPrefix>" +
	"<Md5Info><Md5>0123456789abcdef0123456789abcdef</Md5><ObjectName>/out/0.ts</ObjectName></Md5Info></OutputFile></MediaResult></Operation></JobsDetail></Response>"

// elsewhere are worlds that have each something else, by name.
func elsewhere() map[string]otherwise {
	known := http.Header{"X-Cos-Request-Id": {"1"}}
	knownToCI := http.Header{"X-Ci-Request-Id": {"1"}}
	key := func(suffix, method string) func(coslocal.Request) bool {
		return func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, suffix) && r.Method == method }
	}
	object := func(suffix, method, query string, answer coslocal.Fault) func(*field) {
		answer.Match = func(r coslocal.Request) bool {
			return strings.HasSuffix(r.Key, suffix) && r.Method == method && (query == "" || r.Query.Has(query))
		}
		return func(f *field) { f.cos.Inject(answer) }
	}
	asked := func(path string, query url.Values, answer coslocal.Fault) func(*field) {
		answer.Match = func(r coslocal.Request) bool {
			for name := range query {
				if r.Query.Get(name) != query.Get(name) {
					return false
				}
			}
			return strings.HasPrefix(r.Key, path)
		}
		if answer.Body != nil {
			answer.Header = knownToCI
		}
		return func(f *field) { f.ci.Inject(answer) }
	}
	odd := func(from, to string) func(*field) {
		return asked("jobs", url.Values{"size": {"10"}, "tag": {"Tts"}}, coslocal.Fault{Body: []byte(strings.Replace(listedJob, from, to, 1))})
	}
	refused := coslocal.Fault{Status: 400, Code: "InvalidArgument"}
	return map[string]otherwise{
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
			f.cos.Inject(coslocal.Fault{Match: key("/stale", "GET"), Nth: 3, Body: []byte("round1"), Header: known})
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
			"cos.tags_read_after_write": open, "cos.tags_replaced": open, "cos.eleven_tags": open, "cos.tag_characters": open, "cos.tag_header": different}},
		"one_answer_lost": {prepare: func(f *field) { f.cos.Inject(coslocal.Fault{Match: key("/untagged", "GET"), Reset: true}) },
			want: map[string]verdict{"cos.untagged": open}},

		"empty_key_is_none": {prepare: func(f *field) {
			f.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Key == "" && len(r.Query) == 1 && r.Query.Has("max-keys") }, Status: 404})
		}, want: map[string]verdict{"cos.empty_key": different}},
		"created_is_missing": {prepare: object("/created-round3", "GET", "", coslocal.Fault{Nth: 2, Status: 404}),
			want: map[string]verdict{"cos.read_after_create": different}},
		"tags_are_added": {prepare: object("/replaced", "GET", "", coslocal.Fault{Header: known,
			Body: []byte("<Tagging><TagSet><Tag><Key>first</Key><Value>1</Value></Tag><Tag><Key>second</Key><Value>2</Value></Tag></TagSet></Tagging>")}),
			want: map[string]verdict{"cos.tags_replaced": different}},
		"eleven_tags":   {prepare: object("/tags11", "PUT", "tagging", coslocal.Fault{Status: 200}), want: map[string]verdict{"cos.eleven_tags": different}},
		"plain_tags":    {prepare: object("/tags1", "PUT", "tagging", refused), want: map[string]verdict{"cos.tag_characters": different}},
		"dot":           {prepare: object("/dot/./b", "PUT", "", coslocal.Fault{Status: 200}), want: map[string]verdict{"cos.key_with_dot": different}},
		"dots":          {prepare: object("/dots/a/../b", "PUT", "", coslocal.Fault{Status: 200}), want: map[string]verdict{"cos.key_with_dots": different}},
		"slashes_are_1": {prepare: object("/empty/b", "HEAD", "", coslocal.Fault{Status: 200}), want: map[string]verdict{"cos.key_with_empty_segment": different}},
		"slash_is_none": {prepare: object("/slash/", "PUT", "", refused), want: map[string]verdict{"cos.key_with_slash_at_end": different}},
		"longer_key":    {prepare: object(strings.Repeat("k", 800), "PUT", "", coslocal.Fault{Status: 200}), want: map[string]verdict{"cos.key_length": different}},
		"token_ignored": {prepare: object("/token", "GET", "", coslocal.Fault{Status: 404}), want: map[string]verdict{"cos.bad_token": different}},
		"token_is_500":  {prepare: object("/token", "GET", "", coslocal.Fault{Status: 500}), want: map[string]verdict{"cos.bad_token": different}},

		"ten_are_too_many": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, ",") }, Status: 400})
		}, want: map[string]verdict{"ci.ten_ids": different}},
		"token_ends_list": {prepare: asked("jobs", url.Values{"nextToken": {"survey"}}, coslocal.Fault{Body: []byte("<Response></Response>")}),
			want: map[string]verdict{"ci.unknown_token": different}},
		"type_unknown":    {prepare: asked("jobs", url.Values{"tag": {"VideoEnhance"}}, refused), want: map[string]verdict{"ci.types": different}},
		"types_forbidden": {prepare: asked("jobs", url.Values{"tag": {"VideoEnhance"}}, coslocal.Fault{Status: 403}), want: map[string]verdict{"ci.types": open}},
		"id_with_dot":     {prepare: odd("j1", "j.1"), want: map[string]verdict{"ci.ids": different, "ci.answers_are_understood": different}},
		"time_of_day":     {prepare: odd("T10:00:00+0800", ""), want: map[string]verdict{"ci.times": different}},
		"other_state":     {prepare: odd("Success<", "Sleeping<"), want: map[string]verdict{"ci.states": different}},
		"no_code":         {prepare: odd("<State>Success", "<State>Failed"), want: map[string]verdict{"ci.failed_job": different}},
		"no_id":           {prepare: odd("<JobId>j1</JobId>", ""), want: map[string]verdict{"ci.ids": different, "ci.answers_are_understood": different}},
		"other_md5":       {prepare: odd("89abcdef", ""), want: map[string]verdict{"ci.md5_names": different}},
		"md5_of_another":  {prepare: odd("/out/0", "/out/1"), want: map[string]verdict{"ci.md5_names": different}},
		"output_differs":  {prepare: object(".mp4", "HEAD", "", coslocal.Fault{Header: http.Header{"Etag": {`"0123"`}}}), want: map[string]verdict{"ci.md5_of_the_output": different}},
		"output_in_parts": {prepare: object(".mp4", "HEAD", "", coslocal.Fault{Header: http.Header{"Etag": {`"0123-2"`}}}), want: map[string]verdict{"ci.md5_of_the_output": open}},
		"reviews_listed":  {prepare: asked("image/auditing", nil, coslocal.Fault{Body: []byte("<Response></Response>")}), want: map[string]verdict{"ci.reviews_are_not_listed": different}},
		"week_is_most":    {prepare: asked("jobs", url.Values{"orderByTime": {"Asc"}}, coslocal.Fault{Nth: 2, Status: 400}), want: map[string]verdict{"ci.retention": different}},
		"old_paths_only":  {ci: cilocal.Options{OldPathsOnly: true}, want: map[string]verdict{"ci.every_id_prefix": different}},
		"ids_of_records":  {prepare: asked("pic_jobs", url.Values{"tag": {"PicProcess"}}, refused)},
		"no_job_of_a_kind": {prepare: func(f *field) {
			asked("pic_jobs", url.Values{"tag": {"PicProcess"}}, refused)(f)
			for _, key := range f.cos.Keys(recordBucket, "ci/jobs/c") {
				if err := f.cos.DeleteObject(recordBucket, key); err != nil {
					f.t.Fatal(err)
				}
			}
		}, want: map[string]verdict{"ci.every_id_prefix": open}},
		"start_included": {prepare: func(f *field) {
			jobs := slices.DeleteFunc(f.ci.Jobs(mediaBucket), func(j cilocal.Job) bool { return j.Tag != "Transcode" })
			newest := slices.MaxFunc(jobs, func(a, b cilocal.Job) int { return a.Created.Compare(b.Created) })
			asked("jobs", url.Values{"size": {"100"}}, coslocal.Fault{Body: []byte("<Response><JobsDetail><JobId>" + newest.ID + "</JobId></JobsDetail></Response>")})(f)
		}, want: map[string]verdict{"ci.start_is_exclusive": different}},
		"callbacks_never_come": {prepare: func(f *field) {
			f.changeRecords(func(r *model.Record) { r.Source = model.SourceQuery })
		}, want: map[string]verdict{"ci.url_as_entered": different, "ci.callback_delay": open}},
		"callbacks_are_late": {prepare: func(f *field) {
			f.changeRecords(func(r *model.Record) { r.EndTime = time.Now().Add(-time.Hour).Format(time.RFC3339) })
		}, want: map[string]verdict{"ci.callback_delay": different}},
		"callback_without_sense": {prepare: func(f *field) {
			if err := f.cos.PutObject(recordBucket, "ci/rejected/1", coslocal.Object{Body: []byte("<Response>")}); err != nil {
				f.t.Fatal(err)
			}
		}, want: map[string]verdict{"ci.callbacks_are_understood": different}},

		"queue_demanded": {ci: cilocal.Options{DemandQueue: true}, want: map[string]verdict{
			"ci.list_without_queue": different, "ci.last_token": different, "ci.token_header_ci": different, "ci.token_header_cos": different,
			"ci.start_is_exclusive": open, "ci.retention": open, "ci.answers_are_known": different, "ci.four_at_a_time": different,
			"ci.unknown_token": open, "ci.types": open, "ci.ids": open, "ci.times": open, "ci.states": open, "ci.failed_job": open,
			"ci.answers_are_understood": open, "ci.md5_names": open, "ci.md5_of_the_output": open}},
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
		}, want: map[string]verdict{"ci.unknown_id": different, "ci.ten_ids": different}},
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
			"ci.unlisted_types": open, "ci.start_is_exclusive": open, "ci.retention": open, "ci.unknown_token": open, "ci.types": open, "ci.ids": open,
			"ci.times": open, "ci.states": open, "ci.failed_job": open, "ci.answers_are_understood": open, "ci.md5_names": open, "ci.md5_of_the_output": open, "ci.answers_are_known": different, "ci.four_at_a_time": open}},
		"throttled_once": {prepare: func(f *field) {
			f.ci.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Key == "jobs" && len(r.Query) == 2 }, Nth: 12, Status: 503, Code: "SlowDown"})
		}, want: map[string]verdict{"ci.four_at_a_time": different}},
	}
}

// changeRecords replaces every record of a job.
func (f *field) changeRecords(change func(*model.Record)) {
	f.t.Helper()
	for _, key := range f.cos.Keys(recordBucket, "ci/jobs/") {
		stored, _ := f.cos.Object(recordBucket, key)
		r, err := model.ParseRecord(stored.Body)
		if err != nil {
			f.t.Fatal(err)
		}
		change(r)
		f.store(r)
	}
}

// TestOtherwise has COS and CI do something else. Only what was asked about it is
// different then.
func TestOtherwise(t *testing.T) {
	t.Parallel()
	for name, test := range elsewhere() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newField(t, test.cos, test.ci)
			if test.prepare != nil {
				test.prepare(f)
			}
			found := f.observe()
			f.wants(found, test.want, false)
			f.says(found, false)
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
		if strings.HasPrefix(a.ID, "scf.") {
			want[a.ID] = different
		}
	}
	found := f.observe("-echo", server.URL)
	f.wants(found, want, true)
	f.says(found, false)
}

// TestEveryCaseCanFail: for whatever a program asks there is a world in which the answer
// is that it is different. Those of SCF are all in TestSCFOtherwise.
func TestEveryCaseCanFail(t *testing.T) {
	t.Parallel()
	fails := map[string]bool{}
	for _, world := range elsewhere() {
		for id, v := range world.want {
			fails[id] = fails[id] || v == different
		}
	}
	for _, a := range assumptions {
		if a.ask != nil && !strings.HasPrefix(a.ID, "scf.") && !fails[a.ID] {
			t.Errorf("no test has %s fail", a.ID)
		}
	}
}

// TestBodies has function URLs that do other things to a body.
func TestBodies(t *testing.T) {
	t.Parallel()
	inBase64 := func(body string) map[string]any {
		return map[string]any{"body": base64.StdEncoding.EncodeToString([]byte(body))}
	}
	tests := map[string]struct {
		event       func(body string) map[string]any
		text, bytes verdict
	}{
		"damages_bytes": {func(body string) map[string]any { return map[string]any{"body": body} }, same, different}, // U+FFFD for each
		"latin_1": {func(body string) map[string]any {
			runes := make([]rune, len(body))
			for i := range body {
				runes[i] = rune(body[i])
			}
			return map[string]any{"body": string(runes)}
		}, different, different},
		"base64":        {func(body string) map[string]any { e := inBase64(body); e["isBase64Encoded"] = true; return e }, different, same},
		"silent_base64": {inBase64, different, different},
		"other_lines": {func(body string) map[string]any {
			return map[string]any{"body": strings.ReplaceAll(body, "\r\n", "\n")}
		}, different, different},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body) // what is cut short is not as sent
				event := test.event(string(body))
				event["httpMethod"] = "POST"
				_ = json.NewEncoder(w).Encode(map[string]any{"event": event})
			}))
			t.Cleanup(server.Close)
			address, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			s := &survey{echo: address}
			for name, ask := range map[string]asker{"text": askText(asXML()), "bytes": askBytes} {
				want := map[string]verdict{"text": test.text, "bytes": test.bytes}[name]
				if observed, v, err := ask(t.Context(), s); err != nil || v != want {
					t.Errorf("%s: %s (%s), %v; want %s", name, v, observed, err, want)
				}
			}
		})
	}
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
	ofRecords := []string{"ci.url_as_entered", "ci.callbacks_are_understood", "ci.callback_delay"}
	for _, o := range f.observe() {
		if strings.HasPrefix(o.ID, "ci.") && o.Verdict != notAsked && !slices.Contains(ofRecords, o.ID) && (o.Verdict != open || o.Observed != errNoMedia.Error()) {
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
	byHand := 0
	for _, a := range assumptions {
		asked := "asked   "
		if a.ask == nil {
			asked = "by hand "
			byHand++
		}
		if !strings.Contains(f.out, a.ID+"\n  assumed  "+a.Assumed) || !strings.Contains(f.out, "  "+asked+" "+a.Asked+"\n") {
			t.Errorf("%s is not printed", a.ID)
		}
	}
	if sum := fmt.Sprintf("\n%d assumptions, of which only a person can ask %d. ", len(assumptions), byHand); !strings.Contains(f.out, sum) {
		t.Errorf("it does not say %q", sum)
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
		if a.Assumed == "" || a.DependsOnIt == "" || a.Asked == "" {
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
			if keys := f.written(); len(keys) > 0 {
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
	if keys := f.written(); len(keys) > 0 {
		t.Errorf("left over: %q", keys)
	}
}

func TestLeftOver(t *testing.T) {
	t.Parallel()
	f := newField(t, coslocal.Options{}, cilocal.Options{})
	f.cos.Deny(func(r coslocal.Request) bool { return r.Action() == "DeleteObject" })
	f.run("-yes")
	keys := f.written()
	if len(keys) == 0 {
		t.Fatal("nothing is left over")
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "ci/survey/") || !strings.Contains(f.out, "by hand when you like: "+key+"\n") {
			t.Errorf("%s is left over, and not named", key)
		}
	}
}
