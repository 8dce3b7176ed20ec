package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// exchange is a request and the answer to it.
type exchange struct {
	name        string
	arrange     func(*testing.T, *site) // what COS holds before, or how it fails
	environment []string                // changes, as NAME=value
	method      string                  // "" means POST
	tokens      []string                // nil means the right one
	body        string
	base64      bool          // the body is said to be base64
	limit       time.Duration // of the invocation; 0 means timeLimit

	status   int
	headers  map[string]string // beside Content-Type
	want     string            // the body of the answer, with … for the message of an error
	says     []string          // what the message of the error must hold
	requests int64             // to COS; -1 means any number
	keys     []string          // in the record bucket afterwards
}

// What an answer says in words is looked at apart from the rest of it.
var (
	message = regexp.MustCompile(`"message":"((?:[^"\\]|\\.)*)"`)
	reason  = regexp.MustCompile(`"reason":"(get|put) tags of ([^:]*): (?:[^"\\]|\\.)*"`)
)

func withoutWords(body string) string {
	body = message.ReplaceAllLiteralString(body, `"message":"…"`)
	return reason.ReplaceAllString(body, `"reason":"$1 tags of $2: …"`)
}

func (x exchange) run(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	if x.arrange != nil {
		x.arrange(t, s)
	}
	before := s.RequestCount()
	a := x.deliverTo(t, s.newReceiver(t, s.Server))
	headers := map[string]string{"Content-Type": "application/json"}
	for name, value := range x.headers {
		headers[name] = value
	}
	if diff := cmp.Diff(headers, a.headers); diff != "" || a.status != x.status {
		t.Errorf("status %d, want %d; headers (-want +got):\n%s", a.status, x.status, diff)
	}
	if diff := cmp.Diff(x.want, withoutWords(a.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s\nwhole: %s", diff, a.body)
	}
	checkDescribed(t, x.method, a.status, a.headers, a.body)
	for _, says := range x.says {
		if a.Error == nil || !strings.Contains(a.Error.Message, says) {
			t.Errorf("the message does not say %q: %s", says, a.body)
		}
	}
	if n := s.RequestCount() - before; x.requests >= 0 && n != x.requests {
		t.Errorf("%d COS requests, want %d", n, x.requests)
	}
	if diff := cmp.Diff(x.keys, s.Keys(recordsIn, "")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// deliverTo sends the request by a clock that only waiting moves. The receiver must have
// no sockets.
func (x exchange) deliverTo(t *testing.T, r *receiver) (a told) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { a = x.deliver(t, r) })
	return a
}

// deliver sends the request.
func (x exchange) deliver(t *testing.T, r *receiver) told {
	t.Helper()
	method, tokens, limit := x.method, x.tokens, x.limit
	if method == "" {
		method = http.MethodPost
	}
	if tokens == nil {
		tokens = []string{token}
	}
	if limit == 0 {
		limit = timeLimit
	}
	payload, err := scflocal.Event(method, &url.URL{Path: "/", RawQuery: url.Values{"token": tokens}.Encode()}, nil, "192.0.2.1", []byte(x.body))
	if err != nil {
		t.Fatal(err)
	}
	if x.base64 {
		payload = bytes.Replace(payload, []byte(`{`), []byte(`{"isBase64Encoded":"true",`), 1)
	}
	ctx, cancel := invoked(r.with(x.environment...), limit)
	defer cancel()
	returned, err := r.Invoke(ctx, payload)
	return read(t, returned, err)
}

// rejectedKey is where a body is kept that was not understood.
func rejectedKey(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "ci/rejected/" + hex.EncodeToString(sum[:])
}

// failingCOS makes COS fail in a way, for requests of that action and key.
func failingCOS(f coslocal.Fault, action, keyPart string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		s.putOutput(t, sampleFile)
		f.Match = func(r coslocal.Request) bool { return r.Action() == action && strings.Contains(r.Key, keyPart) }
		s.Inject(f)
	}
}

// denying makes COS refuse an action.
func denying(action string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		s.putOutput(t, sampleFile)
		s.Deny(func(r coslocal.Request) bool { return r.Action() == action })
	}
}

const (
	sampleResult   = `{"kind":"job","id":"` + sampleJob + `","state":"Success","outcome":"created","record":"` + sampleKey + `"`
	sampleUnstored = `{"kind":"job","id":"` + sampleJob + `","state":"Success"`
	sampleTag      = `"tags":[{"bucket":"` + mediaIn + `","object":"` + sampleFile + `"`
	allMissing     = "RECORD_BUCKET,RECORD_REGION,CALLBACK_TOKEN,COS_ENDPOINT,TENCENTCLOUD_SECRETID,TENCENTCLOUD_SECRETKEY"
)

