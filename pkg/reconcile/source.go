package reconcile

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/parallel"
)

// A source is where the jobs of one listing come from: CI's list of the jobs of a type, or
// of the runs of a workflow.
type source interface {
	// page returns one page of the list, the oldest jobs first.
	page(ctx context.Context, at position) (*page, error)
	// byID returns the jobs with these ids, at most idsAtATime.
	byID(ctx context.Context, ids []string) (*page, error)
	idsAtATime() int
	// byOldPath returns a job from where its kind was asked for before, if hasOldPath.
	byOldPath(ctx context.Context, id string) (*page, error)
	hasOldPath(id string) bool
}

// A page is one answer of a source. It may hold megabytes until it is closed.
type page struct {
	jobs    []job
	next    string    // token of the next page
	size    int       // how many jobs it may hold
	unknown []string  // ids that CI does not know
	old     bool      // it is of an old path
	date    time.Time // when CI answered, by its own clock
	large   bool      // other large answers wait until it is closed
	closer  func()

	compared bool // it had a job to compare
}

func (p *page) close() {
	p.jobs = nil
	if p.closer != nil {
		p.closer()
	}
}

// lastCreation returns when the last job of the page was created, or zero where it does
// not say. There must be one.
func (p *page) lastCreation() time.Time {
	_, created := p.jobs[len(p.jobs)-1].summary()
	return created
}

// A job is what CI says of one job: either a whole element, or, of a workflow's run, the
// little that the list has.
type job struct {
	element []byte
	run     *ci.RunSummary
}

// summary returns the id and the time of creation without reading the whole job, as far as
// they can be found. What is no id counts as none.
func (j job) summary() (id string, created time.Time) {
	if j.run != nil {
		return j.run.RunID, parseTime(j.run.CreateTime)
	}
	for _, name := range []string{"JobId", "RunId"} {
		if id = ci.ChildText(j.element, name); ci.IsID(id) {
			break
		}
		id = ""
	}
	for _, name := range []string{"CreationTime", "CreateTime"} {
		if created = parseTime(ci.ChildText(j.element, name)); !created.IsZero() {
			break
		}
	}
	return id, created
}

// parseTime reads a time as CI writes it in answers, or returns zero.
func parseTime(s string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339, "2006-01-02 15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// jobsOf is the source of the jobs of a type.
type jobsOf struct {
	bucket *ci.Bucket
	tag    string
}

func (s jobsOf) page(ctx context.Context, at position) (*page, error) {
	answer, err := s.bucket.ListJobs(ctx, ci.JobsQuery{
		Tag: s.tag, OrderByTime: ci.Asc, StartCreationTime: at.since, NextToken: at.token, Size: at.size,
	})
	if err != nil {
		return nil, err
	}
	return pageOfJobs(answer), nil
}

func pageOfJobs(answer *ci.Jobs) *page {
	p := &page{
		next: answer.NextToken, size: answer.Size, unknown: answer.NonExistJobIDs,
		date: answer.Date, large: answer.IsLarge(), closer: answer.Close,
	}
	for _, element := range answer.JobsDetail {
		p.jobs = append(p.jobs, job{element: element})
	}
	return p
}

func (s jobsOf) byID(ctx context.Context, ids []string) (*page, error) {
	answer, err := s.bucket.Jobs(ctx, ids...)
	if err != nil {
		return nil, err
	}
	return pageOfJobs(answer), nil
}

func (s jobsOf) idsAtATime() int           { return ci.MaxIDs }
func (s jobsOf) hasOldPath(id string) bool { return ci.HasOldPath(id) }

func (s jobsOf) byOldPath(ctx context.Context, id string) (*page, error) {
	answer, err := s.bucket.OldJob(ctx, id)
	if err != nil {
		return nil, err
	}
	p := pageOfJobs(answer)
	p.old = true
	return p, nil
}

// runsOf is the source of the runs of a workflow. Its pages hold no answer of CI: a run is
// fetched while its page is looked at, and both could be large.
type runsOf struct {
	bucket   *ci.Bucket
	workflow string
}

func (s runsOf) page(ctx context.Context, at position) (*page, error) {
	answer, err := s.bucket.ListRuns(ctx, ci.RunsQuery{
		WorkflowID: s.workflow, OrderByTime: ci.Asc, StartCreationTime: at.since, NextToken: at.token, Size: at.size,
	})
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	p := &page{next: answer.NextToken, size: answer.Size, date: answer.Date}
	for _, run := range answer.WorkflowExecutionList {
		run.Element = bytes.Clone(run.Element)
		if !ci.IsID(run.RunID) {
			run.RunID = ""
		}
		p.jobs = append(p.jobs, job{run: &run})
	}
	return p, nil
}

func (s runsOf) byID(ctx context.Context, ids []string) (*page, error) {
	answer, err := s.bucket.Run(ctx, ids[0])
	if errors.Is(err, ci.ErrNotFound) {
		return &page{unknown: ids}, nil
	}
	if err != nil {
		return nil, err
	}
	return &page{
		jobs: []job{{element: answer.WorkflowExecution}}, size: 1,
		date: answer.Date, large: answer.IsLarge(), closer: answer.Close,
	}, nil
}

func (s runsOf) idsAtATime() int        { return 1 }
func (s runsOf) hasOldPath(string) bool { return false }

func (s runsOf) byOldPath(context.Context, string) (*page, error) {
	return nil, errors.New("workflow runs have no old path")
}

// A pager gets the pages of a list, the next one while its caller still works on the last.
type pager struct {
	source source
	ahead  chan fetched // the page that is being fetched; nil if none is
	at     position     // of that page
}

type fetched struct {
	page *page
	err  error
}

// prefetch begins to get a page.
func (g *pager) prefetch(ctx context.Context, at position) {
	ahead := make(chan fetched, 1)
	g.ahead, g.at = ahead, at
	go func() {
		var f fetched
		defer func() { ahead <- f }()
		defer parallel.Recover(&f.err)
		f.page, f.err = g.source.page(ctx, at)
	}()
}

// get returns a page.
func (g *pager) get(ctx context.Context, at position) (*page, error) {
	if g.ahead != nil && g.at == at {
		f := <-g.ahead
		g.ahead = nil
		return f.page, f.err
	}
	g.close()
	return g.source.page(ctx, at)
}

// close lets go of a page that nobody wants any more.
func (g *pager) close() {
	if g.ahead == nil {
		return
	}
	if f := <-g.ahead; f.page != nil {
		f.page.close()
	}
	g.ahead = nil
}
