package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// A Filter says which records are wanted. Empty fields let everything pass. Its names
// are those of the command line's flags and of the board's URLs.
type Filter struct {
	Kind    string // job, workflow or review
	State   string // such as Failed; any case
	Type    string // such as Transcode; any case
	Verdict string // normal, violation or suspected
	Code    string // the error code
	Input   string // a prefix of bucket/key, or of the key alone
	Since   string // 24h, 7d, RFC 3339, a date, or all
	Until   string // the same forms
}

// Kinds returns the kinds that may pass. Its error says what is wrong with Kind.
func (f Filter) Kinds() ([]model.Kind, error) {
	if f.Kind == "" {
		return model.Kinds(), nil
	}
	kind := model.Kind(strings.ToLower(f.Kind))
	if !slices.Contains(model.Kinds(), kind) {
		return nil, fmt.Errorf("kind %.40q is none of job, workflow, review", f.Kind)
	}
	return []model.Kind{kind}, nil
}

// CheckVerdict returns what is wrong with Verdict.
func (f Filter) CheckVerdict() error {
	verdicts := []model.Verdict{"", model.VerdictNormal, model.VerdictViolation, model.VerdictSuspected}
	if !slices.Contains(verdicts, model.Verdict(strings.ToLower(f.Verdict))) {
		return fmt.Errorf("verdict %.40q is none of normal, violation, suspected", f.Verdict)
	}
	return nil
}

// Window returns the times that Since and Until stand for, counted from now: at or after
// since, and before until, which is zero where there is no end.
func (f Filter) Window(now time.Time) (since, until time.Time, err error) {
	if since, err = ParseMoment(f.Since, now); err != nil {
		return since, until, fmt.Errorf("since: %w", err)
	}
	if until, err = ParseMoment(f.Until, now); err != nil {
		return since, until, fmt.Errorf("until: %w", err)
	}
	return since, until, nil
}

// ByContent reports whether a record has to be read to know whether it passes: the kind
// and the time are in the listing.
func (f Filter) ByContent() bool {
	return f.State != "" || f.Type != "" || f.Verdict != "" || f.Code != "" || f.Input != ""
}

// Match reports whether a record passes, by what is in it. What is no record passes
// where nothing of its content is asked for.
func (f Filter) Match(s *Summary) bool {
	return sameWord(f.State, s.State) && sameWord(f.Type, s.Type) && sameWord(f.Verdict, s.Verdict) &&
		(f.Code == "" || f.Code == s.Code) && matchInput(f.Input, s.Input)
}

func sameWord(want, got string) bool { return want == "" || strings.EqualFold(want, got) }

// matchInput compares a prefix with bucket/key, and with the key alone.
func matchInput(prefix, input string) bool {
	if prefix == "" || strings.HasPrefix(input, prefix) {
		return true
	}
	_, key, _ := strings.Cut(input, "/")
	return strings.HasPrefix(key, strings.TrimPrefix(prefix, "/"))
}

// ParseMoment reads a moment in one of these forms:
//
//	24h, 90m, 7d                so long before now
//	2026-11-27T19:00:00+08:00   RFC 3339
//	2026-11-27                  the start of that day, in now's zone
//	all, or nothing             the zero time
func ParseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "all" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 3650 {
			return now.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%.40q is no moment: write 24h, 7d, 2006-01-02, 2006-01-02T15:04:05Z or all", text)
}
