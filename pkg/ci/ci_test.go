package ci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

func texts(elements [][]byte) []string {
	var s []string
	for _, e := range elements {
		s = append(s, string(e))
	}
	return s
}

// A job comes as CI wrote it, to the byte.
func TestListJobs(t *testing.T) {
	t.Parallel()
	const job1 = "<JobsDetail>\n  <JobId>j1</JobId><!-- > --><Input Of='>'><Object><![CDATA[</JobsDetail>]]></Object></Input>\n</JobsDetail>"
	fake := &fakeCI{answer: always(200, `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Response>\n"+job1+"<RequestId>r</RequestId><JobsDetail/><NextToken>a&amp;b</NextToken></Response>\n")}
	page, err := newBucket(t, fake).ListJobs(t.Context(), ci.JobsQuery{
		Tag: "Transcode", QueueID: "p1", QueueType: "Transcoding", OrderByTime: ci.Asc, NextToken: "x y", States: []string{"Success", "Failed"},
		StartCreationTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), EndCreationTime: time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC),
		InputObject: "in/1.mp4", WorkflowID: "w1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	if diff := cmp.Diff([]string{job1, "<JobsDetail/>"}, texts(page.JobsDetail)); diff != "" || page.NextToken != "a&b" || page.Size != 100 || page.RequestID != "request-1" {
		t.Errorf("%+v (-want +got):\n%s", page, diff)
	}
	request := fake.requests[0]
	want := map[string]string{
		"tag": "Transcode", "queueId": "p1", "queueType": "Transcoding", "orderByTime": "Asc", "nextToken": "x y", "states": "Success,Failed", "size": "100",
		"startCreationTime": "2026-01-02T11:04:05+0800", "endCreationTime": "2026-01-03T11:04:05+0800", "inputObject": "in/1.mp4", "workflowId": "w1",
	}
	got := map[string]string{}
	for name, values := range request.URL.Query() {
		got[name] = strings.Join(values, "|")
	}
	if diff := cmp.Diff(want, got); diff != "" || request.URL.Host != media+".ci.ap-guangzhou.myqcloud.com" || request.URL.Path != "/jobs" {
		t.Errorf("asked %s (-want +got):\n%s", request.URL, diff)
	}
	// Tencent's SDKs differ in the header that carries the token.
	if request.Header.Get("x-ci-security-token") != "token" || request.Header.Get("x-cos-security-token") != "token" {
		t.Errorf("headers %v", request.Header)
	}
	if a := request.Header.Get("Authorization"); !strings.Contains(a, "x-ci-security-token") || !strings.Contains(a, "x-cos-security-token") {
		t.Errorf("the signature does not cover both tokens: %s", a)
	}
}

// What is left empty is not asked for.
func TestEmptyQuery(t *testing.T) {
	t.Parallel()
	fake := &fakeCI{answer: always(200, "<Response/>")}
	b := newBucket(t, fake)
	page, err := list(t.Context(), b)
	if err != nil || len(page.JobsDetail) != 0 || page.NextToken != "" {
		t.Errorf("ListJobs = %+v, %v", page, err)
	}
	if _, err := b.ListRuns(t.Context(), ci.RunsQuery{WorkflowID: "w1"}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"/jobs?size=100&tag=Transcode", "/workflowexecution?size=100&workflowId=w1"}, fake.urls()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	fake := &fakeCI{answer: always(200, "<Response><NonExistJobIds>j3, j4</NonExistJobIds><JobsDetail><JobId>j1</JobId></JobsDetail><NonExistJobIds>j5</NonExistJobIds></Response>")}
	b := newBucket(t, fake)
	got, err := b.Jobs(t.Context(), "j1", "j3", "j4", "j5")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"j3", "j4", "j5"}, got.NonExistJobIDs); diff != "" || len(got.JobsDetail) != 1 {
		t.Errorf("%d jobs; not there (-want +got):\n%s", len(got.JobsDetail), diff)
	}
	for _, ids := range [][]string{{}, {"j1", ""}, {"../queue"}, {strings.Repeat("j", 65)}, strings.Split(strings.Repeat("j", 11), "")} {
		if _, err := b.Jobs(t.Context(), ids...); err == nil {
			t.Errorf("Jobs(%q) is no error", ids)
		}
	}
	if diff := cmp.Diff([]string{"/jobs/j1,j3,j4,j5"}, fake.urls()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each kind of job has the path where it was asked for before /jobs knew all of them.
func TestOldJob(t *testing.T) {
	t.Parallel()
	fake := &fakeCI{answer: func(r *http.Request) *http.Response {
		if strings.HasSuffix(r.URL.Path, "/s1") {
			return errorAnswer(404, "NoSuchKey")
		}
		return answer(200, "<Response><JobsDetail/></Response>")
	}}
	b := newBucket(t, fake)
	want := map[string]int{"c1": 1, "a1": 1, "s1": 0, "d1": 1, "f1": 1, "j1": 0}
	for _, id := range []string{"c1", "a1", "s1", "d1", "f1", "j1"} {
		got, err := b.OldJob(t.Context(), id)
		if err != nil || len(got.JobsDetail) != want[id] || len(got.NonExistJobIDs) != 1-want[id] || ci.HasOldPath(id) != (id != "j1") {
			t.Errorf("OldJob(%s) = %+v, %v", id, got, err)
		}
		got.Close()
	}
	if diff := cmp.Diff([]string{"/pic_jobs/c1", "/ai_jobs/a1", "/asr_jobs/s1", "/doc_jobs/d1", "/file_jobs/f1"}, fake.urls()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	fake := &fakeCI{answer: func(r *http.Request) *http.Response {
		switch r.URL.Path {
		case "/workflowexecution":
			return answer(200, "<Response><WorkflowExecutionList><RunId>i1</RunId><State>Success</State><CreateTime>2026-01-02T03:04:05+08:00</CreateTime></WorkflowExecutionList>"+
				"<WorkflowExecutionList><RunId>i2</x></WorkflowExecutionList><NextToken>7</NextToken></Response>")
		case "/workflowexecution/i1":
			return answer(200, "<Response><WorkflowExecution><RunId>i1</RunId></WorkflowExecution></Response>")
		case "/workflowexecution/i2":
			return answer(200, "<Response/>")
		}
		return errorAnswer(404, "NoSuchWorkflowExecution")
	}}
	b := newBucket(t, fake)
	runs, err := b.ListRuns(t.Context(), ci.RunsQuery{WorkflowID: "w1"})
	want := []ci.RunSummary{{RunID: "i1", State: "Success", CreateTime: "2026-01-02T03:04:05+08:00"}, {}}
	if diff := cmp.Diff(want, runs.WorkflowExecutionList, cmpopts.IgnoreFields(ci.RunSummary{}, "Element")); diff != "" || err != nil || runs.NextToken != "7" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	run, err := b.Run(t.Context(), "i1")
	if err != nil || string(run.WorkflowExecution) != "<WorkflowExecution><RunId>i1</RunId></WorkflowExecution>" {
		t.Errorf("Run = %+v, %v", run, err)
	}
	for _, id := range []string{"i2", "i3"} {
		if _, err := b.Run(t.Context(), id); !errors.Is(err, ci.ErrNotFound) {
			t.Errorf("Run(%s): %v", id, err)
		}
	}
}

func TestQueues(t *testing.T) {
	t.Parallel()
	queue := func(id string) string {
		return "<QueueList><QueueId>" + id + "</QueueId><Name>n</Name><State>Active</State><Category>Transcoding</Category><NotifyConfig><Url>https://x/?token=t</Url>" +
			"<State>On</State><Event>TaskFinish</Event><Type>Url</Type><ResultFormat>JSON</ResultFormat></NotifyConfig></QueueList>"
	}
	fake := &fakeCI{answer: func(r *http.Request) *http.Response {
		return answer(200, "<Response><TotalCount>3</TotalCount>"+queue("p"+r.URL.Query().Get("pageNumber"))+"</Response>")
	}}
	got, err := newBucket(t, fake).Queues(t.Context(), "/queue")
	if err != nil || len(got) != 3 || got[2].QueueID != "p3" || len(fake.urls()) != 3 {
		t.Errorf("Queues = %+v, %v", got, err)
	}
	want := ci.NotifyConfig{State: "On", URL: "https://x/?token=t", Event: "TaskFinish", Type: "Url", ResultFormat: "JSON"}
	if diff := cmp.Diff(want, got[0].NotifyConfig); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is not CI's answer is never taken for a list without jobs.
func TestNotFromCI(t *testing.T) {
	t.Parallel()
	withoutID := answer(200, "<Response/>")
	withoutID.Header.Del("X-Ci-Request-Id")
	for name, response := range map[string]*http.Response{
		"without_request_id": withoutID,
		"empty":              answer(200, ""),
		"html":               answer(200, "<html><body>sign in</body></html>"),
		"another_root":       answer(200, "<Responses/>"),
		"two_roots":          answer(200, "<Response/><Response/>"),
		"cut":                answer(200, "<Response><JobsDetail>"),
		"not_nested":         answer(200, "<Response><JobsDetail></Response></JobsDetail>"),
		"text_behind":        answer(200, "<Response/>x"),
		"doctype":            answer(200, "<!DOCTYPE x><Response/>"),
		"another_encoding":   answer(200, `<?xml version="1.0" encoding="GBK"?><Response/>`),
		"json":               answer(200, `{"Response":{}}`),
		"no_content":         answer(204, ""),
		"moved":              answer(302, ""),
		"many_elements":      answer(200, "<Response>"+strings.Repeat("<a/>", 2000)+"</Response>"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, _ := io.ReadAll(response.Body)
			fake := &fakeCI{answer: func(*http.Request) *http.Response {
				again := *response
				again.Body = io.NopCloser(bytes.NewReader(body))
				return &again
			}}
			if page, err := list(t.Context(), newBucket(t, fake)); err == nil {
				t.Errorf("ListJobs = %+v", page)
			} else if tries := len(fake.urls()); response.StatusCode == 200 && (tries != ci.MaxTries || !errors.Is(err, cosclient.ErrUnavailable)) {
				t.Errorf("%d tries, error %v", tries, err)
			}
		})
	}
}

// Errors name what to do, and show nothing of the answer's text.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status    int
		code      string
		kind      error
		is        error
		tries     int
		wantParts []string
	}{
		{403, "AccessDenied", cosclient.ErrMisconfigured, nil, 1, []string{"grant ci:DescribeMediaJobs on bucket " + media, "request-1", "/jobs"}},
		{403, "SignatureDoesNotMatch", cosclient.ErrMisconfigured, nil, 1, []string{"execution role"}},
		{403, "RequestTimeTooSkewed", cosclient.ErrUnavailable, nil, 1, []string{"clock"}},
		{400, "ExpiredToken", cosclient.ErrMisconfigured, nil, 1, []string{"execution role"}},
		{400, "InvalidArgument", cosclient.ErrMisconfigured, ci.ErrBadRequest, 1, []string{"RECONCILE_TYPES"}},
		{404, "NoSuchBucket", cosclient.ErrMisconfigured, nil, 1, []string{"RECONCILE_BUCKETS", media}},
		{404, "NoSuchKey", cosclient.ErrMisconfigured, ci.ErrNotFound, 1, nil},
		{405, "MethodNotAllowed", cosclient.ErrMisconfigured, nil, 1, []string{"CI_ENDPOINT"}},
		{429, "SlowDown", cosclient.ErrUnavailable, nil, 4, nil},
		{500, "InternalError", cosclient.ErrUnavailable, nil, 4, nil},
		{503, "", cosclient.ErrUnavailable, nil, 4, nil},
	} {
		t.Run(fmt.Sprint(test.status, test.code), func(t *testing.T) {
			t.Parallel()
			fake := &fakeCI{answer: func(*http.Request) *http.Response { return errorAnswer(test.status, test.code) }}
			_, err := list(t.Context(), newBucket(t, fake))
			if !errors.Is(err, test.kind) || test.is != nil && !errors.Is(err, test.is) || len(fake.urls()) != test.tries {
				t.Fatalf("%d tries, error %v", len(fake.urls()), err)
			}
			for _, part := range append(test.wantParts, media) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in %q", part, err)
				}
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "http") {
				t.Errorf("it tells too much: %v", err)
			}
		})
	}
}

// An error page of a proxy is not CI's word on a type, a permission or a run.
func TestErrorOfAProxy(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404} {
		fake := &fakeCI{answer: func(*http.Request) *http.Response {
			response := answer(status, "<html/>")
			response.Header.Del("X-Ci-Request-Id")
			return response
		}}
		_, err := newBucket(t, fake).Run(t.Context(), "i1")
		if !errors.Is(err, cosclient.ErrUnavailable) || errors.Is(err, ci.ErrBadRequest) || errors.Is(err, ci.ErrNotFound) || !strings.Contains(err.Error(), "CI_ENDPOINT") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// endless is a body that never ends.
type endless struct{ read *atomic.Int64 }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}
func (endless) Close() error { return nil }

// An endless answer is read up to the limit, and a page that is too long is asked for
// again with fewer jobs.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{-1, ci.MaxAnswerBytes + 1} {
		var read atomic.Int64
		fake := &fakeCI{answer: func(r *http.Request) *http.Response {
			if r.URL.Query().Get("size") == "4" {
				return answer(200, "<Response/>")
			}
			response := answer(200, "")
			response.Body, response.ContentLength = endless{&read}, length
			return response
		}}
		b := newBucket(t, fake)
		page, err := list(t.Context(), b)
		if err != nil || page.Size != 4 {
			t.Errorf("ListJobs = %+v, %v", page, err)
		}
		if diff := cmp.Diff([]string{"/jobs?size=100&tag=Transcode", "/jobs?size=20&tag=Transcode", "/jobs?size=4&tag=Transcode"}, fake.urls()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := read.Load(); n > 2*(ci.MaxAnswerBytes+4096) {
			t.Errorf("%d bytes were read", n)
		}
		if _, err := b.Jobs(t.Context(), "j1"); !errors.Is(err, ci.ErrTooLarge) {
			t.Errorf("Jobs: %v", err)
		}
	}
}

// Large answers are in memory one at a time, over all buckets; what waits uses up no try.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := "<Response><JobsDetail>" + strings.Repeat(" ", ci.LargeAnswerBytes) + "</JobsDetail></Response>"
		fake := &fakeCI{answer: always(200, body)}
		client := newClient(fake)
		var inMemory, most atomic.Int64
		var all sync.WaitGroup
		for i := range 6 {
			b := bucketOf(t, client, fmt.Sprintf("media%d-1250000000", i))
			all.Go(func() {
				page, err := list(t.Context(), b)
				if err != nil || !page.IsLarge() || len(page.JobsDetail) != 1 {
					t.Errorf("ListJobs = %v", err)
					return
				}
				most.Store(max(most.Load(), inMemory.Add(1)))
				time.Sleep(time.Minute)
				inMemory.Add(-1)
				page.Close()
				page.Close() // the second time, nothing
			})
		}
		all.Wait()
		if most.Load() != 1 {
			t.Errorf("%d large answers at a time", most.Load())
		}
		// A small one does not wait.
		large, err := list(t.Context(), bucketOf(t, client, media))
		if err != nil {
			t.Fatal(err)
		}
		fake.answer = always(200, "<Response/>")
		small, err := list(t.Context(), bucketOf(t, client, media))
		if err != nil || small.IsLarge() {
			t.Error(err)
		}
		large.Close()

		// Who waits for its turn ends with its context.
		fake.answer = always(200, body)
		large, _ = list(t.Context(), bucketOf(t, client, media))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := list(ctx, bucketOf(t, client, media)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ListJobs: %v", err)
		}
		large.Close()
	})
}

// No more than four requests are on their way at a time.
func TestMaxRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var underWay, most atomic.Int64
		fake := &fakeCI{answer: func(*http.Request) *http.Response {
			most.Store(max(most.Load(), underWay.Add(1)))
			time.Sleep(time.Second)
			underWay.Add(-1)
			return answer(200, "<Response/>")
		}}
		client := newClient(fake)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := list(t.Context(), bucketOf(t, client, media)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most.Load() != ci.MaxRequests || client.Requests() != 20 {
			t.Errorf("%d at a time, %d in all", most.Load(), client.Requests())
		}
	})
}

func TestBucket(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "media", "Media-1250000000", "a.b-1"} {
		if _, err := newClient(nil).Bucket(name, region); !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("%q: %v", name, err)
		}
	}
	client := ci.NewClient(ci.Options{Endpoint: "https://user:pass@{bucket}.x"})
	if _, err := client.Bucket(media, region); err == nil || strings.Contains(err.Error(), "pass") || !strings.Contains(err.Error(), "CI_ENDPOINT") {
		t.Errorf("error %v", err)
	}
}

// The samples are in the forms of CI's pages.
func TestSamples(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]int{"jobs.xml": 2, "jobs-by-id.xml": 1, "empty.xml": 0} {
		body, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		page, err := list(t.Context(), newBucket(t, &fakeCI{answer: always(200, string(body))}))
		if err != nil || len(page.JobsDetail) != want {
			t.Errorf("%s: %d jobs, error %v", file, len(page.JobsDetail), err)
		}
	}
}

func TestChildText(t *testing.T) {
	t.Parallel()
	const job = "<JobsDetail><Input><JobId>no</JobId></Input><JobId> j1 </JobId><State/><JobId>j2</JobId><CreationTime>x&lt;</CreationTime></JobsDetail>"
	for name, want := range map[string]string{"JobId": "j1", "State": "", "CreationTime": "x<", "Input": "", "RunId": "", "JobsDetail": ""} {
		if got := ci.ChildText([]byte(job), name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for i := range job { // whatever is cut off
		ci.ChildText([]byte(job[:i]), "CreationTime")
	}
}
