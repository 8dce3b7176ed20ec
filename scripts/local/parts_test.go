package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/board"
)

// opened returns a platform whose COS and CI answer without a socket, and that has no
// function.
func opened(t *testing.T, settings map[string]string) (*program, *platform, *screen) {
	t.Helper()
	p, out := newTestProgram(t)
	pl, err := p.open("demo", settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pl.Close)
	pl.settings.Environment["CI_ENDPOINT"] = "http://{bucket}.ci.{region}.localhost:9001"
	return p, pl, out
}

// TestSummary puts answers of the function into lines.
func TestSummary(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body string
		want []string
	}{
		{"", []string{"(no JSON)"}},
		{`{"service":"ci-callback"}`, []string{"ci-callback"}},
		{`{"error":{"code":"unauthorized","message":"no token"}}`, []string{"unauthorized: no token"}},
		{`{"error":{"code":"bad","message":"no"},"rejected":"ci/rejected/1"}`, []string{"bad: no; the body is kept as ci/rejected/1"}},
		{`{"results":[{"kind":"job","id":"j1","state":"Success","outcome":"created"}]}`, []string{"job j1 Success: created"}},
		{`{"results":[{"kind":"job","id":"j1"}]}`, []string{"job j1: not stored"}},
		{`{"results":[{"kind":"job","id":"j1","outcome":"created"}]}`, []string{"job j1: created"}},
		{`{"results":[{"kind":"job","id":"j1","state":"Success","outcome":"created","tags":[{"object":"a","outcome":"tagged"},
			{"object":"b","outcome":"skipped","reason":"it is gone"}]}]}`, []string{"job j1 Success: created, a tagged, b skipped it is gone"}},
		{`{"results":[{"kind":"job","id":"j1","outcome":"created"},{"kind":"run","id":"i1","outcome":"duplicate"}]}`,
			[]string{"2 jobs", "job j1: created", "run i1: duplicate"}},
		{`{"error":{"code":"x","message":"y"},"results":[{"kind":"job","id":"j1"}]}`, []string{"x: y", "job j1: not stored"}},
	} {
		if diff := cmp.Diff(test.want, summary(test.body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, diff)
		}
	}
	if got := printable("a\x1b[31m\u202eb\n日 c"); got != "a[31mb日 c" {
		t.Errorf("printable: %q", got)
	}
}

// TestJobRequests holds what is sent to CI for a job, by this program and by curl.
func TestJobRequests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		job  jobRequest
		want string
	}{
		{jobRequest{Type: "MediaInfo", Input: "a&b"}, "<Request><Tag>MediaInfo</Tag><Input><Object>a&amp;b</Object></Input><Operation></Operation></Request>"},
		{jobRequest{Type: "Transcode", Input: "a", Output: "b", UserData: "3s", Format: "JSON"},
			"<Request><Tag>Transcode</Tag><Input><Object>a</Object></Input><Operation><Output><Region>r</Region><Bucket>c-1</Bucket><Object>b</Object></Output>" +
				"<UserData>3s</UserData></Operation><CallBackFormat>JSON</CallBackFormat></Request>"},
	} {
		body, err := test.job.body("c-1", "r")
		if diff := cmp.Diff(test.want, string(body)); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	_, pl, _ := opened(t, defaultSettings(mediaBucket))
	command, err := pl.curlJob(jobRequest{Type: "MediaInfo", Input: "it's"})
	start, signature, _ := strings.Cut(command, "?")
	want := `curl --data '<Request><Tag>MediaInfo</Tag><Input><Object>it&#39;s</Object></Input><Operation></Operation></Request>' ` +
		`'http://test-123456789.ci.ap-chongqing.localhost:9001/jobs`
	if err != nil || start != want || !strings.HasPrefix(signature, "q-sign-algorithm=sha1&q-ak=coslocal-secret-id&") || !strings.HasSuffix(signature, "'") {
		t.Errorf("%s, %v", command, err)
	}
	if got := shellQuote("it's"); got != `'it'\''s'` {
		t.Errorf("quoted: %s", got)
	}
}

