package model

import (
	"strings"
	"time"
)

// rfc3339 returns a time of a callback as RFC 3339, with the offset and the fraction that
// it came with, and "" where it is none.
//
//	2006-01-02T15:04:05+0800     jobs            2006-01-02T15:04:05+08:00
//	2006-01-02 15:04:05+0800     workflow runs   2006-01-02T15:04:05+08:00
//	2006-01-02T15:04:05+08:00    reviews         2006-01-02T15:04:05+08:00
//	-                            not set yet
func rfc3339(s string) string {
	const seconds = len("2006-01-02T15:04:05")
	if len(s) <= seconds || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' || strings.Contains(s, ",") {
		return ""
	}
	s = s[:10] + "T" + s[11:]
	if n := len(s); s[n-5] == '+' || s[n-5] == '-' {
		s = s[:n-2] + ":" + s[n-2:]
	}
	if _, ok := parseTime(s); !ok {
		return ""
	}
	return s
}

// parseTime reads an RFC 3339 time. The time package also takes offsets of 24 hours and
// of 60 minutes, which RFC 3339 does not have.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || strings.HasSuffix(s, ":60") {
		return time.Time{}, false
	}
	_, offset := t.Zone()
	const day = 24 * 60 * 60
	return t, -day < offset && offset < day
}

// firstTime returns the first of those texts that is an RFC 3339 time, and reports
// whether there is one.
func firstTime(texts ...string) (time.Time, bool) {
	for _, s := range texts {
		if t, ok := parseTime(s); ok {
			return t, true
		}
	}
	return time.Time{}, false
}
