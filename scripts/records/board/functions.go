package board

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// functions are what templates may call beside the methods of view.
func functions(a assets) template.FuncMap {
	return template.FuncMap{
		"asset":      func(name string) template.URL { return template.URL(a.path(name)) },
		"glyph":      glyph,
		"word":       stateWord,
		"bytes":      catalog.Bytes,
		"duration":   catalog.Duration,
		"count":      catalog.Count,
		"middle":     catalog.Middle,
		"took":       took,
		"wait":       wait,
		"plural":     plural,
		"list":       func(items ...string) []string { return items },
		"join":       strings.Join,
		"hash":       catalog.ShortHash,
		"recordPath": recordPath,
		"inputKey":   inputKey,
		"args":       func(values ...any) []any { return values },
	}
}

// recordPath returns the path of the page of a record.
func recordPath(s *catalog.Summary) string { return "/" + s.Kind.Folder() + "/" + s.NameInKey() }

// inputKey returns an input for a table: its key without the bucket, which is the same
// for most, or its URL.
func inputKey(s *catalog.Summary) string {
	if strings.Contains(s.Input, "://") {
		return s.Input
	}
	if _, key, ok := strings.Cut(s.Input, "/"); ok && key != "" {
		return key
	}
	return s.Input
}

// took writes how long a job ran; a dash where its record does not say.
func took(s *catalog.Summary) string {
	if d, ok := s.Took(); ok {
		return catalog.Duration(d)
	}
	return "–"
}

// wait writes the time between two moments; a dash where one of them is not known.
func wait(from, to time.Time) string {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return "–"
	}
	return catalog.Duration(to.Sub(from))
}

// plural writes a number and the noun that goes with it.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return catalog.Count(n) + " " + many
}

// A stateStyle is how a state is shown: by a glyph, a word and a colour, so that none of
// them is needed to tell it.
type stateStyle struct {
	class string // in the style sheet
	glyph string // the inside of an SVG of 16 by 16
}

// styles are the states that have a style of their own. CI documents Submitted, Running,
// Success, Failed, Pause and Cancel; reviews have Auditing and Snapshoting besides.
// https://www.tencentcloud.com/document/product/1045/49942
var styles = map[string]stateStyle{
	"Failed":    {"failed", `<rect class="fill" x="1" y="1" width="14" height="14" rx="2"/><path class="cut" d="M5 5l6 6M11 5l-6 6"/>`},
	"Rejected":  {"rejected", `<circle class="fill" cx="8" cy="8" r="7"/><path class="cut" d="M4 8h8"/>`},
	"Pause":     {"paused", `<path class="fill" d="M3 2h4v12H3zM9 2h4v12H9z"/>`},
	"Running":   {"running", `<circle class="line" cx="8" cy="8" r="6"/><path class="fill" d="M8 2a6 6 0 0 1 0 12z"/>`},
	"Success":   {"success", `<circle class="fill" cx="8" cy="8" r="7"/><path class="cut" d="M4.5 8.2l2.4 2.5 4.6-5.2"/>`},
	"Submitted": {"submitted", `<circle class="line" cx="8" cy="8" r="6"/>`},
	"Cancel":    {"cancelled", `<circle class="line" cx="8" cy="8" r="6"/><path class="line" d="M3.8 12.2l8.4-8.4"/>`},
	"":          {"other", `<circle class="line dashed" cx="8" cy="8" r="6"/>`},
}

// styleOf returns the style of a state, whatever it is.
func styleOf(state string) stateStyle {
	if strings.EqualFold(state, "Auditing") || strings.EqualFold(state, "Snapshoting") {
		state = "Running"
	}
	if style, ok := styles[state]; ok {
		return style
	}
	return styles[""]
}

func stateClass(state string) string { return styleOf(state).class }

// stateWord returns the word for a state: CI's own.
func stateWord(state string) string {
	if state == "" {
		return "No record"
	}
	return state
}

// glyph draws a state's sign. The word beside it says the same, so it is hidden from
// those who are read to.
func glyph(state string) template.HTML {
	style := styleOf(state)
	return template.HTML(fmt.Sprintf(`<svg class="glyph s-%s" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">%s</svg>`,
		style.class, style.glyph))
}
