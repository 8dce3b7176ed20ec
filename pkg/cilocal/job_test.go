package cilocal_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// TestJobRuns follows a job through its states, by a bubble's clock.
func TestJobRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		storage, callbacks := newCOS(t), &receiver{}
		s := cilocaltest.New(t, cilocal.Options{
			COS: storage, Transport: callbacks, Plan: always(cilocal.Plan{Wait: 2 * time.Second, Run: 10 * time.Second, Content: []byte("hello")}),
		}, bucket)
		must(t, s.SetCallback(bucket, "http://function.localhost/?token=t", "XML"))
		began := time.Now()
		response, body := send(t, s, http.MethodPost, "/jobs", transcode(""))
		var made jobsAnswer
		if err := xml.Unmarshal([]byte(body), &made); err != nil || response.StatusCode != http.StatusOK || len(made.JobsDetail) != 1 {
			t.Fatalf("POST /jobs: %d %s", response.StatusCode, body)
		}
		id := made.JobsDetail[0].JobId
		for _, want := range []struct {
			wait                          time.Duration
			state, started, ended, object string
		}{
			{0, "Submitted", "-", "-", ""},
			{2*time.Second - 1, "Submitted", "-", "-", ""},
			{1, "Running", "2000-01-01T08:00:02+0800", "-", ""},
			{10*time.Second - 1, "Running", "2000-01-01T08:00:02+0800", "-", ""},
			{1, "Success", "2000-01-01T08:00:02+0800", "2000-01-01T08:00:12+0800", "hello"},
		} {
			time.Sleep(want.wait)
			j := list(t, s, "/jobs/"+id).JobsDetail[0]
			o, _ := storage.Object(bucket, "out/a.mp4")
			if j.State != want.state || j.StartTime != want.started || j.EndTime != want.ended || string(o.Body) != want.object {
				t.Errorf("after %v: %+v, object %q; want %+v", time.Since(began), j, o.Body, want)
			}
		}
		synctest.Wait()
		if len(callbacks.bodies) != 1 || callbacks.times[0].Sub(began) != 12*time.Second || callbacks.header[0].Get("Content-Type") != "application/xml" {
			t.Fatalf("callbacks: %q at %v", callbacks.bodies, callbacks.times)
		}
		if d := s.Deliveries(); len(d) != 1 || d[0].ID != id || d[0].Status != 200 || d[0].Err != nil || string(d[0].Body) != callbacks.bodies[0] {
			t.Errorf("deliveries: %+v", d)
		}
	})
}

// queryAndCallback returns how CI shows one job in an answer and in a callback.
func queryAndCallback(t *testing.T, job cilocal.Job, plan cilocal.Plan) (query, callback jobDetail) {
	t.Helper()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	id, err := s.AddJob(bucket, job, plan)
	must(t, err)
	body, err := s.Callback(bucket, id, "XML")
	must(t, err)
	var called jobsAnswer
	must(t, xml.Unmarshal(body, &called))
	if called.EventName != "TaskFinish" || len(called.JobsDetail) != 1 {
		t.Errorf("callback: %s", body)
	}
	return list(t, s, "/jobs/"+id).JobsDetail[0], called.JobsDetail[0]
}

// TestQueryAndCallbackDiffer holds the differences that the documentation's samples show.
func TestQueryAndCallbackDiffer(t *testing.T) {
	t.Parallel()
	job := cilocal.Job{
		Tag: "Segment", Input: cilocal.Object{Key: "in/a.mp4"}, Output: cilocal.Object{Key: "out/segment-${Number}.mp4"},
		Workflow: &cilocal.JobWorkflow{RunID: "i1"},
	}
	query, callback := queryAndCallback(t, job, cilocal.Plan{})
	if query.Message != "" || callback.Message != "success" {
		t.Errorf("messages %q and %q", query.Message, callback.Message)
	}
	asked, called := query.Operation.MediaResult.OutputFile, callback.Operation.MediaResult.OutputFile
	if asked.ObjectPrefix != nil || asked.ObjectName != "out/segment-0.mp4" {
		t.Errorf("query: %+v", asked)
	}
	if called.ObjectPrefix == nil || *called.ObjectPrefix != "out/segment-" || called.ObjectName != "0.mp4" || called.Md5Info.ObjectName != "out/segment-0.mp4" {
		t.Errorf("callback: %+v", called)
	}
	if query.Workflow != nil || callback.Workflow == nil || callback.Workflow.RunId != "i1" {
		t.Errorf("workflows %v and %v", query.Workflow, callback.Workflow)
	}
}

