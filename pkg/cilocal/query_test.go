package cilocal_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// noon is when the jobs of these tests were made, or shortly after.
var noon = time.Now().Truncate(time.Hour)

// stamp returns a time as a parameter of a list.
func stamp(t time.Time) string {
	return url.QueryEscape(t.Format("2006-01-02T15:04:05-0700"))
}

// newArchive returns a server with jobs that were made a second apart, j0 the first.
func newArchive(t testing.TB, o cilocal.Options, jobs ...cilocal.Job) *cilocal.Server {
	t.Helper()
	s := cilocaltest.New(t, o, bucket)
	for i, j := range jobs {
		if j.ID == "" {
			j.ID = fmt.Sprint("j", i)
		}
		if j.Created.IsZero() {
			j.Created = noon.Add(time.Duration(i) * time.Second)
		}
		_, err := s.AddJob(bucket, j, cilocal.Plan{})
		must(t, err)
	}
	return s
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	s := newArchive(t, cilocal.Options{},
		cilocal.Job{},
		cilocal.Job{Tag: "Animation"},
		cilocal.Job{Input: cilocal.Object{Key: "in/a b.mp4"}},
		cilocal.Job{Workflow: &cilocal.JobWorkflow{WorkflowID: "w1"}},
		cilocal.Job{Created: noon.Add(4*time.Second + 900*time.Millisecond)},
	)
	for id, plan := range map[string]cilocal.Plan{"jrunning": {Run: time.Hour}, "jsubmitted": {Wait: time.Hour}, "jfailed": {Code: "X"}} {
		_, err := s.AddJob(bucket, cilocal.Job{ID: id, Tag: "Concat"}, plan)
		must(t, err)
	}
	queue := s.Queues(bucket)[1]
	_, err := s.AddJob(bucket, cilocal.Job{ID: "jspeed", Tag: "Snapshot", QueueID: queue.ID}, cilocal.Plan{})
	must(t, err)
	for _, test := range []struct {
		query string
		want  []string
	}{
		{"tag=Transcode", []string{"j4", "j3", "j2", "j0"}},
		{"tag=Transcode&orderByTime=Desc", []string{"j4", "j3", "j2", "j0"}},
		{"tag=Transcode&orderByTime=Asc", []string{"j0", "j2", "j3", "j4"}},
		{"tag=Transcode&orderByTime=Asc&size=2", []string{"j0", "j2"}},
		{"tag=Animation", []string{"j1"}},
		{"tag=Transcode&inputObject=in%2Fa%20b.mp4", []string{"j2"}},
		{"tag=Transcode&workflowId=w1", []string{"j3"}},
		{"tag=Transcode&startCreationTime=" + stamp(noon.Add(2*time.Second)), []string{"j4", "j3"}},
		{"tag=Transcode&endCreationTime=" + stamp(noon.Add(2*time.Second)), []string{"j0"}},
		// Seconds count as a whole: the job was made within the second.
		{"tag=Transcode&startCreationTime=" + stamp(noon.Add(4*time.Second)), nil},
		{"tag=Transcode&endCreationTime=" + stamp(noon.Add(5*time.Second)), []string{"j4", "j3", "j2", "j0"}},
		{"tag=Concat&states=Running", []string{"jrunning"}},
		{"tag=Concat&states=Failed,Submitted&orderByTime=Asc", nil}, // checked below: two in any order
		{"tag=Concat&states=Pause,Cancel", nil},
		{"tag=Snapshot&queueId=" + queue.ID, []string{"jspeed"}},
		{"tag=Snapshot&queueType=SpeedTranscoding", []string{"jspeed"}},
		{"tag=Snapshot&queueType=Transcoding", nil},
	} {
		got := list(t, s, "/jobs?"+test.query)
		if strings.Contains(test.query, "Failed,Submitted") {
			if len(got.JobsDetail) != 2 {
				t.Errorf("%s: %v", test.query, ids(got))
			}
			continue
		}
		if diff := cmp.Diff(test.want, ids(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.query, diff)
		}
	}
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	for _, path := range []string{
		"/jobs", "/jobs?tag=", "/jobs?tag=Nothing", "/jobs?tag=PicProcess", "/pic_jobs?tag=Transcode",
		"/jobs?tag=Transcode&size=0", "/jobs?tag=Transcode&size=101", "/jobs?tag=Transcode&size=x",
		"/jobs?tag=Transcode&orderByTime=asc", "/jobs?tag=Transcode&states=Done", "/jobs?tag=Transcode&queueType=x",
		"/jobs?tag=Transcode&nextToken=x", "/jobs?tag=Transcode&startCreationTime=2026-01-02T03:04:05Z",
		"/jobs?tag=Transcode&startCreationTime=2026-01-02T03:04:05+0800", // the plus is a space here
		"/jobs?tag=Transcode&endCreationTime=yesterday",
		"/jobs/" + strings.Repeat("j,", 10) + "j",
		"/workflowexecution", "/workflowexecution?workflowId=w&states=Submitted", "/queue?pageNumber=0", "/queue?pageSize=101",
	} {
		wantError(t, s, http.MethodGet, path, "", http.StatusBadRequest, "InvalidArgument")
	}
	wantError(t, s, http.MethodGet, "/workflowexecution/i1", "", http.StatusNotFound, "ResourceNotFound")
	wantError(t, s, http.MethodGet, "/image/auditing/i1", "", http.StatusNotImplemented, "NotImplemented")
	wantError(t, s, http.MethodPut, "/jobs/j1", "", http.StatusNotImplemented, "NotImplemented")
}

