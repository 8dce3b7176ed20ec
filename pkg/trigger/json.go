package trigger

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads a JSON text once, from front to back, and copies only what has
// escapes. It takes what encoding/json takes; with that, an event would be scanned three
// times over, which was a sixth of a callback's CPU.
//
// Each method that reads a value expects the reader to be at its first byte, and leaves
// it at the byte after.
type jsonReader struct {
	text  []byte
	at    int
	depth int
}

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10_000

func (r *jsonReader) syntaxError() error {
	if r.at >= len(r.text) {
		return fmt.Errorf("the JSON ends too early, after %d bytes", len(r.text))
	}
	return fmt.Errorf("it is not JSON: byte %d", r.at)
}

// peek returns the next byte, or 0 at the end.
func (r *jsonReader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *jsonReader) skipSpace() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

// end reports as an error whatever is left of the text.
func (r *jsonReader) end() error {
	if r.skipSpace(); r.at < len(r.text) {
		return r.syntaxError()
	}
	return nil
}

// objectOrSkip reads a value, and if it is an object, calls field for each of its fields,
// at the field's value. A text that begins with white space may be read too.
func (r *jsonReader) objectOrSkip(field func(name []byte) error) error {
	if r.skipSpace(); r.peek() != '{' {
		return r.skip()
	}
	return r.members('}', func() error {
		name, err := r.string()
		if err != nil {
			return err
		}
		if r.skipSpace(); r.peek() != ':' {
			return r.syntaxError()
		}
		r.at++
		r.skipSpace()
		return field(name)
	})
}

// members reads what stands between two brackets, and calls member for each part.
func (r *jsonReader) members(closing byte, member func() error) error {
	if r.depth++; r.depth > maxDepth {
		return fmt.Errorf("the JSON is nested more than %d deep", maxDepth)
	}
	r.at++
	if r.skipSpace(); r.peek() == closing {
		r.at++
		r.depth--
		return nil
	}
	for {
		r.skipSpace()
		if err := member(); err != nil {
			return err
		}
		r.skipSpace()
		switch next := r.peek(); next {
		case ',':
			r.at++
		case closing:
			r.at++
			r.depth--
			return nil
		default:
			return r.syntaxError()
		}
	}
}

// skip reads a value of any kind and drops it.
func (r *jsonReader) skip() error {
	switch r.peek() {
	case '{':
		return r.objectOrSkip(func([]byte) error { return r.skip() })
	case '[':
		return r.members(']', r.skip)
	case '"':
		_, err := r.skipString()
		return err
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	default:
		return r.number()
	}
}

func (r *jsonReader) literal(word string) error {
	if !bytes.HasPrefix(r.text[r.at:], []byte(word)) {
		return r.syntaxError()
	}
	r.at += len(word)
	return nil
}

func (r *jsonReader) number() error {
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if err := r.digits(); err != nil {
		return err
	}
	if r.peek() == '.' {
		r.at++
		if err := r.digits(); err != nil {
			return err
		}
	}
	if r.peek() == 'e' || r.peek() == 'E' {
		r.at++
		if r.peek() == '+' || r.peek() == '-' {
			r.at++
		}
		return r.digits()
	}
	return nil
}

// digits reads one digit or more.
func (r *jsonReader) digits() error {
	start := r.at
	for r.peek() >= '0' && r.peek() <= '9' {
		r.at++
	}
	if r.at == start {
		return r.syntaxError()
	}
	return nil
}

// anyText reads a value as text: that of a string, nothing for null, and any other value
// as the JSON it is.
func (r *jsonReader) anyText() ([]byte, error) {
	if r.peek() == '"' {
		return r.string()
	}
	start := r.at
	if err := r.skip(); err != nil || r.text[start] == 'n' {
		return nil, err
	}
	return r.text[start:r.at], nil
}

// eachText reads a value as a list of texts, and calls use for each. Of an array, these
// are its elements, of an empty one a single empty text; anything else is the only text.
// Instead of true, which stands for a query parameter without a value, use gets nothing.
func (r *jsonReader) eachText(use func(text []byte)) error {
	one := func() error {
		start := r.at
		text, err := r.anyText()
		if err != nil {
			return err
		}
		if r.text[start] == 't' {
			text = nil
		}
		use(text)
		return nil
	}
	if r.peek() != '[' {
		return one()
	}
	empty := true
	err := r.members(']', func() error {
		empty = false
		return one()
	})
	if err == nil && empty {
		use(nil)
	}
	return err
}

// flag reads a value as a bool, or as the string of one. Anything else is false.
func (r *jsonReader) flag() (bool, error) {
	text, err := r.anyText()
	return bytes.EqualFold(text, []byte("true")), err
}

// string reads a string, and returns what it stands for. Half of a surrogate pair becomes
// the three bytes that it would have in UTF-8 if it were a character, which are no valid
// UTF-8: so it stays what it is, broken.
func (r *jsonReader) string() ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.syntaxError()
	}
	start := r.at + 1
	escaped, err := r.skipString()
	if err != nil {
		return nil, err
	}
	raw := r.text[start : r.at-1]
	if !escaped {
		return raw, nil
	}
	return unescape(raw), nil
}

// skipString reads a string, and reports whether it has escapes.
func (r *jsonReader) skipString() (escaped bool, err error) {
	for r.at++; r.at < len(r.text); r.at++ {
		switch b := r.text[r.at]; {
		case b == '"':
			r.at++
			return escaped, nil
		case b == '\\':
			escaped = true
			if r.at++; !r.isEscape() {
				return false, r.syntaxError()
			}
		case b < ' ':
			return false, r.syntaxError()
		}
	}
	return false, r.syntaxError()
}

// isEscape reports whether what follows a backslash is an escape.
func (r *jsonReader) isEscape() bool {
	if r.peek() != 'u' {
		return r.at < len(r.text) && escapes[r.text[r.at]] != 0
	}
	if r.at+5 > len(r.text) {
		return false
	}
	_, err := hex.Decode(make([]byte, 2), r.text[r.at+1:r.at+5])
	return err == nil
}

// escapes are the bytes that stand for another behind a backslash.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape returns what the text of a string stands for, whose escapes are right.
func unescape(raw []byte) []byte {
	text := make([]byte, 0, len(raw))
	for {
		before, rest, found := bytes.Cut(raw, []byte{'\\'})
		text = append(text, before...)
		switch {
		case !found:
			return text
		case rest[0] != 'u':
			text, raw = append(text, escapes[rest[0]]), rest[1:]
		default:
			unit, more := codeUnit(rest), rest[5:]
			if utf16.IsSurrogate(unit) && bytes.HasPrefix(more, []byte(`\u`)) {
				if pair := utf16.DecodeRune(unit, codeUnit(more[1:])); pair != utf8.RuneError {
					unit, more = pair, more[6:]
				}
			}
			text, raw = appendRune(text, unit), more
		}
	}
}

// codeUnit returns the number of an escape such as u00e9.
func codeUnit(escape []byte) rune {
	var b [2]byte
	hex.Decode(b[:], escape[1:5])
	return rune(binary.BigEndian.Uint16(b[:]))
}

// appendRune appends a character, or half of a surrogate pair, in UTF-8.
func appendRune(text []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(text, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(text, r)
}
