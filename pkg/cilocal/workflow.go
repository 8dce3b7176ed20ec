package cilocal

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// Run is a run of a workflow: some jobs for one object.
type Run struct {
	// ID and WorkflowID are made up by AddRun where they are empty.
	ID, WorkflowID string
	// Name is that of the workflow.
	Name string
	// Object is the key of the object that the workflow is run for.
	Object string
	// State is Running, Success, Failed or Cancel. AddRun does not read it.
	State string
	// Created is when the run began. AddRun takes the time of the call, less Plan.Age,
	// where it is zero.
	Created time.Time
	// Ended is zero as long as the run has not. AddRun does not read it.
	Ended time.Time
	Tasks []Task
}

// Task is one job of a run.
type Task struct {
	Type string // the Tag of the job, or "Start"
	Name string // of the node in the workflow
	// JobID is made up by AddRun where it is empty. The job itself is not made: use
	// AddJob with the id, and the run's ids in its Workflow.
	JobID string
	// Code and Message make the task fail, and with it the run.
	Code, Message string
}

// run is a Run of a bucket. The server's lock guards it.
type run struct {
	Run
	plan   Plan
	bucket *bucket
	serial int64
	final  string // the state that it ended in; "" before that
}

// stateAt returns the state at a time up to which the run was run.
func (r *run) stateAt() string {
	if r.final != "" {
		return r.final
	}
	return Running
}

func (r *run) sortKey() sortKey { return sortKey{r.Created.Unix(), r.serial} }

// isRemembered reports whether CI still knows the run.
func (r *run) isRemembered(now time.Time) bool { return now.Sub(r.Created) < memory }

// AddRun puts a run of a workflow into a bucket and returns its id. It ends as a job with
// the Plan would: after Wait and Run, called back or not. It has failed if the Plan has a
// Code or a task has.
func (s *Server) AddRun(bucket string, described Run, plan Plan) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return "", fmt.Errorf("add run: %w", err)
	}
	now := s.Now()
	r, err := s.startRun(b, described, plan, now)
	if err != nil {
		return "", fmt.Errorf("add run: %w", err)
	}
	s.runDueLocked(now)
	return r.ID, nil
}

// startRun completes a run and lets it go by its plan. The lock is held.
func (s *Server) startRun(b *bucket, described Run, plan Plan, now time.Time) (*run, error) {
	r := &run{Run: described, plan: plan, bucket: b}
	if r.ID == "" {
		r.ID = newID("i")
	}
	if r.WorkflowID == "" {
		r.WorkflowID = newID("w")
	}
	if b.runByID[r.ID] != nil {
		return nil, fmt.Errorf("there is a run %s already", r.ID)
	}
	r.Tasks = slices.Clone(r.Tasks)
	for i := range r.Tasks {
		if r.Tasks[i].JobID == "" {
			r.Tasks[i].JobID = newID("j")
		}
	}
	if r.Created.IsZero() {
		r.Created = now.Add(-plan.Age)
	}
	r.State, r.Ended = "", time.Time{}
	s.serial++
	r.serial = s.serial
	at, _ := slices.BinarySearchFunc(b.runs, r.sortKey(), func(r *run, k sortKey) int { return r.sortKey().compare(k) })
	b.runs = slices.Insert(b.runs, at, r)
	b.runByID[r.ID] = r
	s.at(r.Created.Add(plan.Wait+plan.Run), func(at time.Time) { s.endRun(r, at) })
	return r, nil
}

// endRun ends a run and puts its callbacks on their way. The lock is held.
func (s *Server) endRun(r *run, at time.Time) {
	r.Ended, r.final = at, Success
	if r.plan.Code != "" || slices.ContainsFunc(r.Tasks, func(t Task) bool { return t.Code != "" }) {
		r.final = Failed
	}
	for _, d := range r.plan.delays() {
		s.at(at.Add(d), func(time.Time) { s.callBackRun(r) })
	}
}

// callBackRun sends the callback of a run, if a queue has a URL for it. The lock is held.
func (s *Server) callBackRun(r *run) {
	url, format := r.bucket.queues[0].target("WorkflowFinish")
	if url == "" {
		return
	}
	body, err := s.runCallback(r, format)
	s.deliver(Delivery{ID: r.ID, Format: format, Body: body, Err: err}, url)
}

// runCallback returns the body of a run's callback. The lock is held.
func (s *Server) runCallback(r *run, format string) ([]byte, error) {
	return callbackBody("WorkflowFinish", format, func(w *writer) {
		w.element("WorkflowExecution", func() {
			w.text("WorkflowId", r.WorkflowID)
			w.text("WorkflowName", r.Name)
			w.text("RunId", r.ID)
			w.text("State", r.final)
			w.text("BucketId", r.bucket.name)
			w.text("Object", r.Object)
			w.text("CreateTime", s.runTime(r.Created, runCallbackLayout))
			w.text("EndTime", s.runTime(r.Ended, runCallbackLayout))
			writeCOSHeaders(w)
			for _, t := range r.Tasks {
				s.writeTask(w, r, t, runCallbackLayout)
			}
		})
	})
}

