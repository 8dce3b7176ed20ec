package mend_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

const (
	recordBucket = "records-1250000000"
	mediaBucket  = "media-1250000000"
	otherBucket  = "other-1250000000"
	region       = "ap-guangzhou"
)

// world is a local COS and a local CI without sockets, and a Mender that works on them.
type world struct {
	*mend.Mender
	t     *testing.T
	cos   *coslocal.Server
	ci    *cilocal.Server
	store *store.Store
}

func newWorld(t *testing.T, change func(*mend.Options)) *world {
	t.Helper()
	cos, err := coslocal.New(coslocal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cos.Close() })
	for _, bucket := range []string{recordBucket, mediaBucket, otherBucket} {
		if err := cos.CreateBucket(bucket, region); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, cos: cos, ci: cilocaltest.New(t, cilocal.Options{COS: cos}, mediaBucket, otherBucket)}
	keys := coslocal.DefaultCredential()
	o := store.Options{
		Credentials: cosclient.Credentials{SecretID: keys.SecretID, SecretKey: keys.SecretKey},
		Bucket:      recordBucket, Region: region, Prefix: "ci/", TagKey: "md5", AppID: "1250000000", TagBuckets: []string{mediaBucket},
		Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} },
	}
	if w.store, err = store.NewPool(w.ci.WithCOS()).Open(o); err != nil {
		t.Fatal(err)
	}
	options := mend.Options{
		Store: w.store, StoreOptions: o, CI: ci.NewClient(ci.Options{Transport: w.ci.WithCOS(), Credentials: o.Credentials}),
		Buckets: []reconcile.Bucket{{Name: mediaBucket, Region: region}, {Name: otherBucket, Region: region}}, Types: []string{"Transcode"},
	}
	if change != nil {
		change(&options)
	}
	w.Mender = mend.New(options)
	return w
}

// objects returns all that is in the record bucket.
func (w *world) objects() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, key := range w.cos.Keys(recordBucket, "") {
		o, ok := w.cos.Object(recordBucket, key)
		if !ok {
			w.t.Fatalf("there is no %s", key)
		}
		all[key] = string(o.Body)
	}
	return all
}

