package receive_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
)

const (
	recordBucket = "records-1250000000"
	mediaBucket  = "media-1250000000"
	region       = "ap-guangzhou"
	md5          = "0123456789abcdef0123456789abcdef"
)

// newCOS returns a local COS without a socket.
func newCOS(t *testing.T) *coslocal.Server {
	t.Helper()
	cos, err := coslocal.New(coslocal.Options{KeepRequests: -1, Credentials: []coslocal.Credential{{SecretID: "id", SecretKey: "key"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cos.Close() })
	for _, bucket := range []string{recordBucket, mediaBucket} {
		if err := cos.CreateBucket(bucket, region); err != nil {
			t.Fatal(err)
		}
	}
	return cos
}

// newReceiver returns a receiver that tags, over a connection to COS.
func newReceiver(t *testing.T, transport http.RoundTripper) *receive.Receiver {
	t.Helper()
	s, err := store.NewPool(transport).Open(store.Options{
		Credentials: cosclient.Credentials{SecretID: "id", SecretKey: "key"},
		Bucket:      recordBucket, Region: region, Prefix: "ci/", TagKey: "md5", AppID: "1250000000",
		Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &receive.Receiver{Store: s, TagMD5: true}
}

// job writes a job as CI calls it back.
func job(id, state, start, end string, outputs ...string) string {
	var files []string
	for _, key := range outputs {
		files = append(files, fmt.Sprintf(`{"ObjectName":%q,"Md5":%q}`, key, md5))
	}
	return fmt.Sprintf(`{"Tag":"Transcode","JobId":%q,"State":%q,"StartTime":%q,"EndTime":%q,"QueueId":"p1","Input":{"BucketId":%q,"Region":%q,"Object":"in.mp4"},
		"Operation":{"MediaResult":{"OutputFile":{"Bucket":%[5]q,"Region":%[6]q,"Md5Info":[%[7]s]}}}}`,
		id, state, start, end, mediaBucket, region, strings.Join(files, ","))
}

func callback(jobs ...string) []byte {
	return []byte(`{"EventName":"TaskFinish","JobsDetail":[` + strings.Join(jobs, ",") + `]}`)
}

func TestCallback(t *testing.T) {
	t.Parallel()
	cos := newCOS(t)
	putObject(t, cos, "out.mp4", time.Now())
	r := newReceiver(t, cos)
	body := callback(job("j1", "Success", "", "", "out.mp4"), job("j2", "Failed", "", ""), `{"JobId":"j3"}`)
	result := func(id, state string, outcome store.Outcome) receive.Result {
		return receive.Result{
			Kind: "job", ID: id, State: state, Type: "Transcode", Bucket: mediaBucket, Queue: "p1",
			Outcome: outcome, Key: "ci/jobs/" + id + ".json",
		}
	}
	want := receive.Results{Jobs: []receive.Result{
		result("j1", "Success", store.Created), result("j2", "Failed", store.Created),
		{Kind: "job", ID: "j3", State: "Unknown", Outcome: store.Created, Key: "ci/jobs/j3.json"},
	}}
	want.Jobs[0].Tags = []store.TagResult{{Bucket: mediaBucket, Object: "out.mp4", Outcome: store.Tagged}}
	got, err := r.Callback(t.Context(), body)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; results (-want +got):\n%s", err, diff)
	}

	for i := range want.Jobs {
		want.Jobs[i].Outcome = store.Duplicate
	}
	want.Jobs[0].Tags[0].Outcome = store.Unchanged
	got, err = r.Callback(t.Context(), body)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("again: error %v; results (-want +got):\n%s", err, diff)
	}
}

func putObject(t *testing.T, cos *coslocal.Server, key string, modified time.Time) {
	t.Helper()
	if err := cos.PutObject(mediaBucket, key, coslocal.Object{Body: []byte("a video"), LastModified: modified}); err != nil {
		t.Fatal(err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	console, err := os.ReadFile("../../testdata/callbacks/probe.json")
	if err != nil {
		t.Fatal(err)
	}
	cos := newCOS(t)
	for body, want := range map[string]receive.Result{
		string(console): {Kind: "review", ID: "test_trace_id", Outcome: receive.Probe},
		"":              {Outcome: receive.Probe},
		"\ufeff \r\n":   {Outcome: receive.Probe},
	} {
		got, err := newReceiver(t, cos).Callback(t.Context(), []byte(body))
		if diff := cmp.Diff(receive.Results{Jobs: []receive.Result{want}}, got); diff != "" || err != nil {
			t.Errorf("%.20q: error %v; results (-want +got):\n%s", body, err, diff)
		}
	}
	if cos.RequestCount() != 0 {
		t.Errorf("%d requests", cos.RequestCount())
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	cos := newCOS(t)
	r := newReceiver(t, cos)
	got, err := r.Callback(t.Context(), []byte("hello"))
	if _, ok := errors.AsType[*model.MalformedError](err); !ok || len(got.Jobs) != 0 {
		t.Errorf("Callback = %+v, %v; want a MalformedError", got, err)
	}
	kept, found := cos.Object(recordBucket, got.Rejected)
	if !found || string(kept.Body) != "hello" || !strings.HasPrefix(got.Rejected, "ci/rejected/") {
		t.Errorf("kept %q under %q", kept.Body, got.Rejected)
	}

	// Where it cannot be kept, that is what matters.
	cos.Deny(func(coslocal.Request) bool { return true })
	got, err = r.Callback(t.Context(), []byte("hello"))
	if !errors.Is(err, cosclient.ErrMisconfigured) || got.Rejected != "" {
		t.Errorf("Callback = %+v, %v; want ErrMisconfigured", got, err)
	}
}

// Of a body that was understood in part, the jobs that were are stored, and all of it is
// kept.
func TestPartlyRejected(t *testing.T) {
	t.Parallel()
	body := callback(`{"JobId":"j1"}`, `{"State":"Success"}`, `{"JobId":"../x"}`, `{"JobId":"j2"}`)
	cos := newCOS(t)
	r := newReceiver(t, cos)
	got, err := r.Callback(t.Context(), body)
	partial, ok := errors.AsType[*model.PartialError](err)
	if !ok || len(partial.Faults) != 2 {
		t.Errorf("error = %v; want a PartialError about two jobs", err)
	}
	wantStored(t, got, "j1", "j2")
	kept, _ := cos.Object(recordBucket, got.Rejected)
	if diff := cmp.Diff(string(body), string(kept.Body)); diff != "" {
		t.Errorf("kept under %q (-want +got):\n%s", got.Rejected, diff)
	}

	// What can be stored is, even if the body cannot be kept; and the other way round.
	for _, test := range []struct {
		denied, rejected string
		stored           []string
	}{
		{"rejected/", "", []string{"j3"}},
		{"j3.json", "ci/rejected/", nil},
	} {
		cos := newCOS(t)
		cos.Deny(func(r coslocal.Request) bool { return strings.Contains(r.Key, test.denied) })
		got, err := newReceiver(t, cos).Callback(t.Context(), callback(`{"JobId":"j3"}`, `{"State":"Success"}`))
		if !isMisconfigured(err) || !strings.HasPrefix(got.Rejected, test.rejected) || (got.Rejected == "") != (test.rejected == "") {
			t.Errorf("%s denied: rejected %q, error %v", test.denied, got.Rejected, err)
		}
		wantStored(t, got, test.stored...)
	}
}

// wantStored checks which jobs of a callback are stored.
func wantStored(t *testing.T, results receive.Results, want ...string) {
	t.Helper()
	var got []string
	for _, j := range results.Jobs {
		if j.Outcome == store.Created {
			got = append(got, j.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// Of an id that a body holds several times, the newest version becomes the record and the
// others its history, also where another kind has the same id.
func TestOlderVersions(t *testing.T) {
	t.Parallel()
	end := func(second int) string { return fmt.Sprintf("2026-05-06T12:00:%02d+08:00", second) }
	cos := newCOS(t)
	r := newReceiver(t, cos)
	got, err := r.Callback(t.Context(), callback(
		job("j1", "Success", "", end(2)), job("j2", "Success", "", end(1)), job("j1", "Success", "", end(3)), job("j1", "Running", "", "")))
	if err != nil {
		t.Fatal(err)
	}
	wantStored(t, got, "j1", "j2")
	stored, _ := cos.Object(recordBucket, "ci/jobs/j1.json")
	if !strings.Contains(string(stored.Body), end(3)) {
		t.Errorf("the record is %s", stored.Body)
	}
	if history := cos.Keys(recordBucket, "ci/history/"); len(history) != 2 || !strings.HasPrefix(history[0], "ci/history/jobs/j1/") || !strings.HasPrefix(history[1], "ci/history/jobs/j1/") {
		t.Errorf("history %q; want two versions of j1", history)
	}
}

// Only the outputs of a job that ended well are tagged.
func TestTaggedStates(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]int{"Success": 1, "Failed": 0, "Cancel": 0, "Running": 0, "Submitted": 0, "Pause": 0, "": 0, "success": 0} {
		cos := newCOS(t)
		putObject(t, cos, "out.mp4", time.Now())
		got, err := newReceiver(t, cos).Callback(t.Context(), callback(job("j1", state, "", "", "out.mp4")))
		stored, _ := cos.Object(mediaBucket, "out.mp4")
		if err != nil || len(got.Jobs[0].Tags) != want || len(stored.Tags) != want {
			t.Errorf("%q: %+v, %v; the object has the tags %v", state, got, err, stored.Tags)
		}
	}
}

// An output that was written more than five minutes after the job's end is another's, be
// the job as long as it will.
func TestOverwrittenOutput(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 5, 6, 12, minute, 0, 0, time.UTC) }
	for name, test := range map[string]struct {
		start, end, modified int
		want                 store.TagOutcome
	}{
		"at_the_end_of_a_long_job":     {0, 20, 20, store.Tagged},
		"a_little_after_a_long_job":    {0, 20, 25, store.Tagged},
		"overwritten":                  {0, 20, 26, store.Skipped},
		"overwritten_after_short_job":  {19, 20, 26, store.Skipped},
		"before_the_start_of_the_job":  {10, 20, 5, store.Tagged},
		"in_the_middle_of_a_short_job": {19, 21, 20, store.Tagged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cos := newCOS(t)
			putObject(t, cos, "out.mp4", at(test.modified))
			body := callback(job("j1", "Success", at(test.start).Format(time.RFC3339), at(test.end).Format(time.RFC3339), "out.mp4"))
			got, err := newReceiver(t, cos).Callback(t.Context(), body)
			if err != nil || got.Jobs[0].Tags[0].Outcome != test.want {
				t.Errorf("Callback = %+v, %v; want %s", got, err, test.want)
			}
		})
	}
}

// The limit of outputs that are tagged is one of the whole callback, not of each job.
func TestMaxTagged(t *testing.T) {
	t.Parallel()
	var jobs []string
	for i, n := range []int{2_000, 2_500, 800, 1} {
		var outputs []string
		for j := range n {
			outputs = append(outputs, fmt.Sprintf("out/%d-%d", i, j))
		}
		// A bucket of another account: each is skipped without a request.
		jobs = append(jobs, strings.ReplaceAll(job(fmt.Sprintf("j%d", i), "Success", "", "", outputs...), mediaBucket, "media-1999999999"))
	}
	got, err := newReceiver(t, newCOS(t)).Callback(t.Context(), callback(jobs...))
	if err != nil {
		t.Fatal(err)
	}
	tagged, more := 0, 0
	for _, j := range got.Jobs {
		for _, tag := range j.Tags {
			if n := 0; tag.Bucket == "" {
				if _, err := fmt.Sscanf(tag.Reason, "%d more outputs: of a callback, 5000 are tagged", &n); err != nil || tag.Outcome != store.Skipped {
					t.Errorf("tag %+v", tag)
				}
				more += n
			} else {
				tagged++
			}
		}
	}
	if tagged != 5_000 || more != 301 {
		t.Errorf("%d outputs were looked at, %d were not; want 5000, 301", tagged, more)
	}
}

// A tag that COS refuses is the operator's business; one that a retry may help is an error.
func TestTagErrors(t *testing.T) {
	t.Parallel()
	body := callback(job("j1", "Success", "", "", "out.mp4"))
	putTags := func(r coslocal.Request) bool { return r.Action() == "PutObjectTagging" }
	tests := map[string]struct {
		arrange     func(*coslocal.Server)
		wantRefused bool
		wantErr     error
	}{
		"refused":      {func(cos *coslocal.Server) { cos.Deny(putTags) }, true, nil},
		"out_of_reach": {func(cos *coslocal.Server) { cos.Inject(coslocal.Fault{Status: 503, Match: putTags}) }, false, cosclient.ErrUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cos := newCOS(t)
			putObject(t, cos, "out.mp4", time.Now())
			test.arrange(cos)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				got, err := newReceiver(t, cos).Callback(ctx, body)
				if !errors.Is(err, test.wantErr) || (err == nil) != (test.wantErr == nil) {
					t.Errorf("error = %v; want %v", err, test.wantErr)
				}
				if j := got.Jobs[0]; (j.RefusedTag != nil) != test.wantRefused || j.Outcome != store.Created || j.Tags[0].Outcome != store.Failed {
					t.Errorf("result %+v", j)
				}
			})
		})
	}
}

// Tag tags the outputs, and makes no request about the record.
func TestTagAlone(t *testing.T) {
	t.Parallel()
	decoded, err := model.Decode(callback(job("j1", "Success", "", "", "out.mp4")))
	if err != nil {
		t.Fatal(err)
	}
	cos := newCOS(t)
	putObject(t, cos, "out.mp4", time.Now())
	r := newReceiver(t, cos)
	tags, refused, err := r.Tag(t.Context(), decoded.Records[0])
	want := []store.TagResult{{Bucket: mediaBucket, Object: "out.mp4", Outcome: store.Tagged}}
	if diff := cmp.Diff(want, tags); diff != "" || refused != nil || err != nil || cos.RequestCount() != 3 || len(cos.Keys(recordBucket, "")) != 0 {
		t.Errorf("refused %v, error %v, %d requests; tags (-want +got):\n%s", refused, err, cos.RequestCount(), diff)
	}
	r.TagMD5 = false
	if tags, refused, err := r.Tag(t.Context(), decoded.Records[0]); len(tags) != 0 || refused != nil || err != nil || cos.RequestCount() != 3 {
		t.Errorf("switched off: %v, %v, %v, %d requests", tags, refused, err, cos.RequestCount())
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	decoded, err := model.Decode(callback(job("j1", "Success", "", "", "out.mp4")))
	if err != nil {
		t.Fatal(err)
	}
	cos := newCOS(t)
	putObject(t, cos, "out.mp4", time.Now())
	got, err := newReceiver(t, cos).Record(t.Context(), decoded.Records[0])
	want := receive.Result{
		Kind: "job", ID: "j1", State: "Success", Type: "Transcode", Bucket: mediaBucket, Queue: "p1", Outcome: store.Created, Key: "ci/jobs/j1.json",
		Tags: []store.TagResult{{Bucket: mediaBucket, Object: "out.mp4", Outcome: store.Tagged}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; result (-want +got):\n%s", err, diff)
	}
}

// failing is a connection on which the requests for some keys fail, or panic.
type failing struct {
	http.RoundTripper
	fail map[string]func() error // by what a key ends with
}

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	for suffix, fail := range f.fail {
		if strings.HasSuffix(r.URL.Path, suffix) {
			return nil, fail()
		}
	}
	return f.RoundTripper.RoundTrip(r)
}

// Of the errors of several jobs the most severe decides, wherever it stands; the others
// are stored all the same.
func TestMostSevereError(t *testing.T) {
	t.Parallel()
	bug := func() error { panic("a bug") }
	unavailable := func() error { return errors.New("no route") }
	body := callback(`{"JobId":"j1"}`, `{"JobId":"j2"}`, `{"JobId":"j3"}`, `{"JobId":"j4"}`)
	for name, test := range map[string]struct {
		fail   map[string]func() error
		denied string
		want   func(error) bool
		stored int
	}{
		"none":                     {nil, "", func(err error) bool { return err == nil }, 4},
		"one_unavailable":          {map[string]func() error{"j2.json": unavailable}, "", isUnavailable, 3},
		"setting_over_unavailable": {map[string]func() error{"j1.json": unavailable}, "j2.json", isMisconfigured, 2},
		"setting_first":            {map[string]func() error{"j4.json": unavailable}, "j2.json", isMisconfigured, 2},
		"bug_over_all":             {map[string]func() error{"j1.json": unavailable, "j4.json": bug}, "j2.json", isPanic, 1},
		"bug_first":                {map[string]func() error{"j1.json": bug, "j4.json": unavailable}, "j2.json", isPanic, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cos := newCOS(t)
			cos.Deny(func(r coslocal.Request) bool { return test.denied != "" && strings.HasSuffix(r.Key, test.denied) })
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				got, err := newReceiver(t, failing{cos, test.fail}).Callback(ctx, body)
				if !test.want(err) {
					t.Errorf("error = %v", err)
				}
				stored := 0
				for i, j := range got.Jobs {
					if j.ID != fmt.Sprintf("j%d", i+1) {
						t.Errorf("result %d is of %s", i, j.ID)
					}
					if j.Outcome == store.Created {
						stored++
					}
				}
				if stored != test.stored || len(got.Jobs) != 4 {
					t.Errorf("stored %d of %d; want %d of 4", stored, len(got.Jobs), test.stored)
				}
			})
		})
	}
}

