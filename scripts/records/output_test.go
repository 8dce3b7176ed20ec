package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

var update = flag.Bool("update", false, "rewrite what the commands print, in testdata/output.txt")

// TestOutput runs the command lines of testdata/output.txt, one after the other, and
// compares all that they print. "$" runs one in a pipe, "%" on a terminal with colours,
// which answers what stands behind "<". What goes to standard error has "! " in front.
func TestOutput(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "output.txt")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)))
		c := newCloud(t)
		c.prepareOutput()
		var got strings.Builder
		for line := range strings.Lines(string(want)) {
			if strings.HasPrefix(line, "# ") {
				got.WriteString(line)
			}
			command, terminal := strings.CutPrefix(line, "% records ")
			if !terminal && !strings.HasPrefix(line, "$ records ") {
				continue
			}
			command, answer, _ := strings.Cut(strings.TrimPrefix(command, "$ records "), "<")
			s := streams{width: 100, inTerminal: terminal, outTerminal: terminal, color: terminal}
			got.WriteString(line)
			got.WriteString(shownOutputOf(c.runOn(s, answer, strings.Fields(command)...)))
			time.Sleep(time.Minute)
		}
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// queueID is the id of a queue, which is another one in each run.
var queueID = regexp.MustCompile(`p[0-9a-f]{32}`)

// shownOutputOf writes what a command printed as it stands in output.txt.
func shownOutputOf(o output) string {
	var s strings.Builder
	s.WriteString(queueID.ReplaceAllString(strings.ReplaceAll(o.Out, "\x1b", "^"), "pqueue"))
	for line := range strings.Lines(o.Err) {
		s.WriteString("! " + strings.TrimSuffix(line, "\n") + "\n")
	}
	if o.Exit != exitFine {
		fmt.Fprintf(&s, "exit %d\n", o.Exit)
	}
	return s.String() + "\n"
}

