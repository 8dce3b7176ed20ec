package scripts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/internal/testsize"
)

// ciTools are stand-ins for what .ci/run calls. Each notes its arguments, and fails where
// the variable BREAK is a part of them. The one for go lists one package with two fuzz
// targets, and says that both tests of the simulation passed.
const ciTools = `#!/bin/sh
call="${0##*/} $* os=${GOOS:-} full=${CI_CALLBACK_FULL:-} browser=${CI_CALLBACK_DEMAND_BROWSER:-}"
printf '%s\n' "$call" >>"$CALLS"
[ -z "${BREAK:-}" ] || case $call in *"$BREAK"*) echo "broken: $call"; exit 1 ;; esac
case $call in
'gofmt '*) printf '%s' "${UNFORMATTED:-}" ;;
'go list '*) echo example/a ;;
'go test -list '*) printf '%s\n' "${LISTED-FuzzA FuzzB}" | tr ' ' '\n' ;;
*' -schedules '*) printf '%s\n' "${SIMULATED---- PASS: TestEveryFault (1s)_--- PASS: TestSimulation (1s)}" | tr _ '\n' ;;
esac
`

// ci runs .ci/run in an empty checkout, with stand-ins for all that takes long.
func ci(t *testing.T, env ...string) (outcome, []string) {
	t.Helper()
	dir := t.TempDir()
	copyInto(t, dir, ".ci/run")
	write(t, filepath.Join(dir, "a.go"), "package a\n", 0o644)
	git := need(t, "git")
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}} {
		run(t, dir, goEnvironment(t), git, args...).expect(t, 0)
	}
	bin := toolbox(t, "bash", "cat", "dirname", "env", "git", "grep", "id", "mktemp", "rm", "sed", "sh", "tr", "xargs")
	for _, name := range []string{"go", "gofmt", "shellcheck", "chromium"} {
		write(t, filepath.Join(bin, name), ciTools, 0o755)
	}
	calls := filepath.Join(dir, "calls")
	did := run(t, dir, append(env, "PATH="+bin, "CALLS="+calls, "HOME="+dir, "TMPDIR="+t.TempDir()), need(t, "bash"), ".ci/run")
	return did, strings.Split(strings.TrimSpace(string(read(t, calls))), "\n")
}

// TestCI holds the list of what is run before a change lands, and that every single step
// of it can stop the run.
func TestCI(t *testing.T) {
	did, calls := ci(t)
	did.expect(t, 0, "== all is well", "2 targets")
	if strings.Contains(did.all(), "full=1 browser=1") {
		t.Errorf("a stand-in said more than it should:\n%s", did.all())
	}
	for _, want := range []string{
		"gofmt -l a.go os= full= browser=",
		"go vet ./... os=linux full= browser=", "go vet ./... os=darwin full= browser=", "go vet ./... os=windows full= browser=",
		"go mod tidy -diff os= full= browser=", "go mod verify os= full= browser=",
		"shellcheck .ci/run os= full= browser=", "go run ./scripts/local os= full= browser=",
		"go test -count=1 -shuffle=on -timeout 20m ./... os= full=1 browser=1",
		"go test -count=1 -shuffle=on -timeout 20m -race ./... os= full= browser=1",
		"go test example/a -run ^$ -fuzz ^FuzzA$ -fuzztime 50000x os= full= browser=1",
		"go test example/a -run ^$ -fuzz ^FuzzB$ -fuzztime 50000x os= full= browser=1",
	} {
		if !slices.Contains(calls, want) {
			t.Errorf("not called: %s\nin %s", want, strings.Join(calls, "\n   "))
		}
	}
	if !slices.ContainsFunc(calls, func(call string) bool { return strings.HasPrefix(call, "go test -count=1 ./... ") }) {
		t.Error("the README's command is not run")
	}
	for i, call := range calls {
		if i%4 != 0 && !testsize.Full() {
			continue
		}
		stopped, made := ci(t, "BREAK="+call)
		if stopped.status == 0 || strings.Contains(stopped.stdout, "all is well") {
			t.Errorf("it goes on although this fails: %s", call)
		}
		if len(made) != i+1 {
			t.Errorf("after %q failed came %q", call, made[i+1:])
		}
	}
}

func TestCIFindsWhatIsNotThere(t *testing.T) {
	for name, test := range map[string]struct{ variable, says string }{
		"not_formatted":           {"UNFORMATTED=a.go", "not formatted, run gofmt -w on: a.go"},
		"no_fuzz_target":          {"LISTED=", "no fuzz target was found"},
		"simulation_renamed":      {"SIMULATED=--- PASS: TestEveryFault (1s)", "there is no TestSimulation any more"},
		"simulation_without_test": {"SIMULATED=ok  	function 0.1s [no tests to run]", "there is no TestEveryFault any more"},
	} {
		did, _ := ci(t, test.variable)
		did.expect(t, 1, test.says)
		if strings.Contains(did.stdout, "all is well") {
			t.Errorf("%s: it says that all is well", name)
		}
	}
}

// TestCIIsExecutable is what .github/workflows relies on.
func TestCIIsExecutable(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(filepath.Join(projectRoot(t), ".ci", "run"))
	if err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%v %v", info, err)
	}
}