// reject keeps a body as one that was not understood, and returns its key.
func (w *world) reject(body, source string) string {
	w.t.Helper()
	key, err := w.store.PutRejected(w.t.Context(), []byte(body), source)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// receive stores the jobs of a callback.
func (w *world) receive(body string) {
	w.t.Helper()
	callback, err := model.Decode([]byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, record := range callback.Records {
		if _, _, err := w.store.PutRecord(w.t.Context(), record); err != nil {
			w.t.Fatal(err)
		}
	}
}

// lose adds a job that ended twenty minutes ago, and whose callback was lost.
func (w *world) lose(bucket string) (id string) {
	w.t.Helper()
	id, err := w.ci.AddJob(bucket, cilocal.Job{Tag: "Transcode", Input: cilocal.Object{Key: "in/a.mov"}, Output: cilocal.Object{Key: "out/${JobId}.mp4"}},
		cilocal.Plan{Age: 20 * time.Minute, Run: time.Minute, Lost: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// puts matches the requests that write an object whose key holds some words.
func puts(words string) func(coslocal.Request) bool {
	return func(r coslocal.Request) bool { return r.Method == http.MethodPut && strings.Contains(r.Key, words) }
}

// job is a job as it is in a callback.
func job(id, state, end string) string {
	return fmt.Sprintf(`{"JobId":%q,"Tag":"Transcode","State":%q,"EndTime":%q,"Input":{"BucketId":%q,"Region":%q,"Object":"in/a.mov"}}`,
		id, state, end, mediaBucket, region)
}

// callback is a callback of jobs.
func callback(jobs ...string) string {
	return `{"EventName":"TaskFinish","JobsDetail":[` + strings.Join(jobs, ",") + `]}`
}

const (
	early = "2026-11-27T10:00:00+0800"
	late  = "2026-11-27T11:00:00+0800"
)

// TestReplay holds what Examine says of a rejected body against what Replay then does.
func TestReplay(t *testing.T) {
	t.Parallel()
	probe, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "callbacks", "probe.json"))
	if err != nil {
		t.Fatal(err)
	}
	const queried = `<JobsDetail><JobId>j1</JobId><State>Success</State><Tag>Transcode</Tag></JobsDetail>`
	for name, test := range map[string]struct {
		stored, body, source string
		want                 []store.Outcome // of its jobs
		reason               string          // why it is not whole; "" where it is
		probe                bool
	}{
		"new":         {body: callback(job("j1", "Success", late)), want: []store.Outcome{store.Created}},
		"the_same":    {stored: callback(job("j1", "Success", late)), body: callback(job("j1", "Success", late)), want: []store.Outcome{store.Duplicate}},
		"newer":       {stored: callback(job("j1", "Failed", early)), body: callback(job("j1", "Success", late)), want: []store.Outcome{store.Updated}},
		"older":       {stored: callback(job("j1", "Success", late)), body: callback(job("j1", "Failed", early)), want: []store.Outcome{store.Stale}},
		"of_a_query":  {stored: callback(job("j1", "Success", late)), body: queried, source: "query", want: []store.Outcome{store.Updated}},
		"two_of_many": {stored: callback(job("j2", "Success", late)), body: callback(job("j1", "Success", late), job("j2", "Success", late)), want: []store.Outcome{store.Created, store.Duplicate}},
		"half":        {body: callback(job("j1", "Success", late), `{"State":"Success"}`), want: []store.Outcome{store.Created}, reason: "JobId"},
		"nonsense":    {body: "hello", reason: "neither"},
		"no_job":      {body: callback(`{"State":"Success"}`), source: "query", reason: "JobId"},
		"probe":       {body: string(probe), probe: true},
	} {
		for _, remove := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/remove=%t", name, remove), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				if test.stored != "" {
					w.receive(test.stored)
				}
				key := w.reject(test.body, test.source)
				before := w.objects()

				body, err := w.Examine(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				var would []store.Outcome
				for i, planned := range body.Jobs {
					would = append(would, planned.Would)
					if want := fmt.Sprintf("ci/jobs/j%d.json", i+1); planned.Key != want || planned.State == "" {
						t.Errorf("job %d: %+v", i, planned)
					}
				}
				if diff := cmp.Diff(test.want, would); diff != "" {
					t.Errorf("it would, -want +got:\n%s", diff)
				}
				if body.Reason == "" != (test.reason == "") || !strings.Contains(body.Reason, test.reason) || body.IsWhole() != (test.reason == "") || body.Probe != test.probe {
					t.Errorf("%+v", body)
				}
				if key != "ci/rejected/"+body.Hash() || body.Size != int64(len(test.body)) || body.Source != test.source || body.Received.IsZero() {
					t.Errorf("%+v", body)
				}
				if diff := cmp.Diff(before, w.objects()); diff != "" {
					t.Errorf("to look changed something, -before +after:\n%s", diff)
				}

				done, err := w.Replay(t.Context(), key, remove)
				if (err != nil) != (test.reason != "") {
					t.Errorf("received: %v", err)
				}
				var did []store.Outcome
				for _, result := range done.Jobs {
					if result.Outcome != "probe" {
						did = append(did, result.Outcome)
					}
				}
				if diff := cmp.Diff(would, did); diff != "" {
					t.Errorf("-would +did:\n%s", diff)
				}
				after := w.objects()
				gone := remove && test.reason == ""
				if _, there := after[key]; there == gone || done.Removed != gone {
					t.Errorf("the body is there: %t; removed: %t", there, done.Removed)
				}
				for _, planned := range body.Jobs {
					if after[planned.Key] == "" || (planned.Would == store.Duplicate || planned.Would == store.Stale) != (after[planned.Key] == before[planned.Key]) {
						t.Errorf("%s, %s:\n%s\nbefore:\n%s", planned.Key, planned.Would, after[planned.Key], before[planned.Key])
					}
				}
			})
		}
	}
}

func TestNoSuchBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	key := "ci/rejected/" + strings.Repeat("0", 64)
	if _, err := w.Examine(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Examine: %v", err)
	}
	if _, err := w.Replay(t.Context(), key, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Replay: %v", err)
	}
}