// TestResults shows what jobs of each kind report of their output.
func TestResults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tag          string
		name         string // of the object reported
		hasMD5       bool
		writesObject bool
	}{
		{"Transcode", "out/x", true, true},
		{"Snapshot", "out/x", false, true},
		{"SpeechRecognition", "", false, true},
		{"MediaInfo", "", false, false},
	} {
		storage := newCOS(t)
		s := cilocaltest.New(t, cilocal.Options{COS: storage}, bucket)
		id, err := s.AddJob(bucket, cilocal.Job{Tag: test.tag, Output: cilocal.Object{Key: "out/x"}}, cilocal.Plan{})
		must(t, err)
		file := list(t, s, "/jobs/"+id).JobsDetail[0].Operation.MediaResult.OutputFile
		object, found := storage.Object(bucket, "out/x")
		if file.ObjectName != test.name || (file.Md5Info.Md5 != "") != test.hasMD5 || found != test.writesObject {
			t.Errorf("%s: %+v, object %v", test.tag, file, found)
		}
		if test.hasMD5 && `"`+file.Md5Info.Md5+`"` != object.ETag {
			t.Errorf("%s: MD5 %s, ETag %s", test.tag, file.Md5Info.Md5, object.ETag)
		}
	}
}

func TestFailedJob(t *testing.T) {
	t.Parallel()
	query, callback := queryAndCallback(t, cilocal.Job{Output: cilocal.Object{Key: "x"}}, cilocal.Plan{Code: "InvalidArgument", Message: "no video"})
	for _, j := range []jobDetail{query, callback} {
		if j.State != "Failed" || j.Code != "InvalidArgument" || j.Message != "no video" || j.Operation.MediaResult.OutputFile.ObjectName != "" {
			t.Errorf("%+v", j)
		}
	}
	s := cilocaltest.New(t, cilocal.Options{COS: newCOS(t)}, bucket)
	id, err := s.AddJob(bucket, cilocal.Job{Output: cilocal.Object{Bucket: "missing-1250000000", Key: "x"}}, cilocal.Plan{})
	must(t, err)
	if j, _ := s.Job(bucket, id); j.State != cilocal.Failed || j.Code == "" || j.MD5 != "" {
		t.Errorf("a job that cannot write: %+v", j)
	}
}

// TestCallbacks sends callbacks lost, late, doubled and out of order.
func TestCallbacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		callbacks := &receiver{status: http.StatusServiceUnavailable}
		s := cilocaltest.New(t, cilocal.Options{Transport: callbacks}, bucket)
		must(t, s.SetCallback(bucket, "http://function.localhost/", "XML"))
		began := time.Now()
		for id, plan := range map[string]cilocal.Plan{
			"jonce": {Run: time.Second}, "jlost": {Lost: true}, "jlate": {Callbacks: []time.Duration{time.Hour}},
			"jtwice": {Callbacks: []time.Duration{2 * time.Second, 3 * time.Second}},
			"jago":   {Age: time.Hour, Callbacks: []time.Duration{time.Minute}},
		} {
			_, err := s.AddJob(bucket, cilocal.Job{ID: id}, plan)
			must(t, err)
		}
		for id, url := range map[string]string{"jno": "no", "jown": "http://other.localhost/"} {
			_, err := s.AddJob(bucket, cilocal.Job{ID: id, Callback: url}, cilocal.Plan{Run: 10 * time.Second})
			must(t, err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		got := []string{}
		for i, body := range callbacks.received() {
			_, rest, _ := strings.Cut(body, "<JobId>")
			id, _, _ := strings.Cut(rest, "</JobId>")
			got = append(got, fmt.Sprint(id, " ", callbacks.times[i].Sub(began)))
		}
		want := []string{"jago 0s", "jonce 1s", "jtwice 2s", "jtwice 3s", "jown 10s", "jlate 1h0m0s"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("callbacks (-want +got):\n%s", diff)
		}
		if callbacks.bodies[2] != callbacks.bodies[3] {
			t.Error("a callback that comes twice is not the same")
		}
		if d := s.Deliveries(); len(d) != 6 || d[0].Status != http.StatusServiceUnavailable {
			t.Errorf("deliveries: %+v", d)
		}
	})
}

