package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
)

// initTrace is what the packages of this module did before main, in one start.
type initTrace struct {
	packages      int
	took          time.Duration
	bytes, allocs int
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock, (\d+) bytes, (\d+) allocs$`)

// traceInit starts the built function and reads the runtime's trace of it.
func traceInit(t testing.TB) initTrace {
	t.Helper()
	p := start(t, buildFunction, "GODEBUG=inittrace=1")
	output := p.printed(t)
	lines := initLine.FindAllStringSubmatch(output, -1)
	if len(lines) < 20 { // the standard library alone has more
		t.Fatalf("the trace has %d lines: %s", len(lines), output)
	}
	var all initTrace
	for _, line := range lines {
		if line[1] != "main" && !strings.HasPrefix(line[1], "github.com/ci-callback/") {
			continue
		}
		ms, _ := strconv.ParseFloat(line[2], 64)
		bytes, _ := strconv.Atoi(line[3])
		allocs, _ := strconv.Atoi(line[4])
		all.packages++
		all.took += time.Duration(ms * float64(time.Millisecond))
		all.bytes += bytes
		all.allocs += allocs
	}
	return all
}

// TestInitIsCheap bounds what the packages of this module do before main. A regular
// expression with a large class or a bounded repeat alone takes a hundred times as much,
// and on an instance with a tenth of a core that is noticed.
func TestInitIsCheap(t *testing.T) {
	t.Parallel()
	const maxBytes, maxAllocs = 8_000, 120
	got := traceInit(t)
	t.Logf("%d packages: %d bytes, %d allocations, %v", got.packages, got.bytes, got.allocs, got.took)
	if got.bytes > maxBytes || got.allocs > maxAllocs {
		t.Errorf("%d bytes and %d allocations before main; want at most %d and %d", got.bytes, got.allocs, maxBytes, maxAllocs)
	}
}

// BenchmarkInit is the least of the times that the packages of this module take before
// main. Twenty starts, -benchtime 20x, tell.
func BenchmarkInit(b *testing.B) {
	least := time.Hour
	for b.Loop() {
		least = min(least, traceInit(b).took)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(least.Seconds()*1000, "ms/least")
}

// BenchmarkTenthOfACore is the time from exec to listening with a tenth of a core, which
// is about what an instance of 128 MB may get, of the function and of the plain handler,
// in turns. It needs a machine that lets it make a cgroup.
func BenchmarkTenthOfACore(b *testing.B) {
	join, err := newCPUQuota(b)
	if err != nil {
		b.Skip(err)
	}
	var ours, plain []time.Duration
	for b.Loop() {
		ours = append(ours, startUnder(b, join, buildFunction))
		plain = append(plain, startUnder(b, join, buildPlain))
	}
	b.ReportMetric(0, "ns/op")
	for name, took := range map[string][]time.Duration{"function": ours, "plain": plain} {
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms/"+name)
		b.ReportMetric(took[len(took)*9/10].Seconds()*1000, "ms/"+name+"-p90")
	}
}

// newCPUQuota makes a cgroup, of either version, whose processes may use a tenth of a
// core. It returns the file that a process joins it by.
func newCPUQuota(b *testing.B) (join string, err error) {
	const quota, period = "10000", "100000" // microseconds
	for _, version := range []struct {
		root   string
		limits [][2]string // file, value
	}{
		{"/sys/fs/cgroup/cpu", [][2]string{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}}},
		{"/sys/fs/cgroup", [][2]string{{"cpu.max", quota + " " + period}}},
	} {
		group, mkdirErr := os.MkdirTemp(version.root, "ci-callback")
		if mkdirErr != nil {
			err = mkdirErr
			continue
		}
		b.Cleanup(func() { os.Remove(group) })
		err = nil
		for _, limit := range version.limits {
			err = errors.Join(err, os.WriteFile(filepath.Join(group, limit[0]), []byte(limit[1]), 0))
		}
		if err == nil {
			return filepath.Join(group, "cgroup.procs"), nil
		}
	}
	return "", fmt.Errorf("no cgroup can be made here: %w", err)
}

// startUnder starts a binary in a cgroup, and returns how long it took from exec until it
// listened.
func startUnder(b *testing.B, join string, build func() (string, error)) time.Duration {
	b.Helper()
	binary := testprogram.Path(b, build)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	// The shell joins the cgroup, says so, and becomes the function.
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", `echo $$ >"$0" && echo joined && exec "$1"`, join, binary)
	cmd.Env = append(os.Environ(), "_LAMBDA_SERVER_PORT="+port)
	output, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	if _, err := fmt.Fscanln(output, new(string)); err != nil {
		b.Fatal(err)
	}
	started := time.Now()
	for time.Since(started) < 10*time.Second {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return time.Since(started)
		}
		time.Sleep(200 * time.Microsecond)
	}
	b.Fatal("it does not listen")
	return 0
}
