package store

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// What an operation that failed can be, whatever else its error says.
var (
	// ErrUnavailable: COS is out of reach, throttles, or the time is up. Coming again helps.
	ErrUnavailable = errors.New("COS is unavailable")
	// ErrMisconfigured: COS refuses, and will, until a setting or a permission is changed.
	ErrMisconfigured = errors.New("misconfigured")
)

var (
	errUnreadable = errors.New("the answer is not COS's")
	errContended  = errors.New("other instances keep writing it")
)

// Error says which request failed, on what, how COS put it, and what to do. It wraps
// ErrUnavailable or ErrMisconfigured.
type Error struct {
	Op     string // what was asked of COS, such as put
	Object string // bucket and key
	Status int    // of COS's answer; 0 where there was none
	Code   string // COS's error code, such as AccessDenied
	Err    error  // the cause
	kind   error
	remedy string
	absent bool // COS says that there is no such object or bucket
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err)
	if e.remedy != "" {
		s += ": " + e.remedy
	}
	return s
}

// Unwrap gives the kind of the error and its cause.
func (e *Error) Unwrap() []error { return []error{e.kind, e.Err} }

// retryable tells whether the next try may go better: on 500, 502, 503, 504 and 429,
// where no answer of COS came, and where another instance was faster.
func retryable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return e.kind == ErrUnavailable
	default:
		return false
	}
}

// operation is a request to COS, by the name of the CAM action that a role needs for it.
type operation string

const (
	putObject  operation = "PutObject"
	getObject  operation = "GetObject"
	headObject operation = "HeadObject"
	getTags    operation = "GetObjectTagging"
	putTags    operation = "PutObjectTagging"
)

// does says what a request does, for messages.
func (op operation) does() string {
	switch op {
	case putObject:
		return "put"
	case getTags:
		return "get tags of"
	case putTags:
		return "put tags of"
	case headObject:
		return "head"
	default:
		return "get"
	}
}

// explain turns an error of the SDK into an *Error. It shows no text of the answer but
// COS's error code and request id.
func explain(op operation, bucket, key string, err error) error {
	e := &Error{Op: op.does(), Object: bucket + "/" + key, kind: ErrUnavailable, Err: cause(err)}
	response, ok := errors.AsType[*cos.ErrorResponse](err)
	if !ok {
		return e
	}
	e.Status, e.Code = response.Response.StatusCode, fmt.Sprintf("%.80s", response.Code)
	e.Err = fmt.Errorf("%d %s (request id %.80q)", e.Status, e.Code, response.Response.Header.Get(requestID))
	// The answer to a HEAD has no code, so that a missing bucket and a missing key look alike.
	e.absent = e.Status == http.StatusNotFound && (e.Code == "NoSuchKey" || e.Code == "NoSuchBucket" || op == headObject)
	switch {
	case retryable(e):
	case e.Status >= 500 || e.Status == http.StatusConflict:
	case e.Status == http.StatusRequestTimeout || e.Code == "RequestTimeout" || e.Code == "UserNetworkTooSlow" ||
		e.Code == "BadDigest" || e.Code == "IncompleteBody" || e.Code == "RequestTimeTooSkewed":
		// broken on the way, or the clock of an instance that was frozen: the client may send it again
	case e.Code == "NoSuchBucket":
		e.misconfigured("there is no such bucket in that region: check RECORD_BUCKET and RECORD_REGION")
	case e.Code == "AccessDenied" || e.Code == "AccessForbidden" || e.Status == http.StatusForbidden && e.Code == "":
		e.misconfigured("grant name/cos:" + string(op) + " on this object to the function's execution role")
	case e.Status == http.StatusForbidden || e.Code == "ExpiredToken":
		e.misconfigured("COS does not accept the credentials: check the function's execution role")
	case e.Code == "InvalidTag":
		e.misconfigured("COS does not take the tag set: check MD5_TAG_KEY and the object's other tags")
	case e.Status == http.StatusPaymentRequired || e.Status == http.StatusUnavailableForLegalReasons:
		e.misconfigured("COS refuses the account: check its balance and state")
	default:
		e.misconfigured("COS does not take this request: check COS_ENDPOINT, RECORD_BUCKET and RECORD_REGION")
	}
	return e
}

func (e *Error) misconfigured(remedy string) { e.kind, e.remedy = ErrMisconfigured, remedy }

// cause takes off what the SDK and net/http put around an error: the URL, and the list
// of the SDK's own tries.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	if _, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return errUnreadable
	}
	if _, ok := errors.AsType[xml.UnmarshalError](err); ok {
		return errUnreadable
	}
	return err
}

// PanicError is a panic that was caught, with the stack where it happened.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Recover, deferred, makes a panic of its goroutine an error. Without it, a panic in
// any goroutine ends the whole process.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