// TestReplayStops lets Replay come to grief on its way. It says what was stored by then,
// the body stays, and to receive it once more does the rest.
func TestReplayStops(t *testing.T) {
	t.Parallel()
	forbid := func(match func(coslocal.Request) bool) func(*world, context.CancelFunc) {
		return func(w *world, _ context.CancelFunc) {
			w.cos.Inject(coslocal.Fault{Match: match, Status: 403, Code: "AccessDenied"})
		}
	}
	deletes := func(r coslocal.Request) bool { return r.Method == http.MethodDelete }
	for name, test := range map[string]struct {
		arrange func(*world, context.CancelFunc)
		want    error
		says    string
		stored  string // jobs that are in spite of it
		not     string // jobs that are not
	}{
		"a_record_is_refused":  {forbid(puts("jobs/j2")), cosclient.ErrMisconfigured, "j2", "j1 j3", "j2"},
		"the_body_stays":       {forbid(deletes), cosclient.ErrMisconfigured, "received, but not taken away", "j1 j2 j3", ""},
		"ctrl_c_at_a_record":   {cancelAt(puts("jobs/j2")), context.Canceled, "", "", "j2"},
		"ctrl_c_at_the_remove": {cancelAt(deletes), context.Canceled, "received, but not taken away", "j1 j2 j3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			key := w.reject(callback(job("j1", "Success", late), job("j2", "Success", late), job("j3", "Success", late)), "")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.arrange(w, cancel)
			done, err := w.Replay(ctx, key, true)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("ended with %v", err)
			}
			if len(done.Jobs) != 3 {
				t.Fatalf("%+v", done)
			}
			for _, result := range done.Jobs {
				stored := w.objects()["ci/jobs/"+result.ID+".json"] != ""
				said := result.Outcome == store.Created
				// Ctrl-C can come between what was stored and the answer that says so.
				if said && !stored || stored && !said && test.want != context.Canceled {
					t.Errorf("%s is stored: %t; it says %q", result.ID, stored, result.Outcome)
				}
				if strings.Contains(test.stored, result.ID) && !stored || strings.Contains(test.not, result.ID) && stored {
					t.Errorf("%s is stored: %t", result.ID, stored)
				}
			}
			if _, there := w.objects()[key]; !there || done.Removed {
				t.Errorf("the body is there: %t; removed: %t", there, done.Removed)
			}

			w.cos.ClearFaults()
			done, err = w.Replay(t.Context(), key, true)
			if err != nil || !done.Removed || len(w.cos.Keys(recordBucket, "ci/jobs/")) != 3 || len(w.cos.Keys(recordBucket, "ci/rejected/")) != 0 {
				t.Errorf("once more: %v, %+v", err, done)
			}
		})
	}
}

// cancelAt presses Ctrl-C at the first request of a kind, before it is done.
func cancelAt(match func(coslocal.Request) bool) func(*world, context.CancelFunc) {
	return func(w *world, cancel context.CancelFunc) {
		w.cos.Inject(coslocal.Fault{Reset: true, Match: func(r coslocal.Request) bool {
			if match(r) {
				cancel()
				return true
			}
			return false
		}})
	}
}

// TestExamineRefused says what is in a body although a record could not be read.
func TestExamineRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	key := w.reject(callback(job("j1", "Success", late), job("j2", "Success", late), job("j3", "Success", late)), "")
	w.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Key == "ci/jobs/j2.json" }, Status: 403, Code: "AccessDenied"})
	body, err := w.Examine(t.Context(), key)
	if !errors.Is(err, cosclient.ErrMisconfigured) || !strings.Contains(err.Error(), key) || body.Key != key {
		t.Errorf("%v, %+v", err, body)
	}
	var would []string
	for _, j := range body.Jobs {
		would = append(would, j.ID+" "+string(j.Would))
	}
	if diff := cmp.Diff([]string{"j1 created", "j2 ", "j3 created"}, would); diff != "" {
		t.Errorf("it would, -want +got:\n%s", diff)
	}
}

