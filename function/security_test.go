package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// recording is a connection that remembers every request that leaves.
type recording struct {
	http.RoundTripper
	mu   sync.Mutex
	sent []string // method and URL
	auth []string // whatever is secret
}

func (c *recording) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.sent = append(c.sent, r.Method+" "+r.URL.String())
	c.auth = append(c.auth, r.Header.Get("Authorization"))
	c.mu.Unlock()
	return c.RoundTripper.RoundTrip(r)
}

// TestForgedOutputs names buckets, regions and keys that a stranger would like the
// function to sign requests for. None leaves but for the record, which is kept.
func TestForgedOutputs(t *testing.T) {
	t.Parallel()
	type forged struct{ name, bucket, region, key string }
	cases := []forged{
		{"foreign_bucket", "stranger-1999999999", region, "o"},
		{"foreign_suffix", "stranger-9" + appID, region, "o"},
		{"appid_alone", appID, region, "o"},
		{"other_bucket_of_ours", "other-" + appID, region, "o"},
		{"bucket_is_host", "evil.example.com/-" + appID, region, "o"},
		{"bucket_with_dots", "evil.example.com-" + appID, region, "o"},
		{"bucket_with_user", "x@evil-" + appID, region, "o"},
		{"bucket_with_port", "x:1-" + appID, region, "o"},
		{"bucket_with_query", "x?-" + appID, region, "o"},
		{"bucket_with_fragment", "evil#-" + appID, region, "o"},
		{"bucket_upper_case", "Test-" + appID, region, "o"},
		{"bucket_with_line_end", mediaIn + "\n", region, "o"},
		{"bucket_long", strings.Repeat("x", 300) + "-" + appID, region, "o"},
		{"bucket_template", "{bucket}-" + appID, region, "o"},
		{"region_is_host", mediaIn, "evil.example.com/", "o"},
		{"region_with_dot", mediaIn, "a.evil", "o"},
		{"region_with_slash", mediaIn, "ap-chongqing/x", "o"},
		{"region_with_at", mediaIn, "x@evil.example.com", "o"},
		{"region_with_port", mediaIn, "ap-chongqing:1", "o"},
		{"region_with_line_end", mediaIn, "ap-chongqing\r\nX: y", "o"},
		{"region_template", mediaIn, "{region}", "o"},
		{"region_upper_case", mediaIn, "AP-CHONGQING", "o"},
		{"key_parent", mediaIn, region, ".."},
		{"key_self", mediaIn, region, "."},
		{"key_climbs", mediaIn, region, "a/../../b"},
		{"key_climbs_at_end", mediaIn, region, "a/.."},
		{"key_double_slash", mediaIn, region, "a//b"},
		{"key_slash", mediaIn, region, "//"},
		{"key_ends_in_slash", mediaIn, region, "a/"},
		{"key_backslash", mediaIn, region, `\a`},
		{"key_nul", mediaIn, region, "a\x00b"},
		{"key_line_end", mediaIn, region, "a\r\nHost: evil"},
		{"key_escape", mediaIn, region, "a\x1b"},
		{"key_delete", mediaIn, region, "a\x7f"},
		{"key_c1", mediaIn, region, "a\u0085"},
		{"key_long", mediaIn, region, strings.Repeat("x", 851)},
		{"key_template", mediaIn, region, "a-${Number}.jpg"},
	}
	for _, f := range cases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 100)
			connection := &recording{RoundTripper: s.Client().Transport}
			r := s.newReceiver(t, connection)
			b, err := json.Marshal(map[string]any{"EventName": "TaskFinish", "JobsDetail": map[string]any{
				"JobId": "j1", "State": "Success",
				"Operation": map[string]any{"MediaResult": map[string]any{"OutputFile": map[string]any{
					"Bucket": f.bucket, "Region": f.region, "ObjectName": []string{f.key}, "Md5Info": map[string]string{"ObjectName": f.key, "Md5": sampleMD5},
				}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			a := r.post(t, string(b), "TAG_MD5=true", "TAG_BUCKETS="+mediaIn)
			if a.status != 200 || a.outcome() != "created" {
				t.Errorf("%d %s", a.status, a.body)
			}
			for _, result := range a.Results {
				for _, tag := range result.Tags {
					if tag.Outcome != "skipped" || tag.Reason == "" {
						t.Errorf("tag %+v", tag)
					}
				}
			}
			want := []string{"PUT " + strings.NewReplacer("{bucket}", recordsIn, "{region}", region).Replace(s.Endpoint) + "/ci%2Fjobs%2Fj1.json"}
			if !slices.Equal(connection.sent, want) {
				t.Errorf("requests %q, want %q", connection.sent, want)
			}
		})
	}
}

// TestOwnAppID tags in the buckets of the function's own AppID where TAG_BUCKETS is not
// set, wherever the AppID comes from.
func TestOwnAppID(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	r := s.newReceiver(t, nil)
	for i, test := range []struct{ bucket, want string }{{mediaIn, "tagged"}, {"elsewhere-" + appID, "skipped"}, {"test-1" + appID, "skipped"}} {
		key := fmt.Sprintf("o%d", i)
		s.putOutput(t, key)
		a := r.post(t, strings.ReplaceAll(oneJob(fmt.Sprintf("j%d", i), "Success", "", key, sampleMD5), mediaIn, test.bucket), "TAG_MD5=true")
		if a.status != 200 || string(a.Results[0].Tags[0].Outcome) != test.want {
			t.Errorf("%s: %d %s", test.bucket, a.status, a.body)
		}
	}
}

// TestForgedIDs never become keys.
func TestForgedIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	r := s.newReceiver(t, nil)
	for _, id := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a.json", "a b", "a%2fb", "ä", "a\x00", "a\nb", strings.Repeat("a", 65), "?acl", "#", "j1,j2"} {
		b, err := json.Marshal(map[string]any{"JobsDetail": map[string]any{"JobId": id, "State": "Success"}})
		if err != nil {
			t.Fatal(err)
		}
		if a := r.post(t, string(b)); a.status != 400 || len(a.Rejected) == 0 {
			t.Errorf("%q: %d %s", id, a.status, a.body)
		}
	}
	for _, key := range s.Keys(recordsIn, "") {
		if !strings.HasPrefix(key, "ci/rejected/") {
			t.Errorf("stored %s", key)
		}
	}
	if len(s.BucketTags(recordsIn)) != 0 {
		t.Error("the bucket was tagged")
	}
}