// TestFormWords submits what is entered in the form of the board.
func TestFormWords(t *testing.T) {
	t.Parallel()
	_, pl, _ := opened(t, defaultSettings(mediaBucket))
	for _, test := range []struct {
		entered board.Submission
		want    cilocal.Job // as far as the form decides
	}{
		{board.Submission{Type: "Transcode", Input: "a", Output: "b", Duration: time.Minute, Callback: "once"},
			cilocal.Job{Tag: "Transcode", UserData: "1m0s", Output: cilocal.Object{Bucket: mediaBucket, Region: region, Key: "b"}}},
		{board.Submission{Type: "Animation", Input: "a", Fail: true, Callback: "twice", Format: "XML"},
			cilocal.Job{Tag: "Animation", UserData: "0s failed twice", CallbackFormat: "XML", Output: cilocal.Object{Bucket: mediaBucket, Region: region, Key: "output/${JobId}"}}},
	} {
		id, err := pl.submitForm(t.Context(), test.entered)
		job, _ := pl.ci.Job(mediaBucket, id)
		got := cilocal.Job{Tag: job.Tag, UserData: job.UserData, CallbackFormat: job.CallbackFormat, Output: job.Output}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// TestCheckStored says what is wrong with what the demo left in COS.
func TestCheckStored(t *testing.T) {
	t.Parallel()
	const record = `{"state":"Success","outputs":[{"object":"output/digital.mp4","md5":"043221daee3f4e15ff13f42329f15eb1"}],"detail":{"JobId":"j1"}}`
	const otherRecord = "the record does not say what the callback says"
	for name, test := range map[string]struct {
		tag, record, rejected string // not there where it is empty
		want                  []string
	}{
		"right":       {outputMD5, record, "1", nil},
		"no_tag":      {"", record, "1", []string{"the tags are project=demo"}},
		"no_record":   {outputMD5, "", "1", []string{"there is no record " + recordKey}},
		"no_rejected": {outputMD5, record, "", []string{"0 bodies were kept as rejected, want 1"}},
		"no_JSON":     {outputMD5, "{", "1", []string{"the record is not JSON: unexpected end of JSON input"}},
		"state":       {outputMD5, strings.Replace(record, "Success", "Failed", 1), "1", []string{otherRecord}},
		"no_output":   {outputMD5, `{"state":"Success","detail":{"JobId":"j1"}}`, "1", []string{otherRecord}},
		"object":      {outputMD5, strings.Replace(record, "output/", "", 1), "1", []string{otherRecord}},
		"md5":         {outputMD5, strings.Replace(record, `"0`, `"1`, 1), "1", []string{otherRecord}},
		"detail":      {outputMD5, strings.Replace(record, "j1", "", 1), "1", []string{otherRecord}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, pl, out := opened(t, defaultSettings(mediaBucket))
			err := pl.putOutput()
			if test.tag != "" {
				err = errors.Join(err, pl.cos.SetTags(mediaBucket, outputKey, []coslocal.Tag{{Key: "project", Value: "demo"}, {Key: "md5", Value: test.tag}}))
			}
			for key, body := range map[string]string{recordKey: test.record, "ci/rejected/1": test.rejected} {
				if body != "" {
					err = errors.Join(err, pl.cos.PutObject(recordBucket, key, coslocal.Object{Body: []byte(body)}))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, p.checkStored(pl)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if strings.Contains(out.String(), "is kept as ci/rejected/1") != (test.rejected != "" && test.record != "") {
				t.Errorf("printed:\n%s", out)
			}
		})
	}
}

// TestCheckFound says what is wrong with the record of a job that the timer found.
func TestCheckFound(t *testing.T) {
	t.Parallel()
	const record = `{"id":"j1","source":"query","state":"Success"}`
	for name, test := range map[string]struct {
		record, tag string
		problems    int
	}{
		"right": {record, "m", 0}, "no_tag": {record, "", 1}, "nothing": {"", "", 2}, "id": {strings.Replace(record, "j1", "j2", 1), "m", 1},
		"source": {strings.Replace(record, "query", "callback", 1), "m", 1}, "state": {strings.Replace(record, "Success", "Failed", 1), "m", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, pl, _ := opened(t, defaultSettings(mediaBucket))
			_, err := pl.ci.AddJob(mediaBucket, cilocal.Job{ID: "j1", Output: cilocal.Object{Key: "output/lost.mp4", Region: region}}, cilocal.Plan{})
			job, _ := pl.ci.Job(mediaBucket, "j1")
			var tags []coslocal.Tag
			if test.tag != "" {
				tags = []coslocal.Tag{{Key: "md5", Value: job.MD5}}
			}
			err = errors.Join(err, pl.cos.SetTags(mediaBucket, "output/lost.mp4", tags),
				pl.cos.PutObject(recordBucket, "ci/jobs/j1.json", coslocal.Object{Body: []byte(test.record)}))
			if err != nil {
				t.Fatal(err)
			}
			if problems := p.checkFound(pl, "j1"); len(problems) != test.problems {
				t.Errorf("problems: %q", problems)
			}
		})
	}
}

// TestOutcomes are those of the first job, and of its first tag.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	type result = struct {
		Outcome string
		Tags    []struct{ Outcome string }
	}
	for _, test := range []struct {
		answer      answered
		record, tag string
	}{
		{answered{}, "", ""},
		{answered{[]result{{Outcome: "created"}}}, "created", ""},
		{answered{[]result{{"created", []struct{ Outcome string }{{"tagged"}, {"gone"}}}, {Outcome: "other"}}}, "created", "tagged"},
	} {
		if record, tag := test.answer.outcomes(); record != test.record || tag != test.tag {
			t.Errorf("%+v: %s, %s", test.answer, record, tag)
		}
	}
	if orDash("") != "-" || orDash("a") != "a" || milliseconds(1500*time.Microsecond) != 1.5 {
		t.Errorf("%s %s %v", orDash(""), orDash("a"), milliseconds(1500*time.Microsecond))
	}
}

