// Package printable makes strangers' text fit for a log line: no longer than it may be, and
// without what a terminal would obey.
package printable

import (
	"strings"
	"unicode"
)

// Truncate shortens a text to a number of bytes, between two characters.
func Truncate(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && s[max]&0xc0 == 0x80 { // within a character
		max--
	}
	return s[:max] + "…"
}

// Text shortens a text to a number of bytes, and replaces every character that is not to be
// seen, so that a callback cannot write escape sequences to a terminal.
func Text(s string, max int) string {
	start := s[:min(len(s), 2*max)] // enough, since no character becomes shorter by more than a quarter
	return Truncate(strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, start), max)
}
