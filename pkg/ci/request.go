package ci

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// headerRequestID is in every answer of CI.
// https://www.tencentcloud.com/document/product/1045/73113
const headerRequestID = "x-ci-request-id"

// headerSecurityToken is where CI wants the token of temporary keys. Tencent's Go SDK
// sends x-cos-security-token alone, its Python SDK this alone, so both are sent.
// https://cloud.tencent.com/document/product/1045/43609
const headerSecurityToken = "x-ci-security-token"

// A question is one request to CI, by the name of the CAM action that it needs.
type question struct {
	action string // such as DescribeMediaJobs
	path   string
	query  url.Values
}

// errLarge says that an answer is over LargeAnswerBytes and that another one is in memory.
var errLarge = errors.New("another large answer is in memory")

// ErrTooLarge says that an answer has more than MaxAnswerBytes. To ask for less at a time
// helps.
var ErrTooLarge = fmt.Errorf("the answer has more than %d bytes", MaxAnswerBytes)

// ask returns CI's answer to a question, taken apart. The caller closes it.
//
// A large answer that finds another in memory is let go of, and asked for again when its
// turn comes: to wait with an open connection would use up the time of the try.
func (b *Bucket) ask(ctx context.Context, q question) (*Answer, error) {
	a, err := b.retry(ctx, q, false)
	if !errors.Is(err, errLarge) {
		return a, err
	}
	select {
	case b.client.large <- struct{}{}:
	case <-ctx.Done():
		return nil, b.newError(q, ctx.Err())
	}
	return b.retry(ctx, q, true)
}

// retry asks up to MaxTries times. myTurn says that the caller has the turn for a large
// answer; it goes to the answer, or back if there is none.
func (b *Bucket) retry(ctx context.Context, q question, myTurn bool) (*Answer, error) {
	turn := &turn{of: b.client.large, held: myTurn}
	a, err := cosclient.Retry(ctx, b.client.session, func() (*Answer, error) { return b.try(ctx, q, turn) })
	if err != nil || !turn.held {
		turn.release()
		return a, err
	}
	a.release = turn.release
	return a, nil
}

// try asks once.
func (b *Bucket) try(ctx context.Context, q question, turn *turn) (*Answer, error) {
	var a *Answer
	err := b.client.session.Try(ctx, func(ctx context.Context) (err error) {
		a, err = b.send(ctx, q, turn)
		return err
	})
	switch {
	case errors.Is(err, errLarge):
		return nil, err // bare, so that it is not tried again at once
	case err != nil:
		return nil, b.newError(q, err)
	}
	return a, nil
}

// send makes the request and reads the answer.
func (b *Bucket) send(ctx context.Context, q question, turn *turn) (*Answer, error) {
	target := *b.url
	target.Path, target.RawQuery = q.path, q.query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if token := b.client.session.Credentials.SessionToken; token != "" {
		request.Header.Set(headerSecurityToken, token)
	}
	response, err := b.client.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, readError(response)
	}
	if response.Header.Get(headerRequestID) == "" {
		return nil, fmt.Errorf("%w: it has no %s", cosclient.ErrNotFromService, headerRequestID)
	}
	body, err := turn.read(response)
	if err != nil {
		return nil, err
	}
	a := &Answer{RequestID: response.Header.Get(headerRequestID), body: body}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.Date = date
	}
	return a, a.parse()
}

// readError reads an answer that is no success: COS's Error with a Code.
// https://cloud.tencent.com/document/product/436/7730
func readError(response *http.Response) error {
	e := &cos.ErrorResponse{Response: response}
	body, err := io.ReadAll(response.Body) // the transport bounds it
	if err == nil && xml.Unmarshal(body, e) != nil {
		e.Code = ""
	}
	return e
}

// A turn is the right to have a large answer in memory.
type turn struct {
	of   chan struct{}
	held bool
}

// take takes the turn, and reports whether it was free.
func (t *turn) take() bool {
	if !t.held {
		select {
		case t.of <- struct{}{}:
			t.held = true
		default:
		}
	}
	return t.held
}

// release lets another have the turn.
func (t *turn) release() {
	if t.held {
		<-t.of
		t.held = false
	}
}

// read reads an answer whole. It keeps the turn if the answer is large, and gives it back
// if it is not.
func (t *turn) read(response *http.Response) ([]byte, error) {
	size := int(min(response.ContentLength, MaxAnswerBytes+1)) // -1 where it is not known
	if size > MaxAnswerBytes {
		return nil, ErrTooLarge
	}
	if size <= LargeAnswerBytes {
		body, err := readUpTo(response.Body, size, LargeAnswerBytes, nil)
		if err != nil || len(body) <= LargeAnswerBytes {
			t.release()
			return body, err
		}
		if !t.take() {
			return nil, errLarge
		}
		body, err = readUpTo(response.Body, MaxAnswerBytes, MaxAnswerBytes, body)
		if err == nil && len(body) > MaxAnswerBytes {
			err = ErrTooLarge
		}
		return body, err
	}
	if !t.take() {
		return nil, errLarge
	}
	return readUpTo(response.Body, size, MaxAnswerBytes, nil)
}

