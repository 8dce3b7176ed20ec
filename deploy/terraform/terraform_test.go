// Package terraform_test holds the Terraform files of this folder against what the
// provider documents and against what the code says: its settings, its policy and its log
// lines. Nothing is applied, and no Terraform is needed: the files are parsed and
// evaluated.
package terraform_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ci-callback/ci-callback/internal/testprogram"
)

// root is the repository, from this folder.
const root = "../.."

func TestFormat(t *testing.T) {
	t.Parallel()
	for name, content := range loadModule(t).files {
		if diff := cmp.Diff(string(hclwrite.Format(content)), string(content)); diff != "" {
			t.Errorf("%s is not as terraform fmt would have it:\n%s", name, diff)
		}
	}
}

// TestPinned wants the provider's version to be the one whose arguments testdata holds.
func TestPinned(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	providers := m.settings.Body.Blocks[0].Body.Attributes
	want := cty.ObjectVal(map[string]cty.Value{
		"source": cty.StringVal(provider(t).Provider), "version": cty.StringVal(provider(t).Version),
	})
	if got := constant(t, providers["tencentcloud"].Expr); len(providers) != 1 || !got.RawEquals(want) {
		t.Errorf("the providers are %#v, want %#v", got, want)
	}
	if ignored := read(t, ".gitignore"); !strings.Contains(ignored, ".terraform.lock.hcl\n") {
		t.Error("a lock file of one tool would bind the other: .gitignore does not name it")
	}
}

func TestVariablesAreDescribed(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	for name, block := range m.variables {
		attributes := block.Body.Attributes
		if attributes["description"] == nil || !strings.Contains(constant(t, attributes["description"].Expr).AsString(), " ") {
			t.Errorf("variable %s has no description", name)
		}
		if attributes["nullable"] == nil || constant(t, attributes["nullable"].Expr).True() {
			t.Errorf("variable %s may be null", name)
		}
		if sensitive := attributes["sensitive"] != nil; sensitive != (name == "callback_token") {
			t.Errorf("variable %s: sensitive is %t", name, sensitive)
		}
		if _, given := required[name]; given == (attributes["default"] != nil) {
			t.Errorf("variable %s: required is %t", name, given)
		}
		if file := block.Range().Filename; file != "variables.tf" {
			t.Errorf("variable %s is in %s", name, file)
		}
	}
}

