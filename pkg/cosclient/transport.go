package cosclient

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// NewTransport returns a transport for COS and CI. It keeps enough idle connections for
// the requests of one callback, and dials names under .localhost on loopback (RFC 6761),
// so that a local COS with the bucket in the host name needs no DNS.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if cosname.IsLoopbackName(r.URL.Hostname()) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if host, port, err := net.SplitHostPort(addr); err == nil && cosname.IsLoopbackName(host) {
				addr = net.JoinHostPort("127.0.0.1", port)
			}
			return dialer.DialContext(ctx, network, addr)
		},
		DisableCompression:  true, // an object is compared as it is stored
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 64,
		WriteBufferSize:     16 << 10, // the header and the body of most records go out in one write
		IdleConnTimeout:     60 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
	}
}

// Wrap returns a transport that does three things to each request that goes over base: it
// counts it and signs it for the [Session] whose [Session.Try] made it, it bounds the body
// of an answer that is not what a GET asked for, and it lets go of all idle connections
// when no answer comes.
func Wrap(base http.RoundTripper) http.RoundTripper { return &transport{base} }

// transport is what Wrap returns.
type transport struct{ base http.RoundTripper }

// maxUnaskedBytes is how much is read of an answer that is not what a GET asked for. COS's
// own errors have a few hundred bytes; the SDK would read one of any length into memory.
const maxUnaskedBytes = 1 << 20

// signatureLifetime is how long a request's signature is good for. It allows for the
// clock of an instance that was frozen.
const signatureLifetime = time.Hour

// RoundTrip sends a signed copy of the request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(sign(r))
	if err != nil {
		t.closeIdleConnections()
		return nil, err
	}
	if response.StatusCode >= 300 || r.Method != http.MethodGet {
		response.Body = limitedBody{io.LimitReader(response.Body, maxUnaskedBytes), response.Body}
	}
	return response, nil
}

// sign returns a signed copy of a request. The credentials come with its context, so that
// a client that is kept across invocations keeps none.
func sign(r *http.Request) *http.Request {
	signed := r.WithContext(r.Context())
	signed.Header = r.Header.Clone()
	if s, ok := r.Context().Value(sessionKey{}).(*Session); ok {
		s.requests.Add(1)
		c := s.Credentials
		cos.AddAuthorizationHeader(c.SecretID, c.SecretKey, c.SessionToken, signed, cos.NewAuthTime(signatureLifetime))
	}
	return signed
}

// closeIdleConnections makes the next request dial. A connection may have died while the
// instance was frozen, and then so have the others.
func (t *transport) closeIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// limitedBody is a body that is not read to its end.
type limitedBody struct {
	io.Reader
	io.Closer
}
