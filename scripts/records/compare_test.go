package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// TestAudit asks about a record that CI confirms, one that says something else, one of a
// job that there never was, and those that cannot be asked about.
func TestAudit(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.ended("Transcode")
	forged := c.ended("Transcode")
	c.receive(job(forged, "Failed", "2099-01-01T00:00:00+0800"))
	c.receive(job("jnever", "Success", "2026-11-27T10:00:35+0800"))
	c.sample("review-image-simple.json")
	c.receive(`{"JobsDetail":{"JobId":"jnowhere","Tag":"Transcode","State":"Success"}}`)

	got := c.run("audit", "--json")
	var rows []struct{ Verdict, Kind, ID, Ours, CI string }
	if err := json.Unmarshal([]byte(got.Out), &rows); err != nil {
		t.Fatal(err, got)
	}
	verdicts := map[string]string{}
	for _, r := range rows {
		if r.Kind == "review" {
			r.ID = "review"
		}
		verdicts[r.ID] = r.Verdict + " " + r.Ours + " " + r.CI
	}
	want := map[string]string{
		forged: "differs Failed Success", "jnever": "unknown Success ", "jnowhere": "cannot be asked Success ", "review": "cannot be asked Success ",
	}
	if diff := cmp.Diff(want, verdicts); diff != "" || got.Exit != exitFindings {
		t.Errorf("exit %d, -want +got:\n%s", got.Exit, diff)
	}
	if !strings.Contains(got.Err, "1 confirmed, 1 differs, 1 unknown, 2 cannot be asked") {
		t.Errorf("it says %q", got.Err)
	}
}

// TestAuditOldPath asks for a job that /jobs does not know where such jobs were before.
func TestAuditOldPath(t *testing.T) {
	t.Parallel()
	c := newCloudWith(t, cilocal.Options{OldPathsOnly: true})
	id := c.ended("PicProcess")
	if got := c.run("audit"); got.Exit != 0 || !strings.Contains(got.Err, "1 confirmed") {
		t.Errorf("job %s: %+v", id, got)
	}
	c.receive(job("cnever", "Success", "2026-11-27T10:00:35+0800")) // unknown there, too
	if got := c.run("audit"); got.Exit != exitFindings || !strings.Contains(got.Err, "1 confirmed, 1 unknown") {
		t.Errorf("%+v", got)
	}
}

// TestAuditWhereCIRefuses says that nothing was asked, and not that all is well.
func TestAuditWhereCIRefuses(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.ended("Transcode")
	c.ci.Deny(func(coslocal.Request) bool { return true })
	if got := c.run("audit"); got.Exit != exitFindings || !strings.Contains(got.Err, "1 cannot be asked") {
		t.Errorf("%+v", got)
	}
}

// TestReconcile mends a record that is missing and one that is forged, after a dry run that
// leaves them as they are.
func TestReconcile(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.ended("Transcode")
	forged := c.ended("Transcode")
	c.receive(job(forged, "Failed", "2099-01-01T00:00:00+0800"))
	lost, err := c.ci.AddJob(mediaBucket, cilocal.Job{Tag: "Transcode", Input: cilocal.Object{Key: "in/b.mov"}, Output: cilocal.Object{Key: "out/b.mp4"}},
		cilocal.Plan{Age: 20 * time.Minute, Run: time.Minute, Lost: true})
	if err != nil {
		t.Fatal(err)
	}
	before := c.cos.Keys(recordBucket, "ci/")

	dry := c.run("reconcile", "--dry-run", "--json")
	var result struct {
		Checked, Recorded, Repaired, Replaced int
		Complete                              bool
	}
	if err := json.Unmarshal([]byte(dry.Out), &result); err != nil {
		t.Fatal(err, dry)
	}
	if result.Checked != 3 || result.Recorded != 1 || result.Repaired != 1 || result.Replaced != 1 || !result.Complete || dry.Exit != exitFindings {
		t.Errorf("a dry run: exit %d, %+v", dry.Exit, result)
	}
	if diff := cmp.Diff(before, c.cos.Keys(recordBucket, "ci/")); diff != "" {
		t.Errorf("a dry run wrote, -before +after:\n%s", diff)
	}
	if refused := c.run("reconcile"); refused.Exit != exitUsage || !strings.Contains(refused.Err, "--yes") {
		t.Errorf("without --yes: %+v", refused)
	}
	done := c.run("reconcile", "--yes")
	if done.Exit != exitFindings || !strings.Contains(done.Out, "repaired\t"+lost) || !strings.Contains(done.Out, "replaced\t"+forged) {
		t.Errorf("%+v", done)
	}
	if again := c.run("reconcile", "--yes"); again.Exit != 0 || !strings.Contains(again.Err, "3 recorded") {
		t.Errorf("again: %+v", again)
	}
	if keys := c.cos.Keys(recordBucket, "ci/reconcile/"); len(keys) != 0 {
		t.Errorf("a state was written: %v", keys)
	}
}

