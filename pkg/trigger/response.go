package trigger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A Response is an integrated response. Header values are single strings, which every
// HTTP trigger takes.
type Response struct {
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
}

// JSONResponse returns a response of a status and a body, which is encoded as JSON.
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

// Encode returns the response as the platform reads it.
func (r *Response) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return b, nil
}
