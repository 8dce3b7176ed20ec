package cilocal

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// Queue is where jobs wait for their turn, and what knows whom to call back:
// https://cloud.tencent.com/document/product/460/42324.
type Queue struct {
	ID       string
	Name     string
	Type     string // such as "Transcoding", as jobs and lists of them call it
	Category string // such as "PicProcessing", as queues call it
	State    string // "Active" or "Paused"; jobs run in either here
	Notify   Notify

	created, updated time.Time
}

// Notify says whether and where a queue calls back.
type Notify struct {
	State        string // "On" or "Off"
	URL          string
	Event        string // "TaskFinish", "WorkflowFinish" or both, separated by a comma
	Type         string // "Url"
	ResultFormat string // "XML" or "JSON"
}

// newQueues returns the queues of a new bucket, that call nobody back.
func newQueues(now time.Time) []*Queue {
	var queues []*Queue
	for _, t := range queueTypes {
		queues = append(queues, &Queue{
			ID: newID("p"), Name: t.name, Type: t.queueType, Category: t.category, State: "Active",
			Notify:  Notify{State: "Off"},
			created: now, updated: now,
		})
	}
	return queues
}

// target returns where a queue calls back at an event, "" for nowhere, and in which
// format.
func (q *Queue) target(event string) (url, format string) {
	format = formatXML
	if strings.EqualFold(q.Notify.ResultFormat, formatJSON) {
		format = formatJSON
	}
	wants := slices.Contains(strings.Split(q.Notify.Event, ","), event)
	if q.Notify.State != "On" || q.Notify.Type != "Url" || !wants {
		return "", format
	}
	return q.Notify.URL, format
}

// queueOf returns the queue of a job: the one that it names, else the one of its type.
func (b *bucket) queueOf(j *job) (*Queue, error) {
	for _, q := range b.queues {
		if q.ID == j.QueueID || j.QueueID == "" && q.Type == j.kind.queueType {
			return q, nil
		}
	}
	return nil, coslocal.InvalidArgument("There is no queue with the QueueId.")
}

// isQueueType reports whether there are queues of a type.
func isQueueType(text string) bool {
	for _, t := range queueTypes {
		if t.queueType == text {
			return true
		}
	}
	return false
}

// queuePaths returns the paths of queues, each once.
func queuePaths() []string {
	var paths []string
	for _, t := range queueTypes {
		if !slices.Contains(paths, t.path) {
			paths = append(paths, t.path)
		}
	}
	return paths
}

// Queues returns copies of the queues of a bucket; nil where there is no such bucket.
func (s *Server) Queues(bucket string) []Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil
	}
	queues := make([]Queue, len(b.queues))
	for i, q := range b.queues {
		queues[i] = *q
	}
	return queues
}

// SetCallback makes every queue of a bucket call back at a URL when a job or a run ends,
// in a format, "XML" or "JSON". With the URL "" they call nobody back.
func (s *Server) SetCallback(bucket, url, format string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return fmt.Errorf("set callback: %w", err)
	}
	notify := Notify{State: "Off"}
	if url != "" {
		notify = Notify{State: "On", URL: url, Event: "TaskFinish,WorkflowFinish", Type: "Url", ResultFormat: format}
	}
	for _, q := range b.queues {
		q.Notify = notify
	}
	return nil
}

// describeQueues is GET /queue and its like:
// https://cloud.tencent.com/document/product/460/42324.
func (c *call) describeQueues() (*coslocal.Answer, error) {
	q := c.Request.Query
	number, err := readCount(q.Get("pageNumber"), 1, 1<<20)
	if err != nil {
		return nil, err
	}
	size, err := readCount(q.Get("pageSize"), defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	queues, unknown := c.findQueues()
	page := queues[min(len(queues), (number-1)*size):min(len(queues), number*size)]
	return respond(func(w *writer) {
		w.text("RequestId", c.ID)
		w.text("TotalCount", strconv.Itoa(len(queues)))
		w.text("PageNumber", strconv.Itoa(number))
		w.text("PageSize", strconv.Itoa(size))
		for _, q := range page {
			c.server.writeQueue(w, "QueueList", q)
		}
		for _, id := range unknown {
			w.text("NonExistPIDs", id)
		}
	}), nil
}

// readCount reads a number from 1 to most; an empty text is standard.
func readCount(text string, standard, most int) (int, error) {
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, coslocal.InvalidArgument("pageNumber and pageSize must be numbers from 1.")
	}
	return n, nil
}