// TestReconcile mends what a dry run names, and what the dry run names is not written
// before. The state of the function's own comparisons is not touched.
func TestReconcile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	lost, forged, other := w.lose(mediaBucket), w.lose(mediaBucket), w.lose(otherBucket)
	w.receive(callback(job(forged, "Failed", "2099-01-01T00:00:00+0800")))
	// A job of another type than those that are compared stays as it is.
	if _, err := w.ci.AddJob(mediaBucket, cilocal.Job{Tag: "Snapshot"}, cilocal.Plan{Age: 20 * time.Minute, Lost: true}); err != nil {
		t.Fatal(err)
	}
	before := w.objects()

	dry, err := w.Reconcile(t.Context(), time.Hour, true, nil)
	if err != nil || !dry.Complete {
		t.Errorf("a dry run: %v, %+v", err, dry)
	}
	if diff := cmp.Diff(before, w.objects()); diff != "" {
		t.Errorf("a dry run wrote, -before +after:\n%s", diff)
	}
	wet, err := w.Reconcile(t.Context(), time.Hour, false, nil)
	if err != nil || wet.Repaired != 2 || wet.Replaced != 1 {
		t.Errorf("%v, %+v", err, wet)
	}
	if diff := cmp.Diff(outcomes(dry), outcomes(wet)); diff != "" {
		t.Errorf("-dry run +run:\n%s", diff)
	}
	want := map[string]reconcile.Outcome{lost: reconcile.Repaired, forged: reconcile.Replaced, other: reconcile.Repaired}
	if diff := cmp.Diff(want, outcomes(wet)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(w.cos.Keys(recordBucket, "ci/reconcile/")) != 0 || len(w.cos.Keys(recordBucket, "ci/jobs/")) != 3 {
		t.Errorf("there is %v", w.cos.Keys(recordBucket, ""))
	}
	if again, err := w.Reconcile(t.Context(), time.Hour, false, nil); err != nil || again.Recorded != 3 || len(again.Findings) != 0 {
		t.Errorf("again: %v, %+v", err, again)
	}
}

func outcomes(r mend.Reconciled) map[string]reconcile.Outcome {
	of := map[string]reconcile.Outcome{}
	for _, f := range r.Findings {
		of[f.ID] = f.Outcome
	}
	return of
}

// TestReconcileStops mends one bucket although the other's jobs cannot be listed, and
// after Ctrl-C says no more than what was done.
func TestReconcileStops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*world, context.CancelFunc)
		says    string
		atLeast int // records that are there afterwards
		atMost  int
	}{
		"one_bucket_is_refused": {func(w *world, _ context.CancelFunc) {
			w.ci.Deny(func(r coslocal.Request) bool { return r.Bucket == otherBucket })
		}, otherBucket, 2, 2},
		"ctrl_c": {cancelAt(puts("ci/jobs/")), "canceled", 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, bucket := range []string{mediaBucket, mediaBucket, otherBucket} {
				w.lose(bucket)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.arrange(w, cancel)
			result, err := w.Reconcile(ctx, time.Hour, false, nil)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("ended with %v", err)
			}
			if there := len(w.cos.Keys(recordBucket, "ci/jobs/")); result.Complete || result.Repaired != there || there < test.atLeast || there > test.atMost {
				t.Errorf("%d records are there: %+v", there, result)
			}
		})
	}
}

// TestWithoutCI has nobody to ask, or nothing to ask about.
func TestWithoutCI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *mend.Options) { o.CI = nil })
	if _, err := w.Reconcile(t.Context(), time.Hour, true, nil); err == nil || !strings.Contains(err.Error(), "no client") {
		t.Errorf("Reconcile: %v", err)
	}
	if err := w.Audit(t.Context(), nil, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "no client") {
		t.Errorf("Audit: %v", err)
	}
	w = newWorld(t, func(o *mend.Options) { o.Buckets, o.Types = nil, nil })
	if _, err := w.Reconcile(t.Context(), time.Hour, true, nil); !errors.Is(err, mend.ErrNoBuckets) {
		t.Errorf("without buckets: %v", err)
	}
	if diff := cmp.Diff(ci.Tags(), w.Types()); diff != "" {
		t.Errorf("types, -want +got:\n%s", diff)
	}
}

