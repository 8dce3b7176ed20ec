package scripts_test

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// settings returns the names of the function's variables: both deploy files must hand
// over all of them and nothing else.
func settings() []string {
	var names []string
	for _, variable := range config.Variables() {
		names = append(names, variable.Name)
	}
	return names
}

// The types below are the keys that Tencent documents, no more: a misspelt key is a
// silent one with this component.

// instance is a serverless.yml (https://cloud.tencent.com/document/product/1154/39271).
type instance struct {
	App, Stage, Component, Name string
	Inputs                      inputs
}

type inputs struct {
	Name, Namespace, Description, Region, Type, Src, Runtime, Handler, Role string

	MemorySize  int `yaml:"memorySize"`
	Timeout     int
	InitTimeout int `yaml:"initTimeout"`
	Environment struct{ Variables map[string]any }
	CLS         *struct {
		LogsetID string `yaml:"logsetId"`
		TopicID  string `yaml:"topicId"`
	}
	Events []struct {
		HTTP  *struct{ Parameters functionURL }
		Timer *struct{ Parameters timer }
		APIGW *struct{ Parameters gateway }
	}
}

// timer is the timer event (https://cloud.tencent.com/document/product/1154/39271).
type timer struct {
	Name           string
	CronExpression string `yaml:"cronExpression"`
	Enable         *bool
}

// functionURL is the http event (https://cloud.tencent.com/document/product/1154/43228).
// Its flags are pointers, as the platform's own defaults must not be taken for what the
// file says.
type functionURL struct {
	Name, Qualifier string
	AuthType        string `yaml:"authType"`
	NetConfig       struct {
		EnableIntranet *bool `yaml:"enableIntranet"`
		EnableExtranet *bool `yaml:"enableExtranet"`
	} `yaml:"netConfig"`
}

type gateway struct {
	ServiceName string `yaml:"serviceName"`
	Protocols   []string
	Environment string
	Endpoints   []struct {
		Path, Method   string
		ServiceTimeout int `yaml:"serviceTimeout"`
		Function       struct {
			IsIntegratedResponse *bool `yaml:"isIntegratedResponse"`
		}
	}
}

func loadInstance(t *testing.T, text string) instance {
	t.Helper()
	var file instance
	if err := yaml.Load([]byte(text), &file, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		t.Fatalf("serverless.yml: %v", err)
	}
	return file
}

// fromEnvironment is the one way in which serverless.yml may name a value that differs
// between deployments.
func fromEnvironment(name string) string { return "${env:" + name + "}" }

func TestServerlessFile(t *testing.T) {
	t.Parallel()
	text := string(read(t, filepath.Join(projectRoot(t), "serverless.yml")))
	file := loadInstance(t, text)
	in := file.Inputs

	for _, rule := range []struct {
		what string
		kept bool
	}{
		{"the component is scf", file.Component == "scf"},
		{"app, stage and name are given", file.App != "" && file.Stage != "" && file.Name != ""},
		{"an event function", in.Type == "event"},
		{"the code is what build.sh makes", in.Src == "dist/function" && in.Runtime == "Go1" && in.Handler == "main"},
		{"region and role come from the environment", in.Region == fromEnvironment("FUNCTION_REGION") && in.Role == fromEnvironment("FUNCTION_ROLE")},
		{"two events, the function URL and the timer", len(in.Events) == 2 && in.Events[0].HTTP != nil && in.Events[1].Timer != nil},
		{"no log topic unless asked for", in.CLS == nil},
	} {
		if !rule.kept {
			t.Errorf("not so: %s", rule.what)
		}
	}
	checkLimits(t, in.Name, in.MemorySize, in.Timeout)

	checkTimer(t, in.Events[1].Timer.Parameters)

	url := in.Events[0].HTTP.Parameters
	if url.Qualifier != "$DEFAULT" || url.AuthType != "NONE" {
		t.Errorf("the function URL has qualifier %q and authType %q", url.Qualifier, url.AuthType)
	}
	if url.NetConfig.EnableExtranet == nil || !*url.NetConfig.EnableExtranet {
		t.Error("CI cannot reach the function URL: enableExtranet is not true")
	}
	if url.NetConfig.EnableIntranet == nil || *url.NetConfig.EnableIntranet {
		t.Error("enableIntranet is not false")
	}

	want := map[string]any{}
	for _, name := range settings() {
		want[name] = fromEnvironment(name)
	}
	if !reflect.DeepEqual(in.Environment.Variables, want) {
		t.Errorf("the function's variables are %v, want each from the environment: %v", in.Environment.Variables, want)
	}
	checkNoLiteralSecret(t, text)
	if !strings.Contains(string(read(t, "deploy.sh")), " ./.env."+file.Stage+" ") {
		t.Error("deploy.sh looks at another stage's .env")
	}
}

