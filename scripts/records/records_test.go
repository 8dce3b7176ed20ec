package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
)

const (
	recordBucket = "records-1250000000"
	mediaBucket  = "media-1250000000"
	region       = "ap-guangzhou"
)

// A cloud is a local COS and a local CI without a socket, and what the program would find
// in its environment.
type cloud struct {
	t         *testing.T
	cos       *coslocal.Server
	ci        *cilocal.Server
	transport http.RoundTripper
	environ   []string
	receiver  *receive.Receiver
}

func newCloud(t *testing.T) *cloud { return newCloudWith(t, cilocal.Options{}) }

func newCloudWith(t *testing.T, o cilocal.Options) *cloud {
	t.Helper()
	cos, err := coslocal.New(coslocal.Options{KeepRequests: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cos.Close() })
	for _, bucket := range []string{recordBucket, mediaBucket} {
		if err := cos.CreateBucket(bucket, region); err != nil {
			t.Fatal(err)
		}
	}
	o.COS = cos
	ci := cilocaltest.New(t, o)
	if err := ci.CreateBucket(mediaBucket, region); err != nil {
		t.Fatal(err)
	}
	keys := coslocal.DefaultCredential()
	c := &cloud{t: t, cos: cos, ci: ci, transport: ci.WithCOS(), environ: []string{
		"RECORD_BUCKET=" + recordBucket, "RECORD_REGION=" + region, "RECONCILE_BUCKETS=" + mediaBucket,
		"TENCENTCLOUD_SECRETID=" + keys.SecretID, "TENCENTCLOUD_SECRETKEY=" + keys.SecretKey,
	}}
	s, err := store.NewPool(c.transport).Open(store.Options{
		Credentials: cosclient.Credentials{SecretID: keys.SecretID, SecretKey: keys.SecretKey},
		Bucket:      recordBucket, Region: region, Prefix: "ci/", TagKey: "md5", AppID: "1250000000",
	})
	if err != nil {
		t.Fatal(err)
	}
	c.receiver = &receive.Receiver{Store: s}
	return c
}

// receive stores the body of a callback as the function does. What it says of a body that
// is not understood is of no interest: the body is kept.
func (c *cloud) receive(body string) {
	c.t.Helper()
	if _, err := c.receiver.Callback(c.t.Context(), []byte(body)); err != nil {
		c.t.Log(err)
	}
}

// sample receives a callback of testdata.
func (c *cloud) sample(name string) {
	c.t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "testdata", "callbacks", name))
	if err != nil {
		c.t.Fatal(err)
	}
	c.receive(string(body))
}

// job is a callback of one job.
func job(id, state, end string) string {
	return fmt.Sprintf(`{"EventName":"TaskFinish","JobsDetail":[{"JobId":%q,"Tag":"Transcode","State":%q,"Code":"c-%[2]s","Message":"m-%[2]s",
		"CreationTime":"2026-11-27T10:00:00+0800","StartTime":"2026-11-27T10:00:05+0800","EndTime":%q,
		"Input":{"BucketId":%q,"Region":%q,"Object":"in/%[1]s.mov"}}]}`, id, state, end, mediaBucket, region)
}

// An output is what the program printed, and its exit status.
type output struct {
	Out, Err string
	Exit     int
}

// run runs the program without a terminal.
func (c *cloud) run(args ...string) output { return c.runOn(streams{width: 80}, "", args...) }

// runOn runs the program with what it finds on its streams.
func (c *cloud) runOn(s streams, in string, args ...string) output {
	c.t.Helper()
	var out, errors bytes.Buffer
	s.out, s.err = &out, &errors
	now := func() time.Time { return time.Now().In(time.FixedZone("", 8*3600)) }
	t := &tool{streams: s, in: strings.NewReader(in), environ: c.environ, now: now, transport: c.transport}
	exit := t.run(c.t.Context(), args)
	return output{out.String(), errors.String(), exit}
}

