package board

import (
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// A timeline is the steps of a job, from its creation to its record, and a drawing of the
// time between them.
type timeline struct {
	Steps    []step
	Spans    []span
	Width    int
	HasSpans bool
}

// A step is a moment in the life of a job.
type step struct {
	Name  string
	At    time.Time
	After string // the time since the step before
	Note  string
}

// A span is a stretch of the drawing.
type span struct {
	Class    string
	Words    string // what it is and how long it took
	X, Width string
}

func newTimeline(view *catalog.View) timeline {
	return timelineOf(view.Summary, view.Summary.Recorded)
}

// timelineOf makes the timeline of a job whose record was written at recorded, zero for
// one that has none.
func timelineOf(s *catalog.Summary, recorded time.Time) timeline {
	var t timeline
	add := func(name string, at time.Time, note string) {
		if at.IsZero() {
			return
		}
		st := step{Name: name, At: at, Note: note}
		if n := len(t.Steps); n > 0 {
			st.After = wait(t.Steps[n-1].At, at)
		}
		t.Steps = append(t.Steps, st)
	}
	add("Created", s.Created, "")
	add("Started", s.Started, "")
	add("Ended", s.Ended, "")
	note := "by a callback"
	if s.Source == "query" {
		note = "by a reconciliation: CI was asked"
	}
	add("Recorded", recorded, note)
	t.draw(s, recorded)
	return t
}

const (
	timelineWidth = 1000
	minSpan       = 14 // so that the shortest stretch can be seen
)

// draw lays out the stretches in proportion to the time they took; what took nearly none
// keeps a least width.
func (t *timeline) draw(s *catalog.Summary, recorded time.Time) {
	type stretch struct {
		class, word string
		from, to    time.Time
	}
	var known []stretch
	var whole time.Duration
	for _, st := range []stretch{
		{"queued", "queued", s.Created, s.Started},
		{"ran", "ran", s.Started, s.Ended},
		{"reported", "until recorded", s.Ended, recorded},
	} {
		if !st.from.IsZero() && !st.to.IsZero() && !st.to.Before(st.from) {
			known = append(known, st)
			whole += st.to.Sub(st.from)
		}
	}
	t.Width, t.HasSpans = timelineWidth, len(known) > 0
	room := float64(timelineWidth - minSpan*len(known))
	x := 0.0
	for _, st := range known {
		d := st.to.Sub(st.from)
		width := float64(minSpan)
		if whole > 0 {
			width += room * d.Seconds() / whole.Seconds()
		}
		t.Spans = append(t.Spans, span{
			Class: st.class, Words: st.word + " " + catalog.Duration(d), X: decimal(x + 1), Width: decimal(max(2, width-2)),
		})
		x += width
	}
}
