package model_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// seed adds testdata's callbacks with one of those extensions.
func seed(f *testing.F, extensions ...string) {
	f.Helper()
	for _, files := range callbacks(f) {
		for _, file := range files {
			if slices.Contains(extensions, filepath.Ext(file)) {
				f.Add(readFile(f, file))
			}
		}
	}
}

// FuzzDecodeXML asserts what check asserts, of what begins like XML.
func FuzzDecodeXML(f *testing.F) {
	seed(f, ".xml")
	f.Add([]byte("<R><JobsDetail>x<JobId>j</JobId><![CDATA[y]]><a b='c'/>z&#13;&lt;<n:a>\r\n1</n:a></JobsDetail></R>"))
	f.Add([]byte(`<?xml version="1.0" encoding="utf-8"?><JobsDetail><JobId>j</JobId></JobsDetail><!-- --><WorkflowExecution><RunId>i</RunId></WorkflowExecution>`))
	f.Add([]byte("<JobsDetail><JobId>j</JobId><a>]]&gt;]&#93;>\r\n\r&#xD;\n&apos;&quot;</a ><b c = \"]]>&amp;'\" d='\"'/><!--x--><?y::z ?></JobsDetail>"))
	f.Add([]byte(`<Response><code>0</code><data><trace_id>s</trace_id></data></Response>`))
	schema := recordSchema(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if !bytes.HasPrefix(body, []byte("<")) {
			body = append([]byte("<"), body...)
		}
		if hasNewerName(body) {
			return
		}
		check(t, schema, body)
		checkXMLSyntax(t, body)
	})
}

// checkXMLSyntax asserts that what decodes is XML to encoding/xml, and that what is
// refused for its syntax is none. (That both read the same texts is for check to assert.)
// They differ in two things: a reference to half a surrogate pair, which encoding/xml
// replaces, and names, see hasNewerName.
func checkXMLSyntax(t reporter, body []byte) {
	t.Helper()
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("<")) || !utf8.Valid(body) {
		return
	}
	_, err := model.Decode(body)
	theirs := xmlSyntaxError(body)
	if err == nil && theirs != nil || err != nil && isXMLSyntax.MatchString(err.Error()) && theirs == nil {
		t.Errorf("encoding/xml says %v, Decode %v: %q", theirs, err, body)
	}
}

// hasNewerName reports whether a body has a name with letters beyond ASCII that only the
// fifth edition of XML 1.0 takes. encoding/xml knows those of the fourth.
func hasNewerName(body []byte) bool {
	err := xmlSyntaxError(body)
	return err != nil && strings.Contains(err.Error(), "invalid XML name")
}

// isXMLSyntax are the refusals for what is no XML at all.
var isXMLSyntax = regexp.MustCompile(`not well-formed XML|closes nothing|ends inside of`)

// xmlSyntaxError returns what encoding/xml finds wrong with a body.
func xmlSyntaxError(body []byte) error {
	dec := xml.NewDecoder(bytes.NewReader(body))
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// FuzzDecodeJSON asserts what check asserts, of what begins like JSON, and that Decode
// and encoding/json agree on what is JSON.
func FuzzDecodeJSON(f *testing.F) {
	seed(f, ".json")
	f.Add([]byte(`{"JobsDetail":{"JobId":"j","a":[[1,2],[[3]],{"b":[true,null,-1.5e+3]}],"a":"\ud83d\ude00\u00e9\n\/","":{"":0}}}`))
	f.Add([]byte(`{"JobsDetail":[{"JobId":"j","OutputFile":[[{"ObjectName":"a"},"b"]]},[],{}],"WorkflowExecution":[[{"RunId":"i"}]]}`))
	f.Add([]byte(`{"JobsDetail":{"JobId":"j"},"a":"\ud83d"}`))
	f.Add([]byte(`{"data":{"trace_id":"s","url":"b-1.cos.ap-a.myqcloud.com/%80"}}`))
	schema := recordSchema(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if !bytes.HasPrefix(body, []byte("{")) {
			body = append([]byte("{"), body...)
		}
		check(t, schema, body)
		checkSyntax(t, body)
	})
}

// checkSyntax asserts that what decodes is JSON to encoding/json, and that what is
// refused for its syntax is none.
func checkSyntax(t *testing.T, body []byte) {
	t.Helper()
	_, err := model.Decode(body)
	if valid := json.Valid(body); err == nil && !valid || err != nil && !notSyntax.MatchString(err.Error()) && valid {
		t.Errorf("json.Valid says %v, Decode %v: %s", valid, err, body)
	}
}