func TestList(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive(job("j1", "Success", "2026-11-27T10:00:35+0800"))
	c.receive(job("j2", "Failed", "2026-11-27T10:02:10+0800"))
	c.sample("workflow-failed.xml")

	got := c.run("list", "--kind", "job", "--state", "failed")
	fields := strings.Split(strings.TrimSuffix(got.Out, "\n"), "\t")
	if len(fields) != 7 {
		t.Fatalf("%q has %d fields, not 7: %s", got.Out, len(fields), got.Err)
	}
	if _, err := time.Parse(time.RFC3339, fields[4]); err != nil {
		t.Errorf("the fifth field of %q is no time", got.Out)
	}
	fields[4] = "AGE"
	want := []string{"Failed", "j2", "Transcode", mediaBucket + "/in/j2.mov", "AGE", "125", "c-Failed"}
	if diff := cmp.Diff(want, fields); diff != "" || got.Exit != 0 {
		t.Errorf("exit %d, -want +got:\n%s", got.Exit, diff)
	}

	var rows []map[string]any
	if err := json.Unmarshal([]byte(c.run("list", "--json").Out), &rows); err != nil || len(rows) != 3 {
		t.Errorf("--json: %v, %d rows", err, len(rows))
	}
	csv := strings.Split(c.run("list", "--csv", "--limit", "2").Out, "\n")
	if len(csv) != 4 || !strings.HasPrefix(csv[0], "state,kind,id,") {
		t.Errorf("--csv: %q", csv)
	}
	var table string
	for _, width := range []int{30, 40, 50, 60} {
		table = c.runOn(streams{width: width, outTerminal: true}, "", "list").Out
		for line := range strings.Lines(table) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("%q is %d wide, and the terminal %d", line, n, width)
			}
		}
	}
	if !strings.HasPrefix(table, "STATE ") || strings.Contains(table, "\x1b") {
		t.Errorf("the table is\n%s", table)
	}
	if none := c.run("list", "--state", "Pause"); none.Exit != 0 || none.Out != "" || !strings.Contains(none.Err, "None of 3 records") {
		t.Errorf("with nothing to list: %+v", none)
	}
	if few := c.run("list", "--limit", "1"); !strings.Contains(few.Err, "2 older ones were not") {
		t.Errorf("with a limit: %+v", few)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive(job("j1", "Failed", "2026-11-27T10:00:35+0800"))
	c.receive(job("j1", "Success", "2026-11-27T10:02:10+0800"))

	var shown struct {
		Key     string
		Record  struct{ State string }
		History []struct {
			Key, State string
			Changes    []struct{ Path, Was, Now string }
		}
	}
	got := c.run("show", "j1", "--json")
	if err := json.Unmarshal([]byte(got.Out), &shown); err != nil {
		t.Fatal(err, got)
	}
	if shown.Key != "ci/jobs/j1.json" || shown.Record.State != "Success" || len(shown.History) != 2 {
		t.Fatalf("%+v", shown)
	}
	want := struct{ Path, Was, Now string }{"state", "Failed", "Success"}
	found := false
	for _, change := range shown.History[0].Changes {
		found = found || change == want
	}
	if !found {
		t.Errorf("the change of the state is not among %+v", shown.History[0].Changes)
	}
	person := c.runOn(streams{width: 80, outTerminal: true}, "", "show", "j1").Out
	for _, words := range []string{"Success  j1  Transcode", "ended      ", "after 2 m 05 s", "state: Failed → Success"} {
		if !strings.Contains(person, words) {
			t.Errorf("%q is not in\n%s", words, person)
		}
	}
	if got := c.run("show", "j1"); !strings.Contains(got.Out, "state\tSuccess\n") || !strings.Contains(got.Out, "code\tc-Success\nmessage\tm-Success\n") {
		t.Errorf("in a pipe: %+v", got)
	}
}

