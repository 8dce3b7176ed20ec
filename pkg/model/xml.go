package model

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// textName is the name of the text of an XML element that has child elements as well. CI
// writes no such thing, but nothing that is written gets lost.
const textName = "#text"

// xmlReader reads an XML 1.0 body into a tree. It is written by hand because the tokens
// of encoding/xml are a fifth of the work of a callback, build attributes that nobody
// reads, and replace references to half a surrogate pair by U+FFFD, which the sender
// never wrote. A fuzz target asserts that both understand the same.
//
// Names and most texts in the tree are parts of the body rather than copies. Attributes
// are read over, and so are comments and processing instructions.
type xmlReader struct {
	body     string // valid UTF-8
	offset   int    // of the next byte
	arena    arena
	stack    []openElement // stack[0] stands for the whole document
	text     textRun
	rootless bool // the elements of a root stand at the top, without the root
}

type openElement struct {
	name     string
	children nodeList
}

// readXML returns the root of an XML body: its root element, or, for the form without
// one that the page of the workflow callback prints, a node that holds the elements at the
// top. https://www.tencentcloud.com/document/product/1045/50341
func readXML(body string) (*node, error) {
	r := &xmlReader{body: body, stack: make([]openElement, 1, 16)}
	for r.offset < len(body) {
		if err := r.token(); err != nil {
			return nil, err
		}
	}
	return r.root()
}

// token reads what begins at the offset: a tag, a text, or what says nothing.
func (r *xmlReader) token() error {
	switch rest := r.body[r.offset:]; {
	case rest[0] != '<':
		return r.characters()
	case strings.HasPrefix(rest, "</"):
		return r.endTag()
	case strings.HasPrefix(rest, "<!--"):
		return r.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		return r.cdata()
	case strings.HasPrefix(rest, "<!"):
		return r.fail("a DOCTYPE or other declaration is not accepted")
	case strings.HasPrefix(rest, "<?"):
		return r.instruction()
	default:
		return r.startTag()
	}
}

// startTag reads a start tag, or the tag of an empty element.
func (r *xmlReader) startTag() error {
	start := r.offset
	r.offset++
	name, err := r.qualifiedName()
	if err != nil {
		return err
	}
	count := 1 // the element and its attributes
	for r.skipSpace(); r.peek() != '>' && r.peek() != '/'; r.skipSpace() {
		if err := r.attribute(); err != nil {
			return err
		}
		count++
	}
	empty := r.peek() == '/'
	if empty {
		r.offset++
	}
	if err := r.expect(">"); err != nil {
		return err
	}
	if err := r.open(start, name, count); err != nil {
		return err
	}
	if empty {
		r.close()
	}
	return nil
}

// attribute reads over one attribute.
func (r *xmlReader) attribute() error {
	if _, err := r.qualifiedName(); err != nil {
		return err
	}
	r.skipSpace()
	if err := r.expect("="); err != nil {
		return err
	}
	r.skipSpace()
	quote := r.peek()
	if quote != '"' && quote != '\'' {
		return r.unexpected("an attribute's value in quotes")
	}
	r.offset++
	length := strings.IndexByte(r.body[r.offset:], quote)
	if length < 0 {
		return r.endsIn("an attribute")
	}
	value := r.body[r.offset : r.offset+length]
	if i := strings.IndexByte(value, '<'); i >= 0 {
		return r.failAt(r.offset+i, "not well-formed XML: < in the value of an attribute")
	}
	if _, err := r.unescape(value, attributeValue); err != nil {
		return err
	}
	r.offset += length + 1
	return nil
}

// open opens an element whose tag begins at start. count is how many nodes the tag is.
func (r *xmlReader) open(start int, name string, count int) error {
	switch {
	case !r.arena.count(count):
		return r.failAt(start, "more than %d elements and attributes", MaxNodes)
	case len(r.stack) > MaxDepth:
		return r.failAt(start, "elements nest deeper than %d", MaxDepth)
	case len(r.stack) == 1:
		if err := r.checkTopLevel(start, name); err != nil {
			return err
		}
	}
	if text, blank := r.text.finish(); !blank {
		r.stack[len(r.stack)-1].children.add(r.arena.node(node{name: textName, scalar: text}))
	}
	r.stack = append(r.stack, openElement{name: name})
	return nil
}

