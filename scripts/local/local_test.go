package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// project is where the tests find the project.
var project = filepath.Join("..", "..")

// built is the function that all tests use.
var built = testprogram.New("../../function")

func TestMain(m *testing.M) { testprogram.Main(m) }

// linkBuilt is the build of the tests, which compiles nothing anew.
func linkBuilt(_ context.Context, _, binary string) error {
	compiled, err := built()
	if err != nil {
		return err
	}
	if err := os.Remove(binary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Link(compiled, binary)
}

// screen is what a person sees.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// String returns all that was written.
func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newTestProgram returns a program on this project that makes things in a folder of its
// own, and what it prints.
func newTestProgram(t *testing.T) (*program, *screen) {
	t.Helper()
	out := new(screen)
	return &program{
		project: project, folder: t.TempDir(), in: strings.NewReader(""), out: out,
		build: linkBuilt, timerEvery: time.Hour, refreshEvery: 200 * time.Millisecond,
	}, out
}

// started returns a platform that runs, with default settings and jobs that end at once.
func started(t *testing.T, p *program, command string) *platform {
	t.Helper()
	pl, err := p.open(command, defaultSettings(mediaBucket), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pl.Close)
	if err := pl.start(t.Context(), p, addresses{cos: "127.0.0.1:0", ci: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	return pl
}

// sample returns the body of a sample callback.
func sample(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(project, "testdata", "callbacks", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"-listen", ":1"}, `there is no command "-listen"`},
		{[]string{"deliver"}, `there is no command "deliver"`},
		{[]string{"", "x"}, `unexpected argument "x"`},
		{[]string{"serve", "x"}, `unexpected argument "x"`},
		{[]string{"serve", "-board", "0.0.0.0:0"}, `-board: "0.0.0.0:0" is no address for the board: name one of 127.0.0.1, localhost, ::1 and a port, such as 127.0.0.1:9090`},
		{[]string{"serve", "-board", "127.0.0.3:0"}, `-board: "127.0.0.3:0" is no address for the board: name one of 127.0.0.1, localhost, ::1 and a port, such as 127.0.0.1:9090`},
		{[]string{"serve", "-listen"}, "flag needs an argument: -listen"},
		{[]string{"serve", "-port", "1"}, "flag provided but not defined: -port"},
		{[]string{"serve", "-event", "x"}, "flag provided but not defined: -event"},
		{[]string{"invoke"}, "invoke needs -event FILE"},
		{[]string{"invoke", "file"}, `unexpected argument "file"`},
		{[]string{"invoke", "-event"}, "flag needs an argument: -event"},
		{[]string{"invoke", "-event", "a", "b"}, `unexpected argument "b"`},
	} {
		p, out := newTestProgram(t)
		reported := new(screen)
		code := report(t.Context(), p.run(t.Context(), test.args), reported)
		if code != 2 || out.String() != "" || reported.String() != "local: "+test.says+"\n"+usage {
			t.Errorf("%q: %d, %q, %q", test.args, code, out, reported)
		}
	}
}

// TestUsageIsSaidOnce: package flag prints nothing of its own. It is not parallel, since it
// has the standard error of the process.
func TestUsageIsSaidOnce(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	own := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = own }()
	for _, args := range [][]string{{"serve", "-port", "1"}, {"serve", "-h"}} {
		p, _ := newTestProgram(t)
		p.run(t.Context(), args)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes were printed, %v", info.Size(), err)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"serve", "-h"}, {"invoke", "--help"}} {
		p, out := newTestProgram(t)
		reported := new(screen)
		if code := report(t.Context(), p.run(t.Context(), args), reported); code != 0 || out.String() != usage || reported.String() != "" {
			t.Errorf("%q: %d, %q, %q", args, code, out, reported)
		}
	}
}

// TestInterruptedBuild says no more than that it has ended.
func TestInterruptedBuild(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.build = buildFunction
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reported := new(screen)
	if code := report(ctx, p.run(ctx, serveAnywhere()), reported); code != 130 || out.String() != "" || reported.String() != "Ended.\n" {
		t.Errorf("%d, %q, %q", code, out, reported)
	}
	reported = new(screen)
	if code := report(t.Context(), errors.New("it failed"), reported); code != 1 || reported.String() != "local: it failed\n" {
		t.Errorf("a failure: %d, %q", code, reported)
	}
}

