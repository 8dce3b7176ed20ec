package model

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// jsonReader reads a JSON body (RFC 8259) into a tree. It is written by hand, for
// encoding/json's tokens cost several times as much, do not say where a fault is,
// and put U+FFFD for half a surrogate pair, which makes up text.
type jsonReader struct {
	body  string // valid UTF-8
	at    int    // the next byte
	arena arena
	path  []step // to the value that is being read
}

// step is one part of a path: an item's index, or a member's name where index is
// negative.
type step struct {
	name  string
	index int
}

// readJSON gives the top object of a JSON body.
func readJSON(body string) (*node, error) {
	r := &jsonReader{body: body}
	r.space()
	var top list
	if err := r.value("", &top, 0); err != nil {
		return nil, err
	}
	if r.space(); r.at < len(body) {
		return nil, r.fail("something follows the JSON object")
	}
	if top.first == nil {
		return &node{kind: object}, nil
	}
	return top.first, nil
}

// value reads the value that begins here, below depth open objects and arrays,
// and adds it to its siblings unless it is empty.
func (r *jsonReader) value(name string, into *list, depth int) (err error) {
	if !r.arena.count(1) {
		return r.fail("more than %d values", MaxNodes)
	}
	n := node{name: name}
	switch r.peek() {
	case '{':
		n.kind = object
		n.kids, err = r.object(depth + 1)
	case '[':
		n.kind = array
		if n.kids, err = r.array(name, depth+1); n.kids.single() {
			n = *n.kids.first
		}
	case '"':
		n.text, err = r.string()
	default:
		n.text, err = r.literal()
	}
	if err == nil && (n.kids.first != nil || !isBlank(n.text)) {
		into.add(r.arena.node(n))
	}
	return err
}

// object reads an object's members. Those of one name, and the items of a
// member's array, become children of that name.
func (r *jsonReader) object(depth int) (kids list, err error) {
	more, err := r.open('}', depth)
	for ; more && err == nil; more, err = r.next('}') {
		if r.peek() != '"' {
			return kids, r.unexpected(`a name in quotes`)
		}
		name, err := r.string()
		if err != nil {
			return kids, err
		}
		if r.space(); r.peek() != ':' {
			return kids, r.unexpected("a colon")
		}
		r.at++
		r.space()
		r.path = append(r.path, step{name: name, index: -1})
		if r.peek() == '[' {
			if !r.arena.count(1) {
				return kids, r.fail("more than %d values", MaxNodes)
			}
			var items list
			items, err = r.array(name, depth+1)
			kids.append(items)
		} else {
			err = r.value(name, &kids, depth)
		}
		if err != nil {
			return kids, err
		}
		r.path = r.path[:len(r.path)-1]
	}
	return kids, err
}

// array reads an array's items. An array of one element is that element: [[1,2]] is
// [1,2].
func (r *jsonReader) array(name string, depth int) (items list, err error) {
	more, err := r.open(']', depth)
	for i := 0; more && err == nil; i++ {
		r.path = append(r.path, step{index: i})
		if err := r.value(name, &items, depth); err != nil {
			return items, err
		}
		r.path = r.path[:len(r.path)-1]
		more, err = r.next(']')
	}
	if items.single() && items.first.kind == array {
		items = items.first.kids
	}
	return items, err
}

// open steps into an object or array, and tells whether there is anything in it.
func (r *jsonReader) open(end byte, depth int) (more bool, err error) {
	if depth > MaxDepth {
		return false, r.fail("objects and arrays nest deeper than %d", MaxDepth)
	}
	r.at++
	if r.space(); r.peek() == end {
		r.at++
		return false, nil
	}
	return true, nil
}

// next steps over what stands behind an item: a comma, or the end.
func (r *jsonReader) next(end byte) (more bool, err error) {
	r.space()
	switch c := r.peek(); c {
	case ',', end:
		r.at++
		r.space()
		return c == ',', nil
	default:
		return false, r.unexpected("a comma or " + string(end))
	}
}

