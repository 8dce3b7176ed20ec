// Package parallel does a number of things side by side, a few at a time, and turns a
// panic in any of them into an error. Without that, a panic in any goroutine ends the
// whole process.
package parallel

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// ForEach calls do for 0 to n-1, at most limit of them at a time, and returns the error
// of each; a panic is a [*PanicError]. It returns when all have ended. The caller's
// goroutine does its share, so that a single thing needs no other.
func ForEach(n, limit int, do func(i int) error) []error {
	errs := make([]error, n)
	var started atomic.Int64
	work := func() {
		for i := int(started.Add(1)) - 1; i < n; i = int(started.Add(1)) - 1 {
			errs[i] = call(i, do)
		}
	}
	var others sync.WaitGroup
	for range min(n, limit) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return errs
}

// call calls do and returns its error, or its panic as one.
func call(i int, do func(i int) error) (err error) {
	defer Recover(&err)
	return do(i)
}

// PanicError is a panic that was caught, with the stack where it happened.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns what the panic said, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Recover, deferred, sets *err to a [*PanicError] if its goroutine panics.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
