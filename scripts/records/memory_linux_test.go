package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

var buildRecords = testprogram.New(".")

// TestListMemory lists 1,000 records among 100,000 in a process of its own, over a
// socket, and looks at the most memory that it had.
func TestListMemory(t *testing.T) {
	if !testsize.Full() {
		t.Skip("it builds the program, and makes 100,000 records: run with " + testsize.Variable + "=1")
	}
	t.Parallel()
	binary := testprogram.Path(t, buildRecords)
	server := coslocaltest.NewServerWith(t, coslocal.Options{KeepRequests: -1}, recordBucket)
	c := &cloud{t: t, cos: server.Server}
	c.putRecords("old", 100_000)
	keys := coslocal.DefaultCredential()
	list := exec.CommandContext(t.Context(), binary, "list", "--since", "all", "--limit", "1000")
	list.Env = append(os.Environ(), "RECORD_BUCKET="+recordBucket, "RECORD_REGION="+region, "COS_ENDPOINT="+server.Endpoint,
		"TENCENTCLOUD_SECRETID="+keys.SecretID, "TENCENTCLOUD_SECRETKEY="+keys.SecretKey)
	var out, errors bytes.Buffer
	list.Stdout, list.Stderr = &out, &errors
	server.Inject(coslocal.Fault{Delay: 20 * time.Millisecond})
	began := time.Now()
	if err := list.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	most := make(chan int, 1)
	go func() { most <- watchMemory(list.Process.Pid, ended) }()
	err := list.Wait()
	close(ended)
	if err != nil {
		t.Fatalf("%v\n%s", err, errors.String())
	}
	took := time.Since(began)
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1000 {
		t.Errorf("%d rows: %s", n, errors.String())
	}
	const limit = 100 << 10
	kilobytes := <-most
	if kilobytes == 0 || kilobytes > limit {
		t.Errorf("%d kB at most, and %d are allowed", kilobytes, limit)
	}
	t.Logf("1,000 of 100,000 records: %s by the machine's clock, %d kB at most", took, kilobytes)
}

// watchMemory returns the most memory that a process had, in kilobytes, once it has
// ended. What wait4 says of it is of no use: it counts what the process was forked from.
func watchMemory(pid int, ended <-chan struct{}) int {
	most := 0
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(status)) {
			var kilobytes int
			if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
				most = max(most, kilobytes)
			}
		}
		select {
		case <-ended:
			return most
		case <-time.After(5 * time.Millisecond):
		}
	}
}
