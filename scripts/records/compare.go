package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

func (t *tool) reconcileCommand() *cobra.Command {
	var since string
	var dryRun, yes bool
	c := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare CI's jobs with the records, and mend what is missing or wrong",
		Long: "Compares the jobs that CI lists for the buckets of RECONCILE_BUCKETS with the records,\n" +
			"as the function's timer does, with no time limit and without its state: how far the\n" +
			"function has come stays as it is. --since goes by when a job was created.",
		Example: "  records reconcile --dry-run\n  records reconcile --since 7d --yes",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return t.reconcile(c.Context(), since, dryRun, yes) },
	}
	c.Flags().StringVar(&since, "since", "72h", "how far back to look: 72h, 7d, a date")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (t *tool) reconcile(ctx context.Context, since string, dryRun, yes bool) error {
	from, err := catalog.ParseMoment(since, t.now())
	if err != nil || from.IsZero() || !from.Before(t.now()) {
		return usageError{fmt.Errorf("--since %q: write how far back to look, such as 72h", since)}
	}
	w, err := t.open()
	if err != nil {
		return err
	}
	m, err := w.mender()
	if err != nil {
		return err
	}
	if len(m.Buckets()) == 0 {
		return mend.ErrNoBuckets
	}
	if !dryRun {
		for _, line := range reconcileWords(m) {
			t.say("%s", line)
		}
		if err := t.confirm(ctx, yes); err != nil {
			return err
		}
	}
	bar := t.progress("comparing", -1)
	result, err := m.Reconcile(ctx, t.now().Sub(from), dryRun, func(p reconcile.Progress) {
		bar.describe(p.Bucket + " " + p.Type)
		bar.set(p.Checked)
	})
	bar.end()
	return t.printReconciled(ctx, result, dryRun, err)
}

// reconcileWords says what a comparison would compare.
func reconcileWords(m *mend.Mender) []string {
	var lines []string
	for _, b := range m.Buckets() {
		lines = append(lines, fmt.Sprintf("Bucket %s in %s: %s.", b.Name, b.Region, strings.Join(m.Types(), ", ")))
	}
	for _, f := range m.Workflows() {
		lines = append(lines, fmt.Sprintf("Runs of workflow %s.", f.ID))
	}
	return append(lines, "Records that are missing are written, and those that CI contradicts are replaced; the others go to the history.")
}

func (t *tool) printReconciled(ctx context.Context, result mend.Reconciled, dryRun bool, failed error) error {
	r := table{columns: []column{{name: "OUTCOME"}, {name: "JOB", least: 13}, {name: "TYPE", least: 8}, {name: "BUCKET", least: 10}, {name: "WAS"}, {name: "CI"}}}
	findings := []any{}
	// They were found in any order; what is printed has one.
	slices.SortFunc(result.Findings, func(a, b reconcile.Finding) int {
		return cmp.Or(strings.Compare(a.Bucket, b.Bucket), strings.Compare(a.ID, b.ID))
	})
	for _, f := range result.Findings {
		r.rows = append(r.rows, []cell{text(string(f.Outcome)), text(f.ID), text(f.Type), text(f.Bucket), {orNothing(f.Was), f.Was}, text(f.State)})
		findings = append(findings, struct {
			Bucket string `json:"bucket"`
			reconcile.Finding
		}{f.Bucket, f})
	}
	value := map[string]any{
		"checked": result.Checked, "recorded": result.Recorded, "repaired": result.Repaired, "replaced": result.Replaced,
		"unknown": result.Unknown, "pending": result.Pending, "complete": result.Complete, "dryRun": dryRun, "findings": findings,
	}
	if n := result.NotShown(); n > 0 {
		value["findingsNotShown"] = n
	}
	if len(result.Warnings) > 0 {
		value["warnings"] = result.Warnings
	}
	if err := t.print(r, value); err != nil {
		return err
	}
	for _, warning := range result.Warnings {
		t.say("%s", warning)
	}
	if len(result.Warnings) > 0 {
		t.say("What is named above is asked for again by no later run of this command: repeat it.")
	}
	t.sayNotShown(result.NotShown(), len(findings), "findings")
	would := ""
	if dryRun {
		would = " (a dry run: nothing was written)"
	}
	t.say("%s jobs compared: %s recorded, %s repaired, %s replaced, %s pending%s.", catalog.Count(result.Checked), catalog.Count(result.Recorded),
		catalog.Count(result.Repaired), catalog.Count(result.Replaced), catalog.Count(result.Pending), would)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failed != nil:
		return failed
	case len(result.Findings) > 0 || len(result.Warnings) > 0 || !result.Complete:
		return errFindings
	}
	return nil
}

