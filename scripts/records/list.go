package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

func (t *tool) listCommand() *cobra.Command {
	var f catalog.Filter
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List records, the newest first",
		Long: "Lists records, the newest first. --since and --until go by when the record was\n" +
			"written. COS lists by key alone, so all keys are listed, 1,000 a request.",
		Example: "  records list --state Failed\n  records list --type Transcode --since 7d --limit 100\n" +
			"  records list --state Failed --since 24h --json | jq -r '.[].code' | sort | uniq -c",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return t.list(c.Context(), f, limit) },
	}
	flags := c.Flags()
	flags.StringVar(&f.Kind, "kind", "", "job, workflow or review")
	flags.StringVar(&f.State, "state", "", "such as Failed, Success, Running")
	flags.StringVar(&f.Type, "type", "", "such as Transcode")
	flags.StringVar(&f.Verdict, "verdict", "", "of a review: normal, violation or suspected")
	flags.StringVar(&f.Code, "code", "", "the error code")
	flags.StringVar(&f.Input, "input", "", "the beginning of the input, as bucket/key or key")
	flags.StringVar(&f.Since, "since", "24h", "24h, 7d, a date, RFC 3339, or all")
	flags.StringVar(&f.Until, "until", "", "the same forms")
	flags.IntVarP(&limit, "limit", "L", 20, "rows at most; 0 for all")
	complete(c, "kind", "job", "workflow", "review")
	complete(c, "state", "Failed", "Success", "Running", "Submitted", "Pause", "Cancel")
	complete(c, "verdict", "normal", "violation", "suspected")
	return c
}

// complete lets a shell complete the values of a flag.
func complete(c *cobra.Command, flag string, values ...string) {
	c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// list prints the records that match.
func (t *tool) list(ctx context.Context, f catalog.Filter, limit int) error {
	kinds, err := f.Kinds()
	if err != nil {
		return usageError{err}
	}
	if err := f.CheckVerdict(); err != nil {
		return usageError{err}
	}
	since, until, err := f.Window(t.now())
	if err != nil {
		return usageError{err}
	}
	if limit < 0 {
		return usageError{fmt.Errorf("--limit %d: it must be 0 or more", limit)}
	}
	w, err := t.open()
	if err != nil {
		return err
	}
	entries, err := t.listEntries(ctx, w.catalog, kinds, since, until)
	if err != nil {
		return err
	}
	found, refused, looked, err := t.match(ctx, w.catalog, entries, f, limit)
	if err != nil {
		return err
	}
	rows := make([]catalog.Row, len(found))
	for i, s := range found {
		rows[i] = catalog.RowOf(s)
	}
	if t.format.csv {
		err = t.printCSV(catalog.Cells(rows))
	} else {
		err = t.print(recordTable(found, t.now()), rows)
	}
	if err != nil {
		return err
	}
	switch {
	case len(found) == 0 && len(entries) == 0:
		t.say("%s", noRecords(f, since))
	case len(found) == 0:
		t.say("None of %s records matches.", catalog.Count(len(entries)))
	case looked < len(entries):
		t.say("%s shown, of %s records looked at; %s older ones were not. --limit 0 shows all.",
			catalog.Count(len(found)), catalog.Count(looked), catalog.Count(len(entries)-looked))
	}
	if len(refused) > 0 {
		t.say("%s of the records looked at could not be read, the first because: %s", catalog.Count(len(refused)), refused[0].Problem)
		return errFindings
	}
	return nil
}

// noRecords says of which kind and time there are none.
func noRecords(f catalog.Filter, since time.Time) string {
	words := "No records"
	if f.Kind != "" {
		words += " of kind " + f.Kind
	}
	if !since.IsZero() {
		words += " since " + f.Since
	}
	if f.Until != "" {
		words += " until " + f.Until
	}
	if since.IsZero() {
		return words + "."
	}
	return words + ". --since all looks further back."
}

// listEntries lists the records of a window, with progress.
func (t *tool) listEntries(ctx context.Context, c *catalog.Catalog, kinds []model.Kind, since, until time.Time) ([]catalog.Entry, error) {
	bar := t.progress("listing", -1)
	entries, err := c.List(ctx, kinds, since, bar.set)
	bar.end()
	if err != nil {
		return nil, err
	}
	return catalog.Within(entries, since, until), nil
}

// readAhead is how many records are read before it is known whether they are wanted.
const readAhead = 512

// match reads records, the newest first, until as many match as are wanted, and returns
// how many were looked at, and which of these COS refuses.
func (t *tool) match(ctx context.Context, c *catalog.Catalog, entries []catalog.Entry, f catalog.Filter, limit int) (found, refused []*catalog.Summary, looked int, err error) {
	bar := t.progress("reading", len(entries))
	defer bar.end()
	for looked < len(entries) {
		n := min(readAhead, len(entries)-looked)
		if limit > 0 && !f.ByContent() {
			n = min(n, limit-len(found))
		}
		summaries, err := c.Summaries(ctx, entries[looked:looked+n])
		if err != nil {
			return found, refused, looked, err
		}
		for _, s := range summaries {
			looked++
			if s != nil && s.Refused {
				refused = append(refused, s)
			}
			if s == nil || !f.Match(s) {
				continue
			}
			if found = append(found, s); limit > 0 && len(found) == limit {
				return found, refused, looked, nil
			}
		}
		bar.set(looked)
	}
	return found, refused, looked, nil
}

// stateWord returns the state of a record, or why none can be read.
func stateWord(s *catalog.Summary) string {
	if s.State == "" {
		return strings.ToLower(s.ShownState())
	}
	return s.State
}

// recordTable returns the table of list.
func recordTable(found []*catalog.Summary, now time.Time) table {
	r := table{columns: []column{
		{name: "STATE"}, {name: "JOB", least: 13}, {name: "TYPE", least: 6}, {name: "INPUT", least: 10},
		{name: "AGE", right: true}, {name: "TOOK", right: true}, {name: "CODE", least: 8},
	}}
	for _, s := range found {
		took := cell{"–", ""}
		if d, ok := s.Took(); ok {
			took = cell{catalog.Duration(d), strconv.FormatFloat(d.Seconds(), 'f', -1, 64)}
		}
		code := cell{"", s.Code}
		if s.State == "Failed" {
			code.short = s.Code
		}
		r.rows = append(r.rows, []cell{text(stateWord(s)), text(s.ID), text(s.Type), text(s.Input), age(s.Recorded, now), took, code})
	}
	return r
}
