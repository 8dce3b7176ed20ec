package terraform_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// providerSchema is what the provider's documentation says that its resources take:
// testdata/provider.json.
type providerSchema struct {
	Provider, Version string
	Resources         map[string]resourceSchema
}

// resourceSchema has each argument as "required string", "optional list" and so on. The
// blocks of all depths are beside each other, as in the documentation; one may stand
// where an argument has its name.
type resourceSchema struct {
	Arguments  map[string]string
	Attributes []string
	Blocks     map[string]map[string]string
}

func provider(t *testing.T) providerSchema {
	t.Helper()
	var schema providerSchema
	if err := json.Unmarshal([]byte(read(t, "testdata/provider.json")), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// What Terraform itself gives a meaning to in every resource.
var (
	metaArguments = []string{"count", "for_each", "depends_on", "provider"}
	metaBlocks    = []string{"lifecycle"}
)

// resourceCheck holds one resource of the module against the provider's schema.
type resourceCheck struct {
	t       *testing.T
	address string
	schema  resourceSchema
}

// TestResourcesFitTheProvider evaluates every argument of every resource, and holds its
// name, its type and its place against the provider's documentation.
func TestResourcesFitTheProvider(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	context := m.evaluate(t, everything)
	for _, block := range m.resources {
		check := resourceCheck{t: t, address: strings.Join(block.Labels, ".")}
		schema, known := provider(t).Resources[block.Labels[0]]
		if !known {
			t.Errorf("the provider has no resource %s", block.Labels[0])
			continue
		}
		check.schema = schema
		check.body(block.Body, schema.Arguments, context, true)
	}
}

// body checks the arguments and blocks of a body, which may hold the arguments given.
func (c resourceCheck) body(body *hclsyntax.Body, arguments map[string]string, context *hcl.EvalContext, top bool) {
	c.t.Helper()
	present := map[string]bool{}
	for name, attribute := range body.Attributes {
		if top && slices.Contains(metaArguments, name) {
			continue
		}
		present[name] = true
		c.argument(name, arguments[name], valueOf(c.t, attribute.Expr, context))
	}
	for _, block := range body.Blocks {
		if top && slices.Contains(metaBlocks, block.Type) {
			continue
		}
		present[c.block(block, arguments, context)] = true
	}
	for name, rule := range arguments {
		if strings.HasPrefix(rule, "required ") && !present[name] {
			c.t.Errorf("%s lacks %s, which is required", c.address, name)
		}
	}
}

// argument checks the value of an argument, whose rule is such as "required string".
func (c resourceCheck) argument(name, rule string, value cty.Value) {
	c.t.Helper()
	demand, kind, known := strings.Cut(rule, " ")
	_, isBlock := c.schema.Blocks[name]
	switch {
	case !known:
		c.t.Errorf("%s: the provider has no argument %s there", c.address, name)
	case isBlock:
		c.t.Errorf("%s: %s is written as a block", c.address, name)
	case value.IsNull() && demand == "optional":
	case !fits(value, kind):
		c.t.Errorf("%s: %s is %s, want %s", c.address, name, value.Type().FriendlyName(), kind)
	}
}

// fits reports whether a value can be an argument of that kind.
func fits(value cty.Value, kind string) bool {
	want, known := map[string]cty.Type{
		"string": cty.String, "bool": cty.Bool, "int": cty.Number, "map": cty.Map(cty.String),
		"list": cty.List(cty.String), "set": cty.Set(cty.String),
	}[kind]
	if !known || value.IsNull() {
		return false
	}
	if kind == "string" && value.Type() != cty.String { // a number would be converted, and is a slip all the same
		return false
	}
	converted, err := convert.Convert(value, want)
	if err != nil {
		return false
	}
	return kind != "int" || converted.AsBigFloat().IsInt()
}

// block checks a block, and returns the name of the argument that it is. The content of a
// dynamic block is checked for each of its elements.
func (c resourceCheck) block(block *hclsyntax.Block, arguments map[string]string, context *hcl.EvalContext) string {
	c.t.Helper()
	name, bodies := block.Type, []*hclsyntax.Body{block.Body}
	contexts := []*hcl.EvalContext{context}
	if block.Type == "dynamic" {
		name = block.Labels[0]
		bodies, contexts = nil, nil
		for each := valueOf(c.t, block.Body.Attributes["for_each"].Expr, context).ElementIterator(); each.Next(); {
			key, value := each.Element()
			inner := context.NewChild()
			inner.Variables = map[string]cty.Value{name: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
			bodies, contexts = append(bodies, block.Body.Blocks[0].Body), append(contexts, inner)
		}
		if len(bodies) == 0 {
			c.t.Errorf("%s: nothing of the dynamic block %s was checked", c.address, name)
		}
	}
	inner, known := c.schema.Blocks[name]
	if _, allowed := arguments[name]; !known || !allowed {
		c.t.Errorf("%s: the provider has no block %s there", c.address, name)
		return name
	}
	for i, body := range bodies {
		c.body(body, inner, contexts[i], false)
	}
	return name
}

// everything sets every variable that has an effect on which arguments there are.
var everything = map[string]cty.Value{
	"callback_token":      cty.StringVal("0123456789abcdef"),
	"tag_buckets":         cty.TupleVal([]cty.Value{mediaBucket("media-1250000000", "", ""), mediaBucket("more-1250000001", "ap-beijing", "output/")}),
	"reconcile_buckets":   cty.TupleVal([]cty.Value{mediaBucket("media-1250000000", "", ""), mediaBucket("more-1250000001", "ap-beijing", "")}),
	"reconcile_workflows": cty.TupleVal([]cty.Value{cty.StringVal("w0123456789abcdef")}),
	"reconcile_types":     cty.TupleVal([]cty.Value{cty.StringVal("Transcode"), cty.StringVal("Snapshot")}),
}

// mediaBucket is a bucket as a user writes it: with no region or prefix where that is
// empty.
func mediaBucket(bucket, region, prefix string) cty.Value {
	attributes := map[string]cty.Value{"bucket": cty.StringVal(bucket)}
	if region != "" {
		attributes["region"] = cty.StringVal(region)
	}
	if prefix != "" {
		attributes["prefix"] = cty.StringVal(prefix)
	}
	return cty.ObjectVal(attributes)
}

// TestSchemaCheckBites edits a resource into what the provider would refuse.
func TestSchemaCheckBites(t *testing.T) {
	t.Parallel()
	schema := provider(t).Resources["tencentcloud_scf_trigger"]
	for name, body := range map[string]string{
		"unknown_argument":  `function_names = "f"`,
		"number_for_text":   `enable = 1`,
		"object_for_text":   `trigger_desc = { cron = "x" }`,
		"unknown_block":     "net_config {\n}\n",
		"required_argument": `type = "http"`,
	} {
		text := body + "\n"
		if name != "required_argument" {
			text += "function_name = \"f\"\nnamespace = \"default\"\ntype = \"http\"\n"
		}
		file, problems := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		recorder := &testing.T{}
		resourceCheck{t: recorder, address: name, schema: schema}.body(file.Body.(*hclsyntax.Body), schema.Arguments, &hcl.EvalContext{}, true)
		if !recorder.Failed() {
			t.Errorf("%s was not noticed", name)
		}
	}
}

// TestReferences finds each variable and local value in use, and each reference to
// something that is there.
func TestReferences(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	used := map[string]bool{}
	for _, reference := range m.references() {
		root, name, attribute := reference.RootName(), attributeName(reference, 1), attributeName(reference, 2)
		switch root {
		case "var", "local":
			used[root+"."+name] = true
		case "self", "lifecycle_rules", "key_values": // the resource itself, and what dynamic blocks go through
		default:
			schema, known := provider(t).Resources[root]
			_, argument := schema.Arguments[attribute]
			if !known || !slices.Contains(schema.Attributes, attribute) && !argument && attribute != "" {
				t.Errorf("%s.%s.%s: nothing of that name", root, name, attribute)
			}
			m.resource(t, root+"."+name)
		}
	}
	want := map[string]bool{}
	for name := range m.variables {
		want["var."+name] = true
	}
	for name := range m.locals {
		want["local."+name] = true
	}
	for name := range want {
		if !used[name] {
			t.Errorf("%s is used nowhere", name)
		}
	}
	for name := range used {
		if !want[name] {
			t.Errorf("%s is nowhere defined", name)
		}
	}
}

// references are all references of the module but those of a variable's own validation.
func (m module) references() []hcl.Traversal {
	var found []hcl.Traversal
	for _, expression := range m.locals {
		found = append(found, expression.Variables()...)
	}
	blocks := slices.Concat(m.resources, []*hclsyntax.Block{m.provider}, slices.Collect(maps.Values(m.outputs)))
	for _, block := range blocks {
		found = append(found, bodyReferences(block.Body)...)
	}
	return found
}

func bodyReferences(body *hclsyntax.Body) []hcl.Traversal {
	var found []hcl.Traversal
	for name, attribute := range body.Attributes {
		if name != "ignore_changes" { // names of arguments, not references
			found = append(found, attribute.Expr.Variables()...)
		}
	}
	for _, block := range body.Blocks {
		found = append(found, bodyReferences(block.Body)...)
	}
	return found
}
