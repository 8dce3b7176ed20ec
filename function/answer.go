package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// answer is the body of an HTTP answer, and its status.
type answer struct {
	status int

	Service  string   `json:"service,omitempty"`
	Version  string   `json:"version,omitempty"`
	Error    *problem `json:"error,omitempty"`
	Rejected string   `json:"rejected,omitempty"` // where the body was kept
	Results  []result `json:"results,omitempty"`
}

// problem says what went wrong, in words for people.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refuse is the answer to a request that did not do what it should.
func refuse(status int, code, message string) *answer {
	return &answer{status: status, Error: &problem{Code: code, Message: cut(message, longText)}}
}

// bugReason is what is told of a bug outside of the log.
const bugReason = "a bug in ci-callback; its stack is in the function's log"

// isBug tells a panic from other errors.
func isBug(err error) bool {
	_, ok := errors.AsType[*parallel.PanicError](err)
	return ok
}

// bug is the answer to an error that is ours. The log has the stack.
func (c *call) bug(v any) *answer {
	stack := debug.Stack()
	if p, ok := v.(*parallel.PanicError); ok {
		v, stack = p.Value, p.Stack
	}
	c.log.Error("bug", "requestId", c.id, "error", legible(fmt.Sprint(v), 3*shortText), "stack", cut(string(stack), 6000))
	return refuse(http.StatusInternalServerError, "internal", bugReason)
}

// mostAnswer is what the platform takes of an answer, in bytes, with some to spare.
// https://cloud.tencent.com/document/product/583/11637
const mostAnswer = 5 << 20

// encode gives the answer as the platform reads it. One that is too long for it goes
// without what became of the tags; the log counts them.
func (a *answer) encode() ([]byte, error) {
	encoded, err := a.response()
	if len(encoded) > mostAnswer {
		for i := range a.Results {
			a.Results[i].Tags = nil
		}
		encoded, err = a.response()
	}
	return encoded, err
}

func (a *answer) response() ([]byte, error) {
	response, err := trigger.JSONResponse(a.status, a)
	if err != nil {
		return nil, err
	}
	switch a.status {
	case http.StatusMethodNotAllowed:
		response.Headers["Allow"] = "GET, HEAD, POST"
	case http.StatusServiceUnavailable:
		response.Headers["Retry-After"] = "30" // seconds
	}
	return response.Encode()
}

// How much of a stranger's text goes into an answer or a log line, in bytes. CLS keeps
// 8 KB of a line. https://www.tencentcloud.com/document/product/583/39778
const (
	shortText = 100
	longText  = 1000
	mostJobs  = 20 // that a log line names
)

// cut shortens a text.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 { // within a character
		most--
	}
	return s[:most] + "…"
}

// legible shortens a text for the log, and takes out of it what a terminal would obey.
func legible(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, cut(s, most))
}

// requestID gives SCF's id of the invocation.
func requestID(ctx context.Context) string {
	f, ok := functioncontext.FromContext(ctx)
	if !ok {
		return ""
	}
	return cut(f.RequestID, shortText)
}

// logLine writes the one line of a callback. Its fields are on one level, since CLS
// indexes the first alone. Health checks are of no interest but to who debugs.
func (c *call) logLine(ctx context.Context, a *answer, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case a.Service != "":
		level = slog.LevelDebug
	case a.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case a.status >= http.StatusBadRequest:
		level = slog.LevelWarn
	}
	fields := []slog.Attr{
		slog.String("requestId", c.id),
		slog.Int("status", a.status),
		slog.Float64("durationMs", float64(took.Microseconds())/1000),
		slog.String("method", legible(c.request.Method, shortText)),
		slog.String("source", legible(c.request.SourceIP, shortText)),
		slog.Int("bodyBytes", c.size),
	}
	if c.store != nil {
		fields = append(fields, slog.Int64("cosRequests", c.store.Requests()))
	}
	if c.open {
		fields = append(fields, slog.Bool("unauthenticated", true))
	}
	if a.Error != nil {
		fields = append(fields, slog.String("code", a.Error.Code), slog.String("error", legible(a.Error.Message, 2*longText)))
	}
	if a.Rejected != "" {
		fields = append(fields, slog.String("rejected", a.Rejected))
	}
	c.log.LogAttrs(ctx, level, "callback", append(fields, jobFields(a.Results)...)...)
}

// jobFields tell of the jobs of a callback: of a single one its id, kind, state and
// outcome, of several how many there were of each outcome, and the first ids.
func jobFields(results []result) []slog.Attr {
	if len(results) == 0 {
		return nil
	}
	outcomes, tags := map[string]int{}, map[string]int{}
	var ids []string
	var reason string
	for _, r := range results {
		outcomes[cmp.Or(string(r.Outcome), "failed")]++
		for _, t := range r.Tags {
			tags[string(t.Outcome)]++
			reason = cmp.Or(reason, t.Reason)
		}
		if len(ids) < mostJobs {
			ids = append(ids, r.ID)
		}
	}
	r := results[0]
	fields := []slog.Attr{slog.String("job", r.ID), slog.String("kind", string(r.Kind)), slog.String("state", legible(r.State, shortText)), slog.String("outcome", cmp.Or(string(r.Outcome), "failed"))}
	if len(results) > 1 {
		fields = []slog.Attr{slog.Int("jobs", len(results)), slog.Any("outcomes", outcomes), slog.Any("ids", ids)}
	}
	if len(tags) > 0 {
		fields = append(fields, slog.Any("tags", tags))
	}
	if reason != "" {
		fields = append(fields, slog.String("tagReason", legible(reason, longText)))
	}
	return fields
}