// TestCallbackJSON compares the JSON of a callback with its XML.
func TestCallbackJSON(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	job := cilocal.Job{
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), QueueID: s.Queues(bucket)[0].ID,
		Input: cilocal.Object{Key: "a"}, Output: cilocal.Object{Bucket: bucket, Region: region, Key: `b"<&>`},
		Operation: "<WatermarkTemplateId>t1</WatermarkTemplateId><Extra><A>1</A><A>2</A></Extra>", ID: "j1", UserData: "u",
	}
	_, err := s.AddJob(bucket, job, cilocal.Plan{Content: []byte("hello")})
	must(t, err)
	body, err := s.Callback(bucket, "j1", "JSON")
	must(t, err)
	var got any
	must(t, json.Unmarshal(body, &got))
	md5Info := map[string]any{"Md5": "5d41402abc4b2a76b9719d911017c592", "ObjectName": `b"<&>`}
	want := map[string]any{"EventName": "TaskFinish", "JobsDetail": []any{map[string]any{
		"Code": "Success", "Message": "success", "JobId": "j1", "State": "Success", "Progress": "100",
		"CreationTime": "2026-01-02T11:04:05+0800", "StartTime": "2026-01-02T11:04:05+0800", "EndTime": "2026-01-02T11:04:05+0800",
		"QueueId": job.QueueID, "Tag": "Transcode",
		"Input": map[string]any{"BucketId": bucket, "Object": "a"},
		"Operation": map[string]any{
			"Output":              map[string]any{"Bucket": bucket, "Object": `b"<&>`, "Region": region},
			"UserData":            "u",
			"WatermarkTemplateId": []any{"t1"},
			"Extra":               map[string]any{"A": []any{"1", "2"}},
			"MediaResult": map[string]any{"OutputFile": map[string]any{
				"Bucket": bucket, "Region": region, "Md5Info": []any{md5Info}, "ObjectName": []any{`b"<&>`},
			}},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// TestClock lets a test hold the time: nothing happens until it says so.
func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	callbacks := &receiver{}
	s := cilocaltest.New(t, cilocal.Options{Clock: func() time.Time { return now }, Transport: callbacks}, bucket)
	must(t, s.SetCallback(bucket, "http://function.localhost/", "XML"))
	id, err := s.AddJob(bucket, cilocal.Job{}, cilocal.Plan{Run: time.Minute})
	must(t, err)
	s.RunDue()
	if j, _ := s.Job(bucket, id); j.State != cilocal.Running || len(callbacks.received()) != 0 {
		t.Errorf("at once: %+v", j)
	}
	now = now.Add(time.Hour)
	s.RunDue()
	j, _ := s.Job(bucket, id)
	if j.State != cilocal.Success || !j.Ended.Equal(j.Created.Add(time.Minute)) || len(callbacks.received()) != 1 {
		t.Errorf("an hour later: %+v, %d callbacks", j, len(callbacks.bodies))
	}
}

// TestMemory lets CI forget a job after thirty days.
func TestMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := cilocaltest.New(t, cilocal.Options{}, bucket)
		_, err := s.AddJob(bucket, cilocal.Job{ID: "j1"}, cilocal.Plan{})
		must(t, err)
		time.Sleep(30*24*time.Hour - time.Nanosecond)
		if a := list(t, s, "/jobs/j1"); len(a.JobsDetail) != 1 {
			t.Errorf("before: %+v", a)
		}
		time.Sleep(time.Nanosecond)
		if a := list(t, s, "/jobs/j1"); len(a.JobsDetail) != 0 || len(a.NonExistJobIds) != 1 {
			t.Errorf("after: %+v", a)
		}
		if a := list(t, s, "/jobs?tag=Transcode"); len(a.JobsDetail) != 0 {
			t.Errorf("list: %+v", a)
		}
	})
}

