package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// mostAnswer is how much of an answer is read.
const mostAnswer = 1 << 20

// longest is how long a single request may take, so that one that stalls leaves time to
// ask the rest.
const longest = 10 * time.Second

// bucket makes requests on a bucket and gives the answers as they are. The SDK is not
// between: it hides what is asked for here, such as the code of an error and its header.
type bucket struct {
	name        string
	base        *url.URL
	client      *http.Client
	credentials config.Credentials
	now         func() time.Time
}

func (d *doctor) bucket(name, region string) (*bucket, error) {
	c := d.settings.config
	base, err := cosname.BucketURL(c.Endpoint, name, region)
	if err != nil {
		return nil, err
	}
	return &bucket{name: name, base: base, client: d.client(), credentials: c.Credentials, now: d.now}, nil
}

// client follows no redirect: what is asked for is what this very address answers.
func (d *doctor) client() *http.Client {
	return &http.Client{
		Transport:     d.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is one request on a bucket or, with a key, on an object.
type request struct {
	method string
	key    string
	query  string // such as tagging
	header http.Header
	body   []byte
	ahead  time.Duration // how far in the future the signature begins
}

// reply is an answer of COS, an error of its own too.
type reply struct {
	status  int
	code    string // COS's error code; a HEAD has none
	message string // its message
	header  http.Header
	body    []byte
	offset  time.Duration // COS's clock less ours
}

func (r reply) String() string {
	if r.code == "" {
		return fmt.Sprint(r.status)
	}
	return fmt.Sprintf("%d %.80q", r.status, r.code)
}

// do makes a request. Its error is a [*troubleError], where no answer of COS came.
func (b *bucket) do(ctx context.Context, r request) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	u := *b.base
	u.Path, u.RawQuery = "/"+r.key, r.query
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return reply{}, explain(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.method == http.MethodPut {
		sum := md5.Sum(r.body)
		req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	began := b.now()
	start, end := began.Add(r.ahead), began.Add(r.ahead+time.Hour)
	cos.AddAuthorizationHeader(b.credentials.SecretID, b.credentials.SecretKey, b.credentials.SessionToken, req,
		&cos.AuthTime{SignStartTime: start, SignEndTime: end, KeyStartTime: start, KeyEndTime: end})
	response, err := b.client.Do(req)
	if err != nil {
		return reply{}, explain(err)
	}
	defer response.Body.Close()
	between := began.Add(b.now().Sub(began) / 2)
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return reply{}, explain(err)
	}
	return read(response, body, between)
}

// read takes an answer apart. One without COS's request id is another's: a proxy's, a
// portal's. https://cloud.tencent.com/document/product/436/7729
func read(response *http.Response, body []byte, at time.Time) (reply, error) {
	r := reply{status: response.StatusCode, header: response.Header, body: body}
	if response.Header.Get("x-cos-request-id") == "" {
		return r, &troubleError{
			fmt.Sprintf("what answers is not COS: status %d, Content-Type %.80q", r.status, response.Header.Get("Content-Type")),
			"check COS_ENDPOINT, and whether a proxy (HTTPS_PROXY) or a portal stands between",
		}
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		r.offset = date.Sub(at)
	}
	if r.status >= 300 {
		var e struct{ Code, Message string }
		_ = xml.Unmarshal(body, &e) // without a code the status has to do
		r.code, r.message = e.Code, e.Message
	}
	return r, nil
}

// troubleError is why no answer came, in words for people.
type troubleError struct{ problem, remedy string }

func (e *troubleError) Error() string { return e.problem }

func (e *troubleError) finding() finding { return fail(e.problem, e.remedy) }

// explain turns an error of net/http into words. The URL is taken off first: it may
// hold the token.
func explain(err error) *troubleError {
	if u, wrapped := errors.AsType[*url.Error](err); wrapped {
		err = u.Err
	}
	dns, unknown := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return &troubleError{"interrupted", "run it again"}
	case errors.Is(err, context.DeadlineExceeded) || isNet && timeout.Timeout():
		return &troubleError{"no answer in time", "check the network, proxies and firewalls between, or give more time: -timeout 2m"}
	case unknown:
		return &troubleError{fmt.Sprintf("the name %.200q is not known", dns.Name), "check the spelling of the address (RECORD_REGION, COS_ENDPOINT, -url) and the DNS of this machine"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &troubleError{"nothing listens there: the connection was refused", "check the address (COS_ENDPOINT, -url), the port too"}
	case isTLS(err):
		return &troubleError{fmt.Sprintf("no secure connection: %.200s", err), "check the address, and whether a proxy puts its own certificate in between"}
	default:
		return &troubleError{fmt.Sprintf("no answer: %.200s", err), "check the network, proxies and firewalls between, and run it again"}
	}
}

func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	return certificate || record || authority || host
}

// trouble makes a finding of the error of [bucket.do].
func trouble(err error) finding {
	if t, known := errors.AsType[*troubleError](err); known {
		return t.finding()
	}
	return fail(err.Error(), "check COS_ENDPOINT")
}
