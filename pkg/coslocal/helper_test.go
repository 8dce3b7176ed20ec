package coslocal_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

const (
	bucket = "examplebucket-1250000000"
	region = "ap-beijing"
)

// client is Tencent's Go SDK, which then tries once and checks CRCs.
func client(t testing.TB, s *coslocaltest.Server, c coslocal.Credential) *cos.Client {
	t.Helper()
	return clientFor(t, s, c, bucket, region)
}

func clientFor(t testing.TB, s *coslocaltest.Server, c coslocal.Credential, bucket, region string) *cos.Client {
	t.Helper()
	endpoint := strings.NewReplacer("{bucket}", bucket, "{region}", region).Replace(s.Endpoint)
	base, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	hc := s.Client()
	hc.Transport = &cos.AuthorizationTransport{
		SecretID: c.SecretID, SecretKey: c.SecretKey, SessionToken: c.SessionToken, Transport: hc.Transport,
	}
	sdk := cos.NewClient(&cos.BaseURL{BucketURL: base}, hc)
	sdk.Conf.RetryOpt.Count = 1
	sdk.Conf.EnableCRC = true
	return sdk
}

// start returns a server with one bucket, and the SDK for it.
func start(t testing.TB, o coslocal.Options) (*coslocaltest.Server, *cos.Client) {
	t.Helper()
	s := coslocaltest.NewServerWith(t, o, bucket)
	c := coslocal.DefaultCredential()
	if len(o.Credentials) > 0 {
		c = o.Credentials[0]
	}
	return s, client(t, s, c)
}

// code returns COS's error code and the status.
func code(err error) (string, int) {
	if e, ok := cos.IsCOSError(err); ok {
		return e.Code, e.Response.StatusCode
	}
	return "", 0
}

func wantCode(t *testing.T, err error, wantCode string, wantStatus int) {
	t.Helper()
	if got, status := code(err); got != wantCode || status != wantStatus {
		t.Errorf("error = %v; want %d %s", err, wantStatus, wantCode)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newMemory returns a server without a listener; the tests that send what no SDK sends
// call it directly.
func newMemory(t testing.TB, o coslocal.Options) *coslocal.Server {
	t.Helper()
	s, err := coslocal.New(o)
	must(t, err)
	must(t, s.CreateBucket(bucket, ""))
	return s
}

func newRequest(t testing.TB, method, target, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+bucket+".cos."+region+".localhost"+target, strings.NewReader(body))
	must(t, err)
	return r
}

// signed signs with the SDK's signer.
func signed(r *http.Request) *http.Request {
	c := coslocal.DefaultCredential()
	cos.AddAuthorizationHeader(c.SecretID, c.SecretKey, c.SessionToken, r, cos.NewAuthTime(time.Hour))
	return r
}

// do sends a request to the handler, without a connection.
func do(s http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// wantAnswer checks the status and, in an error's body, the code.
func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if w.Code != status || code != "" && !strings.Contains(w.Body.String(), "<Code>"+code+"</Code>") {
		t.Errorf("answer = %d %s; want %d %s", w.Code, w.Body, status, code)
	}
}
