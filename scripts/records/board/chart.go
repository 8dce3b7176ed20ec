package board

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// Charts are drawn here, in whole units and fixed decimals, so that the same records make
// the same bytes. Each is drawn twice, for a wide and for a narrow screen, since text in a
// scaled drawing would be scaled too; the style sheet shows the one that fits.

// An hoursChart is how many records were written when, by state.
type hoursChart struct {
	Unit         string // of time that a bar stands for: "hour", "day"
	Finding      string // what the chart shows, in a sentence
	Wide, Narrow barPlot
	States       []string // those that occur, in the order of the stack, from below
	Rows         []hourRow
	Empty        bool
}

// A barPlot is the geometry of stacked bars.
type barPlot struct {
	Width, Height int
	Left, Right   int // of the drawing's inside
	Base          int // y of the axis
	Grid          []gridLine
	Bars          []bar
	Labels        []axisLabel
}

type gridLine struct {
	Y    int
	Text string
}

type axisLabel struct {
	X, Y int
	Text string
}

// A bar is a stack of parts, and the link to the records that it stands for.
type bar struct {
	X, Width string
	Link     template.URL
	Words    string // what the bar says
	Parts    []barPart
}

type barPart struct{ Class, Y, Height string }

// An hourRow is a line of the table beside the chart.
type hourRow struct {
	From   time.Time
	Text   string
	Link   template.URL
	Counts []int // in the order of the chart's States
	Total  int
}

// plotSize is the size of a drawing, and the room that it leaves at its edges.
type plotSize struct{ width, height, left, right, top, bottom int }

func hoursWide() plotSize   { return plotSize{680, 250, 40, 4, 12, 28} }
func hoursNarrow() plotSize { return plotSize{328, 200, 30, 2, 12, 26} }

func newHoursChart(r *request, bins []catalog.Bin, width time.Duration) hoursChart {
	chart := hoursChart{Unit: unitWord(width), Empty: true}
	seen := map[string]int{}
	greatest, busiest := 0, catalog.Bin{}
	for _, bin := range bins {
		for state, n := range bin.States {
			seen[state] += n
		}
		if total := bin.Total(); total > greatest {
			greatest, busiest, chart.Empty = total, bin, false
		}
	}
	chart.States = stackOrder(seen)
	for _, bin := range bins {
		row := hourRow{From: bin.From, Text: binWords(bin, width), Link: binLink(r, bin), Total: bin.Total()}
		for _, state := range chart.States {
			row.Counts = append(row.Counts, bin.States[state])
		}
		chart.Rows = append(chart.Rows, row)
	}
	chart.Finding = hoursFinding(chart, busiest, width)
	chart.Wide = newBarPlot(hoursWide(), chart, bins, greatest, width)
	chart.Narrow = newBarPlot(hoursNarrow(), chart, bins, greatest, width)
	return chart
}

// hoursFinding says what the chart shows.
func hoursFinding(chart hoursChart, busiest catalog.Bin, width time.Duration) string {
	if chart.Empty {
		return "No records in this window."
	}
	finding := fmt.Sprintf("Most in one %s: %s, %s.", chart.Unit, plural(busiest.Total(), "record", "records"), binWords(busiest, width))
	worst, most := -1, 0
	for i, row := range chart.Rows {
		for j, state := range chart.States {
			if state == "Failed" && row.Counts[j] > most {
				worst, most = i, row.Counts[j]
			}
		}
	}
	if worst >= 0 {
		finding += fmt.Sprintf(" Most failures: %s, %s.", catalog.Count(most), chart.Rows[worst].Text)
	}
	return finding
}

func unitWord(width time.Duration) string {
	switch {
	case width < time.Hour:
		return fmt.Sprintf("%d minutes", int(width.Minutes()))
	case width == time.Hour:
		return "hour"
	case width < 24*time.Hour:
		return fmt.Sprintf("%d hours", int(width.Hours()))
	case width == 24*time.Hour:
		return "day"
	default:
		return "week"
	}
}

