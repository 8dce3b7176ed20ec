package board

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

// LookWith returns a function for Options.Look that asks COS.
func LookWith(s *store.Store) func(context.Context, model.Output) OutputNow {
	return func(ctx context.Context, o model.Output) OutputNow {
		info, err := s.LookAtOutput(ctx, o)
		now := OutputNow{Size: info.Size, LastModified: info.LastModified}
		switch {
		case errors.Is(err, store.ErrNotFound):
			now.Problem = "there is no such object"
		case cosclient.IsDenied(err):
			now.Problem = "these keys may not look at it"
		case err != nil:
			now.Problem = err.Error()
		}
		for _, tag := range info.Tags {
			now.Tags = append(now.Tags, Tag(tag))
		}
		return now
	}
}

// MendWith returns a Mender for Options.Mender that writes to COS and asks CI.
func MendWith(m *mend.Mender) Mender { return words{m} }

// words puts what a mend.Mender plans and does into words.
type words struct{ mender *mend.Mender }

// PlanReplay implements Mender.
func (w words) PlanReplay(ctx context.Context, key string) (lines []string, useful bool, err error) {
	body, err := w.mender.Examine(ctx, key)
	if err != nil {
		return nil, false, err
	}
	for _, j := range body.Jobs {
		lines = append(lines, fmt.Sprintf("%s %s, %s: the record %s would be %s", j.Kind, j.ID, j.State, j.Key, j.Would))
	}
	if body.Probe {
		lines = append(lines, "It is a probe, about no job: nothing would be stored.")
	}
	if !body.IsWhole() {
		lines = append(lines, "It is not understood whole, and stays: "+body.Reason)
	}
	return lines, body.IsWhole() || len(body.Jobs) > 0, nil
}

// Replay implements Mender.
func (w words) Replay(ctx context.Context, key string, remove bool) ([]string, error) {
	done, err := w.mender.Replay(ctx, key, remove)
	var lines []string
	for _, j := range done.Jobs {
		line := fmt.Sprintf("%s %s, %s: %s", j.Kind, j.ID, j.State, j.Outcome)
		if j.Outcome == "" {
			line = fmt.Sprintf("%s %s, %s: not stored", j.Kind, j.ID, j.State)
		}
		lines = append(append(lines, line), tagLines(j.Tags)...)
	}
	if done.Removed {
		lines = append(lines, "The body was taken away.")
	}
	return lines, err
}

func tagLines(tags []store.TagResult) []string {
	var lines []string
	for _, t := range tags {
		line := fmt.Sprintf("%s/%s: %s", t.Bucket, t.Object, t.Outcome)
		if t.Reason != "" {
			line += ", " + t.Reason
		}
		lines = append(lines, line)
	}
	return lines
}

// PlanRetag implements Mender.
func (w words) PlanRetag(_ context.Context, record *model.Record) (lines []string, useful bool, err error) {
	plan := w.mender.PlanRetag(record)
	for _, t := range plan {
		if t.Reason == "" {
			lines = append(lines, fmt.Sprintf("%s/%s: tag %s, its other tags stay", t.Bucket, t.Object, t.MD5))
		} else {
			lines = append(lines, fmt.Sprintf("%s/%s is left alone: %s", t.Bucket, t.Object, t.Reason))
		}
	}
	return lines, mend.IsUseful(plan), nil
}

// Retag implements Mender.
func (w words) Retag(ctx context.Context, record *model.Record) ([]string, error) {
	tags, err := w.mender.Retag(ctx, record)
	return tagLines(tags), err
}

// PlanReconcile implements Mender.
func (w words) PlanReconcile() (lines []string, useful bool, err error) {
	for _, b := range w.mender.Buckets() {
		lines = append(lines, fmt.Sprintf("Ask CI for the jobs of %s in %s: %s", b.Name, b.Region, strings.Join(w.mender.Types(), ", ")))
	}
	for _, f := range w.mender.Workflows() {
		lines = append(lines, "and for the runs of workflow "+f.ID)
	}
	if len(lines) == 0 {
		return []string{mend.ErrNoBuckets.Error()}, false, nil
	}
	recorded := "A job that has ended and has no record gets one."
	if w.mender.TagsMD5() {
		recorded = "A job that has ended and has no record gets one, and its outputs are tagged."
	}
	return append(lines, recorded,
		"A record that CI contradicts is replaced; what it said goes to the history.",
		"How far the function's own comparisons have come stays as it is."), true, nil
}

// Reconcile implements Mender.
func (w words) Reconcile(ctx context.Context, since time.Duration, progress func(string)) ([]string, error) {
	result, err := w.mender.Reconcile(ctx, since, false, func(p reconcile.Progress) {
		progress(fmt.Sprintf("%s, %s: %s compared, %s recorded, %s repaired, %s replaced", p.Bucket, p.Type,
			catalog.Count(p.Checked), catalog.Count(p.Recorded), catalog.Count(p.Repaired), catalog.Count(p.Replaced)))
	})
	lines := []string{fmt.Sprintf("%s compared, %s recorded, %s repaired, %s replaced, %s pending", catalog.Count(result.Checked),
		catalog.Count(result.Recorded), catalog.Count(result.Repaired), catalog.Count(result.Replaced), catalog.Count(result.Pending))}
	for _, f := range result.Findings {
		was := f.Was
		if was == "" {
			was = "nothing"
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s, was %s, CI says %s", f.Type, f.ID, f.Outcome, was, f.State))
	}
	if n := result.NotShown(); n > 0 {
		lines = append(lines, fmt.Sprintf("and %s more that are not shown", catalog.Count(n)))
	}
	return append(lines, result.Warnings...), err
}

// AskWith returns a function for Options.AskCI that asks CI about the jobs of one bucket.
func AskWith(client *ci.Client, bucket, region string) func(context.Context, string) (*model.Record, error) {
	return func(ctx context.Context, id string) (*model.Record, error) {
		b, err := client.Bucket(bucket, region)
		if err != nil {
			return nil, err
		}
		jobs, err := b.Jobs(ctx, id)
		if err != nil {
			return nil, err
		}
		defer jobs.Close()
		if len(jobs.JobsDetail) == 0 {
			return nil, fmt.Errorf("%s at CI: %w", id, catalog.ErrNotFound)
		}
		return model.DecodeQueried(jobs.JobsDetail[0])
	}
}
