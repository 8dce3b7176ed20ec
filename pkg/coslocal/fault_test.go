package coslocal_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

func isPut(r coslocal.Request) bool { return r.Action() == "PutObject" }

// get reads an object with the SDK's signature but not its error handling.
func get(t *testing.T, s *coslocaltest.Server, key string) (*http.Response, string, error) {
	t.Helper()
	response, err := s.Client().Do(signed(newRequest(t, http.MethodGet, "/"+key, "")))
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func TestFaultStatus(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  coslocal.Fault
		status int
		code   string
	}{
		"503":         {coslocal.Fault{Status: 503}, 503, "ServiceUnavailable"},
		"slow down":   {coslocal.Fault{Status: 503, Code: "SlowDown"}, 503, "SlowDown"},
		"code alone":  {coslocal.Fault{Code: "InternalError"}, 500, "InternalError"},
		"500":         {coslocal.Fault{Status: 500}, 500, "InternalError"},
		"429":         {coslocal.Fault{Status: 429}, 429, "BadRequest"},
		"409":         {coslocal.Fault{Status: 409}, 409, "FileAlreadyExists"},
		"404":         {coslocal.Fault{Status: 404}, 404, "NoSuchKey"},
		"403":         {coslocal.Fault{Status: 403}, 403, "AccessDenied"},
		"501":         {coslocal.Fault{Status: 501}, 501, "NotImplemented"},
		"empty 200":   {coslocal.Fault{Status: 200}, 200, ""},
		"nothing set": {coslocal.Fault{}, 404, "NoSuchKey"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory(t, coslocal.Options{})
			s.Inject(test.fault)
			w := do(s, signed(newRequest(t, http.MethodGet, "/missing", "")))
			wantAnswer(t, w, test.status, test.code)
			if w.Header().Get("x-cos-request-id") == "" {
				t.Error("no request id")
			}
			if got := s.Requests()[0].Status; got != test.status {
				t.Errorf("logged status = %d", got)
			}
		})
	}
}

func TestFaultBeforeAndAfterWork(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		s, sdk := start(t, coslocal.Options{})
		s.Inject(coslocal.Fault{Match: isPut, Nth: 1, Status: 503, AfterWork: after})
		wantCode(t, createOnly(sdk, "k", "v"), "ServiceUnavailable", 503)
		if _, ok := s.Object(bucket, "k"); ok != after {
			t.Errorf("after work = %t: stored = %t", after, ok)
		}
		if err := createOnly(sdk, "k", "v"); (err != nil) != after {
			t.Errorf("after work = %t: second try: %v", after, err)
		}
	}
}

func TestFaultReset(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		s, sdk := start(t, coslocal.Options{})
		remove := s.Inject(coslocal.Fault{Reset: true, AfterWork: after})
		if err := createOnly(sdk, "k", "v"); err == nil {
			t.Error("no error")
		}
		if _, ok := s.Object(bucket, "k"); ok != after {
			t.Errorf("after work = %t: stored = %t", after, ok)
		}
		if r := s.Requests()[0]; r.Status != 0 {
			t.Errorf("logged status = %d", r.Status)
		}
		remove()
		if _, err := sdk.Bucket.Head(context.Background()); err != nil {
			t.Errorf("without the fault: %v", err)
		}
	}
}

// TestFaultResetWithoutConnection is the reset that a simulation sees.
func TestFaultResetWithoutConnection(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	s.Inject(coslocal.Fault{Reset: true})
	defer func() {
		if e := recover(); e != http.ErrAbortHandler {
			t.Errorf("panic = %v", e)
		}
	}()
	do(s, signed(newRequest(t, http.MethodGet, "/", "")))
	t.Error("it returned")
}

func TestFaultBody(t *testing.T) {
	t.Parallel()
	s, _ := start(t, coslocal.Options{})
	remove := s.Inject(coslocal.Fault{Status: 502, Body: []byte("<html>Bad Gateway</html>"), Header: http.Header{"Retry-After": {"1"}}})
	response, body, err := get(t, s, "k")
	must(t, err)
	if response.StatusCode != 502 || body != "<html>Bad Gateway</html>" || response.Header.Get("Retry-After") != "1" ||
		response.Header.Get("x-cos-request-id") != "" {
		t.Errorf("answer = %d %s %v", response.StatusCode, body, response.Header)
	}
	remove()
	s.Inject(coslocal.Fault{Body: []byte{}})
	if response, body, err = get(t, s, "k"); err != nil || response.StatusCode != 200 || body != "" {
		t.Errorf("answer = %v %q, %v", response, body, err)
	}
}

// TestFaultHeader changes the real answer: without its CRC, the SDK takes a PUT that was
// done for a failure.
func TestFaultHeader(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	s.Inject(coslocal.Fault{Header: http.Header{"X-Cos-Hash-Crc64ecma": nil}})
	_, err := sdk.Object.Put(context.Background(), "k", strings.NewReader("v"), nil)
	if err == nil {
		t.Error("no error")
	}
	if _, ok := s.Object(bucket, "k"); !ok {
		t.Error("not stored")
	}
}

func TestFaultTruncate(t *testing.T) {
	t.Parallel()
	s, _ := start(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{Body: []byte("0123456789")}))
	s.Inject(coslocal.Fault{Truncate: true})
	response, body, err := get(t, s, "k")
	if !errors.Is(err, io.ErrUnexpectedEOF) || body != "01234" || response.ContentLength != 10 {
		t.Errorf("answer = %q, %v", body, err)
	}
}

