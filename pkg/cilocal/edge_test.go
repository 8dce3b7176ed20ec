package cilocal_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
)

// TestSubmitTakes has requests that lack what others need, and texts at their limits.
func TestSubmitTakes(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	request := func(tag, input, operation string) string {
		return "<Request><Tag>" + tag + "</Tag><Input>" + input + "</Input>" + operation + "</Request>"
	}
	const output = "<Operation><Output><Region>r</Region><Bucket>b-1</Bucket><Object>o</Object></Output></Operation>"
	for name, body := range map[string]string{
		"no_operation":       request("MediaInfo", "<Object>a</Object>", ""),
		"url":                request("Transcode", "<Url>http://a.example/</Url>", output),
		"no_input":           request("Tts", "", output),
		"no_output":          request("StreamExtract", "<Object>a</Object>", "<Operation><StreamExtract/></Operation>"),
		"no_output_with_MD5": request("Snapshot", "<Object>a</Object>", ""),
		"all_of_ASCII":       strings.Replace(transcode(""), "mine &amp; yours", " ~", 1),
		"no_callback":        transcode("<CallBack>no</CallBack><CallBackType>Url</CallBackType><CallBackFormat>xml</CallBackFormat>"),
		"https":              transcode("<CallBack>https://a.localhost/</CallBack>"),
		"deep":               "<Request><Tag>MediaInfo</Tag><Input><Object>a</Object></Input>" + strings.Repeat("<a>", 63) + strings.Repeat("</a>", 63) + "</Request>",
	} {
		t.Run(name, func(t *testing.T) {
			if response, answer := send(t, s, http.MethodPost, "/jobs", body); response.StatusCode != http.StatusOK || strings.Count(answer, "<JobId>") != 1 {
				t.Errorf("%d %s", response.StatusCode, answer)
			}
		})
	}
	made := len(s.Jobs(bucket))
	for name, test := range map[string]struct{ path, body, code string }{
		"too_deep":    {"/jobs", "<Request>" + strings.Repeat("<a>", 64) + strings.Repeat("</a>", 64) + "</Request>", "MalformedXML"},
		"line_break":  {"/jobs", strings.Replace(transcode(""), "mine ", "mi\nne", 1), "InvalidArgument"},
		"no_ASCII":    {"/jobs", strings.Replace(transcode(""), "mine", "é", 1), "InvalidArgument"},
		"no_bucket":   {"/jobs", strings.Replace(transcode(""), "<Bucket>"+bucket+"</Bucket>", "", 1), "InvalidArgument"},
		"old_path":    {"/pic_jobs", transcode(""), "InvalidArgument"},
		"mixed":       {"/jobs", strings.Replace(transcode(""), "</Tag>", "<x/></Tag>", 1), "InvalidArgument"}, // no text beside elements
		"no_workflow": {"/triggerworkflow?object=a", "", "InvalidArgument"},
		"no_object":   {"/triggerworkflow?workflowId=w1", "", "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, s, http.MethodPost, test.path, test.body, http.StatusBadRequest, test.code)
		})
	}
	if got := len(s.Jobs(bucket)); got != made {
		t.Errorf("%d jobs were made of what is refused", got-made)
	}
	wantError(t, s, http.MethodPut, "/jobs/j1?cancel", "", http.StatusNotFound, "ResourceNotFound")
}

// TestListLimits takes as many ids, and pages as long, as there may be.
func TestListLimits(t *testing.T) {
	t.Parallel()
	s := newArchive(t, cilocal.Options{}, make([]cilocal.Job, 101)...)
	for path, want := range map[string]int{
		"/jobs/" + strings.Repeat("j1,", 9) + "j1": 10, "/jobs?tag=Transcode": 10, "/jobs?tag=Transcode&size=100": 100, "/jobs?tag=Transcode&size=1": 1,
	} {
		if got := len(list(t, s, path).JobsDetail); got != want {
			t.Errorf("%s: %d jobs, want %d", path, got, want)
		}
	}
	for _, query := range []string{"pageSize=100", "pageSize=1", "pageNumber=1", "state=All"} {
		if response, body := get(t, s, "/queue?"+query); response.StatusCode != http.StatusOK || !strings.Contains(body, "<Name>queue-1</Name>") {
			t.Errorf("%s: %d %s", query, response.StatusCode, body)
		}
	}
}

