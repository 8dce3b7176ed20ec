package trigger

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// An Event is an event of a kind that the function answers. One of its fields is set.
type Event struct {
	Request *Request
	Timer   *Timer
}

// A Timer is the event of a timer trigger.
type Timer struct {
	Name string // of the trigger, as it was deployed
}

// An UnsupportedError says that an event is of a kind that the function does not answer.
type UnsupportedError struct {
	// Trigger is the kind of trigger that the event came from, such as COS or CKafka,
	// "unknown", or "none" where it is no event but a callback.
	Trigger string
}

const notATrigger = "none"

// Error says what came, and what to do about it.
func (e *UnsupportedError) Error() string {
	if e.Trigger == notATrigger {
		return "this is a callback of Cloud Infinite itself, not a trigger event: send it as the body of a POST to the function's URL"
	}
	return fmt.Sprintf("this function answers HTTP requests (function URL or API gateway) and timers, and got an event of another trigger: %s; remove that trigger", e.Trigger)
}

// Parse reads a trigger event. Its error is an [*UnsupportedError] where the payload is
// JSON, but neither an HTTP request nor a timer's event, or where it is a callback.
func Parse(payload []byte) (Event, error) {
	payload = bytes.TrimPrefix(payload, []byte("\ufeff")) // a byte-order mark, of a file
	if bytes.HasPrefix(bytes.TrimSpace(payload), []byte("<")) {
		return Event{}, &UnsupportedError{notATrigger}
	}
	r := jsonReader{text: payload}
	var f fields
	if err := f.read(&r); err != nil {
		return Event{}, fmt.Errorf("read trigger event: %w", err)
	}
	switch {
	case len(f.method) > 0:
		return Event{Request: f.request()}, nil
	case string(f.eventType) == "Timer":
		return Event{Timer: &Timer{Name: string(f.triggerName)}}, nil
	default:
		return Event{}, &UnsupportedError{nameTrigger(payload)}
	}
}

// fields are what matters of the fields that an event has at its top. Texts are parts of
// the payload wherever they can be.
type fields struct {
	// Of an HTTP request.
	method                 []byte
	headers                headers
	queryString            tokens
	queryStringParameters  tokens
	body                   []byte
	isBase64               bool
	sourceIP, gatewayReqID []byte

	// Of a timer's event.
	eventType, triggerName []byte
}

// read reads the whole payload, whatever JSON it is.
func (f *fields) read(r *jsonReader) error {
	err := r.objectOrSkip(func(name []byte) (err error) {
		switch string(name) {
		case "httpMethod":
			f.method, err = r.anyText()
		case "headers":
			err = f.headers.read(r)
		case "queryString":
			f.queryString, err = readTokens(r)
		case "queryStringParameters":
			f.queryStringParameters, err = readTokens(r)
		case "body":
			f.body, err = r.anyText()
		case "isBase64Encoded":
			f.isBase64, err = r.flag()
		case "requestContext":
			err = f.readContext(r)
		case "Type":
			f.eventType, err = r.anyText()
		case "TriggerName":
			f.triggerName, err = r.anyText()
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.end()
}

// readContext reads what an API gateway says of a request.
func (f *fields) readContext(r *jsonReader) error {
	return r.objectOrSkip(func(name []byte) (err error) {
		switch string(name) {
		case "sourceIp":
			f.sourceIP, err = r.anyText()
		case "requestId":
			f.gatewayReqID, err = r.anyText()
		default:
			err = r.skip()
		}
		return err
	})
}

// The fields of the entries of "Records", by the trigger that sends them.
// https://www.tencentcloud.com/document/product/583/9705
var recordTriggers = []struct{ field, trigger string }{
	{"cos", "COS"}, {"Ckafka", "CKafka"}, {"CMQ", "CMQ"}, {"TDMQ", "TDMQ"},
}

// nameTrigger names the trigger of an event that is neither an HTTP request nor a
// timer's, by the fields that SCF documents for it.
func nameTrigger(payload []byte) string {
	var e struct {
		Records []map[string]json.RawMessage `json:"Records"`
		Payload json.RawMessage              `json:"payload"`
		CLS     json.RawMessage              `json:"clslogs"`

		// Of callbacks: of jobs and of workflows, with and without a root, and of reviews in the
		// Simple form.
		details
		Response details `json:"Response"`
		Data     struct {
			TraceID json.RawMessage `json:"trace_id"`
		} `json:"data"`
	}
	_ = json.Unmarshal(payload, &e) // where a field is of another type, the others are filled in all the same
	if len(e.Records) > 0 {
		for _, r := range recordTriggers {
			if e.Records[0][r.field] != nil {
				return r.trigger
			}
		}
	}
	switch {
	case e.isThere() || e.Response.isThere() || e.Data.TraceID != nil:
		return notATrigger
	case e.Payload != nil:
		return "CLB"
	case e.CLS != nil:
		return "CLS"
	default:
		return "unknown"
	}
}

// details are what a callback is about.
type details struct {
	JobsDetail        json.RawMessage `json:"JobsDetail"`
	WorkflowExecution json.RawMessage `json:"WorkflowExecution"`
}

func (d details) isThere() bool { return d.JobsDetail != nil || d.WorkflowExecution != nil }