// binWords names the time of a bar: "27 Nov 14:00–15:00", "27 Nov".
func binWords(bin catalog.Bin, width time.Duration) string {
	if width >= 24*time.Hour {
		return bin.From.Format("2 Jan")
	}
	return bin.From.Format("2 Jan 15:04") + "–" + bin.To.Format("15:04")
}

func binLink(r *request, bin catalog.Bin) template.URL {
	return template.URL(r.link("/records", "since", bin.From.Format(time.RFC3339), "until", bin.To.Format(time.RFC3339)))
}

func newBarPlot(size plotSize, chart hoursChart, bins []catalog.Bin, greatest int, width time.Duration) barPlot {
	plot := barPlot{Width: size.width, Height: size.height, Left: size.left, Right: size.width - size.right, Base: size.height - size.bottom}
	top, step := ceiling(greatest)
	inside := float64(plot.Base - size.top)
	y := func(n int) float64 { return float64(plot.Base) - inside*float64(n)/float64(top) }
	for n := step; n <= top; n += step {
		plot.Grid = append(plot.Grid, gridLine{Y: int(y(n)), Text: catalog.Count(n)})
	}
	if len(bins) == 0 {
		return plot
	}
	pitch := float64(plot.Right-plot.Left) / float64(len(bins))
	gap := min(4, max(1, pitch/5), pitch/2) // the bars of many years are narrower than a unit
	for i, bin := range bins {
		x := float64(plot.Left) + pitch*float64(i)
		if i%labelStep(len(bins), size.width) == 0 && x+axisTextWidth <= float64(size.width) {
			plot.Labels = append(plot.Labels, axisLabel{X: int(x), Y: plot.Base + 18, Text: axisText(bin, width)})
		}
		if bin.Total() > 0 {
			plot.Bars = append(plot.Bars, newBar(chart, i, x+gap/2, pitch-gap, y))
		}
	}
	return plot
}

// axisTextWidth is the room that a text on the axis takes.
const axisTextWidth = 36

// newBar stacks a bin's states. Between two of them is a gap, so that they can be told
// apart without colour; what is there at all is at least two units high.
func newBar(chart hoursChart, i int, x, width float64, y func(int) float64) bar {
	row := chart.Rows[i]
	b := bar{X: decimal(x), Width: decimal(width), Link: row.Link}
	words := []string{row.Text + ":"}
	stacked := 0
	for j, state := range chart.States {
		n := row.Counts[j]
		if n == 0 {
			continue
		}
		low, high := y(stacked), y(stacked+n)
		stacked += n
		height := max(2, low-high-1.5)
		b.Parts = append(b.Parts, barPart{Class: "s-" + partClass(state), Y: decimal(low - height), Height: decimal(height)})
		words = append(words, catalog.Count(n)+" "+partWord(state)+",")
	}
	b.Words = strings.TrimSuffix(strings.Join(words, " "), ",")
	return b
}

func partClass(state string) string {
	if state == "" {
		return "unread"
	}
	return stateClass(state)
}

func partWord(state string) string {
	if state == "" {
		return "not read yet"
	}
	return state
}

// axisText is the text under a bar: the day where one begins, else the hour.
func axisText(bin catalog.Bin, width time.Duration) string {
	if width >= 24*time.Hour || bin.From.Hour() == 0 && bin.From.Minute() == 0 {
		return bin.From.Format("2 Jan")
	}
	return bin.From.Format("15:04")
}

// labelStep returns how many bars stand between two texts on the axis.
func labelStep(bars, width int) int {
	room := max(1, width/62) // texts that fit side by side
	for _, step := range []int{1, 2, 3, 4, 6, 8, 12, 24} {
		if bars <= room*step {
			return step
		}
	}
	return (bars + room - 1) / room
}

