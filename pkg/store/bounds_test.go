package store_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// endless answers every request with a status and a body that does not end, and counts
// what is read of it.
type endless struct {
	status int
	read   atomic.Int64
}

func (e *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: e.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: http.Header{"X-Cos-Request-Id": {"x"}},
		Body:   io.NopCloser(io.MultiReader(strings.NewReader("<Tagging><TagSet>"), tags{r.Context(), e})),
	}, nil
}

// tags is the body, which ends with its context all the same.
type tags struct {
	context.Context
	of *endless
}

func (t tags) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat("<Tag><Key>a</Key><Value>b</Value></Tag>", 100))
	t.of.read.Add(int64(n))
	return n, t.Err()
}

// Of an answer without an end, not more than a little is read into memory.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		do     func(context.Context, *store.Store) error
	}{
		"error_of_put": {http.StatusForbidden, func(ctx context.Context, s *store.Store) error {
			_, _, err := s.PutRecord(ctx, first())
			return err
		}},
		"error_of_get_tags": {http.StatusForbidden, func(ctx context.Context, s *store.Store) error {
			_, err := s.TagOutput(ctx, output(), ended)
			return err
		}},
		"no_error_and_no_success": {http.StatusMultipleChoices, func(ctx context.Context, s *store.Store) error {
			_, err := s.TagOutput(ctx, output(), ended)
			return err
		}},
		"conflict": {http.StatusConflict, func(ctx context.Context, s *store.Store) error {
			_, err := s.PutRejected(ctx, page, "")
			return err
		}},
		"tag_set": {http.StatusOK, func(ctx context.Context, s *store.Store) error {
			_, err := s.TagOutput(ctx, output(), ended)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &endless{status: test.status}
			s, err := store.NewPool(e).Open(options())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = test.do(ctx, s)
			if _, ok := errors.AsType[*cosclient.Error](err); !ok {
				t.Errorf("err = %v; want a *cosclient.Error", err)
			}
			if n, most := e.read.Load(), s.Requests()*(2<<20); n > most {
				t.Errorf("%d bytes were read of %d answers", n, s.Requests())
			}
		})
	}
}