// findQueues returns the queues that a request asks for, and the ids that are not known.
func (c *call) findQueues() (queues []*Queue, unknown []string) {
	q := c.Request.Query
	var ids []string
	if text := q.Get("queueIds"); text != "" {
		ids = strings.Split(text, ",")
	}
	for _, queue := range c.bucket.queues {
		if c.hasQueue(queue, q.Get("category")) && (ids == nil || slices.Contains(ids, queue.ID)) &&
			(q.Get("state") == "" || q.Get("state") == "All" || q.Get("state") == queue.State) {
			queues = append(queues, queue)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(queues, func(q *Queue) bool { return q.ID == id }) {
			unknown = append(unknown, id)
		}
	}
	return queues, unknown
}

// hasQueue reports whether a queue is of a category, at the path of the request. CateAll
// is every category; without one they are those of the path.
func (c *call) hasQueue(queue *Queue, category string) bool {
	if category == "CateAll" || category == queue.Category {
		return true
	}
	if category != "" {
		return false
	}
	for _, t := range queueTypes {
		if t.queueType == queue.Type {
			return t.path == c.Request.Key
		}
	}
	return false
}

// updateQueue is PUT /queue/<id>: https://cloud.tencent.com/document/product/460/42325.
func (c *call) updateQueue() (*coslocal.Answer, error) {
	request, err := c.readRequest()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.bucket.queues, func(q *Queue) bool { return q.ID == c.id })
	if i < 0 {
		return nil, &coslocal.Error{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "There is no such queue."}
	}
	changed := *c.bucket.queues[i]
	changed.update(request, c.Now)
	if err := changed.check(); err != nil {
		return nil, err
	}
	*c.bucket.queues[i] = changed
	return respond(func(w *writer) {
		w.text("RequestId", c.ID)
		c.server.writeQueue(w, "Queue", &changed)
	}), nil
}

// update takes over what a request says.
func (q *Queue) update(request *element, now time.Time) {
	if name := request.childText("Name"); name != "" {
		q.Name = name
	}
	if state := request.childText("State"); state != "" {
		q.State = state
	}
	if notify := request.child("NotifyConfig"); notify.name != "" {
		q.Notify = Notify{
			State:        notify.childText("State"),
			URL:          notify.childText("Url"),
			Event:        notify.childText("Event"),
			Type:         notify.childText("Type"),
			ResultFormat: notify.childText("ResultFormat"),
		}
	}
	q.updated = now
}

// check returns what is wrong with a queue.
func (q *Queue) check() error {
	switch {
	case q.State != "Active" && q.State != "Paused":
		return coslocal.InvalidArgument("State must be Active or Paused.")
	case q.Notify.State != "" && q.Notify.State != "On" && q.Notify.State != "Off":
		return coslocal.InvalidArgument("NotifyConfig.State must be On or Off.")
	case q.Notify.State == "On" && !isURL(q.Notify.URL):
		return coslocal.InvalidArgument("NotifyConfig.Url must be a URL.")
	}
	return nil
}

// writeQueue writes a queue as an element of a name.
func (s *Server) writeQueue(w *writer, name string, q *Queue) {
	w.element(name, func() {
		w.text("QueueId", q.ID)
		w.text("Name", q.Name)
		w.text("State", q.State)
		w.element("NotifyConfig", func() {
			w.text("Url", q.Notify.URL)
			w.text("Event", q.Notify.Event)
			w.text("Type", q.Notify.Type)
			w.text("State", q.Notify.State)
			w.text("ResultFormat", q.Notify.ResultFormat)
		})
		w.text("MaxSize", "10000")
		w.text("MaxConcurrent", "10")
		w.text("UpdateTime", s.jobTime(q.updated))
		w.text("CreateTime", s.jobTime(q.created))
		w.text("Category", q.Category)
	})
}
