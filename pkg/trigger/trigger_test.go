package trigger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/trigger"
)

const events = "../../testdata/events/"

func readEvent(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(events + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seen is what a request says.
type seen struct {
	Method, SourceIP, ID, Body string
	Tokens                     []string
	Malformed                  bool
}

func see(r *trigger.Request) seen {
	body, err := r.Body()
	return seen{r.Method, r.SourceIP, r.ID, string(body), r.Tokens, err != nil}
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	const xml = "<Response><EventName>TaskFinish</EventName></Response>"
	post := func(change func(*seen)) seen {
		s := seen{
			Method: "POST", SourceIP: "203.0.113.7", ID: "0d6f1c52-41f7-4c1e-9a53-77b0e2c4a9d1", Body: xml,
			Tokens: []string{"sample-token-000001"},
		}
		change(&s)
		return s
	}
	same := func(*seen) {}
	tests := map[string]seen{
		"apigw":                     post(same),
		"apigw-base64-bool":         post(same),
		"apigw-base64-string":       post(same),
		"apigw-base64-false":        post(same),
		"apigw-base64-false-string": post(same),
		"apigw-base64-broken":       post(func(s *seen) { s.Body, s.Malformed = "{key:value}", true }),
		"apigw-body-null":           post(func(s *seen) { s.Body = "" }),
		"apigw-multi-value":         post(func(s *seen) { s.Tokens = []string{"sample-token-000001", "sample-token-000002"} }),
		"apigw-header-lists":        post(func(s *seen) { s.SourceIP, s.ID = "198.51.100.4", "5c1be2f0d9" }),
		"apigw-header-case":         post(func(s *seen) { s.SourceIP, s.ID, s.Tokens = "", "77aa01", nil }),
		"apigw-odd-types": post(func(s *seen) {
			s.SourceIP, s.ID = "", ""
			s.Tokens = []string{"1234567890123456"}
			s.Body = "{\n    \"EventName\": \"TaskFinish\"\n  }"
		}),
		"function-url": post(func(s *seen) {
			s.SourceIP, s.ID = "192.0.2.33", "b1d0c6ce-5a8e-4f0b-8a3b-f0e1d2c3b4a5"
			s.Body = `{"EventName":"TaskFinish","JobsDetail":{"JobId":"j0"}}`
		}),
		"function-url-base64-unmarked": post(func(s *seen) {
			s.SourceIP, s.ID = "192.0.2.34", ""
			s.Body = `{"EventName":"TaskFinish","JobsDetail":{"JobId":"j0","Message":"中文"}}`
		}),
		"function-url-get": {Method: "GET", SourceIP: "192.0.2.33"},
		"cloudbase": post(func(s *seen) {
			s.SourceIP, s.ID = "", "a7d0e3"
			s.Body = `{"code":0,"data":{"trace_id":"t0"}}`
		}),
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := trigger.Parse(readEvent(t, name))
			if err != nil || e.Timer != nil {
				t.Fatal(e, err)
			}
			if diff := cmp.Diff(want, see(e.Request)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTimer(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"timer": "nightly", "timer-bare": ""} {
		e, err := trigger.Parse(readEvent(t, name))
		if err != nil || e.Request != nil || e.Timer == nil || e.Timer.Name != want {
			t.Errorf("%s: Parse = %+v, %v; want the timer %q", name, e.Timer, err, want)
		}
	}
}

func TestParseUnsupported(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"clb": "CLB", "cos": "COS", "ckafka": "CKafka", "cmq": "CMQ", "tdmq": "TDMQ", "cls": "CLS",
		"empty-object": "unknown", "unknown": "unknown", "odd-records": "unknown", "array": "unknown", "null": "unknown", "string": "unknown",
		"method-empty": "unknown", "method-null": "unknown",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantUnsupported(t, readEvent(t, name), want, want)
		})
	}
}

// A callback that is handed over in the place of an event, as by a mistake in a command
// line, is told so, whatever form it has.
func TestParseCallback(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"transcode.json", "transcode.xml", "workflow.json", "review-image-simple.json", "transcode-noevent.json", "workflow-noroot.xml"} {
		callback, err := os.ReadFile("../../testdata/callbacks/" + name)
		if err != nil {
			t.Fatal(err)
		}
		wantUnsupported(t, callback, "none", "this is a callback")
		wantUnsupported(t, append([]byte("\n "), callback...), "none", "POST")
		wantUnsupported(t, append([]byte("\ufeff"), callback...), "none", "POST")
	}
	wantUnsupported(t, []byte(`{"Response":{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1"}}}`), "none", "POST")
}