// TestValidation gives variables values that are right and wrong. The function takes
// those that are right.
func TestValidation(t *testing.T) {
	t.Parallel()
	list := func(buckets ...cty.Value) cty.Value { return cty.TupleVal(buckets) }
	for _, test := range []struct {
		variable string
		value    cty.Value
		valid    bool
	}{
		{"region", cty.StringVal("ap-guangzhou"), true},
		{"region", cty.StringVal("Guangzhou"), false},
		{"name", cty.StringVal("ci-callback"), true},
		{"name", cty.StringVal("ci-callback-"), false},
		{"name", cty.StringVal("1st"), false},
		{"zip_file", cty.StringVal("../../dist/ci-callback-0123456789abcdef.zip"), true},
		{"zip_file", cty.StringVal("../../dist/ci-callback.zip"), false},
		{"record_bucket", cty.StringVal("records-1250000000"), true},
		{"record_bucket", cty.StringVal("records"), false},
		{"record_bucket", cty.StringVal("examplebucket-1250000000"), false},
		{"record_bucket", cty.StringVal("-records-1250000000"), false},
		{"record_bucket", cty.StringVal("my-examplebucket-1250000000"), false},
		{"record_bucket", cty.StringVal("records-123456789012"), true},
		{"record_bucket", cty.StringVal("records-12345678901234"), false},
		{"record_bucket", cty.StringVal(strings.Repeat("a", 50) + "-1250000000"), true},
		{"record_bucket", cty.StringVal(strings.Repeat("a", 51) + "-1250000000"), false},
		{"record_prefix", cty.StringVal("a/b-"), true},
		{"record_prefix", cty.StringVal(".a/..b/..."), true},
		{"record_prefix", cty.StringVal(strings.Repeat("a", 476)), true},
		{"record_prefix", cty.StringVal(strings.Repeat("a", 477)), false},
		{"record_prefix", cty.StringVal(""), false},
		{"record_prefix", cty.StringVal("/ci/"), false},
		{"record_prefix", cty.StringVal("a//b"), false},
		{"record_prefix", cty.StringVal("./"), false},
		{"record_prefix", cty.StringVal("../"), false},
		{"record_prefix", cty.StringVal("a/../b"), false},
		{"callback_token", cty.StringVal(""), true},
		{"callback_token", cty.StringVal("0123456789abcdef"), true},
		{"callback_token", cty.StringVal("0123456789abcdef, fedcba9876543210"), true},
		{"callback_token", cty.StringVal("0123456789abcde"), false},
		{"callback_token", cty.StringVal("0123456789abcdef,"), false},
		{"callback_token", cty.StringVal("0123456789abcdef, <the token of mine>"), false},
		{"callback_token", cty.StringVal("0123456789abcdef…"), false},
		{"callback_auth", cty.StringVal("none"), true},
		{"callback_auth", cty.StringVal("open"), false},
		{"tag_buckets", list(), true},
		{"tag_buckets", list(mediaBucket("media-1250000000", "", "output/")), true},
		{"tag_buckets", list(mediaBucket("media", "", "")), false},
		{"tag_buckets", list(mediaBucket("media-12345678901234", "", "")), false},
		{"tag_buckets", list(mediaBucket(strings.Repeat("a", 51)+"-1250000000", "", "")), false},
		{"tag_buckets", list(mediaBucket("my-examplebucket-1250000000", "", "")), false},
		{"tag_buckets", list(mediaBucket("media-1250000000", "ap-beijing", "")), true},
		{"tag_buckets", list(mediaBucket("media-1250000000", "Beijing", "")), false},
		{"tag_buckets", list(mediaBucket("media-1250000000", "", "/output")), false},
		{"tag_buckets", list(mediaBucket("media-1250000000", "", "output/*")), false},
		{"reconcile_buckets", list(mediaBucket("media-1250000000", "ap-beijing", "")), true},
		{"reconcile_buckets", list(mediaBucket("media-1250000000@ap-beijing", "", "")), false},
		{"reconcile_buckets", list(mediaBucket("media-12345678901234", "", "")), false},
		{"reconcile_buckets", list(mediaBucket(strings.Repeat("a", 51)+"-1250000000", "", "")), false},
		{"reconcile_buckets", list(mediaBucket("my-examplebucket-1250000000", "", "")), false},
		{"reconcile_buckets", list(mediaBucket("media-1250000000", "Beijing", "")), false},
		{"reconcile_buckets", list(mediaBucket("media-1250000000", "", ""), mediaBucket("media-1250000000", "ap-beijing", "")), false},
		{"reconcile_cron", cty.StringVal("0 */5 * * * * *"), true},
		{"reconcile_cron", cty.StringVal("*/5 * * * *"), false},
		{"reconcile_days", cty.NumberIntVal(1), true},
		{"reconcile_days", cty.NumberIntVal(30), true},
		{"reconcile_days", cty.NumberIntVal(31), false},
		{"reconcile_days", cty.NumberFloatVal(1.5), false},
		{"reconcile_types", list(cty.StringVal("Transcode"), cty.StringVal(strings.Repeat("T", 64))), true},
		{"reconcile_types", list(cty.StringVal("Transcode"), cty.StringVal("")), false},
		{"reconcile_types", list(cty.StringVal("Transcode,Snapshot")), false},
		{"reconcile_types", list(cty.StringVal(strings.Repeat("T", 65))), false},
		{"reconcile_workflows", list(cty.StringVal("w_0-9"), cty.StringVal("w0123456789abcdef@media-1250000000")), true},
		{"reconcile_workflows", list(cty.StringVal("w0123456789abcdef@")), false},
		{"reconcile_workflows", list(cty.StringVal("w0123456789abcdef@media-1250000000@ap-beijing")), false},
		{"reconcile_workflows", list(cty.StringVal("w0123456789abcdef,w1123456789abcdef")), false},
		{"reconcile_workflows", list(cty.StringVal(strings.Repeat("w", 65))), false},
		{"md5_tag_key", cty.StringVal("md5 of it: +-_=/.@"), true},
		{"md5_tag_key", cty.StringVal(strings.Repeat("键", 127)), true},
		{"md5_tag_key", cty.StringVal(strings.Repeat("k", 128)), false},
		{"md5_tag_key", cty.StringVal(""), false},
		{"md5_tag_key", cty.StringVal("md5,sha"), false},
		{"md5_tag_key", cty.StringVal("clé"), false},
		{"cos_endpoint", cty.StringVal(""), true},
		{"cos_endpoint", cty.StringVal("https://{bucket}.cos-internal.{region}.tencentcos.cn"), true},
		{"cos_endpoint", cty.StringVal("https://{bucket}.cos.x-{region}.example:8443/"), true},
		{"cos_endpoint", cty.StringVal("https://{bucket}.cos.{region}"), false},
		{"cos_endpoint", cty.StringVal("https://{bucket}.cos.ap-guangzhou"), false},
		{"cos_endpoint", cty.StringVal("https://{bucket}"), false},
		{"cos_endpoint", cty.StringVal("https://cos.{region}.myqcloud.com"), false},
		{"cos_endpoint", cty.StringVal("https://cos.{region}.myqcloud.com/{bucket}"), false},
		{"cos_endpoint", cty.StringVal("https://{bucket}.cos.{zone}.myqcloud.com"), false},
		{"cos_endpoint", cty.StringVal("https://{bucket}.COS.{region}.myqcloud.com"), false},
		{"cos_endpoint", cty.StringVal("https://{bucket}..{region}.myqcloud.com"), false},
		{"cos_endpoint", cty.StringVal("https://{bucket}.cos.{region}.myqcloud.com?x"), false},
		{"cos_endpoint", cty.StringVal("http://{bucket}.cos.{region}.myqcloud.com"), false},
		{"cos_endpoint", cty.StringVal("{bucket}.cos.{region}.myqcloud.com"), false},
		{"ci_endpoint", cty.StringVal(""), true},
		{"ci_endpoint", cty.StringVal("https://{bucket}.ci.{region}.myqcloud.com"), true},
		{"ci_endpoint", cty.StringVal("https://ci.{region}.myqcloud.com"), false},
		{"ci_endpoint", cty.StringVal("https://{bucket}.ci.{region}"), false},
		{"max_body_bytes", cty.NumberIntVal(6291456), true},
		{"max_body_bytes", cty.NumberIntVal(6291457), false},
		{"max_body_bytes", cty.NumberIntVal(0), false},
		{"max_body_bytes", cty.NumberIntVal(1), true},
		{"max_body_bytes", cty.NumberFloatVal(0.5), false},
		{"max_body_bytes", cty.NumberFloatVal(100.5), false},
		{"log_level", cty.StringVal("warn"), true},
		{"log_level", cty.StringVal("WARNING"), false},
		{"log_days", cty.NumberIntVal(3640), true},
		{"log_days", cty.NumberIntVal(3601), false},
		{"log_days", cty.NumberFloatVal(1.5), false},
		{"rejected_days", cty.NumberIntVal(0), true},
		{"rejected_days", cty.NumberIntVal(-1), false},
		{"rejected_days", cty.NumberFloatVal(1.5), false},
		{"history_days", cty.NumberIntVal(-1), false},
		{"history_days", cty.NumberFloatVal(1.5), false},
	} {
		block := loadModule(t).variables[test.variable]
		value := assign(t, block, test.value)
		context := &hcl.EvalContext{Functions: functions, Variables: map[string]cty.Value{
			"var": cty.ObjectVal(map[string]cty.Value{test.variable: value}),
		}}
		valid := !slices.ContainsFunc(block.Body.Blocks, func(validation *hclsyntax.Block) bool {
			return valueOf(t, validation.Body.Attributes["condition"].Expr, context).False()
		})
		if valid != test.valid {
			t.Errorf("%s = %#v: valid is %t, want %t", test.variable, test.value, valid, test.valid)
		}
		if !test.valid {
			continue
		}
		values := maps.Clone(everything)
		values[test.variable] = test.value
		if err := functionTakes(environment(t, loadModule(t), values)); err != nil {
			t.Errorf("%s = %#v: the function would not take it: %v", test.variable, test.value, err)
		}
	}
}

