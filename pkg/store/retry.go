package store

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/cos-go-sdk-v5"
)

// longestTry bounds a single request. CI's own timeout is not documented; a request
// to COS that takes longer is stalled.
const longestTry = 5 * time.Second

// requestID is in every answer of COS.
// https://cloud.tencent.com/document/product/436/7729
const requestID = "x-cos-request-id"

// fromCOS tells whether a success is COS's own, and not that of a proxy or a portal on
// the way, which may have an ETag and a date too.
func fromCOS(r *cos.Response) bool { return r.Header.Get(requestID) != "" }

// ownWord makes errUnreadable of a success that is not COS's own.
func ownWord(r *cos.Response, err error) error {
	if err == nil && !fromCOS(r) {
		return errUnreadable
	}
	return err
}

// exponential is the usual wait between tries: 100 milliseconds, doubled each time, half
// of it left to chance, so that instances that failed together do not return together.
func exponential() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier, b.MaxInterval = 100*time.Millisecond, 2, 5*time.Second
	return b
}

// retry runs op until it succeeds, fails for good, or ctx ends. Its error is op's last;
// one that says no more than that the time was up does not take the place of another.
func retry[T any](ctx context.Context, s *Store, op func() (T, error)) (T, error) {
	var last error
	result, err := backoff.Retry(ctx, func() (T, error) {
		result, err := op()
		if last == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			last = err
		}
		if err != nil && !retryable(err) {
			err = backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(s.Backoff()), backoff.WithMaxElapsedTime(0))
	if err != nil {
		err = last
	}
	return result, err
}

// try makes one request of an SDK call, signed, counted, and within a quarter of the
// time left.
func (s *Store) try(ctx context.Context, call func(context.Context) (*cos.Response, error)) (*cos.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limit := longestTry
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/4)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.requests.Add(1)
	response, err := call(context.WithValue(ctx, credentialsKey{}, s.Credentials))
	if response == nil && err != nil && !errors.Is(err, errUnreadable) {
		// The connection may have died while the instance was frozen, and so may the
		// others: the next try dials.
		(&http.Client{Transport: s.pool.transport}).CloseIdleConnections()
	}
	return response, err
}
