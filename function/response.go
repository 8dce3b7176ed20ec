package main

import (
	"errors"
	"net/http"

	"github.com/ci-callback/ci-callback/internal/printable"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// response is the answer to an HTTP request: its status, and its body as JSON.
type response struct {
	status int

	Service  string       `json:"service,omitempty"`
	Version  string       `json:"version,omitempty"`
	Error    *errorDetail `json:"error,omitempty"`
	Rejected string       `json:"rejected,omitempty"` // the key under which the body was kept
	Results  []result     `json:"results,omitempty"`
}

// errorDetail says what went wrong.
type errorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"` // in words for people
}

// result is what became of one job, workflow run or review.
type result struct {
	Kind    model.Kind    `json:"kind,omitempty"`
	ID      string        `json:"id,omitempty"`
	State   string        `json:"state,omitempty"`
	Outcome store.Outcome `json:"outcome,omitempty"` // empty: not stored
	Record  string        `json:"record,omitempty"`  // the key
	Tags    []tagResult   `json:"tags,omitempty"`
}

// tagResult is what became of the tag of one output.
type tagResult struct {
	Bucket  string           `json:"bucket,omitempty"`
	Object  string           `json:"object,omitempty"` // the key
	Outcome store.TagOutcome `json:"outcome,omitempty"`
	Reason  string           `json:"reason,omitempty"` // why it was skipped or failed
}

// healthResponse is the answer to GET and HEAD.
func healthResponse(version string) *response {
	return &response{status: http.StatusOK, Service: "ci-callback", Version: version}
}

// errorResponse is the answer to a request that did not do what it should.
func errorResponse(status int, code, message string) *response {
	return &response{status: status, Error: &errorDetail{Code: code, Message: printable.Truncate(message, maxMessage)}}
}

// responseForResults is the answer to a callback, with or without an error.
func (c *call) responseForResults(results receive.Results, err error) *response {
	r := &response{status: http.StatusOK}
	if err != nil {
		r = c.responseForError(err)
	}
	r.Rejected = results.Rejected
	for _, job := range results.Jobs {
		r.Results = append(r.Results, newResult(job))
	}
	return r
}

func newResult(r receive.Result) result {
	j := result{Kind: r.Kind, ID: r.ID, State: printable.Truncate(r.State, shortText), Outcome: r.Outcome, Record: r.Key}
	for _, t := range r.Tags {
		j.Tags = append(j.Tags, tagResult{
			Bucket: printable.Truncate(t.Bucket, shortText), Object: printable.Truncate(t.Object, longText),
			Outcome: t.Outcome, Reason: printable.Truncate(t.Reason, longText),
		})
	}
	return j
}

// responseForError is the answer to an error: the sender's fault, the environment's,
// COS's, or ours.
func (c *call) responseForError(err error) *response {
	if p, ok := errors.AsType[*parallel.PanicError](err); ok {
		return c.handler.internalError(c.id, p)
	}
	_, badSetting := errors.AsType[*config.Error](err)
	_, badText := errors.AsType[malformedBodyError](err)
	_, badCallback := errors.AsType[*model.MalformedError](err)
	_, tooLarge := errors.AsType[bodyTooLargeError](err)
	switch {
	case badSetting || errors.Is(err, cosclient.ErrMisconfigured):
		return errorResponse(http.StatusInternalServerError, "misconfigured", err.Error())
	case errors.Is(err, cosclient.ErrUnavailable):
		return errorResponse(http.StatusServiceUnavailable, "unavailable", err.Error())
	case badText || badCallback:
		return errorResponse(http.StatusBadRequest, "malformed_callback", err.Error())
	case tooLarge:
		return errorResponse(http.StatusRequestEntityTooLarge, "body_too_large", err.Error())
	default:
		return c.handler.internalError(c.id, err)
	}
}

// internalError is the answer to a bug: a panic, or an error of no known kind. What it
// says is in the log alone.
func (h *Handler) internalError(id string, bug any) *response {
	h.logBug(id, bug)
	return errorResponse(http.StatusInternalServerError, "internal", receive.BugReason)
}

// maxResponse is how long an encoded response may be, in bytes: a little less than what
// the platform takes. https://cloud.tencent.com/document/product/583/11637
const maxResponse = 5 << 20

// encode returns the response as the platform reads it. One that is too long for it goes
// without what became of the tags; the log counts them.
func (r *response) encode() ([]byte, error) {
	encoded, err := r.encodeWhole()
	if len(encoded) > maxResponse {
		for i := range r.Results {
			r.Results[i].Tags = nil
		}
		encoded, err = r.encodeWhole()
	}
	return encoded, err
}

func (r *response) encodeWhole() ([]byte, error) {
	integrated, err := trigger.JSONResponse(r.status, r)
	if err != nil {
		return nil, err
	}
	switch r.status {
	case http.StatusMethodNotAllowed:
		integrated.Headers["Allow"] = "GET, HEAD, POST"
	case http.StatusServiceUnavailable:
		integrated.Headers["Retry-After"] = "30" // seconds
	}
	return integrated.Encode()
}
