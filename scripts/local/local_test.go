package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// inCopy changes to a folder that looks like the project's, so that what is made there
// is thrown away.
func inCopy(t *testing.T) {
	t.Helper()
	project, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "function", "pkg", "testdata"} {
		if err := os.Symlink(filepath.Join(project, name), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
}

// screen is what a person sees.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
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
		{[]string{"serve", "-listen"}, "flag needs an argument: -listen"},
		{[]string{"serve", "-port", "1"}, "flag provided but not defined: -port"},
		{[]string{"serve", "-event", "x"}, "flag provided but not defined: -event"},
		{[]string{"invoke"}, "invoke needs -event FILE"},
		{[]string{"invoke", "file"}, `unexpected argument "file"`},
		{[]string{"invoke", "-event"}, "flag needs an argument: -event"},
		{[]string{"invoke", "-event", "a", "b"}, `unexpected argument "b"`},
	} {
		out, reported := new(screen), new(screen)
		err := run(t.Context(), test.args, nil, out)
		code := report(t.Context(), err, reported)
		if code != 2 || out.String() != "" || reported.String() != "local: "+test.says+"\n"+usage {
			t.Errorf("%q: %d, %q, %q", test.args, code, out, reported)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"serve", "-h"}, {"invoke", "--help"}} {
		out, reported := new(screen), new(screen)
		err := run(t.Context(), args, nil, out)
		if code := report(t.Context(), err, reported); code != 0 || out.String() != usage || reported.String() != "" {
			t.Errorf("%q: %d, %q, %q", args, code, out, reported)
		}
	}
}

