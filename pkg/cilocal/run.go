package cilocal

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// dueItem is something that happens at a time.
type dueItem struct {
	at     time.Time
	serial int64 // the order of what happens at one time
	do     func(at time.Time)
}

// dueQueue is a heap of what happens, the next first.
type dueQueue []dueItem

// Len implements [heap.Interface].
func (q dueQueue) Len() int { return len(q) }

// Less implements [heap.Interface].
func (q dueQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].serial < q[j].serial
}

// Swap implements [heap.Interface].
func (q dueQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements [heap.Interface].
func (q *dueQueue) Push(x any) { *q = append(*q, x.(dueItem)) }

// Pop implements [heap.Interface].
func (q *dueQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// at lets do happen at a time, with the lock held. The lock is held here too.
func (s *Server) at(t time.Time, do func(at time.Time)) {
	s.serial++
	heap.Push(&s.due, dueItem{t, s.serial, do})
}

// RunDue does what is due by the server's clock: it ends jobs, writes their outputs, and
// sends callbacks, which it waits for. Without Options.Clock it is done by itself.
func (s *Server) RunDue() {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runDueLocked(now)
	s.waitForCallbacks()
}

// runDue does what is due at a time. Callbacks are on their way when it returns.
func (s *Server) runDue(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runDueLocked(now)
}

// runDueLocked is runDue where the lock is held.
func (s *Server) runDueLocked(now time.Time) {
	for !s.closed && len(s.due) > 0 && !s.due[0].at.After(now) {
		item := heap.Pop(&s.due).(dueItem)
		item.do(item.at)
	}
	s.setTimer(now)
}

// setTimer wakes the server for what is due next, unless a test holds its clock.
func (s *Server) setTimer(now time.Time) {
	if s.options.Clock != nil || s.closed {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if len(s.due) > 0 {
		s.timer = time.AfterFunc(s.due[0].at.Sub(now), func() { s.runDue(s.Now()) })
	}
}

// AddJob puts a job into a bucket, as if it had been submitted, and returns its id. With
// Job.Created or Plan.Age it was made some time ago, and has ended already where the Plan
// says so: thousands of such jobs cost little.
func (s *Server) AddJob(bucket string, job Job, plan Plan) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return "", fmt.Errorf("add job: %w", err)
	}
	j, err := s.newJob(b, job)
	if err != nil {
		return "", fmt.Errorf("add job: %w", err)
	}
	now := s.Now()
	s.start(j, plan, now)
	s.runDueLocked(now)
	return j.ID, nil
}

// newJob completes a job. The lock is held.
func (s *Server) newJob(b *bucket, described Job) (*job, error) {
	j := &job{Job: described, bucket: b}
	if j.Tag == "" {
		j.Tag = "Transcode"
	}
	var ok bool
	if j.kind, ok = findJobType(j.Tag); !ok {
		return nil, coslocal.InvalidArgument(fmt.Sprintf("There is no type of jobs %q.", j.Tag))
	}
	if j.ID == "" {
		j.ID = newID(string(j.kind.prefix))
	}
	if b.jobByID[j.ID] != nil {
		return nil, fmt.Errorf("there is a job %s already", j.ID)
	}
	q, err := b.queueOf(j)
	if err != nil {
		return nil, err
	}
	j.QueueID, j.QueueType = q.ID, q.Type
	for _, o := range []*Object{&j.Input, &j.Output} {
		o.complete(b)
	}
	j.Code, j.Message, j.MD5, j.Started, j.Ended = "", "", "", time.Time{}, time.Time{}
	return j, nil
}

// complete fills in the bucket that a job belongs to.
func (o *Object) complete(b *bucket) {
	if o.Key == "" {
		return
	}
	if o.Bucket == "" {
		o.Bucket = b.name
	}
	if o.Region == "" {
		o.Region = b.region
	}
}

// start puts a job into its bucket and lets it go by its plan. The lock is held.
func (s *Server) start(j *job, plan Plan, now time.Time) {
	j.plan = plan
	if j.Created.IsZero() {
		j.Created = now.Add(-plan.Age)
	}
	j.starts = j.Created.Add(plan.Wait)
	j.ends = j.starts.Add(plan.Run)
	s.serial++
	j.serial = s.serial
	j.bucket.insertJob(j)
	s.at(j.ends, func(at time.Time) { s.end(j, at) })
}

// end ends a job as its plan says: the output is written, and then callbacks are on their
// way. The lock is held.
func (s *Server) end(j *job, at time.Time) {
	if j.final != "" { // it was cancelled
		return
	}
	j.Ended = at
	j.final, j.Code, j.Message = s.finish(j)
	for _, d := range j.plan.delays() {
		s.at(at.Add(d), func(time.Time) { s.callBackJob(j) })
	}
}

// finish returns the state that a job ends in, and writes its output if that is Success.
// A job whose output cannot be written has failed; the code is a guess.
func (s *Server) finish(j *job) (state, code, message string) {
	if j.plan.Code != "" {
		return Failed, j.plan.Code, j.plan.Message
	}
	if j.kind.result == noOutput || j.Output.Key == "" {
		return Success, "", ""
	}
	content := j.content()
	j.MD5 = md5Hex(content)
	if s.options.COS == nil {
		return Success, "", ""
	}
	prefix, name := j.outputName()
	err := s.options.COS.PutObject(j.Output.Bucket, prefix+name, coslocal.Object{Body: content, LastModified: j.Ended})
	if err != nil {
		j.MD5 = ""
		return Failed, "ResourceAccessDenied", err.Error()
	}
	return Success, "", ""
}

// Jobs returns the jobs of a bucket, the oldest first; nil where there is no such bucket.
func (s *Server) Jobs(bucket string) []Job {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil
	}
	s.runDueLocked(now)
	jobs := make([]Job, len(b.jobs))
	for i, j := range b.jobs {
		jobs[i] = j.snapshot(now)
	}
	return jobs
}

// Job returns a job; false where the bucket or the job is not there.
func (s *Server) Job(bucket, id string) (Job, bool) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return Job{}, false
	}
	s.runDueLocked(now)
	j, ok := b.jobByID[id]
	if !ok {
		return Job{}, false
	}
	return j.snapshot(now), true
}
