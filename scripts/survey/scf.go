package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/trigger"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
	"github.com/ci-callback/ci-callback/scripts/survey/internal/echo"
)

// errNoEcho is why nothing is asked of SCF.
var errNoEcho = errors.New("not asked: no echo function is named (-echo); deploy scripts/survey/echo for the time of this")

// seen is what the echo function says of an invocation.
type seen struct{ echo.Seen }

// field returns a field of the event as it stands there, or "" if there is none.
func (s seen) field(name string) string { return string(fields(s.Event)[name]) }

// parameter returns the parameter named survey as it stands in the event.
func (s seen) parameter() string { return string(fields(fields(s.Event)["queryString"])["survey"]) }

// header returns a header as it stands in the event, where its name is in any case.
func (s seen) header(name string) string {
	for key, value := range fields(fields(s.Event)["headers"]) {
		if strings.EqualFold(key, name) {
			return string(value)
		}
	}
	return ""
}

// body returns the body as the function would read it, and nil where it could not.
func (s seen) body() []byte {
	event, err := trigger.Parse(s.Event)
	if err != nil || event.Request == nil {
		return nil
	}
	body, err := event.Request.Body()
	if err != nil {
		return nil
	}
	return body
}

// fields takes a JSON object apart; what is none has no fields.
func fields(object json.RawMessage) map[string]json.RawMessage {
	var f map[string]json.RawMessage
	_ = json.Unmarshal(object, &f)
	return f
}

// post sends a request to the echo function, and returns the answer as it is. A large body
// has a second more for each 128 KB.
func (s *survey) post(ctx context.Context, path, query string, sent http.Header, body []byte) (status int, header http.Header, answer []byte, err error) {
	if s.echo == nil {
		return 0, nil, nil, errNoEcho
	}
	ctx, cancel := context.WithTimeout(ctx, wire.MaxDuration+time.Duration(len(body)>>17)*time.Second)
	defer cancel()
	u := *s.echo
	u.Path, u.RawQuery = u.Path+path, query
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, wire.Explain(err)
	}
	maps.Copy(request.Header, sent)
	response, err := s.records.HTTP().Do(request)
	if err != nil {
		return 0, nil, nil, wire.Explain(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, wire.MaxAnswerBytes))
	if err != nil {
		return 0, nil, nil, wire.Explain(err)
	}
	return response.StatusCode, response.Header, answer, nil
}

// do has the echo function do something else than to show the event.
func (s *survey) do(ctx context.Context, what string, body []byte) (status int, header http.Header, answer []byte, err error) {
	return s.post(ctx, "", url.Values{"do": {what}}.Encode(), nil, body)
}

// echoed returns what the echo function saw of a request.
func (s *survey) echoed(ctx context.Context, path, query string, sent http.Header, body string) (seen, error) {
	status, _, answer, err := s.post(ctx, path, query, sent, []byte(body))
	if err != nil {
		return seen{}, err
	}
	var e seen
	if err := json.Unmarshal(answer, &e); err != nil || fields(e.Event) == nil {
		return seen{}, fmt.Errorf("what answers at -echo is not scripts/survey/echo: status %d", status)
	}
	return e, nil
}

// asXML are the headers of a callback.
func asXML() http.Header { return http.Header{"Content-Type": {"application/xml"}} }

// text is a body with what JSON, a proxy, or a guess at its encoding could change.
const text = "<Response>\r\n<EventName>TaskFinish</EventName>\t&lt;\"中文 é\u2028 🎬\" \\u0041 %41+</Response>\n"

// askText sends text under a Content-Type, and looks whether the event holds it as it is.
func askText(header http.Header) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		e, err := s.echoed(ctx, "", "", header, text)
		var arrived string
		_ = json.Unmarshal([]byte(e.field("body")), &arrived) // one that is no string did not arrive as it was sent
		encoded := e.field("isBase64Encoded")
		return fmt.Sprintf("as sent: %t; isBase64Encoded %q; read as sent: %t", arrived == text, encoded, string(e.body()) == text),
			one(arrived == text && !strings.Contains(encoded, "true")), err
	}
}

// askBytes sends what is no text. Whether it arrives whole is told by the code with which
// the function reads it.
func askBytes(ctx context.Context, s *survey) (string, verdict, error) {
	const body = "\xff\xfe\x00\x80<"
	e, err := s.echoed(ctx, "", "", asXML(), body)
	whole := string(e.body()) == body
	return fmt.Sprintf("read as sent: %t; isBase64Encoded %q, body %.40s", whole, e.field("isBase64Encoded"), e.field("body")), one(whole), err
}