// checkTopLevel refuses what may not stand at the top of the document: a second root,
// except for the elements of a root that is not there.
func (r *xmlReader) checkTopLevel(start int, name string) error {
	partOfRoot := name == eventName || name == jobsDetail || name == workflowExecution
	first := r.stack[0].name == ""
	if !first && !(r.rootless && partOfRoot) {
		return r.failAt(start, "a second root element, %s", quote(name))
	}
	r.stack[0].name, r.rootless = name, partOfRoot
	return nil
}

// endTag reads an end tag, which must be that of the element that was opened last.
func (r *xmlReader) endTag() error {
	start := r.offset
	r.offset += len("</")
	name, err := r.qualifiedName()
	if err != nil {
		return err
	}
	r.skipSpace()
	if err := r.expect(">"); err != nil {
		return err
	}
	if last := len(r.stack) - 1; last == 0 || name != r.stack[last].name {
		return r.failAt(start, "an end tag of %s that closes nothing", quote(name))
	}
	r.close()
	return nil
}

// close closes the element that was opened last, and adds it to its parent unless it is
// empty.
func (r *xmlReader) close() {
	last := len(r.stack) - 1
	element := r.stack[last]
	r.stack = r.stack[:last]
	text, blank := r.text.finish()
	n := node{name: element.name, kind: object, children: element.children}
	switch only := element.children.head; {
	case only == nil && blank:
		return
	case only == nil:
		n = node{name: element.name, scalar: text}
	case !blank:
		n.children.add(r.arena.node(node{name: textName, scalar: text}))
	case element.children.hasOne() && only.name == textName:
		n = node{name: element.name, scalar: only.scalar}
	}
	r.stack[last-1].children.add(r.arena.node(n))
}

// characters reads the text up to the next tag.
func (r *xmlReader) characters() error {
	raw, _, _ := strings.Cut(r.body[r.offset:], "<")
	if len(r.stack) == 1 {
		if rest := strings.TrimLeft(raw, space); rest != "" {
			return r.failAt(r.offset+len(raw)-len(rest), "text outside of the root element")
		}
		r.offset += len(raw)
		return nil
	}
	text, err := r.unescape(raw, elementText)
	if err != nil {
		return err
	}
	r.text.add(text)
	r.offset += len(raw)
	return nil
}

// cdata reads a CDATA section, which is text without references.
func (r *xmlReader) cdata() error {
	if len(r.stack) == 1 {
		return r.fail("text outside of the root element")
	}
	r.offset += len("<![CDATA[")
	raw, _, found := strings.Cut(r.body[r.offset:], "]]>")
	if !found {
		return r.endsIn("a CDATA section")
	}
	text, err := r.unescape(raw, cdataSection)
	if err != nil {
		return err
	}
	r.text.add(text)
	r.offset += len(raw) + len("]]>")
	return nil
}

// comment reads over a comment.
func (r *xmlReader) comment() error {
	r.offset += len("<!--")
	length := strings.Index(r.body[r.offset:], "--")
	if length < 0 {
		return r.endsIn("a comment")
	}
	r.offset += length + len("--")
	return r.expect(">")
}

// instruction reads over a processing instruction, but for the XML declaration, whose
// version and encoding it checks.
func (r *xmlReader) instruction() error {
	start := r.offset
	r.offset += len("<?")
	target, err := r.name()
	if err != nil {
		return err
	}
	content, _, found := strings.Cut(r.body[r.offset:], "?>")
	if !found {
		return r.endsIn("a processing instruction")
	}
	r.offset += len(content) + len("?>")
	if target != "xml" {
		return nil
	}
	if version := pseudoAttribute(content, "version"); version != "" && version != "1.0" {
		return r.failAt(start, "the body is XML %s; only XML 1.0 is accepted", quote(version))
	}
	if encoding := pseudoAttribute(content, "encoding"); encoding != "" && !strings.EqualFold(encoding, "utf-8") {
		return r.failAt(start, "the body declares encoding %s; only UTF-8 is accepted", quote(encoding))
	}
	return nil
}

