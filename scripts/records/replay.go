package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

func (t *tool) rejectedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rejected",
		Short: "List bodies that were not understood, with today's reason",
		Long:  "Lists bodies that were not understood, the newest first, with the reason that today's\ndecoder has. Those without a reason decode now: records replay takes them.",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return t.rejected(c.Context()) },
	}
}

// shownBody is the JSON of rejected and replay.
type shownBody struct {
	Key      string     `json:"key"`
	Received string     `json:"received"`
	Bytes    int64      `json:"bytes"`
	Source   string     `json:"source,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Jobs     []shownJob `json:"jobs,omitempty"`
	Removed  bool       `json:"removed,omitempty"`
	Error    string     `json:"error,omitempty"`
}

type shownJob struct {
	Kind    string     `json:"kind"`
	ID      string     `json:"id"`
	State   string     `json:"state"`
	Outcome string     `json:"outcome,omitempty"` // of a plan, what it would be
	Record  string     `json:"record,omitempty"`
	Tags    []shownTag `json:"tags,omitempty"`
}

func (t *tool) rejected(ctx context.Context) error {
	w, err := t.open()
	if err != nil {
		return err
	}
	bodies, err := t.examine(ctx, w, w.simpleMender(), nil)
	if err != nil {
		return err
	}
	r := table{columns: []column{{name: "BODY", least: 12}, {name: "SOURCE"}, {name: "SIZE", right: true}, {name: "AGE", right: true}, {name: "REASON", least: 20}}}
	all := []shownBody{}
	understood := 0
	for _, b := range bodies {
		if b.isUnread() {
			continue
		}
		reason := text(b.Reason)
		if b.IsWhole() {
			understood++
			reason = cell{"understood now: " + bodyWords(b.Body), ""}
		}
		r.rows = append(r.rows, []cell{{catalog.ShortHash(b.Key), b.Hash()}, text(sourceWord(b.Source)), {catalog.Bytes(b.Size), fmt.Sprint(b.Size)}, age(b.Received, t.now()), reason})
		all = append(all, shownBodyOf(b))
	}
	if err := t.print(r, all); err != nil {
		return err
	}
	failed := t.sayErrors(bodies)
	t.say("%d rejected, %d of them understood now.", len(bodies), understood)
	return failed
}

// sayErrors names the bodies that could not be read or planned, and returns errFindings
// where there are any.
func (t *tool) sayErrors(bodies []examined) (failed error) {
	for _, b := range bodies {
		if b.err != nil {
			t.say("%v", b.err)
			failed = errFindings
		}
	}
	return failed
}

func shownBodyOf(b examined) shownBody {
	s := shownBody{Key: b.Key, Received: b.Received.UTC().Format("2006-01-02T15:04:05Z"), Bytes: b.Size, Source: b.Source, Reason: b.Reason}
	if b.err != nil {
		s.Error = b.err.Error()
	}
	for _, j := range b.Jobs {
		s.Jobs = append(s.Jobs, shownJob{Kind: string(j.Kind), ID: j.ID, State: j.State, Outcome: string(j.Would), Record: j.Key})
	}
	return s
}

func sourceWord(source string) string {
	if source == "" {
		return "callback"
	}
	return source
}

// bodyWords says what is in a body.
func bodyWords(b mend.Body) string {
	switch {
	case b.Probe:
		return "a probe, about no job"
	case len(b.Jobs) == 1:
		return fmt.Sprintf("%s %s, %s", b.Jobs[0].Kind, b.Jobs[0].ID, b.Jobs[0].State)
	default:
		return fmt.Sprintf("%d jobs", len(b.Jobs))
	}
}

// bodyKeys returns the keys of rejected bodies that are named by their key, their hash, or
// the beginning of it that rejected prints; each once.
func bodyKeys(ctx context.Context, w *world, names []string) ([]string, error) {
	prefix := w.config.RecordPrefix + "rejected/"
	var keys []string
	for _, name := range names {
		hash := strings.TrimPrefix(name, prefix)
		if !catalog.BeginsHash(hash) {
			return nil, usageError{fmt.Errorf("%.100q names no rejected body: write its key, its hash, or at least the first %d digits of that", name, catalog.ShortHashDigits)}
		}
		key := prefix + hash
		if !catalog.IsHash(hash) {
			entries, err := w.catalog.ListAll(ctx, "rejected/"+hash)
			switch {
			case err != nil:
				return nil, err
			case len(entries) == 0:
				return nil, fmt.Errorf("%s: %w", key, catalog.ErrNotFound)
			case len(entries) > 1:
				return nil, usageError{fmt.Errorf("%d rejected bodies begin with %s: write more of the hash", len(entries), hash)}
			}
			key = entries[0].Key
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

const maxBodiesAtOnce = 8

// examined is a rejected body, and why it could not be read or planned.
type examined struct {
	mend.Body
	err error
}

// isUnread reports whether there is nothing of a body but its error.
func (b examined) isUnread() bool { return b.Key == "" }

// examine reads the bodies of some keys, or hashes; all bodies where none is named. It
// returns an error where nothing could be read, or there is no body of a name.
func (t *tool) examine(ctx context.Context, w *world, m *mend.Mender, names []string) ([]examined, error) {
	keys, err := bodyKeys(ctx, w, names)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		entries, err := w.catalog.ListAll(ctx, "rejected/")
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			keys = append(keys, e.Key)
		}
	}
	bar := t.progress("reading", len(keys))
	defer bar.end()
	bodies := make([]examined, len(keys))
	parallel.ForEach(len(keys), maxBodiesAtOnce, func(i int) error {
		bodies[i].Body, bodies[i].err = m.Examine(ctx, keys[i])
		return nil
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i, b := range bodies {
		if len(names) > 0 && errors.Is(b.err, store.ErrNotFound) {
			return nil, fmt.Errorf("%s: %w", keys[i], catalog.ErrNotFound)
		}
	}
	bodies = slices.DeleteFunc(bodies, func(b examined) bool { return errors.Is(b.err, store.ErrNotFound) }) // taken away since the listing
	if len(bodies) > 0 && !slices.ContainsFunc(bodies, func(b examined) bool { return !b.isUnread() }) {
		return nil, bodies[0].err
	}
	return bodies, nil
}

// simpleMender returns a mender for what needs no settings of the reconciliation.
func (w *world) simpleMender() *mend.Mender {
	return mend.New(mend.Options{Store: w.store, StoreOptions: w.storeOptions, TagMD5: w.config.TagMD5})
}

func (t *tool) replayCommand() *cobra.Command {
	var dryRun, remove, yes bool
	c := &cobra.Command{
		Use:   "replay [KEY…]",
		Short: "Receive rejected bodies again that decode now",
		Long: "Receives rejected bodies again, as what they came as, callback or query: all that\n" +
			"decode now, or those named by their key, its hash, or the beginning that rejected prints.",
		Example: "  records replay --dry-run\n  records replay --delete --yes",
		RunE:    func(c *cobra.Command, args []string) error { return t.replay(c.Context(), args, dryRun, remove, yes) },
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	c.Flags().BoolVar(&remove, "delete", false, "take away what was received whole")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (t *tool) replay(ctx context.Context, names []string, dryRun, remove, yes bool) error {
	w, err := t.open()
	if err != nil {
		return err
	}
	m := w.simpleMender()
	bodies, err := t.examine(ctx, w, m, names)
	if err != nil {
		return err
	}
	missed := t.sayErrors(bodies) // beside what is received all the same
	bodies = slices.DeleteFunc(bodies, func(b examined) bool { return b.err != nil })
	var useful []examined
	for _, b := range bodies {
		switch {
		case b.IsWhole() || len(b.Jobs) > 0:
			useful = append(useful, b)
		case len(names) > 0:
			t.say("%s is not understood today: %s", catalog.ShortHash(b.Key), b.Reason)
			missed = errFindings
		}
	}
	if len(useful) == 0 {
		t.say("Nothing to receive: none of %d rejected bodies is understood today.", len(bodies))
		return cmp.Or(t.print(replayTable(nil), []shownBody{}), missed)
	}
	if dryRun {
		var planned []shownBody
		for _, b := range useful {
			planned = append(planned, shownBodyOf(b))
		}
		if err := t.print(replayTable(planned), planned); err != nil {
			return err
		}
		t.say("A dry run: nothing was received.")
		return missed
	}
	for _, b := range useful {
		t.say("%s: %s", catalog.ShortHash(b.Key), planWords(b.Body, remove))
	}
	if err := t.confirm(ctx, yes); err != nil {
		return err
	}
	return cmp.Or(t.replayAll(ctx, m, useful, remove), missed)
}

// planWords says what receiving a body would do.
func planWords(b mend.Body, remove bool) string {
	var words []string
	for _, j := range b.Jobs {
		words = append(words, fmt.Sprintf("%s %s, %s, would be %s", j.Kind, j.ID, j.State, j.Would))
	}
	if b.Probe {
		words = append(words, "a probe, about no job")
	}
	switch {
	case !b.IsWhole():
		words = append(words, "the rest is not understood, and the body stays: "+b.Reason)
	case remove:
		words = append(words, "the body would be taken away")
	}
	return strings.Join(words, "; ")
}

// replayAll receives bodies, one after the other, until the context ends.
func (t *tool) replayAll(ctx context.Context, m *mend.Mender, bodies []examined, remove bool) error {
	var done []shownBody
	received, inPart := 0, 0
	for _, b := range bodies {
		if ctx.Err() != nil {
			break
		}
		replayed, err := m.Replay(ctx, b.Key, remove)
		s := shownBodyOf(b)
		s.Jobs, s.Removed = nil, replayed.Removed // what was done, in the place of the plan
		for _, r := range replayed.Jobs {
			s.Jobs = append(s.Jobs, shownJobOf(r))
		}
		switch {
		case err == nil:
			received++
		case slices.ContainsFunc(replayed.Jobs, func(r receive.Result) bool { return r.Outcome != "" }):
			inPart++
		}
		if err != nil {
			s.Error = err.Error()
		}
		done = append(done, s)
	}
	if err := t.print(replayTable(done), done); err != nil {
		return err
	}
	words := fmt.Sprintf("%d of %d bodies received", received, len(bodies))
	if inPart > 0 {
		words += fmt.Sprintf(", %d in part", inPart)
	}
	t.say("%s.", words)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case received < len(bodies):
		return errFindings
	}
	return nil
}

func shownJobOf(r receive.Result) shownJob {
	return shownJob{Kind: string(r.Kind), ID: r.ID, State: r.State, Outcome: string(r.Outcome), Record: r.Key, Tags: shownTags("", r.Tags)}
}

// replayTable has a row for each job, and one for each body without any.
func replayTable(bodies []shownBody) table {
	r := table{columns: []column{{name: "BODY", least: 12}, {name: "KIND"}, {name: "JOB", least: 13}, {name: "STATE"}, {name: "OUTCOME"}, {name: "ERROR", least: 12}}}
	for _, b := range bodies {
		hash := cell{catalog.ShortHash(b.Key), b.Key[strings.LastIndexByte(b.Key, '/')+1:]}
		problem := text(cmp.Or(b.Error, b.Reason))
		for _, j := range b.Jobs {
			r.rows = append(r.rows, []cell{hash, text(j.Kind), text(j.ID), text(j.State), text(j.Outcome), problem})
		}
		if len(b.Jobs) == 0 {
			r.rows = append(r.rows, []cell{hash, text(""), text(""), text(""), text(""), problem})
		}
	}
	return r
}