func wantUnsupported(t *testing.T, payload []byte, name, says string) {
	t.Helper()
	event, err := trigger.Parse(payload)
	e, ok := errors.AsType[*trigger.UnsupportedError](err)
	if !ok || event != (trigger.Event{}) {
		t.Fatalf("Parse = %v, %v; want an UnsupportedError", event, err)
	}
	if e.Trigger != name || !strings.Contains(e.Error(), says) {
		t.Errorf("trigger = %q, error %q; want %q, %q", e.Trigger, e, name, says)
	}
}

func TestParseGarbage(t *testing.T) {
	t.Parallel()
	check := func(name string, payload []byte) {
		event, err := trigger.Parse(payload)
		_, unsupported := errors.AsType[*trigger.UnsupportedError](err)
		if err == nil || unsupported || event != (trigger.Event{}) {
			t.Errorf("%s: Parse = %v, %v; want an error that names no trigger", name, event, err)
		}
	}
	for _, name := range []string{"garbage-half", "garbage-empty", "garbage-text"} {
		check(name, readEvent(t, name))
	}
	check("deep", []byte(`{"httpMethod":"POST","x":`+strings.Repeat("[", 1<<20)))
	check("deep_in_body", []byte(`{"httpMethod":"POST","body":`+strings.Repeat(`{"a":`, 1<<20)))
}

