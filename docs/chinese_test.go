package docs_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// translations are the pages that there are in Chinese, each beside its English original.
var translations = map[string]string{
	"README.md":         "README.zh-CN.md",
	"docs/deploying.md": "docs/zh-CN/deploying.md",
}

// TestChineseSaysTheSame holds what must not differ between languages: the variables,
// statuses, outcomes, paths and commands that stand as code, the blocks of code, and the
// tables' and lists' shape.
func TestChineseSaysTheSame(t *testing.T) {
	t.Parallel()
	for english, chinese := range translations {
		original, translated := read(t, filepath.Join(root, english)), read(t, filepath.Join(root, chinese))
		for what, of := range map[string]func(string) []string{
			"code spans": codeSpans, "blocks of code": codeBlocks, "tables": tableShapes, "sections": sectionShapes, "pages linked": linkedPages,
		} {
			if diff := cmp.Diff(of(original), of(translated)); diff != "" {
				t.Errorf("%s in %s and in %s (-english +chinese):\n%s", what, english, chinese, diff)
			}
		}
	}
}

// codeSpans returns what stands as code in the prose and tables of a page, sorted, each
// once.
func codeSpans(content string) []string {
	found := map[string]bool{}
	for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(parsePage("", content).text(), -1) {
		found[strings.Join(strings.Fields(span[1]), " ")] = true // it may be broken between two lines
	}
	return slices.Sorted(maps.Keys(found))
}

// codeBlocks returns the blocks of code of a page without the comments in them. Pictures,
// which have words in them, are left out.
func codeBlocks(content string) []string {
	var blocks []string
	comment := regexp.MustCompile(`(?m)[ \t]+# .*$`)
	for _, block := range parsePage("", content).blocks {
		if !strings.Contains(block, "▶") {
			blocks = append(blocks, strings.TrimSpace(comment.ReplaceAllString(block, ""))+"\n")
		}
	}
	return blocks
}

// tableShapes returns for each row of the tables of a page what must be the same in every
// language: how many cells it has, and the code and the numbers in each.
func tableShapes(content string) []string {
	var rows []string
	for _, l := range parsePage("", content).prose {
		if !strings.HasPrefix(l.text, "|") {
			continue
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(l.text, "|"), "|") {
			same := regexp.MustCompile("`[^`]+`|[0-9]+").FindAllString(withoutLinks(cell), -1)
			slices.Sort(same)
			cells = append(cells, strings.Join(same, " "))
		}
		rows = append(rows, strings.Join(cells, " | "))
	}
	return rows
}

// sectionShapes returns the level of each heading of a page, with the number of entries
// of the lists below it.
func sectionShapes(content string) []string {
	shapes := []string{""}
	for _, l := range parsePage("", content).prose {
		switch {
		case strings.HasPrefix(l.text, "#"):
			shapes = append(shapes, strings.TrimRight(l.text[:strings.Index(l.text, " ")], " "))
		case regexp.MustCompile(`^ *(-|\d+\.) `).MatchString(l.text):
			shapes[len(shapes)-1] += " -"
		}
	}
	return shapes
}

// linkedPages returns the pages that a page links, sorted, each once: an English page for
// a Chinese one, and neither the READMEs, which link each other, nor pages elsewhere,
// which have languages of their own, nor the line on top that links the other language.
func linkedPages(content string) []string {
	found := map[string]bool{}
	content = regexp.MustCompile(`(?m)^\[(English|简体中文)\].*$`).ReplaceAllString(content, "")
	for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(content, -1) {
		target := strings.TrimPrefix(link[1], "../")
		target, _, _ = strings.Cut(target, "#")
		target = strings.Replace(strings.TrimPrefix(target, "../"), "zh-CN/", "", 1)
		if target != "" && !strings.HasPrefix(filepath.Base(target), "README") && !strings.HasPrefix(target, "https:") {
			found[strings.TrimPrefix(target, "docs/")] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TestChinesePunctuation wants the full-width marks between Chinese characters.
func TestChinesePunctuation(t *testing.T) {
	t.Parallel()
	halfWidth := regexp.MustCompile(`\p{Han}[,;:?!]|[,;:?!]\p{Han}|\p{Han}\(|\)\p{Han}`)
	for _, path := range translations {
		for _, l := range parsePage(path, read(t, filepath.Join(root, path))).prose {
			text := regexp.MustCompile("`[^`]*`").ReplaceAllString(withoutLinks(l.text), "")
			if mark := halfWidth.FindString(text); mark != "" {
				t.Errorf("%s:%d has a half-width mark in %q", path, l.number, mark)
			}
		}
	}
}