// TestAnswers goes through the HTTP table of the contract.
func TestAnswers(t *testing.T) {
	t.Parallel()
	body := string(sample(t, "digitalwatermark.xml"))
	failed := string(sample(t, "transcode-failed.json"))
	const notBase64 = "no base64!"
	const inPart = `{"JobsDetail":[{"JobId":"j1","State":"Success"},{"State":"Success"},{"JobId":"j2","State":"Failed"}]}`
	broken := coslocal.Fault{Status: http.StatusServiceUnavailable}
	const short = 500 * time.Millisecond // most of which is kept free for the answer
	post := []exchange{
		{name: "created", body: body, status: 200, want: `{"results":[` + sampleResult + `}]}`, requests: 1, keys: []string{sampleKey}},
		{name: "created_base64", body: base64.StdEncoding.EncodeToString([]byte(body)), base64: true, status: 200,
			want: `{"results":[` + sampleResult + `}]}`, requests: 1, keys: []string{sampleKey}},
		{name: "created_tagged", arrange: func(t *testing.T, s *site) { s.putOutput(t, sampleFile) }, environment: []string{"TAG_MD5=true"}, body: body,
			status: 200, want: `{"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"tagged"}]}]}`, requests: 4, keys: []string{sampleKey}},
		{name: "tag_unchanged", arrange: func(t *testing.T, s *site) { s.putOutput(t, sampleFile, coslocal.Tag{Key: "md5", Value: sampleMD5}) },
			environment: []string{"TAG_MD5=true"}, body: body,
			status: 200, want: `{"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"unchanged"}]}]}`, requests: 3, keys: []string{sampleKey}},
		{name: "tag_skipped", environment: []string{"TAG_MD5=true"}, body: body,
			status: 200, want: `{"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"skipped","reason":"there is no such object"}]}]}`, requests: 3, keys: []string{sampleKey}},
		{name: "failed_job", environment: []string{"TAG_MD5=true"}, body: failed, status: 200, requests: 1,
			want: `{"results":[{"kind":"job","id":"j00000000000000000000000000000a02","state":"Failed","outcome":"created","record":"ci/jobs/j00000000000000000000000000000a02.json"}]}`,
			keys: []string{"ci/jobs/j00000000000000000000000000000a02.json"}},
		{name: "probe", body: string(sample(t, "probe.json")), status: 200, want: `{"results":[{"kind":"review","id":"test_trace_id","outcome":"probe"}]}`},
		{name: "own_prefix", environment: []string{"RECORD_PREFIX=a/b/"}, body: failed, status: 200, requests: 1,
			want: `{"results":[{"kind":"job","id":"j00000000000000000000000000000a02","state":"Failed","outcome":"created","record":"a/b/jobs/j00000000000000000000000000000a02.json"}]}`,
			keys: []string{"a/b/jobs/j00000000000000000000000000000a02.json"}},
		{name: "open", environment: []string{"CALLBACK_TOKEN", "CALLBACK_AUTH=none"}, tokens: []string{}, body: body,
			status: 200, want: `{"results":[` + sampleResult + `}]}`, requests: 1, keys: []string{sampleKey}},
		{name: "one_of_several_tokens", environment: []string{"CALLBACK_TOKEN=the-token-of-yesterday, " + token}, tokens: []string{"guess", token}, body: body,
			status: 200, want: `{"results":[` + sampleResult + `}]}`, requests: 1, keys: []string{sampleKey}},

		{name: "wrong_token", tokens: []string{"a-token-of-this-tesT"}, body: body, status: 401, want: `{"error":{"code":"unauthorized","message":"…"}}`},
		{name: "no_token", tokens: []string{}, body: body, status: 401, want: `{"error":{"code":"unauthorized","message":"…"}}`},
		{name: "empty_token", tokens: []string{""}, body: body, status: 401, want: `{"error":{"code":"unauthorized","message":"…"}}`},
		{name: "wrong_token_malformed_body", tokens: []string{"guess"}, body: "hello", status: 401, want: `{"error":{"code":"unauthorized","message":"…"}}`},
		{name: "wrong_token_before_settings", environment: []string{"RECORD_BUCKET", "TENCENTCLOUD_SECRETID"}, tokens: []string{"guess"}, body: body,
			status: 401, want: `{"error":{"code":"unauthorized","message":"…"}}`},
		{name: "wrong_token_before_size", environment: []string{"MAX_BODY_BYTES=10"}, tokens: []string{"guess"}, body: body,
			status: 401, want: `{"error":{"code":"unauthorized","message":"…"}}`},

		{name: "too_large", environment: []string{"MAX_BODY_BYTES=10"}, body: strings.Repeat("x", 11), status: 413, want: `{"error":{"code":"body_too_large","message":"…"}}`, says: []string{"11 bytes", "MAX_BODY_BYTES is 10"}},
		{name: "too_large_before_base64", environment: []string{"MAX_BODY_BYTES=10"}, body: strings.Repeat("!", 40), base64: true, status: 413, want: `{"error":{"code":"body_too_large","message":"…"}}`},
		{name: "too_large_decoded", environment: []string{"MAX_BODY_BYTES=10"}, body: base64.StdEncoding.EncodeToString([]byte("elevenbytes")), base64: true, status: 413, want: `{"error":{"code":"body_too_large","message":"…"}}`, says: []string{"11 bytes"}},
		{name: "settings_before_size", environment: []string{"MAX_BODY_BYTES=10", "RECORD_BUCKET"}, body: body, status: 500, want: `{"error":{"code":"misconfigured","message":"…"}}`, says: []string{"RECORD_BUCKET"}},
		{name: "just_not_too_large", environment: []string{fmt.Sprintf("MAX_BODY_BYTES=%d", len(body))}, body: body, status: 200, want: `{"results":[` + sampleResult + `}]}`, requests: 1, keys: []string{sampleKey}},

		{name: "malformed", body: "hello", status: 400, want: `{"error":{"code":"malformed_callback","message":"…"},"rejected":"` + rejectedKey("hello") + `"}`, requests: 1, keys: []string{rejectedKey("hello")}},
		{name: "malformed_base64", body: notBase64, base64: true, status: 400, want: `{"error":{"code":"malformed_callback","message":"…"},"rejected":"` + rejectedKey(notBase64) + `"}`,
			says: []string{"base64"}, requests: 1, keys: []string{rejectedKey(notBase64)}},
		{name: "empty", status: 200, want: `{"results":[{"outcome":"probe"}]}`},
		{name: "white_space", body: "\ufeff \r\n", status: 200, want: `{"results":[{"outcome":"probe"}]}`},
		{name: "empty_base64", base64: true, status: 200, want: `{"results":[{"outcome":"probe"}]}`},
		{name: "base64_not_said", body: base64.StdEncoding.EncodeToString([]byte(body)), status: 200, want: `{"results":[` + sampleResult + `}]}`, requests: 1, keys: []string{sampleKey}},
		{name: "base64_trace_id", body: `{"code":0,"data":{"trace_id":"NWFjMz/0+w==","result":1,"event":"ReviewAudio"}}`, status: 200, requests: 1,
			want: `{"results":[{"kind":"review","id":"NWFjMz/0+w==","state":"Success","outcome":"created","record":"ci/reviews/NWFjMz~2F0~2Bw~3D~3D.json"}]}`,
			keys: []string{"ci/reviews/NWFjMz~2F0~2Bw~3D~3D.json"}},
		{name: "in_part", body: inPart, status: 400, requests: 3, says: []string{"JobsDetail[1]", "JobId"},
			want: `{"error":{"code":"malformed_callback","message":"…"},"rejected":"` + rejectedKey(inPart) + `","results":[` +
				`{"kind":"job","id":"j1","state":"Success","outcome":"created","record":"ci/jobs/j1.json"},{"kind":"job","id":"j2","state":"Failed","outcome":"created","record":"ci/jobs/j2.json"}]}`,
			keys: []string{"ci/jobs/j1.json", "ci/jobs/j2.json", rejectedKey(inPart)}},
		{name: "in_part_and_one_unavailable", arrange: failingCOS(broken, "PutObject", "j2"), limit: short, body: inPart, status: 503, headers: map[string]string{"Retry-After": "30"}, requests: -1,
			want: `{"error":{"code":"unavailable","message":"…"},"rejected":"` + rejectedKey(inPart) + `","results":[` +
				`{"kind":"job","id":"j1","state":"Success","outcome":"created","record":"ci/jobs/j1.json"},{"kind":"job","id":"j2","state":"Failed"}]}`,
			keys: []string{"ci/jobs/j1.json", rejectedKey(inPart)}},
		{name: "in_part_and_not_kept", arrange: failingCOS(broken, "PutObject", "rejected"), limit: time.Second, body: inPart, status: 503, headers: map[string]string{"Retry-After": "30"}, requests: -1,
			want: `{"error":{"code":"unavailable","message":"…"},"results":[` +
				`{"kind":"job","id":"j1","state":"Success","outcome":"created","record":"ci/jobs/j1.json"},{"kind":"job","id":"j2","state":"Failed","outcome":"created","record":"ci/jobs/j2.json"}]}`,
			keys: []string{"ci/jobs/j1.json", "ci/jobs/j2.json"}},
		{name: "control_character", body: "<Response>\n<JobsDetail><JobId>j1</JobId><Message>a\bb</Message></JobsDetail></Response>", status: 400, requests: 1, says: []string{"line 2"},
			want: `{"error":{"code":"malformed_callback","message":"…"},"rejected":"` + rejectedKey("<Response>\n<JobsDetail><JobId>j1</JobId><Message>a\bb</Message></JobsDetail></Response>") + `"}`,
			keys: []string{rejectedKey("<Response>\n<JobsDetail><JobId>j1</JobId><Message>a\bb</Message></JobsDetail></Response>")}},
		{name: "odd_id", body: `{"JobsDetail":{"JobId":"../../x"}}`, status: 400, want: `{"error":{"code":"malformed_callback","message":"…"},"rejected":"` + rejectedKey(`{"JobsDetail":{"JobId":"../../x"}}`) + `"}`,
			says: []string{"JobId"}, requests: 1, keys: []string{rejectedKey(`{"JobsDetail":{"JobId":"../../x"}}`)}},
		{name: "malformed_and_not_kept", arrange: failingCOS(broken, "PutObject", "rejected"), limit: short, body: "hello", status: 503, headers: map[string]string{"Retry-After": "30"},
			want: `{"error":{"code":"unavailable","message":"…"}}`, requests: -1},
		{name: "malformed_and_denied", arrange: denying("PutObject"), body: "hello", status: 500, want: `{"error":{"code":"misconfigured","message":"…"}}`, says: []string{"name/cos:PutObject", "rejected"}, requests: 1},

		{name: "unavailable", arrange: failingCOS(broken, "PutObject", "jobs"), limit: short, body: body, status: 503, headers: map[string]string{"Retry-After": "30"},
			want: `{"error":{"code":"unavailable","message":"…"},"results":[` + sampleUnstored + `}]}`, says: []string{"503", sampleKey}, requests: -1},
		{name: "throttled", arrange: failingCOS(coslocal.Fault{Status: 503, Code: "SlowDown"}, "PutObject", "jobs"), limit: short, body: body, status: 503, headers: map[string]string{"Retry-After": "30"},
			want: `{"error":{"code":"unavailable","message":"…"},"results":[` + sampleUnstored + `}]}`, says: []string{"SlowDown"}, requests: -1},
		{name: "stalled", arrange: failingCOS(coslocal.Fault{Delay: time.Minute}, "PutObject", "jobs"), limit: short, body: body, status: 503, headers: map[string]string{"Retry-After": "30"},
			want: `{"error":{"code":"unavailable","message":"…"},"results":[` + sampleUnstored + `}]}`, requests: -1},
		{name: "tag_unavailable", arrange: failingCOS(broken, "GetObjectTagging", ""), limit: short, environment: []string{"TAG_MD5=true"}, body: body, status: 503, headers: map[string]string{"Retry-After": "30"},
			want: `{"error":{"code":"unavailable","message":"…"},"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"failed","reason":"get tags of test-123456789/output/digital.mp4: …"}]}]}`, requests: -1, keys: []string{sampleKey}},
		{name: "record_unavailable_tag_done", arrange: failingCOS(broken, "PutObject", "jobs"), limit: time.Second, environment: []string{"TAG_MD5=true"}, body: body, status: 503, headers: map[string]string{"Retry-After": "30"},
			want: `{"error":{"code":"unavailable","message":"…"},"results":[` + sampleUnstored + `,` + sampleTag + `,"outcome":"tagged"}]}]}`, requests: -1},

		{name: "denied", arrange: denying("PutObject"), body: body, status: 500, want: `{"error":{"code":"misconfigured","message":"…"},"results":[` + sampleUnstored + `}]}`, says: []string{"AccessDenied", "name/cos:PutObject", "role"}, requests: 1},
		{name: "no_such_bucket", environment: []string{"RECORD_BUCKET=nowhere-" + appID}, body: body, status: 500, want: `{"error":{"code":"misconfigured","message":"…"},"results":[` + sampleUnstored + `}]}`, says: []string{"NoSuchBucket", "RECORD_BUCKET"}, requests: 1},
		{name: "refused_credentials", environment: []string{"TENCENTCLOUD_SECRETKEY=another"}, body: body, status: 500, want: `{"error":{"code":"misconfigured","message":"…"},"results":[` + sampleUnstored + `}]}`, says: []string{"SignatureDoesNotMatch", "role"}, requests: 1},
		{name: "record_denied_tag_done", arrange: denying("PutObject"), environment: []string{"TAG_MD5=true"}, body: body, status: 500,
			want: `{"error":{"code":"misconfigured","message":"…"},"results":[` + sampleUnstored + `,` + sampleTag + `,"outcome":"tagged"}]}]}`, requests: 4},
		{name: "tag_denied", arrange: denying("PutObjectTagging"), environment: []string{"TAG_MD5=true"}, body: body, status: 200,
			want: `{"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"failed","reason":"put tags of test-123456789/output/digital.mp4: …"}]}]}`, requests: 4, keys: []string{sampleKey}},
	}
	for _, x := range post {
		t.Run(x.name, func(t *testing.T) { x.run(t) })
	}

	misconfigured := []struct {
		name, change string
		says         []string
	}{
		{"no_token_set", "CALLBACK_TOKEN", []string{"CALLBACK_TOKEN", "16 characters", "CALLBACK_AUTH=none"}},
		{"short_token", "CALLBACK_TOKEN=fifteen-letters", []string{"CALLBACK_TOKEN", "16 characters"}},
		{"odd_auth", "CALLBACK_AUTH=basic", []string{"CALLBACK_AUTH"}},
		{"no_bucket", "RECORD_BUCKET", []string{"RECORD_BUCKET"}},
		{"odd_bucket", "RECORD_BUCKET=records", []string{"RECORD_BUCKET", "<name>-<appid>"}},
		{"odd_region", "RECORD_REGION=a.b", []string{"RECORD_REGION"}},
		{"odd_prefix", "RECORD_PREFIX=/ci/", []string{"RECORD_PREFIX"}},
		{"odd_tag_md5", "TAG_MD5=perhaps", []string{"TAG_MD5", "true or false"}},
		{"odd_tag_key", "MD5_TAG_KEY=?", []string{"MD5_TAG_KEY"}},
		{"odd_tag_buckets", "TAG_BUCKETS=Media", []string{"TAG_BUCKETS"}},
		{"odd_endpoint", "COS_ENDPOINT=cos", []string{"COS_ENDPOINT"}},
		{"odd_size", "MAX_BODY_BYTES=much", []string{"MAX_BODY_BYTES"}},
		{"no_size", "MAX_BODY_BYTES=0", []string{"MAX_BODY_BYTES"}},
		{"size_over_the_platforms", "MAX_BODY_BYTES=6291457", []string{"MAX_BODY_BYTES", "6291456"}},
		{"odd_level", "LOG_LEVEL=loud", []string{"LOG_LEVEL"}},
		{"no_secret_id", "TENCENTCLOUD_SECRETID", []string{"TENCENTCLOUD_SECRETID", "execution role"}},
		{"no_secret_key", "TENCENTCLOUD_SECRETKEY=", []string{"TENCENTCLOUD_SECRETKEY", "execution role"}},
	}
	for _, m := range misconfigured {
		x := exchange{name: m.name, environment: []string{m.change}, body: body, status: 500, want: `{"error":{"code":"misconfigured","message":"…"}}`, says: m.says}
		t.Run("misconfigured/"+x.name, func(t *testing.T) { x.run(t) })
	}

	t.Run("misconfigured/all_at_once", func(t *testing.T) {
		exchange{
			environment: []string{"RECORD_BUCKET", "RECORD_PREFIX=/", "TAG_MD5=perhaps", "MAX_BODY_BYTES=much", "LOG_LEVEL=loud", "TENCENTCLOUD_SECRETID"}, body: body, status: 500,
			want: `{"error":{"code":"misconfigured","message":"…"}}`, says: []string{"RECORD_BUCKET", "RECORD_PREFIX", "TAG_MD5", "MAX_BODY_BYTES", "LOG_LEVEL", "TENCENTCLOUD_SECRETID"},
		}.run(t)
	})

	for _, method := range []string{"GET", "HEAD"} {
		x := exchange{method: method, status: 200, want: `{"service":"ci-callback","version":"v1.2.3"}`, tokens: []string{}}
		t.Run(method, func(t *testing.T) { x.run(t) })
		x.environment = strings.Split(allMissing, ",")
		t.Run(method+"_misconfigured", func(t *testing.T) { x.run(t) })
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "post", "TRACE"} {
		x := exchange{method: method, status: 405, headers: map[string]string{"Allow": "GET, HEAD, POST"}, want: `{"error":{"code":"method_not_allowed","message":"…"}}`, body: body}
		t.Run(method, func(t *testing.T) { x.run(t) })
	}
}

