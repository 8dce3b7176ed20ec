package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/rivo/uniseg"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// streams are where output goes. Data goes to out; all that is said about it, progress
// too, to err.
type streams struct {
	out, err                             io.Writer
	inTerminal, outTerminal, errTerminal bool
	width                                int  // of the terminal that out is
	color                                bool // out may have colours
}

// standardStreams returns those of the process.
func standardStreams() streams {
	s := streams{
		out: os.Stdout, err: os.Stderr, width: 80,
		inTerminal: term.IsTerminal(int(os.Stdin.Fd())), outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && width > 0 {
		s.width = width
	}
	s.color = s.outTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// say prints a sentence about the data.
func (s streams) say(format string, args ...any) {
	fmt.Fprintln(s.err, printable(fmt.Sprintf(format, args...)))
}

// format is how data is printed; neither for a table.
type format struct{ json, csv bool }

// A table is data in rows. For a terminal cells are short, for everything else whole.
type table struct {
	columns []column
	rows    [][]cell
}

type column struct {
	name  string
	right bool // numbers
	least int  // to which it may be cut; 0 where it is cut only after all others
}

// A cell has a short form for people and a whole one for programs.
type cell struct{ short, whole string }

func text(s string) cell { return cell{s, s} }

// age returns the cell of a time: how long ago it was, or RFC 3339 in UTC.
func age(t, now time.Time) cell {
	if t.IsZero() {
		return cell{"–", ""}
	}
	return cell{catalog.Age(now.Sub(t)), t.UTC().Format(time.RFC3339)}
}

// print prints rows as a table, or value as JSON where that is asked for.
func (t *tool) print(rows table, value any) error {
	switch {
	case t.format.json:
		return t.printJSON(value)
	case t.format.csv:
		return t.printCSV(rows.csv())
	case t.outTerminal:
		return t.printAligned(rows)
	default:
		return t.printTabs(rows)
	}
}

// printJSON prints JSON. On a terminal, what that would act on is written as an escape: the
// JSON says the same.
func (t *tool) printJSON(value any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return err
	}
	if t.outTerminal {
		_, err := io.WriteString(t.out, escapeJSON(text.String()))
		return err
	}
	_, err := t.out.Write(text.Bytes())
	return err
}

// escapeJSON writes as \uXXXX what is not printable in a JSON text, which is in strings
// alone: encoding/json leaves DEL, U+009B and U+202E as they are.
func escapeJSON(s string) string {
	var escaped strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || isPrintable(r):
			escaped.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&escaped, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
	}
	return escaped.String()
}

// printCSV prints CSV, on a terminal without what that would act on.
func (t *tool) printCSV(cells [][]string) error {
	if t.outTerminal {
		for _, line := range cells {
			for i := range line {
				line[i] = printable(line[i])
			}
		}
	}
	return catalog.WriteCells(t.out, cells)
}

func (r table) csv() [][]string {
	header := make([]string, len(r.columns))
	for i, c := range r.columns {
		header[i] = strings.ToLower(c.name)
	}
	lines := [][]string{header}
	for _, row := range r.rows {
		line := make([]string, len(row))
		for i, c := range row {
			line[i] = c.whole
		}
		lines = append(lines, line)
	}
	return lines
}

