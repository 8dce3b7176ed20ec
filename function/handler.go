package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// Options are what a Handler works with.
type Options struct {
	Pool    *store.Pool
	Output  io.Writer              // of log lines
	Environ func() []string        // the process's variables, as NAME=value
	Version string                 // as GET tells it
	Backoff func() backoff.BackOff // waits between tries at COS; nil means the store's own
}

// A Handler answers the trigger events of one instance. It is safe for concurrent use.
type Handler struct {
	Options
	level *slog.LevelVar
	log   *slog.Logger
}

// NewHandler returns a Handler that logs JSON lines.
func NewHandler(o Options) *Handler {
	level := new(slog.LevelVar)
	return &Handler{Options: o, level: level, log: slog.New(slog.NewJSONHandler(o.Output, &slog.HandlerOptions{Level: level}))}
}

// Invoke answers one trigger event. It returns an error only for an event that is no
// HTTP request; everything else that can happen is an HTTP answer.
func (h *Handler) Invoke(ctx context.Context, payload []byte) (returned []byte, err error) {
	started := time.Now()
	c := &call{Handler: h, id: requestID(ctx)}
	defer func() {
		if v := recover(); v != nil {
			returned, err = c.bug(v).encode()
		}
	}()
	if c.request, err = trigger.ParseRequest(payload); err != nil {
		h.log.Error("not an HTTP request", "requestId", c.id, "error", err.Error())
		return nil, err
	}
	c.id = cmp.Or(c.id, legible(c.request.ID, shortText))
	answer := c.answer(ctx)
	c.logLine(ctx, answer, time.Since(started))
	return answer.encode()
}

// environment gives what the invocation came with.
func (h *Handler) environment(ctx context.Context) config.Environment {
	e := config.Environment{Process: map[string]string{}}
	for _, variable := range h.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		e.Process[name] = value
	}
	if f, ok := functioncontext.FromContext(ctx); ok {
		e.Invocation, e.Region, e.AppID = f.Environment, f.TencentcloudRegion, f.TencentcloudAppID
	}
	return e
}

// call is one HTTP request on its way to an answer.
type call struct {
	*Handler
	id          string // SCF's id of the invocation, else the gateway's of the request
	request     *trigger.Request
	environment config.Environment
	config      config.Config
	store       *store.Store // nil until the settings are read
	open        bool         // callbacks come in without a token
	size        int          // of the body
	outputs     atomic.Int64 // that were to be tagged so far
}

// answer decides, in this order: method, token, settings, size, body.
func (c *call) answer(ctx context.Context) (a *answer) {
	defer func() {
		if v := recover(); v != nil {
			a = c.bug(v)
		}
	}()
	switch c.request.Method {
	case http.MethodGet, http.MethodHead:
		return &answer{status: http.StatusOK, Service: "ci-callback", Version: c.Version}
	case http.MethodPost:
	default:
		return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "callbacks are sent with POST")
	}
	c.environment = c.Handler.environment(ctx)
	auth, err := config.LoadAuth(c.environment)
	if err != nil {
		return c.failed(err)
	}
	if c.open = auth.Open(); !auth.Admits(c.request.Query["token"]) {
		return refuse(http.StatusUnauthorized, "unauthorized", "the query parameter token is missing or wrong")
	}
	if c.config, err = config.Load(c.environment); err != nil {
		return c.failed(err)
	}
	c.level.Set(c.config.LogLevel)
	if c.size = c.request.BodySize(); c.size > c.config.MaxBodyBytes {
		return refuse(http.StatusRequestEntityTooLarge, "body_too_large",
			fmt.Sprintf("the body has %d bytes, and MAX_BODY_BYTES is %d", c.size, c.config.MaxBodyBytes))
	}
	options := storeOptions(c.config)
	options.Backoff = c.Backoff
	options.Warn = func(message string) { c.log.Warn(message, "requestId", c.id) }
	if c.store, err = c.Pool.Open(options); err != nil {
		return c.failed(err)
	}
	ctx, cancel := withReserve(ctx)
	defer cancel()
	return c.receive(ctx)
}

// storeOptions returns the options of the store that the settings describe.
func storeOptions(c config.Config) store.Options {
	return store.Options{
		Credentials: cosclient.Credentials(c.Credentials),
		Endpoint:    c.Endpoint,
		Bucket:      c.RecordBucket, Region: c.RecordRegion, Prefix: c.RecordPrefix,
		TagKey: c.MD5TagKey, TagBuckets: c.TagBuckets, AppID: c.AppID,
	}
}

// receive decodes the body and stores what it says.
func (c *call) receive(ctx context.Context) *answer {
	body, err := c.request.Body()
	// The text it came as is of no use any more, and can be megabytes.
	c.request = &trigger.Request{Method: c.request.Method, SourceIP: c.request.SourceIP, ID: c.request.ID}
	if err != nil {
		return c.reject(ctx, body, err)
	}
	callback, err := model.Decode(body)
	if err != nil {
		return c.reject(ctx, body, err)
	}
	if callback.Probe != "" {
		return &answer{status: http.StatusOK, Results: []result{{Kind: model.KindReview, ID: callback.Probe, Outcome: "probe"}}}
	}
	results, err := c.keep(ctx, callback.Records)
	if err != nil {
		a := c.failed(err)
		a.Results = results
		return a
	}
	return &answer{status: http.StatusOK, Results: results}
}

// reject keeps a body that was not understood, so that nothing is lost, and says why.
func (c *call) reject(ctx context.Context, body []byte, reason error) *answer {
	key, err := c.store.KeepRejected(ctx, body)
	if err != nil {
		return c.failed(err)
	}
	a := refuse(http.StatusBadRequest, "malformed_callback", reason.Error())
	a.Rejected = key
	return a
}

// failed makes the answer of an error: the environment's fault, COS's, or ours.
func (c *call) failed(err error) *answer {
	if p, ok := errors.AsType[*parallel.PanicError](err); ok {
		return c.bug(p)
	}
	_, setting := errors.AsType[*config.Error](err)
	switch {
	case setting || errors.Is(err, cosclient.ErrMisconfigured):
		return refuse(http.StatusInternalServerError, "misconfigured", err.Error())
	case errors.Is(err, cosclient.ErrUnavailable):
		return refuse(http.StatusServiceUnavailable, "unavailable", err.Error())
	default:
		return c.bug(err)
	}
}

// withReserve ends the work early enough to answer before the platform kills the
// instance: a tenth of the time limit before the deadline, and at least 300
// milliseconds.
func withReserve(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok { // not from SCF
		return context.WithTimeout(ctx, 30*time.Second)
	}
	limit := time.Until(deadline)
	if f, ok := functioncontext.FromContext(ctx); ok && f.TimeLimitInMs > 0 {
		limit = time.Duration(f.TimeLimitInMs) * time.Millisecond
	}
	return context.WithDeadline(ctx, deadline.Add(-max(limit/10, 300*time.Millisecond)))
}