// TestOutOfReach answers 503 where nothing listens, be a body stored or only kept.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	const alone = `{"error":{"code":"unavailable","message":"…"}}`
	for name, x := range map[string]exchange{
		"understood":       {body: string(sample(t, "digitalwatermark.xml")), want: `{"error":{"code":"unavailable","message":"…"},"results":[` + sampleUnstored + `}]}`},
		"malformed":        {body: "hello", want: alone},
		"malformed_base64": {body: "no base64!", base64: true, want: alone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x.environment, x.limit = []string{"COS_ENDPOINT=http://{bucket}.cos.{region}.localhost:1"}, 500*time.Millisecond
			a := x.deliver(t, newSite(t, -1).newReceiver(t, nil))
			if a.status != 503 || a.headers["Retry-After"] != "30" || withoutWords(a.body) != x.want {
				t.Errorf("%d %v %s", a.status, a.headers, a.body)
			}
		})
	}
}

// TestWithoutSCF answers where a context says nothing of an invocation: there are no
// credentials then.
func TestWithoutSCF(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	r := s.newReceiver(t, nil)
	r.options.Environ = func() []string { return []string{"CALLBACK_TOKEN=" + token, "RECORD_BUCKET=" + recordsIn} }
	returned, err := r.Invoke(t.Context(), event(t, []string{token}, sample(t, "digitalwatermark.xml")))
	if a := read(t, returned, err); a.status != 500 || !strings.Contains(a.body, "TENCENTCLOUD_SECRETID") || !strings.Contains(a.body, "RECORD_REGION") {
		t.Errorf("%d %s", a.status, a.body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	inner, cancel := withReserve(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	if end, _ := inner.Deadline(); deadline.Sub(end).Round(10*time.Millisecond) != time.Second {
		t.Errorf("%v are kept of ten seconds", deadline.Sub(end))
	}
}

// outcomes returns what became of each job of an answer.
func (a told) outcomes() []string {
	var list []string
	for _, r := range a.Results {
		if r.Outcome == "" {
			r.Outcome = "not stored"
		}
		list = append(list, fmt.Sprintf("%s %s", r.ID, r.Outcome))
	}
	return list
}

// post delivers a body with the right token.
func (r *receiver) post(t *testing.T, body string, environment ...string) told {
	t.Helper()
	return exchange{body: body, environment: environment}.deliver(t, r)
}

// TestOutcomes delivers the versions of a job one after the other.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	body := func(state, end string) string { return oneJob("j1", state, end, "o", sampleMD5) }
	const early, late = "2000-01-01T00:00:01+0000", "2000-01-01T00:00:02+0000"
	s := newSite(t, 100)
	r := s.newReceiver(t, nil)
	for _, delivery := range []struct {
		state, end, outcome string
		requests            int64
	}{
		{"Running", "", "created", 1},
		{"Running", "", "duplicate", 2},
		{"Failed", early, "updated", 7},
		{"Failed", early, "duplicate", 2},
		{"Running", "", "stale", 3},
		{"Failed", late, "updated", 7},
		{"Failed", early, "stale", 3},
	} {
		before := s.RequestCount()
		a := r.post(t, body(delivery.state, delivery.end))
		if a.status != 200 || string(a.outcome()) != delivery.outcome || s.RequestCount()-before != delivery.requests {
			t.Errorf("%s %s: %d requests, want %d %q: %d %s", delivery.state, delivery.end, s.RequestCount()-before, delivery.requests, delivery.outcome, a.status, a.body)
		}
	}
}

// TestOrderOfResults keeps the callback's order, whichever job is stored first.
func TestOrderOfResults(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	var body strings.Builder
	var want []string
	for i := range 30 {
		fmt.Fprintf(&body, `<JobsDetail><JobId>j%02d</JobId><State>Success</State></JobsDetail>`, i)
		want = append(want, fmt.Sprintf("j%02d created", i))
		s.Inject(coslocal.Fault{Delay: time.Duration(i*7%5) * time.Millisecond, Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, fmt.Sprintf("j%02d", i)) }})
	}
	a := s.newReceiver(t, nil).post(t, "<Response>"+body.String()+"</Response>")
	if diff := cmp.Diff(want, a.outcomes()); diff != "" || a.status != 200 {
		t.Errorf("status %d; outcomes (-want +got):\n%s", a.status, diff)
	}
}