// TestBombs answers bodies that are made to blow up in a parser with 400, and keeps them.
// How soon is TestWorstBodies' business.
func TestBombs(t *testing.T) {
	t.Parallel()
	laughs := `<!DOCTYPE lolz [<!ENTITY a "lol">` + func() string {
		var b strings.Builder
		for c := 'b'; c < 'l'; c++ {
			fmt.Fprintf(&b, `<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
		}
		return b.String()
	}() + `]><Response><JobsDetail><JobId>j1</JobId><UserData>&k;</UserData></JobsDetail></Response>`
	bombs := map[string]string{
		"xml_billion_laughs":  laughs,
		"xml_external_entity": `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response><JobsDetail><JobId>j1</JobId><UserData>&x;</UserData></JobsDetail></Response>`,
		"xml_external_dtd":    `<!DOCTYPE r SYSTEM "http://127.0.0.1:1/evil.dtd"><Response/>`,
		"xml_own_entity":      `<Response><JobsDetail><JobId>j1</JobId><UserData>&x;</UserData></JobsDetail></Response>`,
		"xml_encoding":        `<?xml version="1.0" encoding="UTF-7"?><Response><JobsDetail><JobId>j1</JobId></JobsDetail></Response>`,
		"xml_deep":            strings.Repeat("<a>", 1_000_000),
		"xml_two_roots":       `<Response><JobsDetail><JobId>j1</JobId></JobsDetail></Response><Response/>`,
		"json_deep":           strings.Repeat(`{"a":`, 1_000_000),
		"json_deep_arrays":    strings.Repeat(`[`, testsize.Pick(300_000, 6_000_000)),
		"json_deep_in_object": `{"a":` + strings.Repeat(`[`, testsize.Pick(300_000, 6_000_000)),
		"json_many":           `{"JobsDetail":{"JobId":"j1","a":[` + strings.Repeat(`1,`, 1_000_000) + `1]}}`,
		"json_many_jobs":      `{"JobsDetail":[` + strings.Repeat(`{"JobId":"j"},`, 1_000) + `{"JobId":"j"}]}`,
		"json_two_objects":    `{"JobsDetail":{"JobId":"j1"}}{"JobsDetail":{"JobId":"j2"}}`,
		"json_half_surrogate": `{"JobsDetail":{"JobId":"j1","UserData":"\ud800"}}`,
	}
	s := newSite(t, -1)
	for name, bomb := range bombs {
		a := s.newReceiver(t, s.Server).post(t, bomb)
		if a.status != 400 || a.Rejected != rejectedKey(bomb) {
			t.Errorf("%s: %d %.300s", name, a.status, a.body)
		}
		if o, _ := s.Object(recordsIn, a.Rejected); string(o.Body) != bomb {
			t.Errorf("%s: %d bytes were kept of %d", name, len(o.Body), len(bomb))
		}
	}
}

// TestTokenGuessing answers every wrong token the same, whatever it has in common with
// a right one, and asks COS nothing.
func TestTokenGuessing(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	r := s.newReceiver(t, nil)
	const yesterday, today = "the-token-of-yesterday", "the-token-of-today"
	environment := "CALLBACK_TOKEN=" + yesterday + "," + today
	body := string(sample(t, "digitalwatermark.xml"))
	answers := map[string]bool{}
	for _, guess := range []string{
		"", "x", today[:17], today + "x", strings.ToUpper(today), " " + today, today + "\n", today + "\x00", yesterday + "," + today, ",", "%",
		"the-token-of-todax", "xhe-token-of-today", strings.Repeat("x", len(today)), strings.Repeat("x", 1<<20), "true", "null", "*", ".*", "none",
	} {
		a := exchange{tokens: []string{guess}, body: body, environment: []string{environment}}.deliver(t, r)
		answers[fmt.Sprintf("%d %v %s", a.status, a.headers, a.body)] = true
	}
	many := slices.Repeat([]string{"guess"}, 1000)
	a := exchange{tokens: many, body: body, environment: []string{environment}}.deliver(t, r)
	answers[fmt.Sprintf("%d %v %s", a.status, a.headers, a.body)] = true
	for answer := range answers {
		if !strings.HasPrefix(answer, "401 ") || strings.Contains(answer, "16") || len(answers) != 1 {
			t.Errorf("answer %s", answer)
		}
	}
	if s.RequestCount() != 0 {
		t.Errorf("%d COS requests", s.RequestCount())
	}
	for _, right := range []string{yesterday, today} {
		if a := (exchange{tokens: []string{right}, body: body, environment: []string{environment}}).deliver(t, r); a.status != 200 {
			t.Errorf("%s: %d %s", right, a.status, a.body)
		}
	}
	logLines(t, r.output.String())
	for _, secret := range []string{yesterday, today} {
		if strings.Contains(r.output.String(), secret) {
			t.Errorf("the log holds a token: %s", r.output)
		}
	}
}

// TestNoSecrets looks for secrets in every answer and log line, whatever goes wrong.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	const told = "a text that the body holds"
	body := strings.Replace(string(sample(t, "digitalwatermark.xml")), "This is my DigitalWatermark job.", told, 1)
	broken := func(f coslocal.Fault) func(*testing.T, *site) {
		return func(t *testing.T, s *site) { s.putOutput(t, sampleFile); s.Inject(f) }
	}
	for _, x := range []exchange{
		{name: "stored", body: body, arrange: func(t *testing.T, s *site) { s.putOutput(t, sampleFile) }},
		{name: "unauthorized", body: body, tokens: []string{"a-guess-at-the-token"}},
		{name: "malformed", body: told},
		{name: "cut", body: strings.TrimSuffix(body, "</Response>\n")},
		{name: "denied", body: body, arrange: broken(coslocal.Fault{Status: 403})},
		{name: "unavailable", body: body, arrange: broken(coslocal.Fault{Status: 503})},
		{name: "reset", body: body, arrange: broken(coslocal.Fault{Reset: true})},
		{name: "stalled", body: body, arrange: broken(coslocal.Fault{Delay: time.Minute})},
		{name: "page", body: body, arrange: broken(coslocal.Fault{Status: 403, Body: []byte("<html>q-sign-algorithm=sha1 " + secretKey + "</html>")})},
		{name: "echo", body: body, arrange: broken(coslocal.Fault{Status: 403, Body: []byte("<Error><Code>SignatureDoesNotMatch</Code><Message>" + sessionText + "</Message><StringToSign>" + secretKey + "</StringToSign></Error>")})},
		{name: "out_of_reach", body: body, environment: []string{"COS_ENDPOINT=http://{bucket}.cos.{region}.localhost:1"}},
		{name: "password_in_endpoint", body: body, environment: []string{"COS_ENDPOINT=http://user:" + secretKey + "@{bucket}.cos.{region}.localhost:1"}},
		{name: "password_in_odd_endpoint", body: body, environment: []string{"COS_ENDPOINT=http://user:" + secretKey + "@%zz"}},
		{name: "secret_in_wrong_place", body: body, environment: []string{"TAG_MD5=" + secretKey}},
		{name: "secret_as_size", body: body, environment: []string{"MAX_BODY_BYTES=" + secretKey}},
		{name: "secret_as_auth", body: body, environment: []string{"CALLBACK_AUTH=" + secretKey}},
		{name: "short_token", body: body, environment: []string{"CALLBACK_TOKEN=short-token"}, tokens: []string{"short-token"}},
		{name: "wrong_key", body: body, environment: []string{"TENCENTCLOUD_SECRETKEY=wrong-" + secretKey}},
		{name: "no_id", body: body, environment: []string{"TENCENTCLOUD_SECRETID"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 100)
			if x.arrange != nil {
				x.arrange(t, s)
			}
			x.limit = 500 * time.Millisecond
			x.environment = append([]string{"TAG_MD5=true"}, x.environment...)
			connection := &recording{RoundTripper: s.Server}
			r := s.newReceiver(t, connection)
			a := x.deliverTo(t, r)
			logLines(t, r.output.String())
			secrets := append([]string{token, secretKey, sessionText, "a-guess-at-the-token", "short-token", "q-sign-algorithm", "q-signature", told}, connection.auth...)
			for _, secret := range secrets {
				if strings.Contains(a.body, secret) || strings.Contains(r.output.String(), secret) {
					t.Errorf("%q is in the answer or the log:\n%s\n%s", secret, a.body, r.output)
				}
			}
		})
	}
}

// TestSignedRequestsStay checks that a redirect of COS does not carry a signature
// elsewhere.
func TestSignedRequestsStay(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	for _, status := range []int{301, 302, 307, 308} {
		remove := s.Inject(coslocal.Fault{Status: status, Body: []byte{}, Header: http.Header{"Location": {"http://evil.localhost:1/"}}})
		connection := &recording{RoundTripper: s.Server}
		x := exchange{body: string(sample(t, "digitalwatermark.xml")), limit: 500 * time.Millisecond}
		if a := x.deliverTo(t, s.newReceiver(t, connection)); a.status < 500 {
			t.Errorf("%d: %d %s", status, a.status, a.body)
		}
		for _, sent := range connection.sent {
			if !strings.Contains(sent, "//"+recordsIn+".cos.") {
				t.Errorf("%d: request to %s", status, sent)
			}
		}
		remove()
	}
}
