package model

import (
	"strings"
	"time"
)

// rfc3339 writes a time of a callback as RFC 3339 with the offset and the
// fraction it came with, and "" where it is none: CI writes
// 2006-01-02T15:04:05+0800 in jobs, 2006-01-02 15:04:05+0800 in workflows, RFC 3339
// in reviews, and - or nothing for a time that is not set.
func rfc3339(s string) string {
	const seconds = len("2006-01-02T15:04:05")
	if len(s) <= seconds || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' || strings.Contains(s, ",") {
		return ""
	}
	s = s[:10] + "T" + s[11:]
	if n := len(s); n > seconds && (s[n-5] == '+' || s[n-5] == '-') {
		s = s[:n-2] + ":" + s[n-2:]
	}
	if _, ok := instant(s); !ok {
		return ""
	}
	return s
}

// instant reads an RFC 3339 time. The time package takes offsets of 24 hours and
// of 60 minutes as well, which RFC 3339 has not.
func instant(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || strings.HasSuffix(s, ":60") {
		return time.Time{}, false
	}
	_, offset := t.Zone()
	const day = 24 * 60 * 60
	return t, -day < offset && offset < day
}
