package model

import "iter"

// The limits that keep the worst body affordable: a body beyond any of them is
// malformed. CI's own callbacks are far below (depth 8, a few hundred nodes).
const (
	MaxDepth = 64      // open elements, objects and arrays
	MaxNodes = 400_000 // elements, values and attributes
	MaxJobs  = 1_000   // records in one body

	// MaxOutputBytes is what the outputs of one body may come to: the bytes of
	// their buckets, regions and keys as they stand in a record, and 64 for each. An
	// output repeats the prefix, the bucket and the region of its file, so that a few
	// megabytes could stand for gigabytes. It is enough for 10,000 pictures, the most
	// that a snapshot job may ask for, whose keys have 200 bytes.
	MaxOutputBytes = 3 << 20
	// MaxEventBytes bounds EventName, which every record of a body repeats.
	MaxEventBytes = 256
)

type nodeKind uint8

const (
	scalar nodeKind = iota
	object
	array // only inside another array: a member's array is a repeated member
)

// node is what XML and JSON have in common: a named scalar or a named list of
// nodes. A repeated XML element and a JSON array of that name are the same
// thing, several children of one name. Empty nodes are never in a tree.
type node struct {
	name string
	text string // of a scalar
	kids list   // of an object or array
	next *node
	kind nodeKind
}

// list is a chain of siblings, in the order of the callback.
type list struct{ first, last *node }

func (l *list) add(n *node) {
	if l.first == nil {
		l.first = n
	} else {
		l.last.next = n
	}
	l.last = n
}

func (l *list) append(more list) {
	if l.first == nil {
		*l = more
	} else if more.first != nil {
		l.last.next = more.first
		l.last = more.last
	}
}

func (l list) single() bool { return l.first != nil && l.first == l.last }

// all yields the children of that name. A nil node has none.
func (n *node) all(name string) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		if n == nil {
			return
		}
		for k := n.kids.first; k != nil; k = k.next {
			if k.name == name && !yield(k) {
				return
			}
		}
	}
}

// child gives the first child of that name, or nil.
func (n *node) child(name string) *node {
	for k := range n.all(name) {
		return k
	}
	return nil
}

// has tells whether there is a child of one of those names.
func (n *node) has(names ...string) bool {
	for _, name := range names {
		if n.child(name) != nil {
			return true
		}
	}
	return false
}

// only gives the one child of that name, or nil where there is none or several.
func (n *node) only(name string) *node {
	var found *node
	for k := range n.all(name) {
		if found != nil {
			return nil
		}
		found = k
	}
	return found
}

// value gives the text of the one scalar of that name, and "" where there is
// none, or several, or something else than a scalar.
func (n *node) value(name string) string {
	if k := n.only(name); k != nil && k.kind == scalar {
		return k.text
	}
	return ""
}

// first gives the first of those names' values that is not empty.
func (n *node) first(names ...string) string {
	for _, name := range names {
		if v := n.value(name); v != "" {
			return v
		}
	}
	return ""
}

// arena hands out nodes in blocks, which costs less time and memory than one at a
// time, and counts what was read against MaxNodes.
type arena struct {
	block []node
	read  int
}

// count says that n more elements, values or attributes were read, and whether
// that is still within MaxNodes.
func (a *arena) count(n int) bool {
	a.read += n
	return a.read <= MaxNodes
}

func (a *arena) node(n node) *node {
	if len(a.block) == cap(a.block) {
		a.block = make([]node, 0, min(max(64, 2*cap(a.block)), 4096))
	}
	a.block = append(a.block, n)
	return &a.block[len(a.block)-1]
}
