package coslocal

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestServer is a [Server] that listens on loopback for the time of a test.
type TestServer struct {
	*Server
	// URL is where it listens: http://127.0.0.1:port.
	URL string
	// Endpoint is what to give a client: http://{bucket}.cos.{region}.localhost:port, to be filled in.
	Endpoint string

	transport *http.Transport
}

// NewServer starts a server with the zero [Options] and closes it with the test. The buckets are made in every region.
func NewServer(t testing.TB, buckets ...string) *TestServer {
	t.Helper()
	return Options{}.NewServer(t, buckets...)
}

// NewServer starts a server as the function [NewServer] does, with these options.
func (o Options) NewServer(t testing.TB, buckets ...string) *TestServer {
	t.Helper()
	s, err := New(o)
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
	listener := httptest.NewServer(s)
	address := strings.TrimPrefix(listener.URL, "http://")
	_, port, _ := net.SplitHostPort(address)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		listener.CloseClientConnections() // ends the delays of faults
		listener.Close()
	})
	return &TestServer{s, listener.URL, "http://{bucket}.cos.{region}.localhost:" + port, transport}
}

// Client returns a client that connects to this server whatever the host of a URL is, and to nothing else: a name under
// .localhost needs no DNS, and a test cannot reach the real COS by mistake. The clients of a server share connections.
func (s *TestServer) Client() *http.Client {
	return &http.Client{Transport: s.transport}
}
