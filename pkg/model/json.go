package model

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads a JSON body (RFC 8259) into a tree. It is written by hand because
// encoding/json's tokens cost several times as much, do not say where a fault is, and
// replace half a surrogate pair by U+FFFD, which the sender never wrote.
type jsonReader struct {
	body   string // valid UTF-8
	offset int    // of the next byte
	arena  arena
	path   []step // to the value that is being read
}

// step is one part of a path: the index of an item, or, where that is negative, the
// name of a member.
type step struct {
	name  string
	index int
}

// readJSON returns the top object of a JSON body.
func readJSON(body string) (*node, error) {
	r := &jsonReader{body: body}
	r.skipSpace()
	var top nodeList
	if err := r.value("", &top, 0); err != nil {
		return nil, err
	}
	if r.skipSpace(); r.offset < len(body) {
		return nil, r.fail("something follows the JSON object")
	}
	if top.empty() {
		return &node{kind: object}, nil
	}
	return top.head, nil
}

// value reads the value at the offset, which stands in depth open objects and arrays,
// and adds it to its siblings unless it is empty.
func (r *jsonReader) value(name string, into *nodeList, depth int) (err error) {
	if !r.arena.count(1) {
		return r.fail("more than %d values", MaxNodes)
	}
	n := node{name: name}
	switch r.peek() {
	case '{':
		n.kind = object
		n.children, err = r.object(depth + 1)
	case '[':
		n.kind = array
		if n.children, err = r.array(name, depth+1); n.children.hasOne() {
			n = *n.children.head
		}
	case '"':
		n.scalar, err = r.string()
	default:
		n.scalar, err = r.literal()
	}
	if err == nil && (!n.children.empty() || !isBlank(n.scalar)) {
		into.add(r.arena.node(n))
	}
	return err
}

// object reads the members of an object. Members of one name, and the items of a
// member's array, all become children of that name.
func (r *jsonReader) object(depth int) (children nodeList, err error) {
	more, err := r.open('}', depth)
	for ; more && err == nil; more, err = r.next('}') {
		if r.peek() != '"' {
			return children, r.unexpected(`a name in quotes`)
		}
		name, err := r.string()
		if err != nil {
			return children, err
		}
		if r.skipSpace(); r.peek() != ':' {
			return children, r.unexpected("a colon")
		}
		r.offset++
		r.skipSpace()
		r.path = append(r.path, step{name: name, index: -1})
		if r.peek() == '[' {
			if !r.arena.count(1) {
				return children, r.fail("more than %d values", MaxNodes)
			}
			var items nodeList
			items, err = r.array(name, depth+1)
			children.append(items)
		} else {
			err = r.value(name, &children, depth)
		}
		if err != nil {
			return children, err
		}
		r.path = r.path[:len(r.path)-1]
	}
	return children, err
}

// array reads the items of an array. An array of one element is that element, so that
// [[1,2]] reads as [1,2].
func (r *jsonReader) array(name string, depth int) (items nodeList, err error) {
	more, err := r.open(']', depth)
	for i := 0; more && err == nil; i++ {
		r.path = append(r.path, step{index: i})
		if err := r.value(name, &items, depth); err != nil {
			return items, err
		}
		r.path = r.path[:len(r.path)-1]
		more, err = r.next(']')
	}
	if items.hasOne() && items.head.kind == array {
		items = items.head.children
	}
	return items, err
}

// open steps into an object or array, and reports whether there is anything in it.
func (r *jsonReader) open(end byte, depth int) (more bool, err error) {
	if depth > MaxDepth {
		return false, r.fail("objects and arrays nest deeper than %d", MaxDepth)
	}
	r.offset++
	if r.skipSpace(); r.peek() == end {
		r.offset++
		return false, nil
	}
	return true, nil
}

// next steps over what follows an item, a comma or the end, and reports whether there is
// another item.
func (r *jsonReader) next(end byte) (more bool, err error) {
	r.skipSpace()
	switch c := r.peek(); c {
	case ',', end:
		r.offset++
		r.skipSpace()
		return c == ',', nil
	default:
		return false, r.unexpected("a comma or " + string(end))
	}
}

