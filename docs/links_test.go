// Package docs_test holds the documents against each other and against the code: their
// links, the commands that they show, and the Chinese pages beside the English ones.
package docs_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// root is the repository, from this folder.
const root = ".."

// page is a Markdown document.
type page struct {
	path    string   // in the repository, with slashes
	prose   []line   // what is not in a block of code
	blocks  []string // of code, each without its fences
	anchors []string
}

// line is one line of a page and where it stands.
type line struct {
	number int
	text   string
}

// pages are all Markdown documents of the repository, by path.
func pages(t *testing.T) map[string]page {
	t.Helper()
	found := map[string]page{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", ".local", ".terraform", "dist", "node_modules"}, entry.Name()) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			p := parsePage(filepath.ToSlash(relative), read(t, path))
			found[p.path] = p
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("only %d pages", len(found))
	}
	return found
}

// parsePage tells prose from code: what is between fences, and what is indented by four
// blanks after an empty line, outside of lists.
func parsePage(path, content string) page {
	p := page{path: path}
	fenced, indented, inList := false, false, false
	previous := ""
	for i, text := range strings.Split(content, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(text), "```")
		opens := strings.HasPrefix(text, "    ") && previous == "" && !inList
		switch {
		case fence:
			if fenced = !fenced; fenced {
				p.blocks = append(p.blocks, "")
			}
		case fenced:
			p.blocks[len(p.blocks)-1] += text + "\n"
		case indented && (text == "" || strings.HasPrefix(text, "    ")), opens:
			if !indented {
				p.blocks = append(p.blocks, "")
			}
			indented = true
			p.blocks[len(p.blocks)-1] += strings.TrimPrefix(text, "    ") + "\n"
		default:
			indented = false
			p.addProse(line{i + 1, text})
			if text != "" && text[0] != ' ' {
				inList = regexp.MustCompile(`^(-|\d+\.) `).MatchString(text)
			}
		}
		previous = strings.TrimSpace(text)
	}
	return p
}

func (p *page) addProse(l line) {
	if strings.HasPrefix(l.text, "#") {
		p.anchors = append(p.anchors, p.anchorOf(strings.TrimSpace(strings.TrimLeft(l.text, "#"))))
	}
	p.prose = append(p.prose, l)
}

// text returns the prose of a page in one piece.
func (p page) text() string {
	var joined strings.Builder
	for _, l := range p.prose {
		joined.WriteString(l.text + "\n")
	}
	return joined.String()
}

// anchorOf returns the anchor that the host makes of a heading: its letters and digits in
// small letters, blanks as hyphens, and a number behind the second of the same.
func (p page) anchorOf(heading string) string {
	var made strings.Builder
	for _, r := range strings.ToLower(withoutLinks(heading)) {
		switch {
		case r == ' ':
			made.WriteRune('-')
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			made.WriteRune(r)
		}
	}
	anchor := made.String()
	for n := 1; slices.Contains(p.anchors, anchor); n++ {
		anchor = fmt.Sprintf("%s-%d", made.String(), n)
	}
	return anchor
}

// withoutLinks takes the addresses out of a text.
func withoutLinks(text string) string {
	return regexp.MustCompile(`\]\([^)\s]*\)`).ReplaceAllString(text, "]")
}

// TestLinks follows every link of every page that stays within the repository, to the
// heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("`[^`]*`")
	followed := 0
	for _, p := range all {
		for _, l := range p.prose {
			for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(l.text, ""), -1) {
				if problem := follow(all, p.path, found[1]); problem != "" {
					t.Errorf("%s:%d: %s: %s", p.path, l.number, found[1], problem)
				}
				followed++
			}
		}
	}
	if followed < 50 {
		t.Errorf("only %d links", followed)
	}
}

// follow says what is wrong with a link on a page; "" means that there is something at
// its end.
func follow(all map[string]page, from, link string) string {
	address, err := url.Parse(link)
	switch {
	case err != nil:
		return err.Error()
	case address.Scheme == "https" && address.Host != "":
		return "" // not followed: tests ask nobody
	case address.Scheme != "" || strings.HasPrefix(address.Path, "/"):
		return "neither https nor relative"
	}
	target := from
	if address.Path != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(from), address.Path))
	}
	if _, err := os.Stat(filepath.Join(root, target)); err != nil || strings.HasPrefix(target, "..") {
		return "nothing there"
	}
	if address.Fragment != "" && !slices.Contains(all[target].anchors, address.Fragment) {
		return "no such heading"
	}
	return ""
}

func TestFollow(t *testing.T) {
	t.Parallel()
	all := map[string]page{"docs/security.md": parsePage("docs/security.md", "# The role\n\n## The `role`, again\n\n# The role\n\n```\n# not a heading\n```\n")}
	for link, want := range map[string]string{
		"security.md": "", "security.md#the-role": "", "#the-role-again": "", "#the-role-1": "", "../README.md": "", "../function": "",
		"https://example.com/x": "", "#not-a-heading": "no such heading", "security.md#roles": "no such heading",
		"nothing.md": "nothing there", "../../README.md": "nothing there", "http://example.com/": "neither https nor relative",
		"/docs/security.md": "neither https nor relative",
	} {
		if got := follow(all, "docs/security.md", link); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}

// maxColumns is how wide prose may be.
const maxColumns = 120

// TestProseWidth wants prose to fit a screen. Tables and lines that are one long link
// cannot be broken.
func TestProseWidth(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, l := range p.prose {
			if utf8.RuneCountInString(l.text) > maxColumns && !strings.HasPrefix(l.text, "|") && !strings.HasPrefix(l.text, "[") {
				t.Errorf("%s:%d has %d columns, at most %d", p.path, l.number, utf8.RuneCountInString(l.text), maxColumns)
			}
		}
	}
}

// maxCell is how long a table's cell may be, in characters, its links' addresses not
// counted: what is longer is a paragraph.
const maxCell = 170

func TestNoTableCellIsAParagraph(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, l := range p.prose {
			if !strings.HasPrefix(l.text, "|") {
				continue
			}
			for _, cell := range strings.Split(withoutLinks(l.text), "|") {
				if length := utf8.RuneCountInString(strings.TrimSpace(cell)); length > maxCell {
					t.Errorf("%s:%d has a cell of %d characters, at most %d", p.path, l.number, length, maxCell)
				}
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