func isUnavailable(err error) bool   { return errors.Is(err, cosclient.ErrUnavailable) }
func isMisconfigured(err error) bool { return errors.Is(err, cosclient.ErrMisconfigured) }

func isPanic(err error) bool {
	_, ok := errors.AsType[*parallel.PanicError](err)
	return ok
}

// A panic while an output is tagged leaves the record stored and the other output tagged.
func TestPanicOfOneTag(t *testing.T) {
	t.Parallel()
	cos := newCOS(t)
	putObject(t, cos, "good.mp4", time.Now())
	putObject(t, cos, "bad.mp4", time.Now())
	r := newReceiver(t, failing{cos, map[string]func() error{"bad.mp4": func() error { panic("a bug") }}})
	got, err := r.Callback(t.Context(), callback(job("j1", "Success", "", "", "bad.mp4", "good.mp4")))
	want := []receive.Result{{ID: "j1", Outcome: store.Created, Tags: []store.TagResult{
		{Bucket: mediaBucket, Object: "bad.mp4", Outcome: store.Failed, Reason: receive.BugReason},
		{Bucket: mediaBucket, Object: "good.mp4", Outcome: store.Tagged},
	}}}
	ignore := cmpopts.IgnoreFields(receive.Result{}, "Kind", "State", "Type", "Bucket", "Queue", "Key")
	if diff := cmp.Diff(want, got.Jobs, ignore); diff != "" || !isPanic(err) {
		t.Errorf("error %v; results (-want +got):\n%s", err, diff)
	}
}
