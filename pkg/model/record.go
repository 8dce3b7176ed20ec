package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Version is the version of the record's format.
const Version = 1

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

// A Record is the durable form of what a callback says of one job. It holds
// nothing but what the callback says: no clock and no request id. Fields that are
// empty are left out of its JSON. Its JSON Schema is [Schema].
type Record struct {
	Version int    `json:"version"`         // of the format: 1
	Kind    Kind   `json:"kind"`            // job, workflow or review
	ID      string `json:"id"`              // JobId, RunId, or JobId or trace_id of a review
	Event   string `json:"event,omitempty"` // EventName, such as TaskFinish
	State   string `json:"state"`           // as sent, or Unknown: Success, Failed, Cancel, Running …

	Code    string `json:"code,omitempty"`    // the error code, means something for Failed
	Message string `json:"message,omitempty"` // the error's text
	Tag     string `json:"tag,omitempty"`     // the job's type, such as Transcode
	SubTag  string `json:"subTag,omitempty"`
	QueueID string `json:"queueId,omitempty"`

	// RFC 3339 with the offset and the fraction they came with. A time that was
	// sent without an offset, or unreadable, is in Detail alone.
	CreationTime string `json:"creationTime,omitempty"`
	StartTime    string `json:"startTime,omitempty"`
	EndTime      string `json:"endTime,omitempty"`

	Input    *Object      `json:"input,omitempty"`    // what was processed
	Outputs  []Output     `json:"outputs,omitempty"`  // the objects the job wrote
	Workflow *WorkflowRef `json:"workflow,omitempty"` // the workflow run that started the job
	UserData string       `json:"userData,omitempty"` // as given when the job was submitted

	// Detail is the whole JobsDetail or WorkflowExecution, or the whole body of a
	// review in the Simple form, in normal form.
	Detail json.RawMessage `json:"detail"`
}

// An Object names an object in COS. Key is without a leading slash in outputs,
// and as sent in an input.
type Object struct {
	Bucket string `json:"bucket,omitempty"` // <name>-<appid>
	Region string `json:"region,omitempty"`
	Key    string `json:"object,omitempty"`
}

// An Output is an object that a job wrote: a real key, never a template such as
// ${Number}. MD5 is 32 lower-case hex digits, or empty where the callback has none.
// Bucket, region and key are a stranger's text until they are checked.
type Output struct {
	Object
	MD5 string `json:"md5,omitempty"`
}

// A WorkflowRef names a workflow and one run of it.
type WorkflowRef struct {
	RunID        string `json:"runId,omitempty"`
	WorkflowID   string `json:"workflowId,omitempty"`
	WorkflowName string `json:"workflowName,omitempty"`
	Name         string `json:"name,omitempty"` // the workflow's node that the job belongs to
}

// validID is what may become part of a key. CI documents no form; its ids are
// letters and digits.
var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Key gives the record's key in COS, below a prefix such as "ci/".
func (r *Record) Key(prefix string) string {
	folder := map[Kind]string{KindJob: "jobs/", KindWorkflow: "workflows/", KindReview: "reviews/"}[r.Kind]
	return prefix + folder + r.ID + ".json"
}

// Encode gives the record's bytes: one line of JSON and a newline, with <, > and &
// as themselves. Records that say the same have the same bytes. Detail must be as
// [Decode] and [ParseRecord] give it; it is not looked at again.
func (r *Record) Encode() ([]byte, error) {
	const null, end = `null`, "}\n" // detail is the last field
	head := *r
	head.Detail = json.RawMessage(null)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(head); err != nil {
		return nil, fmt.Errorf("encode record of %s %s: %w", r.Kind, r.ID, err)
	}
	return slices.Concat(bytes.TrimSuffix(b.Bytes(), []byte(null+end)), r.Detail, []byte(end)), nil
}

// ErrNotRecord says that bytes are not a record of a version this package knows.
var ErrNotRecord = errors.New("not a record")

// ParseRecord reads what Encode wrote. Fields it does not know are passed over.
// Its error wraps [ErrNotRecord].
func ParseRecord(encoded []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(encoded, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRecord, err)
	}
	known := r.Kind == KindJob || r.Kind == KindWorkflow || r.Kind == KindReview
	if r.Version != Version || !known || !validID.MatchString(r.ID) || r.State == "" || !bytes.HasPrefix(r.Detail, []byte("{")) {
		return nil, fmt.Errorf("%w: version %d, kind %q, id %q", ErrNotRecord, r.Version, r.Kind, r.ID)
	}
	var detail bytes.Buffer
	if err := json.Compact(&detail, r.Detail); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRecord, err)
	}
	r.Detail = detail.Bytes()
	return &r, nil
}
