package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

func TestMain(m *testing.M) { testprogram.Main(m) }

// The binaries that tests run: the function as scripts/build.sh builds it, and the plain
// handler that it is measured against.
var (
	buildFunction = testprogram.New(".", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=test")
	buildPlain    = testprogram.New("./testdata/plain", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
)

// process is a running binary.
type process struct {
	*scflocal.Function
	output *textBuffer
}

// start starts a binary, which ends with the test.
func start(t testing.TB, build func() (string, error), env ...string) *process {
	t.Helper()
	p := &process{output: new(textBuffer)}
	var err error
	if p.Function, err = scflocal.Start(context.Background(), testprogram.Path(t, build), env, p.output); err != nil {
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
