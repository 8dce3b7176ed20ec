package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// logLines reads what a function printed: JSON lines that CLS keeps whole, each on one
// level that it can index, or nearly so.
func logLines(t *testing.T, output string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for text := range strings.Lines(output) {
		if strings.ContainsFunc(strings.TrimSuffix(text, "\n"), func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("a log line with characters that are not to be printed: %q", text)
		}
		if len(text) > 8<<10 {
			t.Errorf("a log line of %d bytes", len(text))
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("a log line that is no JSON: %v\n%s", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

// callbackLine returns the one line of a callback.
func callbackLine(t *testing.T, output string) map[string]any {
	t.Helper()
	lines := slices.DeleteFunc(logLines(t, output), func(l map[string]any) bool { return l["msg"] != "callback" })
	if len(lines) != 1 {
		t.Fatalf("%d lines of a callback:\n%s", len(lines), output)
	}
	return lines[0]
}

// TestLog says what is in the line of a callback.
func TestLog(t *testing.T) {
	t.Parallel()
	xml := string(sample(t, "digitalwatermark.xml"))
	usual := func(changes map[string]any) map[string]any {
		line := map[string]any{
			"level": "INFO", "msg": "callback", "requestId": "request-id-of-this-test", "status": 200.0, "method": "POST", "source": "192.0.2.1",
			"bodyBytes": float64(len(xml)), "cosRequests": 1.0,
			"job": sampleJob, "kind": "job", "state": "Success", "tag": "DigitalWatermark", "outcome": "created",
			"bucket": mediaIn, "queue": "p2242ab62c7c94486915508540933a2c6",
		}
		maps.Copy(line, changes)
		maps.DeleteFunc(line, func(_ string, v any) bool { return v == nil })
		return line
	}
	noJob := map[string]any{"job": nil, "kind": nil, "state": nil, "tag": nil, "outcome": nil, "bucket": nil, "queue": nil}
	with := func(m map[string]any, changes map[string]any) map[string]any {
		m = maps.Clone(m)
		maps.Copy(m, changes)
		return usual(m)
	}
	for _, test := range []struct {
		exchange
		want map[string]any
	}{
		{exchange{name: "created", body: xml}, usual(nil)},
		{exchange{name: "tagged", body: xml, environment: []string{"TAG_MD5=true"}, arrange: func(t *testing.T, s *site) { s.putOutput(t, sampleFile) }},
			usual(map[string]any{"cosRequests": 4.0, "tags": map[string]any{"tagged": 1.0}})},
		{exchange{name: "tag_skipped", body: xml, environment: []string{"TAG_MD5=true"}},
			usual(map[string]any{"cosRequests": 3.0, "tags": map[string]any{"skipped": 1.0}, "tagReason": "there is no such object"})},
		{exchange{name: "unauthenticated", body: xml, environment: []string{"CALLBACK_AUTH=none"}, tokens: []string{}}, usual(map[string]any{"unauthenticated": true})},
		{exchange{name: "unauthorized", body: xml, tokens: []string{"guess"}},
			with(noJob, map[string]any{"level": "WARN", "status": 401.0, "code": "unauthorized", "cosRequests": nil, "bodyBytes": 0.0, "error": "the query parameter token is missing or wrong"})},
		{exchange{name: "malformed", body: "hello"},
			with(noJob, map[string]any{"level": "WARN", "status": 400.0, "code": "malformed_callback", "bodyBytes": 5.0, "rejected": rejectedKey("hello"), "error": "…"})},
		{exchange{name: "misconfigured", body: xml, arrange: denying("PutObject")},
			usual(map[string]any{"level": "ERROR", "status": 500.0, "code": "misconfigured", "outcome": "failed", "error": "…"})},
		{exchange{name: "several", body: string(sample(t, "multijobs.xml"))},
			with(noJob, map[string]any{"bodyBytes": float64(len(sample(t, "multijobs.xml"))), "cosRequests": 3.0, "jobs": 3.0, "outcomes": map[string]any{"created": 3.0},
				"results": []any{
					map[string]any{"id": "j00000000000000000000000000000a18", "kind": "job", "state": "Success", "tag": "Transcode", "outcome": "created"},
					map[string]any{"id": "j00000000000000000000000000000a19", "kind": "job", "state": "Failed", "tag": "Transcode", "outcome": "created"},
					map[string]any{"id": "j00000000000000000000000000000a1a", "kind": "job", "state": "Success", "tag": "Transcode", "outcome": "created"},
				}, "bucket": "examplebucket-1250000000", "queue": "p00000000000000000000000000000f01"})},
		{exchange{name: "health", method: "GET", environment: []string{"LOG_LEVEL=debug"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, -1)
			if test.arrange != nil {
				test.arrange(t, s)
			}
			r := s.newReceiver(t, nil)
			test.deliver(t, r)
			if test.want == nil {
				if r.output.String() != "" {
					t.Errorf("a line of a health check: %s", r.output)
				}
				return
			}
			line := callbackLine(t, r.output.String())
			checkTimes(t, line)
			if text, _ := line["error"].(string); test.want["error"] == "…" && text != "" {
				line["error"] = "…"
			}
			if diff := cmp.Diff(test.want, line); diff != "" {
				t.Errorf("log line (-want +got):\n%s", diff)
			}
		})
	}
}

// checkTimes checks when a line was written and how long the callback took, and takes both
// out of it.
func checkTimes(t *testing.T, line map[string]any) {
	t.Helper()
	text, _ := line["time"].(string)
	if written, err := time.Parse(time.RFC3339, text); err != nil || time.Since(written) > time.Minute || time.Since(written) < 0 {
		t.Errorf("time %v", line["time"])
	}
	if ms, ok := line["durationMs"].(float64); !ok || ms <= 0 || ms > 30_000 {
		t.Errorf("durationMs %v", line["durationMs"])
	}
	delete(line, "durationMs")
	delete(line, "time")
}

// TestLogOfDeniedTag has an error in the log that says what to grant.
func TestLogOfDeniedTag(t *testing.T) {
	t.Parallel()
	s := newSite(t, -1)
	denying("PutObjectTagging")(t, s)
	r := s.newReceiver(t, nil)
	if a := r.post(t, string(sample(t, "digitalwatermark.xml")), "TAG_MD5=true"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	lines := logLines(t, r.output.String())
	if len(lines) != 2 || lines[0]["level"] != "ERROR" || lines[0]["requestId"] != "request-id-of-this-test" ||
		!strings.Contains(fmt.Sprint(lines[0]["error"]), "name/cos:PutObjectTagging") || lines[1]["msg"] != "callback" {
		t.Errorf("log: %s", r.output)
	}
}

// TestLogOfOddKey shows nothing of a key that a terminal would obey, neither in the error
// nor in the line of the callback.
func TestLogOfOddKey(t *testing.T) {
	t.Parallel()
	const key = "x\u202egnp.exe\u200b"
	s := newSite(t, -1)
	s.Deny(func(r coslocal.Request) bool { return r.Action() == "PutObjectTagging" })
	s.putOutput(t, key)
	r := s.newReceiver(t, s.Server)
	r.post(t, oneJob("j1", "Success", "", key, sampleMD5), "TAG_MD5=true")
	lines := logLines(t, r.output.String())
	if len(lines) != 2 || !strings.Contains(fmt.Sprint(lines[0]["error"]), "gnp.exe") || !strings.Contains(fmt.Sprint(lines[1]["tagReason"]), "gnp.exe") {
		t.Errorf("log: %s", r.output)
	}
}

// TestLogLevel is taken from each invocation anew.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	r := newSite(t, -1).newReceiver(t, nil)
	body := string(sample(t, "digitalwatermark.xml"))
	r.post(t, body, "LOG_LEVEL=error")
	if r.output.String() != "" {
		t.Errorf("LOG_LEVEL=error: %s", r.output)
	}
	r.post(t, body)
	if r.output.String() == "" {
		t.Error("the level stayed")
	}
}

// hostile are texts that somebody may put where they end up in a log.
func hostile() map[string]string {
	return map[string]string{
		"line_end":        "x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\n",
		"carriage_return": "x\r\rforged",
		"quotes":          `x","msg":"forged","a":"`,
		"ansi":            "x\x1b[2J\x1b[31mforged",
		"line_separator":  "x\u2028forged\u2029",
		"bidi":            "x\u202egnp.exe",
		"c1":              "x\u0085\u009bforged",
		"backslashes":     strings.Repeat(`\`, 3000),
		"long":            strings.Repeat("x", 100_000),
		"long_quotes":     strings.Repeat(`"`, 100_000),
		"long_controls":   strings.Repeat("\u2028", 50_000),
		"long_wide":       strings.Repeat("日", 50_000),
		"percent":         "%s%n%!d",
		"markup":          "</script><script>alert(1)</script>",
	}
}

// TestLogInjection puts hostile texts into every field of a callback and of a request
// that is logged or answered. The log stays one line, whole, below what CLS keeps.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	bodies := map[string]func(text string) string{
		"state":     func(x string) string { return `{"JobsDetail":{"JobId":"j1","State":` + quote(x) + `}}` },
		"id":        func(x string) string { return `{"JobsDetail":{"JobId":` + quote(x) + `}}` },
		"user_data": func(x string) string { return `{"JobsDetail":{"JobId":"j1","UserData":` + quote(x) + `}}` },
		"event":     func(x string) string { return `{"EventName":` + quote(x) + `,"JobsDetail":{"JobId":"j1"}}` },
		"name":      func(x string) string { return `{"JobsDetail":{"JobId":"j1",` + quote(x) + `:{"a":[1}}}` },
		"no_json":   func(x string) string { return `{"JobsDetail":` + x },
		"no_xml":    func(x string) string { return `<` + x },
		"xml_state": func(x string) string { return `<JobsDetail><JobId>j1</JobId><State>` + x + `</State></JobsDetail>` },
		"nothing":   func(x string) string { return x },
		"bucket": func(x string) string {
			return strings.Replace(oneJob("j1", "Success", "", "o", sampleMD5), quote(mediaIn), quote(x), 1)
		},
		"region": func(x string) string {
			return strings.Replace(oneJob("j1", "Success", "", "o", sampleMD5), quote(region), quote(x), 1)
		},
		"key": func(x string) string {
			return strings.ReplaceAll(oneJob("j1", "Success", "", "the-key", sampleMD5), quote("the-key"), quote(x))
		},
		"several": func(x string) string {
			return `{"JobsDetail":[{"JobId":"j1","State":` + quote(x) + `},{"JobId":"j2","State":` + quote(x) + `}]}`
		},
	}
	s := newSite(t, -1)
	for _, field := range slices.Sorted(maps.Keys(bodies)) {
		for _, kind := range slices.Sorted(maps.Keys(hostile())) {
			r := s.newReceiver(t, s.Client().Transport)
			a := r.post(t, bodies[field](hostile()[kind]), "TAG_MD5=true")
			callbackLine(t, r.output.String())
			if a.status != 200 && a.status != 400 || len(a.body) > 16<<10 {
				t.Errorf("%s, %s: %d, %d bytes: %.300s", field, kind, a.status, len(a.body), a.body)
			}
			if t.Failed() {
				t.Fatalf("%s, %s", field, kind)
			}
		}
	}
	for kind, text := range hostile() {
		// Of several ids of the request, the platform's goes into the log; the gateway's, which
		// a client may send itself, where there is none.
		for _, withID := range []bool{true, false} {
			checkHostileRequest(t, s, kind, quote(text), withID)
		}
	}
}

// checkHostileRequest sends a request with a text, quoted as JSON, wherever one can be.
func checkHostileRequest(t *testing.T, s *site, kind, text string, withID bool) {
	t.Helper()
	r := s.newReceiver(t, s.Client().Transport)
	payload := fmt.Appendf(nil, `{"httpMethod":%s,"headers":{"x-scf-remote-addr":%[1]s,"x-api-requestid":%[1]s},"queryString":{"token":%[1]s},"requestContext":{"requestId":%[1]s}}`, text)
	ctx, cancel := invoked(s.environment, timeLimit)
	defer cancel()
	if f, _ := functioncontext.FromContext(ctx); !withID {
		f.RequestID = ""
	}
	returned, err := r.Invoke(ctx, payload)
	if a := read(t, returned, err); a.status != 405 {
		t.Errorf("%s: %d %s", kind, a.status, a.body)
	}
	line := callbackLine(t, r.output.String())
	if id, _ := line["requestId"].(string); (id == "request-id-of-this-test") != withID || id == "" {
		t.Errorf("%s: the request's id is %q", kind, id)
	}
}

// TestLogOfHealthChecks has a line of GET and HEAD at debug level alone.
func TestLogOfHealthChecks(t *testing.T) {
	t.Parallel()
	r := newSite(t, -1).newReceiver(t, nil)
	body := string(sample(t, "digitalwatermark.xml"))
	for _, level := range []string{"info", "debug"} {
		r.post(t, body, "LOG_LEVEL="+level)
		r.output.Reset()
		for _, method := range []string{"GET", "HEAD"} {
			exchange{method: method}.deliver(t, r)
		}
		lines := logLines(t, r.output.String())
		if level == "info" && len(lines) != 0 {
			t.Errorf("at info: %s", r.output)
		}
		if level == "debug" && (len(lines) != 2 || lines[0]["level"] != "DEBUG" || lines[0]["method"] != "GET" || lines[1]["method"] != "HEAD") {
			t.Errorf("at debug: %s", r.output)
		}
	}
}

// TestLogOfDeepBug keeps the line of a bug below what CLS keeps, however deep it happens.
func TestLogOfDeepBug(t *testing.T) {
	t.Parallel()
	r := newSite(t, 100).newReceiver(t, nil)
	var deep func(n int) []string
	deep = func(n int) []string {
		if n == 0 {
			panic(strings.Repeat("\"\u2028", 10_000))
		}
		return deep(n - 1)
	}
	r.options.Environ = func() []string { return deep(500) }
	if a := r.post(t, "x"); a.status != 500 {
		t.Errorf("%d %s", a.status, a.body)
	}
	bugs := slices.DeleteFunc(logLines(t, r.output.String()), func(l map[string]any) bool { return l["msg"] != "bug" })
	if len(bugs) != 1 || len(bugs[0]["stack"].(string)) < 3_000 {
		t.Errorf("log: %s", r.output)
	}
}

// TestLogOfManyErrors names what is wrong with every setting at once, in one line that CLS
// keeps.
func TestLogOfManyErrors(t *testing.T) {
	t.Parallel()
	hostile := strings.Repeat("\"\\", 500)
	var environment []string
	for _, v := range config.Variables() {
		if !strings.HasPrefix(v.Name, "CALLBACK_") {
			environment = append(environment, v.Name+"="+hostile)
		}
	}
	s := newSite(t, -1)
	r := s.newReceiver(t, nil)
	a := r.post(t, "x", environment...)
	line := callbackLine(t, r.output.String())
	for _, name := range []string{"RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "TAG_MD5", "MD5_TAG_KEY", "TAG_BUCKETS", "COS_ENDPOINT", "MAX_BODY_BYTES", "LOG_LEVEL"} {
		if !strings.Contains(a.Error.Message, name) || !strings.Contains(fmt.Sprint(line["error"]), name) {
			t.Errorf("%s is not named: %s\n%v", name, a.body, line["error"])
		}
	}
	if a.status != 500 || len(a.body) > 16<<10 {
		t.Errorf("%d, %d bytes", a.status, len(a.body))
	}
}

// TestLogOfThousandJobs stays below what CLS keeps of a line, whatever becomes of them and
// whatever they say.
func TestLogOfThousandJobs(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"usual": "ExtractDigitalWatermark", "long": strings.Repeat("x", 200), "quotes": strings.Repeat(`"`, 200), "controls": strings.Repeat("\u2028", 200), "wide": strings.Repeat("日", 200)} {
		s := newSite(t, -1)
		s.Inject(coslocal.Fault{Status: 403, Match: func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "9.json") }})
		var body strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&body, `<JobsDetail><JobId>%064d</JobId><State>%s</State><Tag>%[2]s</Tag><QueueId>%[1]d%[2]s</QueueId><Input><BucketId>b%[1]d-1</BucketId></Input></JobsDetail>`, i, text)
		}
		r := s.newReceiver(t, s.Server)
		a := r.post(t, "<Response>"+body.String()+"</Response>", "RECORD_PREFIX="+strings.Repeat("p", 300)+"/")
		line := callbackLine(t, r.output.String())
		want := map[string]any{"created": 900.0, "failed": 100.0}
		if diff := cmp.Diff(want, line["outcomes"]); diff != "" || a.status != 500 || line["jobs"] != 1000.0 {
			t.Errorf("%s: status %d, %v jobs; outcomes (-want +got):\n%s", name, a.status, line["jobs"], diff)
		}
		if listed, _ := line["results"].([]any); len(listed) < 9 || len(listed) > 20 || name == "usual" && len(listed) != 20 {
			t.Errorf("%s: the line names %d jobs", name, len(listed))
		}
	}
}
