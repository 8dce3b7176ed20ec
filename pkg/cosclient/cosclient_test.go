package cosclient_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"
	"go.uber.org/goleak"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/parallel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder answers every request with a status and a body, and remembers the requests.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	idle     int // how often idle connections were closed

	status int
	body   []byte
	err    error
}

func (r *recorder) CloseIdleConnections() { r.idle++ }

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
	if r.err != nil {
		return nil, r.err
	}
	return &http.Response{
		StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"X-Cos-Request-Id": {"x"}}, Body: io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)),
	}, nil
}

// send makes a request of a session and returns how many bytes of the answer there are.
func send(ctx context.Context, s *cosclient.Session, base http.RoundTripper, method string) (int, error) {
	n := 0
	err := s.Try(ctx, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, method, "http://b-1.cos.ap-guangzhou.localhost/key", nil)
		if err != nil {
			return err
		}
		response, err := (&http.Client{Transport: cosclient.Wrap(base)}).Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		n = len(body)
		return err
	})
	return n, err
}

// A local COS is dialled on loopback, past a proxy, and no answer is asked for compressed,
// which net/http would take apart.
func TestNewTransport(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example:3128")
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	defer server.Close()
	transport := cosclient.NewTransport()
	defer transport.CloseIdleConnections()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	response, err := (&http.Client{Transport: transport}).Get("http://b-1.cos.ap-guangzhou.localhost:" + port + "/key")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if header == nil || header.Get("Accept-Encoding") != "" {
		t.Errorf("header %v", header)
	}
	request, err := http.NewRequest(http.MethodGet, "http://b-1.cos.ap-guangzhou.myqcloud.com/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err := transport.Proxy(request); err != nil || proxy == nil || proxy.Host != "proxy.example:3128" {
		t.Errorf("proxy %v, %v", proxy, err)
	}
}

// Each session signs with its own credentials, for an hour.
func TestSignature(t *testing.T) {
	t.Parallel()
	r := &recorder{status: 200}
	for i := range 2 {
		s := &cosclient.Session{Credentials: cosclient.Credentials{SecretID: fmt.Sprint("id", i), SecretKey: "key", SessionToken: fmt.Sprint("token", i)}}
		before := time.Now().Unix()
		if _, err := send(t.Context(), s, r, http.MethodGet); err != nil {
			t.Fatal(err)
		}
		request := r.requests[i]
		signature, err := url.ParseQuery(strings.ReplaceAll(request.Header.Get("Authorization"), ";", "%3B"))
		if err != nil {
			t.Fatal(err)
		}
		if id, token := signature.Get("q-ak"), request.Header.Get("x-cos-security-token"); id != fmt.Sprint("id", i) || token != fmt.Sprint("token", i) {
			t.Errorf("request of session %d: id %q, token %q", i, id, token)
		}
		from, to, _ := strings.Cut(signature.Get("q-sign-time"), ";")
		begin, _ := strconv.ParseInt(from, 10, 64)
		end, _ := strconv.ParseInt(to, 10, 64)
		if begin < before || begin > time.Now().Unix() || end-begin != 3600 {
			t.Errorf("the signature is good from %d to %d; want an hour from %d", begin, end, before)
		}
		if signature.Get("q-key-time") != signature.Get("q-sign-time") {
			t.Errorf("q-key-time = %s", signature.Get("q-key-time"))
		}
		if s.Requests() != 1 {
			t.Errorf("%d requests were counted; want 1", s.Requests())
		}
	}
}

// A request that no session made is not signed, and the caller's request stays as it is.
func TestWithoutSession(t *testing.T) {
	t.Parallel()
	r := &recorder{status: 200}
	request, err := http.NewRequest(http.MethodGet, "http://b-1.cos.ap-guangzhou.localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := cosclient.Wrap(r).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got := r.requests[0].Header.Get("Authorization"); got != "" {
		t.Errorf("Authorization = %q", got)
	}
}

// Only what a GET asked for is read whole.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	const long, bound = 3 << 20, 1 << 20
	for _, test := range []struct {
		method string
		status int
		want   int
	}{
		{http.MethodGet, 200, long}, {http.MethodGet, 206, long},
		{http.MethodGet, 404, bound}, {http.MethodGet, 503, bound}, {http.MethodGet, 304, bound}, {http.MethodPut, 200, bound}, {http.MethodPut, 409, bound},
	} {
		r := &recorder{status: test.status, body: make([]byte, long)}
		n, err := send(t.Context(), new(cosclient.Session), r, test.method)
		if n != test.want || err != nil {
			t.Errorf("%s %d: %d bytes, %v; want %d", test.method, test.status, n, err, test.want)
		}
	}
}