// checkTimer wants every ten minutes, in seven fields of which the first is the second,
// and the trigger on. https://cloud.tencent.com/document/product/583/9708
func checkTimer(t *testing.T, timer timer) {
	t.Helper()
	if timer.Name == "" || timer.CronExpression != "0 */10 * * * * *" || timer.Enable == nil || !*timer.Enable {
		t.Errorf("the timer reads as %+v", timer)
	}
}

// The parts that are commented out are for users to take over as they stand, so they are
// read as such.
func TestServerlessFileCommentedParts(t *testing.T) {
	t.Parallel()
	text := string(read(t, filepath.Join(projectRoot(t), "serverless.yml")))

	logs := loadInstance(t, uncomment(t, text, "  # cls:"))
	if cls := logs.Inputs.CLS; cls == nil || cls.LogsetID != fromEnvironment("CLS_LOGSET_ID") || cls.TopicID != fromEnvironment("CLS_TOPIC_ID") {
		t.Errorf("the log settings read as %+v", cls)
	}

	file := loadInstance(t, uncomment(t, text, "    # - apigw:"))
	if len(file.Inputs.Events) != 3 || file.Inputs.Events[2].APIGW == nil {
		t.Fatalf("the events read as %+v", file.Inputs.Events)
	}
	gateway := file.Inputs.Events[2].APIGW.Parameters
	if !regexp.MustCompile(`^[A-Za-z0-9_()]{1,50}$`).MatchString(gateway.ServiceName) {
		t.Errorf("serviceName %q: the gateway takes letters, digits, _ and () only", gateway.ServiceName)
	}
	if !slices.Equal(gateway.Protocols, []string{"https"}) || gateway.Environment != "release" || len(gateway.Endpoints) != 1 {
		t.Fatalf("the gateway reads as %+v", gateway)
	}
	endpoint := gateway.Endpoints[0]
	if endpoint.Path != "/" || endpoint.Method != "ANY" {
		t.Errorf("the endpoint is %s %s, want ANY /", endpoint.Method, endpoint.Path)
	}
	if endpoint.Function.IsIntegratedResponse == nil || !*endpoint.Function.IsIntegratedResponse {
		t.Error("isIntegratedResponse is not true: the gateway would answer 200 to everything")
	}
	if endpoint.ServiceTimeout <= file.Inputs.Timeout || endpoint.ServiceTimeout > 1800 {
		t.Errorf("serviceTimeout is %d, with a function's timeout of %d", endpoint.ServiceTimeout, file.Inputs.Timeout)
	}
}

// uncomment takes the comment marks from the line first and from those below it that are
// comments as far indented.
func uncomment(t *testing.T, text, first string) string {
	t.Helper()
	mark := first[:strings.Index(first, "# ")+2]
	lines := strings.Split(text, "\n")
	start := slices.Index(lines, first)
	if start < 0 {
		t.Fatalf("no line %q", first)
	}
	for i := start; i < len(lines) && strings.HasPrefix(lines[i], mark); i++ {
		lines[i] = strings.Replace(lines[i], "# ", "", 1)
	}
	return strings.Join(lines, "\n")
}

