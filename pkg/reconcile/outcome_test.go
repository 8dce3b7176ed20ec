package reconcile_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
)

// bubble runs a test in a synctest bubble.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// What becomes of a job, by the record that it has.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const success = `"state":"Success"`
	rewritten := func(old, new string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			w.callback("j1")
			o, _ := w.cos.Object(records, "ci/jobs/j1.json")
			if !strings.Contains(string(o.Body), old) {
				t.Fatalf("no %s in %s", old, o.Body)
			}
			w.put("ci/jobs/j1.json", strings.Replace(string(o.Body), old, new, 1))
		}
	}
	for name, test := range map[string]struct {
		arrange     func(*testing.T, *world)
		want        reconcile.Outcome
		was         string
		wantSource  string
		wantHistory int
	}{
		"none":          {func(*testing.T, *world) {}, reconcile.Repaired, "", "query", 0},
		"still_running": {rewritten(success, `"state":"Running"`), reconcile.Repaired, "Running", "query", 2},
		"unreadable":    {func(_ *testing.T, w *world) { w.put("ci/jobs/j1.json", "hello") }, reconcile.Repaired, "unreadable", "query", 2},
		"agrees":        {func(_ *testing.T, w *world) { w.callback("j1") }, reconcile.Recorded, "", "", 0},
		"another_state": {rewritten(success, `"state":"Failed"`), reconcile.Replaced, "Failed", "query", 2},
		"another_end":   {rewritten(`"endTime":"2`, `"endTime":"3`), reconcile.Replaced, "Success", "query", 2},
		"no_end":        {rewritten(`"endTime"`, `"xTime"`), reconcile.Recorded, "", "", 0},
		"later_format":  {rewritten(`"version":2`, `"version":9`), reconcile.Recorded, "", "", 0},
		"the_order_keeps_it": {func(t *testing.T, w *world) {
			rewritten(`"endTime":"2`, `"source":"query","endTime":"3`)(t, w)
		}, reconcile.Recorded, "", "query", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.add("j1", time.Hour, cilocal.Plan{Run: time.Minute})
				test.arrange(t, w)
				before, _ := w.cos.Object(records, "ci/jobs/j1.json")
				want := map[reconcile.Outcome]reconcile.Counts{
					reconcile.Recorded: {Checked: 1, Recorded: 1},
					reconcile.Repaired: {Checked: 1, Repaired: 1},
					reconcile.Replaced: {Checked: 1, Replaced: 1},
				}
				got := w.mustRun(want[test.want])
				after, _ := w.cos.Object(records, "ci/jobs/j1.json")
				if test.want == reconcile.Recorded {
					if string(before.Body) != string(after.Body) || len(got.Findings) != 0 || len(w.log.lines()) != 0 {
						t.Errorf("found %v; the record was\n%s and is\n%s", got.Findings, before.Body, after.Body)
					}
				} else {
					wantFindings := []reconcile.Finding{{Bucket: media, ID: "j1", Type: "Transcode", Outcome: test.want, State: "Success", Was: test.was}}
					if diff := cmp.Diff(wantFindings, got.Findings); diff != "" {
						t.Errorf("findings (-want +got):\n%s", diff)
					}
					if r := w.record("j1"); r.State != "Success" || r.Source != test.wantSource || !strings.HasPrefix(r.EndTime, "2000-01-01") {
						t.Errorf("record %+v", r)
					}
					checkWarning(t, w, test.want)
				}
				if n := len(w.cos.Keys(records, "ci/history/")); n != test.wantHistory {
					t.Errorf("%d versions in the history", n)
				}
				tagged, _ := w.cos.Object(media, "out/j1.mp4")
				if mended := test.want != reconcile.Recorded || name == "agrees"; mended && len(tagged.Tags) != 1 {
					t.Errorf("tags %v", tagged.Tags)
				}
				// Once more, it is as it should be.
				w.mustRun(reconcile.Counts{})
				w.mustRun(reconcile.Counts{Checked: 1, Recorded: 1}, func(o *reconcile.Options) { o.Stateless = true })
			})
		})
	}
}

