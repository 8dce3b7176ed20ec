package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the version of the record's format that this package writes. Version 1 had
// no source, verdict and label.
const Version = 2

// Kind is what a record is about.
type Kind string

// The kinds of records.
const (
	KindJob      Kind = "job"      // a CI job: media, picture, document, file, AI
	KindWorkflow Kind = "workflow" // one run of a workflow
	KindReview   Kind = "review"   // a content-moderation job
)

// StateUnknown stands where a callback names no state.
const StateUnknown = "Unknown"

// SourceQuery is the source of a record that was made of CI's answer to a query. The
// record of a callback has no source.
const SourceQuery = "query"

// A Verdict is what a review came to.
type Verdict string

// The verdicts. A review that has none yet, or one that this package does not know, has
// an empty one.
const (
	VerdictNormal    Verdict = "normal"
	VerdictSuspected Verdict = "suspected" // a person should look at it
	VerdictViolation Verdict = "violation"
)

// A Record is what is kept of one job: what CI said of it, and nothing else. It has no
// clock and no request id, so that the same callback always gives the same bytes. Fields
// that are empty are left out of its JSON. Its JSON Schema is [Schema].
type Record struct {
	Version int    `json:"version"`          // of the format: 2, or 1 in records that were written before
	Kind    Kind   `json:"kind"`             // job, workflow or review
	ID      string `json:"id"`               // JobId, RunId, or JobId or trace_id of a review
	Source  string `json:"source,omitempty"` // "query", or empty for a callback
	Event   string `json:"event,omitempty"`  // EventName, such as TaskFinish
	State   string `json:"state"`            // as sent, or Unknown: Success, Failed, Cancel, Running …

	Verdict Verdict `json:"verdict,omitempty"` // of a review
	Label   string  `json:"label,omitempty"`   // of a review, what was found, such as Porn

	Code    string `json:"code,omitempty"`    // the error code, which means something where State is Failed
	Message string `json:"message,omitempty"` // the text of the error
	Tag     string `json:"tag,omitempty"`     // the type of the job, such as Transcode
	SubTag  string `json:"subTag,omitempty"`
	QueueID string `json:"queueId,omitempty"`

	// RFC 3339 with the offset and the fraction they came with. A time that was sent
	// without an offset, or unreadable, is in Detail alone.
	CreationTime string `json:"creationTime,omitempty"`
	StartTime    string `json:"startTime,omitempty"`
	EndTime      string `json:"endTime,omitempty"`

	Input    *Input       `json:"input,omitempty"`    // what was processed
	Outputs  []Output     `json:"outputs,omitempty"`  // the objects that the job wrote, each once
	Workflow *WorkflowRef `json:"workflow,omitempty"` // the run that started the job; of a run, itself
	UserData string       `json:"userData,omitempty"` // as given when the job was submitted; DataId of a review

	// Detail is the whole JobsDetail or WorkflowExecution, or the whole body of a review
	// in the Simple form, in normal form.
	Detail json.RawMessage `json:"detail"`
}

// An Object names an object in COS. Its key has no leading slash in outputs, and is as
// sent in an input.
type Object struct {
	Bucket string `json:"bucket,omitempty"` // <name>-<appid>
	Region string `json:"region,omitempty"`
	Key    string `json:"object,omitempty"`
}

// An Input is what was processed: an object, or, where that is not in COS, the URL.
type Input struct {
	Object
	URL string `json:"url,omitempty"`
}

// An Output is an object that a job wrote: a real key, never a template such as
// ${Number}. MD5 is 32 lower-case hex digits, or empty where the callback has none.
// Bucket and region are empty or names that COS could have; the key is a stranger's text
// of at most 850 bytes.
type Output struct {
	Object
	MD5 string `json:"md5,omitempty"`
}

// A WorkflowRef names a workflow and one run of it.
type WorkflowRef struct {
	RunID        string `json:"runId,omitempty"`
	WorkflowID   string `json:"workflowId,omitempty"`
	WorkflowName string `json:"workflowName,omitempty"`
	Name         string `json:"name,omitempty"` // the node of the workflow that the job belongs to
}

// IsTerminal reports whether a state is one that a job does not leave. CI documents
// Success, Failed and Cancel, and beside them Submitted, Running and Pause.
// https://www.tencentcloud.com/document/product/1045/49942
func IsTerminal(state string) bool {
	return state == "Success" || state == "Failed" || state == "Cancel"
}

// Succeeded reports whether the job ended well.
func (r *Record) Succeeded() bool { return r.State == "Success" }

// Time returns the time that a record goes by: its end, else its start, else its
// creation. It reports false where the record has none of them.
func (r *Record) Time() (time.Time, bool) {
	return firstTime(r.EndTime, r.StartTime, r.CreationTime)
}

// LaterFormat reports whether the record is of a later version of the format than this
// package knows, and so may hold fields that it does not see.
func (r *Record) LaterFormat() bool { return r.Version > Version }

// ErrNotRecord says that bytes are not a record.
var ErrNotRecord = errors.New("not a record")

// ParseRecord reads what Encode wrote. Fields that it does not know are passed over, and
// of a record of a later format (see [Record.LaterFormat]) those that it cannot read as
// well. Its error wraps [ErrNotRecord].
func ParseRecord(encoded []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(encoded, &r); err != nil && !IsLaterFormat(err, r.Version) {
		return nil, fmt.Errorf("%w: %w", ErrNotRecord, err)
	}
	if !isRecord(r.Version, r.Kind, r.ID, r.State, bytes.HasPrefix(r.Detail, []byte("{"))) {
		return nil, fmt.Errorf("%w: version %d, kind %q, id %q", ErrNotRecord, r.Version, r.Kind, r.ID)
	}
	if len(r.Detail) > 0 {
		var detail bytes.Buffer
		if err := json.Compact(&detail, r.Detail); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotRecord, err)
		}
		r.Detail = detail.Bytes()
	}
	return &r, nil
}

// isRecord reports whether what was read of some JSON makes it a record. Of a later
// format no more is asked than that it says which job it is of.
func isRecord(version int, kind Kind, id, state string, hasDetail bool) bool {
	switch {
	case version < 1 || kind.Folder() == "" || !isID(kind, id):
		return false
	case version > Version:
		return true
	default:
		return state != "" && hasDetail
	}
}

// IsLaterFormat reports whether the JSON of a record did not fit a Go type because it is of
// a later version of the format, in which a field may have become something else. What
// does fit was read nevertheless.
func IsLaterFormat(err error, version int) bool {
	_, ok := errors.AsType[*json.UnmarshalTypeError](err)
	return ok && version > Version
}