// string reads the string that begins here.
func (r *jsonReader) string() (string, error) {
	r.at++
	start := r.at
	var before strings.Builder // what stands before start, where escapes break the text up
	for r.at < len(r.body) {
		switch c := r.body[r.at]; {
		case c == '"':
			rest := r.body[start:r.at]
			r.at++
			if before.Len() == 0 {
				return rest, nil
			}
			before.WriteString(rest)
			return before.String(), nil
		case c == '\\':
			before.WriteString(r.body[start:r.at])
			if err := r.escape(&before); err != nil {
				return "", err
			}
			start = r.at
		case c < 0x20:
			return "", r.fail("a control character in a string, %s, is not escaped", quote(string(c)))
		default:
			r.at++
		}
	}
	return "", r.unexpected("the end of a string")
}

// escape reads the escape that begins here.
func (r *jsonReader) escape(into *strings.Builder) error {
	const letters, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if r.at+1 < len(r.body) {
		if i := strings.IndexByte(letters, r.body[r.at+1]); i >= 0 {
			into.WriteByte(means[i])
			r.at += 2
			return nil
		}
	}
	c := r.unit(r.at)
	size := len(`\u0000`)
	if utf16.IsSurrogate(c) {
		if c = utf16.DecodeRune(c, r.unit(r.at+size)); c == '\uFFFD' {
			return r.fail(`half a surrogate pair (\uD800 to \uDFFF)`)
		}
		size *= 2
	}
	if c < 0 {
		return r.fail("%s is no escape", quote(r.body[r.at:min(r.at+2, len(r.body))]))
	}
	into.WriteRune(c)
	r.at += size
	return nil
}

// unit gives the UTF-16 code unit that \uXXXX at a place means, or -1.
func (r *jsonReader) unit(at int) rune {
	if len(r.body) < at+6 || r.body[at:at+2] != `\u` {
		return -1
	}
	v, err := strconv.ParseUint(r.body[at+2:at+6], 16, 16)
	if err != nil {
		return -1
	}
	return rune(v)
}

// literal reads a number, true, false or null, as it is written.
func (r *jsonReader) literal() (string, error) {
	rest := r.body[r.at:]
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(rest, word) {
			r.at += len(word)
			return strings.TrimPrefix(word, "null"), nil
		}
	}
	n := number(rest)
	if n == 0 {
		return "", r.unexpected("a value")
	}
	r.at += n
	return rest[:n], nil
}

// number gives the length of the number that s begins with, or 0.
func number(s string) int {
	i := 0
	if strings.HasPrefix(s, "-") {
		i++
	}
	whole := digits(s[i:])
	if whole == 0 {
		return 0
	}
	if s[i] == '0' {
		whole = 1
	}
	i += whole
	if strings.HasPrefix(s[i:], ".") {
		if d := digits(s[i+1:]); d > 0 {
			i += 1 + d
		}
	}
	if e := s[i:]; strings.HasPrefix(e, "e") || strings.HasPrefix(e, "E") {
		sign := 1
		if strings.HasPrefix(e[1:], "+") || strings.HasPrefix(e[1:], "-") {
			sign = 2
		}
		if d := digits(e[sign:]); d > 0 {
			i += sign + d
		}
	}
	return i
}

func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

func (r *jsonReader) space() {
	for r.at < len(r.body) {
		switch r.body[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// peek gives the next byte, and 0 at the end of the body.
func (r *jsonReader) peek() byte {
	if r.at == len(r.body) {
		return 0
	}
	return r.body[r.at]
}

func (r *jsonReader) unexpected(wanted string) error {
	if r.at >= len(r.body) {
		return r.fail("the body ends where %s was expected", wanted)
	}
	c := []rune(r.body[r.at:min(r.at+4, len(r.body))])[0]
	return r.fail("%s was expected, not %s", wanted, quote(string(c)))
}

func (r *jsonReader) fail(format string, args ...any) error {
	return malformedAt(r.body, r.at, r.where(), format, args...)
}

// where writes the path as JobsDetail[1].Operation.
func (r *jsonReader) where() string {
	var b strings.Builder
	for _, s := range r.path {
		if s.index >= 0 {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		name := quote(s.name)
		b.WriteString(name[1 : len(name)-1])
	}
	return b.String()
}
