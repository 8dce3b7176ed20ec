package cilocal

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// maxDepth bounds how deep the elements of a request may be nested.
const maxDepth = 64

// element is an XML element: a text, or other elements in it.
type element struct {
	name     string
	text     string
	children []*element
}

// parseElement reads a body of one element and nothing else. Attributes are passed over,
// as CI's bodies have none.
func parseElement(body []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	root := &element{}
	open := []*element{root}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			if len(open) > maxDepth {
				return nil, errors.New("the elements are nested too deep")
			}
			if token.Name.Space != "" && !isName(token.Name.Local) {
				return nil, errors.New("what follows a prefix is no name of an element")
			}
			child := &element{name: token.Name.Local}
			top.children = append(top.children, child)
			open = append(open, child)
		case xml.EndElement:
			if len(top.children) > 0 {
				top.text = "" // the white space between its elements
			}
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(token)
		}
	}
	if len(root.children) != 1 || strings.TrimSpace(root.text) != "" {
		return nil, errors.New("the body is not one XML element")
	}
	return root.children[0], nil
}

// isName reports whether a text may stand as the name of an element. What follows a prefix
// need not: encoding/xml takes A:0, of which 0 is left.
func isName(s string) bool {
	_, err := xml.NewDecoder(strings.NewReader("<" + s + "/>")).RawToken()
	return err == nil
}

// child returns the first element of a name, or an empty one.
func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return &element{}
}

// childText returns the text of the first element of a name, without the white space
// around it.
func (e *element) childText(name string) string {
	return strings.TrimSpace(e.child(name).text)
}

// appendInner appends what is inside the element as XML.
func (e *element) appendInner(b *bytes.Buffer) {
	if len(e.children) == 0 {
		_ = xml.EscapeText(b, []byte(e.text)) // writing to a bytes.Buffer does not fail
		return
	}
	for _, c := range e.children {
		b.WriteString("<" + c.name + ">")
		c.appendInner(b)
		b.WriteString("</" + c.name + ">")
	}
}

// listNames are the elements that CI's JSON has as an array even where there is one.
// Which it has is not documented; these are arrays in the samples since 2026.
var listNames = map[string]bool{
	"JobsDetail": true, "Md5Info": true, "ObjectName of OutputFile": true, "Audio": true, "Video": true,
	"Subtitle": true, "Tasks": true, "CosHeaders": true, "WatermarkTemplateId": true,
}

// appendJSON appends the element as CI's JSON: every scalar a string, empty elements left
// out, elements of one name in an array where there are several.
func (e *element) appendJSON(b *bytes.Buffer) {
	if len(e.children) == 0 {
		appendJSONString(b, e.text)
		return
	}
	b.WriteByte('{')
	done := map[string]bool{}
	for _, c := range e.children {
		if done[c.name] || c.isEmpty() {
			continue
		}
		if len(done) > 0 {
			b.WriteByte(',')
		}
		done[c.name] = true
		appendJSONString(b, c.name)
		b.WriteByte(':')
		e.appendJSONOf(b, c.name)
	}
	b.WriteByte('}')
}

// appendJSONString appends a text as a JSON string.
func appendJSONString(b *bytes.Buffer, text string) {
	quoted, _ := json.Marshal(text) // a string always encodes
	b.Write(quoted)
}

// appendJSONOf appends the elements of a name.
func (e *element) appendJSONOf(b *bytes.Buffer, name string) {
	var same []*element
	for _, c := range e.children {
		if c.name == name && !c.isEmpty() {
			same = append(same, c)
		}
	}
	if len(same) == 1 && !listNames[name] && !listNames[name+" of "+e.name] {
		same[0].appendJSON(b)
		return
	}
	b.WriteByte('[')
	for i, c := range same {
		if i > 0 {
			b.WriteByte(',')
		}
		c.appendJSON(b)
	}
	b.WriteByte(']')
}

// isEmpty reports whether there is no text in the element nor in any inside it.
func (e *element) isEmpty() bool {
	for _, c := range e.children {
		if !c.isEmpty() {
			return false
		}
	}
	return strings.TrimSpace(e.text) == ""
}

// writer builds XML element by element.
type writer struct{ bytes.Buffer }

// text writes an element with a text; an empty one as <Name/>.
func (w *writer) text(name, text string) {
	if text == "" {
		w.WriteString("<" + name + "/>")
		return
	}
	w.WriteString("<" + name + ">")
	_ = xml.EscapeText(&w.Buffer, []byte(text)) // writing to a bytes.Buffer does not fail
	w.WriteString("</" + name + ">")
}

// optional writes an element unless its text is empty.
func (w *writer) optional(name, text string) {
	if text != "" {
		w.text(name, text)
	}
}

// element writes an element with what inner writes in it.
func (w *writer) element(name string, inner func()) {
	w.WriteString("<" + name + ">")
	inner()
	w.WriteString("</" + name + ">")
}