// writeTask writes a task of a run.
func (s *Server) writeTask(w *writer, r *run, t Task, layout string) {
	w.element("Tasks", func() {
		w.text("Type", t.Type)
		w.text("JobId", t.JobID)
		w.text("CreateTime", s.runTime(r.Created, layout))
		w.text("Name", t.Name)
		w.text("State", r.taskState(t))
		w.text("StartTime", s.runTime(r.Created, layout))
		w.text("EndTime", s.runTime(r.Ended, layout))
		if t.Code != "" && r.final != "" {
			w.text("Code", t.Code)
			w.text("Message", t.Message)
		} else {
			w.text("Code", "Success")
			w.text("Message", "")
		}
	})
}

// taskState returns the state of a task.
func (r *run) taskState(t Task) string {
	switch {
	case r.final == "":
		return Running
	case t.Code != "":
		return Failed
	}
	return Success
}

// runTime returns a time in a layout, "" for one that is not set.
func (s *Server) runTime(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.In(s.location).Format(layout)
}

// triggerWorkflow is POST /triggerworkflow:
// https://cloud.tencent.com/document/product/460/54640.
func (c *call) triggerWorkflow() (*coslocal.Answer, error) {
	q := c.Request.Query
	if q.Get("workflowId") == "" || q.Get("object") == "" {
		return nil, coslocal.InvalidArgument("workflowId and object are needed.")
	}
	plan := Plan{}
	if c.server.options.Plan != nil {
		plan = c.server.options.Plan(Job{Input: Object{c.bucket.name, c.bucket.region, q.Get("object")}})
	}
	r, err := c.server.startRun(c.bucket, Run{
		WorkflowID: q.Get("workflowId"), Name: q.Get("name"), Object: q.Get("object"),
		Tasks: []Task{{Type: "Start", Name: "Start"}},
	}, plan, c.Now)
	if err != nil {
		return nil, err
	}
	c.server.runDueLocked(c.Now)
	return respond(func(w *writer) {
		w.text("InstanceId", r.ID)
		w.text("RequestId", c.ID)
	}), nil
}

// describeRun is GET /workflowexecution/<id>:
// https://cloud.tencent.com/document/product/460/45949.
func (c *call) describeRun() (*coslocal.Answer, error) {
	r := c.bucket.runByID[c.id]
	if r == nil || !r.isRemembered(c.Now) {
		return nil, &coslocal.Error{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "There is no such run."}
	}
	return respond(func(w *writer) {
		w.text("RequestId", c.ID)
		w.element("WorkflowExecution", func() {
			w.text("WorkflowId", r.WorkflowID)
			w.text("Name", r.Name)
			w.text("RunId", r.ID)
			w.text("CreateTime", c.server.runTime(r.Created, runTimeLayout))
			w.text("Object", r.Object)
			w.text("State", r.stateAt())
			writeTopology(w, r)
			for _, t := range r.Tasks {
				c.server.writeTask(w, r, t, runTimeLayout)
			}
		})
	}), nil
}

// writeTopology writes the nodes of a workflow, one after another.
func writeTopology(w *writer, r *run) {
	w.element("Topology", func() {
		w.element("Nodes", func() {
			for _, t := range r.Tasks {
				if t.Name != "" {
					w.element(t.Name, func() { w.text("Type", t.Type) })
				}
			}
		})
	})
}

// listRuns is GET /workflowexecution?workflowId=…:
// https://cloud.tencent.com/document/product/460/80050. The runs of a list have no tasks.
func (c *call) listRuns() (*coslocal.Answer, error) {
	q := c.Request.Query
	if q.Get("workflowId") == "" {
		return nil, coslocal.InvalidArgument("workflowId is missing.")
	}
	p, err := readPage(q, runStates)
	if err != nil {
		return nil, err
	}
	runs, more := selectPage(p, c.bucket.runs, func(r *run) bool {
		return r.WorkflowID == q.Get("workflowId") && r.isRemembered(c.Now) && p.includes(r.sortKey(), r.stateAt())
	})
	return respond(func(w *writer) {
		w.text("RequestId", c.ID)
		var last sortKey
		for _, r := range runs {
			w.element("WorkflowExecutionList", func() {
				w.text("RunId", r.ID)
				w.text("WorkflowId", r.WorkflowID)
				w.text("Object", r.Object)
				w.text("CreateTime", c.server.runTime(r.Created, runTimeLayout))
				w.text("State", r.stateAt())
			})
			last = r.sortKey()
		}
		c.server.writeToken(w, p, last, more)
	}), nil
}
