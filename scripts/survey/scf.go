package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// errNoEcho is why nothing is asked of SCF.
var errNoEcho = errors.New("not asked: no echo function is named (-echo); deploy scripts/survey/echo for the time of this")

// seen is what the echo function says of an invocation.
type seen struct {
	Event              map[string]json.RawMessage `json:"event"`
	CredentialsAtStart bool                       `json:"credentialsAtStart"`
	Credentials        bool                       `json:"credentials"`
	BodyBytes          int                        `json:"bodyBytes"`
}

// field returns a field of the event as it stands there, or "" if there is none.
func (s seen) field(name string) string { return string(s.Event[name]) }

// parameter returns the parameter named survey as it stands in the event.
func (s seen) parameter() string {
	var query map[string]json.RawMessage
	_ = json.Unmarshal(s.Event["queryString"], &query) // none is one that is not there
	return string(query["survey"])
}

// post sends a request to the echo function and returns the answer as it is.
func (s *survey) post(ctx context.Context, query string, body []byte) (status int, header http.Header, answer []byte, err error) {
	if s.echo == nil {
		return 0, nil, nil, errNoEcho
	}
	ctx, cancel := context.WithTimeout(ctx, wire.MaxDuration)
	defer cancel()
	u := *s.echo
	u.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, wire.Explain(err)
	}
	request.Header.Set("Content-Type", "application/xml")
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

// echoed returns what the echo function saw of a request.
func (s *survey) echoed(ctx context.Context, query, body string) (seen, error) {
	status, _, answer, err := s.post(ctx, query, []byte(body))
	if err != nil {
		return seen{}, err
	}
	var e seen
	if err := json.Unmarshal(answer, &e); err != nil || e.Event == nil {
		return seen{}, fmt.Errorf("what answers at -echo is not scripts/survey/echo: status %d", status)
	}
	return e, nil
}

// one judges without an answer of COS or CI.
func one(agrees bool) verdict { return judge(wire.Answer{}, agrees) }

func askBody(ctx context.Context, s *survey) (string, verdict, error) {
	const body = `<Response><EventName>TaskFinish</EventName></Response>`
	e, err := s.echoed(ctx, "", body)
	var arrived string
	_ = json.Unmarshal(e.Event["body"], &arrived) // one that is no string did not arrive as it was sent
	encoded := e.field("isBase64Encoded")
	return fmt.Sprintf("as sent: %t; isBase64Encoded %q", arrived == body, encoded), one(arrived == body && !strings.Contains(encoded, "true")), err
}

// askBytes has no answer that is wrong: nothing depends on it.
func askBytes(ctx context.Context, s *survey) (string, verdict, error) {
	const body = "\xff\xfe\x00\x80"
	e, err := s.echoed(ctx, "", body)
	inBase64 := e.field("body") == `"`+base64.StdEncoding.EncodeToString([]byte(body))+`"`
	return fmt.Sprintf("in base64: %t; isBase64Encoded %q", inBase64, e.field("isBase64Encoded")), same, err
}

func askEmptyBody(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "")
	body := e.field("body")
	return fmt.Sprintf("body %q", body), one(body == `""` || body == "null" || body == ""), err
}

func askEventFields(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "survey=1", "x")
	var names []string
	for name := range e.Event {
		names = append(names, name)
	}
	slices.Sort(names)
	complete := true
	for _, name := range []string{"httpMethod", "path", "headers", "queryString", "body"} {
		complete = complete && slices.Contains(names, name)
	}
	return strings.Join(names, ", "), one(complete), err
}

func askRepeated(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "survey=1&survey=2", "x")
	value := e.parameter()
	return value, one(slices.Contains([]string{`["1","2"]`, `"1"`, `"2"`}, value)), err
}

func askBare(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "survey", "x")
	value := e.parameter()
	return fmt.Sprintf("%q", value), one(slices.Contains([]string{"true", `""`, ""}, value)), err
}

func askEncoded(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "survey=a%2Bb+c", "x")
	value := e.parameter()
	return value, one(value == `"a+b c"`), err
}

func askBase64Response(ctx context.Context, s *survey) (string, verdict, error) {
	_, _, answer, err := s.post(ctx, url.Values{"do": {"base64"}}.Encode(), nil)
	return fmt.Sprintf("the client gets %.40q", answer), one(string(answer) == "decoded"), err
}

func askStatus(ctx context.Context, s *survey) (string, verdict, error) {
	status, header, _, err := s.post(ctx, url.Values{"do": {"status"}}.Encode(), nil)
	after := header.Get("Retry-After")
	return fmt.Sprintf("status %d, Retry-After %q", status, after), one(status == http.StatusServiceUnavailable && after == "30"), err
}

func askCredentials(ctx context.Context, s *survey) (string, verdict, error) {
	e, err := s.echoed(ctx, "", "x")
	if err == nil && !e.Credentials {
		return "none at all: deploy the echo function with an execution role", open, nil
	}
	return fmt.Sprintf("at start: %t; with the invocation: %t", e.CredentialsAtStart, e.Credentials), one(!e.CredentialsAtStart), err
}

func askError(ctx context.Context, s *survey) (string, verdict, error) {
	status, _, answer, err := s.post(ctx, url.Values{"do": {"error"}}.Encode(), nil)
	return fmt.Sprintf("status %d, %.120q", status, answer), one(status >= 300), err
}

func askLargeBody(ctx context.Context, s *survey) (string, verdict, error) {
	const size = 5 << 20
	status, _, answer, err := s.post(ctx, url.Values{"do": {"size"}}.Encode(), bytes.Repeat([]byte("x"), size))
	var e seen
	_ = json.Unmarshal(answer, &e) // an error of the platform has no size
	return fmt.Sprintf("status %d, %d bytes arrived", status, e.BodyBytes), one(e.BodyBytes == size), err
}