// string reads the string at the offset.
func (r *jsonReader) string() (string, error) {
	r.offset++
	start := r.offset
	var unescaped strings.Builder // the text before start, once there was an escape
	for r.offset < len(r.body) {
		switch c := r.body[r.offset]; {
		case c == '"':
			rest := r.body[start:r.offset]
			r.offset++
			if unescaped.Len() == 0 {
				return rest, nil
			}
			unescaped.WriteString(rest)
			return unescaped.String(), nil
		case c == '\\':
			unescaped.WriteString(r.body[start:r.offset])
			if err := r.escape(&unescaped); err != nil {
				return "", err
			}
			start = r.offset
		case c < 0x20:
			return "", r.fail("a control character in a string, %s, is not escaped", quote(string(c)))
		default:
			r.offset++
		}
	}
	return "", r.unexpected("the end of a string")
}

// escape reads the escape sequence at the offset.
func (r *jsonReader) escape(into *strings.Builder) error {
	const letters, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if r.offset+1 < len(r.body) {
		if i := strings.IndexByte(letters, r.body[r.offset+1]); i >= 0 {
			into.WriteByte(means[i])
			r.offset += 2
			return nil
		}
	}
	c := r.utf16Unit(r.offset)
	size := len(`\u0000`)
	if utf16.IsSurrogate(c) {
		if c = utf16.DecodeRune(c, r.utf16Unit(r.offset+size)); c == '\uFFFD' {
			return r.fail(`half a surrogate pair (\uD800 to \uDFFF)`)
		}
		size *= 2
	}
	if c < 0 {
		return r.fail("%s is no escape", quote(r.body[r.offset:min(r.offset+2, len(r.body))]))
	}
	into.WriteRune(c)
	r.offset += size
	return nil
}

// utf16Unit returns the UTF-16 code unit that \uXXXX at an offset stands for, or -1.
func (r *jsonReader) utf16Unit(offset int) rune {
	if len(r.body) < offset+6 || r.body[offset:offset+2] != `\u` {
		return -1
	}
	v, err := strconv.ParseUint(r.body[offset+2:offset+6], 16, 16)
	if err != nil {
		return -1
	}
	return rune(v)
}

// literal reads a number, true or false as the text it is written with, and null as no
// text.
func (r *jsonReader) literal() (string, error) {
	rest := r.body[r.offset:]
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(rest, word) {
			r.offset += len(word)
			return strings.TrimPrefix(word, "null"), nil
		}
	}
	n := number(rest)
	if n == 0 {
		return "", r.unexpected("a value")
	}
	r.offset += n
	return rest[:n], nil
}

// number returns the length of the number that s begins with, or 0.
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

// digits returns how many digits s begins with.
func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// skipSpace steps over white space.
func (r *jsonReader) skipSpace() {
	for r.offset < len(r.body) {
		switch r.body[r.offset] {
		case ' ', '\t', '\r', '\n':
			r.offset++
		default:
			return
		}
	}
}

// peek returns the byte at the offset, and 0 at the end of the body.
func (r *jsonReader) peek() byte {
	if r.offset == len(r.body) {
		return 0
	}
	return r.body[r.offset]
}

// unexpected is the error for a body that goes on with something else than was wanted.
func (r *jsonReader) unexpected(wanted string) error {
	if r.offset >= len(r.body) {
		return r.fail("the body ends where %s was expected", wanted)
	}
	c, _ := utf8.DecodeRuneInString(r.body[r.offset:])
	return r.fail("%s was expected, not %s", wanted, quote(string(c)))
}

// fail is the error for a fault at the offset.
func (r *jsonReader) fail(format string, args ...any) error {
	return malformedAt(r.body, r.offset, r.location(), format, args...)
}

// location writes the path to the value that is being read, such as
// JobsDetail[1].Operation.
func (r *jsonReader) location() string {
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
