package ci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
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
	for _, id := range []string{"", "d/../queue"} {
		if _, err := b.OldJob(t.Context(), id); err == nil {
			t.Errorf("OldJob(%q) is no error", id)
		}
		if _, err := b.Run(t.Context(), id); err == nil {
			t.Errorf("Run(%q) is no error", id)
		}
	}
	ten := strings.Split(strings.Repeat("j", 10), "")
	if got, err := b.Jobs(t.Context(), ten...); err != nil || got.Size != 10 {
		t.Errorf("Jobs(%q) = %+v, %v", ten, got, err)
	}
	if diff := cmp.Diff([]string{"/jobs/j1,j3,j4,j5", "/jobs/j,j,j,j,j,j,j,j,j,j"}, fake.urls()); diff != "" {
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
		if err != nil || len(got.JobsDetail) != want[id] || len(got.NonExistJobIDs) != 1-want[id] || got.Size != 1 || ci.HasOldPath(id) != (id != "j1") {
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
	full := strings.Repeat(queue("p"), 100)
	for name, test := range map[string]struct {
		pages []string // what the pages hold; those behind hold nothing
		want  []string // ids of the queues
		asked int      // how many pages
	}{
		"with_a_total":    {[]string{"<TotalCount>2</TotalCount>" + queue("p1"), "<TotalCount>2</TotalCount>" + queue("p2")}, []string{"p1", "p2"}, 2},
		"too_high_total":  {[]string{"<TotalCount>2</TotalCount>" + queue("p1"), "<TotalCount>2</TotalCount>"}, []string{"p1"}, 2},
		"without_a_total": {[]string{queue("p1") + queue("p2")}, []string{"p1", "p2"}, 1},
		"a_full_page":     {[]string{full, queue("p2")}, append(slices.Repeat([]string{"p"}, 100), "p2"), 2},
		"none":            {nil, nil, 1},
		"without_an_id":   {[]string{queue("") + queue("p2")}, []string{"p2"}, 1},
		"not_well_formed": {[]string{"<QueueList><QueueId>p1</x></QueueList>" + queue("p2")}, []string{"p2"}, 1},
		"without_an_end":  {slices.Repeat([]string{full}, 200), slices.Repeat([]string{"p"}, 10_000), 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			fake := &fakeCI{answer: func(r *http.Request) *http.Response {
				body := ""
				if len(asked) < len(test.pages) {
					body = test.pages[len(asked)]
				}
				asked = append(asked, r.URL.RequestURI())
				return answer(200, "<Response>"+body+"</Response>")
			}}
			got, err := newBucket(t, fake).Queues(t.Context(), "/queue")
			if err != nil {
				t.Fatal(err)
			}
			var want []ci.Queue
			for _, id := range test.want {
				want = append(want, ci.Queue{QueueID: id, Name: "n", State: "Active", Category: "Transcoding", NotifyConfig: ci.NotifyConfig{
					State: "On", URL: "https://x/?token=t", Event: "TaskFinish", Type: "Url", ResultFormat: "JSON",
				}})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var wantAsked []string
			for n := range test.asked {
				wantAsked = append(wantAsked, fmt.Sprintf("/queue?category=CateAll&pageNumber=%d&pageSize=100", n+1))
			}
			if diff := cmp.Diff(wantAsked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
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
		"another_end":        answer(200, "<Response></Responses>"),
		"end_of_another":     answer(200, "<Response><a></b></Response>"),
		"an_end_alone":       answer(200, "</Response>"),
		"cut_in_a_comment":   answer(200, "<Response><!-- </Response>"),
		"cut_in_a_tag":       answer(200, "<Response></Response"),
		"cdata_outside":      answer(200, "<![CDATA[x]]><Response/>"),
		"tag_within_a_tag":   answer(200, "<Response><a <b/></Response>"),
		"tag_without_a_name": answer(200, "<Response>< a></ a></Response>"),
		"another_encoding":   answer(200, `<?xml version="1.0" encoding="GBK"?><Response/>`),
		"json":               answer(200, `{"Response":{}}`),
		"no_content":         answer(204, ""),
		"moved":              answer(302, ""),
		"many_elements":      answer(200, "<Response>"+strings.Repeat("<a/>", 1001)+"</Response>"),
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
		{403, "InvalidAccessKeyId", cosclient.ErrMisconfigured, nil, 1, []string{"execution role"}},
		{401, "", cosclient.ErrMisconfigured, nil, 1, []string{"execution role"}},
		{408, "RequestTimeout", cosclient.ErrUnavailable, nil, 1, nil},
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
			if !errors.Is(err, test.kind) || test.is != nil && !errors.Is(err, test.is) ||
				test.is == nil && (errors.Is(err, ci.ErrBadRequest) || errors.Is(err, ci.ErrNotFound)) || len(fake.urls()) != test.tries {
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
		if n := read.Load(); n > 2*(ci.MaxAnswerBytes+4096) || length > 0 && n > 0 {
			t.Errorf("%d bytes were read", n)
		}
		runs, err := b.ListRuns(t.Context(), ci.RunsQuery{WorkflowID: "w1", Size: 20})
		if err != nil || runs.Size != 4 {
			t.Errorf("ListRuns = %+v, %v", runs, err)
		}
		if _, err := b.Jobs(t.Context(), "j1"); !errors.Is(err, ci.ErrTooLarge) {
			t.Errorf("Jobs: %v", err)
		}
	}
}

// The longest answer that is read is taken at once.
func TestLongestAnswer(t *testing.T) {
	t.Parallel()
	fake := &fakeCI{answer: func(*http.Request) *http.Response {
		const root = "<Response></Response>"
		response := answer(200, root[:10]+strings.Repeat(" ", ci.MaxAnswerBytes-len(root))+root[10:])
		response.ContentLength = ci.MaxAnswerBytes
		return response
	}}
	page, err := list(t.Context(), newBucket(t, fake))
	if err != nil || len(fake.urls()) != 1 {
		t.Errorf("%v after %q", err, fake.urls())
		return
	}
	page.Close()
}

// Where one job, or run, is too long alone, that is the error, and no page is of none.
func TestOneTooLarge(t *testing.T) {
	t.Parallel()
	fake := &fakeCI{answer: func(*http.Request) *http.Response {
		response := answer(200, "")
		response.ContentLength = ci.MaxAnswerBytes + 1
		return response
	}}
	b := newBucket(t, fake)
	_, ofJobs := b.ListJobs(t.Context(), ci.JobsQuery{Tag: "Transcode", Size: 4})
	_, ofRuns := b.ListRuns(t.Context(), ci.RunsQuery{WorkflowID: "w1", Size: 4})
	if !errors.Is(ofJobs, ci.ErrTooLarge) || !errors.Is(ofRuns, ci.ErrTooLarge) || !errors.Is(ofJobs, cosclient.ErrMisconfigured) {
		t.Errorf("ListJobs: %v; ListRuns: %v", ofJobs, ofRuns)
	}
	want := []string{
		"/jobs?size=4&tag=Transcode", "/jobs?size=1&tag=Transcode",
		"/workflowexecution?size=4&workflowId=w1", "/workflowexecution?size=1&workflowId=w1",
	}
	if diff := cmp.Diff(want, fake.urls()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Large answers are in memory one at a time, over all buckets; what waits uses up no try.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} { // how long they are
		t.Run(fmt.Sprint(told), func(t *testing.T) { testLargeAnswers(t, told) })
	}
}

func testLargeAnswers(t *testing.T, told bool) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := "<Response><JobsDetail>" + strings.Repeat(" ", ci.LargeAnswerBytes) + "</JobsDetail></Response>"
		longAnswer := func(*http.Request) *http.Response {
			response := answer(200, body)
			if response.ContentLength = -1; told {
				response.ContentLength = int64(len(body))
			}
			return response
		}
		fake := &fakeCI{answer: longAnswer}
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
		fake.answer = longAnswer
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
	for element, want := range map[string]string{
		"<a><JobId>j<b></c></JobId></a>":                 "", // not well formed
		"<a><b/><JobId>j1</JobId></a>":                   "j1",
		"<JobsDetail><a><b/></a><JobId>j1</JobId><b></d": "j1", // nor is this, behind it
	} {
		if got := ci.ChildText([]byte(element), "JobId"); got != want {
			t.Errorf("of %s, %q, want %q", element, got, want)
		}
	}
	for i := range job { // whatever is cut off
		ci.ChildText([]byte(job[:i]), "CreationTime")
	}
}
