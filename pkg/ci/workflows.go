package ci

import (
	"context"
	"encoding/xml"
	"errors"
	"net/url"
	"time"
)

// A RunsQuery says which runs of a workflow are to be listed. What is left empty is not
// sent, and CI's default holds. The page is 获取工作流实例列表 of CI's API documentation.
type RunsQuery struct {
	WorkflowID        string // required
	OrderByTime       string // Asc or Desc, by the time of creation
	NextToken         string // of the page before, asked with otherwise the same query
	Size              int    // runs a page, 1 to MaxSize; 0 means MaxSize
	States            []string
	StartCreationTime time.Time // created later than that
	EndCreationTime   time.Time // created earlier than that
}

func (q RunsQuery) values() url.Values {
	v := values{}
	v.set("workflowId", q.WorkflowID)
	v.page(q.OrderByTime, q.NextToken, q.Size, q.States, q.StartCreationTime, q.EndCreationTime)
	return url.Values(v)
}

// Runs are one page of a workflow's runs.
type Runs struct {
	*Answer
	WorkflowExecutionList []RunSummary
	Size                  int // how many a page may hold, as asked for in the end
}

// A RunSummary is what the list says of a run: its tasks are not in it.
type RunSummary struct {
	RunID      string `xml:"RunId"`
	WorkflowID string `xml:"WorkflowId"`
	State      string
	Object     string // the input: a key, or a URL
	CreateTime string // as CI wrote it
	StartTime  string // in no sample of CI's pages
	EndTime    string // in no sample of CI's pages

	Element []byte `xml:"-"` // the whole WorkflowExecutionList, as CI wrote it
}

// ListRuns returns one page of a workflow's runs, as [Bucket.ListJobs] does of jobs. An
// entry that cannot be read has nothing but its Element.
func (b *Bucket) ListRuns(ctx context.Context, q RunsQuery) (*Runs, error) {
	if q.Size == 0 {
		q.Size = MaxSize
	}
	for {
		a, err := b.ask(ctx, question{"DescribeMediaWorkflowExecutions", "/workflowexecution", q.values()})
		switch {
		case err == nil:
			return newRuns(a, q.Size), nil
		case !errors.Is(err, ErrTooLarge) || q.Size <= 1:
			return nil, err
		}
		q.Size = max(1, q.Size/5)
	}
}

func newRuns(a *Answer, size int) *Runs {
	runs := &Runs{Answer: a, Size: size}
	for _, raw := range a.named("WorkflowExecutionList") {
		var run RunSummary
		if xml.Unmarshal(raw, &run) != nil {
			run = RunSummary{}
		}
		run.Element = raw
		runs.WorkflowExecutionList = append(runs.WorkflowExecutionList, run)
	}
	return runs
}

// A Run is the answer about one run of a workflow.
type Run struct {
	*Answer
	WorkflowExecution []byte // the element, as CI wrote it
}

// Run returns one run of a workflow, with its tasks. Its error wraps [ErrNotFound] if CI
// does not know the run. The page is 获取工作流实例详情 of CI's API documentation.
func (b *Bucket) Run(ctx context.Context, runID string) (*Run, error) {
	if err := checkID(runID); err != nil {
		return nil, err
	}
	q := question{"DescribeMediaWorkflowExecutions", "/workflowexecution/" + runID, nil}
	a, err := b.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	found := a.named("WorkflowExecution")
	if len(found) != 1 {
		a.Close()
		return nil, b.newError(q, ErrNotFound)
	}
	return &Run{Answer: a, WorkflowExecution: found[0]}, nil
}
