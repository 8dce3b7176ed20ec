package model

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The normal form of a node is JSON that XML and JSON of one job agree on: names
// as CI writes them and sorted, every scalar a string with the text as sent,
// nothing that is empty, an array where a name repeats or CI documents that it may.

// isBlank tells whether a text counts as empty.
func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// normal writes a node in normal form.
func (n *node) normal() []byte {
	w := normalWriter{out: make([]byte, 0, n.size())}
	w.value(n)
	return w.out
}

// size tells about how long a node is in normal form: exactly, but for escapes and
// for what repeats.
func (n *node) size() int {
	size := len(n.text) + len(`""`)
	for k := n.kids.first; k != nil; k = k.next {
		size += len(k.name) + len(`"":,`) + k.size()
	}
	return size
}

type normalWriter struct {
	out     []byte
	scratch []*node // the members that are being sorted, a stretch for each depth
}

func (w *normalWriter) value(n *node) {
	switch n.kind {
	case scalar:
		w.string(n.text)
	case array:
		w.out = append(w.out, '[')
		for k := n.kids.first; k != nil; k = k.next {
			w.comma('[')
			w.value(k)
		}
		w.out = append(w.out, ']')
	default:
		w.object(n)
	}
}

func (w *normalWriter) object(n *node) {
	start := len(w.scratch)
	for k := n.kids.first; k != nil; k = k.next {
		w.scratch = append(w.scratch, k)
	}
	slices.SortStableFunc(w.scratch[start:], func(a, b *node) int { return strings.Compare(a.name, b.name) })
	end := len(w.scratch)

	w.out = append(w.out, '{')
	for i := start; i < end; {
		j := i + 1
		for j < end && w.scratch[j].name == w.scratch[i].name {
			j++
		}
		w.comma('{')
		w.string(w.scratch[i].name)
		w.out = append(w.out, ':')
		w.member(n.name, i, j)
		i = j
	}
	w.out = append(w.out, '}')
	w.scratch = w.scratch[:start]
}

// member writes the values of one name, scratch[i:j].
func (w *normalWriter) member(parent string, i, j int) {
	if j == i+1 && !repeats(parent, w.scratch[i]) {
		w.value(w.scratch[i])
		return
	}
	w.out = append(w.out, '[')
	for ; i < j; i++ {
		w.comma('[')
		w.value(w.scratch[i])
	}
	w.out = append(w.out, ']')
}

// comma separates what follows from what stands before it, if anything.
func (w *normalWriter) comma(open byte) {
	if w.out[len(w.out)-1] != open {
		w.out = append(w.out, ',')
	}
}

// string writes a JSON string. Like encoding/json, but <, > and & stay themselves.
func (w *normalWriter) string(s string) {
	const hex = "0123456789abcdef"
	out := append(w.out, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' { // line ends to some readers of JSON lines
				i += size
				continue
			}
			out = append(append(out, s[done:i]...), '\\', 'u', '2', '0', '2', hex[r&0xf])
			i += size
			done = i
			continue
		}
		out = append(out, s[done:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b', '\f', '\n', '\r', '\t':
			out = append(out, '\\', "btn.fr"[c-'\b'])
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
		i++
		done = i
	}
	w.out = append(append(out, s[done:]...), '"')
}
