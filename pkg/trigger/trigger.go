// Package trigger reads the event that SCF hands a function for an HTTP request,
// and writes the answer.
//
// [ParseRequest] takes the API gateway event and the function URL event, which is
// the same with fields missing, and reads both tolerantly: the documented types
// vary from page to page, and scf-go-lib's own event types fail on real events.
// [Response.Encode] gives the integrated response that both triggers expect.
//
// The package is pure: no I/O, no state, safe for concurrent use. It never fails on
// a field it does not need, and never changes a byte of a body.
//
// https://www.tencentcloud.com/document/product/583/12513 (API gateway),
// https://www.tencentcloud.com/document/product/583/69491 (function URL)
package trigger

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Request is an HTTP request as the function needs it.
type Request struct {
	Method   string              // as sent, such as POST
	Query    map[string][]string // a key without a value has the value ""
	SourceIP string              // the client's address, as the platform saw it; may be empty
	ID       string              // the gateway's id of the request; may be empty

	body   text
	base64 bool
}

// A NotHTTPError says that an event is none of an HTTP request.
type NotHTTPError struct {
	Trigger string // the trigger it came from, such as Timer
}

func (e *NotHTTPError) Error() string {
	return fmt.Sprintf("this function answers HTTP requests (function URL or API gateway), and got an event of another trigger: %s; remove that trigger", e.Trigger)
}

// event holds the fields of the two trigger events that matter here.
type event struct {
	HTTPMethod      text           `json:"httpMethod"`
	Headers         values         `json:"headers"`
	QueryString     values         `json:"queryString"`
	Body            text           `json:"body"`
	IsBase64Encoded flag           `json:"isBase64Encoded"`
	RequestContext  requestContext `json:"requestContext"`
}

type requestContext struct {
	SourceIP  text `json:"sourceIp"`
	RequestID text `json:"requestId"`
}

// UnmarshalJSON takes anything for a request context; only an object says something.
func (c *requestContext) UnmarshalJSON(b []byte) error {
	type plain requestContext
	if b[0] == '{' {
		return json.Unmarshal(b, (*plain)(c))
	}
	return nil
}

// ParseRequest reads a trigger event. Its error is a [*NotHTTPError] where the event
// is JSON, but no HTTP request.
func ParseRequest(payload []byte) (*Request, error) {
	var e event
	err := json.Unmarshal(payload, &e)
	if _, other := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !other {
		return nil, fmt.Errorf("read trigger event: %w", err)
	}
	if e.HTTPMethod.s == "" {
		return nil, &NotHTTPError{Trigger: trigger(payload)}
	}
	r := &Request{
		Method:   e.HTTPMethod.s,
		Query:    e.QueryString,
		SourceIP: e.RequestContext.SourceIP.s,
		ID:       e.RequestContext.RequestID.s,
		body:     e.Body,
		base64:   bool(e.IsBase64Encoded),
	}
	r.SourceIP = cmp.Or(r.SourceIP, e.Headers.header("x-scf-remote-addr"))
	r.ID = cmp.Or(r.ID, e.Headers.header("x-api-requestid"), e.Headers.header("x-scf-request-id"))
	return r, nil
}

// BodySize is the length of the body in bytes, without decoding it. For base64
// that is not well formed it is about that.
func (r *Request) BodySize() int {
	if !r.base64 {
		return len(r.body.s)
	}
	s := strings.TrimRight(r.body.s, "\r\n")
	s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=") // no more: a body of = alone has a size too
	return base64.RawStdEncoding.DecodedLen(len(s) - strings.Count(s, "\n") - strings.Count(s, "\r"))
}