// TestOutputNames fills in the variables of an output's name.
func TestOutputNames(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"out/a.mp4":                           "out/a.mp4",
		"${InputName}.${ext}":                 "a.b.mp4",
		"${InputName}.${Ext}":                 "a.b.mp4",
		"${RunId}/${JobId}-${Page}":           "i1/j1-1",
		"${InputName}-${Number}.${ext}":       "a.b-0.mp4",
		"${InputName}-${number}-${Page}.json": "a.b-0-1.json",
	} {
		storage := newCOS(t)
		s := cilocaltest.New(t, cilocal.Options{COS: storage}, bucket)
		_, err := s.AddJob(bucket, cilocal.Job{
			ID: "j1", Input: cilocal.Object{Key: "in/x/a.b.mp4"}, Output: cilocal.Object{Key: template}, Workflow: &cilocal.JobWorkflow{RunID: "i1"},
		}, cilocal.Plan{})
		must(t, err)
		if diff := cmp.Diff([]string{want}, storage.Keys(bucket, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", template, diff)
		}
		if o, _ := storage.Object(bucket, want); string(o.Body) != "the output of the Transcode job j1\n" {
			t.Errorf("%s: %q", template, o.Body)
		}
	}
}

// TestNoBucket: nothing is found in a bucket that is not there, nor added to it.
func TestNoBucket(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	const missing = "missing-1250000000"
	_, jobErr := s.AddJob(missing, cilocal.Job{}, cilocal.Plan{})
	_, runErr := s.AddRun(missing, cilocal.Run{}, cilocal.Plan{})
	_, callbackErr := s.Callback(missing, "j1", "XML")
	for name, err := range map[string]error{"AddJob": jobErr, "AddRun": runErr, "Callback": callbackErr, "SetCallback": s.SetCallback(missing, "", "")} {
		if !errors.Is(err, cilocal.ErrNoSuchBucket) || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, found := s.Job(missing, "j1"); found || s.Jobs(missing) != nil || s.Queues(missing) != nil {
		t.Error("found something in a bucket that is not there")
	}
	if _, found := s.Job(bucket, "j1"); found || s.Jobs(bucket) == nil {
		t.Error("found a job in an empty bucket")
	}
	for name, taken := range map[string]bool{
		"a-1": true, "a-b-09": true, "": false, "a": false, "-1": false, "a-": false, "a-1x": false, "1250000000": false,
	} {
		if err := s.CreateBucket(name, ""); (err == nil) != taken {
			t.Errorf("bucket %q: %v", name, err)
		}
	}
}

// TestAddTwice: an id is taken once, and a bucket that is created again stays as it is.
func TestAddTwice(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	for i := range 2 {
		_, jobErr := s.AddJob(bucket, cilocal.Job{ID: "j1"}, cilocal.Plan{})
		_, runErr := s.AddRun(bucket, cilocal.Run{ID: "i1"}, cilocal.Plan{})
		if (jobErr != nil) != (i == 1) || (runErr != nil) != (i == 1) {
			t.Errorf("time %d: %v, %v", i, jobErr, runErr)
		}
		must(t, s.CreateBucket(bucket, "ap-elsewhere"))
	}
	j, found := s.Job(bucket, "j1")
	if diff := cmp.Diff([]cilocal.Job{j}, s.Jobs(bucket)); diff != "" || !found {
		t.Errorf("found %v, (-one +all):\n%s", found, diff)
	}
	for _, job := range []cilocal.Job{{Tag: "Nothing"}, {QueueID: "p1"}} {
		if _, err := s.AddJob(bucket, job, cilocal.Plan{}); err == nil {
			t.Errorf("%+v was added", job)
		}
	}
}

// TestRegion answers for a bucket in its region alone.
func TestRegion(t *testing.T) {
	t.Parallel()
	for home, status := range map[string]int{"": 200, region: 200, "ap-guangzhou": 404} {
		s := cilocaltest.New(t, cilocal.Options{})
		must(t, s.CreateBucket(bucket, home))
		if response, body := get(t, s, "/jobs/j1"); response.StatusCode != status {
			t.Errorf("%q: %d %s", home, response.StatusCode, body)
		}
	}
}

// TestLocation writes times in the zone that is chosen.
func TestLocation(t *testing.T) {
	t.Parallel()
	s := newArchive(t, cilocal.Options{Location: time.UTC}, cilocal.Job{Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))})
	body, err := s.Callback(bucket, "j0", "XML")
	if err != nil || !strings.Contains(string(body), "<CreationTime>2026-01-02T02:04:05+0000</CreationTime>") {
		t.Errorf("%s, %v", body, err)
	}
}

