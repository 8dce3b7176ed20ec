package trigger

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"strings"
)

// A Request is an HTTP request, as far as the function needs it.
type Request struct {
	Method   string   // as sent, such as POST
	Tokens   []string // the values of the query parameter token; the first maxTokens of them
	SourceIP string   // the client's address, as the platform saw it; may be empty
	ID       string   // the gateway's id of the request; may be empty

	body     []byte
	isBase64 bool // the event says so
}

// request returns the request that the fields of an event describe.
func (f *fields) request() *Request {
	r := &Request{
		Method:   string(f.method),
		Tokens:   f.queryString,
		SourceIP: cmp.Or(string(f.sourceIP), f.headers.value(headerRemoteAddr)),
		ID:       cmp.Or(string(f.gatewayReqID), f.headers.value(headerAPIRequestID), f.headers.value(headerSCFRequestID)),
		body:     f.body,
		isBase64: f.isBase64,
	}
	if r.Tokens == nil {
		r.Tokens = f.queryStringParameters
	}
	return r
}

// Body returns the body as the client sent it. Events of function URLs have been seen to
// carry base64 without saying so. So a body that is not said to be base64 is decoded all
// the same where that makes a callback of what was none.
//
// Where the event says base64 and the body is none, Body returns what came, and an error.
// The bytes may be the event's own: they must not be changed.
func (r *Request) Body() ([]byte, error) {
	if r.isBase64 {
		decoded, err := decodeBase64(r.body)
		if err != nil {
			return r.body, fmt.Errorf("the body is said to be base64 and is not: %w", err)
		}
		return decoded, nil
	}
	if beginsLikeCallback(r.body) {
		return r.body, nil
	}
	if decoded, err := decodeBase64(bytes.TrimSpace(r.body)); err == nil && beginsLikeCallback(decoded) {
		return decoded, nil
	}
	return r.body, nil
}

func decodeBase64(text []byte) ([]byte, error) {
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(decoded, text)
	return decoded[:n], err
}

// beginsLikeCallback reports whether a body begins as XML or as a JSON object does.
func beginsLikeCallback(body []byte) bool {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	return len(body) > 0 && (body[0] == '<' || body[0] == '{')
}

// tokens are the values of the query parameter token: one of "" where it has no value,
// nil where there is no such parameter.
type tokens []string

// maxTokens bounds how many values of the parameter are read. While a token is replaced,
// there are two; a stranger may send hundreds of thousands.
const maxTokens = 1000

// readTokens reads the query parameters. The value of each may be a string, a list of
// strings, or true for a name without a value.
func readTokens(r *jsonReader) (t tokens, err error) {
	err = r.objectOrSkip(func(name []byte) error {
		if string(name) != "token" {
			return r.skip()
		}
		t = nil // as for any name that a JSON object has twice, the last holds
		return r.eachText(func(value []byte) {
			if len(t) < maxTokens {
				t = append(t, string(value))
			}
		})
	})
	return t, err
}

// The headers that are read.
const (
	headerRemoteAddr   = iota // the client's address, of a function URL
	headerAPIRequestID        // of an API gateway
	headerSCFRequestID        // of a function URL
)

var headerNames = [...]string{"x-scf-remote-addr", "x-api-requestid", "x-scf-request-id"}

// headers holds the first value of each header that is read.
type headers [len(headerNames)]struct {
	name  string // as it stands in the event, in any case; "" where it does not
	value []byte
}

// read reads the headers of an event. Of several that differ in case alone, the one whose
// name sorts first holds.
func (h *headers) read(r *jsonReader) error {
	return r.objectOrSkip(func(name []byte) error {
		for i, wanted := range headerNames {
			if len(name) != len(wanted) || !strings.EqualFold(string(name), wanted) {
				continue
			}
			if have := h[i].name; have != "" && have < string(name) {
				break
			}
			h[i].name, h[i].value = string(name), nil
			first := true
			return r.eachText(func(value []byte) {
				if first {
					h[i].value, first = bytes.TrimSpace(value), false
				}
			})
		}
		return r.skip()
	})
}

func (h *headers) value(i int) string { return string(h[i].value) }