func (t *tool) auditCommand() *cobra.Command {
	var since string
	var all bool
	c := &cobra.Command{
		Use:   "audit",
		Short: "Ask CI about every record: is it confirmed, does it differ, is it unknown?",
		Long: "Asks CI, by id, about every record that was written within --since, and changes\n" +
			"nothing. A record that differs, or that CI does not know, is forged, wrong, or older\n" +
			"than the month for which CI keeps its jobs. Only what is not confirmed is listed.",
		Example: "  records audit --since 24h\n  records audit --since 7d --json",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return t.audit(c.Context(), since, all) },
	}
	c.Flags().StringVar(&since, "since", "24h", "24h, 7d, a date, RFC 3339, or all")
	c.Flags().BoolVar(&all, "all", false, "list the confirmed ones too")
	return c
}

// shownAudit is the JSON of audit.
type shownAudit struct {
	Verdict mend.Verdict `json:"verdict"`
	Kind    string       `json:"kind,omitempty"`
	ID      string       `json:"id,omitempty"`
	Type    string       `json:"type,omitempty"`
	Ours    string       `json:"ours,omitempty"`
	CI      string       `json:"ci,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Key     string       `json:"key"`
}

func (t *tool) audit(ctx context.Context, since string, all bool) error {
	from, err := catalog.ParseMoment(since, t.now())
	if err != nil {
		return usageError{fmt.Errorf("--since: %w", err)}
	}
	w, err := t.open()
	if err != nil {
		return err
	}
	m, err := w.mender()
	if err != nil {
		return err
	}
	entries, err := t.listEntries(ctx, w.catalog, model.Kinds(), from, time.Time{})
	if err != nil {
		return err
	}
	bar := t.progress("asking", len(entries))
	counts := map[mend.Verdict]int{}
	rows := []shownAudit{}
	failed := m.Audit(ctx, w.catalog, entries, func(a mend.Audited) {
		counts[a.Verdict]++
		if all || a.Verdict != mend.Confirmed {
			rows = append(rows, shownAudit{a.Verdict, string(a.Kind), a.ID, a.Type, a.Ours, a.CI, a.Reason, a.Key})
		}
	}, func(p mend.AuditProgress) { bar.set(p.Asked) })
	bar.end()
	// CI's answers come in any order; the rows are in that of list.
	place := map[string]int{}
	for i, e := range entries {
		place[e.Key] = i
	}
	slices.SortFunc(rows, func(a, b shownAudit) int { return cmp.Compare(place[a.Key], place[b.Key]) })
	return t.printAudit(ctx, rows, counts, failed)
}

func (t *tool) printAudit(ctx context.Context, rows []shownAudit, counts map[mend.Verdict]int, failed error) error {
	r := table{columns: []column{{name: "VERDICT"}, {name: "JOB", least: 13}, {name: "TYPE", least: 8}, {name: "OURS"}, {name: "CI"}, {name: "REASON", least: 12}}}
	for _, a := range rows {
		r.rows = append(r.rows, []cell{text(string(a.Verdict)), text(a.ID), text(a.Type), text(a.Ours), text(a.CI), text(a.Reason)})
	}
	if err := t.print(r, rows); err != nil {
		return err
	}
	findings := 0
	var words []string
	for _, verdict := range []mend.Verdict{mend.Confirmed, mend.Differs, mend.Unknown, mend.NotAsked, mend.Later, mend.NotRecord} {
		if n := counts[verdict]; n > 0 {
			words = append(words, catalog.Count(n)+" "+string(verdict))
			if verdict.IsFinding() {
				findings += n
			}
		}
	}
	switch {
	case len(words) > 0:
		t.say("%s.", strings.Join(words, ", "))
	case failed == nil:
		t.say("no records.")
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failed != nil:
		return failed
	case findings > 0:
		return errFindings
	}
	return nil
}

func (t *tool) retagCommand() *cobra.Command {
	var kind string
	var yes, dryRun bool
	c := &cobra.Command{
		Use:   "retag ID…",
		Short: "Tag the outputs of records with their MD5",
		Long:  "Tags the outputs of records with their MD5, whether TAG_MD5 is on or not, in the\nbuckets that TAG_BUCKETS allows. Other tags stay. Where a job and a review have one\nid, the job's are tagged, and with --kind review the review's.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("retag needs at least one id")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return t.retag(c.Context(), args, kind, dryRun, yes) },
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	addKind(c, &kind)
	return c
}

// shownTag is the JSON of what became of an output's tag.
type shownTag struct {
	ID      string           `json:"id,omitempty"` // of the job, where it does not stand beside
	Bucket  string           `json:"bucket,omitempty"`
	Object  string           `json:"object,omitempty"`
	Outcome store.TagOutcome `json:"outcome"` // of a plan, what it would be
	Reason  string           `json:"reason,omitempty"`
}

// shownTags returns the JSON of the tags of a job.
func shownTags(id string, tags []store.TagResult) []shownTag {
	var shown []shownTag
	for _, tag := range tags {
		shown = append(shown, shownTag{id, tag.Bucket, tag.Object, tag.Outcome, tag.Reason})
	}
	return shown
}

func (t *tool) retag(ctx context.Context, ids []string, kind string, dryRun, yes bool) error {
	kinds, err := catalog.Filter{Kind: kind}.Kinds()
	if err != nil {
		return usageError{err}
	}
	w, err := t.open()
	if err != nil {
		return err
	}
	m := w.simpleMender()
	var views []*catalog.View
	plan := []shownTag{}
	var lines []string
	useful := false
	for _, id := range ids {
		view, err := w.catalog.Find(ctx, id, kinds)
		if err != nil {
			return err
		}
		if view.Record == nil {
			return fmt.Errorf("%s: %s", view.Key, view.Summary.Problem)
		}
		for _, p := range m.PlanRetag(view.Record) {
			planned := shownTag{view.Summary.ID, p.Bucket, p.Object, store.Tagged, ""}
			if p.Reason != "" {
				planned.Outcome, planned.Reason = store.Skipped, p.Reason
			}
			useful = useful || p.Reason == ""
			plan = append(plan, planned)
			lines = append(lines, fmt.Sprintf("%s/%s: %s", p.Bucket, p.Object, orTag(p)))
		}
		views = append(views, view)
	}
	if dryRun || !useful {
		if err := t.print(tagTable(plan), plan); err != nil {
			return err
		}
		if !useful {
			t.say("Nothing is to be tagged.")
			return errFindings
		}
		t.say("A dry run: nothing was tagged.")
		return nil
	}
	for _, line := range lines {
		t.say("%s", line)
	}
	if err := t.confirm(ctx, yes); err != nil {
		return err
	}
	return t.retagAll(ctx, m, views)
}

func orTag(p mend.PlannedTag) string {
	if p.Reason != "" {
		return "is left alone: " + p.Reason
	}
	return "is tagged " + p.MD5
}

func (t *tool) retagAll(ctx context.Context, m *mend.Mender, views []*catalog.View) error {
	all := []shownTag{}
	failed := false
	for _, view := range views {
		if ctx.Err() != nil {
			break
		}
		tags, err := m.Retag(ctx, view.Record)
		for _, tag := range tags {
			failed = failed || tag.Outcome == store.Failed || tag.Outcome == store.Skipped
		}
		all = append(all, shownTags(view.Summary.ID, tags)...)
		if err != nil {
			failed = true
			t.say("%s: %v", view.Summary.ID, err)
		}
	}
	if err := t.print(tagTable(all), all); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failed:
		return errFindings
	}
	return nil
}

// tagTable has a row for each output.
func tagTable(tags []shownTag) table {
	r := table{columns: []column{{name: "OUTCOME"}, {name: "JOB", least: 13}, {name: "OBJECT", least: 16}, {name: "REASON", least: 12}}}
	for _, tag := range tags {
		r.rows = append(r.rows, []cell{text(string(tag.Outcome)), text(tag.ID), text(tag.Bucket + "/" + tag.Object), text(tag.Reason)})
	}
	return r
}
