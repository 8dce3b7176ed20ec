package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/board"
)

// unreachable is a network that nothing answers on.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
}

// TestUnreachable has no COS: each command says so after some seconds.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"list": {"list"}, "show": {"show", "j1"}, "rejected": {"rejected"}, "audit": {"audit"}, "retag": {"retag", "j1"},
		"replay": {"replay", "--yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCloud(t)
				c.transport = unreachable{}
				began := time.Now()
				got := c.run(args...)
				if got.Exit != exitFindings || got.Out != "" || !strings.Contains(got.Err, "no route to host") {
					t.Errorf("%+v", got)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A silentListener is one to which nobody connects.
type silentListener struct{ closed chan struct{} }

func (l silentListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l silentListener) Close() error {
	close(l.closed)
	return nil
}

func (l silentListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9090} }

// TestBoardUnreachable has no COS: the board's pages say so.
func TestBoardUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		w, err := (&tool{environ: c.environ, transport: unreachable{}}).open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := board.New(board.Options{Catalog: w.catalog, Bucket: recordBucket, Region: region})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Serve(ctx, silentListener{make(chan struct{})}) }()
		time.Sleep(20 * time.Second)
		request := httptest.NewRequestWithContext(ctx, "GET", "/records", nil)
		request.Host = "127.0.0.1:9090"
		page := httptest.NewRecorder()
		b.Handler(9090).ServeHTTP(page, request)
		if !strings.Contains(page.Body.String(), "The record bucket did not answer") {
			t.Errorf("the page does not say that COS did not answer: %s", page.Body)
		}
		stop()
		<-ended
	})
}
