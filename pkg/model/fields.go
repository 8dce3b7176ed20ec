package model

import (
	"cmp"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// The fields that stand at the top of a record, for each kind of it. Fields that are the
// same in all of them are filled in by decoding.

// isReview reports whether a JobsDetail is that of a review. Jobs have an Operation, an
// Input, a Tag or a queue. Reviews have none of these, but name what was reviewed, in
// every state, and have a verdict in the end; most say in EventName what they are.
func isReview(event string, d *node) bool {
	switch {
	case d.has("Operation", "Input", "Tag", "QueueId"):
		return false
	case strings.HasPrefix(event, "Review"):
		return true
	default:
		return d.has("Object", "Url", "Content", "BucketId", "DataId") || d.has("ForbidState", "Result", "Suggestion", "Label")
	}
}

func jobRecord(d *node) *Record {
	in, operation := d.first("Input"), d.first("Operation")
	r := &Record{
		Kind: KindJob, ID: d.text("JobId"),
		Input: newInput(Object{
			Bucket: in.text("BucketId", "Bucket"), Region: in.text("Region"), Key: in.text("Object"),
		}, in.text("Url")),
		UserData: cmp.Or(operation.text("UserData"), d.text("UserData")),
	}
	if w := d.first("Workflow"); w != nil {
		r.Workflow = newWorkflowRef(WorkflowRef{
			RunID: w.text("RunId"), WorkflowID: w.text("WorkflowId"),
			WorkflowName: w.text("WorkflowName"), Name: w.text("Name"),
		})
	}
	fillCommonFields(r, d)
	r.Tag = cmp.Or(r.Tag, operation.text("Tag")) // a batch job has both in its Operation
	r.QueueID = cmp.Or(r.QueueID, operation.text("QueueId"))
	return r
}

// workflowRecord returns the record of a workflow run. A run that says nothing of an
// error has that of the first of its tasks that failed.
func workflowRecord(w *node) *Record {
	r := &Record{
		Kind: KindWorkflow, ID: w.text("RunId"),
		Input: newNamedInput(w),
		Workflow: newWorkflowRef(WorkflowRef{
			RunID: w.text("RunId"), WorkflowID: w.text("WorkflowId"), WorkflowName: w.text("WorkflowName", "Name"),
		}),
		UserData: w.text("UserData"),
	}
	fillCommonFields(r, w)
	if r.Code == "" && r.Message == "" {
		r.Code, r.Message = firstFailure(w)
	}
	return r
}

// firstFailure returns the code and the message of the first task of a workflow run that
// failed, or of the first object of its tasks that did, and says why.
func firstFailure(w *node) (code, message string) {
	for task := range w.named("Tasks") {
		if hasFailed(task) && task.has("Code", "Message") {
			return task.text("Code"), task.text("Message")
		}
		for info := range taskObjects(task) {
			if hasFailed(info) && info.has("Code", "Message") {
				return info.text("Code"), info.text("Message")
			}
		}
	}
	return "", ""
}

// hasFailed reports whether a part of a job says of itself that it failed, by a State or
// by a Code. One that has neither did not.
func hasFailed(n *node) bool {
	return n.text("State") == "Failed" || isErrorCode(n.text("Code"))
}

// isUnsuccessful reports whether a part of a job says of itself that it did not succeed,
// or not yet. One that has neither a State nor a Code did.
func isUnsuccessful(n *node) bool {
	state := n.text("State")
	return state != "" && !strings.EqualFold(state, "Success") || isErrorCode(n.text("Code"))
}

// isErrorCode reports whether a Code is that of an error. Where all went well it is
// Success in jobs and workflows, and 0 in reviews.
func isErrorCode(code string) bool {
	return code != "" && code != "0" && !strings.EqualFold(code, "Success") && !strings.EqualFold(code, "OK")
}

// reviewRecord returns the record of a review in the Detail form.
func reviewRecord(d *node) *Record {
	r := &Record{
		Kind: KindReview, ID: d.text("JobId"),
		Label:    d.text("Label"),
		Input:    newNamedInput(d),
		UserData: d.text("DataId", "UserData"),
	}
	fillCommonFields(r, d)
	r.Verdict = verdict(r.State, d.text("Result", "Suggestion"))
	return r
}

// simpleReviewRecord returns the record of a review in the Simple form, which has a code
// where others have a state.
func simpleReviewRecord(root, data *node) *Record {
	r := &Record{
		Kind: KindReview, ID: data.text("trace_id"), Event: data.text("event"),
		State: "Failed", Code: root.text("code"), Message: root.text("message"),
		Label:    data.text("label"),
		Input:    newInput(Object{}, data.text("url")),
		UserData: data.text("data_id"),
	}
	if r.Code == "0" {
		r.State = "Success"
	}
	r.Verdict = verdict(r.State, data.text("result"))
	return r
}

// verdict returns what the result of a review means: 0 normal, 1 violation, 2 suspected.
// A virus detection says normal or block. Where the review failed, 0 stands for no result
// at all: that is no word for the content, and no verdict.
// https://www.tencentcloud.com/document/product/1045/49343
func verdict(state, result string) Verdict {
	switch result {
	case "1", "block":
		return VerdictViolation
	case "2":
		return VerdictSuspected
	case "0", "normal":
		if state != "Failed" {
			return VerdictNormal
		}
	}
	return ""
}

// fillCommonFields fills in what all kinds call by the same names, or nearly so: a
// workflow run has CreateTime for CreationTime.
func fillCommonFields(r *Record, d *node) {
	r.State = cmp.Or(d.text("State"), StateUnknown)
	r.Code, r.Message = d.text("Code"), d.text("Message")
	r.Tag, r.SubTag, r.QueueID = d.text("Tag"), d.text("SubTag"), d.text("QueueId")
	r.CreationTime = rfc3339(d.text("CreationTime", "CreateTime"))
	r.StartTime, r.EndTime = rfc3339(d.text("StartTime")), rfc3339(d.text("EndTime"))
}

// newNamedInput returns what a review or a workflow run was made of. Its Object can be a
// URL.
func newNamedInput(d *node) *Input {
	in := Object{Bucket: d.text("BucketId", "Bucket"), Region: d.text("Region"), Key: d.text("Object")}
	url := d.text("Url")
	if isURL(in.Key) {
		in.Key, url = "", in.Key
	}
	return newInput(in, url)
}

// newInput returns the input that an object and a URL name, or nil where they name none.
// A key goes before a URL, which then says no more than the bucket and the region of it,
// where they are missing. A URL of COS is the object that it is of.
func newInput(in Object, url string) *Input {
	bucket, region, key, ok := cosname.ParseURL(url)
	switch {
	case ok && in.Key == "":
		if region == "" && bucket == in.Bucket {
			region = in.Region
		}
		return &Input{Object: Object{Bucket: bucket, Region: region, Key: key}}
	case ok && in.Bucket == "":
		in.Bucket, in.Region = bucket, cmp.Or(in.Region, region)
	}
	if in.Key != "" {
		url = ""
	}
	if in == (Object{}) && url == "" {
		return nil
	}
	return &Input{Object: in, URL: url}
}

// isURL reports whether a text is a URL with a scheme.
func isURL(s string) bool {
	scheme, _, found := strings.Cut(s, "://")
	return found && scheme != "" && allBytes(scheme, func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("+-.", c) >= 0
	})
}

// newWorkflowRef returns nil where nothing is named.
func newWorkflowRef(ref WorkflowRef) *WorkflowRef {
	if ref == (WorkflowRef{}) {
		return nil
	}
	return &ref
}
