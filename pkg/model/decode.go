package model

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The names of the nodes that make a body a callback.
const (
	eventName         = "EventName"
	jobsDetail        = "JobsDetail"
	workflowExecution = "WorkflowExecution"
)

// A Callback is what one body says.
type Callback struct {
	// Records are the jobs, workflow runs and reviews, in the order of the body. Of an id
	// that occurs more than once this is the newest version.
	Records []*Record
	// Older are the other versions of ids that occur more than once, in the order of the
	// body.
	Older []*Record
	// Probe is the id that stands for a body that is a test and about no job: the one
	// that the console sends when a moderation callback URL is saved, or an empty one. It
	// is empty for every other body. A probe has no record.
	Probe string
}

// The values of Callback.Probe.
const (
	ProbeConsole = "test_trace_id"
	ProbeEmpty   = "empty"
)

// Decode reads the body of a callback, XML or JSON by its first byte, in any shape that
// CI documents:
//
//   - jobs: JobsDetail, one or several, with or without EventName
//   - a workflow run: WorkflowExecution
//   - a review in the Detail form (JobsDetail) or the Simple form (code, message, data)
//   - the console's test body, and an empty one, which are a probe
//
// The structure decides, never a Content-Type or the type of a job, so that a type that
// nobody has seen decodes like any other.
//
// The error is a [*MalformedError] and the callback nil where the body was not
// understood. Where some of its jobs were understood and others were not, the callback
// holds those that were, and the error is a [*PartialError].
//
// https://www.tencentcloud.com/document/product/1045/49942
func Decode(body []byte) (*Callback, error) {
	text := strings.TrimPrefix(string(body), "\uFEFF")
	if strings.TrimLeft(text, space) == "" {
		return &Callback{Probe: ProbeEmpty}, nil
	}
	root, err := readTree(text)
	if err != nil {
		return nil, err
	}
	event, root := unwrap(root)
	if isConsoleProbe(root) {
		return &Callback{Probe: ProbeConsole}, nil
	}
	return decodeCallback(event, root)
}

// DecodeQueried reads one element of CI's answer to a query, a JobsDetail or a
// WorkflowExecution, alone or in a Response. The record has [SourceQuery] for its
// source. Its error is a [*MalformedError].
//
// The answer says what a callback says, but in other bytes: times that are not set are -
// or empty, nothing says which event it is, reviews are XML and name no bucket, and the
// name of a workflow is in Name.
// https://www.tencentcloud.com/document/product/1045/73113
func DecodeQueried(element []byte) (*Record, error) {
	root, err := readTree(strings.TrimPrefix(string(element), "\uFEFF"))
	if err != nil {
		return nil, err
	}
	_, root = unwrap(root)
	d := decoding{source: SourceQuery}
	switch err := d.decode(root); {
	case err != nil:
		return nil, err
	case len(d.faults) > 0:
		return nil, d.faults[0]
	case len(d.records) == 0:
		return nil, malformed("", "no job in it: neither JobsDetail nor WorkflowExecution is there and not empty")
	case len(d.records) > 1:
		return nil, malformed("", "%d jobs, where one was expected", len(d.records))
	}
	return d.records[0], nil
}

// readTree returns the tree of a body.
func readTree(text string) (*node, error) {
	if offset := firstInvalidUTF8(text); offset >= 0 {
		return nil, malformedAt(text, offset, "", "not UTF-8, the only encoding that is accepted")
	}
	switch trimmed := strings.TrimLeft(text, space); {
	case trimmed == "":
		return nil, malformed("", "the body is empty")
	case trimmed[0] == '<':
		return readXML(text)
	case trimmed[0] == '{':
		return readJSON(text)
	default:
		_, size := utf8.DecodeRuneInString(trimmed)
		return nil, malformedAt(text, len(text)-len(trimmed), "", "neither XML nor a JSON object: it starts with %s", quote(trimmed[:size]))
	}
}

// space is what XML and JSON call white space.
const space = " \t\r\n"

// firstInvalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func firstInvalidUTF8(s string) int {
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

// unwrap returns the EventName and the node that holds the jobs: the root, or the
// Response in it, which JSON has where XML has it for its root.
func unwrap(root *node) (event string, holder *node) {
	event = root.text(eventName)
	if inner := root.single("Response"); inner != nil && inner.kind == object && !root.has(jobsDetail, workflowExecution, "data") {
		return cmp.Or(inner.text(eventName), event), inner
	}
	return event, root
}

const consoleProbeMessage = "Test request when setting callback url"