// TestSameIDTwice makes one result of an id that a body holds twice, the newer, and keeps the
// older in the history.
func TestSameIDTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	a := s.newReceiver(t, nil).post(t, string(sample(t, "multijobs-sameid.xml")))
	want := []string{"j00000000000000000000000000000a1b created", "j00000000000000000000000000000a1c created"}
	if diff := cmp.Diff(want, a.outcomes()); diff != "" || a.status != 200 {
		t.Errorf("status %d; outcomes (-want +got):\n%s", a.status, diff)
	}
	golden, err := os.ReadFile(filepath.Join("..", "testdata", "records", "multijobs-sameid.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stored []byte
	for _, key := range slices.Concat(s.Keys(recordsIn, "ci/jobs/"), s.Keys(recordsIn, "ci/history/")) {
		o, _ := s.Object(recordsIn, key)
		stored = append(stored, o.Body...)
	}
	if diff := cmp.Diff(string(golden), string(stored)); diff != "" {
		t.Errorf("records, then history (-want +got):\n%s", diff)
	}
}

// TestPartialFailure answers 503 where one of several jobs could not be stored, and the
// redelivery stores it.
func TestPartialFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	remove := s.Inject(coslocal.Fault{Status: 503, Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, "a19") }})
	r := s.newReceiver(t, s.Server)
	x := exchange{body: string(sample(t, "multijobs.xml")), limit: 600 * time.Millisecond}
	a := x.deliverTo(t, r)
	want := []string{"j00000000000000000000000000000a18 created", "j00000000000000000000000000000a19 not stored", "j00000000000000000000000000000a1a created"}
	if diff := cmp.Diff(want, a.outcomes()); diff != "" || a.status != 503 || a.headers["Retry-After"] != "30" {
		t.Errorf("status %d; outcomes (-want +got):\n%s", a.status, diff)
	}
	remove()
	want = []string{"j00000000000000000000000000000a18 duplicate", "j00000000000000000000000000000a19 created", "j00000000000000000000000000000a1a duplicate"}
	if a = x.deliverTo(t, r); a.status != 200 || !slices.Equal(a.outcomes(), want) {
		t.Errorf("redelivered: %d %v", a.status, a.outcomes())
	}
}

