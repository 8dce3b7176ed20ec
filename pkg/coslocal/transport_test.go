package coslocal_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// inBubble returns the SDK for a server without a socket.
func inBubble(t testing.TB, s *coslocal.Server) *cos.Client {
	t.Helper()
	base, err := url.Parse("https://" + bucket + ".cos." + region + ".myqcloud.com")
	must(t, err)
	c := coslocal.DefaultCredential()
	sdk := cos.NewClient(&cos.BaseURL{BucketURL: base}, &http.Client{
		Transport: &cos.AuthorizationTransport{SecretID: c.SecretID, SecretKey: c.SecretKey, Transport: s},
	})
	sdk.Conf.RetryOpt.Count = 1
	return sdk
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sdk := inBubble(t, newMemory(t, coslocal.Options{}))
	_, err := sdk.Object.Put(ctx, "a/目 录+1.txt", strings.NewReader("hello"), nil)
	must(t, err)
	_, err = sdk.Object.PutTagging(ctx, "a/目 录+1.txt", &cos.ObjectPutTaggingOptions{TagSet: []cos.ObjectTaggingTag{{Key: "k", Value: "v"}}})
	must(t, err)
	response, err := sdk.Object.Get(ctx, "a/目 录+1.txt", nil)
	must(t, err)
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "hello" || err != nil || response.Header.Get("x-cos-request-id") == "" {
		t.Errorf("got %q, %v, %v", body, err, response.Header)
	}
	_, err = sdk.Object.Head(ctx, "b", nil)
	wantCode(t, err, "", http.StatusNotFound)
	_, err = sdk.Object.Put(ctx, "empty", strings.NewReader(""), nil)
	must(t, err)
}

// TestRoundTripLength: what the log has of a body's length is what a connection would bring.
func TestRoundTripLength(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method string
		body   io.Reader // of which net/http does not know the length, but of strings.Reader
		length int64
		header string // Content-Length
	}{
		"known": {http.MethodPut, strings.NewReader("body"), 4, "4"}, "unknown": {http.MethodPut, io.MultiReader(strings.NewReader("body")), -1, ""},
		"empty": {http.MethodPut, http.NoBody, 0, "0"}, "empty_POST": {http.MethodPost, nil, 0, "0"}, "GET": {http.MethodGet, nil, 0, ""},
	} {
		s := newMemory(t, coslocal.Options{})
		r, err := http.NewRequest(test.method, "http://"+bucket+".cos."+region+".localhost/k", test.body)
		must(t, err)
		response, err := s.RoundTrip(r)
		must(t, err)
		response.Body.Close()
		if got := s.Requests()[0]; got.ContentLength != test.length || got.Header.Get("Content-Length") != test.header {
			t.Errorf("%s: length %d, header %q", name, got.ContentLength, got.Header.Get("Content-Length"))
		}
	}
}

// TestHeaderNames takes names as no connection brings them, if all of them are so too.
func TestHeaderNames(t *testing.T) {
	t.Parallel()
	r := signed(newRequest(t, http.MethodGet, "/", ""))
	r.Header = http.Header{"authorization": r.Header["Authorization"], "x-cos-a": {"b"}}
	s := newMemory(t, coslocal.Options{})
	wantAnswer(t, do(s, r), http.StatusOK, "")
	if got := s.Requests()[0].Header.Get("X-Cos-A"); got != "b" {
		t.Errorf("the log has %q", got)
	}
}

// A RoundTripper must leave the request as it is.
func TestRoundTripLeavesTheRequest(t *testing.T) {
	t.Parallel()
	r := signed(newRequest(t, http.MethodPut, "/a", "x"))
	r.Header["content-md5"] = []string{"nVd5Dn0mNyAEK+f9ZSZjSA=="} // as the Go SDK spells it, and wrong
	before := r.Clone(t.Context())
	response, err := newMemory(t, coslocal.Options{}).RoundTrip(r)
	must(t, err)
	response.Body.Close()
	if diff := cmp.Diff(before.Header, r.Header); diff != "" || r.RequestURI != "" || r.URL.String() != before.URL.String() || response.Request != r {
		t.Errorf("the request was changed (-want +got):\n%s", diff)
	}
}

// What goes wrong with a connection goes wrong without one, and takes no time where the
// clock is a bubble's.
func TestRoundTripFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newMemory(t, coslocal.Options{})
		sdk := inBubble(t, s)
		put := func(ctx context.Context) error {
			_, err := sdk.Object.Put(ctx, "a", strings.NewReader("hello"), nil)
			return err
		}

		remove := s.Inject(coslocal.Fault{Reset: true})
		if err := put(t.Context()); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reset: %v", err)
		}
		remove()

		remove = s.Inject(coslocal.Fault{Delay: time.Hour})
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := put(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Minute {
			t.Errorf("given up: %v after %v", err, time.Since(started))
		}
		if _, found := s.Object(bucket, "a"); found {
			t.Error("given up, and stored")
		}
		started = time.Now()
		if err := put(t.Context()); err != nil || time.Since(started) != time.Hour {
			t.Errorf("late: %v after %v", err, time.Since(started))
		}
		remove()

		s.Inject(coslocal.Fault{Truncate: true})
		response, err := sdk.Object.Get(t.Context(), "a", nil)
		must(t, err)
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); string(body) != "he" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut short: %q, %v", body, err)
		}
	})
}

// A body of unknown length arrives in chunks, as over a connection.
func TestRoundTripUnknownLength(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	r := newRequest(t, http.MethodPut, "/a", "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("hello")), -1
	response, err := s.RoundTrip(signed(r))
	must(t, err)
	defer response.Body.Close()
	if o, _ := s.Object(bucket, "a"); response.StatusCode != http.StatusOK || string(o.Body) != "hello" {
		body, _ := io.ReadAll(response.Body)
		t.Errorf("%d %s, stored %q", response.StatusCode, body, o.Body)
	}
}

// TestHandlerTransport shows what a handler sees of a request that came over no socket, and
// what its client sees of the answer.
func TestHandlerTransport(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: coslocal.HandlerTransport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.Host+r.RequestURI+" "+r.RemoteAddr+" "+string(body))
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Too-Late", "1")
		_, _ = io.WriteString(w, "hello")
	})}}
	response, err := client.Post("http://a.localhost/b?c=d", "text/plain", strings.NewReader("x"))
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusTeapot || string(body) != "hello" || response.Header.Get("X-Too-Late") != "" ||
		response.Header.Get("X-Seen") != "POST a.localhost/b?c=d 127.0.0.1:0 x" {
		t.Errorf("%s %v %q", response.Status, response.Header, body)
	}
}
