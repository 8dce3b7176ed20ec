package scripts_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/internal/testsize"
)

// module is the project's own path. Stand-in projects take it too, so that all share one
// build cache.
const module = "github.com/ci-callback/ci-callback"

// projectRoot is where this checkout lies.
func projectRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// shells returns the shells of this machine that the scripts must run in, by name, each
// real one once: `sh` is dash or bash on most. Unless tests run at full size it is the
// first alone, which is the strictest.
func shells(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	seen := map[string]bool{}
	for _, name := range []string{"dash", "bash", "sh"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[real] {
			seen[real] = true
			found[name] = path
		}
		if !testsize.Full() {
			break
		}
	}
	if len(found) == 0 {
		t.Skip("no POSIX shell on this machine")
	}
	return found
}

// need skips the test where a program is truly absent, and returns its path otherwise.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("no %s on this machine", program)
	}
	return path
}

// outcome is what a command did.
type outcome struct {
	status         int
	stdout, stderr string
}

func (o outcome) all() string { return o.stdout + o.stderr }

// run runs a command in dir with exactly the environment env.
func run(t *testing.T, dir string, env []string, program string, args ...string) outcome {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir, command.Env = dir, env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", program, err)
	}
	return outcome{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// expect fails the test unless the command ended with status and said every one of the
// texts, on either stream.
func (o outcome) expect(t *testing.T, status int, texts ...string) {
	t.Helper()
	if o.status != status {
		t.Errorf("status %d, want %d", o.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(o.all(), text) {
			t.Errorf("nothing says %q", text)
		}
	}
	if t.Failed() {
		t.Fatalf("it said:\n%s", o.all())
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// copyInto copies files and folders of the project, by their paths in it, to the same
// paths below dir.
func copyInto(t *testing.T, dir string, paths ...string) {
	t.Helper()
	root := projectRoot(t)
	for _, path := range paths {
		from, to := filepath.Join(root, path), filepath.Join(dir, path)
		info, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			write(t, to, string(read(t, from)), info.Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// toolbox makes a folder that holds the named programs alone, to be a whole PATH: what a
// script finds is then the same on every machine, and what it may use is written down.
func toolbox(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range programs {
		if err := os.Symlink(need(t, program), filepath.Join(dir, program)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// notingToolbox is a toolbox whose programs note their arguments in the file that the
// variable ARGUMENTS names. Like any test that writes programs and runs them it must have
// written them before something else in this process forks: a child that has the file
// open for writing for an instant makes it "text file busy".
func notingToolbox(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range programs {
		noting := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>\"$ARGUMENTS\"\nexec %q \"$@\"\n", need(t, program))
		write(t, filepath.Join(dir, program), noting, 0o755)
	}
	return dir
}