// TestRunsAreForgotten after thirty days, as jobs are.
func TestRunsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := cilocaltest.New(t, cilocal.Options{}, bucket)
		_, err := s.AddRun(bucket, cilocal.Run{ID: "i1", WorkflowID: "w1"}, cilocal.Plan{})
		must(t, err)
		_, err = s.AddJob(bucket, cilocal.Job{ID: "j1"}, cilocal.Plan{Run: 365 * 24 * time.Hour})
		must(t, err)
		const days30 = 30 * 24 * time.Hour
		time.Sleep(days30 - time.Nanosecond)
		for _, path := range []string{"/workflowexecution/i1", "/workflowexecution?workflowId=w1"} {
			if _, body := get(t, s, path); !strings.Contains(body, "<RunId>i1</RunId>") {
				t.Errorf("before: %s: %s", path, body)
			}
		}
		time.Sleep(time.Nanosecond)
		if _, body := get(t, s, "/workflowexecution?workflowId=w1"); strings.Contains(body, "i1") {
			t.Errorf("after: %s", body)
		}
		wantError(t, s, http.MethodGet, "/workflowexecution/i1", "", http.StatusNotFound, "ResourceNotFound")
		wantError(t, s, http.MethodPut, "/jobs/j1?cancel", "", http.StatusNotFound, "ResourceNotFound")
	})
}

// TestPlanOfRequests asks how a job or a run that is submitted goes, and says what it is.
func TestPlanOfRequests(t *testing.T) {
	t.Parallel()
	var asked []cilocal.Object
	s := cilocaltest.New(t, cilocal.Options{Plan: func(j cilocal.Job) cilocal.Plan {
		asked = append(asked, j.Input)
		return cilocal.Plan{Code: "X", Message: "planned"}
	}})
	must(t, s.CreateBucket(bucket, region))
	_, body := send(t, s, http.MethodPost, "/triggerworkflow?workflowId=w1&object=a&name=mine", "")
	_, rest, _ := strings.Cut(body, "<InstanceId>")
	id, _, _ := strings.Cut(rest, "</InstanceId>")
	if _, body := get(t, s, "/workflowexecution/"+id); !strings.Contains(body, "<Object>a</Object><State>Failed</State>") || !strings.Contains(body, "<Name>mine</Name>") {
		t.Errorf("the run: %s", body)
	}
	send(t, s, http.MethodPost, "/jobs", transcode(""))
	if j := s.Jobs(bucket)[0]; j.State != cilocal.Failed || j.Code != "X" || j.Message != "planned" {
		t.Errorf("the job: %+v", j)
	}
	want := []cilocal.Object{{Bucket: bucket, Region: region, Key: "a"}, {Bucket: bucket, Region: region, Key: "in/a.mp4"}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
}

// TestCallsBackByItself ends what was submitted and calls back, though nobody asks again.
func TestCallsBackByItself(t *testing.T) {
	t.Parallel()
	for _, run := range []time.Duration{0, time.Second} {
		for path, body := range map[string]string{"/jobs": transcode(""), "/triggerworkflow?workflowId=w1&object=a": ""} {
			synctest.Test(t, func(t *testing.T) {
				callbacks := &receiver{}
				s := cilocaltest.New(t, cilocal.Options{Transport: callbacks, Plan: always(cilocal.Plan{Run: run})}, bucket)
				must(t, s.SetCallback(bucket, "http://function.localhost/", "XML"))
				send(t, s, http.MethodPost, path, body)
				time.Sleep(run)
				synctest.Wait()
				if got := callbacks.received(); len(got) != 1 {
					t.Errorf("%s after %v: %d callbacks", path, run, len(got))
				}
			})
		}
	}
}

// TestCallsBackOnLoopback reaches this machine by each of its names.
func TestCallsBackOnLoopback(t *testing.T) {
	t.Parallel()
	called := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	t.Cleanup(called.Close)
	u, err := url.Parse(called.URL)
	must(t, err)
	for host, reached := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "LocalHost.": true, "a.localhost": true, "a.b.localhost.": true,
		"notlocalhost": false, "localhost.example": false, "0.0.0.0": false, "10.0.0.1": false,
	} {
		s := cilocal.New(cilocal.Options{})
		must(t, s.CreateBucket(bucket, ""))
		_, err := s.AddJob(bucket, cilocal.Job{ID: "j1", Callback: "http://" + host + ":" + u.Port() + "/", CallbackFormat: "JSON"}, cilocal.Plan{})
		must(t, err)
		must(t, s.Close())
		body, err := s.Callback(bucket, "j1", "JSON")
		must(t, err)
		d := s.Deliveries()[0]
		if d.ID != "j1" || d.Format != "JSON" || string(d.Body) != string(body) || d.Time.IsZero() || (d.Err == nil) != reached || (d.Status == http.StatusAccepted) != reached {
			t.Errorf("%s: %+v", host, d)
		}
	}
}

