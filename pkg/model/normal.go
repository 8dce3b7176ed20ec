package model

import (
	"slices"
	"strings"
)

// The normal form of a node is JSON that is the same for the XML and the JSON of one
// job: names as CI writes them and sorted, every scalar a string with the text as sent,
// nothing that is empty, an array where a name occurs more than once or CI documents
// that it may.
//
//	<A><B>1</B><C/></A>    {"A":{"B":1,"C":""}}      {"A":{"B":"1"}}
//	<A><B>1</B><B>2</B></A>    {"A":{"B":[1,2]}}     {"A":{"B":["1","2"]}}

// isBlank reports whether a text counts as empty.
func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// normalForm returns a node in normal form.
func (n *node) normalForm() []byte {
	w := normalWriter{out: make([]byte, 0, n.estimatedSize())}
	w.value(n)
	return w.out
}

// estimatedSize returns how long a node is in normal form, but for the bytes that
// escapes and arrays add.
func (n *node) estimatedSize() int {
	size := len(n.scalar) + len(`""`)
	for child := n.children.head; child != nil; child = child.next {
		size += len(child.name) + len(`"":,`) + child.estimatedSize()
	}
	return size
}

type normalWriter struct {
	out     []byte
	members []*node // of the open objects, those of each object sorted by name
}

func (w *normalWriter) value(n *node) {
	switch n.kind {
	case scalar:
		w.out = appendString(w.out, n.scalar)
	case array:
		w.out = append(w.out, '[')
		for item := n.children.head; item != nil; item = item.next {
			w.comma('[')
			w.value(item)
		}
		w.out = append(w.out, ']')
	default:
		w.object(n)
	}
}

func (w *normalWriter) object(n *node) {
	start := len(w.members)
	for child := n.children.head; child != nil; child = child.next {
		w.members = append(w.members, child)
	}
	slices.SortStableFunc(w.members[start:], func(a, b *node) int { return strings.Compare(a.name, b.name) })
	end := len(w.members)

	w.out = append(w.out, '{')
	for i := start; i < end; {
		next := i + 1
		for next < end && w.members[next].name == w.members[i].name {
			next++
		}
		w.comma('{')
		w.out = appendString(w.out, w.members[i].name)
		w.out = append(w.out, ':')
		w.sameName(n.name, i, next)
		i = next
	}
	w.out = append(w.out, '}')
	w.members = w.members[:start]
}

// sameName writes the value of members[from:to], which all have the same name.
func (w *normalWriter) sameName(parent string, from, to int) {
	if to == from+1 && !isRepeatable(parent, w.members[from]) {
		w.value(w.members[from])
		return
	}
	w.out = append(w.out, '[')
	for ; from < to; from++ {
		w.comma('[')
		w.value(w.members[from])
	}
	w.out = append(w.out, ']')
}

// comma separates what follows from what precedes it in the same object or array.
func (w *normalWriter) comma(open byte) {
	if w.out[len(w.out)-1] != open {
		w.out = append(w.out, ',')
	}
}