// Body gives the body as the client sent it. Where that cannot be known, it gives
// what came and an error that says why.
func (r *Request) Body() ([]byte, error) {
	if r.body.invalid {
		return []byte(r.body.s), errors.New("the body is not UTF-8 and was not sent as base64")
	}
	if !r.base64 {
		return []byte(r.body.s), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(r.body.s)
	if err != nil {
		return []byte(r.body.s), fmt.Errorf("the body is said to be base64 and is not: %w", err)
	}
	return decoded, nil
}

// text is a string, or "" for null. Anything else is taken as the JSON it is.
type text struct {
	s       string
	invalid bool // encoding/json put U+FFFD for bytes that are not UTF-8, or for half a surrogate pair
}

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		if err := json.Unmarshal(b, &t.s); err != nil {
			return err
		}
		n := strings.Count(t.s, replacement)
		t.invalid = n > 0 && n > written(b)
	case string(b) != "null":
		t.s, t.invalid = string(b), !utf8.Valid(b)
	}
	return nil
}

const replacement = string(utf8.RuneError)

// written counts the U+FFFD that stand in a JSON string, as themselves or escaped.
func written(b []byte) int {
	n := bytes.Count(b, []byte(replacement))
	for i := bytes.IndexByte(b, '\\'); i >= 0 && i+1 < len(b); {
		if b[i+1] == 'u' && i+6 <= len(b) && bytes.EqualFold(b[i+2:i+6], []byte("fffd")) {
			n++
		}
		next := bytes.IndexByte(b[i+2:], '\\')
		if next < 0 {
			break
		}
		i += 2 + next
	}
	return n
}

// flag is a bool, or the string of one. Absent or anything else is false.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	*f = flag(strings.EqualFold(string(bytes.Trim(b, `"`)), "true"))
	return nil
}

// values are headers or query arguments: an object whose values are strings, lists of
// strings, or true for a name without a value. Each name has at least one value.
type values map[string][]string

func (v *values) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*v = make(values, len(raw))
	for name, value := range raw {
		(*v)[name] = valueList(value)
	}
	return nil
}

func valueList(b json.RawMessage) []string {
	var items []json.RawMessage
	if b[0] != '[' || json.Unmarshal(b, &items) != nil {
		return []string{value(b)}
	}
	if len(items) == 0 {
		return []string{""}
	}
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = value(item)
	}
	return list
}

func value(b json.RawMessage) string {
	var t text
	if string(b) == "true" || t.UnmarshalJSON(b) != nil {
		return ""
	}
	return t.s
}

// header gives the value of a header, whose name is in any case in the event. Of
// several, it is that of the name that sorts first.
func (v values) header(name string) string {
	for _, sent := range slices.Sorted(maps.Keys(v)) {
		if strings.EqualFold(sent, name) {
			return strings.TrimSpace(v[sent][0])
		}
	}
	return ""
}

// trigger names the trigger of an event that is no HTTP request, by the fields
// that SCF documents for it. https://www.tencentcloud.com/document/product/583/9705
func trigger(payload []byte) string {
	var e struct {
		Type    text
		Records []map[string]json.RawMessage `json:"Records"`
		Payload json.RawMessage              `json:"payload"`
		CLS     json.RawMessage              `json:"clslogs"`
	}
	if json.Unmarshal(payload, &e) != nil {
		return "unknown"
	}
	if len(e.Records) > 0 {
		for field, name := range map[string]string{"cos": "COS", "Ckafka": "CKafka", "CMQ": "CMQ", "TDMQ": "TDMQ"} {
			if e.Records[0][field] != nil {
				return name
			}
		}
	}
	switch {
	case e.Type.s == "Timer":
		return "Timer"
	case e.Payload != nil:
		return "CLB"
	case e.CLS != nil:
		return "CLS"
	default:
		return "unknown"
	}
}

// A Response is an integrated response. Header values are single strings, which
// both triggers take.
type Response struct {
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
}

// JSONResponse makes the response of a status and a body that is to be JSON.
func JSONResponse(status int, body any) (*Response, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return &Response{
		StatusCode: status,
		Headers:    map[string]string{"Content-Type": "application/json"},
		Body:       strings.TrimSuffix(b.String(), "\n"),
	}, nil
}

// Encode gives the response as the platform reads it.
func (r *Response) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return b, nil
}
