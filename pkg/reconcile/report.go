package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ci-callback/ci-callback/internal/printable"
)

const (
	maxWarnings  = 100   // lines of one run
	maxFindings  = 100   // of one bucket, in the state
	maxTextBytes = 1_000 // of a stranger's text in a line
)

// A report writes the lines of one run, over all buckets, and no more than maxWarnings of
// them: the log keeps a megabyte of an invocation.
// https://www.tencentcloud.com/document/product/583/39778
type report struct {
	log *slog.Logger // nil: none

	mu       sync.Mutex
	warnings int
}

// warn writes a line, unless there were too many.
func (r *report) warn(message string, fields ...slog.Attr) {
	r.mu.Lock()
	r.warnings++
	tooMany := r.warnings > maxWarnings
	r.mu.Unlock()
	if r.log != nil && !tooMany {
		r.log.LogAttrs(context.Background(), slog.LevelWarn, message, fields...)
	}
}

// end says how many lines were not written.
func (r *report) end() {
	if more := r.warnings - maxWarnings; more > 0 && r.log != nil {
		r.log.Warn(fmt.Sprintf("%d more warnings of this reconciliation are not shown", more), "warnings", r.warnings)
	}
}

// text is a field whose value is a stranger's: cut, and without what a terminal would obey.
func text(name, value string) slog.Attr {
	return slog.String(name, printable.Text(value, maxTextBytes))
}
