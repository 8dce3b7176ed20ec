package ci

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// An Answer is what all answers of CI have in common. It may hold megabytes: call Close as
// soon as it is used.
type Answer struct {
	RequestID string    // CI's id of the request, for a ticket
	Date      time.Time // when CI answered, by its own clock; zero where it does not say
	NextToken string    // asks for the next page; empty where this is the last one

	body     []byte
	elements []element
	release  func() // ends the turn of a large answer; nil for others
}

// Close lets go of the answer, so that another large one may be read. The elements that it
// returned must not be used any more. It may be called more than once.
func (a *Answer) Close() {
	a.body, a.elements = nil, nil
	if a.release != nil {
		a.release()
		a.release = nil
	}
}

// IsLarge reports whether other large answers wait until this one is closed.
func (a *Answer) IsLarge() bool { return a.release != nil }

// parse takes the answer apart. What is not a Response is not CI's.
func (a *Answer) parse() error {
	root, elements, err := splitElements(a.body)
	if err != nil {
		return fmt.Errorf("%w: %w", cosclient.ErrNotFromService, err)
	}
	if root != "Response" {
		return fmt.Errorf("%w: its root is not Response", cosclient.ErrNotFromService)
	}
	a.elements = elements
	a.NextToken = a.text("NextToken")
	return nil
}

// named returns the elements of that name, as CI wrote them.
func (a *Answer) named(name string) [][]byte {
	var found [][]byte
	for _, e := range a.elements {
		if e.name == name {
			found = append(found, e.raw)
		}
	}
	return found
}

// text returns the text of the first element of that name, without white space around it.
func (a *Answer) text(name string) string {
	for _, e := range a.elements {
		if e.name == name {
			return e.text()
		}
	}
	return ""
}

// texts returns the texts of all elements of that name. CI's pages show a list both as
// elements that repeat and as one with commas.
func (a *Answer) texts(name string) []string {
	var found []string
	for _, raw := range a.named(name) {
		for part := range strings.SplitSeq((element{raw: raw}).text(), ",") {
			if part = strings.TrimSpace(part); part != "" {
				found = append(found, part)
			}
		}
	}
	return found
}

// An element is a child of an answer's root.
type element struct {
	name string
	raw  []byte // from its < to its >
}