// TestPages reads a list page by page in both orders, while jobs are made.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"Asc", "Desc"} {
		var jobs []cilocal.Job
		for i := range 25 {
			jobs = append(jobs, cilocal.Job{Created: noon.Add(time.Duration(i/10) * time.Second)}) // ten in a second
		}
		s := newArchive(t, cilocal.Options{}, jobs...)
		seen, token := map[string]int{}, ""
		for page := 0; ; page++ {
			a := list(t, s, "/jobs?tag=Transcode&size=7&orderByTime="+order+"&nextToken="+token)
			for _, id := range ids(a) {
				seen[id]++
			}
			if a.NextToken == nil {
				break
			}
			if token = *a.NextToken; page > 5 {
				t.Fatal("the list does not end")
			}
			_, err := s.AddJob(bucket, cilocal.Job{ID: fmt.Sprint("jnew", page), Created: noon.Add(time.Second)}, cilocal.Plan{})
			must(t, err)
		}
		for i := range jobs {
			if seen[fmt.Sprint("j", i)] != 1 {
				t.Errorf("%s: j%d was listed %d times", order, i, seen[fmt.Sprint("j", i)])
			}
		}
	}
}

// TestLastToken shows each way in which a list may end.
func TestLastToken(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{"": "none", cilocal.LastTokenAbsent: "none", cilocal.LastTokenEmpty: "empty", cilocal.LastTokenRepeated: "repeated"} {
		s := newArchive(t, cilocal.Options{LastToken: option}, cilocal.Job{}, cilocal.Job{}, cilocal.Job{})
		first := list(t, s, "/jobs?tag=Transcode&size=2")
		last := list(t, s, "/jobs?tag=Transcode&size=2&nextToken="+*first.NextToken)
		got := "none"
		if last.NextToken != nil {
			got = map[string]string{"": "empty", *first.NextToken: "repeated"}[*last.NextToken]
		}
		if got != want || len(last.JobsDetail) != 1 {
			t.Errorf("%q: %s, %v", option, got, ids(last))
		}
	}
	s := newArchive(t, cilocal.Options{LastToken: cilocal.LastTokenNever}, cilocal.Job{}, cilocal.Job{}, cilocal.Job{})
	if a := list(t, s, "/jobs?tag=Transcode&size=2"); a.NextToken != nil || len(a.JobsDetail) != 2 {
		t.Errorf("never: %+v", a)
	}
}

