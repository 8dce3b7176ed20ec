package catalog

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A Group is failures that have one cause, as far as code and message tell.
type Group struct {
	Code    string
	Message string // its shape: see MessageShape
	Count   int
	Types   []string // of the jobs, sorted
	First   time.Time
	Newest  *Summary
}

// Groups puts the failed among summaries, which are the newest first, into groups: the
// greatest first.
func Groups(summaries []*Summary) []Group {
	index := map[[2]string]*Group{}
	var groups []*Group
	for _, s := range summaries {
		if s == nil || s.State != "Failed" {
			continue
		}
		key := [2]string{s.Code, MessageShape(s.Message)}
		g := index[key]
		if g == nil {
			g = &Group{Code: key[0], Message: key[1], Newest: s}
			index[key] = g
			groups = append(groups, g)
		}
		g.add(s)
	}
	slices.SortStableFunc(groups, func(a, b *Group) int { return cmp.Compare(b.Count, a.Count) })
	result := make([]Group, len(groups))
	for i, g := range groups {
		result[i] = *g
	}
	return result
}

func (g *Group) add(s *Summary) {
	g.Count++
	if g.First.IsZero() || s.Recorded.Before(g.First) {
		g.First = s.Recorded
	}
	if i, found := slices.BinarySearch(g.Types, s.Type); !found && s.Type != "" {
		g.Types = slices.Insert(g.Types, i, s.Type)
	}
}

// MessageShape replaces by … what differs between two messages of one cause: words with
// a digit in them, such as sizes and ids, words with a slash, such as keys and URLs, and
// what stands in quotation marks.
func MessageShape(message string) string {
	var words []string
	quoted := false
	for _, word := range strings.Fields(message) {
		opens := strings.Count(word, `"`)%2 == 1
		if quoted || opens || strings.Contains(word, `"`) || varies(word) {
			word = "…"
		}
		if opens {
			quoted = !quoted
		}
		if len(words) > 0 && word == "…" && words[len(words)-1] == "…" {
			continue
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func varies(word string) bool {
	return strings.ContainsRune(word, '/') || strings.ContainsFunc(word, unicode.IsDigit)
}
