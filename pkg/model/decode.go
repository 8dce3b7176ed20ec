package model

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The names that make a body a callback.
const (
	eventName         = "EventName"
	jobsDetail        = "JobsDetail"
	workflowExecution = "WorkflowExecution"
)

// A Callback is what one body says.
type Callback struct {
	// Records are in the callback's order. An id that occurs twice is one record,
	// the newer.
	Records []*Record
	// Probe is the id that stands for the test body that the console sends when a
	// moderation callback URL is saved, and empty for every other body. A probe has no
	// record.
	Probe string
}

// Decode reads a callback body, XML or JSON by its first byte, in any shape that CI
// documents: jobs (JobsDetail, one or several, with or without EventName), a
// workflow run (WorkflowExecution), a review in the Detail form (JobsDetail) or the
// Simple form (code, message, data), or the console's probe. The structure
// decides, never a Content-Type or a job type, so that a job type nobody has seen
// decodes like any other. Its error is a [*MalformedError].
//
// https://www.tencentcloud.com/document/product/1045/49942
func Decode(body []byte) (*Callback, error) {
	root, err := read(string(body))
	if err != nil {
		return nil, err
	}
	event := root.value(eventName)
	if inner := root.only("Response"); inner != nil && inner.kind == object && !root.has(jobsDetail, workflowExecution, "data") {
		root, event = inner, cmp.Or(inner.value(eventName), event)
	}
	if isProbe(root) {
		return &Callback{Probe: probeID}, nil
	}
	all, err := records(event, root)
	if err != nil {
		return nil, err
	}
	return &Callback{Records: all}, nil
}

// read gives the body's tree.
func read(body string) (*node, error) {
	text := strings.TrimPrefix(body, "\uFEFF")
	if at := invalidUTF8(text); at >= 0 {
		return nil, malformedAt(text, at, "", "not UTF-8, the only encoding that is accepted")
	}
	switch trimmed := strings.TrimLeft(text, space); {
	case trimmed == "":
		return nil, malformed("", "the body is empty")
	case trimmed[0] == '<':
		return readXML(text)
	case trimmed[0] == '{':
		return readJSON(text)
	default:
		return nil, malformedAt(text, len(text)-len(trimmed), "", "neither XML nor a JSON object: it starts with %s", quote(string([]rune(trimmed[:min(4, len(trimmed))])[:1])))
	}
}

// space is what XML and JSON call white space.
const space = " \t\r\n"

// invalidUTF8 gives the place of the first byte that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

const (
	probeID      = "test_trace_id"
	probeMessage = "Test request when setting callback url"
)

// isProbe tells the console's test body: its fixed message, about no job.
// https://cloud.tencent.com/document/product/436/45435
func isProbe(root *node) bool {
	id := root.only("data").value("trace_id")
	return !root.has(jobsDetail, workflowExecution) && root.value("message") == probeMessage && (id == probeID || id == "")
}

// records gives the records of a body, the newest for each id.
func records(event string, root *node) ([]*Record, error) {
	if len(event) > MaxEventBytes {
		return nil, malformed(eventName, "longer than %d bytes", MaxEventBytes)
	}
	b := builder{event: event, room: MaxOutputBytes}
	index := map[string]int{}
	for n := root.kids.first; n != nil; n = n.next {
		if n.name == jobsDetail || n.name == workflowExecution {
			if err := b.add(fmt.Sprintf("%s[%d]", n.name, index[n.name]), n); err != nil {
				return nil, err
			}
			index[n.name]++
		}
	}
	if data := root.only("data"); len(b.records) == 0 && data != nil && data.kind == object {
		r := simpleReview(root, data)
		if err := checkID("data", "trace_id", r.ID); err != nil {
			return nil, err
		}
		b.records = append(b.records, r)
	}
	if len(b.records) == 0 {
		return nil, malformed("", "no job in it: neither JobsDetail, WorkflowExecution nor data is there and not empty")
	}
	return newest(b.records)
}

// builder makes records, within the limits that hold for a body as a whole.
type builder struct {
	event   string
	room    int // for outputs, in bytes
	records []*Record
}

