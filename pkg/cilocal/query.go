package cilocal

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// maxIDs is how many jobs one request may ask for by id:
// https://www.tencentcloud.com/document/product/1045/73113.
const maxIDs = 10

// The sizes of a page: https://www.tencentcloud.com/document/product/1045/73114.
const (
	defaultPage = 10
	maxPage     = 100
)

// describeJobs is GET /jobs/<id>[,<id>…]: jobs in the order of the ids, and the ids not
// known.
func (c *call) describeJobs() (*coslocal.Answer, error) {
	ids := strings.Split(c.id, ",")
	if len(ids) > maxIDs {
		return nil, coslocal.InvalidArgument(fmt.Sprintf("At most %d jobs can be asked for at a time.", maxIDs))
	}
	return respond(func(w *writer) {
		var unknown []string
		for _, id := range ids {
			if j := c.findJob(id); j != nil {
				c.server.writeJob(w, j, j.stateAt(c.Now), false)
			} else {
				unknown = append(unknown, id)
			}
		}
		for _, id := range unknown {
			w.text("NonExistJobIds", id)
		}
	}), nil
}

// findJob returns a job that is known at the path of the request, or nil.
func (c *call) findJob(id string) *job {
	j := c.bucket.jobByID[id]
	if j == nil || !j.isRemembered(c.Now) {
		return nil
	}
	path, _, _ := strings.Cut(c.Request.Key, "/")
	prefix := oldPrefix(path)
	switch {
	case prefix != 0 && prefix != j.kind.prefix:
		return nil
	case prefix == 0 && c.server.options.OldPathsOnly && j.kind.prefix != 'j':
		return nil
	}
	return j
}

// jobFilter are the parameters of a list of jobs.
type jobFilter struct {
	page
	tag, queueID, queueType string
	inputObject, workflowID string
}

// page are the parameters that lists of jobs and of runs have in common.
type page struct {
	states      []string  // none means all
	after       time.Time // only what was created later; zero for no limit
	before      time.Time // only what was created earlier; zero for no limit
	newestFirst bool
	size        int
	token       string
	from        sortKey // go on behind this one, where there is a token
}

// jobStates and runStates are what a list can be asked for.
var (
	jobStates = []string{Submitted, Running, Success, Failed, "Pause", Cancel}
	runStates = []string{Success, Failed, Running, Cancel}
)

// readPage reads the parameters that lists have in common.
func readPage(q url.Values, known []string) (page, error) {
	p := page{size: defaultPage, token: q.Get("nextToken")}
	var err error
	if p.states, err = readStates(q.Get("states"), known); err != nil {
		return p, err
	}
	switch q.Get("orderByTime") {
	case "", "Desc":
		p.newestFirst = true
	case "Asc":
	default:
		return p, coslocal.InvalidArgument("orderByTime must be Desc or Asc.")
	}
	if text := q.Get("size"); text != "" {
		if p.size, err = strconv.Atoi(text); err != nil || p.size < 1 || p.size > maxPage {
			return p, coslocal.InvalidArgument(fmt.Sprintf("size must be a number from 1 to %d.", maxPage))
		}
	}
	if p.after, err = readTime(q, "startCreationTime"); err != nil {
		return p, err
	}
	if p.before, err = readTime(q, "endCreationTime"); err != nil {
		return p, err
	}
	if p.token != "" {
		p.from, err = parseToken(p.token)
	}
	return p, err
}

// readStates reads a list of states; none means all.
func readStates(text string, known []string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	states := strings.Split(text, ",")
	for _, state := range states {
		if state == "All" {
			return nil, nil
		}
		if !slices.Contains(known, state) {
			return nil, coslocal.InvalidArgument("states must be All, or some of " + strings.Join(known, ", ") + ".")
		}
	}
	return states, nil
}

// readTime reads a time such as 2001-01-01T00:00:00+0800. A plus that was not escaped
// arrives as a space, and is refused.
func readTime(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(jobTimeLayout, text)
	if err != nil {
		return t, coslocal.InvalidArgument(name + " must be a time such as 2001-01-01T00:00:00+0800, URL-encoded.")
	}
	return t, nil
}

// The token of a page names the last job of the page before, so that jobs that are made
// in the meantime neither shift the pages nor are shown twice.

// formatToken returns the token of the page behind a job or run.
func formatToken(k sortKey) string {
	return strconv.FormatInt(k.second, 36) + "-" + strconv.FormatInt(k.serial, 36)
}

