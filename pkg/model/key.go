package model

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Where records stand in COS, below a prefix such as "ci/":
//
//	ci/jobs/<JobId>.json
//	ci/workflows/<RunId>.json
//	ci/reviews/<JobId or trace_id>.json
//	ci/history/<jobs, workflows or reviews>/<id>/<SHA-256 of the bytes>.json

// Kinds returns all kinds of records.
func Kinds() []Kind { return []Kind{KindJob, KindWorkflow, KindReview} }

// Folder returns the folder of the records of a kind, such as "jobs", and "" for what is
// no kind.
func (k Kind) Folder() string {
	switch k {
	case KindJob:
		return "jobs"
	case KindWorkflow:
		return "workflows"
	case KindReview:
		return "reviews"
	default:
		return ""
	}
}

// Key returns the record's key in COS.
func (r *Record) Key(prefix string) string { return RecordKey(prefix, r.Kind, r.ID) }

// RecordKey returns the key of the record of an id.
func RecordKey(prefix string, kind Kind, id string) string {
	return prefix + kind.Folder() + "/" + escapeID(id) + ".json"
}

// HistoryPrefix returns what the keys of all older versions of a record begin with.
func HistoryPrefix(prefix string, kind Kind, id string) string {
	return prefix + "history/" + kind.Folder() + "/" + escapeID(id) + "/"
}

// HistoryKey returns the key of one older version of a record, which is named for its
// bytes, so that writing it again changes nothing.
func HistoryKey(prefix string, kind Kind, id string, encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return HistoryPrefix(prefix, kind, id) + hex.EncodeToString(sum[:]) + ".json"
}

// ParseKey returns the kind and the id of the record that a key is of, and reports
// whether it is the key of a record. Keys of the history are not.
func ParseKey(prefix, key string) (kind Kind, id string, ok bool) {
	rest, below := strings.CutPrefix(key, prefix)
	folder, file, _ := strings.Cut(rest, "/")
	name, isJSON := strings.CutSuffix(file, ".json")
	if !below || !isJSON {
		return "", "", false
	}
	for _, kind := range Kinds() {
		id := unescapeID(name)
		if kind.Folder() == folder && isID(kind, id) && RecordKey(prefix, kind, id) == key {
			return kind, id, true
		}
	}
	return "", "", false
}

// escapeID returns an id as it stands in a key. Only a trace_id may hold the three
// characters of base64 that would mean something else in a URL.
func escapeID(id string) string {
	if !strings.ContainsAny(id, "+/=") {
		return id
	}
	return strings.NewReplacer("+", "~2B", "/", "~2F", "=", "~3D").Replace(id)
}

// unescapeID is the reverse of escapeID.
func unescapeID(name string) string {
	if !strings.Contains(name, "~") {
		return name
	}
	return strings.NewReplacer("~2B", "+", "~2F", "/", "~3D", "=").Replace(name)
}

// isID reports whether an id may be that of a record of a kind: 1 to 64 letters, digits,
// _ or -, and of a review, whose trace_id may be base64, up to 96 of these and + / =. CI
// documents no form; its own JobIds and RunIds are letters and digits.
func isID(kind Kind, id string) bool {
	return isPlainID(id) || kind == KindReview && isTraceID(id)
}

func isPlainID(id string) bool {
	return id != "" && len(id) <= 64 && allBytes(id, isIDByte)
}

func isTraceID(id string) bool {
	return id != "" && len(id) <= 96 && allBytes(id, func(c byte) bool {
		return isIDByte(c) || c == '+' || c == '/' || c == '='
	})
}

func isIDByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// allBytes reports whether all bytes of a text are of a kind.
func allBytes(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
