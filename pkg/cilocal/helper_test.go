package cilocal_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

const (
	bucket = "media-1250000000"
	region = "ap-beijing"
)

// credential is what the servers of these tests accept.
var credential = coslocal.DefaultCredential()

// sdk returns Tencent's Go SDK for a server without a socket.
func sdk(t testing.TB, s http.RoundTripper) *cos.Client {
	t.Helper()
	return sdkAt(t, "https://"+bucket+".ci."+region+".myqcloud.com", s)
}

// sdkAt returns the SDK for a URL.
func sdkAt(t testing.TB, ciURL string, transport http.RoundTripper) *cos.Client {
	t.Helper()
	base, err := url.Parse(ciURL)
	must(t, err)
	return cos.NewClient(&cos.BaseURL{CIURL: base}, &http.Client{Transport: &cos.AuthorizationTransport{
		SecretID: credential.SecretID, SecretKey: credential.SecretKey, Transport: transport,
	}})
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// jobsAnswer is what the tests look at in an answer about jobs, and in a callback.
type jobsAnswer struct {
	XMLName        xml.Name `xml:"Response"`
	EventName      string
	JobsDetail     []jobDetail
	NonExistJobIds []string
	NextToken      *string
}

// jobDetail is what the tests look at in a job.
type jobDetail struct {
	Code, Message, JobId, State, Progress, Tag, QueueId string
	CreationTime, StartTime, EndTime                    string
	Input                                               struct{ BucketId, Object, Region string }
	Operation                                           struct {
		UserData    string
		Output      struct{ Bucket, Object, Region string }
		MediaResult struct {
			OutputFile struct {
				Bucket, Region, ObjectName string
				ObjectPrefix               *string
				Md5Info                    struct{ Md5, ObjectName string }
			}
		}
	}
	Workflow *struct{ RunId string }
}

// get sends a signed GET request and returns the answer.
func get(t testing.TB, s http.RoundTripper, path string) (*http.Response, string) {
	t.Helper()
	return send(t, s, http.MethodGet, path, "")
}

// send sends a signed request and returns the answer.
func send(t testing.TB, s http.RoundTripper, method, path, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, "https://"+bucket+".ci."+region+".myqcloud.com"+path, strings.NewReader(body))
	must(t, err)
	cos.AddAuthorizationHeader(credential.SecretID, credential.SecretKey, "", r, cos.NewAuthTime(time.Hour))
	response, err := s.RoundTrip(r)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return response, string(text)
}

// list asks for jobs and returns the answer, which must be one.
func list(t testing.TB, s http.RoundTripper, path string) jobsAnswer {
	t.Helper()
	response, body := get(t, s, path)
	if response.StatusCode != http.StatusOK || response.Header.Get("x-ci-request-id") == "" ||
		response.Header.Get("Content-Type") != "application/xml" {
		t.Fatalf("GET %s: %d %v %s", path, response.StatusCode, response.Header, body)
	}
	var a jobsAnswer
	must(t, xml.Unmarshal([]byte(body), &a))
	return a
}

// ids returns the ids of jobs, in the answer's order.
func ids(a jobsAnswer) []string {
	var list []string
	for _, j := range a.JobsDetail {
		list = append(list, j.JobId)
	}
	return list
}

// wantError checks that a request is refused with a status and a code.
func wantError(t *testing.T, s http.RoundTripper, method, path, body string, status int, code string) {
	t.Helper()
	response, text := send(t, s, method, path, body)
	if response.StatusCode != status || !strings.Contains(text, "<Code>"+code+"</Code>") || response.Header.Get("x-ci-request-id") == "" {
		t.Errorf("%s %s = %d %s, want %d %s", method, path, response.StatusCode, text, status, code)
	}
}

// receiver keeps the callbacks that it gets.
type receiver struct {
	status int // what it answers, 0 for 200

	mu     sync.Mutex
	bodies []string
	header []http.Header
	times  []time.Time
}

// received returns the bodies so far.
func (r *receiver) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// RoundTrip implements [http.RoundTripper].
func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, string(body))
	r.header = append(r.header, request.Header)
	r.times = append(r.times, time.Now())
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: request}, nil
}

// transcode is the body of POST /jobs for a Transcode job.
func transcode(further string) string {
	return `<Request><Tag>Transcode</Tag><Input><Object>in/a.mp4</Object></Input><Operation>` +
		`<TemplateId>t1</TemplateId><Output><Region>` + region + `</Region><Bucket>` + bucket + `</Bucket><Object>out/a.mp4</Object></Output>` +
		`<UserData>mine &amp; yours</UserData></Operation>` + further + `</Request>`
}

// always is a Plan for every job.
func always(p cilocal.Plan) func(cilocal.Job) cilocal.Plan {
	return func(cilocal.Job) cilocal.Plan { return p }
}
