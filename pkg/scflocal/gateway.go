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
	"time"
	"unicode/utf8"
)

// maxRequestBytes is how much of a request's body the gateway reads. It is more than the
// 6 MB that SCF takes (https://cloud.tencent.com/document/product/583/11637), so that the
// function's own limit can be seen at work.
const maxRequestBytes = 16 << 20

// Event returns the trigger event that a function URL makes of a request from an address:
// https://www.tencentcloud.com/document/product/583/69491. A body that is not UTF-8 is in
// base64, as API gateway has it.
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
	return encodeEvent(event)
}

// TimerEvent returns the event of a timer trigger of a name:
// https://cloud.tencent.com/document/product/583/9708.
func TimerEvent(name string, at time.Time) ([]byte, error) {
	return encodeEvent(map[string]any{
		"Type":        "Timer",
		"TriggerName": name,
		"Time":        at.UTC().Format(time.RFC3339),
		"Message":     "",
	})
}

// encodeEvent encodes an event as JSON with <, > and & as themselves: escaped, XML bodies
// would be several times as long.
func encodeEvent(event map[string]any) ([]byte, error) {
	var payload bytes.Buffer
	e := json.NewEncoder(&payload)
	e.SetEscapeHTML(false)
	if err := e.Encode(event); err != nil {
		return nil, fmt.Errorf("encode trigger event: %w", err)
	}
	return payload.Bytes(), nil
}

// eventHeaders returns headers as an event has them: names in lower case, values joined.
// The client's address is the platform's to say, whatever the client sends.
func eventHeaders(header http.Header, source string) map[string]string {
	headers := map[string]string{}
	for name, values := range header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	headers["x-scf-remote-addr"] = source
	return headers
}

// eventQuery returns parameters as an event has them: several values of a name as a list.
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

// Gateway is an http.Handler that hands requests to a function, as a function URL does.
type Gateway struct {
	// Invoke hands the event that was made of a request to the function, and returns what
	// the function returns.
	Invoke func(r *http.Request, payload []byte) ([]byte, error)
}

// ServeHTTP implements [http.Handler]: it makes an event of a request, and an answer of
// the integrated response.
func (g Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
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
	returned, err := g.Invoke(r, payload)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	response, err := ParseResponse(returned)
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

// Response is an integrated response, which a function returns to an HTTP trigger:
// https://cloud.tencent.com/document/product/583/12513.
type Response struct {
	StatusCode int
	Headers    map[string]string
	Body       string // decoded, if it was in base64
}

// ParseResponse reads what a function returned, as strictly as the platform does.
func ParseResponse(returned []byte) (*Response, error) {
	var r struct {
		IsBase64Encoded bool              `json:"isBase64Encoded"`
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Body            string            `json:"body"`
	}
	err := json.Unmarshal(returned, &r)
	if err == nil && r.IsBase64Encoded {
		var body []byte
		body, err = base64.StdEncoding.DecodeString(r.Body)
		r.Body = string(body)
	}
	if err != nil || r.StatusCode < 200 || r.StatusCode > 599 {
		return nil, fmt.Errorf("what the function returned is no integrated response: %.200q", returned)
	}
	return &Response{r.StatusCode, r.Headers, r.Body}, nil
}
