package cilocal

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// maxUserData is the limit for UserData, in bytes of printable ASCII:
// https://cloud.tencent.com/document/product/460/84790.
const maxUserData = 1024

// createJobs is POST /jobs: https://cloud.tencent.com/document/product/460/84790. A
// request with several Operations makes a job of each.
func (c *call) createJobs() (*coslocal.Answer, error) {
	request, err := c.readRequest()
	if err != nil {
		return nil, err
	}
	jobs, err := c.requestedJobs(request)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		plan := Plan{}
		if c.server.options.Plan != nil {
			plan = c.server.options.Plan(j.Job)
		}
		c.server.start(j, plan, c.Now)
	}
	answer := respond(func(w *writer) {
		for _, j := range jobs {
			c.server.writeJob(w, j, Submitted, false)
		}
	})
	c.server.runDueLocked(c.Now)
	return answer, nil
}

// requestedJobs returns the jobs that a request asks for, all or none.
func (c *call) requestedJobs(request *element) ([]*job, error) {
	kind, ok := findJobType(request.childText("Tag"))
	if !ok {
		return nil, coslocal.InvalidArgument("Tag is missing, or no type of jobs.")
	}
	if prefix := oldPrefix(strings.TrimSuffix(c.Request.Key, "/")); prefix != 0 && prefix != kind.prefix {
		return nil, coslocal.InvalidArgument("Jobs of this Tag are not submitted here.")
	}
	var operations []*element
	for _, e := range request.children {
		if e.name == "Operation" {
			operations = append(operations, e)
		}
	}
	if len(operations) == 0 { // as of a MediaInfo job
		operations = []*element{{name: "Operation"}}
	}
	jobs := make([]*job, len(operations))
	for i, operation := range operations {
		described, err := describeJob(request, operation, kind)
		if err != nil {
			return nil, err
		}
		if described.Input.Key != "" {
			described.Input.Bucket, described.Input.Region = c.bucket.name, c.Request.Region
		}
		if jobs[i], err = c.server.newJob(c.bucket, described); err != nil {
			return nil, err
		}
		jobs[i].submitted = true
	}
	return jobs, nil
}

// describeJob reads one job of a request.
func describeJob(request, operation *element, kind jobType) (Job, error) {
	output, input := operation.child("Output"), request.child("Input")
	var inner bytes.Buffer
	if len(operation.children) > 0 {
		operation.appendInner(&inner)
	}
	j := Job{
		Tag:            kind.tag,
		QueueID:        request.childText("QueueId"),
		Input:          Object{Key: input.childText("Object")},
		Output:         Object{output.childText("Bucket"), output.childText("Region"), output.childText("Object")},
		UserData:       operation.childText("UserData"),
		Operation:      inner.String(),
		Callback:       request.childText("CallBack"),
		CallbackFormat: strings.ToUpper(request.childText("CallBackFormat")),
	}
	return j, checkJob(j, request, kind)
}

// checkJob returns what is wrong with a job that was submitted.
func checkJob(j Job, request *element, kind jobType) error {
	switch {
	case j.Input.Key == "" && request.child("Input").childText("Url") == "" && kind.tag != "Tts":
		return coslocal.InvalidArgument("Input.Object is missing.")
	case j.Output.Key == "" && kind.result == outputWithMD5 && kind.tag != "StreamExtract":
		return coslocal.InvalidArgument("Operation.Output.Object is missing.")
	case j.Output.Key != "" && (j.Output.Bucket == "" || j.Output.Region == ""):
		return coslocal.InvalidArgument("Operation.Output needs Region and Bucket.")
	case len(j.UserData) > maxUserData || strings.ContainsFunc(j.UserData, func(r rune) bool { return r < ' ' || r > '~' }):
		return coslocal.InvalidArgument("UserData must be printable ASCII, 1024 bytes at most.")
	case j.CallbackFormat != "" && j.CallbackFormat != formatXML && j.CallbackFormat != formatJSON:
		return coslocal.InvalidArgument("CallBackFormat must be XML or JSON.")
	case !isURL(j.Callback) && j.Callback != "" && j.Callback != "no":
		return coslocal.InvalidArgument("CallBack must be a URL or no.")
	}
	if kind := request.childText("CallBackType"); kind != "" && kind != "Url" {
		return coslocal.InvalidArgument("CallBackType must be Url: there are no message queues here.")
	}
	return nil
}

// isURL reports whether text begins like a URL that can be called back.
func isURL(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

// cancelJob is PUT /jobs/<id>?cancel:
// https://cloud.tencent.com/document/product/460/85082. A job that is cancelled is not
// called back; whether CI does is not documented.
func (c *call) cancelJob() (*coslocal.Answer, error) {
	j := c.bucket.jobByID[c.id]
	if j == nil || !j.isRemembered(c.Now) {
		return nil, &coslocal.Error{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "There is no such job."}
	}
	if j.final != "" {
		return nil, coslocal.InvalidArgument("The job has ended.")
	}
	j.final, j.Ended = Cancel, c.Now
	return respond(func(w *writer) { w.text("RequestId", c.ID) }), nil
}