// pseudoAttribute returns the value that an XML declaration has for a name, or "".
func pseudoAttribute(declaration, name string) string {
	for {
		_, rest, found := strings.Cut(declaration, name)
		if !found {
			return ""
		}
		declaration = rest
		if value, ok := strings.CutPrefix(strings.TrimLeft(rest, space), "="); ok {
			value = strings.TrimLeft(value, space)
			if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, `'`) {
				value, _, _ = strings.Cut(value[1:], value[:1])
				return value
			}
		}
	}
}

// root returns the tree, once the whole body was read.
func (r *xmlReader) root() (*node, error) {
	document := r.stack[0]
	switch {
	case len(r.stack) > 1:
		return nil, r.fail("the body ends inside of element %s", quote(r.stack[len(r.stack)-1].name))
	case document.name == "":
		return nil, malformed("", "the body holds no element")
	case r.rootless:
		return &node{kind: object, children: document.children}, nil
	case document.children.empty():
		return &node{kind: object}, nil
	default:
		return document.children.head, nil
	}
}

// qualifiedName reads the name of an element or an attribute, which may have the prefix
// of a namespace.
func (r *xmlReader) qualifiedName() (string, error) {
	start := r.offset
	name, err := r.name()
	if strings.Count(name, ":") > 1 {
		return "", r.failAt(start, "not well-formed XML: %s has two colons", quote(name))
	}
	return name, err
}

// name reads a name.
func (r *xmlReader) name() (string, error) {
	start := r.offset
	for r.offset < len(r.body) {
		c, size := rune(r.body[r.offset]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(r.body[r.offset:])
		}
		if !isNameStart(c) && (r.offset == start || !isNameOnly(c)) {
			break
		}
		r.offset += size
	}
	if r.offset == start {
		return "", r.unexpected("a name")
	}
	return r.body[start:r.offset], nil
}

// isNameStart reports whether a name may begin with a character.
// https://www.w3.org/TR/xml/#NT-NameStartChar
func isNameStart(c rune) bool {
	if c < utf8.RuneSelf {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == ':'
	}
	for _, r := range [...][2]rune{
		{0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x2FF}, {0x370, 0x37D}, {0x37F, 0x1FFF}, {0x200C, 0x200D}, {0x2070, 0x218F},
		{0x2C00, 0x2FEF}, {0x3001, 0xD7FF}, {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF},
	} {
		if r[0] <= c && c <= r[1] {
			return true
		}
	}
	return false
}

// isNameOnly reports whether a character may stand in a name, but not begin it.
func isNameOnly(c rune) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '.' || c == 0xB7 || 0x300 <= c && c <= 0x36F || 0x203F <= c && c <= 0x2040
}

// textKind is where a text stands, which decides what it may hold.
type textKind int

const (
	elementText textKind = iota
	attributeValue
	cdataSection
)

// unescape returns what a text at the offset stands for: with its references replaced, and
// each of its line ends a single \n, as XML has it.
func (r *xmlReader) unescape(raw string, kind textKind) (string, error) {
	var unescaped []byte
	done := 0 // so much of raw is in unescaped
	for i := 0; i < len(raw); {
		c := raw[i]
		if c >= ' ' && c != '&' && c != '>' && c != 0xEF {
			i++
			continue
		}
		replacement, size, err := r.special(raw, i, kind)
		if err != nil {
			return "", err
		}
		if size > 0 {
			unescaped = append(append(unescaped, raw[done:i]...), replacement...)
			i += size
			done = i
		} else {
			i++
		}
	}
	if done == 0 {
		return raw, nil
	}
	return string(append(unescaped, raw[done:]...)), nil
}

// special looks at a byte of a text that may not stand for itself. It returns what stands
// for size bytes, or a size of 0 where they stand for themselves.
func (r *xmlReader) special(raw string, i int, kind textKind) (replacement string, size int, err error) {
	switch c := raw[i]; {
	case c == '&' && kind != cdataSection:
		return r.reference(raw, i)
	case c == '>' && kind == elementText && strings.HasSuffix(raw[:i], "]]"):
		return "", 0, r.failAt(r.offset+i, "not well-formed XML: ]]> outside of a CDATA section")
	case c == '\r' && strings.HasPrefix(raw[i:], "\r\n"):
		return "\n", 2, nil
	case c == '\r':
		return "\n", 1, nil
	case c == 0xEF || c < ' ' && c != '\t' && c != '\n':
		if char, _ := utf8.DecodeRuneInString(raw[i:]); !isXMLChar(char) {
			return "", 0, r.failAt(r.offset+i, "not well-formed XML: the character %U, which XML does not have", char)
		}
	}
	return "", 0, nil
}