// TestReconcileWarns compares jobs of which some could not be compared, recorded or tagged.
// No later run asks for them, so that this one says so.
func TestReconcileWarns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*cloud)
		want    int
		says    []string
	}{
		"record_refused": {func(c *cloud) {
			c.lost("Transcode")
			c.cos.Deny(func(r coslocal.Request) bool { return strings.HasPrefix(r.Key, "ci/jobs/") })
		}, exitFindings, []string{"COS refuses the record of a job", "id j", "AccessDenied", "1 pending"}},
		"unknown_type": {func(c *cloud) { c.environ = append(c.environ, "RECONCILE_TYPES=Bogus") }, exitFindings, []string{"CI does not know this type", "type Bogus"}},
		"tags_refused": {func(c *cloud) {
			c.environ = append(c.environ, "TAG_MD5=true")
			c.lost("Transcode")
			c.run("reconcile", "--yes")
			if err := c.cos.SetTags(mediaBucket, "out/b.mp4", nil); err != nil {
				c.t.Fatal(err)
			}
			c.cos.Deny(func(r coslocal.Request) bool { return r.Action() == "PutObjectTagging" })
		}, exitFindings, []string{"COS refuses to tag an output of a job", "1 recorded, 0 repaired"}},
		"run_refused": {func(c *cloud) {
			c.environ = append(c.environ, "RECONCILE_WORKFLOWS=w1")
			c.lostRun()
			c.ci.Deny(func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "workflowexecution/i1") })
		}, exitFindings, []string{"CI does not give a run of a workflow", "id i1", "1 pending"}},
		"running": {func(c *cloud) {
			if _, err := c.ci.AddJob(mediaBucket, cilocal.Job{Tag: "Transcode", Input: cilocal.Object{Key: "in/b.mov"}}, cilocal.Plan{Run: time.Hour}); err != nil {
				c.t.Fatal(err)
			}
		}, exitFine, []string{"1 pending"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			test.arrange(c)
			got := c.run("reconcile", "--yes")
			for _, words := range test.says {
				if !strings.Contains(got.Err, words) {
					t.Errorf("%q is not in %q", words, got.Err)
				}
			}
			if got.Exit != test.want {
				t.Errorf("exit %d, not %d: %s", got.Exit, test.want, got.Err)
			}
			var shown struct{ Warnings []string }
			if err := json.Unmarshal([]byte(c.run("reconcile", "--yes", "--json").Out), &shown); err != nil || len(shown.Warnings) != test.want {
				t.Errorf("warnings %q, %v", shown.Warnings, err)
			}
		})
	}
}

// TestReconcileMany names 100 findings of a bucket, and says how many more there are.
func TestReconcileMany(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for range 103 {
		c.lost("Transcode")
	}
	got := c.run("reconcile", "--dry-run", "--json")
	if !strings.Contains(got.Out, `"findingsNotShown": 3`) || !strings.Contains(got.Err, "Not shown: 3 of 103 findings.\n") {
		t.Errorf("%.500s\n%s", got.Out, got.Err)
	}
}

// TestRetag tags an output that was not tagged when its callback came.
func TestRetag(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.ended("Transcode")
	output := "out/" + id + ".mp4"
	tags := func() int {
		o, ok := c.cos.Object(mediaBucket, output)
		if !ok {
			t.Fatalf("there is no %s", output)
		}
		return len(o.Tags)
	}
	if got := c.run("retag", id, "--dry-run"); got.Exit != 0 || !strings.HasPrefix(got.Out, "tagged\t") || tags() != 0 {
		t.Errorf("a dry run: %+v, %d tags", got, tags())
	}
	var plan []struct{ ID, Object, Outcome string }
	if got := c.run("retag", id, "--dry-run", "--json"); json.Unmarshal([]byte(got.Out), &plan) != nil || len(plan) != 1 || plan[0].Object != output || plan[0].Outcome != "tagged" {
		t.Errorf("the plan as JSON: %+v", got)
	}
	c.receive(job("jnone", "Success", "2026-11-27T10:00:35+0800")) // without an output
	if got := c.run("retag", "jnone", "--yes", "--json"); got.Exit != exitFindings || got.Out != "[]\n" {
		t.Errorf("with nothing to do: %+v", got)
	}
	if got := c.run("retag", id, "--yes"); got.Exit != 0 || !strings.HasPrefix(got.Out, "tagged\t") || tags() != 1 {
		t.Errorf("%+v, %d tags", got, tags())
	}
	c.environ = append(c.environ, "TAG_BUCKETS=other-1250000000")
	if got := c.run("retag", id, "--yes"); got.Exit != exitFindings || !strings.Contains(got.Out, "TAG_BUCKETS") {
		t.Errorf("in a bucket that is not allowed: %+v", got)
	}
}