// notSyntax are the refusals that say nothing of the syntax of all of the body.
var notSyntax = regexp.MustCompile(`no job in it|not an object with|no (JobId|RunId|trace_id)|is not an id|EventName: longer|` +
	`deeper than|more than|half a surrogate pair|not UTF-8`)

// FuzzDecodeQueried asserts that whatever CI seems to answer makes a good record, or is
// refused.
func FuzzDecodeQueried(f *testing.F) {
	seed(f, ".xml", ".json")
	f.Add([]byte(`<WorkflowExecution><RunId>i</RunId><Name>n</Name><Tasks><State>Failed</State><Code>c</Code></Tasks></WorkflowExecution>`))
	schema := recordSchema(f)
	f.Fuzz(func(t *testing.T, element []byte) {
		r, err := model.DecodeQueried(element)
		if err != nil {
			checkError(t, element, err)
			return
		}
		if r.Source != model.SourceQuery || r.Event != "" {
			t.Errorf("source %q, event %q: %s", r.Source, r.Event, element)
		}
		if encoded := encodeAll(t, []*model.Record{r}); validate(t, schema, encoded) != nil {
			t.Errorf("%v: %s", validate(t, schema, encoded), encoded)
		}
	})
}

// FuzzParseRecord asserts that what is read as a record can be written, is then the same
// record, and is as old as Compare says.
func FuzzParseRecord(f *testing.F) {
	for _, lines := range goldens(f) {
		for _, line := range lines {
			f.Add(line)
		}
	}
	f.Add([]byte(`{"version":3,"kind":"job","id":"j1","state":{},"detail":[]}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		r, err := model.ParseRecord(encoded)
		if err != nil {
			if !errors.Is(err, model.ErrNotRecord) {
				t.Errorf("%v: %q", err, encoded)
			}
			return
		}
		if kind, id, ok := model.ParseKey("ci/", r.Key("ci/")); kind != r.Kind || id != r.ID || !ok {
			t.Errorf("the key %s is of %q, %q, %v", r.Key("ci/"), kind, id, ok)
		}
		if r.LaterFormat() {
			return
		}
		again := encodeAll(t, []*model.Record{r})
		parsed, err := model.ParseRecord(again)
		if diff := cmp.Diff(r, parsed); err != nil || diff != "" {
			t.Errorf("%v: %q\n%s", err, encoded, diff)
		}
		if model.Compare(again, nil) <= 0 {
			t.Errorf("no newer than nothing: %q", again)
		}
	})
}

// FuzzPair writes the detail of whatever decodes as XML, and asserts that its record
// is the same.
func FuzzPair(f *testing.F) {
	seed(f, ".xml", ".json")
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := model.Decode(body)
		if err != nil {
			return
		}
		for _, r := range c.Records {
			twin, ok := xmlTwin(t, r)
			if !ok {
				continue
			}
			want, got := encodeAll(t, []*model.Record{r}), encode(t, twin)
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-first +from XML:\n%s\n%s", diff, twin)
			}
		}
	})
}

// xmlTwin returns a body in XML with the detail and the event of a record, if XML
// can say that: it has no arrays in arrays, fewer names, and no control characters.
func xmlTwin(t testing.TB, r *model.Record) ([]byte, bool) {
	t.Helper()
	var detail any
	if err := json.Unmarshal(r.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	w := xmlWriter{ok: true}
	w.out.WriteString("<Response>")
	switch {
	case isSimple(r):
		w.members(detail.(map[string]any))
	case r.Kind == model.KindWorkflow:
		w.value("EventName", r.Event)
		w.value("WorkflowExecution", detail)
	default:
		w.value("EventName", r.Event)
		w.value("JobsDetail", detail)
	}
	w.out.WriteString("</Response>")
	return w.out.Bytes(), w.ok
}

type xmlWriter struct {
	out bytes.Buffer
	ok  bool
}

var xmlName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

func (w *xmlWriter) members(m map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		values, many := m[name].([]any)
		if !many {
			values = []any{m[name]}
		}
		for _, v := range values {
			w.value(name, v)
		}
	}
}

func (w *xmlWriter) value(name string, v any) {
	w.ok = w.ok && xmlName.MatchString(name)
	w.out.WriteString("<" + name + ">")
	switch v := v.(type) {
	case string:
		w.ok = w.ok && isXMLText(v)
		if err := xml.EscapeText(&w.out, []byte(v)); err != nil {
			panic(err)
		}
	case map[string]any:
		w.members(v)
	default:
		w.ok = false
	}
	w.out.WriteString("</" + name + ">")
}

// isXMLText reports whether XML 1.0 has all characters of a text.
func isXMLText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}