// isConsoleProbe reports whether a body is the console's test: its fixed message, about
// no job. https://cloud.tencent.com/document/product/436/45435
func isConsoleProbe(root *node) bool {
	id := root.single("data").text("trace_id")
	return !root.has(jobsDetail, workflowExecution) && root.text("message") == consoleProbeMessage && (id == ProbeConsole || id == "")
}

// decodeCallback returns what the body of a callback says, the newest version of each id
// apart from the older ones. A review in the Simple form stands alone.
func decodeCallback(event string, root *node) (*Callback, error) {
	if len(event) > MaxEventBytes {
		return nil, malformed(eventName, "longer than %d bytes", MaxEventBytes)
	}
	d := decoding{event: event}
	if err := d.decode(root); err != nil {
		return nil, err
	}
	if data := root.single("data"); data != nil && data.kind == object && len(d.records)+len(d.faults) == 0 {
		d.add(d.simpleReview(root, data))
	}
	switch {
	case len(d.records) == 0 && len(d.faults) > 0:
		return nil, d.faults[0]
	case len(d.records) == 0:
		return nil, malformed("", "no job in it: neither JobsDetail, WorkflowExecution nor data is there and not empty")
	}
	newest, older, err := splitVersions(d.records)
	if err != nil {
		return nil, err
	}
	callback := &Callback{Records: newest, Older: older}
	if len(d.faults) > 0 {
		return callback, &PartialError{Faults: d.faults}
	}
	return callback, nil
}

// decoding gathers the records of a body, and the faults of jobs that are none.
type decoding struct {
	event, source string
	keyBytes      int // how long the keys of all outputs are
	records       []*Record
	faults        []*MalformedError
}

// decode takes every JobsDetail and WorkflowExecution of a body. Its error is for a body
// that is refused whole.
func (d *decoding) decode(root *node) error {
	counts := map[string]int{}
	for n := range root.children.all() {
		if n.name != jobsDetail && n.name != workflowExecution {
			continue
		}
		path := fmt.Sprintf("%s[%d]", n.name, counts[n.name])
		counts[n.name]++
		if len(d.records)+len(d.faults) == MaxJobs {
			return malformed(path, "more than %d jobs in one callback", MaxJobs)
		}
		d.add(d.element(path, n))
	}
	return nil
}

// add takes a record, or the fault that it has instead.
func (d *decoding) add(r *Record, fault *MalformedError) {
	if fault != nil {
		d.faults = append(d.faults, fault)
		return
	}
	r.Version, r.Source = Version, d.source
	d.records = append(d.records, r)
}

// element returns the record of a JobsDetail or a WorkflowExecution.
func (d *decoding) element(path string, n *node) (*Record, *MalformedError) {
	if n.kind != object {
		return nil, malformed(path, "not an object with the fields of a job")
	}
	var r *Record
	found := outputs{keyBytes: d.keyBytes}
	idName := "JobId"
	switch {
	case n.name == workflowExecution:
		idName = "RunId"
		r = workflowRecord(n)
		found.ofWorkflow(n)
	case isReview(d.event, n):
		r = reviewRecord(n)
		found.ofReview(n)
	default:
		r = jobRecord(n)
		found.ofJob(n, r.Succeeded())
	}
	if fault := checkID(path, idName, r); fault != nil {
		return nil, fault
	}
	if found.excess != "" {
		return nil, malformed(path, "%s", found.excess)
	}
	d.keyBytes = found.keyBytes
	r.Event, r.Outputs = d.event, found.list
	r.Detail = n.normalForm()
	return r, nil
}

// simpleReview returns the record of a review in the Simple form.
func (d *decoding) simpleReview(root, data *node) (*Record, *MalformedError) {
	r := simpleReviewRecord(root, data)
	if fault := checkID("data", "trace_id", r); fault != nil {
		return nil, fault
	}
	r.Detail = root.normalForm()
	return r, nil
}

// checkID returns a fault where the id of a record, which stands under a name in the
// node of that path, cannot be part of a key.
func checkID(path, name string, r *Record) *MalformedError {
	switch {
	case r.ID == "":
		return malformed(path, "no %s, or not a single one", name)
	case isPlainID(r.ID):
		return nil
	case name != "trace_id":
		return malformed(path+"."+name, "%s is not an id: it must be 1 to 64 letters, digits, _ or -", quote(r.ID))
	case !isTraceID(r.ID):
		return malformed(path+"."+name, "%s is not an id: it must be 1 to 96 letters, digits or any of _ - + / =", quote(r.ID))
	default:
		return nil
	}
}