func checkWarning(t *testing.T, w *world, outcome reconcile.Outcome) {
	t.Helper()
	lines := w.log.lines()
	if len(lines) != 1 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for field, want := range map[string]any{
		"level": "WARN", "outcome": string(outcome), "id": "j1", "tag": "Transcode", "state": "Success", "bucket": media,
	} {
		if lines[0][field] != want {
			t.Errorf("%s is %v, want %v", field, lines[0][field], want)
		}
	}
	if lines[0]["queue"] == "" || lines[0]["endTime"] == "" {
		t.Errorf("the line is %v", lines[0])
	}
}

// A callback that comes after the record was made of CI's answer is late, and kept.
func TestCallbackAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
		if !w.callback("j1") {
			t.Error("the callback was not received")
		}
		if r := w.record("j1"); r.Source != model.SourceQuery || len(w.history("j1")) != 1 {
			t.Errorf("source %q; history %v", r.Source, w.history("j1"))
		}
	})
}

// A job that has not ended, or only just, is asked for again and again.
func TestPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", 0, cilocal.Plan{Run: 20 * time.Minute})
		w.add("j2", time.Minute, cilocal.Plan{})
		time.Sleep(time.Second)
		one := reconcile.Counts{Checked: 1, Repaired: 1}
		started := time.Now()
		for _, step := range []struct {
			after time.Duration
			want  reconcile.Result
		}{
			{0, reconcile.Result{Pending: 2}},
			{4*time.Minute - 2*time.Second, reconcile.Result{Pending: 2}},
			{4*time.Minute - time.Second, reconcile.Result{Counts: one, Pending: 1}}, // j2 ended five minutes ago
			{24 * time.Minute, reconcile.Result{Pending: 1}},
			{25 * time.Minute, reconcile.Result{Counts: one}}, // so did j1
			{35 * time.Minute, reconcile.Result{}},
		} {
			time.Sleep(time.Until(started.Add(step.after)))
			got, err := w.run()
			step.want.Complete, got.Findings = true, nil
			if diff := cmp.Diff(step.want, got); diff != "" || err != nil {
				t.Errorf("after %s: error %v (-want +got):\n%s", step.after, err, diff)
			}
		}
	})
}

// A dry run counts and writes nothing, nor does it ask for tags. A record that COS does not
// let it read is out of reach: no write decides.
func TestDryRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("queried", time.Hour, cilocal.Plan{})
		w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
		for _, id := range []string{"j0", "j1", "j2", "denied"} {
			w.add(id, time.Hour, cilocal.Plan{})
		}
		w.add("deep", time.Hour, cilocal.Plan{}, func(j *cilocal.Job) { j.Operation = tooDeep })
		w.callback("j0")
		w.put("ci/jobs/j1.json", `{"version":2,"kind":"job","id":"j1","state":"Failed","endTime":"2000-01-01T00:00:00Z","detail":{"a":"b"}}`)
		w.net.meddle = refuse(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "denied") }, http.StatusForbidden, "AccessDenied")
		before := w.net.count()
		got := w.mustRun(reconcile.Counts{Checked: 5, Recorded: 2, Repaired: 1, Replaced: 1}, func(o *reconcile.Options) { o.DryRun, o.Stateless = true, true })
		want := []reconcile.Finding{
			{Bucket: media, ID: "deep", Type: "Transcode", Outcome: reconcile.Rejected},
			{Bucket: media, ID: "j1", Type: "Transcode", Outcome: reconcile.Replaced, State: "Success", Was: "Failed"},
			{Bucket: media, ID: "j2", Type: "Transcode", Outcome: reconcile.Repaired, State: "Success"},
		}
		slices.SortFunc(got.Findings, func(a, b reconcile.Finding) int { return strings.Compare(a.ID, b.ID) })
		if diff := cmp.Diff(want, got.Findings); diff != "" || got.Pending != 1 {
			t.Errorf("%d pending; findings (-want +got):\n%s", got.Pending, diff)
		}
		for _, r := range w.net.since(before) {
			if !strings.HasPrefix(r, "GET ") || strings.Contains(r, "tagging") {
				t.Errorf("it sent %s", r)
			}
		}
	})
}
