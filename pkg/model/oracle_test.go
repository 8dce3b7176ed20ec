package model_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// The leaves of a body are read here a second time, by the standard library alone
// and in the plainest way, for the tests to compare detail with.

// reporter is what *testing.T and *rapid.T have in common.
type reporter interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// leaf is a text that is not blank, and the names that lead to it. A callback's
// arrays have no names, for XML has none.
type leaf struct{ Path, Text string }

// leavesOf returns the leaves of a body that Decode understands.
func leavesOf(t reporter, body []byte) []leaf {
	t.Helper()
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("<")) {
		return leavesOfXML(t, body)
	}
	return leavesOfJSON(t, body)
}

func leavesOfJSON(t reporter, body []byte) []leaf {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var leaves []leaf
	var value func(path string)
	token := func() json.Token {
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("encoding/json: %v: %s", err, body)
		}
		return tok
	}
	value = func(path string) {
		switch tok := token(); tok {
		case nil:
		case json.Delim('{'):
			for dec.More() {
				value(path + "/" + token().(string))
			}
			token()
		case json.Delim('['):
			for dec.More() {
				value(path)
			}
			token()
		default:
			leaves = addLeaf(leaves, path, fmt.Sprint(tok))
		}
	}
	value("")
	return leaves
}

// leavesOfXML leaves out the name of the root, which JSON does not have.
func leavesOfXML(t reporter, body []byte) []leaf {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(body))
	type element struct {
		path   string
		texts  []string // runs between tags
		leaves []leaf
	}
	stack := []element{{texts: []string{""}}}
	for {
		tok, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("encoding/xml: %v: %s", err, body)
		}
		top := &stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			top.texts = append(top.texts, "")
			name := tok.Name.Local
			if tok.Name.Space != "" {
				name = tok.Name.Space + ":" + name
			}
			path := top.path + "/" + name
			if len(stack) == 1 && !slices.Contains([]string{"EventName", "JobsDetail", "WorkflowExecution"}, name) {
				path = ""
			}
			stack = append(stack, element{path: path, texts: []string{""}})
		case xml.CharData:
			top.texts[len(top.texts)-1] += string(tok)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
			texts := slices.DeleteFunc(top.texts, func(s string) bool { return strings.TrimSpace(s) == "" })
			if len(top.leaves) == 0 && len(texts) == 1 {
				top.leaves = addLeaf(nil, top.path, texts[0])
			} else {
				for _, text := range texts {
					top.leaves = addLeaf(top.leaves, top.path+"/#text", text)
				}
			}
			stack[len(stack)-1].leaves = append(stack[len(stack)-1].leaves, top.leaves...)
		}
	}
	return stack[0].leaves
}

func addLeaf(leaves []leaf, path, text string) []leaf {
	if strings.TrimSpace(text) == "" {
		return leaves
	}
	return append(leaves, leaf{path, text})
}

func sortLeaves(leaves []leaf) []leaf {
	slices.SortFunc(leaves, func(a, b leaf) int {
		if a.Path != b.Path {
			return strings.Compare(a.Path, b.Path)
		}
		return strings.Compare(a.Text, b.Text)
	})
	return leaves
}

// envelopes returns the bodies that a record's own detail may stand for.
func envelopes(r *model.Record) []string {
	switch {
	case r.Kind == model.KindWorkflow:
		return []string{fmt.Sprintf(`{"EventName":%s,"WorkflowExecution":%s}`, quoteJSON(r.Event), r.Detail)}
	case isSimple(r):
		return []string{string(r.Detail), fmt.Sprintf(`{"Response":%s}`, r.Detail)}
	default:
		return []string{
			fmt.Sprintf(`{"EventName":%s,"JobsDetail":%s}`, quoteJSON(r.Event), r.Detail),
			fmt.Sprintf(`{"Response":{"JobsDetail":[%s],"EventName":[%s]}}`, r.Detail, quoteJSON(r.Event)),
		}
	}
}