// TestReplay receives a body again that an earlier version did not understand, and one
// that came from a query.
func TestReplay(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive("no callback")
	put := func(body, source string) {
		t.Helper()
		if _, err := c.receiver.Store.PutRejected(t.Context(), []byte(body), source); err != nil {
			t.Fatal(err)
		}
	}
	put(job("j1", "Success", "2026-11-27T10:00:35+0800"), "")
	put(`<JobsDetail><JobId>j2</JobId><State>Success</State><Tag>Transcode</Tag></JobsDetail>`, "query")

	listed := c.run("rejected")
	if n := strings.Count(listed.Out, "\n"); n != 3 || !strings.Contains(listed.Err, "3 rejected, 2 of them understood now") {
		t.Errorf("rejected: %+v", listed)
	}
	if refused := c.run("replay"); refused.Exit != exitUsage || !strings.Contains(refused.Err, "--yes") || len(c.cos.Keys(recordBucket, "ci/jobs/")) != 0 {
		t.Errorf("without a terminal and --yes: %+v", refused)
	}
	no := c.runOn(streams{width: 80, inTerminal: true, outTerminal: true}, "n\n", "replay")
	if no.Exit != exitFindings || !strings.Contains(no.Err, "would be created") || len(c.cos.Keys(recordBucket, "ci/jobs/")) != 0 {
		t.Errorf("answered with no: %+v", no)
	}
	if dry := c.run("replay", "--dry-run"); dry.Exit != 0 || strings.Count(dry.Out, "created") != 2 || len(c.cos.Keys(recordBucket, "ci/jobs/")) != 0 {
		t.Errorf("a dry run: %+v", dry)
	}
	rejected := strings.TrimPrefix(c.rejectedKey("no callback"), "ci/rejected/")
	if not := c.run("replay", rejected, "--json"); not.Exit != exitFindings || not.Out != "[]\n" {
		t.Errorf("a body that is not understood: %+v", not)
	}
	done := c.run("replay", "--delete", "--yes")
	if done.Exit != 0 || strings.Count(done.Out, "\tcreated\t") != 2 {
		t.Errorf("replay: %+v", done)
	}
	if diff := cmp.Diff([]string{"ci/jobs/j1.json", "ci/jobs/j2.json"}, c.cos.Keys(recordBucket, "ci/jobs/")); diff != "" {
		t.Errorf("records, -want +got:\n%s", diff)
	}
	if kept := c.cos.Keys(recordBucket, "ci/rejected/"); len(kept) != 1 {
		t.Errorf("%d rejected bodies are left, not the one that is no callback", len(kept))
	}
	if source := c.run("show", "j2", "--json").Out; !strings.Contains(source, `"source":"query"`) && !strings.Contains(source, `"source": "query"`) {
		t.Errorf("what came from a query was received as something else: %s", source)
	}
}

// rejectedKey returns the key of a body that was kept.
func (c *cloud) rejectedKey(body string) string {
	return fmt.Sprintf("ci/rejected/%x", sha256.Sum256([]byte(body)))
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	tests := map[string]struct {
		args    []string
		environ []string
		want    int
	}{
		"no_command":        {args: nil, want: exitFine},
		"unknown_command":   {args: []string{"lits"}, want: exitUsage},
		"unknown_flag":      {args: []string{"list", "--sate", "Failed"}, want: exitUsage},
		"wrong_kind":        {args: []string{"list", "--kind", "task"}, want: exitUsage},
		"wrong_verdict":     {args: []string{"list", "--verdict", "bogus"}, want: exitUsage},
		"any_case":          {args: []string{"list", "--verdict", "Violation", "--kind", "Review"}, want: exitFine},
		"show_of_no_kind":   {args: []string{"show", "j404", "--kind", "task"}, want: exitUsage},
		"help":              {args: []string{"help"}, want: exitFine},
		"help_of_command":   {args: []string{"help", "completion", "bash"}, want: exitFine},
		"help_of_unknown":   {args: []string{"help", "nosuch"}, want: exitUsage},
		"help_of_too_much":  {args: []string{"help", "list", "more"}, want: exitUsage},
		"completion":        {args: []string{"completion"}, want: exitFine},
		"no_completion":     {args: []string{"completion", "nope"}, want: exitUsage},
		"serve_as_json":     {args: []string{"serve", "--json", "--listen", "127.0.0.1:99999"}, want: exitUsage},
		"retag_of_no_kind":  {args: []string{"retag", "j404", "--kind", "task"}, want: exitUsage},
		"wrong_since":       {args: []string{"list", "--since", "yesterday"}, want: exitUsage},
		"both_formats":      {args: []string{"list", "--json", "--csv"}, want: exitUsage},
		"show_without_id":   {args: []string{"show"}, want: exitUsage},
		"no_such_record":    {args: []string{"show", "j404"}, want: exitNotFound},
		"no_id_at_all":      {args: []string{"show", "../../x y"}, want: exitNotFound},
		"no_keys":           {args: []string{"list"}, environ: []string{"RECORD_BUCKET=" + recordBucket}, want: exitNoCredentials},
		"wrong_settings":    {args: []string{"list"}, environ: append([]string{"RECORD_REGION=nowhere!"}, c.environ[0], c.environ[3], c.environ[4]), want: exitFindings},
		"no_buckets":        {args: []string{"reconcile", "--dry-run"}, environ: append([]string{}, c.environ[0], c.environ[1], c.environ[3], c.environ[4]), want: exitFindings},
		"retag_of_nothing":  {args: []string{"retag", "j404"}, want: exitNotFound},
		"serve_for_all":     {args: []string{"serve", "--listen", "0.0.0.0:0"}, want: exitUsage},
		"serve_unreachable": {args: []string{"serve", "--listen", "127.0.0.2:0"}, want: exitUsage},
		"serve_at_no_port":  {args: []string{"serve", "--listen", "127.0.0.1:99999"}, want: exitUsage},
		"serve_for_others":  {args: []string{"serve", "--listen", "192.0.2.1:0"}, want: exitUsage},
		"serve_by_port":     {args: []string{"serve", "--listen", ":0"}, want: exitUsage},
		"serve_nowhere":     {args: []string{"serve", "--listen", "bad"}, want: exitUsage},
		"replay_of_unknown": {args: []string{"replay", strings.Repeat("0", 64)}, want: exitNotFound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := *c
			of.t = t
			if test.environ != nil {
				of.environ = test.environ
			}
			if got := of.run(test.args...); got.Exit != test.want {
				t.Errorf("exit %d, not %d: %s%s", got.Exit, test.want, got.Out, got.Err)
			} else if got.Exit == exitUsage && got.Out != "" {
				t.Errorf("it began all the same: %s", got.Out)
			}
		})
	}
}