// TestShorten leaves most of the detail out of a record, and other things as they are.
func TestShorten(t *testing.T) {
	t.Parallel()
	for record, want := range map[string]string{
		`{"id":"j1","detail":{"a":1},"z":[1]}` + "\n": "{\n  \"id\": \"j1\",\n  \"detail\": … 7 bytes: the whole JobsDetail in normal form,\n  \"z\": [\n    1\n  ]\n}",
		"no JSON": "no JSON",
	} {
		if diff := cmp.Diff(want, shorten([]byte(record))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", record, diff)
		}
	}
}

// TestCallbackURL has the first token, unless callbacks need none.
func TestCallbackURL(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, test := range []struct{ auth, token, want string }{
		{"", "a&b, c", "/?token=a%26b"}, {"token", " c", "/?token=c"}, {"none", "c", "/"},
	} {
		_, pl, _ := opened(t, defaultSettings(mediaBucket))
		pl.settings.Environment["CALLBACK_AUTH"], pl.settings.Environment["CALLBACK_TOKEN"] = test.auth, test.token
		if got := pl.callbackURL(listener); got != "http://"+listener.Addr().String()+test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// output returns an output as a record names it.
func output(bucket, key, md5 string) model.Output {
	return model.Output{Object: model.Object{Bucket: bucket, Key: key}, MD5: md5}
}

// TestLists of buckets, outputs and settings.
func TestLists(t *testing.T) {
	t.Parallel()
	outputs := []model.Output{output("b", "1", "m"), output("a", "2", "m"), output("b", "3", ""), output("", "4", "m")}
	tagged := withMD5(outputs)
	for name, diff := range map[string]string{
		"withMD5":      cmp.Diff(outputs[:2], tagged),
		"bucketsOf":    cmp.Diff([]string{"a", "b"}, bucketsOf(append(tagged, tagged...))),
		"inBuckets":    cmp.Diff(outputs[1:2], inBuckets(tagged, []string{"a", "c"})),
		"without":      cmp.Diff([]string{"a", "c"}, without([]string{"a", "b", "c"}, "b")),
		"listed":       cmp.Diff([]string{"a", "b"}, listed(" a@r , ,b")),
		"settings":     cmp.Diff("A, B from the shell", settingsFrom(map[string]string{"B": "secret", "A": "secret"})),
		"no_settings":  cmp.Diff("none from the shell", settingsFrom(nil)),
		"left_as_they": cmp.Diff("1234", outputs[0].Key+outputs[1].Key+outputs[2].Key+outputs[3].Key),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPutSamples puts what is missing, with the MD5 as its ETag, and leaves the rest.
func TestPutSamples(t *testing.T) {
	t.Parallel()
	_, pl, _ := opened(t, defaultSettings(mediaBucket))
	if err := pl.cos.PutObject(mediaBucket, "a", coslocal.Object{Body: []byte("mine")}); err != nil {
		t.Fatal(err)
	}
	if err := pl.putSamples([]model.Output{output(mediaBucket, "a", "m"), output(mediaBucket, "b", "m")}); err != nil {
		t.Fatal(err)
	}
	a, _ := pl.cos.Object(mediaBucket, "a")
	b, _ := pl.cos.Object(mediaBucket, "b")
	if string(a.Body) != "mine" || b.ETag != `"m"` || b.LastModified.Year() != 2015 || len(b.Body) == 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	if err := pl.putSamples([]model.Output{output("missing-1", "a", "m")}); err == nil {
		t.Error("no error of a bucket that is not there")
	}
	if err := pl.clear(); err != nil || len(pl.cos.Keys(mediaBucket, "")) != 0 {
		t.Errorf("after clear: %q, %v", pl.cos.Keys(mediaBucket, ""), err)
	}
}

// TestCountsTheFunction counts requests that the function signs, and nobody else's.
func TestCountsTheFunction(t *testing.T) {
	t.Parallel()
	_, pl, _ := opened(t, defaultSettings(mediaBucket))
	for _, key := range []string{roleSecretID, roleSecretID + "x", "coslocal-secret-id"} {
		for service, server := range map[string]http.RoundTripper{"cos": pl.cos, "ci": pl.ci} {
			r, err := http.NewRequest(http.MethodGet, "http://"+mediaBucket+"."+service+"."+region+".localhost/jobs/j1", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "q-sign-algorithm=sha1&q-ak="+key+"&q-signature=x")
			response, err := server.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	}
	if cos, ci := pl.cosRequests.Load(), pl.ciRequests.Load(); cos != 1 || ci != 1 {
		t.Errorf("%d to COS and %d to CI", cos, ci)
	}
	user := pl.userEnvironment()
	want := map[string]string{"TENCENTCLOUD_SECRETID": "coslocal-secret-id", "TENCENTCLOUD_SECRETKEY": "coslocal-secret-key"}
	if diff := cmp.Diff(want, user.Invocation); diff != "" || user.Region != region || user.AppID != appID || user.Process["RECORD_BUCKET"] != recordBucket {
		t.Errorf("%+v (-want +got):\n%s", user, diff)
	}
}
