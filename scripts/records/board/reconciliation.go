package board

import (
	"slices"
	"strings"
	"time"
)

// A reconciliationPage is what the last comparison of CI's jobs with the records found,
// bucket by bucket.
type reconciliationPage struct {
	Buckets []bucketResult
}

// A bucketResult is the last comparison of one bucket.
type bucketResult struct {
	reconcileState
	Began, Ended time.Time
	Listings     []listing
	Rows         []findingRow
}

// A listing is how far a job type, or a workflow, is compared.
type listing struct {
	Name    string
	Until   time.Time
	Pending int
	Missed  int
	Partly  bool // the listing goes on with the next run
}

// A findingRow is a finding with the page that shows its record.
type findingRow struct {
	finding
	Path string
}

func (b *Board) reconciliation(r *request) (*page, error) {
	p := reconciliationPage{}
	for _, state := range r.known.states {
		p.Buckets = append(p.Buckets, newBucketResult(state))
	}
	slices.SortFunc(p.Buckets, func(a, b bucketResult) int { return strings.Compare(a.Bucket, b.Bucket) })
	return &page{Template: "reconciliation", Title: "Reconciliation", Active: "/reconciliation", Data: p,
		Command: command("reconcile --dry-run")}, nil
}

func newBucketResult(state reconcileState) bucketResult {
	result := bucketResult{reconcileState: state, Began: moment(state.Last.Began), Ended: moment(state.Last.Ended)}
	add := func(name string, l listingState) {
		result.Listings = append(result.Listings, listing{
			Name: name, Until: moment(l.Until), Pending: len(l.Pending), Missed: len(l.Missed), Partly: l.Next != "",
		})
	}
	for name, l := range state.Tags {
		add(name, l)
	}
	for name, l := range state.Workflows {
		add("workflow "+name, l)
	}
	slices.SortFunc(result.Listings, func(a, b listing) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range state.Last.Findings {
		row := findingRow{finding: f}
		if validName(f.ID) {
			row.Path = "/find?q=" + f.ID
		}
		result.Rows = append(result.Rows, row)
	}
	slices.Reverse(result.Rows)
	return result
}

// moment reads a time of a state; zero where there is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Slowest returns the earliest time up to which one of the bucket's listings is compared.
func (b bucketResult) Slowest() time.Time {
	var slowest time.Time
	for _, l := range b.Listings {
		if slowest.IsZero() || l.Until.Before(slowest) {
			slowest = l.Until
		}
	}
	return slowest
}

// Pending returns how many jobs of the bucket are waited for.
func (b bucketResult) Pending() int {
	n := 0
	for _, l := range b.Listings {
		n += l.Pending
	}
	return n
}

// Ours returns what the record had said; a dash where there was none.
func (f finding) Ours() string {
	if f.Was == "" {
		return "no record"
	}
	return f.Was
}