// TestWorstErrorDecides answers by the worst of what happened to several jobs.
func TestWorstErrorDecides(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	s.Inject(coslocal.Fault{Status: 503, Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, "a18") }})
	s.Inject(coslocal.Fault{Status: 403, Match: func(r coslocal.Request) bool { return strings.Contains(r.Key, "a19") }})
	a := exchange{body: string(sample(t, "multijobs.xml")), limit: 600 * time.Millisecond}.deliverTo(t, s.newReceiver(t, s.Server))
	if a.status != 500 || a.Error.Code != "misconfigured" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestRejectedOnce keeps a body once, however often it comes, as it came.
func TestRejectedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	r := s.newReceiver(t, nil)
	const body = "<Response>\r\n\tno end"
	for range 3 {
		if a := r.post(t, body); a.status != 400 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	o, _ := s.Object(recordsIn, rejectedKey(body))
	if diff := cmp.Diff(body, string(o.Body)); diff != "" || len(s.Keys(recordsIn, "")) != 1 {
		t.Errorf("%d objects; kept (-want +got):\n%s", len(s.Keys(recordsIn, "")), diff)
	}
}

// TestBinaryIsKept keeps what came as base64 as the bytes it stands for.
func TestBinaryIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	body := string([]byte{0, 0xff, 0xfe, '\n', 0x80})
	a := s.newReceiver(t, nil).post(t, body) // the gateway makes base64 of it
	o, _ := s.Object(recordsIn, rejectedKey(body))
	if a.status != 400 || string(o.Body) != body {
		t.Errorf("%d %s; kept %q", a.status, a.body, o.Body)
	}
}

