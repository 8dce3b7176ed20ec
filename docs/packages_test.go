package docs_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackagesAreDocumented wants of each package under pkg/ that it says what it is for,
// that everything exported has a comment, and that an example shows how to use it.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	checked := 0
	positions := token.NewFileSet()
	for folder, files := range goFiles(t, positions, filepath.Join(root, "pkg")) {
		documented, err := doc.NewFromFiles(positions, files, folder)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(documented.Doc, "Package "+documented.Name+" ") {
			t.Errorf("%s has no package comment", folder)
		}
		for _, name := range undocumented(documented) {
			t.Errorf("%s: %s has no comment", folder, name)
		}
		if len(doc.Examples(files...)) == 0 {
			t.Errorf("%s has no example", folder)
		}
		checked++
	}
	if checked < 8 {
		t.Errorf("only %d packages", checked)
	}
}

// goFiles are the parsed Go files below a folder, tests included, by their folder.
func goFiles(t *testing.T, positions *token.FileSet, below string) map[string][]*ast.File {
	t.Helper()
	parsed := map[string][]*ast.File{}
	err := filepath.WalkDir(below, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(positions, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		parsed[folder] = append(parsed[folder], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// undocumented are the exported names of a package that have no comment. Names in one
// group may share one.
func undocumented(documented *doc.Package) []string {
	var names []string
	note := func(name, comment string) {
		if ast.IsExported(name[strings.LastIndexByte(name, '.')+1:]) && strings.TrimSpace(comment) == "" {
			names = append(names, name)
		}
	}
	functions := documented.Funcs
	for _, typ := range documented.Types {
		note(typ.Name, typ.Doc)
		functions = append(functions, typ.Funcs...)
		for _, method := range typ.Methods {
			if !isOfAnInterface[method.Name] && ast.IsExported(typ.Name) {
				note(typ.Name+"."+method.Name, method.Doc)
			}
		}
	}
	for _, function := range functions {
		note(function.Name, function.Doc)
	}
	for _, values := range append(documented.Consts, documented.Vars...) {
		for _, spec := range values.Decl.Specs {
			value := spec.(*ast.ValueSpec)
			note(value.Names[0].Name, values.Doc+value.Doc.Text()+value.Comment.Text())
		}
	}
	return names
}

// isOfAnInterface has methods whose meaning the standard library's interfaces give.
var isOfAnInterface = map[string]bool{"Error": true, "Unwrap": true, "Is": true, "String": true, "RoundTrip": true, "MarshalJSON": true, "UnmarshalJSON": true}
