package model

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MalformedError says why a body is not a callback, and where. Line and Column
// count from 1 and are 0 where the fault is not at one place of the text; Path
// names a node, such as JobsDetail[1].JobId, and is empty where there is none.
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

// malformed is the error for a fault in the body's meaning, at the named node.
func malformed(path, format string, args ...any) error {
	return &MalformedError{Path: path, Reason: fmt.Sprintf(format, args...)}
}

// malformedAt is the error for a fault in the body's text, at a byte of it.
func malformedAt(body string, offset int, path, format string, args ...any) error {
	line, column := position(body, offset)
	return &MalformedError{Line: line, Column: column, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// position gives the line and the column, in characters, of a byte of body.
func position(body string, offset int) (line, column int) {
	before := body[:min(max(offset, 0), len(body))]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// quote shows a stranger's text in a message: in quotes, escaped, and cut.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
