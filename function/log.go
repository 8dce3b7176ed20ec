package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/internal/printable"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/receive"
)

// How much of a stranger's text goes into an answer or a log line, in bytes. CLS keeps
// 8 KB of a line, and in JSON a text can be twice as long as it is.
// https://www.tencentcloud.com/document/product/583/39778
const (
	shortText  = 100  // a name, such as a state
	longText   = 1000 // a reason, such as an error of COS
	maxMessage = 3000 // what is wrong with all of the settings
	maxStack   = 6000
	maxListed  = 3500 // the jobs of one line, as JSON
)

// maxJobs is how many jobs a log line names.
const maxJobs = 20

// logBug logs a bug, which is a panic or an error, with the stack where it happened.
func (h *Handler) logBug(id string, bug any) {
	stack := debug.Stack()
	if p, ok := bug.(*parallel.PanicError); ok {
		bug, stack = p.Value, p.Stack
	}
	h.log.Error("bug", "requestId", id, "error", printable.Text(fmt.Sprint(bug), 3*shortText), "stack", printable.Truncate(string(stack), maxStack))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// log writes the one line of a request. Its fields are on one level, since CLS indexes the
// first alone. GET and HEAD are logged at debug level only.
func (c *call) log(ctx context.Context, r *response, results receive.Results, took time.Duration) {
	if i := slices.IndexFunc(results.Jobs, func(r receive.Result) bool { return r.RefusedTag != nil }); i >= 0 {
		refused := results.Jobs[i].RefusedTag
		c.handler.log.Error("an output was not tagged", "requestId", c.id, "job", results.Jobs[i].ID, "error", printable.Text(refused.Error(), longText))
	}
	fields := []slog.Attr{
		slog.String("requestId", c.id),
		slog.Int("status", r.status),
		slog.Float64("durationMs", milliseconds(took)),
		slog.String("method", printable.Text(c.request.Method, shortText)),
		slog.String("source", printable.Text(c.request.SourceIP, shortText)),
		slog.Int("bodyBytes", c.bodyBytes),
	}
	if c.store != nil {
		fields = append(fields, slog.Int64("cosRequests", c.store.Requests()))
	}
	if c.unauthenticated {
		fields = append(fields, slog.Bool("unauthenticated", true))
	}
	if r.Error != nil {
		fields = append(fields, slog.String("code", r.Error.Code), slog.String("error", errorText(r.Error.Message, results)))
	}
	if r.Rejected != "" {
		fields = append(fields, slog.String("rejected", r.Rejected))
	}
	fields = append(fields, jobFields(results.Jobs)...)
	c.handler.log.LogAttrs(ctx, logLevel(r), "callback", append(fields, tagFields(results.Jobs)...)...)
}

func logLevel(r *response) slog.Level {
	switch {
	case r.Service != "":
		return slog.LevelDebug
	case r.status >= http.StatusInternalServerError:
		return slog.LevelError
	case r.status >= http.StatusBadRequest:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// errorText returns an error's text, shorter where jobs share the line with it.
func errorText(message string, results receive.Results) string {
	if len(results.Jobs) > 0 {
		return printable.Text(message, longText)
	}
	return printable.Text(message, maxMessage)
}

// jobFields say what one needs to ask CI about the jobs of a callback, and what became of
// each. A single job's id, kind, state, type and outcome are fields of their own. Of
// several, the line has how many there were, how many of each outcome, and a list of
// them, of maxJobs or maxListed bytes at most.
func jobFields(jobs []receive.Result) []slog.Attr {
	if len(jobs) == 0 {
		return nil
	}
	var fields []slog.Attr
	if len(jobs) == 1 {
		j := newJobLine(jobs[0], shortText)
		fields = []slog.Attr{slog.String("job", j.ID), slog.String("kind", j.Kind), slog.String("state", j.State)}
		if j.Tag != "" {
			fields = append(fields, slog.String("tag", j.Tag))
		}
		fields = append(fields, slog.String("outcome", j.Outcome))
	} else {
		outcomes := map[string]int{}
		for _, r := range jobs {
			outcomes[outcomeText(r)]++
		}
		fields = []slog.Attr{slog.Int("jobs", len(jobs)), slog.Any("outcomes", outcomes), slog.Any("results", listJobs(jobs))}
	}
	if buckets := distinct(jobs, func(r receive.Result) string { return r.Bucket }); buckets != "" {
		fields = append(fields, slog.String("bucket", buckets))
	}
	if queues := distinct(jobs, func(r receive.Result) string { return r.Queue }); queues != "" {
		fields = append(fields, slog.String("queue", queues))
	}
	return fields
}

// jobLine is a job of several in a log line.
type jobLine struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	State   string `json:"state,omitempty"`
	Tag     string `json:"tag,omitempty"` // CI's name of the type of a job
	Outcome string `json:"outcome"`
}

func newJobLine(r receive.Result, max int) jobLine {
	return jobLine{
		ID: r.ID, Kind: string(r.Kind), State: printable.Text(r.State, max), Tag: printable.Text(r.Type, max), Outcome: outcomeText(r),
	}
}

// listJobs returns the first jobs of a callback as JSON, as many as a log line can name.
func listJobs(jobs []receive.Result) []json.RawMessage {
	var list []json.RawMessage
	bytes := 0
	for _, r := range jobs[:min(len(jobs), maxJobs)] {
		encoded, err := json.Marshal(newJobLine(r, shortText/2))
		if bytes += len(encoded) + len(","); err != nil || bytes > maxListed {
			break
		}
		list = append(list, encoded)
	}
	return list
}

// outcomeText returns what became of a job; one that was not stored failed.
func outcomeText(r receive.Result) string { return cmp.Or(string(r.Outcome), "failed") }

// distinct returns what jobs have in common, or, with commas between them, what they have
// instead.
func distinct(jobs []receive.Result, property func(receive.Result) string) string {
	var all []string
	for _, r := range jobs[:min(len(jobs), maxJobs)] {
		if p := property(r); p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return printable.Text(strings.Join(all, ","), 2*shortText)
}

// tagFields say how many tags there were of each outcome, and the first reason of one that
// was skipped or failed.
func tagFields(jobs []receive.Result) []slog.Attr {
	outcomes := map[string]int{}
	var reason string
	for _, r := range jobs {
		for _, t := range r.Tags {
			outcomes[string(t.Outcome)]++
			reason = cmp.Or(reason, t.Reason)
		}
	}
	if len(outcomes) == 0 {
		return nil
	}
	fields := []slog.Attr{slog.Any("tags", outcomes)}
	if reason != "" {
		fields = append(fields, slog.String("tagReason", printable.Text(reason, longText/2)))
	}
	return fields
}
