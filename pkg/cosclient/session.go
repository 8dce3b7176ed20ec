package cosclient

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Credentials are an API key of Tencent Cloud, temporary ones with a session token.
type Credentials struct {
	SecretID, SecretKey, SessionToken string
}

// A Session is what the requests of one invocation share.
type Session struct {
	Credentials Credentials

	// Backoff returns the waits between the tries of one operation; nil means exponential
	// ones from 100 milliseconds to 5 seconds, with jitter.
	Backoff func() backoff.BackOff
	// MaxTries is how often an operation is tried; 0 means until its context ends.
	MaxTries uint
	// MaxTry is how long a single try may take; 0 means 5 seconds.
	MaxTry time.Duration
	// Slots bounds how many requests are under way at a time, by its capacity. Sessions may
	// share it; nil means no bound.
	Slots chan struct{}

	requests atomic.Int64
}

// Requests returns how many requests were made, each try counted.
func (s *Session) Requests() int64 { return s.requests.Load() }

// defaultMaxTry bounds a single request: one to COS that takes longer is stalled.
const defaultMaxTry = 5 * time.Second

// The keys of what a context carries.
type (
	sessionKey   struct{} // the *Session that makes the request
	wholeTimeKey struct{} // set by WithWholeTime
)

// WithWholeTime returns a context with which a try may take all of the time left, instead
// of a quarter: for a last request, after which nothing is to come.
func WithWholeTime(ctx context.Context) context.Context {
	return context.WithValue(ctx, wholeTimeKey{}, true)
}

// Try makes one request. It waits for a slot, and then calls request with a context that
// ends after a quarter of the time left, and MaxTry at the latest. A request that is made
// with that context, over a transport of [Wrap], is signed with the session's credentials
// and counted.
func (s *Session) Try(ctx context.Context, request func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Slots != nil {
		select {
		case s.Slots <- struct{}{}:
			defer func() { <-s.Slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.tryLimit(ctx))
	defer cancel()
	return request(context.WithValue(ctx, sessionKey{}, s))
}

// tryLimit returns how long a try may take.
func (s *Session) tryLimit(ctx context.Context) time.Duration {
	limit := s.MaxTry
	if limit == 0 {
		limit = defaultMaxTry
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return limit
	}
	left := time.Until(deadline)
	if ctx.Value(wholeTimeKey{}) == nil {
		left /= 4
	}
	return min(limit, left)
}

// Retry calls op until it succeeds, fails for good, or ctx ends: whether it may go better
// the next time is for [Retryable]. Its error is op's last, but one that says no more than
// that the time was up does not take the place of another.
func Retry[T any](ctx context.Context, s *Session, op func() (T, error)) (T, error) {
	waits := exponentialBackoff
	if s.Backoff != nil {
		waits = s.Backoff
	}
	var last error
	result, err := backoff.Retry(ctx, func() (T, error) {
		result, err := op()
		if last == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			last = err
		}
		if err != nil && !Retryable(err) {
			err = backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(waits()), backoff.WithMaxElapsedTime(0), backoff.WithMaxTries(s.MaxTries))
	if err != nil {
		err = last
	}
	return result, err
}

// exponentialBackoff returns the usual waits between tries: 100 milliseconds, doubled each
// time, half of it left to chance, so that instances that failed together do not return
// together.
func exponentialBackoff() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier, b.MaxInterval = 100*time.Millisecond, 2, 5*time.Second
	return b
}