// After a request without an answer, no idle connection is trusted.
func TestIdleConnectionsAreDropped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want int
	}{{nil, 0}, {errors.New("connection reset"), 1}} {
		r := &recorder{status: 503, err: test.err}
		_, _ = send(t.Context(), new(cosclient.Session), r, http.MethodGet)
		if r.idle != test.want {
			t.Errorf("error %v: idle connections were closed %d times; want %d", test.err, r.idle, test.want)
		}
	}
}

// How long a single try may take.
func TestTryLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name              string
		left, maxTry      time.Duration
		wholeTime, ofSlot bool
		want              time.Duration
	}{
		{name: "a_quarter", left: 8 * time.Second, want: 2 * time.Second},
		{name: "five_seconds", left: time.Minute, want: 5 * time.Second},
		{name: "no_deadline", want: 5 * time.Second},
		{name: "longer", left: time.Minute, maxTry: 12 * time.Second, want: 12 * time.Second},
		{name: "longer_than_a_quarter", left: 8 * time.Second, maxTry: 12 * time.Second, want: 2 * time.Second},
		{name: "whole_time", left: 300 * time.Millisecond, wholeTime: true, want: 300 * time.Millisecond},
		{name: "whole_time_is_bounded", left: time.Minute, wholeTime: true, want: 5 * time.Second},
		{name: "after_waiting_for_a_slot", left: 9 * time.Second, ofSlot: true, want: 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.left)
					defer cancel()
				}
				if test.wholeTime {
					ctx = cosclient.WithWholeTime(ctx)
				}
				s := &cosclient.Session{MaxTry: test.maxTry}
				if test.ofSlot {
					s.Slots = make(chan struct{}, 1)
					s.Slots <- struct{}{}
					time.AfterFunc(time.Second, func() { <-s.Slots })
				}
				var began time.Time
				err := s.Try(ctx, func(ctx context.Context) error {
					began = time.Now()
					<-ctx.Done()
					return ctx.Err()
				})
				if took := time.Since(began); took != test.want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the try took %v, %v; want %v", took, err, test.want)
				}
			})
		})
	}
}

