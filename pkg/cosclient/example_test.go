package cosclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// throttled is the answer of a COS that is asked too often.
func throttled() error {
	return &cos.ErrorResponse{Code: "SlowDown", Response: &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}}}
}

// The service throttles twice and then answers. What is worth another try is tried again.
func ExampleRetry() {
	s := &cosclient.Session{Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Microsecond) }}
	tries := 0
	answer, err := cosclient.Retry(context.Background(), s, func() (string, error) {
		if tries++; tries < 3 {
			return "", cosclient.NewError("get", "ci/jobs/j1.json", nil, throttled())
		}
		return "the record", nil
	})
	fmt.Println(answer, err, tries)
	// Output: the record <nil> 3
}

// What an answer means, and what to do about it, stands in rules.
func ExampleNewError() {
	rules := []cosclient.Rule{{Status: http.StatusForbidden, Kind: cosclient.ErrMisconfigured, Remedy: "give the role the permission"}}
	denied := &cos.ErrorResponse{Code: "AccessDenied", Response: &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}}}
	err := cosclient.NewError("put", "ci/jobs/j1.json", rules, denied)
	fmt.Println(errors.Is(err, cosclient.ErrMisconfigured), cosclient.Retryable(err), cosclient.IsDenied(err), err.Remedy)
	// Output: true false true give the role the permission
}
