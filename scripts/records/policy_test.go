package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

var buildDoctor = testprogram.New("../doctor")

func TestMain(m *testing.M) { testprogram.Main(m) }

// policySettings are the settings that the policy is printed for.
var policySettings = []string{
	"RECORD_BUCKET=" + recordBucket, "RECORD_REGION=" + region, "TAG_BUCKETS=" + mediaBucket,
	"RECONCILE_BUCKETS=" + mediaBucket + "@" + region, "RECONCILE_TYPES=Transcode,PicProcess,SpeechRecognition,DocProcess,FileHashCode",
}

// A policy is what the doctor prints, as far as CAM looks at it here.
type policy struct {
	Statement []struct{ Action, Resource []string }
}

// printedPolicy returns the policy that the doctor prints for who uses this program.
func printedPolicy(t *testing.T) policy {
	t.Helper()
	doctor := testprogram.Path(t, buildDoctor)
	command := exec.CommandContext(t.Context(), doctor, "-policy", "-for", "records")
	command.Env = append(os.Environ(), policySettings...)
	var said bytes.Buffer
	command.Stderr = &said
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	var p policy
	if err := json.Unmarshal(printed, &p); err != nil {
		t.Fatalf("%v in %s", err, printed)
	}
	return p
}

// actions returns all actions that a policy allows.
func (p policy) actions() []string {
	var all []string
	for _, s := range p.Statement {
		all = append(all, s.Action...)
	}
	return all
}

// allows reports whether a policy without one of its actions lets a request through, as CAM
// would.
func (p policy) allows(r coslocal.Request, without string) bool {
	action, resource := "name/cos:"+r.Action(), fmt.Sprintf("qcs::cos:%s:uid/1250000000:%s/%s", r.Region, r.Bucket, r.Key)
	if r.Service == "ci" {
		action, resource = "ci:"+cilocal.Action(r), fmt.Sprintf("qcs::ci:%s:uid/1250000000:bucket/%s/", r.Region, r.Bucket)
	}
	for _, s := range p.Statement {
		for _, pattern := range s.Resource {
			if action != without && slices.Contains(s.Action, action) && strings.HasPrefix(resource, strings.TrimSuffix(pattern, "*")) {
				return true
			}
		}
	}
	return false
}

// newPolicyCloud returns a cloud with something for every command to do.
func newPolicyCloud(t *testing.T) *cloud {
	t.Helper()
	c := newCloudWith(t, cilocal.Options{OldPathsOnly: true, MoreTags: []string{"PicProcess", "SpeechRecognition", "DocProcess", "FileHashCode"}})
	c.environ = append(slices.Clone(policySettings), c.environ[3:]...) // and the keys
	return c
}

// under lets CAM hold both services to a policy without one of its actions, and returns a
// function that returns what was refused since.
func (c *cloud) under(p policy, without string) (refused func() []string) {
	var mu sync.Mutex
	var all []string
	deny := func(r coslocal.Request) bool {
		if p.allows(r, without) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, fmt.Sprintf("%s %s %s/%s", r.Service, r.Method, r.Bucket, r.Key))
		return true
	}
	c.cos.Deny(deny)
	c.ci.Deny(deny)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// lost makes a job that CI has ended, and whose callback did not come.
func (c *cloud) lost(tag string) {
	c.t.Helper()
	j := cilocal.Job{Tag: tag, Input: cilocal.Object{Key: "in/b.mov"}, Output: cilocal.Object{Key: "out/b.mp4"}}
	if _, err := c.ci.AddJob(mediaBucket, j, cilocal.Plan{Age: 20 * time.Minute, Run: time.Minute, Lost: true}); err != nil {
		c.t.Fatal(err)
	}
}

// lostRun makes a run of the workflow w1 that CI has ended. It returns the callback, which
// did not come.
func (c *cloud) lostRun() string {
	c.t.Helper()
	run := cilocal.Run{ID: "i1", WorkflowID: "w1", Object: "in/a.mov", Tasks: []cilocal.Task{{Type: "Transcode", Name: "Transcode_1"}}}
	if _, err := c.ci.AddRun(mediaBucket, run, cilocal.Plan{Age: 20 * time.Minute, Run: time.Minute, Lost: true}); err != nil {
		c.t.Fatal(err)
	}
	c.ci.RunDue()
	body, err := c.ci.Callback(mediaBucket, "i1", "JSON")
	if err != nil {
		c.t.Fatal(err)
	}
	return string(body)
}

// A commandUnderPolicy is one command, with what it needs to be there.
type commandUnderPolicy struct {
	arrange func(*cloud) []string // returns the command line
	want    int                   // the exit status
	says    string                // among others
}

