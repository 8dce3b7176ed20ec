package terraform_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// TestSettings has the function's own rules accept the environment that is deployed.
func TestSettings(t *testing.T) {
	t.Parallel()
	deployed := environment(t, loadModule(t), everything)
	want := map[string]string{
		"RECORD_BUCKET": "records-1250000000", "RECORD_REGION": "ap-guangzhou", "RECORD_PREFIX": "ci/",
		"CALLBACK_TOKEN": "0123456789abcdef",
		"TAG_MD5":        "true", "MD5_TAG_KEY": "md5", "TAG_BUCKETS": "media-1250000000,more-1250000001",
		"MAX_BODY_BYTES": "6291456", "LOG_LEVEL": "info",
		"RECONCILE_BUCKETS": "media-1250000000@ap-guangzhou,more-1250000001@ap-beijing",
		"RECONCILE_TYPES":   "Transcode,Snapshot", "RECONCILE_WORKFLOWS": "w0123456789abcdef", "RECONCILE_DAYS": "3",
	}
	if diff := cmp.Diff(want, deployed); diff != "" {
		t.Errorf("the environment (-want +got):\n%s", diff)
	}
	_, problems := config.LoadAuth(config.Environment{Invocation: deployed})
	if err := errors.Join(problems, functionTakes(deployed)); err != nil {
		t.Errorf("the function would not take it: %v", err)
	}
}

// environment returns the variables of the function that are deployed, given values for
// some variables of the module.
func environment(t *testing.T, m module, values map[string]cty.Value) map[string]string {
	t.Helper()
	return texts(t, valueOf(t, m.resource(t, "tencentcloud_scf_function.callback").Attributes["environment"].Expr, m.evaluate(t, values)))
}

// functionTakes returns what the function's own rules, but those of the token, say
// against an environment.
func functionTakes(deployed map[string]string) error {
	invocation := maps.Clone(deployed)
	invocation["TENCENTCLOUD_SECRETID"], invocation["TENCENTCLOUD_SECRETKEY"] = "id", "key"
	e := config.Environment{Invocation: invocation, AppID: "1250000000"}
	_, problems := config.Load(e)
	_, reconcileProblems := config.LoadReconcile(e)
	return errors.Join(problems, reconcileProblems)
}

// TestAllSettings wants each of the function's variables to be one that can be deployed,
// with the same default.
func TestAllSettings(t *testing.T) {
	t.Parallel()
	got := texts(t, loadModule(t).evaluate(t, nil).Variables["local"].GetAttr("settings"))
	want := map[string]string{}
	for _, variable := range config.Variables() {
		want[variable.Name] = variable.Default
		if given, ok := got[variable.Name]; ok && given == "" {
			want[variable.Name] = "" // left out, so that the function takes its own
		}
	}
	maps.Copy(want, map[string]string{"RECORD_BUCKET": "records-1250000000", "RECORD_REGION": "ap-guangzhou"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the settings (-function +terraform):\n%s", diff)
	}
}

// platformFields are those that SCF adds to a line, and slog to each of the function's
// own. https://www.tencentcloud.com/document/product/583/39778
var platformFields = map[string]string{
	"SCF_Duration": "long", "SCF_MemUsage": "double", "SCF_RequestId": "text", "SCF_StatusCode": "long",
	"level": "text", "msg": "text",
}

// TestLogIndex holds the fields of the log's index against those that the code logs.
func TestLogIndex(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	want := maps.Clone(platformFields)
	for _, folder := range []string{"function", "pkg/receive", "pkg/reconcile"} {
		maps.Copy(want, loggedFields(t, filepath.Join(root, folder)))
	}
	got := texts(t, m.evaluate(t, nil).Variables["local"].GetAttr("log_fields"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is logged, and what is indexed (-logged +indexed):\n%s", diff)
	}
	if len(got) > 100 {
		t.Errorf("CLS indexes 100 fields at most, not %d", len(got))
	}
}

// loggedFields finds the fields of log lines in the Go files of a folder: the names given
// to slog's attributes, and those between the arguments of a logger's methods. CLS has
// three types for them.
func loggedFields(t *testing.T, folder string) map[string]string {
	t.Helper()
	var files []*ast.File
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil // a folder that is not there logs nothing
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found, makers := map[string]string{}, attributeMakers(files)
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				maps.Copy(found, fieldsOfCall(call, makers))
			}
			return true
		})
	}
	return found
}

// attributeMakers are the names of functions of the code's own that make a field of a
// name and a text.
func attributeMakers(files []*ast.File) map[string]bool {
	makers := map[string]bool{}
	for _, file := range files {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv != nil || function.Type.Results == nil || len(function.Type.Results.List) != 1 {
				continue
			}
			result, ok := function.Type.Results.List[0].Type.(*ast.SelectorExpr)
			if ok && result.Sel.Name == "Attr" {
				makers[function.Name.Name] = true
			}
		}
	}
	return makers
}

// attributeTypes are slog's functions that name a field, and the type of it in CLS. What
// is no scalar is text there: its JSON.
var attributeTypes = map[string]string{
	"String": "text", "Bool": "text", "Any": "text", "Time": "text", "Duration": "long",
	"Int": "long", "Int64": "long", "Uint64": "long", "Float64": "double",
}

// loggerMethods have a message and then names and values by turns.
var loggerMethods = map[string]bool{"Debug": true, "Info": true, "Warn": true, "Error": true}

func fieldsOfCall(call *ast.CallExpr, makers map[string]bool) map[string]string {
	if len(call.Args) < 2 {
		return nil
	}
	found := map[string]string{}
	if function, ok := call.Fun.(*ast.Ident); ok && makers[function.Name] {
		if name, literal := stringLiteral(call.Args[0]); literal {
			found[name] = "text"
		}
		return found
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if receiver, ok := selector.X.(*ast.Ident); ok && receiver.Name == "slog" {
		if name, literal := stringLiteral(call.Args[0]); literal && attributeTypes[selector.Sel.Name] != "" {
			found[name] = attributeTypes[selector.Sel.Name]
		}
		return found
	}
	if loggerMethods[selector.Sel.Name] {
		for i := 1; i < len(call.Args); i += 2 {
			if name, literal := stringLiteral(call.Args[i]); literal {
				found[name] = "text"
			}
		}
	}
	return found
}

func stringLiteral(expression ast.Expr) (string, bool) {
	literal, ok := expression.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}