// TestFunctionPreconditions sets what the preconditions of the function forbid.
func TestFunctionPreconditions(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	token, none := cty.StringVal("0123456789abcdef"), cty.StringVal("none")
	workflowOf := func(bucket string, compared cty.Value) map[string]cty.Value {
		workflows := cty.TupleVal([]cty.Value{cty.StringVal("w0123456789abcdef"), cty.StringVal("w0123456789abcdef@" + bucket)})
		return map[string]cty.Value{"callback_token": token, "reconcile_buckets": compared, "reconcile_workflows": workflows}
	}
	for name, test := range map[string]struct {
		values map[string]cty.Value
		met    bool
	}{
		"token":         {map[string]cty.Value{"callback_token": token}, true},
		"open":          {map[string]cty.Value{"callback_auth": none}, true},
		"neither":       {nil, false},
		"both":          {map[string]cty.Value{"callback_token": token, "callback_auth": none}, false},
		"compared":      {workflowOf("media-1250000000", everything["reconcile_buckets"]), true},
		"not_compared":  {workflowOf("other-1250000000", everything["reconcile_buckets"]), false},
		"none_compared": {workflowOf("media-1250000000", cty.EmptyTupleVal), false},
		"too_many_runs": {map[string]cty.Value{"callback_token": token, "reconcile_workflows": cty.TupleVal([]cty.Value{cty.StringVal(strings.Repeat("w", 4000))})}, false},
	} {
		context := m.evaluate(t, test.values)
		met := true
		for _, block := range m.resource(t, "tencentcloud_scf_function.callback").Blocks {
			for _, rule := range block.Body.Blocks {
				met = met && valueOf(t, rule.Body.Attributes["condition"].Expr, context).True()
			}
		}
		if met != test.met {
			t.Errorf("%s: the preconditions are met: %t, want %t", name, met, test.met)
		}
	}
}

