package coslocal_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// killDir is the environment variable that holds the folder to write to until killed.
const killDir = "COSLOCAL_TEST_KILL_DIR"

// writeUntilKilled overwrites one object again and again, and says on standard output
// what it has written.
func writeUntilKilled(dir string) {
	s, err := coslocal.New(coslocal.Options{Dir: dir})
	if err == nil {
		err = s.CreateBucket(bucket, "")
	}
	for i := 0; err == nil; i++ {
		n := strconv.Itoa(i)
		if err = s.PutObject(bucket, "ci/k", coslocal.Object{Body: []byte(n), Tags: []coslocal.Tag{{Key: "n", Value: n}}}); err == nil {
			_, err = fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKill kills a process in the middle of its writes. What it said is there, and body
// and tags belong together, except for a write that it had not finished, which may have
// lost its tags.
func TestKill(t *testing.T) {
	t.Parallel()
	for writes := range 5 {
		dir := t.TempDir()
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), killDir+"="+dir)
		writer.Stderr = os.Stderr
		output, err := writer.StdoutPipe()
		must(t, err)
		must(t, writer.Start())
		lines := bufio.NewScanner(output)
		said := -1
		for said < 3*writes && lines.Scan() {
			said, err = strconv.Atoi(lines.Text())
			must(t, err)
		}
		must(t, writer.Process.Kill())
		for lines.Scan() { // said before the kill reached it
			said, err = strconv.Atoi(lines.Text())
			must(t, err)
		}
		if writer.Wait() == nil {
			t.Error("the writer ended by itself")
		}
		o, ok := openFolder(t, dir).Object(bucket, "ci/k")
		n, err := strconv.Atoi(string(o.Body))
		tagged := len(o.Tags) == 1 && o.Tags[0].Value == string(o.Body)
		if !ok || err != nil || n < said || !tagged && (n == said || len(o.Tags) > 0) {
			t.Errorf("after %d: object = %+v", said, o)
		}
	}
}
