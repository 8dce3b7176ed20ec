package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

func (t *tool) showCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one record, its history, and its outputs as they are now",
		Long: "Shows one record, its history, and its outputs as they are now. Where a job and a review\n" +
			"have one id, the job is shown, and with --kind review the review. An id that begins\n" +
			"with - needs -- in front.",
		Example: "  records show j8d121820f5e411ec926ef19d53ba9c6f\n  records show j8d121820f5e411ec926ef19d53ba9c6f --json | jq .record.detail",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("show needs one id")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return t.show(c.Context(), args[0], kind) },
	}
	addKind(c, &kind)
	return c
}

// addKind adds the flag that says of what an id is.
func addKind(c *cobra.Command, kind *string) {
	c.Flags().StringVar(kind, "kind", "", "job, workflow or review; the first of these that has the id, where it is left out")
	complete(c, "kind", "job", "workflow", "review")
}

// shown is the JSON of show.
type shown struct {
	Key      string          `json:"key"`
	Recorded string          `json:"recorded"`
	Bytes    int64           `json:"bytes"`
	Record   json.RawMessage `json:"record"`
	History  []shownVersion  `json:"history,omitempty"` // the newest first
	Outputs  []shownOutput   `json:"outputs,omitempty"`
	Problem  string          `json:"problem,omitempty"`

	// How many there are beyond those above.
	VersionsNotShown int `json:"versionsNotShown,omitempty"`
	OutputsNotShown  int `json:"outputsNotShown,omitempty"`
}

type shownVersion struct {
	Key      string           `json:"key"`
	Recorded string           `json:"recorded"`
	State    string           `json:"state,omitempty"`
	Source   string           `json:"source,omitempty"`
	Current  bool             `json:"current,omitempty"` // it is the record; the others are in its history
	Changes  []catalog.Change `json:"changes,omitempty"` // from the version before

	ChangesNotShown int `json:"changesNotShown,omitempty"`
}