// TestFaultTruncateWithoutBody: what has no body arrives whole, and half of one byte is
// none.
func TestFaultTruncateWithoutBody(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method string
		fault  coslocal.Fault
		length int64
		err    error
	}{
		"HEAD":           {http.MethodHead, coslocal.Fault{}, 10, nil},
		"HEAD of a body": {http.MethodHead, coslocal.Fault{Body: []byte("page")}, 4, nil},
		"PUT":            {http.MethodPut, coslocal.Fault{}, 0, nil},
		"DELETE":         {http.MethodDelete, coslocal.Fault{}, -1, nil},
		"one byte":       {http.MethodGet, coslocal.Fault{Body: []byte("1")}, 1, io.ErrUnexpectedEOF},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory(t, coslocal.Options{})
			must(t, s.PutObject(bucket, "k", coslocal.Object{Body: []byte("0123456789")}))
			test.fault.Truncate = true
			s.Inject(test.fault)
			response, err := s.RoundTrip(signed(newRequest(t, test.method, "/k", "")))
			must(t, err)
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if response.ContentLength != test.length || len(body) > 0 || !errors.Is(err, test.err) {
				t.Errorf("length %d, body %q, %v", response.ContentLength, body, err)
			}
		})
	}
}

func TestFaultDelay(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		s, sdk := start(t, coslocal.Options{})
		s.Inject(coslocal.Fault{Match: isPut, Delay: time.Hour, AfterWork: after})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for len(s.Requests()) == 0 || after && len(s.Keys(bucket, "")) == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if _, err := sdk.Object.Put(ctx, "k", strings.NewReader("v"), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
		if _, ok := s.Object(bucket, "k"); ok != after {
			t.Errorf("after work = %t: stored = %t", after, ok)
		}
		s.ClearFaults()
		s.Inject(coslocal.Fault{Match: isPut, Delay: time.Millisecond, AfterWork: after})
		_, err := sdk.Object.Put(context.Background(), "k", strings.NewReader("v"), nil)
		must(t, err)
	}
}

// A handler must leave the request as it is.
func TestFaultDelayLeavesTheRequest(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	s.Inject(coslocal.Fault{Delay: time.Millisecond})
	r := signed(newRequest(t, http.MethodPut, "/k", "v"))
	body := r.Body
	if w := do(s, r); w.Code != http.StatusOK || r.Body != body {
		t.Errorf("%d, and the request's body is the same: %t", w.Code, r.Body == body)
	}
}

func TestFaultOrder(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{}))
	var calls atomic.Int32
	s.Inject(coslocal.Fault{Nth: 2, Status: 500, Match: func(coslocal.Request) bool {
		calls.Add(1)
		return len(s.Requests()) > 0 // may ask the server
	}})
	removeAll := s.Inject(coslocal.Fault{Status: 503, Match: func(r coslocal.Request) bool { return r.Method == http.MethodHead }})
	s.Inject(coslocal.Fault{Nth: 4, Status: 502})
	var got []int
	for _, method := range []string{http.MethodHead, http.MethodHead, http.MethodGet, http.MethodGet, http.MethodHead} {
		got = append(got, do(s, signed(newRequest(t, method, "/k", ""))).Code)
	}
	removeAll()
	removeAll() // twice is fine
	got = append(got, do(s, signed(newRequest(t, http.MethodHead, "/k", ""))).Code)
	for i, want := range []int{503, 500, 200, 502, 503, 200} {
		if got[i] != want {
			t.Errorf("statuses = %v; the one at %d is not %d", got, i, want)
		}
	}
	if calls.Load() != 6 {
		t.Errorf("matched %d requests", calls.Load())
	}
}

// TestServerEndsDelays: a test that leaves a request hanging does not hang itself.
func TestServerEndsDelays(t *testing.T) {
	t.Parallel()
	done, ran := make(chan error, 1), false
	t.Run("inner", func(t *testing.T) {
		ran = true
		s, _ := start(t, coslocal.Options{})
		s.Inject(coslocal.Fault{Delay: time.Hour})
		go func() {
			_, err := s.Client().Get(s.URL)
			done <- err
		}()
		for len(s.Requests()) == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	if ran && <-done == nil { // with -failfast it does not run after the failure of another test
		t.Error("the request was answered")
	}
}

func BenchmarkSignedPut(b *testing.B) {
	s := newMemory(b, coslocal.Options{})
	body := strings.Repeat("x", 1024)
	r := signed(newRequest(b, http.MethodPut, "/ci/jobs/j1.json", body))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(body))
		if w := do(s, r); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkSignedGet(b *testing.B) {
	s := newMemory(b, coslocal.Options{})
	must(b, s.PutObject(bucket, "ci/jobs/j1.json", coslocal.Object{Body: make([]byte, 1024)}))
	r := signed(newRequest(b, http.MethodGet, "/ci/jobs/j1.json", ""))
	b.ReportAllocs()
	for b.Loop() {
		if w := do(s, r); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkRecorder is what of the other benchmarks is not the server.
func BenchmarkRecorder(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		w.WriteHeader(200)
		_, _ = w.WriteString("body")
	}
}

// TestFaultStatusHasBody answers the body of an error from 400 on, and none below.
func TestFaultStatusHasBody(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for status, code := range map[int]string{304: "", 399: "", 400: "BadRequest", 404: "NoSuchKey", 499: "BadRequest", 500: "InternalError", 503: "ServiceUnavailable"} {
		remove := s.Inject(coslocal.Fault{Status: status})
		wantAnswer(t, do(s, signed(newRequest(t, http.MethodGet, "/a", ""))), status, code)
		if w := do(s, signed(newRequest(t, http.MethodGet, "/a", ""))); (w.Body.Len() > 0) != (code != "") {
			t.Errorf("%d: body %q", status, w.Body)
		}
		remove()
	}
}
