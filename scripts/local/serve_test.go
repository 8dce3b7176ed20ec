package main

import (
	"context"
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

	"github.com/ci-callback/ci-callback/internal/testgolden"
	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/board"
)

// served is a program that serves, and what it has printed.
type served struct {
	*program
	out    *screen
	cancel context.CancelFunc
	ended  chan error
	// callback is the address that the function's curl is for.
	callback string
}

// startServe runs serve until the test ends.
func startServe(t *testing.T, p *program, out *screen) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &served{program: p, out: out, cancel: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- p.run(ctx, serveAnywhere()) }()
	waitFor(t, "it listens", func() bool {
		select {
		case err := <-s.ended:
			t.Fatalf("it ended: %v\n%s", err, out)
		default:
		}
		return strings.Contains(out.String(), "Ctrl-C ends it.")
	})
	s.callback = s.find(t, `curl --data-binary @testdata/callbacks/digitalwatermark.xml '(http://[^']+)'`)
	t.Cleanup(func() { s.end(t) })
	return s
}

// find returns the first group of a pattern in what was printed.
func (s *served) find(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(s.out.String())
	if found == nil {
		t.Fatalf("nothing matches %s:\n%s", pattern, s.out)
	}
	return found[1]
}

// end ends serve, once.
func (s *served) end(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	s.cancel()
	select {
	case err := <-s.ended:
		if err != nil || !strings.HasSuffix(s.out.String(), "Ended.\n") {
			t.Errorf("ended with %v:\n%s", err, s.out)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not end")
	}
}

// send sends a request and returns the status and the answer.
func send(t *testing.T, method, address, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func TestServe(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	s := startServe(t, p, out)
	explained, _, _ := strings.Cut(out.String(), "Ctrl-C ends it.")
	testgolden.Open("testdata/serve.txt").Compare(t, t.Name(), changing.ReplaceAllString(explained, "$1$2$3$4…"))
	body := sample(t, "digitalwatermark.xml")
	hostile := strings.NewReplacer("ja8de3b46f86011ec9452c1c27f56a659", "jother", "output/digital.mp4", "output/a\u202e31m\u2066b.mp4").Replace(body)
	hostileState := strings.NewReplacer("ja8de3b46f86011ec9452c1c27f56a659", "jthird", "<State>Success", "<State>Odd\u009b31m").Replace(body)
	for _, want := range []struct {
		method, address, body string
		status                int
		answer, line          string
	}{
		{"POST", s.callback, body, 200, `"outcome":"created"`, "POST 200  job ja8de3b46f86011ec9452c1c27f56a659 Success: created, output/digital.mp4 tagged  "},
		{"POST", s.callback, body, 200, `"outcome":"duplicate"`, "duplicate, output/digital.mp4 unchanged"},
		{"POST", s.callback, "hello", 400, `"malformed_callback"`, "POST 400  malformed_callback"},
		{"POST", s.callback + "x", body, 401, `"unauthorized"`, "POST 401  unauthorized"},
		{"POST", s.callback, hostile, 200, `"outcome":"created"`, "created, output/a31mb.mp4 "},
		{"POST", s.callback, hostileState, 200, `"outcome":"created"`, "job jthird Odd31m: created"},
		{"GET", s.callback, "", 200, `"service":"ci-callback"`, "GET 200  ci-callback"},
		{"DELETE", s.callback, "", 405, `"method_not_allowed"`, "DELETE 405"},
		{"POST", s.callback, sample(t, "multijobs.xml"), 200, `"outcome":"created"`, " jobs  "},
	} {
		status, answer := send(t, want.method, want.address, want.body)
		if status != want.status || !strings.Contains(answer, want.answer) {
			t.Errorf("%s %s: %d %s", want.method, want.address, status, answer)
		}
		if !strings.Contains(out.String(), want.line) {
			t.Errorf("no line %q:\n%s", want.line, out)
		}
	}
	// Of several jobs, each has its line.
	callback, err := model.Decode([]byte(sample(t, "multijobs.xml")))
	if err != nil || len(callback.Records) < 2 {
		t.Fatalf("%v", err)
	}
	for _, r := range callback.Records {
		if !regexp.MustCompile(`\n {10}job ` + r.ID + ` \w+: created`).MatchString(out.String()) {
			t.Errorf("no line of job %s:\n%s", r.ID, out)
		}
	}
}

// changing is what is another in each run of serve: ports, times, a signature, and folders.
var changing = regexp.MustCompile(`((?:127\.0\.0\.1|localhost):)[0-9]+|(q-(?:sign|key)-time=)[0-9;]+|(q-signature=)[0-9a-f]+|((?m:^)  (?:objects|log) +).*`)

// TestServeSubmitsJobs pastes the curl command that serve prints: the job runs, calls
// back, and its record is on the board.
func TestServeSubmitsJobs(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	s := startServe(t, p, out)
	pages := s.find(t, `board +(http://\S+)`)
	command := strings.Replace(s.find(t, `(?m)^  (curl --data '<Request>.*)$`), "<UserData>3s", "<UserData>0s twice", 1)
	id := postByShell(t, command)
	waitFor(t, "the job is called back twice", func() bool {
		return strings.Contains(out.String(), "job "+id+" Success: duplicate, output/"+id+".mp4 unchanged")
	})
	if !strings.Contains(out.String(), "job "+id+" Success: created, output/"+id+".mp4 tagged") {
		t.Errorf("not stored first:\n%s", out)
	}
	waitFor(t, "the board shows the job", func() bool { return strings.Contains(getBody(t, pages+"records"), id) })
	if page := getBody(t, pages+"jobs/"+id); !strings.Contains(page, "output/"+id+".mp4") {
		t.Errorf("the page of the job:\n%s", page)
	}
	if page := getBody(t, pages+"submit"); !strings.Contains(page, "Transcode") {
		t.Errorf("the form:\n%s", page)
	}
}

var buildRecords = testprogram.New("../records")

// TestServeLeadsToTheCommandLine pastes the line that serve prints for scripts/records: with
// it the shell has all that is needed to list a record and to compare it with CI.
func TestServeLeadsToTheCommandLine(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.environment = []string{"RECORD_PREFIX=it's/"}
	s := startServe(t, p, out)
	if status, answer := send(t, http.MethodPost, s.callback, sample(t, "digitalwatermark.xml")); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	line := s.find(t, `(?m)^  (export RECORD_BUCKET=.*)$`)
	command := exec.Command("sh", "-c", line+`; "$0" list --since all && "$0" reconcile --dry-run`, testprogram.Path(t, buildRecords))
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	said, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "ja8de3b46f86011ec9452c1c27f56a659") || !strings.Contains(string(said), "0 jobs compared") {
		t.Errorf("%v: %s\n%s", err, said, line)
	}
}

// postByShell runs a curl command and returns the id of the job that was submitted. Where
// there is no curl, it sends the request that the command stands for.
func postByShell(t *testing.T, command string) (id string) {
	t.Helper()
	var answer string
	if _, err := exec.LookPath("curl"); err == nil {
		output, err := exec.Command("sh", "-c", command+" --silent --show-error").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s\n%s", err, output, command)
		}
		answer = string(output)
	} else {
		words := regexp.MustCompile(`^curl --data '(.*)' '(.*)'$`).FindStringSubmatch(command)
		host := regexp.MustCompile(`//([^/]*):(\d+)/`).FindStringSubmatch(words[2])
		request, err := http.NewRequest(http.MethodPost, strings.Replace(words[2], host[1], "127.0.0.1", 1), strings.NewReader(words[1]))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host[1] + ":" + host[2]
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer = string(body)
	}
	found := regexp.MustCompile(`<JobId>(j[0-9a-f]{32})</JobId>`).FindStringSubmatch(answer)
	if found == nil {
		t.Fatalf("no job was made: %s\n%s", answer, command)
	}
	return found[1]
}

