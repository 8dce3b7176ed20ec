package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/internal/printable"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// verdict is the outcome of a check.
type verdict string

const (
	verdictOK      verdict = "ok"
	verdictWarning verdict = "warning" // it works, but an operator should know
	verdictFailed  verdict = "failed"
	verdictSkipped verdict = "skipped" // it could not be asked, because an earlier check failed
)

// finding is what a check found, in words for people.
type finding struct {
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Remedy  string  `json:"remedy"` // what to do; "" where there is nothing to do
}

func pass(detail string) finding               { return finding{verdictOK, detail, ""} }
func passf(format string, args ...any) finding { return pass(fmt.Sprintf(format, args...)) }
func warn(detail, remedy string) finding       { return finding{verdictWarning, detail, remedy} }
func fail(detail, remedy string) finding       { return finding{verdictFailed, detail, remedy} }
func skip(detail string) finding               { return finding{verdictSkipped, detail, ""} }

// noAnswer returns the finding for an error of package wire.
func noAnswer(err error) finding {
	e := wire.Explain(err)
	return fail(e.Problem, e.Remedy)
}

// blocks reports whether checks that build on this one are pointless.
func (f finding) blocks() bool { return f.Verdict == verdictFailed || f.Verdict == verdictSkipped }

// check is one line of the report.
type check struct {
	Name string `json:"name"`
	finding
	Milliseconds float64 `json:"milliseconds"`
}

// report is the JSON document.
type report struct {
	Checks []check `json:"checks"`
	OK     bool    `json:"ok"`
}

// doctor is one run of the command.
type doctor struct {
	options
	world
	settings settings
	random   string // part of the names of what is written, so that two runs do not meet
	report   report
	began    time.Time
}

func newDoctor(o options, w world) *doctor {
	return &doctor{
		options: o, world: w, settings: readSettings(w.environ), random: strings.ToLower(rand.Text()),
		report: report{Checks: []check{}, OK: true}, began: time.Now(),
	}
}

// runChecks makes all the checks, in the order in which one builds on another.
func (d *doctor) runChecks(ctx context.Context) {
	d.checkSettings(ctx)
	d.checkRecords(ctx)
	d.checkMedia(ctx)
	d.checkReconcile(ctx)
	d.checkFunction(ctx)
}

// check makes one check and adds it to the report, as skipped where one of those that it
// needs did not go well.
func (d *doctor) check(ctx context.Context, name string, needs []string, examine func(context.Context) finding) finding {
	began := time.Now()
	f, unmet := d.firstUnmet(needs)
	if !unmet {
		f = examine(ctx)
	}
	name, f.Detail, f.Remedy = d.clean(name), d.clean(f.Detail), d.clean(f.Remedy)
	took := float64(time.Since(began).Microseconds()) / 1000
	d.report.Checks = append(d.report.Checks, check{Name: name, finding: f, Milliseconds: took})
	d.report.OK = d.report.OK && f.Verdict != verdictFailed
	return f
}

// firstUnmet returns the finding of a check that cannot be made, because one of those
// that it needs did not go well.
func (d *doctor) firstUnmet(needs []string) (finding, bool) {
	for _, c := range d.report.Checks {
		if slices.Contains(needs, c.Name) && c.blocks() {
			return skip("because of " + c.Name), true
		}
	}
	return finding{}, false
}

// verdictOf returns the verdict of a check, or "" where it was not made.
func (d *doctor) verdictOf(name string) verdict {
	for _, c := range d.report.Checks {
		if c.Name == name {
			return c.Verdict
		}
	}
	return ""
}

// maxText is how long a text of the report can be. It is more than the variables of a
// function may hold.
const maxText = 16 << 10

// clean takes out of a text what must not be printed: the secrets, and the control
// characters of what other servers say, which could write lines of their own.
func (d *doctor) clean(text string) string { return printable.Text(d.redact(text), maxText) }

// redact takes the secrets out of a text. Nothing here prints one on purpose, but what
// libraries and other servers say is not ours.
func (d *doctor) redact(text string) string {
	for _, secret := range d.settings.secrets() {
		text = strings.ReplaceAll(text, secret, "***")
		text = strings.ReplaceAll(text, url.QueryEscape(secret), "***")
	}
	return text
}

// print writes the report and returns the exit status.
func (d *doctor) print() int {
	if d.json {
		printJSON(d.out, d.report)
	} else {
		d.printLines()
	}
	if d.report.OK {
		return exitOK
	}
	return exitFailed
}

func (d *doctor) printLines() {
	width := 0
	for _, c := range d.report.Checks {
		width = max(width, len(c.Name))
	}
	count := map[verdict]int{}
	for _, c := range d.report.Checks {
		count[c.Verdict]++
		shown := string(c.Verdict)
		if c.Verdict == verdictFailed {
			shown = "FAILED" // to be seen among many lines
		}
		fmt.Fprintf(d.out, "%-8s %-*s  %s\n", shown, width, c.Name, c.Detail)
		if c.Remedy != "" {
			fmt.Fprintf(d.out, "%-8s %-*s  -> %s\n", "", width, "", c.Remedy)
		}
	}
	plural := "s"
	if count[verdictWarning] == 1 {
		plural = ""
	}
	fmt.Fprintf(d.out, "\n%d ok, %d warning%s, %d failed, %d skipped, in %.1f s\n", count[verdictOK], count[verdictWarning], plural,
		count[verdictFailed], count[verdictSkipped], time.Since(d.began).Seconds())
}

// printJSON writes a document for programs and people alike.
func printJSON(w io.Writer, document any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(document) // a reader that has gone away needs no message
}

// probePrefix is what the keys of all objects that the doctor writes begin with.
func (d *doctor) probePrefix() string {
	return d.settings.config.RecordPrefix + "doctor/"
}