// TestKeepsDeliveries keeps the last thousand, however many there were.
func TestKeepsDeliveries(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := cilocaltest.New(t, cilocal.Options{Clock: func() time.Time { return now }, Transport: &receiver{}}, bucket)
	for i := range 2002 {
		_, err := s.AddJob(bucket, cilocal.Job{ID: fmt.Sprint("j", i), Callback: "http://a.localhost/"}, cilocal.Plan{})
		must(t, err)
		s.RunDue() // one after the other, so that they arrive in order
		if i%250 > 2 {
			continue
		}
		if d := s.Deliveries(); len(d) != min(i+1, 1000) || d[len(d)-1].ID != fmt.Sprint("j", i) || d[0].ID != fmt.Sprint("j", max(0, i-999)) {
			t.Fatalf("after %d: %d deliveries, from %s to %s", i+1, len(d), d[0].ID, d[len(d)-1].ID)
		}
	}
}

// ignoreTimes compares queues without their unexported times.
var ignoreTimes = cmpopts.IgnoreUnexported(cilocal.Queue{})

// TestQueueChange changes what a request names and nothing else.
func TestQueueChange(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	must(t, s.SetCallback(bucket, "http://a.localhost/", "JSON"))
	want := s.Queues(bucket)
	for _, test := range []struct {
		body   string
		change func(*cilocal.Queue)
	}{
		{"<Name>mine</Name>", func(q *cilocal.Queue) { q.Name = "mine" }},
		{"<State>Paused</State>", func(q *cilocal.Queue) { q.State = "Paused" }},
		{"<NotifyConfig><State>Off</State></NotifyConfig>", func(q *cilocal.Queue) { q.Notify = cilocal.Notify{State: "Off"} }},
		{"<NotifyConfig><Event>TaskFinish</Event></NotifyConfig>", func(q *cilocal.Queue) { q.Notify = cilocal.Notify{Event: "TaskFinish"} }},
		{"<State>Active</State>", func(q *cilocal.Queue) { q.State = "Active" }},
	} {
		test.change(&want[1])
		send(t, s, http.MethodPut, "/queue/"+want[1].ID, "<Request>"+test.body+"</Request>")
		if diff := cmp.Diff(want, s.Queues(bucket), ignoreTimes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, diff)
		}
	}
	must(t, s.SetCallback(bucket, "", "JSON"))
	for i := range want {
		want[i].Notify = cilocal.Notify{State: "Off"}
	}
	if diff := cmp.Diff(want, s.Queues(bucket), ignoreTimes); diff != "" {
		t.Errorf("no callback (-want +got):\n%s", diff)
	}
}

// TestAlone hands requests for COS to the local CI where there is no local COS.
func TestAlone(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodGet, "http://"+bucket+".cos."+region+".localhost/a", nil)
	must(t, err)
	response, err := cilocaltest.New(t, cilocal.Options{}, bucket).WithCOS().RoundTrip(r)
	must(t, err)
	if response.Body.Close(); response.Header.Get("x-ci-request-id") == "" || response.StatusCode != http.StatusNotFound {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}
