package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

const (
	maxTreeBytes = 2 << 20 // of a text that is shown as a tree
	maxTreeNodes = 2000    // nodes of a tree that are shown
	maxTreeDepth = 40      // levels of a tree that are shown
	maxTreeText  = 4 << 10 // bytes of a value that are shown
)

// A treeNode is a value of a JSON text, for nested <details>.
type treeNode struct {
	Name     string
	Kind     string // "object", "list" or "value"
	Text     string // of a value
	Cut      bool   // the value is longer than it is shown
	Size     int    // members of an object or a list
	Hidden   int    // members that are not shown
	Children []*treeNode
	Open     bool // shown opened: the top, and what failed
}

// newTree reads a JSON text into a tree. It returns nil where it is none, or too long to
// be read by anybody.
func newTree(body []byte) *treeNode {
	if len(body) > maxTreeBytes {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // an id with twenty digits stays what it is
	b := treeBuilder{decoder: decoder, room: maxTreeNodes}
	root, err := b.value("detail", 0)
	if err != nil {
		return nil
	}
	root.Open = true
	return root
}

// treeBuilder reads values in the order in which they are written.
type treeBuilder struct {
	decoder *json.Decoder
	room    int // nodes that may still be made
}

func (b *treeBuilder) value(name string, depth int) (*treeNode, error) {
	token, err := b.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
		return b.members(name, token.(json.Delim), depth)
	}
	node := &treeNode{Name: name, Kind: "value", Text: fmt.Sprint(token)}
	if len(node.Text) > maxTreeText {
		node.Text, node.Cut = strings.ToValidUTF8(node.Text[:maxTreeText], ""), true
	}
	return node, nil
}

// members reads an object or a list to its end. Members for which there is no room are
// read and counted.
func (b *treeBuilder) members(name string, opening json.Delim, depth int) (*treeNode, error) {
	node := &treeNode{Name: name, Kind: "object"}
	if opening == '[' {
		node.Kind = "list"
	}
	for b.decoder.More() {
		member := fmt.Sprint(node.Size)
		if opening == '{' {
			token, err := b.decoder.Token()
			if err != nil {
				return nil, err
			}
			member = fmt.Sprint(token)
		}
		node.Size++
		b.room--
		child, err := b.value(member, depth+1)
		if err != nil {
			return nil, err
		}
		if b.room < 0 || depth >= maxTreeDepth {
			node.Hidden++
			continue
		}
		child.Open = child.Open || child.failed()
		node.Open = node.Open || child.Open
		node.Children = append(node.Children, child)
	}
	_, err := b.decoder.Token() // the closing one
	return node, err
}

// failed reports whether an object says of itself that it failed.
func (n *treeNode) failed() bool {
	for _, child := range n.Children {
		if child.Name == "State" && child.Text == "Failed" {
			return true
		}
	}
	return false
}

// Words says what a node with members is: "2 fields", "list of 3".
func (n *treeNode) Words() string {
	if n.Kind == "list" {
		return "list of " + catalog.Count(n.Size)
	}
	return plural(n.Size, "field", "fields")
}

// indent writes a record's bytes with line breaks, for reading. What is no JSON stays as
// it is.
func indent(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(body), "", "  ") != nil {
		return strings.ToValidUTF8(string(body), "\uFFFD")
	}
	return out.String()
}

// factsOf returns what a record says of its job in single words.
func factsOf(r *model.Record) []fact {
	var facts []fact
	add := func(f fact) {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	add(fact{Name: "Id", Value: r.ID, Code: true})
	add(fact{Name: "Kind", Value: string(r.Kind)})
	add(fact{Name: "Event", Value: r.Event})
	add(fact{Name: "Type", Value: r.Tag, Path: "/records", Query: "type"})
	add(fact{Name: "Subtype", Value: r.SubTag})
	add(fact{Name: "Queue", Value: r.QueueID, Code: true})
	if r.Input != nil {
		add(fact{Name: "Input", Value: r.Input.Key, Code: true, Path: "/records", Query: "input"})
		add(fact{Name: "Input bucket", Value: strings.TrimSpace(r.Input.Bucket + " " + r.Input.Region)})
	}
	if w := r.Workflow; w != nil {
		add(fact{Name: "Workflow", Value: strings.TrimSpace(w.WorkflowName + " " + w.WorkflowID)})
		if r.Kind != model.KindWorkflow && validName(w.RunID) {
			add(fact{Name: "Workflow run", Value: w.RunID, Code: true, Path: "/workflows/" + w.RunID})
		}
		add(fact{Name: "Workflow node", Value: w.Name})
	}
	add(fact{Name: "User data", Value: r.UserData, Code: true})
	return facts
}
