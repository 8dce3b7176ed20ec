package model_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// recordSchema compiles the schema, with formats asserted.
func recordSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(model.Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("record.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("record.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t reporter, s *jsonschema.Schema, record []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(record)))
	if err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	return s.Validate(v)
}

func TestGoldensFollowTheSchema(t *testing.T) {
	t.Parallel()
	s := recordSchema(t)
	for name, lines := range goldens(t) {
		for _, line := range lines {
			if err := validate(t, s, line); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestSchemaRefuses breaks a good record in one place each.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"version":2,"kind":"job","id":"j1","state":"Success","endTime":"2026-03-02T10:00:31+08:00",` +
		`"input":{"object":"a"},"outputs":[{"object":"a","md5":"0123456789abcdef0123456789abcdef"}],"workflow":{"name":"n"},"detail":{"JobId":"j1"}}`
	s := recordSchema(t)
	if err := validate(t, s, []byte(good)); err != nil {
		t.Fatal(err)
	}
	if err := validate(t, s, []byte(strings.Replace(good, `{`, `{"later":{"field":1},`, 1))); err != nil {
		t.Errorf("a field of a later time: %v", err)
	}
	tests := map[string]struct{ old, broken string }{
		"no_version":       {`"version":2,`, ``},
		"other_version":    {`"version":2`, `"version":3`},
		"version_a_text":   {`"version":2`, `"version":"2"`},
		"no_kind":          {`"kind":"job",`, ``},
		"other_kind":       {`"job"`, `"task"`},
		"no_id":            {`"id":"j1",`, ``},
		"bad_id":           {`"id":"j1"`, `"id":"j.1"`},
		"other_source":     {`"state"`, `"source":"callback","state"`},
		"other_verdict":    {`"state"`, `"verdict":"block","state"`},
		"no_state":         {`"state":"Success",`, ``},
		"empty_state":      {`"Success"`, `""`},
		"state_a_boolean":  {`"Success"`, `true`},
		"no_offset":        {`+08:00`, ``},
		"offset_of_ci":     {`+08:00`, `+0800`},
		"no_time":          {`2026-03-02T10:00:31+08:00`, `-`},
		"empty_input":      {`"input":{"object":"a"}`, `"input":{}`},
		"no_outputs":       {`[{"object":"a","md5":"0123456789abcdef0123456789abcdef"}]`, `[]`},
		"output_unnamed":   {`{"object":"a","md5"`, `{"bucket":"b","md5"`},
		"output_template":  {`{"object":"a","md5"`, `{"object":"a-${Number}.jpg","md5"`},
		"md5_in_capitals":  {`0123456789abcdef`, `0123456789ABCDEF`},
		"md5_short":        {`0123456789abcdef`, ``},
		"empty_workflow":   {`{"name":"n"}`, `{}`},
		"no_detail":        {`,"detail":{"JobId":"j1"}`, ``},
		"detail_empty":     {`{"JobId":"j1"}`, `{}`},
		"detail_a_text":    {`{"JobId":"j1"}`, `"j1"`},
		"number_in_detail": {`{"JobId":"j1"}`, `{"JobId":"j1","a":[{"b":1}]}`},
		"null_in_detail":   {`{"JobId":"j1"}`, `{"JobId":null}`},
		"empty_in_detail":  {`{"JobId":"j1"}`, `{"JobId":"j1","a":{"b":""}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(good, test.old, test.broken, 1)
			if broken == good {
				t.Fatalf("nothing to break: %s", test.old)
			}
			if err := validate(t, s, []byte(broken)); err == nil {
				t.Errorf("passes: %s", broken)
			}
		})
	}
}

// schemaNode is what of a schema the Go type can be compared with.
type schemaNode struct {
	Type        string                `json:"type"`
	Ref         string                `json:"$ref"`
	Description string                `json:"description"`
	Required    []string              `json:"required"`
	Properties  map[string]schemaNode `json:"properties"`
	Items       *schemaNode           `json:"items"`
	Defs        map[string]schemaNode `json:"$defs"`
}

// TestSchemaIsOfTheGoType compares the schema and the Go type field by field, both
// ways: names, types, and which fields are always there.
func TestSchemaIsOfTheGoType(t *testing.T) {
	t.Parallel()
	var root schemaNode
	if err := json.Unmarshal([]byte(model.Schema), &root); err != nil {
		t.Fatal(err)
	}
	compareType(t, root, root, reflect.TypeFor[model.Record](), "record")
}

func compareType(t *testing.T, root, s schemaNode, typ reflect.Type, path string) {
	t.Helper()
	if s.Description == "" && s.Ref == "" && !strings.HasSuffix(path, "[]") {
		t.Errorf("%s: no description", path)
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		s = root.Defs[name]
	}
	if got := jsonType(typ); got != s.Type {
		t.Errorf("%s: schema says %q, Go %q", path, s.Type, got)
		return
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case s.Type == "array":
		compareType(t, root, *s.Items, typ.Elem(), path+"[]")
	case typ.Kind() == reflect.Struct:
		fields, required := fieldsOf(typ)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(maps.Keys(fields))); diff != "" {
			t.Errorf("%s: names, -schema +Go:\n%s", path, diff)
		}
		if path == "record" { // an object's other fields may all be absent but object, which no output lacks
			if diff := cmp.Diff(s.Required, required); diff != "" {
				t.Errorf("%s: required, -schema +Go:\n%s", path, diff)
			}
		} else if len(required) > 0 {
			t.Errorf("%s: without omitempty: %q", path, required)
		}
		for name, field := range fields {
			compareType(t, root, s.Properties[name], field, path+"."+name)
		}
	}
}

// fieldsOf returns a struct's fields by their JSON names, those of an embedded
// struct among them, and the names of those that are always encoded.
func fieldsOf(typ reflect.Type) (fields map[string]reflect.Type, required []string) {
	fields = map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f.Type
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return fields, required
}

// jsonType returns the schema's type for what a Go type encodes to.
func jsonType(typ reflect.Type) string {
	if typ == reflect.TypeFor[json.RawMessage]() {
		return "object"
	}
	switch typ.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int:
		return "integer"
	case reflect.Slice:
		return "array"
	case reflect.Pointer, reflect.Struct:
		return "object"
	default:
		return typ.String()
	}
}