// TestInterrupted ends a command that is under way.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive(job("j1", "Success", "2026-11-27T10:00:35+0800"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errors bytes.Buffer
	tool := &tool{streams: streams{out: &errors, err: &errors}, environ: c.environ, now: time.Now, transport: c.transport}
	if exit := tool.run(ctx, []string{"list"}); exit != exitInterrupted || !strings.Contains(errors.String(), "records: interrupted") {
		t.Errorf("exit %d, not %d: %s", exit, exitInterrupted, errors.String())
	}
}

// TestInterruptedInTheMiddle ends a command during its first change: what was done is
// printed, and nothing more is.
func TestInterruptedInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   func(*cloud) []string
		action string
		says   string
	}{
		"replay": {func(c *cloud) []string {
			for _, id := range []string{"j1", "j2"} {
				if _, err := c.receiver.Store.PutRejected(t.Context(), []byte(job(id, "Success", "2026-11-27T10:00:35+0800")), ""); err != nil {
					t.Fatal(err)
				}
			}
			return []string{"replay", "--yes"}
		}, "PutObject", "0 of 2 bodies received."},
		"retag": {func(c *cloud) []string { return []string{"retag", "--yes", c.ended("Transcode"), c.ended("Transcode")} }, "PutObjectTagging", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			args := test.args(c)
			ctx, cancel := context.WithCancel(t.Context())
			c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
				if r.Action() == test.action {
					cancel()
				}
				return false
			}})
			var out, said bytes.Buffer
			tool := &tool{streams: streams{out: &out, err: &said}, environ: c.environ, now: time.Now, transport: c.transport}
			exit := tool.run(ctx, args)
			if exit != exitInterrupted || strings.Count(out.String(), "\n") != 1 || !strings.Contains(said.String(), test.says) {
				t.Errorf("exit %d, not %d\n%s%s", exit, exitInterrupted, out.String(), said.String())
			}
		})
	}
}

// TestShowInterrupted ends show while it looks at an output.
func TestShowInterrupted(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.ended("Transcode")
	ctx, cancel := context.WithCancel(t.Context())
	c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
		if r.Bucket == mediaBucket {
			cancel()
		}
		return false
	}})
	var out, said bytes.Buffer
	tool := &tool{streams: streams{out: &out, err: &said}, environ: c.environ, now: time.Now, transport: c.transport}
	if exit := tool.run(ctx, []string{"show", id}); exit != exitInterrupted || out.Len() > 0 {
		t.Errorf("exit %d, not %d\n%s%s", exit, exitInterrupted, out.String(), said.String())
	}
}

