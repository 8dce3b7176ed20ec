package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// maxReadmeLines is how long the README may be: what someone new reads in one go.
const maxReadmeLines = 150

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	for _, readme := range []string{"README.md", "README.zh-CN.md"} {
		if lines := strings.Count(read(t, filepath.Join(root, readme)), "\n"); lines > maxReadmeLines {
			t.Errorf("%s has %d lines, at most %d", readme, lines, maxReadmeLines)
		}
	}
}

// section returns a part of the README, from its heading to the next.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, part, found := strings.Cut(read(t, filepath.Join(root, "README.md")), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the README has no section %q", heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	return part
}

// TestReadmeEnvironment holds the table of variables against those that the function
// reads, and their defaults.
func TestReadmeEnvironment(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	for _, variable := range config.Variables() {
		want[variable.Name] = variable.Default
		if variable.Default != "" {
			want[variable.Name] = "`" + variable.Default + "`"
		}
	}
	if types := strings.Count(want["RECONCILE_TYPES"], ",") + 1; types != 23 {
		t.Errorf("%d types are compared by default, and the README says 23", types)
	}
	for name, inWords := range map[string]string{
		"RECORD_BUCKET": "required", "RECORD_REGION": "the function's region",
		"CALLBACK_TOKEN": "required, unless `CALLBACK_AUTH=none`", "TAG_BUCKETS": "all buckets of the function's own AppID",
		"RECONCILE_TYPES": "the 23 types that CI can list",
	} {
		want[name] = inWords
	}
	stated := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\| (.*?) ?\\|").FindAllStringSubmatch(section(t, "Environment"), -1) {
		stated[row[1]] = row[2]
	}
	if diff := cmp.Diff(want, stated); diff != "" {
		t.Errorf("the README's variables (-function +README):\n%s", diff)
	}
}

// TestReadmeAnswers holds the statuses and error codes of the table against
// docs/openapi.yaml, which the function's own tests hold against the code.
func TestReadmeAnswers(t *testing.T) {
	t.Parallel()
	var described struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Ref string `yaml:"$ref"`
			}
		}
		Components struct {
			Responses map[string]struct {
				ErrorCodes []string `yaml:"x-error-codes"`
			}
		}
	}
	if err := yaml.Load([]byte(read(t, "openapi.yaml")), &described); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, method := range described.Paths["/"] {
		for status, response := range method.Responses {
			codes := described.Components.Responses[strings.TrimPrefix(response.Ref, "#/components/responses/")].ErrorCodes
			for _, code := range codes {
				want[status+" `"+code+"`"] = true
			}
			if len(codes) == 0 {
				want[status] = true
			}
		}
	}
	stated := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| .* \\| ([0-9]{3}(?: `[a-z_]+`)?) \\|").FindAllStringSubmatch(section(t, "What it answers"), -1) {
		stated[row[1]] = true
	}
	if diff := cmp.Diff(want, stated); diff != "" {
		t.Errorf("the README's answers (-described +README):\n%s", diff)
	}
}

// TestWorkflow wants the host to run the script that everybody runs.
func TestWorkflow(t *testing.T) {
	t.Parallel()
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	if err := yaml.Load([]byte(read(t, filepath.Join(root, ".github/workflows/ci.yml"))), &workflow); err != nil {
		t.Fatal(err)
	}
	for name, job := range workflow.Jobs {
		if last := job.Steps[len(job.Steps)-1].Run; last != "bash .ci/run" {
			t.Errorf("the job %s ends with %q", name, last)
		}
	}
	for _, form := range []string{"bug.yml", "callback.yml", "config.yml"} {
		var parsed map[string]any
		if err := yaml.Load([]byte(read(t, filepath.Join(root, ".github/ISSUE_TEMPLATE", form))), &parsed, yaml.WithUniqueKeys()); err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
}

// TestChangelog wants the newest release to have a number and a date.
func TestChangelog(t *testing.T) {
	t.Parallel()
	changelog := read(t, filepath.Join(root, "CHANGELOG.md"))
	release := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`).FindStringSubmatch(changelog)
	if release == nil {
		t.Fatal("the changelog has no release")
	}
	if !strings.Contains(read(t, "openapi.yaml"), "\n  version: "+release[1]+"\n") {
		t.Errorf("openapi.yaml is of another version than %s", release[1])
	}
}