// isSimple reports whether this is a review in the Simple form, whose detail is the whole
// body.
func isSimple(r *model.Record) bool {
	var d struct {
		Data struct {
			ID string `json:"trace_id"`
		} `json:"data"`
	}
	return r.Kind == model.KindReview && json.Unmarshal(r.Detail, &d) == nil && d.Data.ID == r.ID
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// check asserts what is true of every body, and returns its callback and how many leaves
// were compared. The callback is nil where the body is refused whole.
func check(t reporter, schema *jsonschema.Schema, body []byte) (*model.Callback, int) {
	t.Helper()
	c, err := model.Decode(body)
	if err != nil {
		checkError(t, body, err)
	}
	if c == nil {
		checkRefusal(t, body, err)
		return nil, 0
	}
	partial, isPartial := errors.AsType[*model.PartialError](err)
	if err != nil && !isPartial {
		t.Fatalf("%T %v beside a callback: %s", err, err, body)
	}
	if (c.Probe != "") != (len(c.Records) == 0) || c.Probe != "" && (err != nil || c.Older != nil) {
		t.Fatalf("probe %q, %d records, error %v: %s", c.Probe, len(c.Records), err, body)
	}
	checkVersions(t, body, c)
	for _, r := range slices.Concat(c.Records, c.Older) {
		checkRecord(t, schema, r)
	}
	if isPartial {
		if len(partial.Faults) == 0 {
			t.Errorf("a partial error without a fault: %s", body)
		}
		return c, 0 // the leaves of the jobs that were not understood are in no record
	}
	return c, checkLeaves(t, body, slices.Concat(c.Records, c.Older))
}

// checkVersions asserts that each id has one newest record, and that its other versions
// are older.
func checkVersions(t reporter, body []byte, c *model.Callback) {
	t.Helper()
	newest := map[string][]byte{}
	for _, r := range c.Records {
		if newest[r.Key("")] != nil {
			t.Errorf("twice: %s: %s", r.Key(""), body)
		}
		newest[r.Key("")] = encodeAll(t, []*model.Record{r})
	}
	seen := map[string]bool{}
	for _, r := range c.Older {
		encoded := encodeAll(t, []*model.Record{r})
		if model.Compare(newest[r.Key("")], encoded) <= 0 || seen[string(encoded)] {
			t.Errorf("not older, or twice: %s: %s", encoded, body)
		}
		seen[string(encoded)] = true
	}
}

// checkRefusal asserts that a body is refused as a whole by a MalformedError alone.
func checkRefusal(t reporter, body []byte, err error) {
	t.Helper()
	if _, ok := err.(*model.MalformedError); !ok { // itself, not wrapped
		t.Fatalf("%T %v: %s", err, err, body)
	}
}

// checkError asserts that an error has a message that can be shown, and a place that is
// in the body.
func checkError(t reporter, body []byte, err error) {
	t.Helper()
	e, ok := errors.AsType[*model.MalformedError](err)
	if !ok {
		t.Fatalf("%T %v: %s", err, err, body)
	}
	message := err.Error()
	if e.Reason == "" || len(message) > 10_000 || !utf8.ValidString(message) || strings.ContainsAny(message, "\r\n\x00") {
		t.Errorf("message %q: %s", message, body)
	}
	if lines := bytes.Count(body, []byte("\n")) + 1; (e.Line == 0) != (e.Column == 0) || e.Line > lines || e.Column > len(body)+1 {
		t.Errorf("line %d, column %d of %d lines: %s", e.Line, e.Column, lines, body)
	}
}

func checkRecord(t reporter, schema *jsonschema.Schema, r *model.Record) {
	t.Helper()
	encoded, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(encoded, []byte("\n")) != 1 || !bytes.HasSuffix(encoded, []byte("}\n")) || !utf8.Valid(encoded) {
		t.Errorf("not one line of UTF-8: %q", encoded)
	}
	if err := validate(t, schema, encoded); err != nil {
		t.Errorf("%v: %s", err, encoded)
	}
	parsed, err := model.ParseRecord(encoded)
	if err != nil {
		t.Fatalf("%v: %s", err, encoded)
	}
	if diff := cmp.Diff(r, parsed); diff != "" {
		t.Errorf("parsed back, -decoded +parsed:\n%s", diff)
	}
	for _, body := range envelopes(r) {
		if again := encode(t, []byte(body)); string(again) != string(encoded) {
			t.Errorf("detail decoded again, -first +again:\n%s", cmp.Diff(string(encoded), string(again)))
		}
	}
}

// checkLeaves compares the details of a body's records with its leaves.
func checkLeaves(t reporter, body []byte, records []*model.Record) int {
	t.Helper()
	if len(records) == 0 {
		return 0
	}
	var want, got []leaf
	simple := len(records) == 1 && isSimple(records[0])
	leaves := leavesOf(t, body)
	wrapped := !slices.ContainsFunc(leaves, func(l leaf) bool { return isCallback.MatchString(l.Path) })
	for _, l := range leaves {
		if rest, ok := strings.CutPrefix(l.Path, "/Response/"); ok && wrapped {
			l.Path = "/" + rest
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(l.Path, "/"), "/")
		if simple || first == "JobsDetail" || first == "WorkflowExecution" {
			want = append(want, l)
		}
	}
	for _, r := range records {
		parent := "/JobsDetail"
		if r.Kind == model.KindWorkflow {
			parent = "/WorkflowExecution"
		}
		if simple {
			parent = ""
		}
		for _, l := range leavesOfJSON(t, r.Detail) {
			got = append(got, leaf{parent + l.Path, l.Text})
		}
	}
	if idsIn(want) > len(records) && !simple {
		return 0 // the same version twice
	}
	if diff := cmp.Diff(sortLeaves(want), sortLeaves(got)); diff != "" {
		t.Errorf("leaves, -body +details:\n%s\n%s", diff, body)
	}
	return len(got)
}

// isCallback is the path of a leaf that makes what it stands in a callback.
var isCallback = regexp.MustCompile(`^/(JobsDetail|WorkflowExecution|data)(/|$)`)

// idsIn counts the jobs and workflow runs.
func idsIn(leaves []leaf) (n int) {
	for _, l := range leaves {
		if l.Path == "/JobsDetail/JobId" || l.Path == "/WorkflowExecution/RunId" {
			n++
		}
	}
	return n
}