// TestRecordBucket wants a private bucket whose versioning nothing touches, and which
// says so where somebody else did.
func TestRecordBucket(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	bucket := m.resource(t, "tencentcloud_cos_bucket.records")
	if acl := constant(t, bucket.Attributes["acl"].Expr).AsString(); acl != "private" {
		t.Errorf("the record bucket is %s", acl)
	}
	for _, name := range []string{"versioning_enable", "multi_az", "force_clean"} {
		if bucket.Attributes[name] != nil {
			t.Errorf("the record bucket sets %s", name)
		}
	}
	var postcondition hclsyntax.Expression
	for _, block := range bucket.Blocks {
		if block.Type == "lifecycle" {
			postcondition = block.Body.Blocks[0].Body.Attributes["condition"].Expr
		}
	}
	for _, versioned := range []bool{false, true} {
		context := &hcl.EvalContext{Variables: map[string]cty.Value{"self": cty.ObjectVal(map[string]cty.Value{"versioning_enable": cty.BoolVal(versioned)})}}
		if valueOf(t, postcondition, context).True() == versioned {
			t.Errorf("with versioning %t a plan goes on: %t", versioned, versioned)
		}
	}
}

// TestLifecycleRules wants rejected bodies and old versions to go after some days, and
// records never.
func TestLifecycleRules(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	for name, test := range map[string]struct {
		values map[string]cty.Value
		want   map[string]string
	}{
		"default": {nil, map[string]string{"ci/rejected/": "30", "ci/history/": "365", "ci/doctor/": "1"}},
		"kept": {
			map[string]cty.Value{"rejected_days": cty.NumberIntVal(0), "history_days": cty.NumberIntVal(0), "record_prefix": cty.StringVal("a/b-")},
			map[string]string{"a/b-doctor/": "1"},
		},
	} {
		context := m.evaluate(t, test.values)
		rules := m.resource(t, "tencentcloud_cos_bucket.records").Blocks[0].Body
		got := map[string]string{}
		for each := valueOf(t, rules.Attributes["for_each"].Expr, context).ElementIterator(); each.Next(); {
			key, value := each.Element()
			inner := context.NewChild()
			inner.Variables = map[string]cty.Value{"lifecycle_rules": cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
			content := rules.Blocks[0].Body
			days := valueOf(t, content.Blocks[0].Body.Attributes["days"].Expr, inner)
			got[valueOf(t, content.Attributes["filter_prefix"].Expr, inner).AsString()] = days.AsBigFloat().String()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: days by prefix (-want +got):\n%s", name, diff)
		}
	}
}

// serverless has what serverless.yml deploys, beside which Terraform's must not differ.
var serverless = map[string]string{"runtime": "Go1", "handler": "main", "mem_size": "128", "timeout": "30", "func_type": "Event"}

func TestFunction(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	function := m.resource(t, "tencentcloud_scf_function.callback")
	got := map[string]string{}
	for name := range serverless {
		got[name] = texts(t, cty.ObjectVal(map[string]cty.Value{"": constant(t, function.Attributes[name].Expr)}))[""]
	}
	if diff := cmp.Diff(serverless, got); diff != "" {
		t.Errorf("the function (-want +got):\n%s", diff)
	}
	file := read(t, filepath.Join(root, "serverless.yml"))
	for _, line := range []string{"runtime: Go1\n", "handler: main ", "memorySize: 128\n", "timeout: 30\n", "type: event\n", "qualifier: $DEFAULT\n", "authType: NONE\n", "enableExtranet: true ", "enableIntranet: false\n"} {
		if !strings.Contains(file, line) {
			t.Errorf("serverless.yml has no %q", line)
		}
	}
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	for name, test := range map[string]struct {
		values map[string]cty.Value
		timer  string
	}{
		"without_buckets": {nil, "CLOSE"},
		"with_buckets":    {everything, "OPEN"},
	} {
		context := m.evaluate(t, test.values)
		url, timer := map[string]string{}, map[string]string{}
		for trigger, found := range map[string]map[string]string{"tencentcloud_scf_trigger.url": url, "tencentcloud_scf_trigger.reconcile": timer} {
			for argument, attribute := range m.resource(t, trigger).Attributes {
				found[argument] = valueOf(t, attribute.Expr, context).AsString()
			}
		}
		function := map[string]string{
			"function_name": "tencentcloud_scf_function.callback.name", "namespace": "tencentcloud_scf_function.callback.namespace",
			"qualifier": "$DEFAULT", "enable": "OPEN", "type": "http",
			"trigger_desc": `{"AuthType":"NONE","NetConfig":{"EnableExtranet":true,"EnableIntranet":false}}`,
		}
		if diff := cmp.Diff(function, url); diff != "" {
			t.Errorf("%s: the URL (-want +got):\n%s", name, diff)
		}
		maps.Copy(function, map[string]string{"enable": test.timer, "type": "timer", "trigger_name": "reconcile", "trigger_desc": "0 */10 * * * * *"})
		if diff := cmp.Diff(function, timer); diff != "" {
			t.Errorf("%s: the timer (-want +got):\n%s", name, diff)
		}
	}
}

func TestRole(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	document := valueOf(t, m.resource(t, "tencentcloud_cam_role.function").Attributes["document"].Expr, m.evaluate(t, nil)).AsString()
	const want = `{"statement":[{"action":["name/sts:AssumeRole"],"effect":"allow","principal":{"service":["scf.qcloud.com"]}}],"version":"2.0"}`
	if document != want {
		t.Errorf("the role may be taken on by %s", document)
	}
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	output := func(name string, values map[string]cty.Value) string {
		return valueOf(t, m.outputs[name].Body.Attributes["value"].Expr, m.evaluate(t, values)).AsString()
	}
	const address = "https://1250000000-abcdefgh.ap-guangzhou.tencentscf.com/"
	for name, test := range map[string]struct{ token, want string }{
		"open":     {"", address},
		"one":      {"0123456789abcdef", address + "?token=0123456789abcdef"},
		"rotating": {"0123456789abcdef, +fedcba9876543210", address + "?token=%2Bfedcba9876543210"},
	} {
		values := map[string]cty.Value{"callback_token": cty.StringVal(test.token)}
		if got := output("callback_url", values); got != test.want {
			t.Errorf("%s: callback_url is %s, want %s", name, got, test.want)
		}
		if got := output("function_url", values); got != address {
			t.Errorf("%s: function_url is %s", name, got)
		}
	}
	for name, block := range m.outputs {
		if sensitive := block.Body.Attributes["sensitive"] != nil; sensitive != (name == "callback_url") {
			t.Errorf("output %s: sensitive is %t", name, sensitive)
		}
	}
}

var buildDoctor = testprogram.New("../../scripts/doctor")

func TestMain(m *testing.M) { testprogram.Main(m) }

// TestPolicyIsTheDoctors compares the role's policy with what the doctor prints for the
// same settings.
func TestPolicyIsTheDoctors(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	for name, test := range map[string]struct {
		values      map[string]cty.Value
		environment []string
		media       string
	}{
		"records": {},
		"tags": {
			values:      map[string]cty.Value{"tag_buckets": everything["tag_buckets"]},
			environment: []string{"TAG_MD5=true"},
			media:       "media-1250000000,more-1250000001@ap-beijing/output/",
		},
		"comparing": {
			values:      map[string]cty.Value{"reconcile_buckets": everything["reconcile_buckets"]},
			environment: []string{"RECONCILE_BUCKETS=media-1250000000@ap-guangzhou,more-1250000001@ap-beijing"},
		},
		"comparing_workflows": {
			values: map[string]cty.Value{
				"reconcile_buckets":   everything["reconcile_buckets"],
				"reconcile_workflows": cty.TupleVal([]cty.Value{cty.StringVal("w0123456789abcdef@more-1250000001")}),
			},
			environment: []string{
				"RECONCILE_BUCKETS=media-1250000000@ap-guangzhou,more-1250000001@ap-beijing",
				"RECONCILE_WORKFLOWS=w0123456789abcdef@more-1250000001",
			},
		},
		"everything": {
			values: everything,
			environment: []string{
				"TAG_MD5=true", "RECONCILE_WORKFLOWS=w0123456789abcdef",
				"RECONCILE_BUCKETS=media-1250000000@ap-guangzhou,more-1250000001@ap-beijing",
			},
			media: "media-1250000000,more-1250000001@ap-beijing/output/",
		},
	} {
		document := valueOf(t, m.resource(t, "tencentcloud_cam_policy.function").Attributes["document"].Expr, m.evaluate(t, test.values))
		doctor := testprogram.Path(t, buildDoctor)
		args := []string{"-policy"}
		if test.media != "" {
			args = append(args, "-media", test.media)
		}
		command := exec.CommandContext(t.Context(), doctor, args...)
		command.Env = append(withoutSettings(os.Environ()), "RECORD_BUCKET=records-1250000000", "RECORD_REGION=ap-guangzhou")
		command.Env = append(command.Env, test.environment...)
		printed, err := command.Output()
		if err != nil {
			t.Fatalf("%s: the doctor prints no policy: %v", name, err)
		}
		if diff := cmp.Diff(parseJSON(t, string(printed)), parseJSON(t, document.AsString())); diff != "" {
			t.Errorf("%s: the doctor's policy and Terraform's (-doctor +terraform):\n%s", name, diff)
		}
	}
}

// withoutSettings takes this project's own variables out of an environment.
func withoutSettings(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		return regexp.MustCompile(`^(RECORD|CALLBACK|TAG|MD5|COS|CI|RECONCILE|TENCENTCLOUD)_`).MatchString(variable)
	})
}

