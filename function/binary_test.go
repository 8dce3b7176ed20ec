package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// binaries is the folder of what tests build, for as long as they run.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "ci-callback"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(binaries)
	os.Exit(code)
}

// The binaries that tests run, each built once: the function as scripts/build.sh builds
// it, and the plain handler that it is measured against.
var (
	buildFunction = sync.OnceValues(func() (string, error) { return build("function", ".") })
	buildPlain    = sync.OnceValues(func() (string, error) { return build("plain", "./testdata/plain") })
)

func build(name, source string) (string, error) {
	binary := filepath.Join(binaries, name)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version=test", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return binary, nil
}

// process is a running binary.
type process struct {
	*scflocal.Function
	output *textBuffer
}

// start starts a binary, which ends with the test.
func start(t testing.TB, build func() (string, error), env ...string) *process {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{output: new(textBuffer)}
	if p.Function, err = scflocal.Start(context.Background(), binary, env, p.output); err != nil {
		t.Fatalf("%v\n%s", err, p.output)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// textBuffer takes what a process or a handler prints.
type textBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *textBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *textBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// printed ends the process and returns all that it printed.
func (p *process) printed(t testing.TB) string {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	return p.output.String()
}

// status returns a number of /proc/<pid>/status, in the unit that the file has: KiB for
// VmHWM, the most memory ever in use, and VmRSS, that now in use. It is 0 where the
// system has no such file.
func (p *process) status(name string) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "\n"+name+":")
	var n int
	fmt.Sscan(rest, &n)
	return n
}

// cpu returns the time that all threads of the process were on a CPU.
func (p *process) cpu() time.Duration {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Pid()))
	var sum time.Duration
	for _, thread := range threads {
		b, _ := os.ReadFile(thread)
		first, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// Reset forgets what was printed.
func (t *textBuffer) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = bytes.Buffer{}
}