func TestOptionsOfLists(t *testing.T) {
	t.Parallel()
	demanding := newArchive(t, cilocal.Options{DemandQueue: true}, cilocal.Job{})
	wantError(t, demanding, http.MethodGet, "/jobs?tag=Transcode", "", http.StatusBadRequest, "InvalidArgument")
	if a := list(t, demanding, "/jobs?tag=Transcode&queueType=Transcoding"); len(a.JobsDetail) != 1 {
		t.Errorf("with a queue: %+v", a)
	}
	more := newArchive(t, cilocal.Options{MoreTags: []string{"PicProcess"}}, cilocal.Job{Tag: "PicProcess", ID: "c1"})
	if a := list(t, more, "/jobs?tag=PicProcess"); len(a.JobsDetail) != 1 {
		t.Errorf("MoreTags: %+v", a)
	}
}

// TestOldPaths asks for a picture's job where it was asked for in old times.
func TestOldPaths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options cilocal.Options
		path    string
		known   bool
	}{
		{cilocal.Options{}, "/jobs/c1", true},
		{cilocal.Options{}, "/pic_jobs/c1", true},
		{cilocal.Options{}, "/doc_jobs/c1", false},
		{cilocal.Options{}, "/pic_jobs?tag=PicProcess", true},
		{cilocal.Options{OldPathsOnly: true}, "/jobs/c1", false},
		{cilocal.Options{OldPathsOnly: true}, "/pic_jobs/c1", true},
	} {
		s := newArchive(t, test.options, cilocal.Job{Tag: "PicProcess", ID: "c1"})
		if a := list(t, s, test.path); (len(a.JobsDetail) == 1) != test.known {
			t.Errorf("%+v %s: %+v", test.options, test.path, a)
		}
	}
}

// TestTokenHeader takes a session token in either header, or in the one that is demanded.
func TestTokenHeader(t *testing.T) {
	t.Parallel()
	const ci, cosHeader = cilocal.TokenHeaderCI, cilocal.TokenHeaderCOS
	temporary := coslocal.Credential{SecretID: "id", SecretKey: "key", SessionToken: "token"}
	for _, test := range []struct {
		demand string
		sent   map[string]string
		status int
	}{
		{"", map[string]string{ci: "token"}, 200},
		{"", map[string]string{cosHeader: "token"}, 200},
		{"", map[string]string{ci: "token", cosHeader: "token"}, 200},
		{"", nil, 403},
		{"", map[string]string{ci: "other", cosHeader: "token"}, 400},
		{ci, map[string]string{ci: "token"}, 200},
		{ci, map[string]string{cosHeader: "token"}, 403},
		{ci, map[string]string{ci: "token", cosHeader: "other"}, 200},
		{cosHeader, map[string]string{cosHeader: "token"}, 200},
		{cosHeader, map[string]string{ci: "token"}, 403},
	} {
		s := cilocaltest.New(t, cilocal.Options{Credentials: []coslocal.Credential{temporary}, TokenHeader: test.demand}, bucket)
		r, err := http.NewRequest(http.MethodGet, "https://"+bucket+".ci."+region+".myqcloud.com/jobs?tag=Transcode", nil)
		must(t, err)
		for name, value := range test.sent {
			r.Header.Set(name, value)
		}
		cos.AddAuthorizationHeader("id", "key", "", r, cos.NewAuthTime(time.Hour))
		response, err := s.RoundTrip(r)
		must(t, err)
		if response.Body.Close(); response.StatusCode != test.status {
			t.Errorf("%q with %v: %d, want %d", test.demand, test.sent, response.StatusCode, test.status)
		}
	}
}

// TestAuthentication lets nobody in without a signature, whatever is asked for.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	s := newArchive(t, cilocal.Options{}, cilocal.Job{})
	for _, test := range []struct{ method, path string }{
		{"GET", "/jobs/j0"}, {"GET", "/jobs?tag=Transcode"}, {"POST", "/jobs"}, {"PUT", "/jobs/j0?cancel"}, {"GET", "/queue"}, {"GET", "/nothing"},
	} {
		r, err := http.NewRequest(test.method, "https://"+bucket+".ci."+region+".myqcloud.com"+test.path, http.NoBody)
		must(t, err)
		response, err := s.RoundTrip(r)
		must(t, err)
		if response.Body.Close(); response.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %d", test.method, test.path, response.StatusCode)
		}
	}
	for _, host := range []string{"other-1250000000.ci." + region, bucket + ".cos." + region, "127.0.0.1"} {
		r, err := http.NewRequest(http.MethodGet, "https://"+host+".myqcloud.com/jobs/j0", nil)
		must(t, err)
		cos.AddAuthorizationHeader(credential.SecretID, credential.SecretKey, "", r, cos.NewAuthTime(time.Hour))
		response, err := s.RoundTrip(r)
		must(t, err)
		if response.Body.Close(); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", host, response.StatusCode)
		}
	}
}