// add makes the record of one JobsDetail or WorkflowExecution.
func (b *builder) add(path string, n *node) error {
	if n.kind != object {
		return malformed(path, "not an object with the fields of a job")
	}
	if len(b.records) == MaxJobs {
		return malformed(path, "more than %d jobs in one callback", MaxJobs)
	}
	id, record := "JobId", jobOrReview
	if n.name == workflowExecution {
		id, record = "RunId", workflow
	}
	r := record(b.event, n)
	if err := checkID(path, id, r.ID); err != nil {
		return err
	}
	o := outputs{room: b.room}
	switch r.Kind {
	case KindJob:
		o.job(n, r.State == "Success")
	case KindWorkflow:
		o.workflow(n)
	}
	if o.room < 0 {
		return malformed(path, "the buckets, regions and keys of all outputs come to more than %d bytes", MaxOutputBytes)
	}
	b.room = o.room
	r.Outputs = o.list
	r.Detail = n.normal()
	b.records = append(b.records, r)
	return nil
}

// checkID checks the id that a node has under a name.
func checkID(path, name, id string) error {
	switch {
	case id == "":
		return malformed(path, "no %s, or not a single one", name)
	case !validID.MatchString(id):
		return malformed(path+"."+name, "%s is not an id: it must be 1 to 64 letters, digits, _ or -", quote(id))
	default:
		return nil
	}
}

// jobOrReview makes the record of a JobsDetail. Jobs have an Operation, an Input, a Tag
// and a queue. Reviews have none of these, but what was reviewed, in every state, and a
// verdict in the end; most say in EventName what they are.
func jobOrReview(event string, d *node) *Record {
	switch {
	case d.has("Operation", "Input", "Tag", "QueueId"):
		return job(event, d)
	case strings.HasPrefix(event, "Review"),
		d.has("Object", "Url", "Content", "BucketId", "DataId"),
		d.has("ForbidState", "Result", "Suggestion", "Label"):
		return review(event, d)
	default:
		return job(event, d)
	}
}

func job(event string, d *node) *Record {
	in, op := d.child("Input"), d.child("Operation")
	r := &Record{
		Kind: KindJob, ID: d.value("JobId"), Event: event,
		Input:    input(in.first("BucketId", "Bucket"), in.value("Region"), in.value("Object")),
		UserData: op.value("UserData"),
	}
	if r.UserData == "" {
		r.UserData = d.value("UserData")
	}
	if w := d.child("Workflow"); w != nil {
		r.Workflow = workflowRef(w)
	}
	common(r, d)
	return r
}

func review(event string, d *node) *Record {
	r := &Record{
		Kind: KindReview, ID: d.value("JobId"), Event: event,
		Input:    input(d.first("BucketId", "Bucket"), d.value("Region"), d.value("Object")),
		UserData: d.value("UserData"),
	}
	common(r, d)
	return r
}

func workflow(event string, w *node) *Record {
	r := &Record{
		Kind: KindWorkflow, ID: w.value("RunId"), Event: event,
		Input:    input(w.first("BucketId", "Bucket"), w.value("Region"), w.value("Object")),
		Workflow: workflowRef(w),
		UserData: w.value("UserData"),
	}
	common(r, w)
	return r
}

// simpleReview makes the record of a review in the Simple form, which has a code
// where others have a state.
func simpleReview(root, data *node) *Record {
	r := &Record{
		Version: Version, Kind: KindReview, ID: data.value("trace_id"), Event: data.value("event"),
		State: "Failed", Code: root.value("code"), Message: root.value("message"),
		Detail: root.normal(),
	}
	if r.Code == "0" {
		r.State = "Success"
	}
	return r
}

// common fills in what jobs, reviews and workflows call by the same names, or
// nearly so: a workflow has CreateTime for CreationTime.
func common(r *Record, d *node) {
	r.Version = Version
	if r.State = d.value("State"); r.State == "" {
		r.State = StateUnknown
	}
	r.Code, r.Message = d.value("Code"), d.value("Message")
	r.Tag, r.SubTag, r.QueueID = d.value("Tag"), d.value("SubTag"), d.value("QueueId")
	r.CreationTime = rfc3339(d.first("CreationTime", "CreateTime"))
	r.StartTime, r.EndTime = rfc3339(d.value("StartTime")), rfc3339(d.value("EndTime"))
}

func input(bucket, region, key string) *Object {
	if bucket == "" && region == "" && key == "" {
		return nil
	}
	return &Object{Bucket: bucket, Region: region, Key: key}
}

func workflowRef(w *node) *WorkflowRef {
	ref := WorkflowRef{
		RunID: w.value("RunId"), WorkflowID: w.value("WorkflowId"),
		WorkflowName: w.value("WorkflowName"), Name: w.value("Name"),
	}
	if ref == (WorkflowRef{}) {
		return nil
	}
	return &ref
}