// TestSubmit refuses what CI could not make a job of.
func TestSubmit(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	for name, body := range map[string]string{
		"unknown_tag":   strings.Replace(transcode(""), "<Tag>Transcode", "<Tag>Nothing", 1),
		"no_input":      strings.Replace(transcode(""), "in/a.mp4", "", 1),
		"no_output":     strings.Replace(transcode(""), "out/a.mp4", "", 1),
		"no_region":     strings.Replace(transcode(""), "<Region>"+region+"</Region>", "", 1),
		"unknown_queue": transcode("<QueueId>p1</QueueId>"),
		"format":        transcode("<CallBackFormat>YAML</CallBackFormat>"),
		"callback":      transcode("<CallBack>ftp://x/</CallBack>"),
		"message_queue": transcode("<CallBackType>TDMQ</CallBackType>"),
		"user_data":     strings.Replace(transcode(""), "mine", strings.Repeat("x", 1020), 1),
		"one_of_two": strings.Replace(transcode(""), "</Operation>",
			"</Operation><Operation><Output><Object>b</Object></Output></Operation>", 1),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, s, http.MethodPost, "/jobs", body, http.StatusBadRequest, "InvalidArgument")
		})
	}
	for name, body := range map[string]string{
		"empty": "", "json": "{}", "two_roots": "<Request/><Request/>", "other_root": "<Response/>", "cut": "<Request>",
		"deep": "<Request>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</Request>",
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, s, http.MethodPost, "/jobs", body, http.StatusBadRequest, "MalformedXML")
		})
	}
	if jobs := s.Jobs(bucket); len(jobs) != 0 {
		t.Errorf("jobs were made: %+v", jobs)
	}
	_, body := send(t, s, http.MethodPost, "/jobs", transcode("<CallBack>http://a.localhost/</CallBack><CallBackFormat>json</CallBackFormat>"))
	j := s.Jobs(bucket)[0]
	if want := (cilocal.Object{Bucket: bucket, Region: region, Key: "in/a.mp4"}); j.Input != want {
		t.Errorf("input %+v, want %+v", j.Input, want)
	}
	if j.UserData != "mine & yours" || j.CallbackFormat != "JSON" || j.Callback != "http://a.localhost/" || !strings.Contains(body, "<UserData>mine &amp; yours</UserData>") {
		t.Errorf("%+v\n%s", j, body)
	}
}

// TestOneTransport lets one client reach both COS and CI.
func TestOneTransport(t *testing.T) {
	t.Parallel()
	storage := newCOS(t)
	s := cilocaltest.New(t, cilocal.Options{COS: storage}, bucket)
	both := s.WithCOS()
	if response, _ := get(t, both, "/jobs?tag=Transcode"); response.Header.Get("x-ci-request-id") == "" {
		t.Errorf("CI: %v", response.Header)
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+bucket+".cos."+region+".localhost/a", nil)
	must(t, err)
	response, err := both.RoundTrip(r)
	must(t, err)
	if response.Body.Close(); response.Header.Get("x-cos-request-id") == "" {
		t.Errorf("COS: %v", response.Header)
	}
}

// TestLoopbackOnly never sends a callback to another machine, and keeps its URL, which
// holds a token, out of errors.
func TestLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://192.0.2.1/?token=secret", "http://127.evil.example/?token=secret", "http://%/?token=secret"} {
		s := cilocal.New(cilocal.Options{})
		must(t, s.CreateBucket(bucket, ""))
		_, err := s.AddJob(bucket, cilocal.Job{Callback: url}, cilocal.Plan{})
		must(t, err)
		must(t, s.Close())
		if d := s.Deliveries(); len(d) != 1 || d[0].Err == nil || strings.Contains(d[0].Err.Error(), "secret") {
			t.Errorf("%s: %+v", url, d)
		}
	}
}