// Sessions that share slots have no more requests under way than there are.
func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slots := make(chan struct{}, 3)
		var running, most atomic.Int64
		errs := parallel.ForEach(20, 20, func(i int) error {
			s := &cosclient.Session{Slots: slots}
			return s.Try(t.Context(), func(context.Context) error {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
				return nil
			})
		})
		if err := errors.Join(errs...); err != nil || most.Load() != 3 {
			t.Errorf("%d at a time, %v; want 3", most.Load(), err)
		}
		for range 3 {
			slots <- struct{}{} // none is left
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := (&cosclient.Session{Slots: slots}).Try(ctx, func(context.Context) error {
			t.Error("a request was made without a slot")
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v; want that the time is up", err)
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	unavailable := func(status int) error {
		return &cosclient.Error{Status: status, Kind: cosclient.ErrUnavailable, Err: errors.New("x")}
	}
	timeUp := &cosclient.Error{Kind: cosclient.ErrUnavailable, Err: context.DeadlineExceeded}
	for _, test := range []struct {
		name     string
		maxTries uint
		errs     []error // of one try after the other; the last stays
		want     error
		tries    int
	}{
		{"succeeds", 0, []error{nil}, nil, 1},
		{"succeeds_in_the_end", 0, []error{unavailable(503), unavailable(429), unavailable(0), unavailable(500), unavailable(502), unavailable(504), nil}, nil, 7},
		{"fails_for_good", 0, []error{unavailable(503), unavailable(409)}, unavailable(409), 2},
		{"another_error", 0, []error{io.EOF}, io.EOF, 1},
		{"tries_are_up", 4, []error{unavailable(502)}, unavailable(502), 4},
		{"time_up_tells_less", 3, []error{unavailable(503), timeUp}, unavailable(503), 3},
		{"time_up_alone", 2, []error{timeUp}, timeUp, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &cosclient.Session{MaxTries: test.maxTries, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
			tries := 0
			_, err := cosclient.Retry(t.Context(), s, func() (int, error) {
				tries++
				return tries, test.errs[min(tries, len(test.errs))-1]
			})
			if fmt.Sprint(err) != fmt.Sprint(test.want) || tries != test.tries {
				t.Errorf("%d tries, %v; want %d, %v", tries, err, test.tries, test.want)
			}
		})
	}
}

func TestNewError(t *testing.T) {
	t.Parallel()
	rules := []cosclient.Rule{
		{Status: 403, Code: cosclient.NoCode, Kind: cosclient.ErrMisconfigured, Remedy: "no code"},
		{Status: 403, Code: "Odd", Kind: cosclient.ErrUnavailable},
		{Status: 403, Kind: cosclient.ErrMisconfigured, Remedy: "any code"},
		{Code: "Anywhere", Kind: cosclient.ErrMisconfigured, Remedy: "any status"},
		{Status: 503, Kind: cosclient.ErrMisconfigured, Remedy: "never looked at"},
	}
	answer := func(status int, code string) error {
		response := &http.Response{StatusCode: status, Header: http.Header{"X-Cos-Request-Id": {"r1"}}}
		return &cos.ErrorResponse{Response: response, Code: code, Message: "a secret"}
	}
	for _, test := range []struct {
		name string
		err  error
		kind error
		want string
	}{
		{"no_code", answer(403, ""), cosclient.ErrMisconfigured, `put b/k: 403  (request id "r1"): no code`},
		{"code", answer(403, "Odd"), cosclient.ErrUnavailable, `put b/k: 403 Odd (request id "r1")`},
		{"any_code", answer(403, "Other"), cosclient.ErrMisconfigured, `put b/k: 403 Other (request id "r1"): any code`},
		{"any_status", answer(404, "Anywhere"), cosclient.ErrMisconfigured, `put b/k: 404 Anywhere (request id "r1"): any status`},
		{"no_rule", answer(404, "Other"), cosclient.ErrUnavailable, `put b/k: 404 Other (request id "r1")`},
		{"server_error", answer(503, "Anywhere"), cosclient.ErrUnavailable, `put b/k: 503 Anywhere (request id "r1")`},
		{"no_answer", &url.Error{Op: "Put", URL: "http://secret/", Err: io.ErrUnexpectedEOF}, cosclient.ErrUnavailable, "put b/k: unexpected EOF"},
		{"too_late", &url.Error{Op: "Put", URL: "http://secret/", Err: context.DeadlineExceeded}, cosclient.ErrUnavailable, "put b/k: no answer in time: context deadline exceeded"},
		{"not_xml", &xml.SyntaxError{Msg: "x", Line: 1}, cosclient.ErrUnavailable, "put b/k: the answer does not come from the service"},
		{"another_root", xml.UnmarshalError("x"), cosclient.ErrUnavailable, "put b/k: the answer does not come from the service"},
		{"not_from_service", cosclient.ErrNotFromService, cosclient.ErrUnavailable, "put b/k: the answer does not come from the service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := cosclient.NewError("put", "b/k", rules, test.err)
			if diff := cmp.Diff(test.want, err.Error()); diff != "" || err.Kind != test.kind {
				t.Errorf("kind %v (-want +got):\n%s", err.Kind, diff)
			}
		})
	}
}

func TestIsDenied(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		code   string
		want   bool
	}{
		{403, "AccessDenied", true}, {403, "AccessForbidden", true}, {403, "", true},
		{403, "SignatureDoesNotMatch", false}, {404, "", false}, {0, "", false},
	} {
		err := fmt.Errorf("wrapped: %w", &cosclient.Error{Status: test.status, Code: test.code, Kind: cosclient.ErrMisconfigured, Err: io.EOF})
		if got := cosclient.IsDenied(err); got != test.want {
			t.Errorf("IsDenied(%d %s) = %v; want %v", test.status, test.code, got, test.want)
		}
	}
	if cosclient.IsDenied(nil) || cosclient.IsDenied(io.EOF) {
		t.Error("IsDenied of another error")
	}
}

func TestMostSevere(t *testing.T) {
	t.Parallel()
	unavailable := fmt.Errorf("a: %w", cosclient.ErrUnavailable)
	misconfigured := fmt.Errorf("b: %w", cosclient.ErrMisconfigured)
	bug := errors.New("a bug")
	again := fmt.Errorf("c: %w", cosclient.ErrMisconfigured)
	for _, test := range []struct {
		errs []error
		want error
	}{
		{nil, nil}, {[]error{nil, nil}, nil}, {[]error{nil, unavailable}, unavailable},
		{[]error{misconfigured, unavailable}, misconfigured}, {[]error{unavailable, bug, misconfigured}, bug},
		{[]error{misconfigured, again}, misconfigured}, // of two, the first
	} {
		if got := cosclient.MostSevere(test.errs); got != test.want {
			t.Errorf("MostSevere(%v) = %v; want %v", test.errs, got, test.want)
		}
	}
}

func TestRequireCOS(t *testing.T) {
	t.Parallel()
	own := &cos.Response{Response: &http.Response{Header: http.Header{"X-Cos-Request-Id": {"x"}}}}
	other := &cos.Response{Response: &http.Response{Header: http.Header{"Etag": {"x"}}}}
	if err := cosclient.RequireCOS(own, nil); err != nil {
		t.Errorf("COS's own answer: %v", err)
	}
	if err := cosclient.RequireCOS(other, nil); err != cosclient.ErrNotFromService {
		t.Errorf("another answer: %v; want ErrNotFromService", err)
	}
	if err := cosclient.RequireCOS(nil, io.EOF); err != io.EOF {
		t.Errorf("no answer: %v; want the error", err)
	}
}
