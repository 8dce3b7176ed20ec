package cosclient

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// What an operation that failed can be, whatever else its error says.
var (
	// ErrUnavailable means that the service is out of reach or throttles, or that the time
	// is up. The same operation can succeed later.
	ErrUnavailable = errors.New("the service is unavailable")
	// ErrMisconfigured means that the service refuses, and will, until a setting or a
	// permission is changed.
	ErrMisconfigured = errors.New("misconfigured")
)

// ErrNotFromService means that a success came from something on the way, such as a proxy
// or a portal, and not from the service itself.
var ErrNotFromService = errors.New("the answer does not come from the service")

// headerRequestID is in every answer of COS.
// https://cloud.tencent.com/document/product/436/7729
const headerRequestID = "x-cos-request-id"

// IsFromCOS reports whether an answer is COS's own, and not that of a proxy or a portal on
// the way, which may have an ETag and a date too.
func IsFromCOS(header http.Header) bool { return header.Get(headerRequestID) != "" }

// RequireCOS returns err, or [ErrNotFromService] for a success that is not COS's own.
func RequireCOS(response *cos.Response, err error) error {
	if err == nil && !IsFromCOS(response.Header) {
		return ErrNotFromService
	}
	return err
}

// An Error says which request failed, on what, how the service put it, and what to do. It
// wraps [ErrUnavailable] or [ErrMisconfigured].
type Error struct {
	Verb   string // what was asked of the service, such as put
	Object string // of what, such as bucket and key
	Status int    // of the answer; 0 where there was none
	Code   string // the service's error code, such as AccessDenied
	Err    error  // the cause
	Kind   error  // ErrUnavailable or ErrMisconfigured
	Remedy string // what to do, where something can be done
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %v", e.Verb, e.Object, e.Err)
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

// Unwrap returns the kind of the error and its cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// A Rule says what an answer with a status and an error code means.
type Rule struct {
	Status int    // 0 stands for any
	Code   string // "" stands for any, NoCode for none
	Kind   error  // ErrUnavailable or ErrMisconfigured
	Remedy string // what to do about it
}

// NoCode is the Code of a [Rule] for answers that have none.
const NoCode = "-"

// matches reports whether the rule is about an answer with this status and code.
func (r Rule) matches(status int, code string) bool {
	return (r.Status == 0 || r.Status == status) && (r.Code == "" || r.Code == code || r.Code == NoCode && code == "")
}

// NewError turns an error of the SDK into an [*Error]. An answer of the service is what the
// first rule says that matches it; any 5xx, and what is no answer at all, is
// [ErrUnavailable]. Of the answer's text, it shows the error code and the request id alone.
func NewError(verb, object string, rules []Rule, err error) *Error {
	e := &Error{Verb: verb, Object: object, Kind: ErrUnavailable, Err: stripURL(err)}
	answer, ok := errors.AsType[*cos.ErrorResponse](err)
	if !ok {
		return e
	}
	e.Status, e.Code = answer.Response.StatusCode, fmt.Sprintf("%.80s", answer.Code)
	e.Err = fmt.Errorf("%d %s (request id %.80q)", e.Status, e.Code, answer.Response.Header.Get(headerRequestID))
	if e.Status >= 500 {
		return e
	}
	for _, rule := range rules {
		if rule.matches(e.Status, e.Code) {
			e.Kind, e.Remedy = rule.Kind, rule.Remedy
			break
		}
	}
	return e
}

// Retryable reports whether the next try may go better: on 500, 502, 503, 504 and 429,
// where no answer came, and where another instance was faster.
func Retryable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != ErrUnavailable {
		return false
	}
	switch e.Status {
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	default:
		return false
	}
}

// IsDenied reports whether the service refused a request on one object or bucket to
// someone whose credentials it accepts: a permission is missing.
func IsDenied(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusForbidden && (e.Code == "AccessDenied" || e.Code == "AccessForbidden" || e.Code == "")
}

// MostSevere returns the error that decides what is to be done, or nil if there is none: a
// bug before a setting, and that before a service that is out of reach.
func MostSevere(errs []error) error {
	severity := func(err error) int {
		switch {
		case err == nil:
			return 0
		case errors.Is(err, ErrUnavailable):
			return 1
		case errors.Is(err, ErrMisconfigured):
			return 2
		default:
			return 3
		}
	}
	var found error
	for _, err := range errs {
		if severity(err) > severity(found) {
			found = err
		}
	}
	return found
}

// stripURL takes off what the SDK and net/http put around an error: the URL, and the list
// of the SDK's own tries.
func stripURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	if _, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return ErrNotFromService
	}
	if _, ok := errors.AsType[xml.UnmarshalError](err); ok {
		return ErrNotFromService
	}
	return err
}
