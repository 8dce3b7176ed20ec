package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

func TestAnswer(t *testing.T) {
	t.Parallel()
	known := func(w http.ResponseWriter) { w.Header().Set("X-Cos-Request-Id", "1") }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string // as the answer or the error says it
		code   string
	}{
		"error": {func(w http.ResponseWriter, _ *http.Request) {
			known(w)
			w.WriteHeader(404)
			io.WriteString(w, "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>")
		}, `404 "NoSuchKey"`, "NoSuchKey"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			known(w)
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}, "302", ""},
		"somebody_else": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>Log in</html>")
		}, `what answers is not COS: status 200, Content-Type "text/html"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := host(wire.COS(), answering(test.answer)).Do(t.Context(), wire.Request{Method: http.MethodGet})
			said := a.String()
			if err != nil {
				said = err.Error()
			}
			if said != test.want || a.Code != test.code {
				t.Errorf("%q, code %q", said, a.Code)
			}
		})
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