// ceiling returns the top of an axis that holds n, and the step between its lines: 1, 2
// or 5 times a power of ten, so that there are three to five lines.
func ceiling(n int) (top, step int) {
	for power := 1; ; power *= 10 {
		for _, base := range []int{1, 2, 5} {
			if step := base * power; n <= 4*step {
				return max(1, (n+step-1)/step) * step, step
			}
		}
	}
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// A durationsChart is how long the jobs of each type took.
type durationsChart struct {
	Rows         []catalog.Durations // of all types, for the table
	Finding      string
	Wide, Narrow rowPlot
	Hidden       int // types that are in the table alone
}

// A rowPlot is the geometry of one row a type: a bar up to the median, and a line from
// there to the 95th percentile.
type rowPlot struct {
	Width, Height int
	Left, Right   int
	Base          int
	Grid          []axisLabel
	Rows          []durationRow
}

type durationRow struct {
	NameX, NameY   int
	Name           string
	Count          string
	BarX, BarY     int
	BarWidth       string
	LineY          int
	P95X           string
	TextX          string
	Text           string
	BarHeight      int
	TickTop, TickB int
}

const maxTypesDrawn = 6

func newDurationsChart(all []catalog.Durations) durationsChart {
	chart := durationsChart{Rows: all, Hidden: max(0, len(all)-maxTypesDrawn), Finding: "No job in this window has a start and an end."}
	if len(all) == 0 {
		return chart
	}
	shown := all[:min(len(all), maxTypesDrawn)]
	slowest := shown[0]
	for _, d := range shown {
		if d.P95 > slowest.P95 {
			slowest = d
		}
	}
	chart.Finding = fmt.Sprintf("The slowest type is %s: half took at most %s, 95 in 100 at most %s.",
		slowest.Type, catalog.Duration(slowest.Median), catalog.Duration(slowest.P95))
	chart.Wide = newRowPlot(440, shown, slowest.P95)
	chart.Narrow = newRowPlot(328, shown, slowest.P95)
	return chart
}

// newRowPlot draws the name of a type above its bar, so that a long name costs the bar no
// room.
func newRowPlot(width int, rows []catalog.Durations, longest time.Duration) rowPlot {
	const pitch, barHeight, texts = 37, 10, 118
	plot := rowPlot{Width: width, Left: 1, Right: width - texts, Height: pitch*len(rows) + 26, Base: pitch*len(rows) + 6}
	scale := niceDuration(longest)
	x := func(d time.Duration) float64 {
		return float64(plot.Left) + float64(plot.Right-plot.Left)*d.Seconds()/scale.Seconds()
	}
	for _, part := range []time.Duration{0, scale / 2, scale} {
		plot.Grid = append(plot.Grid, axisLabel{X: int(x(part)), Y: plot.Base + 16, Text: shortDuration(part)})
	}
	for i, d := range rows {
		top := pitch*i + 4
		bar := top + 17
		plot.Rows = append(plot.Rows, durationRow{
			NameX: plot.Left, NameY: top + 11, Name: catalog.Middle(d.Type, 28),
			Count: catalog.Count(d.Count),
			BarX:  plot.Left, BarY: bar, BarHeight: barHeight, BarWidth: decimal(max(2, x(d.Median)-float64(plot.Left))),
			LineY: bar + barHeight/2, P95X: decimal(max(3, x(d.P95))), TickTop: bar, TickB: bar + barHeight,
			TextX: decimal(max(3, x(d.P95)) + 8), Text: catalog.Duration(d.Median) + " · " + catalog.Duration(d.P95),
		})
	}
	return plot
}

// niceDuration returns a round time that is not shorter than d.
func niceDuration(d time.Duration) time.Duration {
	steps := []time.Duration{
		time.Second, 2 * time.Second, 4 * time.Second, 6 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute, 6 * time.Minute, 8 * time.Minute,
		10 * time.Minute, 14 * time.Minute, 20 * time.Minute, 30 * time.Minute, 40 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	}
	for _, step := range steps {
		if d <= step {
			return step
		}
	}
	return d.Truncate(24*time.Hour) + 24*time.Hour
}

// shortDuration writes a round time for an axis.
func shortDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	case d < time.Hour:
		return strconv.FormatFloat(d.Minutes(), 'f', -1, 64) + " m"
	default:
		return strconv.FormatFloat(d.Hours(), 'f', -1, 64) + " h"
	}
}