// TestTagsAreLeftAlone makes no request about tags that nobody asked for.
func TestTagsAreLeftAlone(t *testing.T) {
	t.Parallel()
	for _, x := range []exchange{
		{name: "off", body: string(sample(t, "digitalwatermark.xml"))},
		{name: "failed", body: strings.Replace(string(sample(t, "digitalwatermark.xml")), "<State>Success", "<State>Failed", 1), environment: []string{"TAG_MD5=true"}},
		{name: "no_md5", body: strings.Replace(string(sample(t, "digitalwatermark.xml")), sampleMD5, "", 1), environment: []string{"TAG_MD5=true"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 100)
			s.putOutput(t, sampleFile)
			if a := x.deliver(t, s.newReceiver(t, nil)); a.status != 200 || a.outcome() != "created" || strings.Contains(a.body, "tags") {
				t.Errorf("%d %s", a.status, a.body)
			}
			if o, _ := s.Object(mediaIn, sampleFile); s.RequestCount() != 1 || len(o.Tags) != 0 {
				t.Errorf("%d requests, tags %v", s.RequestCount(), o.Tags)
			}
		})
	}
}

// TestForeignTagsStay adds a tag to those that are there, under the key that is set.
func TestForeignTagsStay(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	s.putOutput(t, sampleFile, coslocal.Tag{Key: "project", Value: "x"}, coslocal.Tag{Key: "md5", Value: "another"})
	a := s.newReceiver(t, nil).post(t, string(sample(t, "digitalwatermark.json")), "TAG_MD5=1", "MD5_TAG_KEY=content-md5")
	o, _ := s.Object(mediaIn, sampleFile)
	want := []coslocal.Tag{{Key: "project", Value: "x"}, {Key: "md5", Value: "another"}, {Key: "content-md5", Value: sampleMD5}}
	if diff := cmp.Diff(want, o.Tags); diff != "" {
		t.Errorf("%d %s; tags (-want +got):\n%s", a.status, a.body, diff)
	}
}