// prepareOutput has records of all kinds and states, bodies that were not understood, and
// jobs of which CI says something else.
func (c *cloud) prepareOutput() {
	c.t.Helper()
	c.receive(job("jtwice", "Failed", "2026-11-27T10:00:35+0800"))
	c.receive(job("jtwice", "Success", "2026-11-27T10:02:10+0800"))
	time.Sleep(26 * time.Hour)
	c.receive(job("jfailed", "Failed", "2026-11-27T10:00:35+0800"))
	c.receive(job("jrunning", "Running", "-"))
	time.Sleep(time.Minute)
	run := c.lostRun()
	c.receive(run)
	c.receive(strings.ReplaceAll(run, `"i1"`, `"i2"`)) // which CI does not know
	c.sample("review-image-detail.json")
	time.Sleep(time.Minute)
	c.putObject(recordBucket, "ci/jobs/jbroken.json", "<no record/>")
	c.prepareOutputs()
	c.endedAs("jconfirmed00000000000000000000000", "out/a.mp4")
	c.endedAs("jforged0000000000000000000000000", "out/b.mp4")
	c.receive(job("jforged0000000000000000000000000", "Failed", "2099-01-01T00:00:00+0800"))
	if _, err := c.ci.AddJob(mediaBucket, cilocal.Job{ID: "jlost000000000000000000000000000", Tag: "Transcode", Input: cilocal.Object{Key: "in/c.mov"}, Output: cilocal.Object{Key: "out/c.mp4"}},
		cilocal.Plan{Age: 20 * time.Minute, Run: time.Minute, Lost: true}); err != nil {
		c.t.Fatal(err)
	}
	older := "2026-11-27T09:00:00+0800"
	for _, body := range []struct{ text, source string }{
		{together(job("jwell", "Success", older), job("bad.id", "Success", older)), ""},
		{together(job("jfailed", "Failed", "2026-11-27T10:00:35+0800"), job("jtwice", "Success", older), job("jrunning", "Success", "2026-11-27T10:00:35+0800")), ""},
		{`{"code":0,"message":"Test request when setting callback url","data":{"trace_id":"test_trace_id","url":"test_url"}}`, ""},
		{"no callback", ""}, {job("jlater", "Success", "2026-11-27T10:00:35+0800"), ""},
		{`<JobsDetail><JobId>jqueried</JobId><State>Success</State><Tag>Transcode</Tag></JobsDetail>`, "query"},
	} {
		time.Sleep(time.Second)
		if _, err := c.receiver.Store.PutRejected(c.t.Context(), []byte(body.text), body.source); err != nil {
			c.t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
}

// together is one callback of several jobs.
func together(bodies ...string) string {
	var jobs []string
	for _, body := range bodies {
		_, body, _ = strings.Cut(body, "[")
		jobs = append(jobs, strings.TrimSuffix(body, "]}"))
	}
	return `{"EventName":"TaskFinish","JobsDetail":[` + strings.Join(jobs, ",") + "]}"
}

// prepareOutputs has a record with outputs of every kind.
func (c *cloud) prepareOutputs() {
	c.t.Helper()
	var outputs []string
	for _, name := range []string{"tagged", "other", "untagged", "unhashed", "missing", "denied"} {
		output := fmt.Sprintf(`{"bucket":%q,"region":%q,"object":"out/%s","md5":"0123456789ABCDEF0123456789ABCDEF"}`, mediaBucket, region, name)
		if name == "unhashed" {
			output = strings.Replace(output, `,"md5":"0123456789ABCDEF0123456789ABCDEF"`, "", 1)
		}
		outputs = append(outputs, output)
		if name != "missing" {
			c.putObject(mediaBucket, "out/"+name, name)
		}
	}
	for name, md5 := range map[string]string{"tagged": "0123456789abcdef0123456789abcdef", "other": "ffffffffffffffffffffffffffffffff"} {
		if err := c.cos.SetTags(mediaBucket, "out/"+name, []coslocal.Tag{{Key: "md5", Value: md5}}); err != nil {
			c.t.Fatal(err)
		}
	}
	c.cos.Deny(func(r coslocal.Request) bool { return r.Key == "out/denied" })
	c.putObject(recordBucket, "ci/jobs/joutputs.json", `{"version":2,"kind":"job","id":"joutputs","state":"Success","outputs":[`+strings.Join(outputs, ",")+`],"detail":{}}`)
}

func (c *cloud) putObject(bucket, key, body string) {
	c.t.Helper()
	if err := c.cos.PutObject(bucket, key, coslocal.Object{Body: []byte(body)}); err != nil {
		c.t.Fatal(err)
	}
}

// endedAs makes a job with an id of its own that CI has ended, and receives its callback.
func (c *cloud) endedAs(id, key string) {
	c.t.Helper()
	if _, err := c.ci.AddJob(mediaBucket, cilocal.Job{ID: id, Tag: "Transcode", Input: cilocal.Object{Key: "in/a.mov"}, Output: cilocal.Object{Key: key}},
		cilocal.Plan{Age: 10 * time.Minute, Run: time.Minute, Lost: true}); err != nil {
		c.t.Fatal(err)
	}
	c.ci.RunDue()
	body, err := c.ci.Callback(mediaBucket, id, "JSON")
	if err != nil {
		c.t.Fatal(err)
	}
	c.receive(string(body))
}

// TestProgress shows on a terminal how far a slow command is, and takes that off the
// screen at its end.
func TestProgress(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		want   []string // what is seen for a while
		remain string   // at the end
	}{
		"list":      {[]string{"list", "--type", "none"}, []string{"| listing ("}, "None of 9 records matches.\n"},
		"audit":     {[]string{"audit"}, []string{"| listing (", "\rasking  44% |██████████              | (4/9) [1s:1s]"}, "2 confirmed, 1 differs, 3 unknown, 2 cannot be asked, 1 unreadable.\n"},
		"reconcile": {[]string{"reconcile", "--dry-run"}, []string{"media-1250000000 Transcode ("}, "3 jobs compared: 1 recorded, 1 repaired, 1 replaced, 0 pending (a dry run: nothing was written).\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)))
				c := newCloud(t)
				c.prepareOutput()
				c.cos.Inject(coslocal.Fault{Delay: time.Second})
				c.ci.Inject(coslocal.Fault{Delay: time.Second})
				got := c.runOn(streams{width: 80, errTerminal: true}, "", test.args...).Err
				time.Sleep(time.Second) // by then what turns the bar has seen that it is at its end
				for _, want := range test.want {
					if !strings.Contains(got, want) {
						t.Errorf("%q is not seen in %q", want, got)
					}
				}
				if remains := got[strings.LastIndexByte(got, '\r')+1:]; remains != test.remain {
					t.Errorf("%q remains on the screen, not %q", remains, test.remain)
				}
			})
		})
	}
}
