package terraform_test

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// module is the Terraform module of this folder, parsed.
type module struct {
	files     map[string][]byte // by name
	settings  *hclsyntax.Block  // the block "terraform"
	provider  *hclsyntax.Block
	variables map[string]*hclsyntax.Block
	locals    map[string]hclsyntax.Expression
	resources []*hclsyntax.Block
	outputs   map[string]*hclsyntax.Block
}

func loadModule(t *testing.T) module {
	t.Helper()
	paths, err := filepath.Glob("*.tf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Terraform files: %v", err)
	}
	m := module{
		files: map[string][]byte{}, variables: map[string]*hclsyntax.Block{},
		locals: map[string]hclsyntax.Expression{}, outputs: map[string]*hclsyntax.Block{},
	}
	parser := hclparse.NewParser()
	for _, path := range paths {
		file, problems := parser.ParseHCLFile(path)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		m.files[path] = file.Bytes
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			m.add(t, block)
		}
	}
	return m
}

// add puts one block of a file where it belongs.
func (m *module) add(t *testing.T, block *hclsyntax.Block) {
	t.Helper()
	switch block.Type {
	case "terraform":
		m.settings = block
	case "provider":
		m.provider = block
	case "variable":
		m.variables[block.Labels[0]] = block
	case "output":
		m.outputs[block.Labels[0]] = block
	case "resource":
		m.resources = append(m.resources, block)
	case "locals":
		for name, attribute := range block.Body.Attributes {
			m.locals[name] = attribute.Expr
		}
	default:
		t.Errorf("%s: a block of type %s is not expected here", block.Range(), block.Type)
	}
}

// resource returns the body of a resource, given as "type.name".
func (m module) resource(t *testing.T, address string) *hclsyntax.Body {
	t.Helper()
	i := slices.IndexFunc(m.resources, func(b *hclsyntax.Block) bool { return strings.Join(b.Labels, ".") == address })
	if i < 0 {
		t.Fatalf("no resource %s", address)
	}
	return m.resources[i].Body
}

// variableType returns the type of a variable and the defaults of its optional
// attributes.
func variableType(t *testing.T, block *hclsyntax.Block) (cty.Type, *typeexpr.Defaults) {
	t.Helper()
	attribute := block.Body.Attributes["type"]
	if attribute == nil {
		t.Fatalf("variable %s has no type", block.Labels[0])
	}
	typ, defaults, problems := typeexpr.TypeConstraintWithDefaults(attribute.Expr)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return typ, defaults
}

// assign gives a variable a value, as Terraform would: converted to its type.
func assign(t *testing.T, block *hclsyntax.Block, value cty.Value) cty.Value {
	t.Helper()
	typ, defaults := variableType(t, block)
	if defaults != nil {
		value = defaults.Apply(value)
	}
	converted, err := convert.Convert(value, typ)
	if err != nil {
		t.Fatalf("variable %s: %v", block.Labels[0], err)
	}
	return converted
}

// required are values for the variables that have no default.
var required = map[string]cty.Value{
	"region":        cty.StringVal("ap-guangzhou"),
	"record_bucket": cty.StringVal("records-1250000000"),
	"zip_file":      cty.StringVal("../../dist/ci-callback-0123456789abcdef.zip"),
}

// evaluate returns what expressions of the module can refer to, given values for some
// variables: the others have their defaults. An attribute of a resource is its own
// address.
func (m module) evaluate(t *testing.T, values map[string]cty.Value) *hcl.EvalContext {
	t.Helper()
	variables := map[string]cty.Value{}
	for name, block := range m.variables {
		value, given := values[name]
		if !given {
			value, given = required[name]
		}
		if !given {
			value = constant(t, block.Body.Attributes["default"].Expr)
		}
		variables[name] = assign(t, block, value)
	}
	context := &hcl.EvalContext{Functions: functions, Variables: m.resourceValues(t)}
	context.Variables["var"] = cty.ObjectVal(variables)
	m.evaluateLocals(t, context)
	return context
}

// evaluateLocals computes the local values, each after those that it refers to.
func (m module) evaluateLocals(t *testing.T, context *hcl.EvalContext) {
	t.Helper()
	known := map[string]cty.Value{}
	context.Variables["local"] = cty.EmptyObjectVal
	for len(known) < len(m.locals) {
		before := len(known)
		for _, name := range slices.Sorted(maps.Keys(m.locals)) {
			if _, done := known[name]; done || !resolvable(m.locals[name], known) {
				continue
			}
			known[name] = valueOf(t, m.locals[name], context)
			context.Variables["local"] = cty.ObjectVal(known)
		}
		if len(known) == before {
			t.Fatalf("the local values refer to each other in a circle, or to one that is not there")
		}
	}
}