// TestServeRunsTheTimer finds a job whose callback was lost, says so, and is silent where
// there is nothing to say.
func TestServeRunsTheTimer(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.timerEvery = 20 * time.Millisecond
	pl := started(t, p, "serve")
	id, err := pl.ci.AddJob(mediaBucket, cilocal.Job{}, cilocal.Plan{Age: 10 * time.Minute, Lost: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, ended := serveUntilEnd(ctx, t, p, pl)
	waitFor(t, "the timer finds the job", func() bool { return strings.Contains(out.String(), "timer  checked") })
	runs := pl.ciRequests.Load()
	waitFor(t, "the timer has run again", func() bool { return pl.ciRequests.Load() >= 3*runs })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "checked 1: recorded 0, repaired 1, replaced 0, pending 0") {
		t.Errorf("it printed:\n%s", got)
	}
	if _, found := pl.cos.Object(recordBucket, "ci/jobs/"+id+".json"); !found {
		t.Error("there is no record")
	}
}

// TestTimerFails says what kept the timer from its work, again and again.
func TestTimerFails(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.timerEvery = 20 * time.Millisecond
	pl := started(t, p, "serve")
	pl.ci.Deny(func(coslocal.Request) bool { return true })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, ended := serveUntilEnd(ctx, t, p, pl)
	waitFor(t, "the timer has failed twice", func() bool { return strings.Count(out.String(), "AccessDenied") >= 2 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestServeTakesSettings takes the settings of the shell, and keeps the keys and
// endpoints of a real account away from everything.
func TestServeTakesSettings(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	p.environment = []string{
		"RECORD_BUCKET=mine-1250000000", "RECORD_REGION=ap-shanghai", "RECORD_PREFIX=x/", "TAG_MD5=false", "CALLBACK_TOKEN=a-token-of-the-shell, another-of-the-shell",
		"RECONCILE_BUCKETS=media-1250000000@ap-beijing", "TENCENTCLOUD_SECRETID=AKIDreal", "TENCENTCLOUD_SECRETKEY=real-key",
		"TENCENTCLOUD_SESSIONTOKEN=real-token", "COS_ENDPOINT=https://{bucket}.cos.example", "CI_ENDPOINT=https://{bucket}.ci.example",
	}
	s := startServe(t, p, out)
	if !strings.Contains(s.callback, "token=a-token-of-the-shell") {
		t.Errorf("the token is not the shell's: %s", s.callback)
	}
	status, answer := send(t, http.MethodPost, s.callback, sample(t, "digitalwatermark.xml"))
	if status != 200 || !strings.Contains(answer, `"record":"x/jobs/`) || strings.Contains(answer, "tags") {
		t.Errorf("%d %s", status, answer)
	}
	for _, line := range []string{"mine-1250000000 (records)  examplebucket-1250000000  media-1250000000", "ap-shanghai", "media-1250000000.ci.ap-beijing.localhost", "coslocal-secret-id  coslocal-secret-key",
		"COS       http://{bucket}.cos.{region}.localhost:", "CI        http://{bucket}.ci.{region}.localhost:",
		"CALLBACK_TOKEN, RECONCILE_BUCKETS, RECORD_BUCKET, RECORD_PREFIX, RECORD_REGION, TAG_MD5 from the shell"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q:\n%s", line, out)
		}
	}
	if regexp.MustCompile(`real|example\b`).MatchString(out.String()) {
		t.Errorf("something of a real account is used:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(p.folder, "serve", "cos", "mine-1250000000", "x", "jobs")); err != nil {
		t.Error(err)
	}
}

// TestServeWrongSetting names a setting of the shell that is wrong, at once.
func TestServeWrongSetting(t *testing.T) {
	t.Parallel()
	p, _ := newTestProgram(t)
	p.environment = []string{"TAG_MD5=perhaps"}
	if err := p.run(t.Context(), serveAnywhere()); err == nil || !strings.Contains(err.Error(), "TAG_MD5") {
		t.Errorf("%v", err)
	}
}

// TestEverySampleIsTagged sends each sample callback, at small size one in three, to a
// platform as serve has it: each output with an MD5 is tagged.
func TestEverySampleIsTagged(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	s := startServe(t, p, out)
	files, err := filepath.Glob(filepath.Join(project, "testdata", "callbacks", "*.*"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	tagged, oneIn := 0, testsize.Pick(3, 1)
	for i, file := range files {
		if i%oneIn != 0 {
			continue
		}
		body := sample(t, filepath.Base(file))
		callback, err := model.Decode([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		status, answer := send(t, http.MethodPost, s.callback, body)
		want := 0
		for _, r := range callback.Records {
			if r.State == "Success" {
				want += len(withMD5(r.Outputs))
			}
		}
		got := strings.Count(answer, `"outcome":"tagged"`) + strings.Count(answer, `"outcome":"unchanged"`)
		if status != 200 || got < want || strings.Contains(answer, `"skipped"`) {
			t.Errorf("%s: %d outputs of %d are tagged: %d %s", filepath.Base(file), got, want, status, answer)
		}
		tagged += got
	}
	if tagged < 20/oneIn {
		t.Errorf("only %d outputs were tagged", tagged)
	}
}

// TestServeEndsAfterTheAnswer answers a callback that is under way when Ctrl-C comes, and
// keeps until then what the function needs for that.
func TestServeEndsAfterTheAnswer(t *testing.T) {
	t.Parallel()
	p, out := newTestProgram(t)
	pl := started(t, p, "serve")
	asked, goOn := make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	pl.cos.Inject(coslocal.Fault{Match: func(coslocal.Request) bool {
		ask()
		<-goOn
		return false
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address, ended := serveUntilEnd(ctx, t, p, pl)
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
		close(goOn)
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "POST 400  malformed_callback") {
		t.Errorf("it ended before the answer:\n%s", out)
	}
}

// serveUntilEnd serves callbacks without a board until ctx ends. It returns the address,
// and what came of it.
func serveUntilEnd(ctx context.Context, t *testing.T, p *program, pl *platform) (string, <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	noBoard := func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- p.serveUntilEnd(ctx, pl, listener, noBoard, time.Hour) }()
	return listener.Addr().String(), ended
}

// TestFunctionDies ends serve with the function: nobody else would say that no answer
// will come any more.
func TestFunctionDies(t *testing.T) {
	t.Parallel()
	p, _ := newTestProgram(t)
	pl := started(t, p, "serve")
	_, ended := serveUntilEnd(t.Context(), t, p, pl)
	if err := pl.function.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), pl.log()) {
		t.Errorf("ended with %v", err)
	}
}

// TestServeAgain starts with what the last one stored.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	p, _ := newTestProgram(t)
	for _, outcome := range []string{"created", "duplicate"} {
		pl := started(t, p, "serve")
		answer, status, err := pl.post(t.Context(), token, sample(t, "digitalwatermark.xml"))
		if got, _ := answer.outcomes(); err != nil || status != 200 || got != outcome {
			t.Errorf("%d %s, %v; want %s", status, got, err, outcome)
		}
		pl.Close()
	}
}

// TestSubmitForm makes jobs of what is entered in the form of the board.
func TestSubmitForm(t *testing.T) {
	t.Parallel()
	p, _ := newTestProgram(t)
	pl := started(t, p, "serve")
	id, err := pl.submitForm(t.Context(), board.Submission{
		Type: "Animation", Input: "in/a b.mp4", Fail: true, Duration: 5 * time.Second, Format: "JSON", Callback: "late",
	})
	if err != nil {
		t.Fatal(err)
	}
	job, _ := pl.ci.Job(mediaBucket, id)
	if job.Tag != "Animation" || job.Input.Key != "in/a b.mp4" || job.UserData != "5s failed late" || job.CallbackFormat != "JSON" || job.Output.Key != "output/${JobId}" {
		t.Errorf("%+v", job)
	}
	if _, err := pl.submitForm(t.Context(), board.Submission{Type: "Nothing", Input: "a"}); err == nil || !strings.Contains(err.Error(), "400 InvalidArgument") {
		t.Errorf("an unknown type: %v", err)
	}
}