// TestManyOutputs looks at no more outputs than are of use.
func TestManyOutputs(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	outputs := strings.Repeat(fmt.Sprintf(`{"bucket":%q,"region":%q,"object":"a"},`, mediaBucket, region), 203)
	c.putObject(recordBucket, "ci/jobs/j1.json", `{"version":2,"kind":"job","id":"j1","state":"Success","outputs":[`+strings.TrimSuffix(outputs, ",")+`],"detail":{}}`)
	got := c.runOn(streams{width: 80, outTerminal: true}, "", "show", "j1")
	if n := strings.Count(got.Out, "\noutput "); n != 200 || got.Err != "Not shown: 3 of 203 outputs.\n" {
		t.Errorf("%d outputs, and %q", n, got.Err)
	}
	if got := c.run("show", "j1", "--json").Out; !strings.Contains(got, `"outputsNotShown": 3`) {
		t.Errorf("the JSON does not say that outputs are not shown: %.300s", got)
	}
}

func TestWidths(t *testing.T) {
	t.Parallel()
	r := table{columns: []column{{name: "WHOLE"}, {name: "LONG", least: 4}, {name: "LONGER", least: 6}}}
	lines := [][]string{{"WHOLE", "LONG", "LONGER"}, {"whole!", "短い名前", "longer cell"}} // 6, 8 and 11 wide, and 4 between
	for room, want := range map[int][]int{
		100: {6, 8, 11}, 29: {6, 8, 11}, 28: {6, 8, 10}, 26: {6, 8, 8}, 25: {6, 7, 8}, 24: {6, 7, 7}, 20: {6, 4, 6}, 16: {6, 3, 3}, 12: {6, 1, 1}, 9: {3, 1, 1}, 1: {1, 1, 1},
	} {
		if diff := cmp.Diff(want, r.widths(lines, room)); diff != "" {
			t.Errorf("%d: -want +got:\n%s", room, diff)
		}
	}
	for text, want := range map[string]string{"短い名前": "短…前", "longer": "lo…er", "short": "short"} {
		if got := cutMiddle(text, 5); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
	if got := printable("a\tb\nc\rd\x1be\u202ef\u00a0\u3000é"); got != "a b c d\uFFFDe\uFFFDf\u00a0\u3000é" {
		t.Errorf("%q", got)
	}
	if got := age(time.Time{}, time.Now()); got != (cell{"–", ""}) {
		t.Errorf("%+v", got)
	}
}

// TestPrintable prints what a stranger wrote: it reaches no terminal as a command, and
// tears no row apart.
func TestPrintable(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive(`{"JobsDetail":{"JobId":"j1","State":"Failed","Code":"a\u001b]0;owned\u0007\tb\nc\u202e","Input":{"Url":"=cmd()|a"}}}`)
	for _, s := range []streams{{width: 200}, {width: 200, outTerminal: true}} {
		got := c.runOn(s, "", "list").Out
		if strings.ContainsAny(got, "\x1b\a\u202e") || strings.Count(got, "\n") > 2 {
			t.Errorf("terminal %v: %q", s.outTerminal, got)
		}
	}
	if got := c.run("list", "--csv").Out; !strings.Contains(got, ",'=cmd()|a,") {
		t.Errorf("a formula in %q", got)
	}
}

// TestPrintableEverywhere has a stranger's commands to a terminal in every field that a
// record has: none reaches it, in whatever form the record is printed.
func TestPrintableEverywhere(t *testing.T) {
	t.Parallel()
	const evil = `x\u001b[2J\u009b2J\u202e\u007f\udb40\udc41`
	c := newCloud(t)
	body := `{"version":2,"kind":"job","id":"j1","state":"EVIL","code":"EVIL","message":"EVIL","tag":"EVIL","queueId":"EVIL","verdict":"EVIL",
		"label":"EVIL","source":"EVIL","input":{"bucket":"EVIL","object":"EVIL"},"outputs":[{"bucket":"EVIL","object":"EVIL","md5":"EVIL"}],"detail":{"EVIL":"EVIL"}}`
	unescaped := strings.NewReplacer(`\u009b`, "\u009b", `\u202e`, "\u202e", `\u007f`, "\u007f", `\udb40\udc41`, "\U000e0041")
	c.putObject(recordBucket, "ci/jobs/j1.json", unescaped.Replace(strings.ReplaceAll(body, "EVIL", evil)))
	c.putObject(recordBucket, "ci/history/jobs/j1/\u202e.json", strings.ReplaceAll(body, "EVIL", "y"+evil))
	for _, command := range []string{"list", "show j1", "audit", "retag j1"} {
		for _, form := range []string{"", "--json", "--csv"} {
			args := strings.Fields(command + " " + form)
			got := c.runOn(streams{width: 200, outTerminal: true}, "", args...)
			if strings.ContainsAny(got.Out+got.Err, "\x1b\u009b\u202e\x7f\U000e0041") {
				t.Errorf("%v: %q and %q", args, got.Out, got.Err)
			}
		}
	}
	var whole, escaped any
	for s, value := range map[*streams]*any{{}: &whole, {outTerminal: true}: &escaped} {
		got := c.runOn(*s, "", "show", "j1", "--json")
		if err := json.Unmarshal([]byte(got.Out), value); err != nil {
			t.Fatal(err, got)
		}
	}
	if diff := cmp.Diff(whole, escaped); diff != "" {
		t.Errorf("on a terminal the JSON says something else, -in a pipe +on a terminal:\n%s", diff)
	}
}

// TestManyVersions says that versions were not read, and changes not named.
func TestManyVersions(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.putObject(recordBucket, "ci/jobs/j1.json", `{"version":2,"kind":"job","id":"j1","state":"Success","detail":{}}`)
	for i := range 20 {
		c.putObject(recordBucket, fmt.Sprintf("ci/history/jobs/j1/%d.json", i), fmt.Sprintf(`{"version":2,"kind":"job","id":"j1","state":"Failed","code":"%d","detail":{}}`, i))
	}
	c.putObject(recordBucket, "ci/history/jobs/j1/a.json", `{"version":2,"kind":"job","id":"j1","state":"Submitted","detail":[`+strings.Repeat("0,", 502)+`0]}`)
	if got := c.runOn(streams{outTerminal: true}, "", "show", "j1").Err; !strings.Contains(got, "Not shown: 1 of 22 versions.\n") {
		t.Errorf("%q does not say that a version is not shown", got)
	}
	if got := c.run("show", "j1", "--json").Out; !strings.Contains(got, `"versionsNotShown": 1`) {
		t.Error("the JSON does not say that a version is not shown")
	}
}

// TestShowHistory has a version in the history that is newer than the record, and a prefix
// that looks like the history's.
func TestShowHistory(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.environ = append(c.environ, "RECORD_PREFIX=a/history/")
	c.putObject(recordBucket, "a/history/jobs/j1.json", string(encoded(t, job("j1", "Failed", "2026-11-27T10:00:35+0800"))))
	c.putObject(recordBucket, "a/history/history/jobs/j1/newer.json", string(encoded(t, job("j1", "Success", "2026-11-27T10:02:10+0800"))))
	if got := c.run("show", "j1").Out; !strings.Contains(got, "\nhistory\ta/history/history/jobs/j1/newer.json\n") || strings.Contains(got, "\nhistory\ta/history/jobs/") {
		t.Errorf("in a pipe the history is\n%s", got)
	}
	person := c.runOn(streams{outTerminal: true}, "", "show", "j1").Out
	if !strings.Contains(person, "\nversion newer, Success,") || !strings.Contains(person, "\nthe record, Failed,") {
		t.Errorf("on a terminal the history is\n%s", person)
	}
}

// TestShowTags prints the tags of an output in the order of their keys.
func TestShowTags(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.putObject(mediaBucket, "a", "a")
	var tags []coslocal.Tag
	var want strings.Builder
	for i := range 10 {
		tags = append(tags, coslocal.Tag{Key: fmt.Sprint("k", i), Value: "v"})
		fmt.Fprintf(&want, "output[0].tag.k%d\tv\n", i)
	}
	if err := c.cos.SetTags(mediaBucket, "a", tags); err != nil {
		t.Fatal(err)
	}
	c.putObject(recordBucket, "ci/jobs/j1.json", fmt.Sprintf(`{"version":2,"kind":"job","id":"j1","state":"Success","outputs":[{"bucket":%q,"region":%q,"object":"a"}],"detail":{}}`, mediaBucket, region))
	if got := c.run("show", "j1"); !strings.Contains(got.Out, want.String()) {
		t.Errorf("%s", got.Out)
	}
}

// TestShowWithoutState says on a terminal why there is no state.
func TestShowWithoutState(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.putObject(recordBucket, "ci/jobs/jbroken.json", "<no record/>")
	c.putObject(recordBucket, "ci/history/jobs/jbroken/0.json", "no version either")
	c.putObject(recordBucket, "ci/jobs/jlater.json", `{"version":3,"kind":"job","id":"jlater","state":{"is":"Success"},"tag":"Transcode"}`)
	broken := c.runOn(streams{outTerminal: true}, "", "show", "jbroken")
	if broken.Exit != exitFindings || !strings.HasPrefix(broken.Out, "unreadable  jbroken") || !strings.Contains(broken.Out, "\nversion 0, unreadable, written ") {
		t.Errorf("%+v", broken)
	}
	if later := c.runOn(streams{outTerminal: true}, "", "show", "jlater"); later.Exit != exitFine || !strings.HasPrefix(later.Out, "later format  jlater  Transcode\n") {
		t.Errorf("%+v", later)
	}
}

// TestListNone says of which kind and time there are no records.
func TestListNone(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive(job("j1", "Success", "2026-11-27T10:00:35+0800"))
	for args, want := range map[string]string{
		"--since 24h --kind workflow":           "No records of kind workflow since 24h. --since all looks further back.\n",
		"--since 48h --until 24h":               "No records since 48h until 24h. --since all looks further back.\n",
		"--since all --kind job --until 24h":    "No records of kind job until 24h.\n",
		"--since all --kind review --state any": "No records of kind review.\n",
	} {
		if got := c.run(strings.Fields("list " + args)...); got.Exit != exitFine || got.Err != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// encoded returns the bytes of the record of a callback.
func encoded(t *testing.T, body string) []byte {
	t.Helper()
	callback, err := model.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	record, err := callback.Records[0].Encode()
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// TestShowInPipe has what a person is told for other programs too.
func TestShowInPipe(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.sample("review-image-detail.json")
	c.putObject(recordBucket, "ci/jobs/jbroken.json", "<no record/>")
	for id, words := range map[string]string{
		"si00000000000000000000000000000a01": "\nverdict\tviolation\nlabel\tAds\n",
		"jbroken":                            "\nproblem\tnot JSON: ",
	} {
		if got := c.run("show", id).Out; !strings.Contains(got, words) {
			t.Errorf("%q is not in\n%s", words, got)
		}
	}
}

// TestLaterFormat has records that a later program wrote. What this one can read of them
// it shows, and nothing is wrong with them.
func TestLaterFormat(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.putObject(recordBucket, "ci/jobs/jread.json", `{"version":3,"kind":"job","id":"jread","state":"Success","tag":"Transcode","detail":"none"}`)
	c.putObject(recordBucket, "ci/jobs/jother.json", `{"version":3,"kind":"job","id":"jother","state":{"is":"Success"},"code":7,"tag":"Transcode"}`)
	list := c.run("list")
	for _, row := range []string{"Success\tjread\tTranscode\t", "later format\tjother\tTranscode\t"} {
		if !strings.Contains("\n"+list.Out, "\n"+row) {
			t.Errorf("%q is not in\n%s", row, list.Out)
		}
	}
	audit := c.run("audit", "--all")
	if audit.Exit != exitFine || strings.Count(audit.Out, "later format\t") != 2 || audit.Err != "2 later format.\n" {
		t.Errorf("audit: %+v", audit)
	}
}

// TestConfirmInterrupted ends a command that asks, and that nobody answers.
func TestConfirmInterrupted(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.ended("Transcode")
	ctx, cancel := context.WithCancel(t.Context())
	nobody, closeIt := io.Pipe()
	defer closeIt.Close()
	said := &asked{cancel: cancel}
	tool := &tool{streams: streams{out: io.Discard, err: said, inTerminal: true}, in: nobody, environ: c.environ, now: time.Now, transport: c.transport}
	if exit := tool.run(ctx, []string{"retag", id}); exit != exitInterrupted || !strings.Contains(said.String(), "Do it? [y/N] \nrecords: interrupted") {
		t.Errorf("exit %d: %s", exit, said)
	}
}

// asked calls cancel when the question is written.
type asked struct {
	bytes.Buffer
	cancel func()
}

func (a *asked) Write(p []byte) (int, error) {
	if strings.HasPrefix(string(p), "Do it?") {
		a.cancel()
	}
	return a.Buffer.Write(p)
}

// TestReplayNames names bodies by their key, their hash and what rejected prints of it; a
// body that is named twice is received once.
func TestReplayNames(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	body := job("j1", "Success", "2026-11-27T10:00:35+0800")
	if _, err := c.receiver.Store.PutRejected(t.Context(), []byte(body), ""); err != nil {
		t.Fatal(err)
	}
	key := c.rejectedKey(body)
	hash := strings.TrimPrefix(key, "ci/rejected/")
	printed, _, _ := strings.Cut(c.runOn(streams{width: 80, outTerminal: true}, "", "rejected").Out, "  callback")
	printed = printed[strings.LastIndexByte(printed, '\n')+1:]
	for name, test := range map[string]struct {
		want int
		says string
	}{
		"../x": {exitUsage, `"../x" names no rejected body`}, "": {exitUsage, `"" names no rejected body`},
		hash[:11]: {exitUsage, "names no rejected body"}, "0123456789ab": {exitNotFound, "ci/rejected/0123456789ab: not found"},
		printed: {exitFine, ""}, hash[:20]: {exitFine, ""}, key: {exitFine, ""}, key[:30]: {exitFine, ""},
	} {
		if got := c.run("replay", "--dry-run", name); got.Exit != test.want || !strings.Contains(got.Err, test.says) {
			t.Errorf("%q: %+v", name, got)
		}
	}
	for _, end := range []string{"0", "1"} {
		c.putObject(recordBucket, "ci/rejected/"+strings.Repeat("ab", 31)+"a"+end, body)
	}
	if got := c.run("replay", "--dry-run", "abababababab"); got.Exit != exitUsage || !strings.Contains(got.Err, "2 rejected bodies begin with abababababab") {
		t.Errorf("of two: %+v", got)
	}
	if got := c.run("replay", "--delete", "--yes", hash, printed, key); got.Exit != exitFine || !strings.HasSuffix(got.Err, "1 of 1 bodies received.\n") {
		t.Errorf("three times: %+v", got)
	}
}

// TestReplayNotUnderstood names a body that is not understood beside one that is.
func TestReplayNotUnderstood(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive("no callback")
	good := job("j1", "Success", "2026-11-27T10:00:35+0800")
	if _, err := c.receiver.Store.PutRejected(t.Context(), []byte(good), ""); err != nil {
		t.Fatal(err)
	}
	bad := c.rejectedKey("no callback")
	for _, test := range []struct{ flag, says string }{
		{"--dry-run", "\nA dry run: nothing was received.\n"}, {"--yes", "\n1 of 1 bodies received.\n"},
	} {
		got := c.run("replay", c.rejectedKey(good), bad, test.flag)
		if got.Exit != exitFindings || !strings.Contains(got.Out, "\tcreated\t") || !strings.HasSuffix(got.Err, test.says) {
			t.Errorf("%s: %+v", test.flag, got)
		}
		if hash := strings.TrimPrefix(bad, "ci/rejected/"); !strings.Contains(got.Err, hash[:12]+" is not understood today: ") {
			t.Errorf("%s does not say which is left out: %s", test.flag, got.Err)
		}
	}
	if got := c.run("replay", "--dry-run"); got.Exit != exitFine {
		t.Errorf("without names: %+v", got)
	}
}

// TestShowKind has a job and a review of one id, which begins with a dash.
func TestShowKind(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for folder, kind := range map[string]string{"jobs": "job", "reviews": "review"} {
		c.putObject(recordBucket, "ci/"+folder+"/-a.json", `{"version":2,"kind":"`+kind+`","id":"-a","state":"Success","detail":{}}`)
	}
	for _, kind := range []string{"job", "review"} {
		if got := c.run("show", "--kind", kind, "--", "-a"); !strings.Contains(got.Out, "\nkind\t"+kind+"\n") {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	for _, command := range []string{"show", "retag"} {
		if got := c.run(command, "--kind", "workflow", "--", "-a"); got.Exit != exitNotFound {
			t.Errorf("%s as a workflow: %+v", command, got)
		}
	}
}