// text returns the element's text, or "" where it is not well formed.
func (e element) text() string {
	var text string
	if xml.Unmarshal(e.raw, &text) != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// maxElements is how many children the root of an answer may have. A page has a hundred
// jobs, and a few more elements.
const maxElements = 1_000

// splitElements returns the name of a document's root and the root's children. It looks
// at nothing but the tags' nesting, which takes no memory and little time: whoever reads a
// child checks the rest.
//
//	<Response><JobsDetail>…</JobsDetail><NextToken/></Response>  →  Response, [JobsDetail, NextToken]
//	<Response/>                                                  →  Response, []
//	<html><br></html>                                            →  an error: not balanced
func splitElements(document []byte) (root string, children []element, err error) {
	s := scanner{rest: bytes.TrimPrefix(document, []byte("\ufeff"))}
	s.document = s.rest
	depth, start, name := 0, 0, ""
	for {
		tag, ok := s.next()
		switch {
		case s.err != nil:
			return "", nil, s.err
		case !ok && (depth > 0 || root == ""):
			return "", nil, errors.New("it ends within an element, or has none")
		case !ok:
			return root, children, nil
		case depth == 0 && (tag.kind == closing || root != ""):
			return "", nil, errors.New("it has more than one root")
		case depth == 0:
			root = string(tag.name)
		case depth == 1 && tag.kind != closing:
			start, name = tag.start, string(tag.name)
		}
		switch tag.kind {
		case opening:
			depth++
		case closing:
			depth--
		}
		if tag.kind == closing && (depth == 0 && string(tag.name) != root || depth == 1 && string(tag.name) != name) {
			return "", nil, errors.New("its tags do not match")
		}
		if depth == 1 && tag.kind != opening {
			if len(children) == maxElements {
				return "", nil, fmt.Errorf("it has more than %d elements", maxElements)
			}
			children = append(children, element{name, s.document[start:tag.end]})
		}
		s.inside = depth > 0
	}
}

// tagKind is what a tag does to the nesting.
type tagKind uint8

const (
	opening     tagKind = iota // <a>
	closing                    // </a>
	selfClosing                // <a/>
)

// A tag is one tag of a document, and where it stands.
type tag struct {
	kind       tagKind
	name       []byte
	start, end int
}

// A scanner finds the tags of a document, and passes over everything else.
type scanner struct {
	document []byte
	rest     []byte // what is still to be read
	inside   bool   // of the root: text may stand here
	err      error
}

// next returns the next tag, and whether there is one.
func (s *scanner) next() (tag, bool) {
	for {
		i := bytes.IndexByte(s.rest, '<')
		if i < 0 {
			i = len(s.rest)
		}
		if text := s.rest[:i]; !s.inside && len(bytes.TrimSpace(text)) > 0 {
			return s.fail("it has text outside of its root")
		}
		if s.rest = s.rest[i:]; len(s.rest) == 0 {
			return tag{}, false
		}
		switch {
		case bytes.HasPrefix(s.rest, []byte("<!--")):
			s.pass("<!--", "-->")
		case s.inside && bytes.HasPrefix(s.rest, []byte("<![CDATA[")):
			s.pass("<![CDATA[", "]]>")
		case bytes.HasPrefix(s.rest, []byte("<?")):
			s.declaration()
		case bytes.HasPrefix(s.rest, []byte("<!")):
			return s.fail("it has a DOCTYPE")
		default:
			return s.tag()
		}
		if s.err != nil {
			return tag{}, false
		}
	}
}

func (s *scanner) fail(reason string) (tag, bool) {
	s.err = errors.New(reason)
	return tag{}, false
}

// pass skips what begins with one mark, up to and with another, and returns it.
func (s *scanner) pass(from, to string) []byte {
	end := bytes.Index(s.rest[len(from):], []byte(to))
	if end < 0 {
		s.fail("it ends within " + from)
		return nil
	}
	end += len(from) + len(to)
	passed := s.rest[:end]
	s.rest = s.rest[end:]
	return passed
}

// declaration passes over <?xml …?>. Elements are read without it, as UTF-8.
func (s *scanner) declaration() {
	text := strings.ToLower(string(s.pass("<?", "?>")))
	if _, encoding, ok := strings.Cut(text, "encoding"); ok && !strings.Contains(encoding, "utf-8") {
		s.fail("it is not UTF-8")
	}
}

// tag reads one tag. A > within an attribute's value does not end it.
func (s *scanner) tag() (tag, bool) {
	start := len(s.document) - len(s.rest)
	end, quote := 1, byte(0)
	for ; ; end++ {
		if end == len(s.rest) {
			return s.fail("it ends within a tag")
		}
		switch c := s.rest[end]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case c == '"' || c == '\'':
			quote = c
			continue
		case c == '<':
			return s.fail("it has a < within a tag")
		case c != '>':
			continue
		}
		break
	}
	text := s.rest[1:end] // between < and >
	s.rest = s.rest[end+1:]
	t := tag{kind: opening, start: start, end: start + end + 1}
	switch {
	case bytes.HasPrefix(text, []byte("/")):
		t.kind, text = closing, text[1:]
	case bytes.HasSuffix(text, []byte("/")):
		t.kind, text = selfClosing, text[:len(text)-1]
	}
	if i := bytes.IndexAny(text, " \t\r\n"); i >= 0 {
		text = text[:i]
	}
	if len(text) == 0 {
		return s.fail("it has a tag without a name")
	}
	t.name = text
	return t, true
}

// ChildText returns the text of an element's first child of that name, or "". It does not
// read the rest of the element, so that it is quick, and finds what it can also in one that
// a reader would refuse.
func ChildText(of []byte, name string) string {
	s, depth, start := scanner{document: of, rest: of, inside: true}, 0, 0
	for {
		tag, ok := s.next()
		switch {
		case !ok:
			return ""
		case tag.kind == selfClosing:
		case tag.kind == closing:
			if depth--; depth == 1 && start > 0 {
				return element{raw: of[start:tag.end]}.text()
			}
		default:
			if depth++; depth == 2 && string(tag.name) == name && start == 0 {
				start = tag.start
			}
		}
	}
}
