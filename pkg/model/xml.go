package model

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// textName names the text of an XML element that has child elements as well.
// CI writes no such thing, but nothing that is written gets lost.
const textName = "#text"

// xmlReader reads an XML body into a tree. It reads raw tokens: names stay as
// written, and a token's place in the body is known, so that names and most
// texts are parts of the body rather than copies.
type xmlReader struct {
	body     string
	dec      *xml.Decoder
	arena    arena
	stack    []frame // open elements; stack[0] stands for the whole document
	text     textRun
	rootless bool // the elements of a root stand at the top, without the root
	counted  int  // where attributes were last counted, plus one
}

// frame is an open element.
type frame struct {
	name     string
	children nodeList
}

// readXML gives the root of an XML body: its root element, or, for the form
// without one that the workflow callback's page prints, a node that holds the top
// elements. https://www.tencentcloud.com/document/product/1045/50341
func readXML(body string) (*node, error) {
	r := &xmlReader{body: body, dec: xml.NewDecoder(strings.NewReader(body)), stack: make([]frame, 1, 16)}
	r.dec.CharsetReader = func(label string, _ io.Reader) (io.Reader, error) {
		return nil, charsetError(label)
	}
	for {
		switch done, err := r.token(); {
		case err != nil:
			return nil, err
		case done:
			return r.root()
		}
	}
}

// charsetError is the name of an encoding that was declared and is not UTF-8.
type charsetError string

func (e charsetError) Error() string { return "encoding " + quote(string(e)) }

// token reads one token. It reports true at the end of the body.
func (r *xmlReader) token() (done bool, err error) {
	start := int(r.dec.InputOffset())
	if start >= r.counted { // an empty element's end comes as a token of no length
		r.counted = start + 1
		if !r.arena.count(attributes(r.body[start:])) {
			return false, r.fail(start, "more than %d elements and attributes", MaxNodes)
		}
	}
	tok, err := r.dec.RawToken()
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	if err != nil {
		return false, r.syntax(err)
	}
	switch t := tok.(type) {
	case xml.StartElement:
		return false, r.open(start, t)
	case xml.EndElement:
		return false, r.close(start, t)
	case xml.CharData:
		return false, r.chars(start, t)
	case xml.Directive:
		return false, r.fail(start, "a DOCTYPE or other declaration is not accepted")
	case xml.ProcInst:
		return false, r.declaration(start, t)
	default: // comments say nothing
		return false, nil
	}
}

// declaredEncoding finds the encoding in an XML declaration. encoding/xml finds it only
// where no space is around the equals sign.
var declaredEncoding = regexp.MustCompile(`\bencoding\s*=\s*["']([^"']*)`)

// declaration checks the encoding of an XML declaration. Other processing instructions
// say nothing.
func (r *xmlReader) declaration(start int, t xml.ProcInst) error {
	m := declaredEncoding.FindSubmatch(t.Inst)
	if t.Target != "xml" || m == nil || strings.EqualFold(string(m[1]), "utf-8") {
		return nil
	}
	return r.fail(start, "the body declares %v; only UTF-8 is accepted", charsetError(m[1]))
}

// attributes counts the attributes of the tag that s starts with, without
// building them: a tag may have a million.
func attributes(s string) (n int) {
	if len(s) < 2 || s[0] != '<' || strings.IndexByte("!?/", s[1]) >= 0 {
		return 0
	}
	var quoted byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == '"' || c == '\'':
			quoted = c
		case c == '=':
			n++
		case c == '>':
			return n
		}
	}
	return n
}

func (r *xmlReader) open(start int, t xml.StartElement) error {
	if !r.arena.count(1) {
		return r.fail(start, "more than %d elements and attributes", MaxNodes)
	}
	if len(r.stack) > MaxDepth {
		return r.fail(start, "elements nest deeper than %d", MaxDepth)
	}
	name := r.body[start+1:][:len(qualifiedName(t.Name))]
	if len(r.stack) == 1 {
		if err := r.checkTopLevel(start, name); err != nil {
			return err
		}
	} else if run, blank := r.text.take(); !blank {
		r.stack[len(r.stack)-1].children.add(r.arena.node(node{name: textName, scalar: run}))
	}
	r.stack = append(r.stack, frame{name: name})
	return nil
}