// TestFaults breaks CI as COS is broken.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	remove := s.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return cilocal.Action(r) == "DescribeMediaJobs" }, Status: 503, Code: "SlowDown"})
	wantError(t, s, http.MethodGet, "/jobs?tag=Transcode", "", http.StatusServiceUnavailable, "SlowDown")
	list(t, s, "/jobs/j1")
	remove()
	s.Deny(func(r coslocal.Request) bool { return cilocal.Action(r) == "DescribeMediaJob" })
	wantError(t, s, http.MethodGet, "/jobs/j1", "", http.StatusForbidden, "AccessDenied")
	if r := s.Requests()[0]; r.Service != "ci" || r.Bucket != bucket || r.Region != region || r.Key != "jobs" || r.Action() != "" {
		t.Errorf("request: %+v", r)
	}
}

// TestLimitsOfRequests takes what is as long as it may be, and nothing longer.
func TestLimitsOfRequests(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	const maxBody, maxUserData = 1 << 20, 1024
	userData := func(n int) string {
		return strings.Replace(transcode(""), "mine &amp; yours", strings.Repeat("x", n), 1)
	}
	padded := func(n int) string { return transcode("") + strings.Repeat(" ", n-len(transcode(""))) }
	for _, body := range []string{userData(maxUserData), padded(maxBody)} {
		if response, answer := send(t, s, http.MethodPost, "/jobs", body); response.StatusCode != http.StatusOK {
			t.Errorf("%d bytes: %d %s", len(body), response.StatusCode, answer)
		}
	}
	for _, body := range []string{userData(maxUserData + 1), padded(maxBody + 1)} {
		wantError(t, s, http.MethodPost, "/jobs", body, http.StatusBadRequest, "InvalidArgument")
	}
}

// TestManyClients submits, asks, cancels and lists from many sides at once: each job is
// there once, and called back once unless it was cancelled.
func TestManyClients(t *testing.T) {
	t.Parallel()
	const clients, jobsEach = 8, 20
	callbacks := &receiver{}
	s := cilocaltest.New(t, cilocal.Options{
		COS: newCOS(t), Transport: callbacks, Plan: func(j cilocal.Job) cilocal.Plan {
			if j.UserData == "cancel" {
				return cilocal.Plan{Run: time.Hour}
			}
			return cilocal.Plan{Run: time.Millisecond}
		},
	}, bucket)
	must(t, s.SetCallback(bucket, "http://function.localhost/", "JSON"))
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			for i := range jobsEach {
				body := transcode("")
				if i%4 == 0 {
					body = strings.Replace(body, "mine &amp; yours", "cancel", 1)
				}
				_, answer := send(t, s, http.MethodPost, "/jobs", body)
				_, rest, _ := strings.Cut(answer, "<JobId>")
				id, _, _ := strings.Cut(rest, "</JobId>")
				if i%4 == 0 {
					send(t, s, http.MethodPut, "/jobs/"+id+"?cancel", "")
				}
				get(t, s, "/jobs/"+id)
				get(t, s, "/jobs?tag=Transcode&size=100")
				s.Jobs(bucket)
				s.Deliveries()
			}
		})
	}
	working.Wait()
	const cancelled = clients * jobsEach / 4
	for deadline := time.Now().Add(time.Minute); len(s.Deliveries()) < clients*jobsEach-cancelled && time.Now().Before(deadline); {
		s.RunDue()
	}
	must(t, s.Close())
	states := map[string]int{}
	for _, j := range s.Jobs(bucket) {
		states[j.State]++
	}
	want := map[string]int{cilocal.Success: clients*jobsEach - cancelled, cilocal.Cancel: cancelled}
	if diff := cmp.Diff(want, states); diff != "" || len(callbacks.received()) != want[cilocal.Success] {
		t.Errorf("%d callbacks; states (-want +got):\n%s", len(callbacks.received()), diff)
	}
}
