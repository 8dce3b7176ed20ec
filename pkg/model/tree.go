package model

import (
	"iter"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// The limits that keep the worst body affordable: a body beyond any of them is
// malformed. CI's own callbacks are far below them (8 levels, a few hundred nodes).
const (
	// MaxDepth is how many elements, objects and arrays may be open at once.
	MaxDepth = 64
	// MaxNodes is how many elements, values and attributes a body may hold.
	MaxNodes = 400_000
	// MaxJobs is how many jobs, workflow runs and reviews a body may hold.
	MaxJobs = 1_000
	// MaxOutputs is how many objects one job may have written. A snapshot job can ask
	// for 10,000 pictures at most.
	MaxOutputs = 20_000
	// MaxOutputKeyBytes is how long the keys of all outputs of a body may be together: as
	// long as those of one job can be. An output repeats the prefix of its file, so that
	// without this limit a few megabytes could stand for a few hundred.
	MaxOutputKeyBytes = MaxOutputs * cosname.MaxKeyBytes
	// MaxEventBytes is how long EventName may be, which every record of a body repeats.
	MaxEventBytes = 256
)

type nodeKind uint8

const (
	scalar nodeKind = iota
	object
	array // only inside another array: a member's array is a repeated member
)

// node is what XML and JSON have in common: a named scalar, or a named list of nodes. A
// repeated XML element and a JSON array of that name are the same thing, several
// children of one name. No node of a tree is empty.
type node struct {
	name     string
	scalar   string   // the text of a scalar
	children nodeList // of an object or array
	next     *node
	kind     nodeKind
}

// nodeList is a chain of siblings, in the order of the callback.
type nodeList struct{ head, tail *node }

func (l *nodeList) add(n *node) {
	if l.head == nil {
		l.head = n
	} else {
		l.tail.next = n
	}
	l.tail = n
}

func (l *nodeList) append(more nodeList) {
	if l.head == nil {
		*l = more
	} else if more.head != nil {
		l.tail.next = more.head
		l.tail = more.tail
	}
}

func (l nodeList) empty() bool { return l.head == nil }

func (l nodeList) hasOne() bool { return l.head != nil && l.head == l.tail }

func (l nodeList) all() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for n := l.head; n != nil; n = n.next {
			if !yield(n) {
				return
			}
		}
	}
}

// named yields the children of that name. A nil node has none.
func (n *node) named(name string) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		if n == nil {
			return
		}
		for child := n.children.head; child != nil; child = child.next {
			if child.name == name && !yield(child) {
				return
			}
		}
	}
}

// first returns the first child of that name, or nil.
func (n *node) first(name string) *node {
	for child := range n.named(name) {
		return child
	}
	return nil
}

// has reports whether there is a child of one of those names.
func (n *node) has(names ...string) bool {
	for _, name := range names {
		if n.first(name) != nil {
			return true
		}
	}
	return false
}

// single returns the one child of that name, or nil where there is none or several.
func (n *node) single(name string) *node {
	var found *node
	for child := range n.named(name) {
		if found != nil {
			return nil
		}
		found = child
	}
	return found
}

// text returns the text of the one scalar that has the first of those names. It is ""
// where there is no child of any of those names, or several, or an object.
func (n *node) text(names ...string) string {
	for _, name := range names {
		if child := n.single(name); child != nil && child.kind == scalar {
			return child.scalar
		}
	}
	return ""
}

// arena hands out nodes in blocks, which costs less time and memory than one at a time,
// and counts what was read against MaxNodes.
type arena struct {
	block []node
	read  int
}

// count adds n elements, values or attributes to those that were read, and reports
// whether they are still within MaxNodes.
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