// reference returns the character that the reference at raw[i] stands for.
func (r *xmlReader) reference(raw string, i int) (char string, size int, err error) {
	name, _, found := strings.Cut(raw[i+1:], ";")
	size = len("&") + len(name) + len(";")
	if !found {
		return "", 0, r.failAt(r.offset+i, "not well-formed XML: & without a reference: the character itself is &amp;")
	}
	switch name {
	case "lt":
		return "<", size, nil
	case "gt":
		return ">", size, nil
	case "amp":
		return "&", size, nil
	case "apos":
		return "'", size, nil
	case "quot":
		return `"`, size, nil
	}
	code, ok := charCode(name)
	switch {
	case !ok:
		return "", 0, r.failAt(r.offset+i, "not well-formed XML: %s stands for nothing", quote("&"+name+";"))
	case utf16.IsSurrogate(code):
		return "", 0, r.failAt(r.offset+i, "a reference to half a surrogate pair (D800 to DFFF)")
	case !isXMLChar(code):
		return "", 0, r.failAt(r.offset+i, "not well-formed XML: a reference to the character %U, which XML does not have", code)
	}
	return string(code), size, nil
}

// charCode returns the character that #65 or #x41 is the code of.
func charCode(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	code, err := strconv.ParseUint(digits, base, 64)
	return rune(code), ok && err == nil && code <= utf8.MaxRune && !strings.HasPrefix(digits, "+")
}

// isXMLChar reports whether XML 1.0 has a character.
// https://www.w3.org/TR/xml/#charsets
func isXMLChar(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || ' ' <= c && c < 0xD800 || 0xE000 <= c && c <= 0xFFFD || 0x10000 <= c && c <= utf8.MaxRune
}

func (r *xmlReader) skipSpace() {
	for r.offset < len(r.body) && strings.IndexByte(space, r.body[r.offset]) >= 0 {
		r.offset++
	}
}

// peek returns the byte at the offset, and 0 at the end of the body.
func (r *xmlReader) peek() byte {
	if r.offset == len(r.body) {
		return 0
	}
	return r.body[r.offset]
}

// expect steps over what must stand at the offset.
func (r *xmlReader) expect(s string) error {
	if !strings.HasPrefix(r.body[r.offset:], s) {
		return r.unexpected(s)
	}
	r.offset += len(s)
	return nil
}

// unexpected is the error for a body that goes on with something else than was wanted.
func (r *xmlReader) unexpected(wanted string) error {
	if r.offset == len(r.body) {
		return r.fail("not well-formed XML: the body ends where %s was expected", wanted)
	}
	_, size := utf8.DecodeRuneInString(r.body[r.offset:])
	return r.fail("not well-formed XML: %s was expected, not %s", wanted, quote(r.body[r.offset:r.offset+size]))
}

// endsIn is the error for a body that ends within something.
func (r *xmlReader) endsIn(what string) error {
	return r.failAt(len(r.body), "not well-formed XML: the body ends in %s", what)
}

// fail is the error for a fault at the offset.
func (r *xmlReader) fail(format string, args ...any) error {
	return r.failAt(r.offset, format, args...)
}

func (r *xmlReader) failAt(offset int, format string, args ...any) error {
	return malformedAt(r.body, offset, "", format, args...)
}

// textRun is the text between two tags. It is a part of the body where it stands there in
// one piece, and a copy where CDATA sections, comments or instructions divide it.
type textRun struct {
	first string
	all   []byte // once there is more than one piece
}

func (t *textRun) add(piece string) {
	switch {
	case piece == "":
	case t.all != nil:
		t.all = append(t.all, piece...)
	case t.first == "":
		t.first = piece
	default:
		t.all = append(append(t.all, t.first...), piece...)
	}
}

// finish ends the run. It returns its text, and reports whether that is blank.
func (t *textRun) finish() (text string, blank bool) {
	text = t.first
	if t.all != nil {
		text = string(t.all)
	}
	*t = textRun{}
	return text, isBlank(text)
}
