package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/internal/printable"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// Options are what a Handler works with.
type Options struct {
	Transport http.RoundTripper      // to COS and CI; nil means that of [cosclient.NewTransport]
	Output    io.Writer              // where log lines go
	Environ   func() []string        // returns the process's variables, as NAME=value
	Version   string                 // what GET answers
	Backoff   func() backoff.BackOff // returns the waits between tries at COS and CI; nil means the usual ones
}

// A Handler answers the trigger events of one instance. It is safe for concurrent use.
type Handler struct {
	options Options
	pool    *store.Pool
	level   *slog.LevelVar
	log     *slog.Logger
}

// NewHandler returns a Handler that logs JSON lines.
func NewHandler(o Options) *Handler {
	if o.Transport == nil {
		o.Transport = cosclient.NewTransport()
	}
	level := new(slog.LevelVar)
	return &Handler{
		options: o,
		pool:    store.NewPool(o.Transport),
		level:   level,
		log:     slog.New(slog.NewJSONHandler(o.Output, &slog.HandlerOptions{Level: level})),
	}
}

// Invoke answers one trigger event. It returns no error for an HTTP request: whatever can
// happen to one is an HTTP answer. For a timer's event it returns one where something kept
// it from comparing all of CI's jobs with the records, and for any other event always.
func (h *Handler) Invoke(ctx context.Context, payload []byte) (returned []byte, err error) {
	id := requestID(ctx)
	defer func() {
		if v := recover(); v != nil {
			returned, err = h.internalError(id, v).encode()
		}
	}()
	event, err := trigger.Parse(payload)
	switch {
	case err != nil:
		h.log.Error("not an event that this function answers", "requestId", id, "error", printable.Text(err.Error(), longText))
		return nil, err
	case event.Timer != nil:
		return h.reconcile(ctx, id, event.Timer)
	default:
		return h.answer(ctx, id, event.Request).encode()
	}
}

// requestID returns SCF's id of the invocation.
func requestID(ctx context.Context) string {
	f, ok := functioncontext.FromContext(ctx)
	if !ok {
		return ""
	}
	return printable.Text(f.RequestID, shortText)
}

// environment returns what the invocation came with.
func (h *Handler) environment(ctx context.Context) config.Environment {
	e := config.Environment{Process: map[string]string{}}
	for _, variable := range h.options.Environ() {
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
	handler         *Handler
	id              string // SCF's id of the invocation, else the gateway's of the request
	request         *trigger.Request
	config          config.Config
	store           *store.Store // nil until the settings are read
	unauthenticated bool         // callbacks are taken without a token
	bodyBytes       int
}

// answer answers an HTTP request, and logs it.
func (h *Handler) answer(ctx context.Context, id string, request *trigger.Request) *response {
	started := time.Now()
	c := &call{handler: h, id: cmp.Or(id, printable.Text(request.ID, shortText)), request: request}
	response, results := c.respond(ctx)
	c.log(ctx, response, results, time.Since(started))
	return response
}

// respond decides, in this order: method, token, settings, size, body. What became of the
// jobs comes back beside the response, which does not say all of it.
func (c *call) respond(ctx context.Context) (response *response, results receive.Results) {
	defer func() {
		if v := recover(); v != nil {
			response = c.handler.internalError(c.id, v)
		}
	}()
	switch c.request.Method {
	case http.MethodGet, http.MethodHead:
		return healthResponse(c.handler.options.Version), results
	case http.MethodPost:
	default:
		return errorResponse(http.StatusMethodNotAllowed, "method_not_allowed", "callbacks are sent with POST"), results
	}
	environment := c.handler.environment(ctx)
	if refusal := c.authenticate(environment); refusal != nil {
		return refusal, results
	}
	if failure := c.open(environment); failure != nil {
		return failure, results
	}
	ctx, cancel := withReserve(ctx)
	defer cancel()
	results, err := c.receive(ctx)
	return c.responseForResults(results, err), results
}

// authenticate checks the token of the request. The response is nil if it is right.
func (c *call) authenticate(e config.Environment) *response {
	auth, err := config.LoadAuth(e)
	if err != nil {
		return c.responseForError(err)
	}
	c.unauthenticated = auth.Open()
	if !auth.Admits(c.request.Tokens) {
		return errorResponse(http.StatusUnauthorized, "unauthorized", "the query parameter token is missing or wrong")
	}
	return nil
}

// open reads the settings and opens the store. The response is nil if they are right.
func (c *call) open(e config.Environment) *response {
	var err error
	if c.config, err = config.Load(e); err != nil {
		return c.responseForError(err)
	}
	c.handler.level.Set(c.config.LogLevel)
	if c.store, err = c.handler.openStore(c.id, storeOptions(c.config)); err != nil {
		return c.responseForError(err)
	}
	return nil
}

// openStore opens a store for one invocation, of the given id.
func (h *Handler) openStore(id string, o store.Options) (*store.Store, error) {
	o.Backoff = h.options.Backoff
	o.Warn = func(message string) { h.log.Warn(message, "requestId", id) }
	return h.pool.Open(o)
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

// receive stores what the body says.
func (c *call) receive(ctx context.Context) (receive.Results, error) {
	receiver := receive.Receiver{Store: c.store, TagMD5: c.config.TagMD5}
	body, malformed := c.request.Body()
	c.request = &trigger.Request{Method: c.request.Method, SourceIP: c.request.SourceIP} // the body can have megabytes
	if c.bodyBytes = len(body); c.bodyBytes > c.config.MaxBodyBytes {
		return receive.Results{}, bodyTooLargeError{bytes: c.bodyBytes, max: c.config.MaxBodyBytes}
	}
	if malformed != nil {
		key, err := receiver.Reject(ctx, body)
		if err != nil {
			return receive.Results{}, err
		}
		return receive.Results{Rejected: key}, malformedBodyError{malformed}
	}
	return receiver.Callback(ctx, body)
}

// A bodyTooLargeError says that a body is longer than MAX_BODY_BYTES.
type bodyTooLargeError struct{ bytes, max int }

func (e bodyTooLargeError) Error() string {
	return fmt.Sprintf("the body has %d bytes, and MAX_BODY_BYTES is %d", e.bytes, e.max)
}

// A malformedBodyError says that a body could not be read as the bytes that were sent.
type malformedBodyError struct{ error }

// withReserve returns a context that ends early enough to answer before the platform kills
// the instance: a tenth of the time limit before the deadline, and at least 300
// milliseconds.
func withReserve(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok { // not from SCF
		return context.WithTimeout(ctx, 30*time.Second)
	}
	limit := cmp.Or(invocationLimit(ctx), time.Until(deadline))
	return context.WithDeadline(ctx, deadline.Add(-max(limit/10, 300*time.Millisecond)))
}

// invocationLimit returns the time limit of the invocation, or 0 where SCF does not say.
func invocationLimit(ctx context.Context) time.Duration {
	f, ok := functioncontext.FromContext(ctx)
	if !ok {
		return 0
	}
	return time.Duration(f.TimeLimitInMs) * time.Millisecond
}