func parseJSON(t *testing.T, text string) any {
	t.Helper()
	var parsed any
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return parsed
}

// TestReadmeCheck runs the README's check of what was deployed, with the variables that
// the README has set by then, against an address where a function answers.
func TestReadmeCheck(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			io.WriteString(w, `{"service":"ci-callback","version":"v1.2.3"}`)
		case r.URL.Query().Get("token") == "0123456789abcdef":
			io.WriteString(w, `{"results":[{"outcome":"probe"}]}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer function.Close()

	_, rest, _ := strings.Cut(read(t, "README.md"), "\nThen see")
	_, rest, _ = strings.Cut(rest, "```sh\n")
	script, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the README has no check")
	}
	tools := t.TempDir()
	write(t, filepath.Join(tools, "terraform"), "#!/bin/sh\n[ \"$*\" = '-chdir=deploy/terraform output -raw function_url' ] && echo '"+function.URL+"'\n")
	command := exec.CommandContext(t.Context(), "sh", "-euc",
		strings.NewReplacer("go run ./scripts/doctor", testprogram.Path(t, buildDoctor), "<version>", "v1.2.3").Replace(script))
	command.Env = append(withoutSettings(os.Environ()), "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"),
		"TENCENTCLOUD_SECRET_ID=id", "TENCENTCLOUD_SECRET_KEY=key", "TF_VAR_callback_token=0123456789abcdef")
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
}