// resolvable reports whether all local values that an expression refers to are known.
func resolvable(expression hclsyntax.Expression, known map[string]cty.Value) bool {
	return !slices.ContainsFunc(expression.Variables(), func(reference hcl.Traversal) bool {
		_, ok := known[attributeName(reference, 1)]
		return reference.RootName() == "local" && !ok
	})
}

// attributeName returns the name at a position of a reference: of local.settings, 1 is
// settings.
func attributeName(reference hcl.Traversal, position int) string {
	if len(reference) <= position {
		return ""
	}
	attribute, _ := reference[position].(hcl.TraverseAttr)
	return attribute.Name
}

// resourceValues stands for the resources: each argument and attribute that the provider
// knows has its own address as its value.
func (m module) resourceValues(t *testing.T) map[string]cty.Value {
	t.Helper()
	byType := map[string]map[string]cty.Value{}
	for _, block := range m.resources {
		kind, name := block.Labels[0], block.Labels[1]
		schema := provider(t).Resources[kind]
		attributes := map[string]cty.Value{}
		for _, attribute := range slices.AppendSeq(slices.Clone(schema.Attributes), maps.Keys(schema.Arguments)) {
			attributes[attribute] = cty.StringVal(kind + "." + name + "." + attribute)
		}
		if kind == "tencentcloud_scf_trigger" {
			attributes["trigger_attribute"] = cty.StringVal(triggerAttribute)
		}
		if byType[kind] == nil {
			byType[kind] = map[string]cty.Value{}
		}
		byType[kind][name] = cty.ObjectVal(attributes)
	}
	values := map[string]cty.Value{}
	for kind, named := range byType {
		values[kind] = cty.ObjectVal(named)
	}
	return values
}

// triggerAttribute is what the platform says of a function URL.
const triggerAttribute = `{"AuthType":"NONE","NetConfig":{"EnableExtranet":true,"ExtranetUrl":"https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com"}}`

// constant evaluates an expression that refers to nothing.
func constant(t *testing.T, expression hclsyntax.Expression) cty.Value {
	t.Helper()
	return valueOf(t, expression, &hcl.EvalContext{Functions: functions})
}

func valueOf(t *testing.T, expression hclsyntax.Expression, context *hcl.EvalContext) cty.Value {
	t.Helper()
	value, problems := expression.Value(context)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return value
}

// texts returns a map of strings as Go has it.
func texts(t *testing.T, value cty.Value) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, element := range value.AsValueMap() {
		text, err := convert.Convert(element, cty.String)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found[name] = text.AsString()
	}
	return found
}

// functions are those of Terraform that the module uses.
// https://developer.hashicorp.com/terraform/language/functions
var functions = map[string]function.Function{
	"alltrue":      allTrueFunction,
	"can":          tryfunc.CanFunc,
	"coalesce":     stdlib.CoalesceFunc,
	"concat":       stdlib.ConcatFunc,
	"contains":     stdlib.ContainsFunc,
	"distinct":     stdlib.DistinctFunc,
	"floor":        stdlib.FloorFunc,
	"join":         stdlib.JoinFunc,
	"jsondecode":   stdlib.JSONDecodeFunc,
	"jsonencode":   stdlib.JSONEncodeFunc,
	"length":       lengthFunction,
	"nonsensitive": sameFunction,
	"range":        stdlib.RangeFunc,
	"regex":        stdlib.RegexFunc,
	"reverse":      stdlib.ReverseListFunc,
	"split":        stdlib.SplitFunc,
	"tostring":     stdlib.MakeToFunc(cty.String),
	"trimprefix":   stdlib.TrimPrefixFunc,
	"trimspace":    stdlib.TrimSpaceFunc,
	"trimsuffix":   stdlib.TrimSuffixFunc,
	"try":          tryfunc.TryFunc,
	"urlencode":    urlEncodeFunction,
}

var anyValue = []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}}

var allTrueFunction = function.New(&function.Spec{
	Params: anyValue, Type: function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(!slices.ContainsFunc(args[0].AsValueSlice(), cty.Value.False)), nil
	},
})

var lengthFunction = function.New(&function.Spec{
	Params: anyValue, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String {
			return cty.NumberIntVal(int64(utf8.RuneCountInString(args[0].AsString()))), nil
		}
		return args[0].Length(), nil
	},
})

var sameFunction = function.New(&function.Spec{
	Params: anyValue,
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0], nil },
})

var urlEncodeFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(url.QueryEscape(args[0].AsString())), nil
	},
})

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
