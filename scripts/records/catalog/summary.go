package catalog

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// A Summary is what a table shows of a record.
type Summary struct {
	Key      string    // of the object
	ETag     string    // of the object
	Size     int64     // of the object, in bytes
	Recorded time.Time // when the object was written: its Last-Modified

	Kind    model.Kind
	ID      string
	Source  string // "query" where the record was made of CI's answer to a query
	State   string
	Verdict string // of a review
	Label   string // of a review
	Code    string
	Message string // its first 300 bytes
	Type    string // the job's tag, such as Transcode; of a review, its event; else the kind
	Queue   string
	Input   string // bucket/key, or a URL without its query

	Created, Started, Ended time.Time // zero where the record has none

	Problem string // why the object is no record; then only the object's fields and the id are set
	Later   bool   // the record is of a later format: what this program can read of it is here
	Refused bool   // the problem is that COS does not give the object
}

const (
	maxMessage = 300 // bytes of a message that a summary keeps
	maxInput   = 900 // bytes of an input; the longest key has 850
)

// summaryFields are the fields of a record that a summary is made of.
type summaryFields struct {
	Version                          int
	Kind                             model.Kind
	ID, Source, Event, State         string
	Verdict, Label                   string
	Code, Message, Tag, QueueID      string
	CreationTime, StartTime, EndTime string
	Input                            struct{ Bucket, Region, Object, URL string }
}

// Unreadable and LaterFormat stand in the place of the state of a record of which none can
// be read.
const (
	Unreadable  = "Unreadable"
	LaterFormat = "Later format"
)

// ShownState returns the state, or what stands in its place.
func (s *Summary) ShownState() string {
	if s.Later {
		return cmp.Or(s.State, LaterFormat)
	}
	return cmp.Or(s.State, Unreadable)
}

// Summarize makes a summary of an object that is, or should be, a record below a prefix, or
// a version of one.
func Summarize(prefix string, o Object) *Summary {
	s := &Summary{Key: o.Key, ETag: o.ETag, Size: o.Size, Recorded: o.LastModified, ID: IDOfKey(o.Key), Kind: KindOfKey(prefix, o.Key)}
	var f summaryFields
	err := json.Unmarshal(o.Body, &f)
	s.Later = f.Version > model.Version && (err == nil || model.IsLaterFormat(err, f.Version))
	switch {
	case s.Later: // what fits was read
		f.ID = cmp.Or(f.ID, s.ID)
	case err != nil:
		s.Problem = "not JSON: " + err.Error()
		return s
	case f.Version == 0 || f.ID == "" || f.State == "":
		s.Problem = "not a record: version, id or state is missing"
		return s
	}
	// The kind is the key's, which leads to the record; of a version the record's own.
	s.Kind, s.ID, s.Source, s.State = cmp.Or(s.Kind, f.Kind), f.ID, f.Source, f.State
	s.Verdict, s.Label = f.Verdict, f.Label
	s.Code, s.Message, s.Queue = f.Code, cut(f.Message, maxMessage), f.QueueID
	s.Type = typeOf(f)
	s.Input = cut(inputOf(f.Input.Bucket, f.Input.Object, f.Input.URL), maxInput)
	s.Created, s.Started, s.Ended = parseTime(f.CreationTime), parseTime(f.StartTime), parseTime(f.EndTime)
	return s
}

// typeOf returns what a table calls a job's type: jobs have a tag, reviews an event.
func typeOf(f summaryFields) string {
	switch {
	case f.Tag != "":
		return f.Tag
	case f.Kind == model.KindReview && f.Event != "":
		return f.Event
	case f.Kind == model.KindWorkflow:
		return "Workflow"
	case f.Kind == model.KindReview:
		return "Review"
	}
	return ""
}

// inputOf returns an input in one piece. The query of a URL is left out: it may be a
// signature, which lets whoever has it read the object.
func inputOf(bucket, key, url string) string {
	if bucket == "" && key == "" {
		url, _, _ = strings.Cut(url, "?")
		return url
	}
	return strings.TrimPrefix(bucket+"/"+strings.TrimPrefix(key, "/"), "/")
}

// cut shortens a text to a number of bytes, at the end of a character.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "…"
}

// parseTime reads a time of a record, zero where there is none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// KindOfKey returns the kind of a record below a prefix, by its key, or "". The prefix need
// not end with a slash.
func KindOfKey(prefix, key string) model.Kind {
	for _, kind := range model.Kinds() {
		if strings.HasPrefix(key, prefix+kind.Folder()+"/") {
			return kind
		}
	}
	return ""
}

// IDOfKey returns the id as it stands in a record's key.
func IDOfKey(key string) string {
	return strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")
}

// Took returns how long a job ran, from its start to its end, and reports whether the
// record says so.
func (s *Summary) Took() (time.Duration, bool) {
	if s.Started.IsZero() || s.Ended.IsZero() || s.Ended.Before(s.Started) {
		return 0, false
	}
	return s.Ended.Sub(s.Started), true
}

// NameInKey returns the id as it stands in the record's key and in the board's URLs.
func (s *Summary) NameInKey() string { return IDOfKey(s.Key) }
