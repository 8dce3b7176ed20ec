package wire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// transport answers requests in the place of the network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering returns a transport with a handler behind it.
func answering(handler http.HandlerFunc) transport {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		handler(w, r)
		return w.Result(), nil
	}
}

// closing is a body that tells that it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestCloses lets go of the connection, whatever the answer is.
func TestCloses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]io.Reader{"whole": strings.NewReader("body"), "broken": iotest.ErrReader(errors.New("broken"))} {
		answer := &closing{Reader: body}
		_, _ = host(wire.COS(), func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: answer}, nil
		}).Do(t.Context(), wire.Request{Method: http.MethodGet})
		if !answer.closed {
			t.Errorf("%s: the body was not closed", name)
		}
	}
}

func host(service wire.Service, t transport) wire.Host {
	return wire.Host{
		Client:  wire.Client{Transport: t, Credentials: cosclient.Credentials{SecretID: "id", SecretKey: "key", SessionToken: "token"}, Now: time.Now},
		Service: service, Bucket: "bucket-1", Base: &url.URL{Scheme: "https", Host: "bucket-1.example"},
	}
}

// TestRequest holds what goes over the wire: the path, the body's MD5, and the token in
// the headers of the service, which the signature covers.
func TestRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		service wire.Service
		tokens  map[string]string
		signed  string
	}{
		"COS": {wire.COS(), map[string]string{"X-Cos-Security-Token": "token", "X-Ci-Security-Token": ""}, "x-cos-security-token"},
		"CI":  {wire.CI(), map[string]string{"X-Cos-Security-Token": "token", "X-Ci-Security-Token": "token"}, "x-ci-security-token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked *http.Request
			h := host(test.service, answering(func(w http.ResponseWriter, r *http.Request) {
				asked = r
				w.Header().Set(test.service.RequestID, "1")
			}))
			a, err := h.Do(t.Context(), wire.Request{Method: http.MethodPut, Path: "a/b", Query: "tagging", Header: http.Header{"X-A": {"b"}}, Body: []byte("body")})
			if err != nil || a.Status != http.StatusOK || a.String() != "200" {
				t.Fatalf("%v %v", a, err)
			}
			if got := asked.URL.String(); got != "https://bucket-1.example/a/b?tagging" {
				t.Errorf("asked for %s", got)
			}
			for header, want := range test.tokens {
				if got := asked.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			if got := asked.Header.Get("Content-MD5"); got != "hBotaJrYa9FhFEdFPCLG/A==" {
				t.Errorf("Content-MD5 is %q", got)
			}
			signature := asked.Header.Get("Authorization")
			if asked.Header.Get("X-A") != "b" || !strings.Contains(signature, test.signed) || !strings.Contains(signature, "q-ak=id&") {
				t.Errorf("headers %v", asked.Header)
			}
		})
	}
}

// TestSignature signs with the token or without, for an hour that begins as far ahead as
// the request says.
func TestSignature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // whose clock begins with the year 2000
		for _, test := range []struct {
			token, method string
			ahead         time.Duration
			wantTimes     string
			wantHeaders   []string // that the request has, besides the signature
		}{
			{"", http.MethodGet, 0, "946684800;946688400", nil},
			{"token", http.MethodGet, time.Hour, "946688400;946692000", []string{"X-Cos-Security-Token"}},
			{"", http.MethodPut, 0, "946684800;946688400", []string{"Content-Md5"}},
			{"", http.MethodPost, 0, "946684800;946688400", nil},
		} {
			var asked *http.Request
			h := host(wire.COS(), answering(func(_ http.ResponseWriter, r *http.Request) { asked = r }))
			h.Credentials.SessionToken = test.token
			_, _ = h.Do(t.Context(), wire.Request{Method: test.method, Ahead: test.ahead})
			signature := asked.Header.Get("Authorization")
			if !strings.Contains(signature, "q-sign-time="+test.wantTimes+"&q-key-time="+test.wantTimes+"&") {
				t.Errorf("%+v: %s", test, signature)
			}
			asked.Header.Del("Authorization")
			asked.Header.Del("Host") // the signer's own note
			if diff := cmp.Diff(test.wantHeaders, slices.Sorted(maps.Keys(asked.Header)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%+v: headers (-want +got):\n%s", test, diff)
			}
		}
	})
}