// TestZip runs zip.sh beside a build.sh that only prints what the real one prints.
func TestZip(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	const hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct {
		zipLine string
		status  int
		files   []string
	}{
		"built":   {"zip      dist/ci-callback.zip  4 bytes  sha256 " + hash, 0, []string{"ci-callback-0123456789abcdef.zip"}},
		"no_hash": {"zip      dist/ci-callback.zip", 1, []string{"ci-callback-ffffffffffffffff.zip", "ci-callback.zip"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			write(t, filepath.Join(folder, "deploy/terraform/zip.sh"), read(t, "zip.sh"))
			write(t, filepath.Join(folder, "scripts/build.sh"), "#!/bin/sh\necho a zip >dist/ci-callback.zip\necho '"+test.zipLine+"'\n")
			write(t, filepath.Join(folder, "dist/ci-callback-ffffffffffffffff.zip"), "an older one")

			command := exec.CommandContext(t.Context(), "sh", filepath.Join(folder, "deploy/terraform/zip.sh"))
			output, _ := command.CombinedOutput()
			if status := command.ProcessState.ExitCode(); status != test.status {
				t.Fatalf("status %d, want %d:\n%s", status, test.status, output)
			}
			entries, err := os.ReadDir(filepath.Join(folder, "dist"))
			if err != nil {
				t.Fatal(err)
			}
			var files []string
			for _, entry := range entries {
				files = append(files, entry.Name())
			}
			if diff := cmp.Diff(test.files, files); diff != "" {
				t.Errorf("in dist (-want +got):\n%s", diff)
			}
			if test.status != 0 {
				return
			}
			const want = "zip_file = \"../../dist/ci-callback-0123456789abcdef.zip\"\n"
			if got := read(t, filepath.Join(folder, "deploy/terraform/zip.auto.tfvars")); got != want {
				t.Errorf("zip.auto.tfvars holds %q, want %q", got, want)
			}
		})
	}
	if build := read(t, filepath.Join(root, "scripts/build.sh")); !strings.Contains(build, `printf 'zip      %s\n' "$packed"`) {
		t.Error("build.sh prints another line for the zip")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestWiring follows what of one resource goes into another.
func TestWiring(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	context := m.evaluate(t, everything)
	for place, want := range map[string]string{
		"tencentcloud_cam_role_policy_attachment_by_name.function role_name":   "tencentcloud_cam_role.function.name",
		"tencentcloud_cam_role_policy_attachment_by_name.function policy_name": "tencentcloud_cam_policy.function.name",
		"tencentcloud_scf_function.callback role":                              "tencentcloud_cam_role.function.name",
		"tencentcloud_scf_function.callback cls_logset_id":                     "tencentcloud_cls_logset.function.id",
		"tencentcloud_scf_function.callback cls_topic_id":                      "tencentcloud_cls_topic.function.id",
		"tencentcloud_scf_function.callback zip_file":                          "../../dist/ci-callback-0123456789abcdef.zip",
		"tencentcloud_scf_function.callback enable_public_net":                 "true",
		"tencentcloud_cls_topic.function logset_id":                            "tencentcloud_cls_logset.function.id",
		"tencentcloud_cls_topic.function period":                               "30",
		"tencentcloud_cls_index.function topic_id":                             "tencentcloud_cls_topic.function.id",
		"tencentcloud_cos_bucket.records bucket":                               "records-1250000000",
	} {
		address, argument, _ := strings.Cut(place, " ")
		value := valueOf(t, m.resource(t, address).Attributes[argument].Expr, context)
		if got := texts(t, cty.ObjectVal(map[string]cty.Value{"": value}))[""]; got != want {
			t.Errorf("%s is %s, want %s", place, got, want)
		}
	}
}

// TestOrderAndProtection wants the policy and the bucket before the function, and the
// records kept.
func TestOrderAndProtection(t *testing.T) {
	t.Parallel()
	m := loadModule(t)
	first := map[string]bool{}
	for _, reference := range m.resource(t, "tencentcloud_scf_function.callback").Attributes["depends_on"].Expr.Variables() {
		first[reference.RootName()] = true
	}
	if want := map[string]bool{"tencentcloud_cam_role_policy_attachment_by_name": true, "tencentcloud_cos_bucket": true}; !maps.Equal(first, want) {
		t.Errorf("the function is made after %v, want %v", first, want)
	}
	for _, block := range m.resource(t, "tencentcloud_cos_bucket.records").Blocks {
		if block.Type != "lifecycle" {
			continue
		}
		if protection := block.Body.Attributes["prevent_destroy"]; protection == nil || constant(t, protection.Expr).False() {
			t.Error("a change of name would destroy the records")
		}
		ignored := block.Body.Attributes["ignore_changes"].Expr.Variables()
		if len(ignored) != 1 || ignored[0].RootName() != "versioning_enable" {
			t.Error("the provider would suspend versioning that somebody switched on, which makes it invisible to the function")
		}
	}
}