func askEmptyBody(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "", asXML(), "")
	body := e.field("body")
	return fmt.Sprintf("body %q", body), one(body == `""` || body == "null" || body == ""), err
}

// askEventFields demands, beside the names, that the function can read the event.
func askEventFields(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "survey=1", asXML(), "x")
	names := slices.Sorted(maps.Keys(fields(e.Event)))
	complete := string(e.body()) == "x"
	for _, name := range []string{"httpMethod", "path", "headers", "queryString", "body"} {
		complete = complete && slices.Contains(names, name)
	}
	return strings.Join(names, ", "), one(complete), err
}

func askPath(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "/survey/path", "", asXML(), "x")
	path := e.field("path")
	return fmt.Sprintf("%q", path), one(strings.HasSuffix(path, `/survey/path"`)), err
}

// askAddress claims to be somebody else.
func askAddress(ctx context.Context, s *survey) (string, verdict, error) {
	const forged = "192.0.2.77"
	e, err := s.echoed(ctx, "", "", http.Header{"X-Scf-Remote-Addr": {forged}}, "x")
	value := e.header("x-scf-remote-addr")
	var address string
	_ = json.Unmarshal([]byte(value), &address) // one that is no string is no address
	_, parseErr := netip.ParseAddr(address)
	return fmt.Sprintf("%q", value), one(parseErr == nil && address != forged), err
}

func askRepeatedHeader(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "", http.Header{"X-Survey": {"1", "2"}}, "x")
	value := e.header("x-survey")
	return fmt.Sprintf("%q", value), one(slices.Contains([]string{`["1","2"]`, `"1, 2"`, `"1,2"`, `"1"`, `"2"`}, value)), err
}

// askParameter sends the parameter named survey, and looks for one of some values.
func askParameter(query string, values ...string) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		e, err := s.echoed(ctx, "", query, asXML(), "x")
		value := e.parameter()
		return fmt.Sprintf("%q", value), one(slices.Contains(values, value)), err
	}
}

func askBase64Response(ctx context.Context, s *survey) (string, verdict, error) {
	_, _, answer, err := s.do(ctx, "base64", nil)
	return fmt.Sprintf("the client gets %.40q", answer), one(string(answer) == "decoded"), err
}

func askStatus(ctx context.Context, s *survey) (string, verdict, error) {
	status, header, _, err := s.do(ctx, "status", nil)
	after := header.Get("Retry-After")
	return fmt.Sprintf("status %d, Retry-After %q", status, after), one(status == http.StatusServiceUnavailable && after == "30"), err
}

// askLists has the function answer with a list of values for a header.
func askLists(ctx context.Context, s *survey) (string, verdict, error) {
	status, header, _, err := s.do(ctx, "lists", nil)
	values := header.Values("Set-Cookie")
	return fmt.Sprintf("status %d, Set-Cookie %q", status, values), one(status >= 300 || len(values) == 2), err
}

// askFailure asks the echo function to fail in one of its ways.
func askFailure(how string) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		status, _, answer, err := s.do(ctx, how, nil)
		return fmt.Sprintf("status %d, %.200q", status, answer), one(status >= 300), err
	}
}

// askLargeBody sends many bytes, and looks how many arrive. So many may be too many, but
// no part of them may be lost.
func askLargeBody(size int, mayBeRefused bool) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		if s.echo == nil {
			return "", "", errNoEcho
		}
		status, _, answer, err := s.do(ctx, "size", bytes.Repeat([]byte("x"), size))
		var e seen
		_ = json.Unmarshal(answer, &e) // an error of the platform has no size
		refused := mayBeRefused && status >= 300
		return fmt.Sprintf("status %d, %d bytes arrived", status, e.BodyBytes), one(e.BodyBytes == size || refused), err
	}
}

func askCredentials(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "", asXML(), "x")
	if err == nil && !e.Credentials {
		return "none at all: deploy the echo function with an execution role", open, nil
	}
	return fmt.Sprintf("at start: %t; with the invocation: %t", e.CredentialsAtStart, e.Credentials), one(!e.CredentialsAtStart), err
}

func askPort(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "", asXML(), "x")
	return "variables at start: " + strings.Join(e.VariablesAtStart, ", "), one(slices.Contains(e.VariablesAtStart, "_LAMBDA_SERVER_PORT")), err
}

func askInvocation(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "", asXML(), "x")
	return fmt.Sprintf("region %q, AppID %q", e.Region, e.AppID), one(e.Region != "" && e.AppID != ""), err
}

func askDeadline(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "", asXML(), "x")
	return fmt.Sprintf("%d ms left of %d", e.LeftMS, e.TimeLimitMS), one(e.LeftMS > e.TimeLimitMS/2 && e.LeftMS <= e.TimeLimitMS), err
}
