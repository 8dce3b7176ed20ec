package cilocal

import (
	"bytes"
	"time"
)

// Layouts of CI's times.
const (
	jobTimeLayout     = "2006-01-02T15:04:05-0700"
	runTimeLayout     = "2006-01-02T15:04:05-07:00" // in answers to queries
	runCallbackLayout = "2006-01-02 15:04:05-0700"
	unsetTime         = "-"
)

// writeJob writes the JobsDetail of a job in a state, as an answer to a query has it or,
// for a callback, as callbacks do.
func (s *Server) writeJob(w *writer, j *job, state string, callback bool) {
	w.element("JobsDetail", func() {
		s.writeOutcome(w, j, state, callback)
		w.text("JobId", j.ID)
		w.text("State", state)
		if state == Success {
			w.text("Progress", "100")
		}
		w.text("CreationTime", s.jobTime(j.Created))
		w.text("StartTime", s.startTime(j, state))
		w.text("EndTime", s.jobTime(j.Ended))
		w.text("QueueId", j.QueueID)
		w.text("Tag", j.Tag)
		s.writeInput(w, j, callback)
		w.element("Operation", func() { s.writeOperation(w, j, state, callback) })
		if callback && j.Workflow != nil {
			writeJobWorkflow(w, j.Workflow)
		}
	})
}

// writeOutcome writes Code and Message. Both have a meaning for a failed job alone.
func (s *Server) writeOutcome(w *writer, j *job, state string, callback bool) {
	switch {
	case state == Failed:
		w.text("Code", j.Code)
		w.text("Message", j.Message)
	case callback:
		w.text("Code", "Success")
		w.text("Message", "success")
	default:
		w.text("Code", "Success")
		w.text("Message", "")
	}
}

// startTime returns when the job started, "-" where it has not.
func (s *Server) startTime(j *job, state string) string {
	if state == Submitted || state == Cancel && j.Ended.Before(j.starts) {
		return unsetTime
	}
	return s.jobTime(j.starts)
}

// jobTime returns a time as jobs have it, "-" for one that is not set.
func (s *Server) jobTime(t time.Time) string {
	if t.IsZero() {
		return unsetTime
	}
	return t.In(s.location).Format(jobTimeLayout)
}

// writeInput writes the job's Input. Callbacks of a workflow's jobs have the headers of
// the object too.
func (s *Server) writeInput(w *writer, j *job, callback bool) {
	w.element("Input", func() {
		w.text("BucketId", j.Input.Bucket)
		w.text("Object", j.Input.Key)
		w.text("Region", j.Input.Region)
		if callback && j.Workflow != nil {
			writeCOSHeaders(w)
		}
	})
}

// writeCOSHeaders writes headers such as those of the upload that triggers a workflow.
func writeCOSHeaders(w *writer) {
	for _, header := range [][2]string{{"Content-Type", "video/mp4"}, {"EventName", "cos:ObjectCreated:Put"}} {
		w.element("CosHeaders", func() {
			w.text("Key", header[0])
			w.text("Value", header[1])
		})
	}
}

// writeOperation writes what was submitted and, of a job that succeeded, its result.
func (s *Server) writeOperation(w *writer, j *job, state string, callback bool) {
	if j.Output.Key != "" && !j.submitted {
		w.element("Output", func() {
			w.text("Bucket", j.Output.Bucket)
			w.text("Object", j.Output.Key)
			w.text("Region", j.Output.Region)
		})
		w.optional("UserData", j.UserData)
	}
	w.WriteString(j.Operation)
	if state == Success && (j.kind.result == outputWithMD5 || j.kind.result == outputWithoutMD5) {
		w.element("MediaResult", func() { writeOutputFile(w, j, callback) })
	}
}

// writeOutputFile writes the object that a job wrote. Only callbacks have an
// ObjectPrefix.
func writeOutputFile(w *writer, j *job, callback bool) {
	prefix, name := j.outputName()
	w.element("OutputFile", func() {
		w.text("Bucket", j.Output.Bucket)
		w.element("Md5Info", func() {
			if j.kind.result == outputWithMD5 {
				w.text("Md5", j.MD5)
				w.text("ObjectName", prefix+name)
			}
		})
		if callback {
			w.text("ObjectName", name)
			w.text("ObjectPrefix", prefix)
		} else {
			w.text("ObjectName", prefix+name)
		}
		w.text("Region", j.Output.Region)
	})
}

// writeJobWorkflow writes the run that a job belongs to.
func writeJobWorkflow(w *writer, f *JobWorkflow) {
	w.element("Workflow", func() {
		w.text("RunId", f.RunID)
		w.text("WorkflowId", f.WorkflowID)
		w.text("WorkflowName", f.WorkflowName)
		w.text("Name", f.Name)
	})
}

// callbackBody returns the body of a callback, with inner in its Response.
func callbackBody(event, format string, inner func(*writer)) ([]byte, error) {
	var w writer
	w.element("Response", func() {
		w.text("EventName", event)
		inner(&w)
	})
	if format != formatJSON {
		return w.Bytes(), nil
	}
	root, err := parseElement(w.Bytes())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	root.appendJSON(&b)
	return b.Bytes(), nil
}