// TestAudit asks about records of each kind, and changes nothing.
func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	good, forged, refused := w.lose(mediaBucket), w.lose(mediaBucket), w.lose(otherBucket)
	if _, err := w.Reconcile(t.Context(), time.Hour, false, nil); err != nil {
		t.Fatal(err)
	}
	w.cos.DeleteObject(recordBucket, "ci/jobs/"+forged+".json")
	w.receive(callback(job(forged, "Failed", "2099-01-01T00:00:00+0800")))
	w.receive(callback(job("jnever", "Success", late)))
	w.receive(`{"JobsDetail":{"JobId":"jnowhere","Tag":"Transcode","State":"Success"}}`)
	w.receive(callback(strings.Replace(job("jbadbucket", "Success", late), mediaBucket, "Not_A-Bucket", 1)))
	if err := w.cos.PutObject(recordBucket, "ci/jobs/jbroken.json", coslocal.Object{Body: []byte("no record")}); err != nil {
		t.Fatal(err)
	}
	run, err := w.ci.AddRun(mediaBucket, cilocal.Run{}, cilocal.Plan{Age: 20 * time.Minute, Lost: true})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := w.ci.Callback(mediaBucket, run, "XML")
	if err != nil {
		t.Fatal(err)
	}
	w.receive(string(ended))
	w.receive(strings.ReplaceAll(string(ended), run, "wnever"))
	w.receive(fmt.Sprintf(`{"EventName":"ReviewImage","JobsDetail":{"JobId":"sreview","State":"Success","BucketId":%q,"Region":%q,"Object":"in/a.jpg"}}`, mediaBucket, region))
	w.ci.Deny(func(r coslocal.Request) bool { return r.Bucket == otherBucket })
	before := w.objects()
	c := catalog.New(catalog.FromStore(w.store), "ci/")
	entries, err := c.List(t.Context(), model.Kinds(), time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, catalog.Entry{Key: "ci/jobs/jgone.json"}) // deleted since the listing
	got := map[string]string{}
	var last mend.AuditProgress
	err = w.Audit(t.Context(), c, entries, func(a mend.Audited) {
		got[a.Key] = fmt.Sprintf("%s, %s, %s", a.Verdict, a.Ours, a.CI)
		if want := "ci/" + a.Kind.Folder() + "/" + a.ID + ".json"; a.Key != want {
			t.Errorf("%s is said to be %s %q", a.Key, a.Kind, a.ID)
		}
		if (a.Reason != "") != (a.Verdict == mend.NotAsked || a.Verdict == mend.NotRecord) {
			t.Errorf("%s is %s because of %q", a.Key, a.Verdict, a.Reason)
		}
	}, func(p mend.AuditProgress) { last = p })
	if err == nil || !strings.Contains(err.Error(), otherBucket) {
		t.Errorf("of the bucket that is refused it says: %v", err)
	}
	want := map[string]string{}
	for id, verdict := range map[string]string{
		good: "confirmed, Success, Success", forged: "differs, Failed, Success", refused: "cannot be asked, Success, ", "jnever": "unknown, Success, ",
		"jnowhere": "cannot be asked, Success, ", "jbadbucket": "cannot be asked, Success, ", "jbroken": "unreadable, , ",
	} {
		want["ci/jobs/"+id+".json"] = verdict
	}
	want["ci/workflows/"+run+".json"], want["ci/workflows/wnever.json"] = "confirmed, Success, Success", "unknown, Success, "
	want["ci/reviews/sreview.json"] = "cannot be asked, Success, "
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(mend.AuditProgress{Read: 10, Asked: 11, Total: 11}, last); diff != "" {
		t.Errorf("in the end, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, w.objects()); diff != "" {
		t.Errorf("it changed something, -before +after:\n%s", diff)
	}
}

