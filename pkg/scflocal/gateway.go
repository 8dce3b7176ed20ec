package scflocal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// mostBody is how much of a request the gateway reads, in bytes: more than SCF takes in
// an event (6 MB, https://cloud.tencent.com/document/product/583/11637), so that the
// function's own limit can be seen at work.
const mostBody = 16 << 20

// Event makes the trigger event that a function URL makes of a request. A body that is
// not UTF-8 becomes base64, as API gateway does it.
// https://www.tencentcloud.com/document/product/583/69491
func Event(method string, u *url.URL, header http.Header, source string, body []byte) ([]byte, error) {
	event := map[string]any{
		"httpMethod":  method,
		"path":        u.Path,
		"headers":     eventHeaders(header, source),
		"queryString": eventQuery(u.Query()),
		"body":        string(body),
	}
	if !utf8.Valid(body) {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	var payload bytes.Buffer
	e := json.NewEncoder(&payload)
	e.SetEscapeHTML(false) // XML bodies would grow several times over
	if err := e.Encode(event); err != nil {
		return nil, fmt.Errorf("encode trigger event: %w", err)
	}
	return payload.Bytes(), nil
}

func eventHeaders(header http.Header, source string) map[string]string {
	headers := map[string]string{"x-scf-remote-addr": source}
	for name, values := range header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return headers
}

func eventQuery(query url.Values) map[string]any {
	q := map[string]any{}
	for name, values := range query {
		if len(values) == 1 {
			q[name] = values[0]
		} else {
			q[name] = values
		}
	}
	return q
}

// Gateway is an http.Handler that sends requests to a function, as a function URL does.
type Gateway struct {
	Invoke func(r *http.Request, payload []byte) ([]byte, error)
}

// ServeHTTP makes an event of a request and an answer of the integrated response.
func (g Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		http.Error(w, "the body cannot be read, or is too long", http.StatusRequestEntityTooLarge)
		return
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	payload, err := Event(r.Method, r.URL, r.Header, source, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer, err := g.Invoke(r, payload)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	response, err := ParseResponse(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden) // as SCF does
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	io.WriteString(w, response.Body)
}

// ParseResponse reads what a function returned, as strictly as the platform. The body is
// decoded if it came as base64.
func ParseResponse(answer []byte) (*trigger.Response, error) {
	var r trigger.Response
	err := json.Unmarshal(answer, &r)
	if err == nil && r.IsBase64Encoded {
		var body []byte
		body, err = base64.StdEncoding.DecodeString(r.Body)
		r.Body, r.IsBase64Encoded = string(body), false
	}
	if err != nil || r.StatusCode < 200 || r.StatusCode > 599 {
		return nil, fmt.Errorf("the function's answer is no integrated response: %.200q", answer)
	}
	return &r, nil
}
