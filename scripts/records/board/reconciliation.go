package board

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/reconcile"
)

// A reconciliationPage is what the last comparison of CI's jobs with the records found,
// bucket by bucket.
type reconciliationPage struct {
	Buckets []bucketResult
}

// A bucketResult is the last comparison of one bucket.
type bucketResult struct {
	Bucket, Region string
	Last           reconcile.LastRun // all zero where none has ended
	Pending        int               // jobs that are waited for
	Listings       []listing
	Rows           []findingRow // the newest first
}

// A listing is how far a job type, or a workflow, is compared.
type listing struct {
	Name    string
	Until   time.Time
	Pending int
	Missed  int
	Partly  bool // the listing goes on with the next run
}

// A findingRow is a finding and the page that shows its record.
type findingRow struct {
	reconcile.Finding
	Found string // the id, where it may be looked for
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

func newBucketResult(state *reconcile.State) bucketResult {
	result := bucketResult{Bucket: state.Bucket, Region: state.Region, Last: *cmp.Or(state.Last, &reconcile.LastRun{})}
	for name, l := range state.Tags {
		result.add(name, l)
	}
	for id, l := range state.Workflows {
		result.add("workflow "+id, l)
	}
	slices.SortFunc(result.Listings, func(a, b listing) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range slices.Backward(result.Last.Findings) {
		row := findingRow{Finding: f}
		if validName(f.ID) {
			row.Found = f.ID
		}
		result.Rows = append(result.Rows, row)
	}
	return result
}

func (b *bucketResult) add(name string, l *reconcile.Listing) {
	if l == nil {
		return
	}
	b.Pending += len(l.Pending)
	b.Listings = append(b.Listings, listing{
		Name: name, Until: l.Until, Pending: len(l.Pending), Missed: len(l.Missed), Partly: l.Next != "",
	})
}