// qualifiedName returns a name as it stands in the body.
func qualifiedName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// checkTopLevel decides what may stand at the top of the document: one root, or the
// elements of a root without it.
func (r *xmlReader) checkTopLevel(start int, name string) error {
	partOfRoot := name == eventName || name == jobsDetail || name == workflowExecution
	first := r.stack[0].name == ""
	if !first && !(r.rootless && partOfRoot) {
		return r.fail(start, "a second root element, %s", quote(name))
	}
	r.stack[0].name, r.rootless = name, partOfRoot
	return nil
}

func (r *xmlReader) close(start int, t xml.EndElement) error {
	last := len(r.stack) - 1
	f := r.stack[last]
	if name := qualifiedName(t.Name); last == 0 || name != f.name {
		return r.fail(start, "an end tag of %s that closes nothing", quote(name))
	}
	r.stack = r.stack[:last]
	run, blank := r.text.take()
	n := node{name: f.name, kind: object, children: f.children}
	switch only := f.children.head; {
	case only == nil:
		n = node{name: f.name, scalar: run}
		if blank {
			return nil
		}
	case !blank:
		n.children.add(r.arena.node(node{name: textName, scalar: run}))
	case f.children.hasOne() && only.name == textName:
		n = node{name: f.name, scalar: only.scalar}
	}
	r.stack[last-1].children.add(r.arena.node(n))
	return nil
}

func (r *xmlReader) chars(start int, t xml.CharData) error {
	raw := r.body[start:r.dec.InputOffset()]
	if len(r.stack) == 1 {
		if rest := strings.TrimLeft(raw, space); rest != "" {
			return r.fail(start+len(raw)-len(rest), "text outside of the root element")
		}
		return nil
	}
	if at := surrogate(raw); at >= 0 {
		return r.fail(start+at, "a reference to half a surrogate pair (D800 to DFFF)")
	}
	r.text.add(raw, t)
	return nil
}

// surrogate gives the place of the first character reference to a surrogate in a text,
// or -1. XML has no such characters, and encoding/xml puts U+FFFD for them, which makes
// up text.
func surrogate(raw string) int {
	if strings.HasPrefix(raw, "<![CDATA[") {
		return -1
	}
	for at := 0; ; {
		i := strings.Index(raw[at:], "&#")
		if i < 0 {
			return -1
		}
		at += i
		digits, _, _ := strings.Cut(raw[at+len("&#"):], ";")
		base := 10
		if hex, ok := strings.CutPrefix(digits, "x"); ok {
			digits, base = hex, 16
		}
		if c, err := strconv.ParseUint(digits, base, 32); err == nil && utf16.IsSurrogate(rune(c)) {
			return at
		}
		at += len("&#")
	}
}

func (r *xmlReader) root() (*node, error) {
	top := r.stack[0]
	switch {
	case len(r.stack) > 1:
		return nil, r.fail(len(r.body), "the body ends inside of element %s", quote(r.stack[len(r.stack)-1].name))
	case top.name == "":
		return nil, malformed("", "the body holds no element")
	case r.rootless:
		return &node{kind: object, children: top.children}, nil
	case top.children.empty():
		return &node{kind: object}, nil
	default:
		return top.children.head, nil
	}
}

func (r *xmlReader) fail(offset int, format string, args ...any) error {
	return malformedAt(r.body, offset, "", format, args...)
}

// syntax puts what encoding/xml found in our words.
func (r *xmlReader) syntax(err error) error {
	offset := int(r.dec.InputOffset())
	if charset, ok := errors.AsType[charsetError](err); ok {
		return r.fail(offset, "the body declares %v; only UTF-8 is accepted", charset)
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return r.fail(offset, "not well-formed XML: %s", syntax.Msg)
	}
	return r.fail(offset, "not well-formed XML: %v", err)
}

// textRun is the text between two tags. It is a part of the body where it stands
// there in one piece, and a copy where entities or CDATA sections break it up.
type textRun struct {
	whole  string
	pieces []byte
}

// add appends text that stands in the body as raw and means t.
func (r *textRun) add(raw string, t xml.CharData) {
	switch {
	case r.pieces == nil && r.whole == "" && raw == string(t):
		r.whole = raw
	default:
		if r.pieces == nil {
			r.pieces = []byte(r.whole)
		}
		r.pieces = append(r.pieces, t...)
	}
}

// take ends the run and gives its text, and whether that is white space alone.
func (r *textRun) take() (text string, blank bool) {
	text = r.whole
	if r.pieces != nil {
		text = string(r.pieces)
	}
	*r = textRun{}
	return text, isBlank(text)
}