// parseToken reads what formatToken wrote.
func parseToken(text string) (sortKey, error) {
	second, serial, _ := strings.Cut(text, "-")
	var k sortKey
	var err1, err2 error
	k.second, err1 = strconv.ParseInt(second, 36, 64)
	k.serial, err2 = strconv.ParseInt(serial, 36, 64)
	if err1 != nil || err2 != nil {
		return k, coslocal.InvalidArgument("nextToken is not one of a list.")
	}
	return k, nil
}

// includes reports whether something with this creation and state belongs to the list,
// and not to a page before. CI compares whole seconds.
func (p page) includes(k sortKey, state string) bool {
	switch {
	case !p.after.IsZero() && k.second <= p.after.Unix():
		return false
	case !p.before.IsZero() && k.second >= p.before.Unix():
		return false
	case p.states != nil && !slices.Contains(p.states, state):
		return false
	case p.token != "" && p.newestFirst:
		return k.compare(p.from) < 0
	case p.token != "":
		return k.compare(p.from) > 0
	}
	return true
}

// selectPage returns the items of the page, and whether there are more. The items must be
// in the order of their keys; key and belongs are asked about each of them.
func selectPage[T any](p page, items []T, belongs func(T) bool) (selected []T, more bool) {
	for i := range items {
		item := items[i]
		if p.newestFirst {
			item = items[len(items)-1-i]
		}
		if !belongs(item) {
			continue
		}
		if len(selected) == p.size {
			return selected, true
		}
		selected = append(selected, item)
	}
	return selected, false
}

// writeToken ends a page.
func (s *Server) writeToken(w *writer, p page, last sortKey, more bool) {
	switch {
	case s.options.LastToken == LastTokenNever:
	case more:
		w.text("NextToken", formatToken(last))
	case s.options.LastToken == LastTokenEmpty:
		w.text("NextToken", "")
	case s.options.LastToken == LastTokenRepeated:
		w.text("NextToken", p.token)
	}
}

// listJobs is GET /jobs?tag=….
func (c *call) listJobs() (*coslocal.Answer, error) {
	f, err := c.readJobFilter()
	if err != nil {
		return nil, err
	}
	jobs, more := selectPage(f.page, c.bucket.jobs, func(j *job) bool {
		return j.isRemembered(c.Now) && f.matches(j) && f.includes(j.sortKey(), j.stateAt(c.Now))
	})
	return respond(func(w *writer) {
		var last sortKey
		for _, j := range jobs {
			c.server.writeJob(w, j, j.stateAt(c.Now), false)
			last = j.sortKey()
		}
		c.server.writeToken(w, f.page, last, more)
	}), nil
}

// readJobFilter reads the parameters of a list of jobs.
func (c *call) readJobFilter() (jobFilter, error) {
	q := c.Request.Query
	f := jobFilter{
		tag:         q.Get("tag"),
		queueID:     q.Get("queueId"),
		queueType:   q.Get("queueType"),
		inputObject: q.Get("inputObject"),
		workflowID:  q.Get("workflowId"),
	}
	if f.tag == "" {
		return f, coslocal.InvalidArgument("tag is missing.")
	}
	if !c.lists(f.tag) {
		return f, coslocal.InvalidArgument("Jobs of this tag are not listed here.")
	}
	if f.queueID == "" && f.queueType == "" && c.server.options.DemandQueue {
		return f, coslocal.InvalidArgument("queueId is missing.")
	}
	if f.queueType != "" && !isQueueType(f.queueType) {
		return f, coslocal.InvalidArgument("queueType is not the type of a queue.")
	}
	var err error
	f.page, err = readPage(q, jobStates)
	return f, err
}

// lists reports whether jobs of a type are listed at the path of the request.
func (c *call) lists(tag string) bool {
	kind, ok := findJobType(tag)
	if !ok {
		return false
	}
	if prefix := oldPrefix(c.Request.Key); prefix != 0 {
		return prefix == kind.prefix
	}
	return kind.listed || slices.Contains(c.server.options.MoreTags, tag)
}

// matches reports whether a job is one of those that the list is about.
func (f jobFilter) matches(j *job) bool {
	switch {
	case j.Tag != f.tag,
		f.queueID != "" && j.QueueID != f.queueID,
		f.queueType != "" && j.QueueType != f.queueType,
		f.inputObject != "" && j.Input.Key != f.inputObject,
		f.workflowID != "" && (j.Workflow == nil || j.Workflow.WorkflowID != f.workflowID):
		return false
	}
	return true
}
