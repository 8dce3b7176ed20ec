package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/internal/printable"
	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/pkg/trigger"
)

// reconcile answers a timer's event: it compares CI's jobs with the records. It returns
// what it counted, as JSON. The platform logs the error, and sends the event again.
func (h *Handler) reconcile(ctx context.Context, id string, timer *trigger.Timer) (returned []byte, err error) {
	defer func() {
		if bug, ok := errors.AsType[*parallel.PanicError](err); ok {
			h.logBug(id, bug)
			returned, err = nil, errors.New(receive.BugReason)
		}
	}()
	defer parallel.Recover(&err)
	r := &reconciliation{handler: h, id: id}
	if err := r.open(h.environment(ctx)); err != nil {
		h.log.Error("the timer's event is not answered", "requestId", id, "error", printable.Text(err.Error(), maxMessage))
		return nil, err
	}
	if len(r.settings.Buckets) == 0 {
		h.log.Warn("RECONCILE_BUCKETS is not set: the timer's event does nothing; name the media buckets whose jobs are to be compared with the records, or remove the timer", "requestId", id)
		return json.Marshal(reconcile.Result{Complete: true})
	}
	result, err := r.run(ctx, timer)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// reconciliation is the work of one timer's event.
type reconciliation struct {
	handler  *Handler
	id       string // of the invocation
	settings config.Reconcile
	store    *store.Store
	receiver *receive.Receiver
	ci       *ci.Client
}

// open reads the settings, and opens what they describe unless there is nothing to compare.
// Its error names every variable that is wrong.
func (r *reconciliation) open(e config.Environment) (err error) {
	var wrong, more config.Errors
	if r.settings, err = config.LoadReconcile(e); err != nil {
		wrong, _ = errors.AsType[config.Errors](err)
	}
	if len(wrong) == 0 && len(r.settings.Buckets) == 0 {
		return nil
	}
	records, err := config.Load(e)
	if more, _ = errors.AsType[config.Errors](err); len(more)+len(wrong) > 0 {
		return append(more, wrong...)
	}
	r.handler.level.Set(records.LogLevel)
	options := storeOptions(records)
	options.Slots = make(chan struct{}, reconcile.MaxCOSRequests)
	if r.store, err = r.handler.openStore(r.id, options); err != nil {
		return err
	}
	r.receiver = &receive.Receiver{Store: r.store, TagMD5: records.TagMD5}
	r.ci = ci.NewClient(ci.Options{
		Transport:   r.handler.options.Transport,
		Endpoint:    r.settings.Endpoint,
		Credentials: cosclient.Credentials(records.Credentials),
		Backoff:     r.handler.options.Backoff,
	})
	return nil
}

// run compares, and logs what came of it.
func (r *reconciliation) run(ctx context.Context, timer *trigger.Timer) (reconcile.Result, error) {
	started := time.Now()
	result, err := reconcile.Run(ctx, r.options(invocationLimit(ctx)))
	level := slog.LevelInfo
	fields := []slog.Attr{
		slog.String("requestId", r.id),
		slog.String("timer", printable.Text(timer.Name, shortText)),
		slog.Int("checked", result.Checked),
		slog.Int("recorded", result.Recorded),
		slog.Int("repaired", result.Repaired),
		slog.Int("replaced", result.Replaced),
		slog.Int("pending", result.Pending),
		slog.Int("unknown", result.Unknown),
		slog.Bool("complete", result.Complete),
		slog.Int64("ciRequests", r.ci.Requests()),
		slog.Int64("cosRequests", r.store.Requests()),
		slog.Float64("durationMs", milliseconds(time.Since(started))),
	}
	if err != nil {
		level = slog.LevelError
		fields = append(fields, slog.String("error", printable.Text(strings.ReplaceAll(err.Error(), "\n", "; "), maxMessage)))
	}
	r.handler.log.LogAttrs(ctx, level, "reconcile", fields...)
	return result, err
}

// options returns the options of the run.
func (r *reconciliation) options(limit time.Duration) reconcile.Options {
	o := reconcile.Options{
		Types: r.settings.Types,
		Since: time.Duration(r.settings.Days) * 24 * time.Hour,
		CI:    r.ci, Store: r.store, Receiver: r.receiver,
		Log:       r.handler.log.With("requestId", r.id),
		TimeLimit: limit,
	}
	for _, b := range r.settings.Buckets {
		o.Buckets = append(o.Buckets, reconcile.Bucket(b))
	}
	for _, w := range r.settings.Workflows {
		o.Workflows = append(o.Workflows, reconcile.Workflow(w))
	}
	return o
}
