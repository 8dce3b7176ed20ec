package catalog

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A Bin is a span of time and how many records in it have which state.
type Bin struct {
	From, To time.Time
	States   map[string]int // by state; those that were not read are under ""
}

// Total returns how many records the bin has.
func (b Bin) Total() int {
	total := 0
	for _, n := range b.States {
		total += n
	}
	return total
}

// Width returns how long a bin is, so that a window has 12 to 48 of them: a whole part of
// a day, or days.
func Width(window time.Duration) time.Duration {
	widths := []time.Duration{15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 24 * time.Hour}
	for _, width := range widths {
		if window <= 48*width {
			return width
		}
	}
	return 7 * 24 * time.Hour
}

// Histogram counts entries by when they were written and by their state, which is in
// summaries, nil where an entry was not read. The bins begin at whole hours or days in the
// zone of until, and the last one holds until.
func Histogram(entries []Entry, summaries []*Summary, since, until time.Time, width time.Duration) []Bin {
	var bins []Bin
	for from := floor(since, until.Location(), width); !from.After(until); from = from.Add(width) {
		bins = append(bins, Bin{From: from, To: from.Add(width), States: map[string]int{}})
	}
	for j, e := range entries {
		if e.LastModified.Before(since) || len(bins) == 0 {
			continue
		}
		i := int(e.LastModified.Sub(bins[0].From) / width)
		if i < 0 || i >= len(bins) {
			continue
		}
		state := ""
		if s := summaries[j]; s != nil {
			state = s.ShownState()
		}
		bins[i].States[state]++
	}
	return bins
}

// floor returns the start of the bin that t is in.
func floor(t time.Time, zone *time.Location, width time.Duration) time.Time {
	t = t.In(zone)
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)
	if width >= 24*time.Hour {
		return midnight
	}
	return midnight.Add(t.Sub(midnight).Truncate(width))
}

// Durations are how long the jobs of one type took, from start to end.
type Durations struct {
	Type             string
	Count            int
	Median, P95, Max time.Duration
}

// DurationsByType returns the durations of each type of which at least one job has a
// start and an end: the types with the most jobs first.
func DurationsByType(summaries []*Summary) []Durations {
	all := map[string][]time.Duration{}
	for _, s := range summaries {
		if s == nil {
			continue
		}
		if took, ok := s.Took(); ok {
			name := cmp.Or(s.Type, "(none)")
			all[name] = append(all[name], took)
		}
	}
	var result []Durations
	for _, name := range slices.Sorted(maps.Keys(all)) {
		took := all[name]
		slices.Sort(took)
		result = append(result, Durations{
			Type: name, Count: len(took),
			Median: percentile(took, 50), P95: percentile(took, 95), Max: took[len(took)-1],
		})
	}
	slices.SortStableFunc(result, func(a, b Durations) int { return cmp.Compare(b.Count, a.Count) })
	return result
}

// percentile returns the smallest value that at least so many in a hundred of the sorted
// values are not above.
func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