// TestManyJobs is what a reconciliation is tested with: thousands of jobs, and a page of
// jobs with long results.
func TestManyJobs(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	for i := range 4000 {
		job := cilocal.Job{Created: time.Now().Add(-time.Hour), Tag: "SpeechRecognition"}
		if i < 100 {
			job.Tag, job.Operation = "Concat", cilocaltest.LargeOperation(6000)
		}
		_, err := s.AddJob(bucket, job, cilocal.Plan{Run: time.Second, Lost: true})
		must(t, err)
	}
	response, body := get(t, s, "/jobs?tag=Concat&size=100")
	if n := strings.Count(body, "<JobsDetail>"); response.StatusCode != 200 || n != 100 || strings.Count(body, "<")/2 < 100*3600 {
		t.Errorf("%d: %d jobs in %d bytes", response.StatusCode, n, len(body))
	}
	jobs, token := 0, ""
	for {
		a := list(t, s, "/jobs?tag=SpeechRecognition&size=100&orderByTime=Asc&nextToken="+token)
		jobs += len(a.JobsDetail)
		if a.NextToken == nil {
			break
		}
		token = *a.NextToken
	}
	if jobs != 3900 {
		t.Errorf("%d jobs were listed", jobs)
	}
}

// TestRuns asks for runs of a workflow, one that failed among them.
func TestRuns(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	for i, tasks := range [][]cilocal.Task{
		{{Type: "Start", Name: "Start"}, {Type: "Transcode", Name: "Transcode_1", JobID: "j1"}},
		{{Type: "Transcode", Name: "Transcode_1", Code: "X", Message: "no"}},
	} {
		run := cilocal.Run{ID: fmt.Sprint("i", i), WorkflowID: "w1", Name: "mine", Object: "in/a.mp4", Created: noon.Add(time.Duration(i) * time.Second), Tasks: tasks}
		_, err := s.AddRun(bucket, run, cilocal.Plan{})
		must(t, err)
	}
	_, body := get(t, s, "/workflowexecution?workflowId=w1&orderByTime=Asc&size=1")
	if !strings.Contains(body, "<RunId>i0</RunId>") || strings.Contains(body, "Tasks") || strings.Contains(body, "<RunId>i1</RunId>") || !strings.Contains(body, "NextToken") {
		t.Errorf("list: %s", body)
	}
	_, body = get(t, s, "/workflowexecution?workflowId=w1&states=Failed")
	if !strings.Contains(body, "<RunId>i1</RunId>") || strings.Contains(body, "<RunId>i0</RunId>") {
		t.Errorf("failed: %s", body)
	}
	_, body = get(t, s, "/workflowexecution/i1")
	if !strings.Contains(body, "<Name>mine</Name>") || !strings.Contains(body, "<Code>X</Code>") || !strings.Contains(body, "<State>Failed</State>") || !strings.Contains(body, "+08:00") {
		t.Errorf("one: %s", body)
	}
	callback, err := s.Callback(bucket, "i1", "JSON")
	if err != nil || !strings.Contains(string(callback), `"WorkflowName":"mine"`) || !strings.Contains(string(callback), `"Tasks":[{`) {
		t.Errorf("callback: %s, %v", callback, err)
	}
}

