package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/internal/testsize"
)

// codeOf returns everything of a page that stands as code: its blocks and its spans, one
// to a line.
func codeOf(content string) string {
	return strings.Join(append(codeBlocks(content), codeSpans(content)...), "\n")
}

// TestCommands finds every `go run ./scripts/…` of every page: the program must be there,
// and its help must name each of the flags given.
func TestCommands(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile(`go run \./scripts/([a-z]+)([^\n|;&)"']*)`)
	flag := regexp.MustCompile(`(?:^|\s|\[)(--?[a-z][a-z-]*)`)
	checked := 0
	for _, p := range pages(t) {
		for _, found := range command.FindAllStringSubmatch(codeOf(read(t, filepath.Join(root, p.path))), -1) {
			help := helpOf(t, found[1], strings.Fields(found[2]))
			for _, given := range flag.FindAllStringSubmatch(found[2], -1) {
				if !regexp.MustCompile(`(?m)(^|[\s\[,/])-{1,2}` + strings.TrimLeft(given[1], "-") + `\b`).MatchString(help) {
					t.Errorf("%s: %s: the help names no %s", p.path, strings.TrimSpace(found[0]), given[1])
				}
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("only %d commands", checked)
	}
}

// programs are those of scripts/ that tests of this package run.
var programs = struct {
	sync.Mutex
	built map[string]func() (string, error)
	help  map[string]string // by program and subcommand
}{built: map[string]func() (string, error){}, help: map[string]string{}}

func TestMain(m *testing.M) { testprogram.Main(m) }

// build returns the path of a program of scripts/, built.
func build(t *testing.T, program string) string {
	t.Helper()
	if programs.built[program] == nil {
		programs.built[program] = testprogram.New("../scripts/" + program)
	}
	return testprogram.Path(t, programs.built[program])
}

// helpOf returns the help of a program, and that of its subcommand where the arguments
// begin with one.
func helpOf(t *testing.T, program string, args []string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	path, subcommand := build(t, program), ""
	if len(args) > 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(args[0]) {
		subcommand = args[0]
	}
	key := program + " " + subcommand
	if programs.help[key] == "" {
		// Help ends with 0 in one program and with 2 in another.
		said, _ := exec.CommandContext(t.Context(), path, "-h").CombinedOutput()
		if !strings.Contains(strings.ToLower(string(said)), "usage") {
			t.Errorf("scripts/%s -h says nothing of its usage:\n%s", program, said)
		}
		if subcommand != "" {
			more, _ := exec.CommandContext(t.Context(), path, subcommand, "-h").CombinedOutput()
			said = append(said, more...)
		}
		programs.help[key] = string(said)
	}
	return programs.help[key]
}

// TestNamedPaths finds the paths of the repository, and the tests and benchmarks, that
// stand as code on a page.
func TestNamedPaths(t *testing.T) {
	t.Parallel()
	path := regexp.MustCompile(`(?:^|[\s"'(])\.?/?((?:function|pkg|scripts|deploy|docs|testdata|internal|\.github|\.ci)/[A-Za-z0-9_./-]*[A-Za-z0-9_])`)
	tests := regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z][A-Za-z0-9]+\b`)
	known := testNames(t)
	for _, p := range pages(t) {
		code := codeOf(read(t, filepath.Join(root, p.path)))
		for _, found := range path.FindAllStringSubmatch(code, -1) {
			if _, err := os.Stat(filepath.Join(root, found[1])); err != nil && found[1] != "testdata/fuzz" { // made where a fuzz test finds something
				t.Errorf("%s names %s, which is not there", p.path, found[1])
			}
		}
		for _, name := range tests.FindAllString(code, -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is not there", p.path, name)
			}
		}
	}
}

// testNames are the tests, benchmarks and fuzz targets of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	files, err := filepath.Glob(filepath.Join(root, "*", "*_test.go"))
	for _, pattern := range []string{"*/*/*_test.go", "*/*/*/*_test.go", "*/*/*/*/*_test.go"} {
		more, problem := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		files, err = append(files, more...), problem
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, found := range function.FindAllStringSubmatch(read(t, file), -1) {
			known[found[1]] = true
		}
	}
	return known
}

// TestGoExamples builds the Go programs that stand on pages.
func TestGoExamples(t *testing.T) {
	t.Parallel()
	program := regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	built := 0
	for _, p := range pages(t) {
		for i, found := range program.FindAllStringSubmatch(read(t, filepath.Join(root, p.path)), -1) {
			if !strings.Contains(found[1], "\npackage main\n") {
				continue
			}
			source := filepath.Join(t.TempDir(), fmt.Sprintf("example%d.go", i))
			if err := os.WriteFile(source, []byte(found[1]), 0o644); err != nil {
				t.Fatal(err)
			}
			vet := exec.CommandContext(t.Context(), "go", "vet", source)
			vet.Dir = root
			if said, err := vet.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", p.path, err, said)
			}
			built++
		}
	}
	if built == 0 {
		t.Error("no page has a Go program")
	}
}

// settings are what the README's settings file says, as the shell reads it.
func settings(t *testing.T, readme string) map[string]string {
	t.Helper()
	blocks := slices.DeleteFunc(codeBlocks(read(t, filepath.Join(root, readme))), func(block string) bool {
		return !strings.Contains(block, "ci-callback.env")
	})
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks that write the settings file", readme, len(blocks))
	}
	var script strings.Builder
	for _, l := range strings.Split(blocks[0], "\n") {
		if !strings.Contains(l, "git clone ") {
			script.WriteString(strings.TrimPrefix(l, "   ") + "\n") // as part of a list it is indented
		}
	}
	script.WriteString("env\n")
	home := t.TempDir()
	said := shell(t, script.String(), "HOME="+home)
	info, err := os.Stat(filepath.Join(home, "ci-callback.env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the settings file: %v, %v", info.Mode(), err)
	}
	found := map[string]string{}
	for _, l := range strings.Split(said, "\n") {
		name, value, _ := strings.Cut(l, "=")
		if regexp.MustCompile(`^(RECORD|RECONCILE|CALLBACK|FUNCTION|TENCENT|TENCENTCLOUD)_`).MatchString(name) {
			found[name] = value
		}
	}
	return found
}

// shell runs a script in a POSIX shell in which openssl is one that always prints the
// same.
func shell(t *testing.T, script string, environment ...string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	tools := t.TempDir()
	openssl := "#!/bin/sh\n[ \"$*\" = 'rand -hex 16' ] && echo 0123456789abcdef0123456789abcdef\n"
	if err := os.WriteFile(filepath.Join(tools, "openssl"), []byte(openssl), 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	command.Env = append([]string{"PATH=" + tools + string(os.PathListSeparator) + os.Getenv("PATH")}, environment...)
	said, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return string(said)
}

// TestReadmeSettings writes the settings file as the README says, and has the doctor
// check the settings and print the policy: it takes what the file holds, but for the
// buckets, which are examples.
func TestReadmeSettings(t *testing.T) {
	t.Parallel()
	for _, readme := range []string{"README.md", "README.zh-CN.md"} {
		want := map[string]string{
			"RECORD_BUCKET": "examplebucket-1250000000", "FUNCTION_REGION": "ap-guangzhou", "FUNCTION_ROLE": "ci-callback",
			"CALLBACK_TOKEN": "0123456789abcdef0123456789abcdef", "TENCENT_SECRET_ID": "…", "TENCENT_SECRET_KEY": "…",
			"TENCENTCLOUD_SECRETID": "…", "TENCENTCLOUD_SECRETKEY": "…",
			"RECONCILE_BUCKETS": "media-examplebucket-1250000000", // the promise of a record for every job is of these alone
		}
		got := settings(t, readme)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", readme, diff)
		}
		if said, status := doctor(t, got, "-policy"); status != 1 || !strings.Contains(said, "is a placeholder") {
			t.Errorf("%s: a policy of what is to be replaced: status %d\n%s", readme, status, said)
		}
		said, status := doctor(t, got, "-settings")
		for _, name := range []string{"RECORD_BUCKET", "RECONCILE_BUCKETS"} {
			if status != 1 || !strings.Contains(said, " "+got[name]+" is a placeholder") {
				t.Errorf("%s: what is to be replaced would be deployed: status %d\n%s", readme, status, said)
			}
		}
		got["RECORD_BUCKET"], got["RECONCILE_BUCKETS"] = "records-1250000000", "media-1250000000"
		if said, status := doctor(t, got, "-settings"); status != 0 {
			t.Errorf("%s: what was replaced is refused: status %d\n%s", readme, status, said)
		}
		policy, _ := doctor(t, got, "-policy")
		for _, resource := range []string{
			"qcs::cos:ap-guangzhou:uid/1250000000:records-1250000000/ci/*",
			"qcs::ci:ap-guangzhou:uid/1250000000:bucket/media-1250000000/*",
		} {
			if !strings.Contains(policy, resource) {
				t.Errorf("%s: the policy has no %s:\n%s", readme, resource, policy)
			}
		}
	}
}

// doctor runs scripts/doctor with exactly these variables, and returns what it said and
// its status.
func doctor(t *testing.T, variables map[string]string, flag string) (said string, status int) {
	t.Helper()
	programs.Lock()
	path := build(t, "doctor")
	programs.Unlock()
	command := exec.CommandContext(t.Context(), path, flag)
	command.Env = environment(variables)
	output, _ := command.CombinedOutput()
	return string(output), command.ProcessState.ExitCode()
}

// environment returns variables as a program takes them.
func environment(variables map[string]string) []string {
	var all []string
	for name, value := range variables {
		all = append(all, name+"="+value)
	}
	return all
}

// TestReadmeOutput runs the main job, and holds the table that the READMEs show against
// what it prints.
func TestReadmeOutput(t *testing.T) {
	t.Parallel()
	if !testsize.Full() {
		t.Skip("scripts/local's own tests run the main job")
	}
	command := exec.CommandContext(t.Context(), "go", "run", "./scripts/local")
	command.Dir = root
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	said := string(output)
	for _, readme := range []string{"README.md", "README.zh-CN.md"} {
		blocks := slices.DeleteFunc(codeBlocks(read(t, filepath.Join(root, readme))), func(block string) bool {
			return !strings.HasPrefix(block, "DELIVERY ")
		})
		if len(blocks) != 1 {
			t.Fatalf("%s shows %d tables of deliveries", readme, len(blocks))
		}
		for _, l := range strings.Split(strings.TrimSpace(blocks[0]), "\n") {
			if !strings.Contains(withoutTimes(said), withoutTimes(l)) {
				t.Errorf("%s shows a line that is not printed: %s\nin:\n%s", readme, l, said)
			}
		}
	}
}

// withoutTimes takes the measured milliseconds, and how far lines are set apart, out of a
// text.
func withoutTimes(text string) string {
	text = regexp.MustCompile(`\b[0-9]+\.[0-9]+\b`).ReplaceAllString(text, "0.0")
	return regexp.MustCompile(`[ \t]+`).ReplaceAllString(text, " ")
}
