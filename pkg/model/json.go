package model

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonReader reads a JSON body into a tree, token by token.
type jsonReader struct {
	body  string
	dec   *json.Decoder
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
	r := &jsonReader{body: body, dec: json.NewDecoder(strings.NewReader(body))}
	r.dec.UseNumber()
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('{') {
		return nil, r.fail("a callback is a JSON object, not %s", tokenName(tok))
	}
	r.arena.count(1)
	root := &node{kind: object}
	if err := r.object(&root.kids, 1); err != nil {
		return nil, err
	}
	if rest := strings.TrimLeft(body[r.dec.InputOffset():], " \t\r\n"); rest != "" {
		return nil, malformedAt(body, len(body)-len(rest), "", "something follows the JSON object")
	}
	return root, nil
}

// object reads the members of an object whose brace is open.
func (r *jsonReader) object(into *list, depth int) error {
	for {
		tok, err := r.token()
		if err != nil || tok == json.Delim('}') {
			return err
		}
		name := tok.(string) // the decoder accepts nothing else here
		r.path = append(r.path, step{name: name, index: -1})
		if tok, err = r.token(); err != nil {
			return err
		}
		if tok == json.Delim('[') {
			err = r.array(name, into, depth)
		} else {
			err = r.value(tok, name, into, depth)
		}
		if err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// array reads the items of an array whose bracket is open, each as a child of
// that name.
func (r *jsonReader) array(name string, into *list, depth int) error {
	if err := r.enter(depth + 1); err != nil {
		return err
	}
	for i := 0; ; i++ {
		tok, err := r.token()
		if err != nil || tok == json.Delim(']') {
			return err
		}
		r.path = append(r.path, step{index: i})
		if err := r.value(tok, name, into, depth+1); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// value reads the value that tok begins, and keeps it unless it is empty.
func (r *jsonReader) value(tok json.Token, name string, into *list, depth int) error {
	n := node{name: name}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			n.kind = object
			if err := r.enter(depth + 1); err != nil {
				return err
			}
			if err := r.object(&n.kids, depth+1); err != nil {
				return err
			}
		} else {
			n.kind = array
			if err := r.array("", &n.kids, depth); err != nil {
				return err
			}
		}
		if n.kids.first == nil {
			return nil
		}
		if n.kind == array && n.kids.single() {
			n = *n.kids.first
			n.name = name
		}
		into.add(r.arena.node(n))
		return nil
	case string:
		n.text = t
	case json.Number:
		n.text = t.String()
	case bool:
		n.text = strconv.FormatBool(t)
	}
	if !r.arena.count(1) {
		return r.fail("more than %d values", MaxNodes)
	}
	if !isBlank(n.text) {
		into.add(r.arena.node(n))
	}
	return nil
}

// enter counts an object or array and checks how deep it stands.
func (r *jsonReader) enter(depth int) error {
	if depth > MaxDepth {
		return r.fail("objects and arrays nest deeper than %d", MaxDepth)
	}
	if !r.arena.count(1) {
		return r.fail("more than %d values", MaxNodes)
	}
	return nil
}

// token reads one token. encoding/json puts U+FFFD for half a surrogate pair;
// that would make up text, so it is refused.
func (r *jsonReader) token() (json.Token, error) {
	start := r.dec.InputOffset()
	tok, err := r.dec.Token()
	if err != nil {
		return nil, r.syntax(err)
	}
	if s, ok := tok.(string); ok && strings.ContainsRune(s, utf8.RuneError) {
		raw := r.body[start:r.dec.InputOffset()]
		if strings.Count(s, "\uFFFD") > strings.Count(raw, "\uFFFD")+strings.Count(strings.ToLower(raw), `\ufffd`) {
			return nil, r.fail(`a string with half a surrogate pair (\uD800 to \uDFFF)`)
		}
	}
	return tok, nil
}

func (r *jsonReader) syntax(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformedAt(r.body, len(r.body), r.at(), "the body ends inside of the JSON object")
	}
	return r.fail("not JSON: %v", err)
}

func (r *jsonReader) fail(format string, args ...any) error {
	return malformedAt(r.body, int(r.dec.InputOffset()), r.at(), format, args...)
}

// at writes the path as JobsDetail[1].Operation.
func (r *jsonReader) at() string {
	var b strings.Builder
	for _, s := range r.path {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() > 0:
			b.WriteByte('.')
			fallthrough
		default:
			b.WriteString(strings.Trim(quote(s.name), `"`))
		}
	}
	return b.String()
}

func tokenName(tok json.Token) string {
	switch tok.(type) {
	case json.Delim:
		return "an array"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	default:
		return "null"
	}
}
