package cilocal

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"time"
)

// The states of a job: https://cloud.tencent.com/document/product/460/84765.
const (
	Submitted = "Submitted"
	Running   = "Running"
	Success   = "Success"
	Failed    = "Failed"
	Cancel    = "Cancel"
)

// memory is how long CI remembers a job. It is documented for some types of jobs only, as
// one month: https://cloud.tencent.com/document/product/436/54084.
const memory = 30 * 24 * time.Hour

// Job is a job as a test arranges it or looks at it.
type Job struct {
	// ID is made up by AddJob where it is empty.
	ID string
	// Tag is the type of the job, such as "Transcode". AddJob takes "" for that one.
	Tag string
	// State is one of the constants of this package. AddJob does not read it: the state
	// follows from the Plan.
	State string
	// Code and Message are those of a failed job. AddJob does not read them.
	Code, Message string

	// Created is when the job was submitted. AddJob takes the time of the call, less
	// Plan.Age, where it is zero.
	Created time.Time
	// Started and Ended are zero as long as the job has not. AddJob does not read them.
	Started, Ended time.Time

	// QueueID is AddJob's to choose where it is empty: the queue of the job's type.
	QueueID string
	// QueueType is the type of that queue. AddJob does not read it.
	QueueType string

	Input  Object
	Output Object // its key may hold ${Number}, ${ext} and the like
	// MD5 is that of the object that the job wrote, once it has.
	MD5 string
	// UserData is a text that CI returns as it was submitted.
	UserData string
	// Operation is XML, further elements of the job's Operation. Jobs may share a large
	// one.
	Operation string

	// Callback is the URL to call back at, "no" for none, "" for the URL of the queue.
	Callback string
	// CallbackFormat is "XML" or "JSON", "" for the format of the queue.
	CallbackFormat string

	// Workflow is set for a job of a workflow's run.
	Workflow *JobWorkflow
}

// Object names an object in COS. Where bucket or region are empty, they are those of the
// bucket that the job belongs to.
type Object struct{ Bucket, Region, Key string }

// JobWorkflow is the run of a workflow that a job belongs to.
type JobWorkflow struct {
	RunID, WorkflowID, WorkflowName string
	Name                            string // of the node in the workflow
}

// Plan says how a job goes. The zero Plan is a job that succeeds at once and is called
// back once, at once.
type Plan struct {
	// Age is how long ago the job was made. A job older than Wait and Run has ended
	// already when it is submitted.
	Age time.Duration
	// Wait is how long the job stays Submitted, and Run how long it is Running after
	// that.
	Wait, Run time.Duration
	// Code makes the job fail, with this code and Message. CI documents no list of codes.
	Code, Message string
	// Content is what the job writes; nil means a line of text that names the job.
	Content []byte

	// Lost is for a job whose callbacks never come.
	Lost bool
	// Callbacks has, for each callback of the job, how long after its end it is sent.
	// None means one, at once. {0, 0} is a callback that comes twice, {time.Hour} a late
	// one.
	Callbacks []time.Duration
}

// delays returns how long after the end each callback is sent.
func (p Plan) delays() []time.Duration {
	switch {
	case p.Lost:
		return nil
	case len(p.Callbacks) == 0:
		return []time.Duration{0}
	}
	return p.Callbacks
}

// job is a job of a bucket. The server's lock guards it.
type job struct {
	Job
	plan   Plan
	kind   jobType
	bucket *bucket
	serial int64     // the order of jobs that were made in the same second
	starts time.Time // when it leaves Submitted
	ends   time.Time // when it ends, unless it is cancelled before
	final  string    // the state that it ended in; "" before that
	// submitted is set where Operation is the whole one that a client sent, with Output
	// and UserData in it.
	submitted bool
}

// stateAt returns the state at a time up to which the job was run.
func (j *job) stateAt(now time.Time) string {
	switch {
	case j.final != "":
		return j.final
	case now.Before(j.starts):
		return Submitted
	}
	return Running
}

// isRemembered reports whether CI still knows the job.
func (j *job) isRemembered(now time.Time) bool { return now.Sub(j.Created) < memory }

// snapshot returns the job as Server.Jobs shows it.
func (j *job) snapshot(now time.Time) Job {
	shown := j.Job
	shown.State = j.stateAt(now)
	if shown.State != Submitted {
		shown.Started = j.starts
	}
	return shown
}

// newID returns an id of CI's form: a prefix and 32 hexadecimal digits.
func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:]) // it never fails
	return prefix + hex.EncodeToString(b[:])
}

// content returns what the job writes.
func (j *job) content() []byte {
	if j.plan.Content != nil {
		return j.plan.Content
	}
	return fmt.Appendf(nil, "the output of the %s job %s\n", j.Tag, j.ID)
}

// outputName returns prefix and name of the object that the job writes, which together
// are its key. Where the template numbers its files, CI calls what comes before the
// number the prefix, and leaves it out of the name.
//
//	template                      prefix              name
//	out/a.mp4                                         out/a.mp4
//	out/snapshot-${Number}.jpg    out/snapshot-       0.jpg
//	out/${InputName}.${ext}                           out/demo.mp4
func (j *job) outputName() (prefix, name string) {
	template := j.Output.Key
	for _, number := range []string{"${Number}", "${number}"} {
		if before, after, ok := strings.Cut(template, number); ok {
			return j.fillIn(before), "0" + j.fillIn(after)
		}
	}
	return "", j.fillIn(template)
}

// fillIn replaces the variables of a template that depend on the job.
func (j *job) fillIn(template string) string {
	base := path.Base(j.Input.Key)
	extension := strings.TrimPrefix(path.Ext(base), ".")
	run := ""
	if j.Workflow != nil {
		run = j.Workflow.RunID
	}
	return strings.NewReplacer(
		"${InputName}", strings.TrimSuffix(base, path.Ext(base)), "${ext}", extension, "${Ext}", extension,
		"${Page}", "1", "${JobId}", j.ID, "${RunId}", run,
	).Replace(template)
}

// md5Hex returns an MD5 as CI writes it.
func md5Hex(content []byte) string {
	sum := md5.Sum(content)
	return hex.EncodeToString(sum[:])
}