// TestAuditInterrupted ends with Ctrl-C, and confirms nothing that was not asked about.
func TestAuditInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.lose(mediaBucket)
	if _, err := w.Reconcile(t.Context(), time.Hour, false, nil); err != nil {
		t.Fatal(err)
	}
	c := catalog.New(catalog.FromStore(w.store), "ci/")
	entries, err := c.List(t.Context(), model.Kinds(), time.Time{}, nil)
	if err != nil || len(entries) != 1 {
		t.Fatal(err, entries)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.ci.Inject(coslocal.Fault{Reset: true, Match: func(coslocal.Request) bool {
		cancel()
		return true
	}})
	err = w.Audit(ctx, c, entries, func(a mend.Audited) {
		if a.Verdict != mend.NotAsked {
			t.Errorf("%+v", a)
		}
	}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// TestFindings are what somebody should look at.
func TestFindings(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[mend.Verdict]bool{mend.Confirmed: false, mend.Differs: true, mend.Unknown: true, mend.NotAsked: false, mend.Later: false, mend.NotRecord: true} {
		if got := verdict.IsFinding(); got != want {
			t.Errorf("%s: %t", verdict, got)
		}
	}
}

const md5 = "043221daee3f4e15ff13f42329f15eb1"

// TestRetag holds what PlanRetag says against what Retag then does, with TAG_MD5 off.
func TestRetag(t *testing.T) {
	t.Parallel()
	output := func(bucket, key, md5 string) model.Output {
		return model.Output{Object: model.Object{Bucket: bucket, Region: region, Key: key}, MD5: md5}
	}
	for name, test := range map[string]struct {
		state   string
		outputs []model.Output
		reasons []string // for each output, why it is not to be tagged
		tagged  []string // objects
		fails   string
	}{
		"one":           {"Success", []model.Output{output(mediaBucket, "a", md5)}, []string{""}, []string{"a"}, ""},
		"failed":        {"Failed", []model.Output{output(mediaBucket, "a", md5)}, []string{"did not succeed"}, nil, ""},
		"no_md5":        {"Success", []model.Output{output(mediaBucket, "a", "")}, []string{"no MD5"}, nil, ""},
		"other_bucket":  {"Success", []model.Output{output(otherBucket, "a", md5)}, []string{"TAG_BUCKETS"}, nil, ""},
		"one_of_two":    {"Success", []model.Output{output(otherBucket, "a", md5), output(mediaBucket, "b", md5)}, []string{"TAG_BUCKETS", ""}, []string{"b"}, ""},
		"one_is_denied": {"Success", []model.Output{output(mediaBucket, "denied", md5), output(mediaBucket, "b", md5)}, []string{"", ""}, []string{"b"}, "denied"},
		"none":          {"Success", nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *mend.Options) { o.TagMD5 = false })
			for _, bucket := range []string{mediaBucket, otherBucket} {
				for _, key := range []string{"a", "b", "denied"} {
					if err := w.cos.PutObject(bucket, key, coslocal.Object{Body: []byte(key)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.cos.Deny(func(r coslocal.Request) bool { return r.Key == "denied" })
			record := &model.Record{Kind: model.KindJob, ID: "j1", State: test.state, Outputs: test.outputs}

			plan := w.PlanRetag(record)
			useful := false
			for i, planned := range plan {
				if planned.Object != test.outputs[i].Key || planned.Reason == "" != (test.reasons[i] == "") || !strings.Contains(planned.Reason, test.reasons[i]) {
					t.Errorf("planned: %+v, not %q", planned, test.reasons[i])
				}
				useful = useful || test.reasons[i] == ""
			}
			if len(plan) != len(test.outputs) || mend.IsUseful(plan) != useful {
				t.Errorf("useful: %t, %+v", mend.IsUseful(plan), plan)
			}
			if tags := w.tags(); len(tags) != 0 {
				t.Errorf("the plan tagged %v", tags)
			}

			results, err := w.Retag(t.Context(), record)
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%v", err)
			}
			want := map[string]string{}
			for _, key := range test.tagged {
				want[mediaBucket+"/"+key] = md5
			}
			if diff := cmp.Diff(want, w.tags()); diff != "" {
				t.Errorf("tags, -want +got:\n%s", diff)
			}
			said := map[string]string{}
			for _, r := range results {
				if r.Outcome == store.Tagged {
					said[r.Bucket+"/"+r.Object] = md5
				}
			}
			if !maps.Equal(said, want) {
				t.Errorf("it says that it tagged %v: %+v", said, results)
			}
		})
	}
}

// tags returns the MD5 of each output that is tagged.
func (w *world) tags() map[string]string {
	w.t.Helper()
	tags := map[string]string{}
	for _, bucket := range []string{mediaBucket, otherBucket} {
		for _, key := range w.cos.Keys(bucket, "") {
			o, _ := w.cos.Object(bucket, key)
			for _, tag := range o.Tags {
				tags[bucket+"/"+key] = tag.Value
			}
		}
	}
	return tags
}