// Values may be nested as deep as encoding/json has it, and there may be any number of them
// side by side.
func TestParseDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return `{"httpMethod":"GET","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	beside := func(value string) string {
		return `{"httpMethod":"GET","x":[` + strings.Repeat(value+",", 20_000) + value + `]}`
	}
	for name, event := range map[string]string{
		"deepest": nested(10_000), "arrays": beside("[1]"), "empty_arrays": beside("[]"), "objects": beside(`{"a":1}`), "empty_objects": beside("{}"),
	} {
		if e, err := trigger.Parse([]byte(event)); err != nil || e.Request == nil || !json.Valid([]byte(event)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e, err := trigger.Parse([]byte(nested(10_001))); err == nil || json.Valid([]byte(nested(10_001))) {
		t.Errorf("too deep: %v", e)
	}
}

// Every sample event is in one of the tables above.
func TestEventsAreAllTested(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("trigger_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(events + "*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !bytes.Contains(source, []byte(`"`+name+`"`)) {
			t.Errorf("no test of %s", name)
		}
	}
}

func parse(t testing.TB, event string) *trigger.Request {
	t.Helper()
	e, err := trigger.Parse([]byte(event))
	if err != nil || e.Request == nil {
		t.Fatal(e, err)
	}
	return e.Request
}

func TestBody(t *testing.T) {
	t.Parallel()
	base64Of := func(s string) string { return `"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"` }
	tests := []struct {
		name, body, flag string // JSON
		want             string
		malformed        bool
	}{
		{"text", `"a<b>&\u00e9\ud83d\ude00\n"`, `false`, "a<b>&é😀\n", false},
		{"escapes", `"\"\\\/\b\f\n\r\t\u0041"`, `false`, "\"\\/\b\f\n\r\tA", false},
		{"replacement_character", `"\ufffd \uFFFD ` + "\ufffd" + `"`, `false`, "\ufffd \ufffd \ufffd", false},
		{"json_in_json", `"{\"a\":\"\\\ufffd\"}"`, `false`, `{"a":"\` + "\ufffd" + `"}`, false},
		{"invalid_utf8", "\"a\xffb\"", `false`, "a\xffb", false},
		{"invalid_behind_an_escape", "\"\\\\ufffd \xff\"", `false`, `\ufffd ` + "\xff", false},
		{"invalid_utf8_in_object", "{\"a\":\"\xff\"}", `false`, "{\"a\":\"\xff\"}", false},
		{"half_a_surrogate_pair", `"a\ud83db"`, `false`, "a\xed\xa0\xbdb", false},
		{"second_half_first", `"\ude00\ud83d"`, `false`, "\xed\xb8\x80\xed\xa0\xbd", false},
		{"half_before_a_pair", `"\ud83d\ud83d\ude00"`, `false`, "\xed\xa0\xbd😀", false},
		{"empty", `""`, `false`, "", false},
		{"base64", `"AAECAw=="`, `true`, "\x00\x01\x02\x03", false},
		{"base64_of_three", `"AAEC"`, `"true"`, "\x00\x01\x02", false},
		{"base64_of_two", `"AAE="`, `"True"`, "\x00\x01", false},
		{"base64_in_lines", `"AAEC\r\nAwQF\n"`, `true`, "\x00\x01\x02\x03\x04\x05", false},
		{"base64_padded_in_lines", `"AAEC\nAw==\n"`, `true`, "\x00\x01\x02\x03", false},
		{"base64_empty", `""`, `true`, "", false},
		{"base64_null", `null`, `true`, "", false},
		{"base64_unpadded", `"AAE"`, `true`, "AAE", true},
		{"base64_of_other_alphabet", `"-_-_"`, `true`, "-_-_", true},
		{"base64_of_padding_alone", `"` + strings.Repeat("=", 1000) + `"`, `true`, strings.Repeat("=", 1000), true},
		{"flag_null", `"AAEC"`, `null`, "AAEC", false},
		{"flag_odd", `"AAEC"`, `{"true":true}`, "AAEC", false},
		{"flag_number", `"AAEC"`, `1`, "AAEC", false},

		{"unmarked_xml", base64Of("<a/>"), `false`, "<a/>", false},
		{"unmarked_json", base64Of("\n {}"), `"false"`, "\n {}", false},
		{"unmarked_with_bom", base64Of("\ufeff<a/>"), `null`, "\ufeff<a/>", false},
		{"unmarked_in_lines", `"\nPGE+PGI+PC9iPjwv\nYT4=\n"`, `false`, "<a><b></b></a>", false},
		{"unmarked_other_text", base64Of("hello"), `false`, base64.StdEncoding.EncodeToString([]byte("hello")), false},
		{"unmarked_cut", `"PGE+PGI+PC9iPjwvYT4"`, `false`, "PGE+PGI+PC9iPjwvYT4", false},
		{"unmarked_half_text", `"PGE+PGI+ and so on"`, `false`, "PGE+PGI+ and so on", false},
		{"marked_false_and_twice", base64Of(base64.StdEncoding.EncodeToString([]byte("<a/>"))), `false`, base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("<a/>")))), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := see(parse(t, `{"httpMethod":"POST","body":`+test.body+`,"isBase64Encoded":`+test.flag+`}`))
			want := seen{Method: "POST", Body: test.want, Malformed: test.malformed}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	many := slices.Repeat([]string{`"x"`}, 1001)
	tests := []struct {
		name, fields string // JSON, at the top of the event
		want         []string
	}{
		{"none", `"queryString":{"from":"ci"}`, nil},
		{"no_query", `"path":"/"`, nil},
		{"odd_query", `"queryString":"token=a"`, nil},
		{"one", `"queryString":{"a":"b","token":"t"}`, []string{"t"}},
		{"list", `"queryString":{"token":["t","u"]}`, []string{"t", "u"}},
		{"without_value", `"queryString":{"token":true}`, []string{""}},
		{"word_true", `"queryString":{"token":"true"}`, []string{"true"}},
		{"null", `"queryString":{"token":null}`, []string{""}},
		{"empty_list", `"queryString":{"token":[]}`, []string{""}},
		{"mixed", `"queryString":{"token":["t",true,null,7,{"a" : 1}]}`, []string{"t", "", "", "7", `{"a" : 1}`}},
		{"twice", `"queryString":{"token":"t","token":"u"}`, []string{"u"}},
		{"escaped_name", `"queryString":{"tok\u0065n":"t"}`, []string{"t"}},
		{"other_case", `"queryString":{"Token":"t"}`, nil},
		{"parameters", `"queryStringParameters":{"token":"t"}`, []string{"t"}},
		{"parameters_beside_an_empty_query", `"queryString":{},"queryStringParameters":{"token":"t"}`, []string{"t"}},
		{"query_before_parameters", `"queryStringParameters":{"token":"t"},"queryString":{"token":"u"}`, []string{"u"}},
		{"query_without_value_before_parameters", `"queryStringParameters":{"token":"t"},"queryString":{"token":true}`, []string{""}},
		{"as_many_as_are_read", `"queryString":{"token":[` + strings.Join(many, ",") + `]}`, slices.Repeat([]string{"x"}, 1000)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := parse(t, `{"httpMethod":"POST",`+test.fields+`}`)
			if diff := cmp.Diff(test.want, r.Tokens); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

// Where an event has one header twice, in two cases, the answer is the same every time.
func TestHeadersAreReadInOrder(t *testing.T) {
	t.Parallel()
	for _, headers := range []string{
		`"x-scf-request-id":"scf","X-API-RequestId":"B","x-api-requestid":"b","x-scf-remote-addr":"1","X-Scf-Remote-Addr":"2"`,
		`"X-Scf-Remote-Addr":"2","x-scf-remote-addr":"1","x-api-requestid":"b","X-API-RequestId":"B","x-scf-request-id":"scf"`,
	} {
		r := parse(t, `{"httpMethod":"GET","headers":{`+headers+`}}`)
		if r.ID != "B" || r.SourceIP != "2" {
			t.Errorf("ID = %q, SourceIP = %q; want B, 2", r.ID, r.SourceIP)
		}
	}
}

// A client cannot set the address that the gateway saw.
func TestSourceIPIsTheGateways(t *testing.T) {
	t.Parallel()
	r := parse(t, `{"httpMethod":"GET","headers":{"x-scf-remote-addr":"6.6.6.6"},"requestContext":{"sourceIp":"203.0.113.7"}}`)
	if r.SourceIP != "203.0.113.7" {
		t.Errorf("SourceIP = %q", r.SourceIP)
	}
}

// The reader takes what encoding/json takes, and reads the same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(events + "*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		event, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(event)
	}
	for _, event := range []string{"-0.5e+7", "-", "01", "1.", "1e", "tru", `"\u12"`, `"\x"`, `{"a":1,}`, `[1,]`, `{"a" 1}`, `{1:1}`, "{} {}", "\"\t\"", "[1 2]", `{"a":1 "b":2}`,
		`{"queryString":{"token":[tru]}}`, `{"headers":{"a":[1 2]}}`, `{"requestContext":{"sourceIp":tru}}`, "+1", "-a", "1.a", "1ea", "00"} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := trigger.Parse(payload)
		_, unsupported := errors.AsType[*trigger.UnsupportedError](err)
		isXML := bytes.HasPrefix(bytes.TrimSpace(payload), []byte("<"))
		if isJSON := json.Valid(payload); isJSON != (err == nil || unsupported && !isXML) {
			t.Errorf("Parse: %v; for encoding/json it is JSON: %v", err, isJSON)
		}
		if e.Request != nil && utf8.Valid(payload) {
			checkRequest(t, payload, e.Request)
		}
		checkCarried(t, payload)
	})
}

// checkRequest holds the texts of a request against what encoding/json makes of them.
func checkRequest(t *testing.T, payload []byte, r *trigger.Request) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		t.Fatal(err)
	}
	if method, ok := fields["httpMethod"].(string); ok && method != strings.ToValidUTF8(r.Method, "\ufffd") && utf8.ValidString(r.Method) {
		t.Errorf("Method = %q; for encoding/json it is %q", r.Method, method)
	}
	got, err := r.Body()
	want, ok := fields["body"].(string)
	if !ok || err != nil || fields["isBase64Encoded"] != nil || !utf8.Valid(got) {
		return
	}
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(want)); string(got) != want && (err != nil || !bytes.Equal(got, decoded)) {
		t.Errorf("Body = %q; for encoding/json it is %q", got, want)
	}
}

// checkCarried checks that any bytes come back as they are from a body of base64.
func checkCarried(t *testing.T, body []byte) {
	t.Helper()
	sent, err := json.Marshal(map[string]any{"httpMethod": "POST", "body": base64.StdEncoding.EncodeToString(body), "isBase64Encoded": true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parse(t, string(sent)).Body(); err != nil || !bytes.Equal(got, body) {
		t.Errorf("Body = %q, %v; want %q", got, err, body)
	}
}

// BenchmarkParse is what the event of a usual callback costs.
func BenchmarkParse(b *testing.B) {
	payload := readEvent(b, "apigw")
	callback, err := os.ReadFile("../../testdata/callbacks/digitalwatermark.xml")
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(string(callback))
	if err != nil {
		b.Fatal(err)
	}
	payload = regexp.MustCompile(`(?s)"body":\s*"(?:[^"\\]|\\.)*"`).ReplaceAllLiteral(payload, append([]byte(`"body":`), body...))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		e, err := trigger.Parse(payload)
		if err != nil {
			b.Fatal(err)
		}
		if body, err := e.Request.Body(); err != nil || len(body) != len(callback) {
			b.Fatalf("%d bytes, %v", len(body), err)
		}
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	r, err := trigger.JSONResponse(503, map[string]any{"message": "<a> & \"b\" \u2028 é"})
	if err != nil {
		t.Fatal(err)
	}
	r.Headers["Retry-After"] = "30"
	encoded, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// The fields that both triggers document, and of the types that both take.
	var got map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"isBase64Encoded": false,
		"statusCode":      503.0,
		"headers":         map[string]any{"Content-Type": "application/json", "Retry-After": "30"},
		"body":            "{\"message\":\"<a> & \\\"b\\\" \\u2028 é\"}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestResponseThatCannotBe(t *testing.T) {
	t.Parallel()
	if r, err := trigger.JSONResponse(200, func() {}); err == nil {
		t.Errorf("JSONResponse = %v; want an error", r)
	}
}

// TestTruncated holds that an event that ends too early is told from one that is wrong at
// some place.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		`{"httpMethod"`:  "the JSON ends too early, after 13 bytes",
		`{"httpMethod"!`: "it is not JSON: byte 13",
	} {
		if _, err := trigger.Parse([]byte(payload)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", payload, err, want)
		}
	}
}
