package board

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// An overviewPage answers "is all well?": how many jobs ended how, when, and how long
// they took.
type overviewPage struct {
	Since     string // as in the URL, such as 24h
	Window    string // in words, such as "in the last 24 hours"
	Total     int    // records in the window
	Read      int    // of those, how many were read by now
	States    []stateCount
	Hours     hoursChart
	Durations durationsChart
	Groups    []catalog.Group // the greatest five
	Newest    []*catalog.Summary
	Rejected  int       // bodies that came in the window and were not understood
	Mended    int       // of those read, the records that were made of CI's answer to a query
	Compared  time.Time // when the last reconciliation ended
	Empty     bool
}

// A stateCount is how many records have a state.
type stateCount struct {
	State  string
	Filter string // the state to filter by; empty for what has none that can be read
	Count  int
}

const (
	overviewGroups = 5
	overviewNewest = 8
)

func (b *Board) overview(r *request) (*page, error) {
	f := filterOf(r)
	since, until, err := f.Window(r.now)
	if err != nil {
		return nil, badQuery(err)
	}
	entries := catalog.Within(r.known.entries, since, until)
	rejected := catalog.Within(r.known.rejected, since, until)
	if since.IsZero() && len(entries) > 0 {
		since = entries[len(entries)-1].LastModified
	}
	last := r.now // that the chart shows
	if !until.IsZero() && until.Before(last) {
		last = until.Add(-1).In(r.now.Location())
	}
	summaries := b.Catalog.CachedAll(entries)
	width := catalog.Width(last.Sub(since))
	o := overviewPage{
		Since: f.Since, Window: windowWords(f.Since, f.Until), Total: len(entries),
		States:    countStates(summaries),
		Hours:     newHoursChart(r, catalog.Histogram(entries, summaries, since, last, width), width),
		Durations: newDurationsChart(catalog.DurationsByType(summaries)),
		Rejected:  len(rejected),
		Empty:     len(r.known.entries) == 0 && !r.known.listed.IsZero(),
	}
	for _, s := range summaries {
		if s != nil {
			o.Read++
			if s.Source == model.SourceQuery {
				o.Mended++
			}
			if len(o.Newest) < overviewNewest {
				o.Newest = append(o.Newest, s)
			}
		}
	}
	o.Groups = catalog.Groups(summaries)
	o.Groups = o.Groups[:min(len(o.Groups), overviewGroups)]
	for _, state := range r.known.states {
		if state.Last != nil && state.Last.Ended.After(o.Compared) {
			o.Compared = state.Last.Ended
		}
	}
	return &page{
		Template: "overview", Title: "Overview", Active: "/", Data: o, Live: b.liveWhile(r),
		Command: command("list", "since", r.moment(f.Since), "until", r.moment(f.Until)),
	}, nil
}

// liveWhile returns after how many seconds a page is to be loaded again while records are
// still being listed or read: its rows and counts are not whole yet.
func (b *Board) liveWhile(r *request) int {
	if r.known.filling || r.known.behind || r.known.listed.IsZero() {
		return 2
	}
	return 0
}

// countStates counts what was read by state: those that need a look come first.
func countStates(summaries []*catalog.Summary) []stateCount {
	counts := map[string]int{"Failed": 0, "Success": 0}
	for _, s := range summaries {
		if s != nil {
			counts[s.ShownState()]++
		}
	}
	var result []stateCount
	for _, state := range stackOrder(counts) {
		filter := state
		if state == catalog.Unreadable || state == catalog.LaterFormat {
			filter = ""
		}
		result = append(result, stateCount{state, filter, counts[state]})
	}
	return result
}

// stackOrder returns the states of a table of counts in the order in which bars are
// stacked, from below: what failed stands on the axis, where it can be compared.
func stackOrder[V any](counts map[string]V) []string {
	first := []string{"Failed", "Pause", "Running", "Submitted", "Success", "Cancel"}
	var states, others []string
	for _, state := range first {
		if _, ok := counts[state]; ok {
			states = append(states, state)
		}
	}
	for state := range counts {
		if state != "" && !slices.Contains(first, state) {
			others = append(others, state)
		}
	}
	slices.Sort(others)
	states = append(states, others...)
	if _, ok := counts[""]; ok { // those that were not read yet
		states = append(states, "")
	}
	return states
}

// windowWords says in words what since and until of an URL stand for. A time such as 24h
// is one before now.
func windowWords(since, until string) string {
	var words []string
	switch {
	case since == "all" || since == "":
	case since == "24h":
		words = append(words, "in the last 24 hours")
	case since == "7d":
		words = append(words, "in the last 7 days")
	case since == "30d":
		words = append(words, "in the last 30 days")
	case isAgo(since):
		words = append(words, "in the last "+since)
	default:
		words = append(words, "since "+since)
	}
	switch {
	case until == "all" || until == "":
	case isAgo(until):
		words = append(words, "more than "+until+" ago")
	default:
		words = append(words, "before "+until)
	}
	return cmp.Or(strings.Join(words, ", "), "so far")
}

// isAgo reports whether a moment is written as a time before now: dates end with a digit,
// or with Z.
func isAgo(moment string) bool { return strings.ContainsAny(moment[len(moment)-1:], "smhd") }

// Failed returns how many of what was read have failed.
func (o overviewPage) Failed() int { return o.count("Failed") }

func (o overviewPage) count(state string) int {
	for _, s := range o.States {
		if s.State == state {
			return s.Count
		}
	}
	return 0
}