type shownOutput struct {
	model.Output
	Bytes        int64             `json:"bytes,omitempty"`
	LastModified string            `json:"lastModified,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	Problem      string            `json:"problem,omitempty"`
}

func (t *tool) show(ctx context.Context, id, kind string) error {
	kinds, err := catalog.Filter{Kind: kind}.Kinds()
	if err != nil {
		return usageError{err}
	}
	w, err := t.open()
	if err != nil {
		return err
	}
	view, err := w.catalog.Find(ctx, id, kinds)
	if err != nil {
		return err
	}
	s := shown{
		Key: view.Key, Recorded: view.LastModified.UTC().Format(time.RFC3339), Bytes: view.Size,
		Record: view.Body, Problem: view.Summary.Problem, VersionsNotShown: view.Omitted,
	}
	if !json.Valid(view.Body) {
		s.Record, _ = json.Marshal(string(view.Body))
	}
	for _, v := range view.Versions {
		s.History = append(s.History, shownVersion{
			Key: v.Key, Recorded: v.LastModified.UTC().Format(time.RFC3339), State: v.Summary.State, Source: v.Summary.Source,
			Current: v.Current, Changes: v.Changes, ChangesNotShown: v.More,
		})
	}
	if view.Record != nil {
		s.Outputs = lookAt(ctx, w.store, view.Record.Outputs)
		s.OutputsNotShown = len(view.Record.Outputs) - len(s.Outputs)
	}
	if ctx.Err() != nil { // each output that was left would say that it was interrupted
		return context.Cause(ctx)
	}
	if t.outTerminal && !t.format.json && !t.format.csv {
		t.printRecord(view, s, w.config.MD5TagKey)
	} else if err := t.print(factTable(view, s), s); err != nil {
		return err
	}
	t.sayNotShown(s.OutputsNotShown, len(s.Outputs), "outputs")
	t.sayNotShown(s.VersionsNotShown, len(s.History), "versions")
	for _, v := range s.History {
		t.sayNotShown(v.ChangesNotShown, len(v.Changes), "changes from one version to the next")
	}
	if view.Refused != nil {
		t.say("A version could not be read: %v", view.Refused)
	}
	if view.Refused != nil || s.Problem != "" {
		return errFindings
	}
	return nil
}

// sayNotShown says where there is more than was printed.
func (t *tool) sayNotShown(n, shown int, what string) {
	if n > 0 {
		t.say("Not shown: %s of %s %s.", catalog.Count(n), catalog.Count(n+shown), what)
	}
}

const (
	maxLooks       = 200 // outputs that are looked at
	maxLooksAtOnce = 16
)

// lookAt asks COS about outputs as they are now.
func lookAt(ctx context.Context, s *store.Store, outputs []model.Output) []shownOutput {
	looked := make([]shownOutput, min(len(outputs), maxLooks))
	parallel.ForEach(len(looked), maxLooksAtOnce, func(i int) error {
		looked[i] = lookAtOne(ctx, s, outputs[i])
		return nil
	})
	return looked
}

func lookAtOne(ctx context.Context, s *store.Store, o model.Output) shownOutput {
	looked := shownOutput{Output: o}
	info, err := s.LookAtOutput(ctx, o)
	if err != nil {
		looked.Problem = lookProblem(err)
	}
	if !info.LastModified.IsZero() {
		looked.Bytes, looked.LastModified = info.Size, info.LastModified.UTC().Format(time.RFC3339)
	}
	for _, tag := range info.Tags {
		if looked.Tags == nil {
			looked.Tags = map[string]string{}
		}
		looked.Tags[tag.Key] = tag.Value
	}
	return looked
}

// lookProblem says in a few words why an output could not be looked at.
func lookProblem(err error) string {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "there is no such object"
	case cosclient.IsDenied(err):
		return "these keys may not look at it"
	}
	return err.Error()
}

// factTable is show for other programs: a name and a value on each line.
func factTable(view *catalog.View, s shown) table {
	r := table{columns: []column{{name: "FIELD"}, {name: "VALUE"}}}
	add := func(name, value string) {
		if value != "" {
			r.rows = append(r.rows, []cell{text(name), text(value)})
		}
	}
	row := catalog.RowOf(view.Summary)
	add("key", s.Key)
	add("kind", row.Kind)
	add("id", row.ID)
	add("state", row.State)
	add("type", row.Type)
	add("problem", row.Problem)
	add("verdict", row.Verdict)
	add("label", row.Label)
	add("code", row.Code)
	add("message", row.Message)
	add("input", row.Input)
	add("queue", row.Queue)
	add("created", row.Created)
	add("started", row.Started)
	add("ended", row.Ended)
	add("recorded", row.Recorded)
	add("source", row.Source)
	for i, o := range s.Outputs {
		name := fmt.Sprintf("output[%d]", i)
		add(name, o.Bucket+"/"+o.Key)
		add(name+".md5", o.MD5)
		add(name+".lastModified", o.LastModified)
		for _, key := range slices.Sorted(maps.Keys(o.Tags)) {
			add(name+".tag."+key, o.Tags[key])
		}
		add(name+".problem", o.Problem)
	}
	for _, v := range s.History {
		if !v.Current {
			add("history", v.Key)
		}
	}
	return r
}

// printRecord prints a record for a person.
func (t *tool) printRecord(view *catalog.View, s shown, tagKey string) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t.out, "%-10s %s\n", name, printable(value))
		}
	}
	sum := view.Summary
	state := printable(stateWord(sum))
	if t.color {
		state = colored("STATE", state, false)
	}
	fmt.Fprintf(t.out, "%s  %s  %s\n", state, printable(sum.ID), printable(sum.Type))
	line("problem", sum.Problem)
	if view.Record != nil && sum.State == "Failed" {
		line("code", view.Record.Code)
		line("message", view.Record.Message)
	}
	line("input", sum.Input)
	line("queue", sum.Queue)
	line("verdict", strings.TrimSpace(sum.Verdict+" "+sum.Label))
	t.printTimes(line, sum)
	line("record", fmt.Sprintf("%s, %s", s.Key, catalog.Bytes(s.Bytes)))
	for _, o := range s.Outputs {
		line("output", fmt.Sprintf("%s/%s  %s", o.Bucket, o.Key, outputWords(o, tagKey)))
	}
	t.printHistory(view.Versions, s.History)
}

// printTimes prints when a job was created, started, ended and recorded.
func (t *tool) printTimes(line func(name, value string), s *catalog.Summary) {
	before := time.Time{}
	for _, step := range []struct {
		name string
		at   time.Time
	}{{"created", s.Created}, {"started", s.Started}, {"ended", s.Ended}, {"recorded", s.Recorded}} {
		if step.at.IsZero() {
			continue
		}
		words := step.at.In(t.now().Location()).Format("2006-01-02 15:04:05 -07:00")
		if !before.IsZero() && !step.at.Before(before) {
			words += ", after " + catalog.Duration(step.at.Sub(before))
		}
		line(step.name, words)
		before = step.at
	}
}

func outputWords(o shownOutput, tagKey string) string {
	if o.Problem != "" {
		return o.Problem
	}
	words := catalog.Bytes(o.Bytes)
	switch tag := o.Tags[tagKey]; {
	case o.MD5 == "":
		words += ", no MD5 in the record"
	case tag == "":
		words += ", not tagged"
	case strings.EqualFold(tag, o.MD5):
		words += ", tagged"
	default:
		words += ", tagged with another MD5: " + tag
	}
	return words
}

// printHistory prints what changed from version to version.
func (t *tool) printHistory(read []catalog.Version, versions []shownVersion) {
	if len(versions) < 2 {
		return
	}
	for i, v := range versions {
		name := "version " + catalog.ShortHash(v.Key)
		if v.Current {
			name = "the record"
		}
		fmt.Fprintf(t.out, "\n%s, %s, written %s\n", printable(name), printable(stateWord(read[i].Summary)), v.Recorded)
		for _, c := range v.Changes {
			fmt.Fprintf(t.out, "  %s: %s → %s\n", printable(c.Path), printable(orNothing(c.Was)), printable(orNothing(c.Now)))
		}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}
