// Package testprogram builds the programs that tests start. A test binary that wants one
// has Main as its TestMain, and each program in a variable:
//
//	var echo = testprogram.New("./testdata/echo")
//
//	func TestMain(m *testing.M) { testprogram.Main(m) }
//
// Only tests import it.
package testprogram

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// folder holds what is built, while the tests of a package run.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "ci-callback-test") })

// Main runs the tests of a package, and removes what they have built.
func Main(m *testing.M) {
	code := m.Run()
	if path, err := folder(); err == nil {
		_ = os.RemoveAll(path) // what is left over is the system's to clear away
	}
	os.Exit(code)
}

// Path returns the path of a program that New is for, and ends the test where it cannot be
// built.
func Path(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// New returns a function that returns the path of a program. Its first call builds it, with
// the flags that `go build` takes, from the package at source: a path below the tests'
// own folder, or from there. It may be called by several goroutines at once.
//
// It lets `go run` start cp in the place of the program, since go keeps what it has linked
// for `go run` alone: a second or two are saved each time the tests run.
func New(source string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := folder()
		if err != nil {
			return "", err
		}
		if dir, err = os.MkdirTemp(dir, ""); err != nil {
			return "", err
		}
		binary := filepath.Join(dir, "main")
		args := append([]string{"build", "-o", binary}, append(flags, source)...)
		if _, err := exec.LookPath("cp"); err == nil { // not so on Windows
			args = append([]string{"run", "-exec", "cp"}, append(flags, source, binary)...)
		}
		command := exec.Command("go", args...)
		command.Env = append(os.Environ(), "CGO_ENABLED=0") // as scripts/build.sh builds the function
		if said, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said)
		}
		return binary, nil
	})
}
