package board

import (
	"cmp"
	"fmt"
	"slices"
	"time"

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
	Rejected  int
	Findings  int       // of the last reconciliations: repaired and replaced
	Compared  time.Time // when the last of them ended
	Empty     bool
}

// A stateCount is how many records have a state.
type stateCount struct {
	State string
	Count int
}

const (
	overviewGroups = 5
	overviewNewest = 8
)

func (b *Board) overview(r *request) (*page, error) {
	name := cmp.Or(r.query.Get("since"), "24h")
	since, err := catalog.ParseMoment(name, r.now)
	if err != nil {
		return nil, badQuery(fmt.Errorf("since: %w", err))
	}
	entries := r.known.within(since, time.Time{})
	if since.IsZero() && len(entries) > 0 {
		since = entries[len(entries)-1].LastModified
	}
	summaries := b.Catalog.CachedAll(entries)
	width := catalog.Width(r.now.Sub(since))
	o := overviewPage{
		Since: name, Window: windowWords(name), Total: len(entries),
		States:    countStates(summaries),
		Hours:     newHoursChart(r, catalog.Histogram(entries, summaries, since, r.now, width), width),
		Durations: newDurationsChart(catalog.DurationsByType(summaries)),
		Rejected:  len(r.known.rejected),
		Empty:     len(r.known.entries) == 0 && !r.known.listed.IsZero(),
	}
	for _, s := range summaries {
		if s != nil {
			o.Read++
			if len(o.Newest) < overviewNewest {
				o.Newest = append(o.Newest, s)
			}
		}
	}
	o.Groups = catalog.Groups(summaries)
	o.Groups = o.Groups[:min(len(o.Groups), overviewGroups)]
	for _, state := range r.known.states {
		if state.Last == nil {
			continue
		}
		o.Findings += state.Last.Repaired + state.Last.Replaced
		if state.Last.Ended.After(o.Compared) {
			o.Compared = state.Last.Ended
		}
	}
	return &page{
		Template: "overview", Title: "Overview", Active: "/", Data: o, Live: b.liveWhile(r),
		Command: command("list", "since", name),
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
			counts[cmp.Or(s.State, "Unreadable")]++
		}
	}
	var result []stateCount
	for _, state := range stackOrder(counts) {
		result = append(result, stateCount{state, counts[state]})
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

// windowWords says in words what a since of an URL stands for.
func windowWords(since string) string {
	switch since {
	case "24h":
		return "in the last 24 hours"
	case "7d":
		return "in the last 7 days"
	case "30d":
		return "in the last 30 days"
	case "all", "":
		return "in all"
	}
	return "since " + since
}

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