// serveAnywhere is the command line of serve on free ports.
func serveAnywhere() []string {
	const free = "127.0.0.1:0"
	return []string{"serve", "-listen", free, "-cos", free, "-ci", free, "-board", free}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	// The demo is what it is, whatever the shell has set.
	p.environment = []string{"TAG_MD5=false", "RECORD_BUCKET=other-1", "COS_ENDPOINT=https://cos.example", "TENCENTCLOUD_SECRETID=x"}
	for _, what := range []string{"first", "again"} {
		if err := p.run(t.Context(), nil); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		for _, line := range []string{
			`Tags of test-123456789/output/digital\.mp4 before: +project=demo\n`,
			`DELIVERY +STATUS +RECORD +TAG +COS REQUESTS +MILLISECONDS\n`,
			`XML callback +200 +created +tagged +4 +[0-9.]+\n`,
			`the same again +200 +duplicate +unchanged +4 +[0-9.]+\n`,
			`JSON callback, same job +200 +duplicate +unchanged +4 +[0-9.]+\n`,
			`no callback at all +400 +- +- +1 +[0-9.]+\n`,
			`wrong token +401 +- +- +0 +[0-9.]+\n`,
			`after: +project=demo +md5=043221daee3f4e15ff13f42329f15eb1\n`,
			`Record records-123456789/ci/jobs/ja8de3b46f86011ec9452c1c27f56a659\.json:\n`,
			`"state": "Success"`,
			`ci/rejected/[0-9a-f]{64}\n`,
			`Job j[0-9a-f]{32} ended nine minutes ago, and its callback was lost\.\n`,
			`TIMER +CHECKED +REPAIRED +REPLACED +CI REQUESTS +COS REQUESTS +MILLISECONDS\n`,
			`asks CI +1 +1 +0 +[0-9]+ +[0-9]+ +[0-9.]+\n`,
			`the same again +0 +0 +0 +[0-9]+ +[0-9]+ +[0-9.]+\n`,
			`Its record says "source": "query", "state": "Success"; tags of its output: +md5=[0-9a-f]{32}\n`,
			`All as it should be\. `,
		} {
			if !regexp.MustCompile(line).MatchString(out.String()) {
				t.Errorf("%s: nothing matches %s:\n%s", what, line, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(p.folder, "demo", "function.log")); err != nil {
		t.Error(err)
	}
	// A person finds the record as it is.
	record, err := os.ReadFile(filepath.Join(p.folder, "demo", "cos", recordBucket, filepath.FromSlash(recordKey)))
	if err != nil || !json.Valid(record) || bytes.Count(record, []byte("\n")) != 1 {
		t.Errorf("the record on disk: %v, %s", err, record)
	}
}

// TestDemoFails says what is not as it should be.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.project = t.TempDir()
	if err := os.MkdirAll(filepath.Join(p.project, "function"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.project, "function", "main.go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "digitalwatermark.xml") {
		t.Errorf("without samples: %v", err)
	}
	folder := filepath.Join(p.project, "testdata", "callbacks")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"digitalwatermark.xml", "digitalwatermark.json"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("no callback"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := p.run(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "not as it should be") || !strings.Contains(err.Error(), "XML callback: got 400") ||
		strings.Contains(out.String(), "All as it should be") {
		t.Errorf("with other samples: %v\n%s", err, out)
	}
}

// TestDemoWithoutDisk says that it cannot store the object that its job wrote.
func TestDemoWithoutDisk(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.build = func(ctx context.Context, project, binary string) error {
		objects := filepath.Join(p.folder, "demo", "cos", mediaBucket)
		return errors.Join(os.RemoveAll(objects), os.WriteFile(objects, nil, 0o600), linkBuilt(ctx, project, binary)) // a file where the folder was
	}
	if err := p.run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "put the output object") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTwiceAtOnce leaves what the first one has as it is.
func TestTwiceAtOnce(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for command, args := range map[string][]string{"demo": nil, "serve": serveAnywhere(), "invoke": {"invoke", "-event", event}} {
		first, err := p.open(command, defaultSettings(mediaBucket), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if err := first.putOutput(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(first.log(), []byte("the first one's"), 0o644); err != nil {
			t.Fatal(err)
		}
		err = p.run(t.Context(), args)
		if want := "another one is running in " + first.folder + ": end it, or wait until it has ended"; err == nil || err.Error() != want || out.String() != "" {
			t.Errorf("%s: %v, %q", command, err, out)
		}
		if log, err := os.ReadFile(first.log()); err != nil || string(log) != "the first one's" {
			t.Errorf("%s: log %q, %v", command, log, err)
		}
		if _, err := os.Stat(filepath.Join(first.folder, "function")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it built the function: %v", command, err)
		}
		if first.tags(outputKey) != "project=demo" {
			t.Errorf("%s: the object is gone", command)
		}
	}
}

func TestAddressesInUse(t *testing.T) {
	t.Parallel()
	inUse, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	for i, flag := range []string{"-listen", "-cos", "-ci", "-board"} {
		p, _ := newTestProgram(t)
		args := serveAnywhere()
		args[2+2*i] = inUse.Addr().String()
		err := p.run(t.Context(), args)
		if err == nil || !strings.Contains(err.Error(), inUse.Addr().String()) || !strings.Contains(err.Error(), flag+" 127.0.0.1:0") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	post, err := json.Marshal(map[string]any{"httpMethod": "POST", "body": sample(t, "digitalwatermark.json")})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string]string{
		"get.json": `{"httpMethod":"GET"}`, "post.json": string(post), "no.json": "hello", "empty.json": "",
		"timer.json": `{"Type":"Timer"}`, "other.json": `{"Records":[{"cos":{}}]}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	samples := filepath.Join(project, "testdata", "callbacks")
	p, _ := newTestProgram(t)
	for _, test := range []struct{ name, file, in, answer, fails string }{
		{"get", "get.json", "", `"statusCode":200`, ""},
		{"post", "post.json", "", `created`, ""},
		{"timer", "timer.json", "", `"complete":true`, ""},
		{"standard_input", "-", `{"httpMethod":"PUT"}`, `"statusCode":405`, ""},
		{"no_file", "nowhere.json", "", "", "nowhere.json"},
		{"no_json", "no.json", "", "", "no.json holds no JSON"},
		{"empty", "empty.json", "", "", "empty.json holds no JSON"},
		{"no_json_on_standard_input", "-", "hello", "", "standard input holds no JSON"},
		{"folder", ".", "", "", "read event"},
		{"other_trigger", "other.json", "", "", "COS"},
		{"callback", filepath.Join(samples, "transcode.json"), "", "", "callback"},
		{"xml_callback", filepath.Join(samples, "transcode.xml"), "", "", "transcode.xml holds XML, a callback perhaps"},
	} {
		file := test.file
		if file != "-" && !strings.HasPrefix(file, project) {
			file = filepath.Join(folder, file)
		}
		out := new(screen)
		p.in, p.out = strings.NewReader(test.in), out
		err := p.run(t.Context(), []string{"invoke", "-event", file})
		if test.fails == "" && (err != nil || !strings.Contains(out.String(), test.answer) || !json.Valid([]byte(out.String()))) {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
		if test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails) || out.String() != "") {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
	}
}

// TestInvokeTakesSettings takes those of the shell, and its keys not.
func TestInvokeTakesSettings(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.environment = []string{"RECORD_BUCKET=mine-1250000000", "RECORD_PREFIX=other/", "TENCENTCLOUD_SECRETID=x", "COS_ENDPOINT=https://cos.example"}
	body, err := json.Marshal(map[string]any{"httpMethod": "POST", "body": sample(t, "digitalwatermark.json")})
	if err != nil {
		t.Fatal(err)
	}
	p.in = bytes.NewReader(body)
	if err := p.run(t.Context(), []string{"invoke", "-event", "-"}); err != nil || !strings.Contains(out.String(), `\"record\":\"other/jobs/`) {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(p.folder, "invoke", "cos", "mine-1250000000", "other", "jobs")); err != nil {
		t.Error(err)
	}
}

// TestOneBucket has records and media in one bucket, which the shell may choose.
func TestOneBucket(t *testing.T) {
	t.Parallel()
	p, _ := newTestProgram(t)
	settings := defaultSettings()
	settings["RECORD_BUCKET"], settings["RECONCILE_BUCKETS"] = "one-1250000000", " one-1250000000@ap-beijing , two-1250000000"
	pl, err := p.open("serve", settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pl.Close()
	if bucket, in := pl.media(); bucket != "one-1250000000" || in != "ap-beijing" {
		t.Errorf("jobs are submitted for %s in %s", bucket, in)
	}
	for _, bucket := range []string{"one-1250000000", "two-1250000000"} {
		if pl.ci.Queues(bucket) == nil || pl.cos.PutObject(bucket, "a", coslocal.Object{}) != nil {
			t.Errorf("bucket %s is not there", bucket)
		}
	}
}

// TestElsewhere makes nothing where the project is not.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, serveAnywhere()} {
		p, _ := newTestProgram(t)
		p.project, p.folder = t.TempDir(), filepath.Join(t.TempDir(), "made")
		if err := p.run(t.Context(), args); err == nil || !strings.Contains(err.Error(), "not the project's folder") {
			t.Errorf("%q: %v", args, err)
		}
		if _, err := os.Stat(p.folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: it left something: %v", args, err)
		}
	}
}

func TestNoToolchain(t *testing.T) {
	p, _ := newTestProgram(t)
	p.build = buildFunction
	t.Setenv("PATH", t.TempDir())
	if err := p.run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "https://go.dev/doc/install") {
		t.Errorf("%v", err)
	}
}

// TestBrokenFunction says why a function does not compile, and where its last words are
// if it does not start.
func TestBrokenFunction(t *testing.T) {
	t.Parallel()
	for content, says := range map[string]string{
		"package main\nfunc main() { nothing() }\n":     "undefined: nothing",
		"package main\nfunc main() { panic(\"no\") }\n": "function.log",
	} {
		p, _ := newTestProgram(t)
		p.build = buildFunction
		p.project = t.TempDir()
		for name, text := range map[string]string{"go.mod": "module broken\n\ngo 1.26\n", "function/main.go": content} {
			path := filepath.Join(p.project, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		pl, err := p.open("demo", defaultSettings(mediaBucket), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = pl.start(t.Context(), p, addresses{cos: "127.0.0.1:0", ci: "127.0.0.1:0"})
		pl.Close()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q: %v", says, err)
		}
	}
}

// TestPlanOf reads how a job goes from the words of its UserData.
func TestPlanOf(t *testing.T) {
	t.Parallel()
	for userData, want := range map[string]string{
		"":                "0s 3s false   []",
		"anything else":   "0s 3s false   []",
		"30s":             "0s 30s false   []",
		"lost":            "0s 3s true   []",
		"late 1m":         "0s 1m0s false   [1m0s]",
		"twice failed 0s": "0s 0s false ResourceDownloadFailed the input cannot be read [0s 1s]",
		"-5s":             "0s 3s false   []",
	} {
		p := planOf(cilocal.Job{UserData: userData})
		if got := fmt.Sprint(p.Wait, " ", p.Run, " ", p.Lost, " ", p.Code, " ", p.Message, " ", p.Callbacks); got != want {
			t.Errorf("%q: %s, want %s", userData, got, want)
		}
	}
}

// TestShellSettings takes settings from the shell, and neither keys nor endpoints.
func TestShellSettings(t *testing.T) {
	t.Parallel()
	got := shellSettings([]string{
		"TAG_MD5=false", "RECORD_PREFIX=a=b/", "MD5_TAG_KEY=", "COS_ENDPOINT=https://x", "CI_ENDPOINT=https://x",
		"TENCENTCLOUD_SECRETID=id", "TENCENTCLOUD_SECRETKEY=key", "TENCENTCLOUD_SESSIONTOKEN=token", "TENCENTCLOUD_REGION=r", "HOME=/",
	})
	if fmt.Sprint(got) != "map[RECORD_PREFIX:a=b/ TAG_MD5:false]" {
		t.Errorf("%v", got)
	}
}

// TestLinksNoTesting makes sure that the command links none of what only tests need, such
// as package testing and the flags that it registers.
func TestLinksNoTesting(t *testing.T) {
	t.Parallel()
	output, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(output)) {
		name = strings.TrimSpace(name)
		if name == "testing" || strings.HasPrefix(name, "testing/") || name == "net/http/httptest" {
			t.Errorf("scripts/local links %s", name)
		}
	}
	if !strings.Contains(string(output), "net/http\n") {
		t.Errorf("this is no list of packages: %.200s", output)
	}
}

// getBody returns the body of a page.
func getBody(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %d, %v", address, response.StatusCode, err)
	}
	return string(body)
}

// waitFor waits until a condition holds, which something else brings about.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to it: %s", what)
		}
	}
}