// readUpTo appends what r holds to what was read before, and stops one byte beyond a limit.
// size is how long it is expected to be in the end.
func readUpTo(r io.Reader, size, limit int, before []byte) ([]byte, error) {
	body := bytes.NewBuffer(make([]byte, 0, max(size, len(before))+bytes.MinRead))
	body.Write(before)
	_, err := body.ReadFrom(io.LimitReader(r, int64(limit+1-len(before))))
	return body.Bytes(), err
}

// ErrBadRequest is wrapped by the error of a request that CI takes for a wrong one: a type
// of jobs that it does not know, or a nextToken that is not good any more.
var ErrBadRequest = errors.New("CI takes the request for a wrong one")

// ErrNotFound is wrapped by the error of a request about a workflow run that CI does not
// know, or has forgotten.
var ErrNotFound = errors.New("CI does not know it")

// newError says what was asked, how CI put it, and what to do. Of the answer's text it
// shows the error code and the request id alone.
func (b *Bucket) newError(q question, err error) error {
	e := &cosclient.Error{Verb: "ask CI for", Object: q.path + " of bucket " + b.name, Kind: cosclient.ErrUnavailable, Err: err}
	answer, ok := errors.AsType[*cos.ErrorResponse](err)
	if !ok {
		explained := cosclient.NewError(e.Verb, e.Object, nil, err)
		if errors.Is(err, ErrTooLarge) {
			explained.Kind = cosclient.ErrMisconfigured // to ask for the same again is of no use
		}
		return explained
	}
	header := answer.Response.Header
	e.Status, e.Code = answer.Response.StatusCode, fmt.Sprintf("%.80s", answer.Code)
	id := cmp.Or(header.Get(headerRequestID), header.Get("x-cos-request-id"))
	e.Err = fmt.Errorf("%d %s (request id %.80q)", e.Status, e.Code, id)
	if e.Status >= 500 || e.Status == http.StatusTooManyRequests {
		return e
	}
	if id == "" {
		e.Remedy = "it is not CI that answers: check CI_ENDPOINT, and what is on the way"
		return e
	}
	for _, r := range meanings {
		if (r.status == 0 || r.status == e.Status) && (r.code == "" || r.code == e.Code) {
			e.Kind = r.kind
			e.Remedy = strings.NewReplacer("{action}", q.action, "{bucket}", b.name).Replace(r.remedy)
			if r.is != nil {
				e.Err = fmt.Errorf("%w: %w", r.is, e.Err)
			}
			return e
		}
	}
	return e
}

// A meaning is what an answer with a status and an error code stands for.
type meaning struct {
	status int    // 0 stands for any
	code   string // "" stands for any
	kind   error  // cosclient.ErrUnavailable or cosclient.ErrMisconfigured
	is     error  // ErrBadRequest or ErrNotFound; nil for others
	remedy string // what to do about it, with {action} and {bucket} to be filled in
}

// The remedies of more than one meaning.
const (
	checkRole   = "CI does not accept the credentials: check the function's execution role"
	checkClock  = "the clock of this machine differs from CI's: set it"
	checkBucket = "there is no bucket {bucket} in that region: check its name and region (RECONCILE_BUCKETS)"
)

// meanings are tried in this order. The codes are COS's own, which CI uses.
// https://cloud.tencent.com/document/product/436/7730
var meanings = []meaning{
	{http.StatusForbidden, "RequestTimeTooSkewed", cosclient.ErrUnavailable, nil, checkClock},
	{http.StatusForbidden, "InvalidAccessKeyId", cosclient.ErrMisconfigured, nil, checkRole},
	{http.StatusForbidden, "SignatureDoesNotMatch", cosclient.ErrMisconfigured, nil, checkRole},
	{http.StatusForbidden, "", cosclient.ErrMisconfigured, nil, "grant ci:{action} on bucket {bucket} to the function's execution role"},
	{http.StatusUnauthorized, "", cosclient.ErrMisconfigured, nil, checkRole},
	{http.StatusBadRequest, "ExpiredToken", cosclient.ErrMisconfigured, nil, checkRole},
	{http.StatusRequestTimeout, "", cosclient.ErrUnavailable, nil, ""},
	{http.StatusNotFound, "NoSuchBucket", cosclient.ErrMisconfigured, nil, checkBucket},
	{http.StatusNotFound, "", cosclient.ErrMisconfigured, ErrNotFound, "check its id; CI forgets what is older than about a month"},
	{http.StatusBadRequest, "", cosclient.ErrMisconfigured, ErrBadRequest, "check the type (RECONCILE_TYPES) or id that was asked about"},
	{0, "", cosclient.ErrMisconfigured, nil, "CI does not take this request: check CI_ENDPOINT, and that CI is enabled for bucket {bucket}"},
}