// TestLongAnswer keeps an answer within what the platform takes, 6 MB: it leaves out what
// became of the tags.
func TestLongAnswer(t *testing.T) {
	t.Parallel()
	r := &response{status: 200}
	for range 1000 {
		tags := make([]tagResult, 40)
		for i := range tags {
			tags[i] = tagResult{Bucket: mediaIn, Object: strings.Repeat("o", 100), Outcome: store.Skipped, Reason: "x"}
		}
		r.Results = append(r.Results, result{ID: "j", Outcome: store.Created, Tags: tags})
	}
	encoded, err := r.encode()
	got := read(t, encoded, err)
	if len(encoded) > 6_000_000 || len(got.Results) != 1000 || got.outcome() != store.Created || got.Results[0].Tags != nil {
		t.Errorf("%d bytes, %d results", len(encoded), len(got.Results))
	}
	// One that is just not too long keeps them.
	r = &response{status: 200, Results: []result{{ID: "j", Tags: slices.Repeat([]tagResult{{Object: strings.Repeat("o", 100)}}, 35_000)}}}
	encoded, err = r.encode()
	if got := read(t, encoded, err); len(got.Results[0].Tags) != 35_000 {
		t.Errorf("%d bytes: %d tags", len(encoded), len(got.Results[0].Tags))
	}
}

// panicking is a connection that panics on requests of a method, and of tags or not.
type panicking struct {
	http.RoundTripper
	method string
	tags   bool
}

func (p panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == p.method && r.URL.Query().Has("tagging") == p.tags {
		panic("a bug for this test, with a secret in it")
	}
	return p.RoundTripper.RoundTrip(r)
}

// TestBug answers 500 to a bug in any goroutine, says what it is in the log alone, and goes
// on to work.
func TestBug(t *testing.T) {
	t.Parallel()
	body := string(sample(t, "digitalwatermark.xml"))
	for _, bug := range []struct {
		name, want string
		panicking
	}{
		{"record", `{"error":{"code":"internal","message":"…"},"results":[` + sampleUnstored + `,` + sampleTag + `,"outcome":"tagged"}]}]}`, panicking{method: "PUT"}},
		{"head", `{"error":{"code":"internal","message":"…"},"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"failed","reason":"` + receive.BugReason + `"}]}]}`, panicking{method: "HEAD"}},
		{"get_tags", `{"error":{"code":"internal","message":"…"},"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"failed","reason":"` + receive.BugReason + `"}]}]}`, panicking{method: "GET", tags: true}},
		{"put_tags", `{"error":{"code":"internal","message":"…"},"results":[` + sampleResult + `,` + sampleTag + `,"outcome":"failed","reason":"` + receive.BugReason + `"}]}]}`, panicking{method: "PUT", tags: true}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 100)
			s.putOutput(t, sampleFile)
			bug.RoundTripper = s.Client().Transport
			r := s.newReceiver(t, bug.panicking)
			checkBug(t, r.post(t, body, "TAG_MD5=true"), bug.want, r.output.String())
			if a := (exchange{method: http.MethodGet}).deliver(t, r); a.status != 200 {
				t.Errorf("after the bug: %d %s", a.status, a.body)
			}
		})
	}
	t.Run("handler", func(t *testing.T) {
		t.Parallel()
		r := newSite(t, 100).newReceiver(t, nil)
		r.options.Environ = func() []string { panic("a bug for this test, with a secret in it") }
		checkBug(t, r.post(t, body), `{"error":{"code":"internal","message":"…"}}`, r.output.String())
	})
	t.Run("rejected", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 100)
		r := s.newReceiver(t, panicking{s.Client().Transport, "PUT", false})
		checkBug(t, r.post(t, "hello"), `{"error":{"code":"internal","message":"…"}}`, r.output.String())
	})
}

func checkBug(t *testing.T, a told, want, log string) {
	t.Helper()
	if diff := cmp.Diff(want, withoutWords(a.body)); diff != "" || a.status != 500 {
		t.Errorf("status %d; body (-want +got):\n%s", a.status, diff)
	}
	if strings.Contains(a.body, "this test") || strings.Contains(a.body, "goroutine") {
		t.Errorf("the answer tells of the bug: %s", a.body)
	}
	if !strings.Contains(log, "a bug for this test") || !strings.Contains(log, "handler_test.go") {
		t.Errorf("the log has no stack of the bug: %s", log)
	}
	for line := range strings.Lines(log) {
		if len(line) > 8<<10 || !json.Valid([]byte(line)) {
			t.Errorf("a log line of %d bytes, or no JSON: %.300s", len(line), line)
		}
	}
}

// TestOtherTriggers returns an error, the only case of one, for an event that is no HTTP
// request.
func TestOtherTriggers(t *testing.T) {
	t.Parallel()
	for _, event := range []struct{ name, payload, trigger string }{
		{"callback", string(sample(t, "digitalwatermark.json")), "callback"},
		{"callback_xml", string(sample(t, "digitalwatermark.xml")), "callback"},
		{"cos", `{"Records":[{"cos":{"cosBucket":{}},"event":{}}]}`, "COS"},
		{"ckafka", `{"Records":[{"Ckafka":{"topic":"t"}}]}`, "CKafka"},
		{"clb", `{"headers":{},"payload":{"a":1}}`, "CLB"},
		{"nothing", `{}`, "unknown"},
	} {
		t.Run(event.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 100)
			r := s.newReceiver(t, nil)
			ctx, cancel := invoked(s.environment, timeLimit)
			defer cancel()
			returned, err := r.Invoke(ctx, []byte(event.payload))
			other, ok := errors.AsType[*trigger.UnsupportedError](err)
			if !ok || returned != nil || other.Trigger != event.trigger && event.trigger != "callback" || !strings.Contains(err.Error(), event.trigger) {
				t.Errorf("%q, %v", returned, err)
			}
			if s.RequestCount() != 0 || !strings.Contains(r.output.String(), event.trigger) {
				t.Errorf("%d requests; log %s", s.RequestCount(), r.output)
			}
		})
	}
}

