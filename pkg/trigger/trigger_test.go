package trigger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	Query                      map[string][]string
	Size                       int
	Malformed                  bool
}

func see(r *trigger.Request) seen {
	body, err := r.Body()
	return seen{r.Method, r.SourceIP, r.ID, string(body), r.Query, r.BodySize(), err != nil}
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	const xml = "<Response><EventName>TaskFinish</EventName></Response>"
	post := func(change func(*seen)) seen {
		s := seen{
			Method: "POST", SourceIP: "203.0.113.7", ID: "0d6f1c52-41f7-4c1e-9a53-77b0e2c4a9d1", Body: xml,
			Query: map[string][]string{"token": {"sample-token-000001"}}, Size: len(xml),
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
		"apigw-base64-broken": post(func(s *seen) {
			s.Body, s.Size, s.Malformed = "{key:value}", 8, true
		}),
		"apigw-body-null": post(func(s *seen) { s.Body, s.Size = "", 0 }),
		"apigw-multi-value": post(func(s *seen) {
			s.Query = map[string][]string{
				"token": {"sample-token-000001", "sample-token-000002"},
				"from":  {"ci"}, "debug": {""}, "none": {""}, "mixed": {"a", "", "", "7"},
			}
		}),
		"apigw-header-lists": post(func(s *seen) { s.SourceIP, s.ID = "198.51.100.4", "5c1be2f0d9" }),
		"apigw-header-case":  post(func(s *seen) { s.SourceIP, s.ID, s.Query = "", "77aa01", nil }),
		"apigw-odd-types": post(func(s *seen) {
			s.SourceIP, s.ID = "", ""
			s.Query = map[string][]string{"token": {"1234567890123456"}, "a": {"{\n      \"b\": 1\n    }"}, "c": {""}, "d": {"false"}}
			s.Body = "{\n    \"EventName\": \"TaskFinish\"\n  }"
			s.Size = len(s.Body)
		}),
		"function-url": post(func(s *seen) {
			s.SourceIP, s.ID = "192.0.2.33", "b1d0c6ce-5a8e-4f0b-8a3b-f0e1d2c3b4a5"
			s.Body = `{"EventName":"TaskFinish","JobsDetail":{"JobId":"j0"}}`
			s.Size = len(s.Body)
		}),
		"function-url-get": {Method: "GET", SourceIP: "192.0.2.33", Query: map[string][]string{}},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := trigger.ParseRequest(readEvent(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, see(r)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRequestOfAnotherTrigger(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"clb": "CLB", "timer": "Timer", "cos": "COS", "ckafka": "CKafka", "cmq": "CMQ", "tdmq": "TDMQ", "cls": "CLS",
		"empty-object": "unknown", "unknown": "unknown", "odd-records": "unknown", "array": "unknown", "null": "unknown", "string": "unknown",
		"method-empty": "unknown", "method-null": "unknown",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := trigger.ParseRequest(readEvent(t, name))
			e, ok := errors.AsType[*trigger.NotHTTPError](err)
			if !ok {
				t.Fatalf("ParseRequest = %v, %v; want a NotHTTPError", r, err)
			}
			if e.Trigger != want || !strings.Contains(e.Error(), want) {
				t.Errorf("trigger = %q, error %q; want %q", e.Trigger, e, want)
			}
		})
	}
}

func TestParseRequestOfGarbage(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"garbage-half", "garbage-empty", "garbage-text"} {
		r, err := trigger.ParseRequest(readEvent(t, name))
		if _, other := errors.AsType[*trigger.NotHTTPError](err); err == nil || other {
			t.Errorf("%s: ParseRequest = %v, %v; want an error that names no trigger", name, r, err)
		}
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
	r, err := trigger.ParseRequest([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, flag string // JSON
		want             string
		size             int
		malformed        bool
	}{
		{"text", `"a<b>&\u00e9\ud83d\ude00\n"`, `false`, "a<b>&é😀\n", 12, false},
		{"replacement_character", `"\ufffd \uFFFD ` + "\ufffd" + `"`, `false`, "\ufffd \ufffd \ufffd", 11, false},
		{"json_in_json", `"{\"a\":\"\\ufffd\"}"`, `false`, `{"a":"\ufffd"}`, 14, false},
		{"invalid_behind_an_escape", "\"\\\\ufffd \xff\"", `false`, `\ufffd ` + "\ufffd", 10, true},
		{"invalid_utf8", "\"a\xffb\"", `false`, "a\ufffdb", 5, true},
		{"invalid_utf8_in_object", "{\"a\":\"\xff\"}", `false`, "{\"a\":\"\xff\"}", 9, true},
		{"half_a_surrogate_pair", `"a\ud83d"`, `false`, "a\ufffd", 4, true},
		{"empty", `""`, `false`, "", 0, false},
		{"base64", `"AAECAw=="`, `true`, "\x00\x01\x02\x03", 4, false},
		{"base64_of_three", `"AAEC"`, `"true"`, "\x00\x01\x02", 3, false},
		{"base64_of_two", `"AAE="`, `"True"`, "\x00\x01", 2, false},
		{"base64_in_lines", `"AAEC\r\nAwQF\n"`, `true`, "\x00\x01\x02\x03\x04\x05", 6, false},
		{"base64_empty", `""`, `true`, "", 0, false},
		{"base64_null", `null`, `true`, "", 0, false},
		{"base64_unpadded", `"AAE"`, `true`, "AAE", 2, true},
		{"base64_of_other_alphabet", `"-_-_"`, `true`, "-_-_", 3, true},
		{"base64_of_padding_alone", `"` + strings.Repeat("=", 1000) + `"`, `true`, strings.Repeat("=", 1000), 748, true},
		{"flag_null", `"AAEC"`, `null`, "AAEC", 4, false},
		{"flag_odd", `"AAEC"`, `{"true":true}`, "AAEC", 4, false},
		{"flag_number", `"AAEC"`, `1`, "AAEC", 4, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := see(parse(t, `{"httpMethod":"POST","body":`+test.body+`,"isBase64Encoded":`+test.flag+`}`))
			want := seen{Method: "POST", Body: test.want, Size: test.size, Malformed: test.malformed}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// Where an event has one header twice, in two cases, the answer is the same every time.
func TestHeadersAreReadInOrder(t *testing.T) {
	t.Parallel()
	for range 20 {
		r := parse(t, `{"httpMethod":"GET","headers":{"x-scf-request-id":"scf","X-API-RequestId":"B","x-api-requestid":"b","x-scf-remote-addr":"1","X-Scf-Remote-Addr":"2"}}`)
		if r.ID != "B" || r.SourceIP != "2" {
			t.Fatalf("ID = %q, SourceIP = %q; want B, 2", r.ID, r.SourceIP)
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

func FuzzParseRequest(f *testing.F) {
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
	f.Fuzz(func(t *testing.T, event []byte) {
		r, err := trigger.ParseRequest(event)
		if err != nil {
			if r != nil {
				t.Errorf("a request with an error: %v", err)
			}
		} else {
			checkRequest(t, r)
		}
		// The same bytes as a body come back as they are, sent as base64.
		sent, err := json.Marshal(map[string]any{"httpMethod": "POST", "body": base64.StdEncoding.EncodeToString(event), "isBase64Encoded": true})
		if err != nil {
			t.Fatal(err)
		}
		carried, err := trigger.ParseRequest(sent)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := carried.Body(); err != nil || !bytes.Equal(body, event) || carried.BodySize() != len(event) {
			t.Errorf("Body = %q, %v, BodySize = %d; want %q", body, err, carried.BodySize(), event)
		}
	})
}

func checkRequest(t *testing.T, r *trigger.Request) {
	t.Helper()
	if r.Method == "" {
		t.Error("a request without a method")
	}
	body, err := r.Body()
	if err == nil && len(body) != r.BodySize() {
		t.Errorf("BodySize = %d; the body has %d bytes", r.BodySize(), len(body))
	}
	for name, values := range r.Query {
		if len(values) == 0 {
			t.Errorf("query argument %q without a value", name)
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
