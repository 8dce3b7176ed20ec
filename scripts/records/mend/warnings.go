package mend

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// warnings is a log handler that keeps what pkg/reconcile warns of as sentences. What is
// told of a record that was mended is not kept: that is among the findings.
type warnings struct {
	mu        sync.Mutex
	sentences []string
}

// Enabled implements slog.Handler.
func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	var facts []string
	isFinding := false
	r.Attrs(func(a slog.Attr) bool {
		isFinding = isFinding || a.Key == "outcome"
		facts = append(facts, fmt.Sprintf("%s %s", a.Key, a.Value))
		return true
	})
	if isFinding {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sentences = append(w.sentences, r.Message+": "+strings.Join(facts, ", "))
	return nil
}

// WithAttrs implements slog.Handler; pkg/reconcile makes no use of it.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler; pkg/reconcile makes no use of it.
func (w *warnings) WithGroup(string) slog.Handler { return w }

// all returns the sentences, each once, in the order of the alphabet: jobs are compared
// side by side.
func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.sentences)
	return slices.Compact(w.sentences)
}