// TestEventsOfOtherGateways answers events that carry a token or a body in another way.
func TestEventsOfOtherGateways(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"cloudbase":                    `{"kind":"review","id":"t0","state":"Success","outcome":"created","record":"ci/reviews/t0.json"}`,
		"function-url-base64-unmarked": `{"kind":"job","id":"j0","state":"Unknown","outcome":"created","record":"ci/jobs/j0.json"}`,
	} {
		payload, err := os.ReadFile(filepath.Join("..", "testdata", "events", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		s := newSite(t, 100)
		r := s.newReceiver(t, s.Server)
		ctx, cancel := invoked(s.with("CALLBACK_TOKEN=sample-token-000001"), timeLimit)
		defer cancel()
		returned, err := r.Invoke(ctx, payload)
		if a := read(t, returned, err); a.status != 200 || a.body != `{"results":[`+want+`]}` {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, want)
		}
	}
}

// TestCredentialsOfTheInvocation takes credentials from the invocation alone: not from
// the process's environment, where scf-go-lib leaves those of an earlier one.
func TestCredentialsOfTheInvocation(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	r := s.newReceiver(t, nil)
	var process []string
	for name, value := range s.environment {
		process = append(process, name+"="+value)
	}
	r.options.Environ = func() []string { return process }
	body := string(sample(t, "digitalwatermark.xml"))
	if a := r.post(t, body, "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN"); a.status != 500 || s.RequestCount() != 0 {
		t.Errorf("without credentials: %d %s, %d requests", a.status, a.body, s.RequestCount())
	}
	if a := r.post(t, body, "RECORD_BUCKET", "CALLBACK_TOKEN"); a.status != 200 { // settings may be the process's
		t.Errorf("with settings of the process: %d %s", a.status, a.body)
	}
}

// TestAnswersInTime answers before the platform kills the instance, a tenth of the time
// limit before the deadline and at least 300 milliseconds.
func TestAnswersInTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ limit, reserve time.Duration }{
		{600 * time.Millisecond, 300 * time.Millisecond},
		{4 * time.Second, 400 * time.Millisecond},
		{time.Minute, 6 * time.Second},
	} {
		t.Run(test.limit.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, -1)
			s.Inject(coslocal.Fault{Delay: time.Hour})
			synctest.Test(t, func(t *testing.T) {
				r := s.newReceiver(t, s.Server)
				started := time.Now()
				a := exchange{body: string(sample(t, "digitalwatermark.xml")), limit: test.limit}.deliver(t, r)
				if took := time.Since(started); a.status != 503 || took != test.limit-test.reserve {
					t.Errorf("%d after %v, want 503 after %v", a.status, took, test.limit-test.reserve)
				}
			})
		})
	}
}

// The reserve is a tenth of the time limit, however little of it is left. Where the platform
// does not say what that is, it is a tenth of what is left.
func TestReserve(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ limit, left, want time.Duration }{
		"all_is_left":    {20 * time.Second, 20 * time.Second, 18 * time.Second},
		"half_is_left":   {20 * time.Second, 10 * time.Second, 8 * time.Second},
		"little_is_left": {20 * time.Second, 3 * time.Second, time.Second},
		"a_short_limit":  {time.Second, time.Second, 700 * time.Millisecond},
		"not_told":       {0, 10 * time.Second, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.left)
				defer cancel()
				ctx = functioncontext.NewContext(ctx, &functioncontext.FunctionContext{TimeLimitInMs: int32(test.limit.Milliseconds())})
				ctx, cancelWork := withReserve(ctx)
				defer cancelWork()
				if deadline, _ := ctx.Deadline(); time.Until(deadline) != test.want {
					t.Errorf("%v for the work, want %v", time.Until(deadline), test.want)
				}
			})
		})
	}
}

// What is read from the environment is what the store works with.
func TestStoreOptions(t *testing.T) {
	t.Parallel()
	c := config.Config{
		Credentials: config.Credentials{SecretID: "id", SecretKey: "key", SessionToken: "token"}, Endpoint: "http://{bucket}.x",
		RecordBucket: "records-1250000000", RecordRegion: "ap-beijing", RecordPrefix: "ci/", Region: "ap-guangzhou",
		MD5TagKey: "md5", TagBuckets: []string{"a-1"}, AppID: "1250000000",
	}
	want := store.Options{
		Credentials: cosclient.Credentials{SecretID: "id", SecretKey: "key", SessionToken: "token"}, Endpoint: "http://{bucket}.x",
		Bucket: "records-1250000000", Region: "ap-beijing", Prefix: "ci/",
		TagKey: "md5", TagBuckets: []string{"a-1"}, AppID: "1250000000",
	}
	if diff := cmp.Diff(want, storeOptions(c)); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

// TestAnswersWithoutDeadline answers an invocation that has none, as SCF's always have,
// after half a minute.
func TestAnswersWithoutDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	s.Inject(coslocal.Fault{Delay: time.Hour})
	synctest.Test(t, func(t *testing.T) {
		r := s.newReceiver(t, s.Server)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx = functioncontext.NewContext(ctx, &functioncontext.FunctionContext{Environment: s.environment, TimeLimitInMs: 3000})
		started := time.Now()
		returned, err := r.Invoke(ctx, event(t, []string{token}, sample(t, "digitalwatermark.xml")))
		if a := read(t, returned, err); a.status != 503 || time.Since(started) != 30*time.Second {
			t.Errorf("%d after %v: %s", a.status, time.Since(started), a.body)
		}
	})
}