// TestInterruptedBuild says no more than that it has ended.
func TestInterruptedBuild(t *testing.T) {
	inCopy(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, reported := new(screen), new(screen)
	err := run(ctx, []string{"serve", "-listen", "127.0.0.1:0", "-cos", "127.0.0.1:0"}, nil, out)
	if code := report(ctx, err, reported); code != 130 || out.String() != "" || reported.String() != "Ended.\n" {
		t.Errorf("%d, %q, %q", code, out, reported)
	}
	reported = new(screen)
	if code := report(t.Context(), errors.New("it failed"), reported); code != 1 || reported.String() != "local: it failed\n" {
		t.Errorf("a failure: %d, %q", code, reported)
	}
}

func TestDeliver(t *testing.T) {
	inCopy(t)
	for _, what := range []string{"first", "again"} {
		out := new(screen)
		if err := run(t.Context(), nil, nil, out); err != nil {
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
			`All as it should be\. `,
		} {
			if !regexp.MustCompile(line).MatchString(out.String()) {
				t.Errorf("%s: nothing matches %s:\n%s", what, line, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(".local", "demo", "function.log")); err != nil {
		t.Error(err)
	}
}

// TestDeliverFails says what is not as it should be.
func TestDeliverFails(t *testing.T) {
	inCopy(t)
	if err := os.Remove("testdata"); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), nil, nil, new(screen))
	if err == nil || !strings.Contains(err.Error(), "digitalwatermark.xml") {
		t.Errorf("without samples: %v", err)
	}
	if err := os.MkdirAll(filepath.Join("testdata", "callbacks"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"digitalwatermark.xml", "digitalwatermark.json"} {
		if err := os.WriteFile(filepath.Join("testdata", "callbacks", name), []byte("no callback"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := new(screen)
	err = run(t.Context(), nil, nil, out)
	if err == nil || !strings.Contains(err.Error(), "not as it should be") || !strings.Contains(err.Error(), "XML callback: got 400") || strings.Contains(out.String(), "All as it should be") {
		t.Errorf("with other samples: %v\n%s", err, out)
	}
}

func TestServe(t *testing.T) {
	inCopy(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, ended := new(screen), make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "-listen", "127.0.0.1:0", "-cos", "127.0.0.1:0"}, nil, out)
	}()

	printed := regexp.MustCompile(`curl --data-binary @(\S+) '(http://[^']+)'`)
	var command []string
	for deadline := time.Now().Add(time.Minute); command == nil; time.Sleep(5 * time.Millisecond) {
		command = printed.FindStringSubmatch(out.String())
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not listen:\n%s", out)
		}
	}
	file, address := command[1], command[2]
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hostile := strings.NewReplacer("ja8de3b46f86011ec9452c1c27f56a659", "jother", "output/digital.mp4", "output/a\u009b31m\u202eb.mp4").Replace(string(body))
	for _, want := range []struct {
		method, address, body string
		status                int
		answer, line          string
	}{
		{"POST", address, string(body), 200, `"outcome":"created"`, "POST 200  job ja8de3b46f86011ec9452c1c27f56a659 Success: created, output/digital.mp4 tagged"},
		{"POST", address, string(body), 200, `"outcome":"duplicate"`, "duplicate, output/digital.mp4 unchanged"},
		{"POST", address, "hello", 400, `"malformed_callback"`, "POST 400  malformed_callback"},
		{"POST", address + "x", string(body), 401, `"unauthorized"`, "POST 401  unauthorized"},
		{"POST", address, hostile, 200, `"outcome":"created"`, "created, output/a31mb.mp4 "},
		{"GET", address, "", 200, `"service":"ci-callback"`, "GET 200  ci-callback"},
		{"DELETE", address, "", 405, `"method_not_allowed"`, "DELETE 405"},
	} {
		request, err := http.NewRequest(want.method, want.address, strings.NewReader(want.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != want.status || !strings.Contains(string(answer), want.answer) {
			t.Errorf("%s %s: %d %s, %v", want.method, want.address, response.StatusCode, answer, err)
		}
		if !strings.Contains(out.String(), want.line) {
			t.Errorf("no line %q:\n%s", want.line, out)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	select {
	case err := <-ended:
		if err != nil || !strings.HasSuffix(out.String(), "Ended.\n") {
			t.Errorf("ended with %v:\n%s", err, out)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not end")
	}
}

// serving serves what a test sends until the context ends. It gives the address, and
// what came of it.
func serving(ctx context.Context, t *testing.T, p *platform, out io.Writer) (string, <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx, out, listener, time.Hour) }()
	return listener.Addr().String(), ended
}

// TestServeEndsAfterTheAnswer: a callback that is under way when Ctrl-C comes is answered,
// and what the function needs for that stays until then.
func TestServeEndsAfterTheAnswer(t *testing.T) {
	inCopy(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := open("serve")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.start(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	p.cos.Inject(coslocal.Fault{Match: func(coslocal.Request) bool {
		ask()
		<-answer
		return false
	}})
	out := new(screen)
	address, ended := serving(ctx, t, p, out)
	go func() {
		response, err := http.Post("http://"+address+"/?token="+token, "", strings.NewReader("hello"))
		if err == nil {
			response.Body.Close()
		}
	}()
	<-asked
	cancel()
	go func() {
		for { // until the end has begun
			conn, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			conn.Close()
		}
		close(answer)
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "POST 400  malformed_callback") {
		t.Errorf("it ended before the answer:\n%s", out)
	}
}

// TestFunctionDies: nobody else would say that there will be no answer any more.
func TestFunctionDies(t *testing.T) {
	inCopy(t)
	p := started(t, "serve")
	_, ended := serving(t.Context(), t, p, new(screen))
	if err := p.function.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), p.log()) {
		t.Errorf("ended with %v", err)
	}
}

// started gives the platform of a command.
func started(t *testing.T, command string) *platform {
	t.Helper()
	p, err := open(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestServeAgain starts over with what the last one stored.
func TestServeAgain(t *testing.T) {
	inCopy(t)
	for _, outcome := range []string{"created", "duplicate"} {
		p := started(t, "serve")
		body, err := os.ReadFile(filepath.Join("testdata", "callbacks", "digitalwatermark.xml"))
		if err != nil {
			t.Fatal(err)
		}
		answer, status, err := p.post(t.Context(), token, string(body))
		if got, _ := answer.outcomes(); err != nil || status != 200 || got != outcome {
			t.Errorf("%d %s, %v; want %s", status, got, err, outcome)
		}
		p.Close()
	}
}

// TestTwiceAtOnce leaves what the first one has as it is.
func TestTwiceAtOnce(t *testing.T) {
	inCopy(t)
	if err := os.WriteFile("event.json", []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for command, args := range map[string][]string{"demo": nil, "serve": {"serve"}, "invoke": {"invoke", "-event", "event.json"}} {
		p, err := open(command)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.putOutput(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.log(), []byte("the first one's"), 0o644); err != nil {
			t.Fatal(err)
		}
		out := new(screen)
		err = run(t.Context(), args, nil, out)
		if want := "another one is running in " + p.folder + ": end it, or wait until it has ended"; err == nil || err.Error() != want || out.String() != "" {
			t.Errorf("%s: %v, %q", command, err, out)
		}
		if log, err := os.ReadFile(p.log()); err != nil || string(log) != "the first one's" {
			t.Errorf("%s: log %q, %v", command, log, err)
		}
		if _, err := os.Stat(filepath.Join(p.folder, "function")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it built the function: %v", command, err)
		}
		if p.tags() != "project=demo" {
			t.Errorf("%s: the object is gone", command)
		}
	}
}

func TestTakenPorts(t *testing.T) {
	inCopy(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, args := range map[string][]string{
		"-listen": {"serve", "-listen", taken.Addr().String(), "-cos", "127.0.0.1:0"},
		"-cos":    {"serve", "-listen", "127.0.0.1:0", "-cos", taken.Addr().String()},
	} {
		err := run(t.Context(), args, nil, new(screen))
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), flag+" 127.0.0.1:0") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestInvoke(t *testing.T) {
	inCopy(t)
	body, err := os.ReadFile(filepath.Join("testdata", "callbacks", "digitalwatermark.json"))
	if err != nil {
		t.Fatal(err)
	}
	post, err := json.Marshal(map[string]any{"httpMethod": "POST", "body": string(body)})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"get.json": `{"httpMethod":"GET"}`, "post.json": string(post), "no.json": "hello", "empty.json": "", "timer.json": `{"Type":"Timer"}`} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ name, file, in, answer, fails string }{
		{"get", "get.json", "", `"statusCode":200`, ""},
		{"post", "post.json", "", `created`, ""},
		{"standard_input", "-", `{"httpMethod":"PUT"}`, `"statusCode":405`, ""},
		{"no_file", "nowhere.json", "", "", "nowhere.json"},
		{"no_json", "no.json", "", "", "no.json holds no JSON"},
		{"empty", "empty.json", "", "", "empty.json holds no JSON"},
		{"no_json_on_standard_input", "-", "hello", "", "standard input holds no JSON"},
		{"folder", "testdata", "", "", "testdata"},
		{"other_trigger", "timer.json", "", "", "Timer"},
	} {
		out := new(screen)
		err := run(t.Context(), []string{"invoke", "-event", test.file}, strings.NewReader(test.in), out)
		if test.fails == "" && (err != nil || !strings.Contains(out.String(), test.answer) || !json.Valid([]byte(out.String()))) {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
		if test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails) || out.String() != "") {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
	}
}

func TestElsewhere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{nil, {"serve", "-listen", "127.0.0.1:0", "-cos", "127.0.0.1:0"}} {
		if err := run(t.Context(), args, nil, new(screen)); err == nil || !strings.Contains(err.Error(), "not the project's folder") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestNoToolchain(t *testing.T) {
	inCopy(t)
	t.Setenv("PATH", t.TempDir())
	if err := run(t.Context(), nil, nil, new(screen)); err == nil || !strings.Contains(err.Error(), "https://go.dev/doc/install") {
		t.Errorf("%v", err)
	}
}

func TestBrokenFunction(t *testing.T) {
	inCopy(t)
	if err := os.Remove("function"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("function", 0o755); err != nil {
		t.Fatal(err)
	}
	for content, says := range map[string]string{
		"package main\nfunc main() { nothing() }\n":     "undefined: nothing",
		"package main\nfunc main() { panic(\"no\") }\n": "function.log",
	} {
		if err := os.WriteFile(filepath.Join("function", "main.go"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), nil, nil, new(screen)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q: %v", says, err)
		}
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