// checkLimits holds the platform's rules for any function
// (https://cloud.tencent.com/document/api/583/18586).
func checkLimits(t *testing.T, name string, memory, timeout int) {
	t.Helper()
	if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$`).MatchString(name) {
		t.Errorf("the platform takes no function of the name %q", name)
	}
	if memory != 64 && (memory < 128 || memory > 3072 || memory%128 != 0) {
		t.Errorf("the platform takes no memory of %d MB", memory)
	}
	if memory < 128 {
		t.Errorf("memory of %d MB is too little for the largest body", memory)
	}
	if timeout < 1 || timeout > 900 {
		t.Errorf("the platform takes no timeout of %d s", timeout)
	}
}

// checkVariables holds the platform's rules for environment variables:
// https://cloud.tencent.com/document/product/583/30228 for the names, 4 KB for all of
// them.
func checkVariables(t *testing.T, variables map[string]any) {
	t.Helper()
	if names := slices.Sorted(maps.Keys(variables)); !slices.Equal(names, slices.Sorted(slices.Values(settings()))) {
		t.Errorf("the variables are %v, want those of the function: %v", names, settings())
	}
	size := 0
	for name, value := range variables {
		if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`).MatchString(name) || regexp.MustCompile(`^(SCF|QCLOUD|TENCENTCLOUD)_`).MatchString(name) {
			t.Errorf("the platform takes no variable of the name %s", name)
		}
		text, ok := value.(string)
		if !ok {
			t.Errorf("%s is %v, a %T: the platform takes strings only", name, value, value)
		}
		size += len(name) + len(text)
	}
	if size >= 4096 {
		t.Errorf("the variables take %d bytes", size)
	}
}

// checkNoLiteralSecret looks at every line, comments included, for a value that should
// not be in a repository.
func checkNoLiteralSecret(t *testing.T, text string) {
	t.Helper()
	for _, found := range regexp.MustCompile(`(?im)^[^#\n]*(?:token|secret|password|secretid|secretkey)[a-z_]*["']?\s*[:=]\s*(\S+)`).FindAllStringSubmatch(text, -1) {
		if value := found[1]; value != `""` && !strings.HasPrefix(value, "${env:") {
			t.Errorf("a secret seems to stand in: %s", found[0])
		}
	}
	if found := regexp.MustCompile(`AKID[A-Za-z0-9]{13,}`).FindString(text); found != "" {
		t.Errorf("an access key stands in: %s", found)
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	text := string(read(t, filepath.Join(projectRoot(t), "template.yaml")))
	document := loadDocument(t, text)
	if err := templateSchema(t).Validate(document); err != nil {
		t.Fatalf("scf validate would refuse template.yaml: %v", err)
	}

	var template struct {
		Globals struct {
			Function struct {
				Runtime    string
				MemorySize int `yaml:"MemorySize"`
				Timeout    int `yaml:"Timeout"`
			} `yaml:"Function"`
		} `yaml:"Globals"`
	}
	if err := yaml.Load([]byte(text), &template); err != nil {
		t.Fatal(err)
	}
	name, properties := theFunction(t, document)
	checkLimits(t, name, template.Globals.Function.MemorySize, template.Globals.Function.Timeout)
	if properties["CodeUri"] != "dist/function" || properties["Handler"] != "main" || properties["Runtime"] != "Go1" {
		t.Errorf("the code is %v %v %v, want what build.sh makes", properties["CodeUri"], properties["Handler"], properties["Runtime"])
	}

	serverless := loadInstance(t, string(read(t, filepath.Join(projectRoot(t), "serverless.yml")))).Inputs
	if name != serverless.Name || template.Globals.Function.MemorySize != serverless.MemorySize || template.Globals.Function.Timeout != serverless.Timeout {
		t.Error("template.yaml and serverless.yml describe two different functions")
	}

	variables := properties["Environment"].(map[string]any)["Variables"].(map[string]any)
	checkVariables(t, variables)
	for _, name := range []string{"RECORD_BUCKET", "CALLBACK_TOKEN", "CALLBACK_AUTH"} {
		if variables[name] != "" {
			t.Errorf("%s is %q: whoever deploys must be the one to choose it", name, variables[name])
		}
	}
	for _, variable := range config.Variables() {
		if value := variables[variable.Name]; value != "" && value != variable.Default {
			t.Errorf("%s is %q, and the function's default %q", variable.Name, value, variable.Default)
		}
	}
	checkNoLiteralSecret(t, text)

	events := properties["Events"].(map[string]any)
	want := map[string]any{
		"callback":  map[string]any{"Type": "APIGW", "Properties": map[string]any{"StageName": "release", "HttpMethod": "ANY", "IntegratedResponse": true, "Enable": true}},
		"reconcile": map[string]any{"Type": "Timer", "Properties": map[string]any{"CronExpression": "0 */10 * * * * *", "Enable": true}},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("the events (-want +got):\n%s", diff)
	}
}

// loadDocument reads YAML as the JSON value it stands for.
func loadDocument(t *testing.T, text string) any {
	t.Helper()
	var read any
	if err := yaml.Load([]byte(text), &read, yaml.WithUniqueKeys()); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(encoded)))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// theFunction returns the one function of a template, by name.
