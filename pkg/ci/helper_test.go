package ci_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/goleak"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	media  = "media-1250000000"
	region = "ap-guangzhou"
)

// fakeCI answers requests as it is told to, and keeps them.
type fakeCI struct {
	answer func(*http.Request) *http.Response

	mu       sync.Mutex
	requests []*http.Request
}

func (f *fakeCI) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	f.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := f.answer(r)
	response.Request = r
	return response, nil
}

// urls returns what was asked for, in order.
func (f *fakeCI) urls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var urls []string
	for _, r := range f.requests {
		urls = append(urls, r.URL.RequestURI())
	}
	return urls
}

// answer is an answer of CI's with this status and body.
func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"X-Ci-Request-Id": {"request-1"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// errorAnswer is an error of CI's.
func errorAnswer(status int, code string) *http.Response {
	return answer(status, fmt.Sprintf("<Error><Code>%s</Code><Message>secret text</Message></Error>", code))
}

// always answers every request in the same way.
func always(status int, body string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response { return answer(status, body) }
}

// newBucket returns a bucket of a client that does not wait between tries.
func newBucket(t testing.TB, transport http.RoundTripper) *ci.Bucket {
	t.Helper()
	return bucketOf(t, newClient(transport), media)
}

func newClient(transport http.RoundTripper) *ci.Client {
	return ci.NewClient(ci.Options{
		Transport:   transport,
		Credentials: cosclient.Credentials{SecretID: "id", SecretKey: "key", SessionToken: "token"},
		Backoff:     func() backoff.BackOff { return &backoff.ZeroBackOff{} },
	})
}

func bucketOf(t testing.TB, client *ci.Client, name string) *ci.Bucket {
	t.Helper()
	b, err := client.Bucket(name, region)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// list asks for the first page of the Transcode jobs.
func list(ctx context.Context, b *ci.Bucket) (*ci.Jobs, error) {
	return b.ListJobs(ctx, ci.JobsQuery{Tag: "Transcode"})
}
