// Package coslocaltest starts a local COS for the time of a test. It is apart from
// package coslocal so that a program that uses that one does not link package testing.
package coslocaltest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// Server is a [coslocal.Server] that listens on loopback until the test ends.
type Server struct {
	*coslocal.Server
	*Listener
	// Endpoint is the template that a client fills in with a bucket and a region:
	// http://{bucket}.cos.{region}.localhost:port.
	Endpoint string
}

// NewServer starts a server with the zero [coslocal.Options] and closes it when the test
// ends. The buckets exist in every region.
func NewServer(t testing.TB, buckets ...string) *Server {
	t.Helper()
	return NewServerWith(t, coslocal.Options{}, buckets...)
}

// NewServerWith is [NewServer] with options.
func NewServerWith(t testing.TB, o coslocal.Options, buckets ...string) *Server {
	t.Helper()
	s, err := coslocal.New(o)
	if err != nil {
		t.Fatalf("coslocal: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("coslocal: %v", err)
		}
	})
	for _, bucket := range buckets {
		if err := s.CreateBucket(bucket, ""); err != nil {
			t.Fatalf("coslocal: %v", err)
		}
	}
	l := Listen(t, s)
	return &Server{s, l, "http://{bucket}.cos.{region}.localhost:" + l.Port}
}

// Listener lets a local server of Tencent Cloud answer on loopback until the test ends.
type Listener struct {
	// URL is where the server listens: http://127.0.0.1:port.
	URL string
	// Port is that of the URL.
	Port string

	transport *http.Transport
}

// Listen lets a handler answer on loopback until the test ends.
func Listen(t testing.TB, h http.Handler) *Listener {
	t.Helper()
	listening := httptest.NewServer(h)
	address := strings.TrimPrefix(listening.URL, "http://")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		listening.CloseClientConnections() // ends the delays of faults
		listening.Close()
	})
	return &Listener{URL: listening.URL, Port: port, transport: transport}
}

// Client returns a client that connects to this server, whatever the host of a URL, and
// to nothing else: a name under .localhost needs no DNS, and a test cannot reach the real
// service by mistake. All clients of a server share their connections.
func (l *Listener) Client() *http.Client {
	return &http.Client{Transport: l.transport}
}