// commandsUnderPolicy are all commands, each with the most that it can do.
var commandsUnderPolicy = map[string]commandUnderPolicy{
	"list": {func(c *cloud) []string {
		c.ended("Transcode")
		return []string{"list"}
	}, exitFine, "Success\t"},
	"show": {func(c *cloud) []string {
		id := c.ended("Transcode")
		c.receive(job(id, "Running", "-"))
		return []string{"show", id}
	}, exitFine, "state\tSuccess"},
	"rejected": {func(c *cloud) []string {
		c.receive("no callback")
		return []string{"rejected"}
	}, exitFine, "1 rejected, 0 of them understood now"},
	"replay": {func(c *cloud) []string {
		if _, err := c.receiver.Store.PutRejected(c.t.Context(), []byte(job("j1", "Success", "2026-11-27T10:00:35+0800")), ""); err != nil {
			c.t.Fatal(err)
		}
		return []string{"replay", "--delete", "--yes"}
	}, exitFine, "\tcreated\t"},
	"reconcile": {func(c *cloud) []string {
		c.lost("Transcode")
		c.receive(job(c.ended("Transcode"), "Failed", "2099-01-01T00:00:00+0800")) // forged
		c.environ = append(c.environ, "RECONCILE_WORKFLOWS=w1")
		c.lostRun()
		return []string{"reconcile", "--yes"}
	}, exitFindings, "0 recorded, 2 repaired, 1 replaced, 0 pending"},
	"audit": {func(c *cloud) []string {
		for _, tag := range []string{"Transcode", "PicProcess", "SpeechRecognition", "DocProcess", "FileHashCode"} {
			c.ended(tag)
		}
		return []string{"audit"}
	}, exitFine, "5 confirmed."},
	"audit_of_runs": {func(c *cloud) []string {
		c.receive(c.lostRun())
		return []string{"audit"}
	}, exitFine, "1 confirmed."},
	"retag": {func(c *cloud) []string {
		return []string{"retag", "--yes", c.ended("Transcode")}
	}, exitFine, "tagged\t"},
}

// fails reports whether a command did not do all that it does with all permissions.
func (u commandUnderPolicy) fails(o output) bool {
	said := o.Out + o.Err
	return o.Exit != u.want || !strings.Contains(said, u.says) || strings.Contains(said, "AccessDenied") || strings.Contains(said, "these keys may not")
}

// TestPolicy has each command do all that it can with nothing but the policy that the doctor
// prints for who uses this program.
func TestPolicy(t *testing.T) {
	t.Parallel()
	p := printedPolicy(t)
	for name, u := range commandsUnderPolicy {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newPolicyCloud(t)
			args := u.arrange(c)
			refused := c.under(p, "")
			if got := c.run(args...); u.fails(got) || len(refused()) > 0 {
				t.Errorf("refused %q: %+v", refused(), got)
			}
		})
	}
}

// TestPolicyIsNotTooMuch takes each action away from the policy: a command fails then.
func TestPolicyIsNotTooMuch(t *testing.T) {
	t.Parallel()
	p := printedPolicy(t)
	for _, action := range p.actions() {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			var failing []string
			for name, u := range commandsUnderPolicy {
				c := newPolicyCloud(t)
				args := u.arrange(c)
				refused := c.under(p, action)
				got := c.run(args...)
				if len(refused()) > 0 != u.fails(got) {
					t.Errorf("%s does not tell what was refused, %q: %+v", name, refused(), got)
				}
				if u.fails(got) {
					failing = append(failing, name)
				}
			}
			if len(failing) == 0 {
				t.Error("no command needs it")
			}
			t.Logf("without it fail %v", failing)
		})
	}
}

// TestPolicyOfTheBoard has the board show all its pages under the policy.
func TestPolicyOfTheBoard(t *testing.T) {
	t.Parallel()
	p := printedPolicy(t)
	c := newPolicyCloud(t)
	id := c.ended("Transcode")
	c.receive("no callback") // it is kept
	refused := c.under(p, "")
	ctx, stop := context.WithCancel(t.Context())
	address, said := io.Pipe()
	board := &tool{streams: streams{out: said, err: io.Discard}, in: strings.NewReader(""), environ: c.environ, now: time.Now, transport: c.transport}
	ended := make(chan int, 1)
	go func() {
		ended <- board.run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--write"})
		said.Close()
	}()
	url, err := bufio.NewReader(address).ReadString('\n')
	if err != nil {
		t.Fatalf("%v, exit %d", err, <-ended)
	}
	for _, page := range []string{"", "records", "jobs/" + id, "jobs/" + id + "/retag", "failures", "rejected", "reconciliation", "reconciliation/run"} {
		response, err := http.Get(strings.TrimSpace(url) + page)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || bytes.Contains(body, []byte("AccessDenied")) {
			t.Errorf("/%s: %d\n%s", page, response.StatusCode, body)
		}
	}
	stop()
	<-ended
	if len(refused()) > 0 {
		t.Errorf("refused %q", refused())
	}
}
