package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// described is docs/openapi.yaml, as far as the tests look into it.
type described struct {
	Paths      map[string]map[string]operation
	Components struct {
		Responses map[string]describedResponse
		Schemas   map[string]describedSchema
	}
}

type operation struct {
	Responses map[string]struct {
		Ref string `yaml:"$ref"`
	}
}

type describedResponse struct {
	ErrorCodes []string `yaml:"x-error-codes"`
	Headers    map[string]any
	Content    map[string]struct {
		Schema struct {
			Ref string `yaml:"$ref"`
		}
	}
}

type describedSchema struct {
	Properties map[string]struct {
		Enum []string
	}
}

const openAPIFile = "../docs/openapi.yaml"

func readOpenAPI(t *testing.T, into any) {
	t.Helper()
	content, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(content, into, yaml.WithUniqueKeys()); err != nil {
		t.Fatal(err)
	}
}

// response returns the description of an answer to a method, "" being POST as in an
// exchange.
func (d described) response(t *testing.T, method string, status int) (name string, response describedResponse) {
	t.Helper()
	if method == "" {
		method = http.MethodPost
	}
	answers, known := d.Paths["/"][strings.ToLower(method)]
	if !known || method != strings.ToUpper(method) {
		answers = d.Paths["/"]["put"] // which stands for all others
	}
	found, known := answers.Responses[strconv.Itoa(status)]
	if !known {
		t.Errorf("%s describes no status %d of %s", openAPIFile, status, method)
	}
	name = strings.TrimPrefix(found.Ref, "#/components/responses/")
	return name, d.Components.Responses[name]
}

// checkDescribed holds an answer against its description.
func checkDescribed(t *testing.T, method string, status int, headers map[string]string, body string) {
	t.Helper()
	var d described
	readOpenAPI(t, &d)
	name, response := d.response(t, method, status)
	for header := range headers {
		if _, described := response.Headers[header]; !described && header != "Content-Type" {
			t.Errorf("the description of %s has no header %s", name, header)
		}
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := compileSchema(t, response.Content["application/json"].Schema.Ref).Validate(value); err != nil {
		t.Errorf("%s is not as described: %v\n%s", name, err, body)
	}
}

// compileSchema returns a schema of the file, by its reference within it.
func compileSchema(t *testing.T, reference string) *jsonschema.Schema {
	t.Helper()
	var whole any
	readOpenAPI(t, &whole)
	encoded, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(encoded)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("openapi.json" + reference)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestOpenAPIFields holds the fields of the description against those of the answer's
// types.
func TestOpenAPIFields(t *testing.T) {
	t.Parallel()
	var d described
	readOpenAPI(t, &d)
	for _, test := range []struct {
		schemas []string
		encoded any
	}{
		{[]string{"Service", "Stored", "Refused", "MalformedCallback", "Failed"}, response{}},
		{[]string{"Error"}, errorDetail{}},
		{[]string{"Result"}, result{}},
		{[]string{"Tag"}, tagResult{}},
	} {
		want, got := map[string]bool{}, map[string]bool{}
		for field := range reflect.TypeOf(test.encoded).Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				want[name] = true
			}
		}
		for _, schema := range test.schemas {
			for name := range d.Components.Schemas[schema].Properties {
				got[name] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields of %v (-code +description):\n%s", test.schemas, diff)
		}
	}
}

// TestOpenAPIErrors holds the error codes, and the status of each, against the code.
func TestOpenAPIErrors(t *testing.T) {
	t.Parallel()
	var d described
	readOpenAPI(t, &d)
	described := map[string][]string{}
	for _, answers := range d.Paths["/"] {
		for status, reference := range answers.Responses {
			codes := d.Components.Responses[strings.TrimPrefix(reference.Ref, "#/components/responses/")].ErrorCodes
			if len(codes) > 0 {
				described[status] = codes
			}
		}
	}
	answered := map[string][]string{}
	inspect(t, ".", func(node ast.Node) {
		status, code := errorResponseOf(node)
		if code != "" && !slices.Contains(answered[status], code) {
			answered[status] = append(answered[status], code)
		}
	})
	var all []string
	for status, codes := range answered {
		slices.Sort(codes)
		all = append(all, codes...)
		answered[status] = codes
	}
	if diff := cmp.Diff(answered, described); diff != "" {
		t.Errorf("error codes by status (-code +description):\n%s", diff)
	}
	slices.Sort(all)
	if diff := cmp.Diff(all, d.Components.Schemas["Error"].Properties["code"].Enum); diff != "" {
		t.Errorf("error codes (-code +description):\n%s", diff)
	}
}

// statusNames are the names that package net/http has for the statuses of errors.
var statusNames = map[string]int{
	"StatusBadRequest": http.StatusBadRequest, "StatusUnauthorized": http.StatusUnauthorized, "StatusMethodNotAllowed": http.StatusMethodNotAllowed,
	"StatusRequestEntityTooLarge": http.StatusRequestEntityTooLarge, "StatusInternalServerError": http.StatusInternalServerError,
	"StatusServiceUnavailable": http.StatusServiceUnavailable,
}

// errorResponseOf returns the status and the code of a call of errorResponse; no code for
// any other node.
func errorResponseOf(node ast.Node) (status, code string) {
	call, ok := node.(*ast.CallExpr)
	if !ok || len(call.Args) != 3 {
		return "", ""
	}
	name, named := call.Fun.(*ast.Ident)
	statusName, selected := call.Args[0].(*ast.SelectorExpr)
	literal, quoted := call.Args[1].(*ast.BasicLit)
	if !named || name.Name != "errorResponse" || !selected || !quoted {
		return "", ""
	}
	code, _ = strconv.Unquote(literal.Value)
	return strconv.Itoa(statusNames[statusName.Sel.Name]), code
}

// TestOpenAPIOutcomes holds the outcomes of the description against the constants of the
// code.
func TestOpenAPIOutcomes(t *testing.T) {
	t.Parallel()
	var d described
	readOpenAPI(t, &d)
	constants := map[string][]string{}
	for _, folder := range []string{"../pkg/store", "../pkg/receive", "../pkg/model"} {
		inspect(t, folder, func(node ast.Node) {
			typ, value := typedConstant(node)
			if value != "" {
				constants[typ] = append(constants[typ], value)
			}
		})
	}
	for typ, described := range map[string][]string{
		"Outcome":    d.Components.Schemas["Result"].Properties["outcome"].Enum,
		"TagOutcome": d.Components.Schemas["Tag"].Properties["outcome"].Enum,
		"Kind":       d.Components.Schemas["Result"].Properties["kind"].Enum,
	} {
		slices.Sort(constants[typ])
		slices.Sort(described)
		if diff := cmp.Diff(constants[typ], described); diff != "" {
			t.Errorf("%s (-code +description):\n%s", typ, diff)
		}
	}
}

// typedConstant returns the type's name and the text of a constant such as `Created
// Outcome = "created"`.
func typedConstant(node ast.Node) (typ, value string) {
	spec, ok := node.(*ast.ValueSpec)
	if !ok || len(spec.Values) != 1 {
		return "", ""
	}
	switch named := spec.Type.(type) {
	case *ast.Ident:
		typ = named.Name
	case *ast.SelectorExpr:
		typ = named.Sel.Name
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != gotoken.STRING {
		return "", ""
	}
	value, _ = strconv.Unquote(literal.Value)
	return typ, value
}

// inspect visits every node of the Go files in a folder that are not tests.
func inspect(t *testing.T, folder string, visit func(ast.Node)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", folder, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			visit(node)
			return true
		})
	}
}