// TestQueueCallsBack tells which queues call back, and at which end.
func TestQueueCallsBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		notify string
		want   string // what of a job and a run is called back
	}{
		"all":           {"<State>On</State><Type>Url</Type><Event>TaskFinish,WorkflowFinish</Event>", "TaskFinish WorkflowFinish"},
		"jobs":          {"<State>On</State><Type>Url</Type><Event>TaskFinish</Event>", "TaskFinish"},
		"runs":          {"<State>On</State><Type>Url</Type><Event>WorkflowFinish</Event>", "WorkflowFinish"},
		"off":           {"<State>Off</State><Type>Url</Type><Event>TaskFinish,WorkflowFinish</Event>", ""},
		"message_queue": {"<State>On</State><Type>TDMQ</Type><Event>TaskFinish,WorkflowFinish</Event>", ""},
		"no_event":      {"<State>On</State><Type>Url</Type>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			callbacks := &receiver{}
			now := time.Now()
			s := cilocaltest.New(t, cilocal.Options{Transport: callbacks, Clock: func() time.Time { return now }}, bucket)
			response, body := send(t, s, http.MethodPut, "/queue/"+s.Queues(bucket)[0].ID,
				"<Request><NotifyConfig><Url>http://a.localhost/</Url>"+test.notify+"</NotifyConfig></Request>")
			if response.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", response.StatusCode, body)
			}
			_, err := s.AddJob(bucket, cilocal.Job{}, cilocal.Plan{})
			must(t, err)
			s.RunDue() // one after the other, so that they arrive in order
			_, err = s.AddRun(bucket, cilocal.Run{}, cilocal.Plan{})
			must(t, err)
			must(t, s.Close())
			var events []string
			for _, body := range callbacks.received() {
				_, rest, _ := strings.Cut(body, "<EventName>")
				event, _, _ := strings.Cut(rest, "</EventName>")
				events = append(events, event)
			}
			if got := strings.Join(events, " "); got != test.want {
				t.Errorf("called back: %q, want %q", got, test.want)
			}
		})
	}
}

// TestQueuePages reads queues page by page, and by state and category.
func TestQueuePages(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	queues := s.Queues(bucket)
	send(t, s, http.MethodPut, "/queue/"+queues[1].ID, "<Request><State>Paused</State></Request>")
	for path, want := range map[string]string{
		"/queue?category=CateAll&pageSize=3":              "7 1 3: queue-1 queue-speed-transcoding-process-1 queue-pic-process-1",
		"/queue?category=CateAll&pageSize=3&pageNumber=3": "7 3 3: queue-ai-process-1",
		"/queue?category=CateAll&pageSize=3&pageNumber=4": "7 4 3:",
		"/queue?state=Paused":                             "1 1 10: queue-speed-transcoding-process-1",
		"/queue?state=Active":                             "1 1 10: queue-1",
		"/queue?category=DocProcessing":                   "1 1 10: queue-doc-process-1",
		"/docqueue":                                       "1 1 10: queue-doc-process-1",
		"/queue?queueIds=" + queues[0].ID + ",p0":         "1 1 10: queue-1 (p0)",
		"/docqueue?queueIds=" + queues[0].ID:              "0 1 10: (" + queues[0].ID + ")",
	} {
		_, body := get(t, s, path)
		var a struct {
			TotalCount, PageNumber, PageSize string
			QueueList                        []struct{ Name string }
			NonExistPIDs                     []string
		}
		must(t, xml.Unmarshal([]byte(body), &a))
		got := a.TotalCount + " " + a.PageNumber + " " + a.PageSize + ":"
		for _, q := range a.QueueList {
			got += " " + q.Name
		}
		for _, id := range a.NonExistPIDs {
			got += " (" + id + ")"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for name, body := range map[string]string{
		"state": "<Request><State>Gone</State></Request>", "notify": "<Request><NotifyConfig><State>x</State></NotifyConfig></Request>",
		"url": "<Request><NotifyConfig><State>On</State><Url>ftp://x</Url></NotifyConfig></Request>",
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, s, http.MethodPut, "/queue/"+queues[0].ID, body, http.StatusBadRequest, "InvalidArgument")
		})
	}
	wantError(t, s, http.MethodPut, "/queue/p0", "<Request/>", http.StatusNotFound, "ResourceNotFound")
	if got := s.Queues(bucket)[0]; got.State != "Active" || got.Notify.State != "Off" {
		t.Errorf("a refused change was made: %+v", got)
	}
}
