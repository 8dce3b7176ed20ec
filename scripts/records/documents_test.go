package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// document reads a file of the repository.
func document(t *testing.T, path ...string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// indexFields returns the fields of the log's index as CLS is to have it, with their types.
func indexFields(t *testing.T) map[string]string {
	t.Helper()
	var index struct {
		Rule struct {
			KeyValue struct {
				KeyValues []struct {
					Key   string
					Value struct {
						Type    string
						SqlFlag bool
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(document(t, "docs", "cls-index.json")), &index); err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for _, f := range index.Rule.KeyValue.KeyValues {
		if !f.Value.SqlFlag {
			t.Errorf("%s cannot be counted", f.Key)
		}
		fields[f.Key] = f.Value.Type
	}
	return fields
}

// TestLogIndex holds the index's JSON against the one of Terraform, which a test there
// holds against the code.
func TestLogIndex(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^    (\w+) += "(text|long|double)"$`).FindAllStringSubmatch(document(t, "deploy", "terraform", "log.tf"), -1) {
		want[m[1]] = m[2]
	}
	if len(want) < 30 {
		t.Fatalf("only %d fields are found in log.tf", len(want))
	}
	if diff := cmp.Diff(want, indexFields(t)); diff != "" {
		t.Errorf("docs/cls-index.json (-terraform +index):\n%s", diff)
	}
}

// TestMonitoringNamesTheFields wants each field of the index on the page, but for those of
// the platform.
func TestMonitoringNamesTheFields(t *testing.T) {
	t.Parallel()
	page := document(t, "docs", "monitoring.md")
	for field := range indexFields(t) {
		if !strings.HasPrefix(field, "SCF_") && !slices.Contains([]string{"created", "reason", "warnings"}, field) && !strings.Contains(page, "`"+field+"`") {
			t.Errorf("docs/monitoring.md does not name `%s`", field)
		}
	}
}

// TestAlarms wants the alarms to ask for fields that the index has, and each to be in the
// page's table.
func TestAlarms(t *testing.T) {
	t.Parallel()
	var alarms []struct {
		Name         string
		Condition    string
		AlarmTargets []struct {
			Query           string
			StartTimeOffset int
		}
	}
	if err := json.Unmarshal([]byte(document(t, "docs", "cls-alarms.json")), &alarms); err != nil {
		t.Fatal(err)
	}
	page, fields := document(t, "docs", "monitoring.md"), indexFields(t)
	for _, a := range alarms {
		name := strings.TrimPrefix(a.Name, "ci-callback: ")
		if !strings.Contains(page, "\n| "+name+" |") {
			t.Errorf("%q is not in the table of docs/monitoring.md", name)
		}
		query := a.AlarmTargets[0].Query
		for _, m := range regexp.MustCompile(`(\w+):["0-9]|(?:max|sum|approx_percentile)\((\w+)|(\w+) = `).FindAllStringSubmatch(query, -1) {
			field := m[1] + m[2] + m[3]
			if fields[field] == "" {
				t.Errorf("%s: %q is no field of the index", name, field)
			}
		}
		for _, m := range regexp.MustCompile(`\$1\.(\w+)`).FindAllStringSubmatch(a.Condition, -1) {
			if !strings.Contains(query, " as "+m[1]) {
				t.Errorf("%s: the condition asks for %q, which the query does not have", name, m[1])
			}
		}
		if offset := a.AlarmTargets[0].StartTimeOffset; offset < -1440 || offset >= 0 {
			t.Errorf("%s: CLS takes no window of %d minutes", name, offset)
		}
	}
}

// TestCommandsInDocuments runs the command lines of the documents as far as their flags:
// each must be one of the program's.
func TestCommandsInDocuments(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?:\./records|go run \./scripts/records) ([a-z]+[^\n|` + "`" + `<]*)`)
	seen := 0
	for _, page := range []string{"runbook.md", "monitoring.md", "board.md"} {
		for _, m := range line.FindAllStringSubmatch(document(t, "docs", page), -1) {
			seen++
			words, _, _ := strings.Cut(m[1], " #")
			args := strings.Fields(words)
			command, rest, err := (&tool{}).command().Find(args)
			if args[0] == "help" {
				continue
			}
			if err != nil || command.Name() != args[0] {
				t.Errorf("%s: there is no command %q", page, args[0])
				continue
			}
			if err := command.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", page, m[0], err)
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d command lines were found", seen)
	}
}

// TestBoardNamesTheFlags wants every command and flag on the page.
func TestBoardNamesTheFlags(t *testing.T) {
	t.Parallel()
	page := document(t, "docs", "board.md")
	for _, c := range (&tool{}).command().Commands() {
		if !strings.Contains(page, "| `"+c.Name()) {
			t.Errorf("docs/board.md does not name the command %s", c.Name())
		}
		checkFlags(t, page, c)
	}
}

func checkFlags(t *testing.T, page string, c *cobra.Command) {
	t.Helper()
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !strings.Contains(page, "--"+f.Name) && !strings.Contains(page, "`"+f.Name+"`") {
			t.Errorf("docs/board.md does not name --%s of %s", f.Name, c.Name())
		}
	})
}
