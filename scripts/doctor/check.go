package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// verdict is what a check comes to.
type verdict string

const (
	ok      verdict = "ok"
	warning verdict = "warning" // works, but an operator should know
	failed  verdict = "failed"
	skipped verdict = "skipped" // could not be asked, because an earlier check failed
)

// finding is what a check found, in words for people.
type finding struct {
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Remedy  string  `json:"remedy"` // what to do; "" where there is nothing to do
}

func well(detail string) finding               { return finding{ok, detail, ""} }
func warn(detail, remedy string) finding       { return finding{warning, detail, remedy} }
func fail(detail, remedy string) finding       { return finding{failed, detail, remedy} }
func skip(detail string) finding               { return finding{skipped, detail, ""} }
func (f finding) stops() bool                  { return f.Verdict == failed || f.Verdict == skipped }
func wellf(format string, args ...any) finding { return well(fmt.Sprintf(format, args...)) }

// check is one line of the report.
type check struct {
	Name string `json:"name"`
	finding
	Milliseconds float64 `json:"milliseconds"`
}

// report is the JSON document.
type report struct {
	Checks []check       `json:"checks"`
	Survey []observation `json:"survey,omitempty"`
	OK     bool          `json:"ok"`
}

// doctor is one run.
type doctor struct {
	options
	world
	settings settings
	random   string // in the names of what is written, so that runs do not meet
	report   report
	began    time.Time
}

func newDoctor(o options, w world) *doctor {
	return &doctor{
		options: o, world: w, settings: readSettings(w.environ), random: strings.ToLower(rand.Text()),
		report: report{Checks: []check{}, OK: true}, began: time.Now(),
	}
}

// examine makes all the checks, in the order in which one builds on another.
func (d *doctor) examine(ctx context.Context) {
	d.checkSettings(ctx)
	d.checkRecords(ctx)
	d.checkMedia(ctx)
	d.checkFunction(ctx)
}

// check makes a check, unless one of those it needs did not go well.
func (d *doctor) check(ctx context.Context, name string, needs []string, look func(context.Context) finding) finding {
	began := time.Now()
	f, missing := d.missing(needs)
	if !missing {
		f = look(ctx)
	}
	f.Detail, f.Remedy = d.hide(f.Detail), d.hide(f.Remedy)
	took := float64(time.Since(began).Microseconds()) / 1000
	d.report.Checks = append(d.report.Checks, check{Name: name, finding: f, Milliseconds: took})
	d.report.OK = d.report.OK && f.Verdict != failed
	return f
}

// missing finds the first needed check that did not go well.
func (d *doctor) missing(needs []string) (finding, bool) {
	for _, c := range d.report.Checks {
		if slices.Contains(needs, c.Name) && c.stops() {
			return skip("because of " + c.Name), true
		}
	}
	return finding{}, false
}

// verdictOf gives the verdict of a check that was made, else "".
func (d *doctor) verdictOf(name string) verdict {
	for _, c := range d.report.Checks {
		if c.Name == name {
			return c.Verdict
		}
	}
	return ""
}

// hide takes the secrets out of a text. Nothing here prints one on purpose; what comes
// from libraries and from the other side is not ours.
func (d *doctor) hide(text string) string {
	for _, secret := range d.settings.secrets() {
		text = strings.ReplaceAll(text, secret, "***")
		text = strings.ReplaceAll(text, url.QueryEscape(secret), "***")
	}
	return text
}

// print writes the report and gives the exit status.
func (d *doctor) print() int {
	if d.json {
		e := json.NewEncoder(d.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(d.report) // there is nobody left to tell
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
		if c.Verdict == failed {
			shown = "FAILED"
		}
		fmt.Fprintf(d.out, "%-8s %-*s  %s\n", shown, width, c.Name, c.Detail)
		if c.Remedy != "" {
			fmt.Fprintf(d.out, "%-8s %-*s  -> %s\n", "", width, "", c.Remedy)
		}
	}
	d.printSurvey()
	plural := "s"
	if count[warning] == 1 {
		plural = ""
	}
	fmt.Fprintf(d.out, "\n%d ok, %d warning%s, %d failed, %d skipped, in %.1f s\n",
		count[ok], count[warning], plural, count[failed], count[skipped], time.Since(d.began).Seconds())
}

// probePrefix is what the keys of everything that is written begin with.
func (d *doctor) probePrefix() string {
	return d.settings.config.RecordPrefix + "doctor/"
}

// environment reads NAME=value pairs as the function's invocation would bring them.
func environment(environ []string) config.Environment {
	e := config.Environment{Process: map[string]string{}, Invocation: map[string]string{}}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		e.Process[name] = value
	}
	for _, name := range credentialVariables {
		if value := e.Process[name]; value != "" {
			e.Invocation[name] = value
		}
	}
	// As scripts/deploy.sh has it: the records are where the function is, unless RECORD_REGION says otherwise.
	e.Region = e.Process["FUNCTION_REGION"]
	return e
}
