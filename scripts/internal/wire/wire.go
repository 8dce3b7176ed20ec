// Package wire sends single signed requests to COS and CI and returns the answers as they
// came: status, header, error code and body. It is for programs that want to know how the
// services behave. The SDK stands in the way of that: it tries again, takes an empty
// answer for an empty list, and hides the code of an error.
//
// It makes one try, follows no redirect, and reads no more than a megabyte of an answer.
// No error of it shows a URL, which may hold a token.
package wire

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// MaxAnswerBytes is how much of an answer is read.
const MaxAnswerBytes = 1 << 20

// MaxDuration is how long a single request may take, so that one that stalls leaves time
// to ask the rest.
const MaxDuration = 10 * time.Second

// Service is one of the two services that share the signature.
type Service struct {
	Name string // for people
	// RequestID is the header that every answer of the service has. An answer without it
	// comes from something that stands between.
	RequestID string
	// TokenHeaders are the headers that the session token of a temporary key goes in.
	TokenHeaders []string
	// EndpointVariable is the variable that says where the service is.
	EndpointVariable string
}

// COS returns object storage: https://cloud.tencent.com/document/product/436/7729.
func COS() Service {
	return Service{"COS", "X-Cos-Request-Id", []string{"X-Cos-Security-Token"}, "COS_ENDPOINT"}
}

// CI returns Cloud Infinite. Its documents demand a header of its own for the token, and
// two of its SDKs send COS's, so that both are sent:
// https://cloud.tencent.com/document/product/1045/43609.
func CI() Service {
	return Service{"CI", "X-Ci-Request-Id", []string{"X-Ci-Security-Token", "X-Cos-Security-Token"}, "CI_ENDPOINT"}
}

// Client is what requests are sent and signed with. A RoundTripper of a test can stand in
// the place of the network, and a clock in that of the machine's.
type Client struct {
	Transport   http.RoundTripper
	Credentials cosclient.Credentials
	Now         func() time.Time
}

// HTTP returns an http.Client that follows no redirect: what is asked for is what this
// very address answers.
func (c Client) HTTP() *http.Client {
	return &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Host is a bucket at one of the services.
type Host struct {
	Client
	Service Service
	Bucket  string
	Base    *url.URL // https://<bucket>.cos.<region>.myqcloud.com, say
}

// Request is one request to a host.
type Request struct {
	Method string
	Path   string // without the leading slash: an object's key, or jobs
	Query  string // such as tagging
	Header http.Header
	Body   []byte
	Ahead  time.Duration // how far in the future the signature begins
}

// Answer is an answer of the service, an error of its own too.
type Answer struct {
	Status  int
	Code    string // the service's error code; the answer to a HEAD has none
	Message string
	Header  http.Header
	Body    []byte
	Offset  time.Duration // the service's clock less ours
}

// String returns what identifies an answer: its status and error code.
func (a Answer) String() string {
	if a.Code == "" {
		return fmt.Sprint(a.Status)
	}
	return fmt.Sprintf("%d %.80q", a.Status, a.Code)
}

// Do signs and sends a request. Its error is a [*NoAnswerError], where no answer of the
// service came.
func (h Host) Do(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxDuration)
	defer cancel()
	request, err := h.build(ctx, r)
	if err != nil {
		return Answer{}, Explain(err)
	}
	began := h.Now()
	h.sign(request, began.Add(r.Ahead))
	response, err := h.HTTP().Do(request)
	if err != nil {
		return Answer{}, Explain(err)
	}
	defer response.Body.Close()
	halfway := began.Add(h.Now().Sub(began) / 2)
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswerBytes))
	if err != nil {
		return Answer{}, Explain(err)
	}
	return h.read(response, body, halfway)
}

func (h Host) build(ctx context.Context, r Request) (*http.Request, error) {
	u := *h.Base
	u.Path, u.RawQuery = "/"+r.Path, r.Query
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	if r.Method == http.MethodPut {
		sum := md5.Sum(r.Body)
		request.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	return request, nil
}

// sign signs a request for an hour. The headers of the token are set before, so that the
// signature covers them.
func (h Host) sign(request *http.Request, start time.Time) {
	if token := h.Credentials.SessionToken; token != "" {
		for _, name := range h.Service.TokenHeaders {
			request.Header.Set(name, token)
		}
	}
	end := start.Add(time.Hour)
	cos.AddAuthorizationHeader(h.Credentials.SecretID, h.Credentials.SecretKey, "", request,
		&cos.AuthTime{SignStartTime: start, SignEndTime: end, KeyStartTime: start, KeyEndTime: end})
}

// read takes an answer apart. One without the service's request id is somebody else's: a
// proxy's, or a portal's that wants a login.
func (h Host) read(response *http.Response, body []byte, at time.Time) (Answer, error) {
	a := Answer{Status: response.StatusCode, Header: response.Header, Body: body}
	if response.Header.Get(h.Service.RequestID) == "" {
		return a, &NoAnswerError{
			fmt.Sprintf("what answers is not %s: status %d, Content-Type %.80q", h.Service.Name, a.Status, response.Header.Get("Content-Type")),
			"check " + h.Service.EndpointVariable + ", and whether a proxy (HTTPS_PROXY) or a portal stands between",
		}
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.Offset = date.Sub(at)
	}
	if a.Status >= 300 {
		var e struct{ Code, Message string }
		_ = xml.Unmarshal(body, &e) // an error without a code is told by its status
		a.Code, a.Message = e.Code, e.Message
	}
	return a, nil
}