// TestAnswer compares whole answers, and what is said of those that are somebody else's.
func TestAnswer(t *testing.T) {
	t.Parallel()
	const gone = "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"
	for name, test := range map[string]struct {
		status       int
		header, body string // besides the request id
		want         wire.Answer
		wantText     string
	}{
		"found":     {200, "", gone, wire.Answer{Status: 200}, "200"},
		"not_XML":   {500, "", "broken", wire.Answer{Status: 500}, "500"},
		"no_code":   {404, "", "", wire.Answer{Status: 404}, "404"},
		"error":     {404, "", gone, wire.Answer{Status: 404, Code: "NoSuchKey", Message: "gone"}, `404 "NoSuchKey"`},
		"300":       {300, "", gone, wire.Answer{Status: 300, Code: "NoSuchKey", Message: "gone"}, `300 "NoSuchKey"`},
		"redirect":  {302, "Location: https://elsewhere.example/", "", wire.Answer{Status: 302}, "302"},
		"odd_clock": {200, "Date: yesterday", "", wire.Answer{Status: 200}, "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := host(wire.COS(), answering(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Cos-Request-Id", "1")
				if name, value, given := strings.Cut(test.header, ": "); given {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})).Do(t.Context(), wire.Request{Method: http.MethodGet})
			test.want.Header, test.want.Body = http.Header{"X-Cos-Request-Id": {"1"}}, []byte(test.body)
			if name, value, given := strings.Cut(test.header, ": "); given {
				test.want.Header.Set(name, value)
			}
			if diff := cmp.Diff(test.want, a); diff != "" || err != nil || a.String() != test.wantText {
				t.Errorf("%v, %v (-want +got):\n%s", a, err, diff)
			}
		})
	}
	for _, service := range []wire.Service{wire.COS(), wire.CI()} {
		_, err := host(service, answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>Log in</html>")
		})).Do(t.Context(), wire.Request{Method: http.MethodGet})
		want := &wire.NoAnswerError{
			Problem: "what answers is not " + service.Name + `: status 200, Content-Type "text/html"`,
			Remedy:  "check " + service.Name + "_ENDPOINT, and whether a proxy (HTTPS_PROXY) or a portal stands between",
		}
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Errorf("somebody else (-want +got):\n%s", diff)
		}
	}
}

// TestExplain has the errors of net/http that people meet.
func TestExplain(t *testing.T) {
	t.Parallel()
	const network, address = "check the network, proxies and firewalls between, ", "check the address"
	for name, test := range map[string]struct {
		err             error
		problem, remedy string // how they begin
	}{
		"cancelled":    {context.Canceled, "interrupted", "run it again"},
		"deadline":     {context.DeadlineExceeded, "no answer in time", network + "or give more time"},
		"timeout":      {&net.OpError{Err: os.ErrDeadlineExceeded}, "no answer in time", network + "or give more time"},
		"unknown_name": {&net.DNSError{Name: "cos.example"}, `the name "cos.example" is not known`, "check the spelling"},
		"slow_DNS":     {&net.DNSError{Name: "cos.example", IsTimeout: true}, "no answer in time", network + "or give more time"},
		"refused":      {&net.OpError{Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "nothing listens there: the connection was refused", address},
		"certificate":  {&tls.CertificateVerificationError{Err: errors.New("bad")}, "no secure connection: ", address},
		"record":       {tls.RecordHeaderError{Msg: "bad"}, "no secure connection: ", address},
		"authority":    {x509.UnknownAuthorityError{}, "no secure connection: ", address},
		"host":         {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, "no secure connection: ", address},
		"plain_HTTP":   {http.ErrSchemeMismatch, "no secure connection: ", address},
		"other":        {errors.New("broken"), "no answer: broken", network + "and run it again"},
	} {
		for _, err := range []error{test.err, &url.Error{Op: "Get", URL: "https://a.example/?token=secret", Err: test.err}} {
			e := wire.Explain(err)
			if !strings.HasPrefix(e.Problem, test.problem) || !strings.HasPrefix(e.Remedy, test.remedy) || e.Error() != e.Problem || strings.Contains(e.Problem, "secret") {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

// TestOffset has a service whose clock is an hour ahead, and an answer that takes ten
// seconds: half of them are its way there.
func TestOffset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := host(wire.COS(), answering(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(4 * time.Second)
			w.Header().Set("X-Cos-Request-Id", "1")
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			time.Sleep(4 * time.Second)
		}))
		a, err := h.Do(t.Context(), wire.Request{Method: http.MethodGet})
		if err != nil || a.Offset != time.Hour {
			t.Errorf("offset %v, %v", a.Offset, err)
		}
	})
}

// TestBounds has a service that does not answer, and one that does not stop.
func TestBounds(t *testing.T) {
	t.Parallel()
	if wire.MaxDuration != 10*time.Second || wire.MaxAnswerBytes != 1<<20 {
		t.Errorf("the bounds are %v and %d bytes", wire.MaxDuration, wire.MaxAnswerBytes)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := host(wire.COS(), func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}).Do(t.Context(), wire.Request{Method: http.MethodGet})
		if e, ok := errors.AsType[*wire.NoAnswerError](err); !ok || e.Problem != "no answer in time" || time.Since(began) != wire.MaxDuration {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
	a, err := host(wire.COS(), answering(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Cos-Request-Id", "1")
		w.Write(bytes.Repeat([]byte("x"), wire.MaxAnswerBytes+1))
	})).Do(t.Context(), wire.Request{Method: http.MethodGet})
	if err != nil || len(a.Body) != wire.MaxAnswerBytes {
		t.Errorf("%d bytes, %v", len(a.Body), err)
	}
}

// TestNoURLInErrors has an error of net/http, which holds the URL.
func TestNoURLInErrors(t *testing.T) {
	t.Parallel()
	h := host(wire.COS(), func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") })
	_, err := h.Do(t.Context(), wire.Request{Method: http.MethodGet, Query: "token=secret"})
	if err == nil || err.Error() != "no answer: broken" {
		t.Errorf("%v", err)
	}
	if again := wire.Explain(err); again != err {
		t.Errorf("explained twice it is %v", again)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Do(ctx, wire.Request{Method: http.MethodGet}); err == nil {
		t.Error("no error")
	}
}