// printTabs prints whole cells, a tab between them and no header, for other programs.
func (t *tool) printTabs(r table) error {
	for _, row := range r.rows {
		line := make([]string, len(row))
		for i, c := range row {
			line[i] = printable(c.whole)
		}
		if _, err := fmt.Fprintln(t.out, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// printAligned prints short cells under a header, cut so that a row fits the terminal.
func (t *tool) printAligned(r table) error {
	if len(r.rows) == 0 {
		return nil
	}
	lines := [][]string{{}}
	for _, c := range r.columns {
		lines[0] = append(lines[0], c.name)
	}
	for _, row := range r.rows {
		var line []string
		for _, c := range row {
			line = append(line, printable(c.short))
		}
		lines = append(lines, line)
	}
	widths := r.widths(lines, t.width)
	for i, line := range lines {
		if _, err := fmt.Fprintln(t.out, t.align(r.columns, line, widths, i == 0)); err != nil {
			return err
		}
	}
	return nil
}

const columnGap = 2

// widths returns how wide each column is: as its longest cell, or less where the whole
// would be wider than the terminal. The widest that may be cut are, to their least; where
// that is not enough, to one character; and then the others.
func (r table) widths(lines [][]string, room int) []int {
	widths := make([]int, len(r.columns))
	total := columnGap * (len(r.columns) - 1)
	for i := range r.columns {
		for _, line := range lines {
			widths[i] = max(widths[i], uniseg.StringWidth(line[i]))
		}
		total += widths[i]
	}
	for _, mayBeCut := range []func(c column, width int) bool{
		func(c column, width int) bool { return c.least > 0 && width > c.least },
		func(c column, width int) bool { return c.least > 0 && width > 1 },
		func(c column, width int) bool { return width > 1 },
	} {
		for total > room {
			widest := -1
			for i, c := range r.columns {
				if mayBeCut(c, widths[i]) && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
			total--
		}
	}
	return widths
}

func (t *tool) align(columns []column, cells []string, widths []int, header bool) string {
	var line strings.Builder
	for i, c := range cells {
		c = cutMiddle(c, widths[i])
		space := strings.Repeat(" ", max(0, widths[i]-uniseg.StringWidth(c)))
		if t.color {
			c = colored(columns[i].name, c, header)
		}
		if i > 0 {
			line.WriteString(strings.Repeat(" ", columnGap))
		}
		if columns[i].right {
			line.WriteString(space + c)
		} else {
			line.WriteString(c + space)
		}
	}
	return strings.TrimRight(line.String(), " ")
}

// colored puts the terminal's own colours around a cell. The word says the same.
func colored(column, cell string, header bool) string {
	const bold, dim, red, green, yellow, blue, end = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[0m"
	if header {
		return bold + cell + end
	}
	if column != "STATE" && column != "VERDICT" && column != "OUTCOME" && column != "CI" {
		return cell
	}
	switch cell {
	case "Failed", "differs", "unknown", "failed", "unreadable":
		return red + cell + end
	case "Success", "confirmed", "created", "tagged":
		return green + cell + end
	case "Pause", "repaired", "replaced", "skipped":
		return yellow + cell + end
	case "Running", "Submitted":
		return blue + cell + end
	case "Cancel", "duplicate", "unchanged":
		return dim + cell + end
	}
	return cell
}

// cutMiddle shortens a text to a width in columns of a terminal.
func cutMiddle(s string, width int) string {
	for n := width; uniseg.StringWidth(s) > width && n > 0; n-- {
		s = catalog.Middle(s, n)
	}
	return s
}

// printable replaces what a terminal would act on instead of showing it, and what would
// tear a row apart: what is printed was written by strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !isPrintable(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// isPrintable reports whether a terminal shows a character, a space among them.
func isPrintable(r rune) bool { return unicode.IsPrint(r) || r == '\u00a0' || r == '\u3000' }

// progress shows on a terminal how far something is. Elsewhere it is silent.
type progress struct{ bar *progressbar.ProgressBar }

// progress returns one for a total, -1 where it is not known.
func (s streams) progress(what string, total int) progress {
	if !s.errTerminal {
		return progress{}
	}
	return progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(s.err), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(total > 0),
		// Where the total is not known, a goroutine of the library's would turn the spinner,
		// and read without a lock what is written here.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)}
}

func (p progress) set(n int) {
	if p.bar != nil {
		p.bar.Set(n)
	}
}

// describe shows other words.
func (p progress) describe(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// end takes the progress off the screen.
func (p progress) end() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar.Clear()
	}
}
