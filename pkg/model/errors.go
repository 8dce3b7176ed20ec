package model

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A MalformedError says why a body, or one job of it, is not a callback, and where. Line
// and Column count from 1, and are 0 where the fault is not at one place of the text.
// Path names a node, such as JobsDetail[1].JobId, and is empty where there is none.
type MalformedError struct {
	Line, Column int
	Path         string
	Reason       string
}

func (e *MalformedError) Error() string {
	var where []string
	if e.Line > 0 {
		where = append(where, fmt.Sprintf("line %d, column %d", e.Line, e.Column))
	}
	if e.Path != "" {
		where = append(where, e.Path)
	}
	if len(where) == 0 {
		return e.Reason
	}
	return strings.Join(where, ", ") + ": " + e.Reason
}

// A PartialError says which jobs of a body were not understood, where others were.
type PartialError struct {
	Faults []*MalformedError // one for each such job, in the order of the body
}

// Error names the first of the faults and counts the others.
func (e *PartialError) Error() string {
	first := e.Faults[0].Error()
	if others := len(e.Faults) - 1; others > 0 {
		first += fmt.Sprintf(" (and %d other jobs of this callback)", others)
	}
	return first
}

// Unwrap returns the faults, for errors.As.
func (e *PartialError) Unwrap() []error {
	faults := make([]error, len(e.Faults))
	for i, fault := range e.Faults {
		faults[i] = fault
	}
	return faults
}

// malformed is the error for a fault in the meaning of a body, at the node of that path.
func malformed(path, format string, args ...any) *MalformedError {
	return &MalformedError{Path: path, Reason: fmt.Sprintf(format, args...)}
}

// malformedAt is the error for a fault in the text of a body, at a byte of it.
func malformedAt(body string, offset int, path, format string, args ...any) *MalformedError {
	line, column := position(body, offset)
	return &MalformedError{Line: line, Column: column, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// position returns the line and the column, in characters, of a byte of the body.
func position(body string, offset int) (line, column int) {
	before := body[:min(max(offset, 0), len(body))]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// quote returns a stranger's text as it stands in a message: in quotes, escaped, and
// truncated.
func quote(s string) string {
	const maxBytes = 80
	if len(s) > maxBytes {
		s = strings.ToValidUTF8(s[:maxBytes], "") + "…"
	}
	return strconv.Quote(s)
}