func theFunction(t *testing.T, document any) (name string, properties map[string]any) {
	t.Helper()
	for _, namespace := range document.(map[string]any)["Resources"].(map[string]any) {
		for key, resource := range namespace.(map[string]any) {
			if key != "Type" {
				return key, resource.(map[string]any)["Properties"].(map[string]any)
			}
		}
	}
	t.Fatal("no function in the template")
	return "", nil
}

// templateSchema returns what `scf validate` demands of a template with the events that
// are used here, put down anew from the behaviour of its last version, 0.2.8.
func templateSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "template.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestLocalInvokeFiles holds the files of `scf local invoke` against the template and
// against each other.
func TestLocalInvokeFiles(t *testing.T) {
	t.Parallel()
	root := projectRoot(t)
	name, properties := theFunction(t, loadDocument(t, string(read(t, filepath.Join(root, "template.yaml")))))
	known := properties["Environment"].(map[string]any)["Variables"].(map[string]any)

	var overrides map[string]map[string]string // the CLI takes {"function": {"VARIABLE": "value"}}
	if err := json.Unmarshal(read(t, filepath.Join(root, "testdata", "scf-local", "env.json")), &overrides); err != nil {
		t.Fatal(err)
	}
	if len(overrides) != 1 || overrides[name] == nil {
		t.Fatalf("env.json is for %v, want %s", slices.Collect(maps.Keys(overrides)), name)
	}
	for variable := range overrides[name] {
		if _, ok := known[variable]; !ok {
			t.Errorf("env.json sets %s, which the CLI drops, as template.yaml does not name it", variable)
		}
	}
	token := overrides[name]["CALLBACK_TOKEN"]
	if len(token) < 16 || overrides[name]["RECORD_BUCKET"] == "" {
		t.Error("with env.json the function would still be misconfigured")
	}

	var event struct {
		HTTPMethod     string         `json:"httpMethod"`
		Path           string         `json:"path"`
		QueryString    map[string]any `json:"queryString"`
		Headers        map[string]string
		Body           string         `json:"body"`
		RequestContext map[string]any `json:"requestContext"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(root, "testdata", "scf-local", "event.json")), &event); err != nil {
		t.Fatal(err)
	}
	if event.HTTPMethod != "POST" || event.Path == "" || event.RequestContext == nil {
		t.Errorf("event.json is no POST through the gateway: %+v", event)
	}
	if event.QueryString["token"] != token {
		t.Error("event.json carries another token than env.json sets")
	}
	if event.Headers["content-length"] != strconv.Itoa(len(event.Body)) {
		t.Errorf("content-length is %s, the body has %d bytes", event.Headers["content-length"], len(event.Body))
	}
	var callback struct {
		XMLName    xml.Name `xml:"Response"`
		EventName  string
		JobsDetail struct{ JobId, State string }
	}
	if err := xml.Unmarshal([]byte(event.Body), &callback); err != nil {
		t.Fatalf("the body is no callback: %v", err)
	}
	if callback.EventName != "TaskFinish" || callback.JobsDetail.State != "Success" || !regexp.MustCompile(`^j[0-9a-f]{32}$`).MatchString(callback.JobsDetail.JobId) {
		t.Errorf("the body reads as %+v", callback)
	}
}
