package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
	"github.com/ci-callback/ci-callback/pkg/store"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*store.Options)
		ok     bool
	}{
		{"fine", func(*store.Options) {}, true},
		{"endpoint_set", func(o *store.Options) { o.Endpoint = "http://{bucket}.cos.{region}.localhost:9000" }, true},
		{"bad_endpoint", func(o *store.Options) { o.Endpoint = "http://localhost" }, false},
		{"bad_bucket", func(o *store.Options) { o.Bucket = "records" }, false},
		{"bad_region", func(o *store.Options) { o.Region = "" }, false},
	}
	for _, test := range tests {
		o := options()
		test.change(&o)
		if _, err := store.NewPool(nil).Open(o); (err == nil) != test.ok || err != nil && !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("%s: Open: %v", test.name, err)
		}
	}
}

// Each Store signs with its own credentials, although the clients are shared.
func TestCredentials(t *testing.T) {
	t.Parallel()
	old := coslocal.Credential{SecretID: "old", SecretKey: "old-key", SessionToken: "old-token"}
	now := coslocal.Credential{SecretID: "now", SecretKey: "now-key", SessionToken: "now-token"}
	forever := coslocal.Credential{SecretID: "forever", SecretKey: "forever-key"}
	w := newWorld(t, old, forever)
	w.putOutput(t, theirs)
	open := func(c coslocal.Credential) *store.Store {
		o := options()
		o.Credentials = cosclient.Credentials{SecretID: c.SecretID, SecretKey: c.SecretKey, SessionToken: c.SessionToken}
		return w.open(t, o)
	}
	works := func(s *store.Store) error {
		if _, _, err := s.PutRecord(t.Context(), first()); err != nil {
			return err
		}
		_, err := s.TagOutput(t.Context(), output(), ended)
		return err
	}
	before := open(old)
	if err := works(before); err != nil {
		t.Error(err)
	}
	w.SetCredentials(now, forever)
	if err := works(open(now)); err != nil {
		t.Errorf("changed credentials: %v", err)
	}
	if err := works(before); !errors.Is(err, cosclient.ErrMisconfigured) {
		t.Errorf("credentials of an invocation that is over: %v; want ErrMisconfigured", err)
	}
	w.ResetRequests()
	if err := works(open(forever)); err != nil {
		t.Errorf("credentials without a token: %v", err)
	}
	for _, r := range w.Requests() {
		if token := r.Header.Get("x-cos-security-token"); token != "" {
			t.Errorf("token %q of another invocation", token)
		}
	}
	if err := works(open(coslocal.Credential{})); !errors.Is(err, cosclient.ErrMisconfigured) {
		t.Errorf("no credentials: %v; want ErrMisconfigured", err)
	}
}

// Invocations at once, each with credentials that only its own requests may carry.
func TestCredentialsAtOnce(t *testing.T) {
	t.Parallel()
	const invocations = 8
	var credentials []coslocal.Credential
	for i := range invocations {
		credentials = append(credentials, coslocal.Credential{SecretID: fmt.Sprint("id", i), SecretKey: fmt.Sprint("key", i), SessionToken: fmt.Sprint("token", i)})
	}
	w := newWorld(t, credentials...)
	w.putOutput(t, theirs)
	var all sync.WaitGroup
	for i, c := range credentials {
		o := options()
		o.Credentials = cosclient.Credentials{SecretID: c.SecretID, SecretKey: c.SecretKey, SessionToken: c.SessionToken}
		o.Prefix = fmt.Sprintf("ci/%d/", i)
		s := w.open(t, o)
		for range 4 {
			all.Go(func() {
				if _, _, err := s.PutRecord(t.Context(), first()); err != nil {
					t.Error(err)
				}
				if _, err := s.TagOutput(t.Context(), output(), ended); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	for _, r := range w.Requests() {
		var i int
		if _, err := fmt.Sscanf(r.Key, "ci/%d/", &i); err == nil && r.Header.Get("x-cos-security-token") != fmt.Sprint("token", i) {
			t.Errorf("request of invocation %d with %s", i, r.Header.Get("x-cos-security-token"))
		}
	}
	w.wantTags(t, theirs, mine)
}

// Names under .localhost need no DNS.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	server := coslocaltest.NewServer(t, records)
	transport := cosclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	o := options()
	o.Endpoint = server.Endpoint
	s, err := store.NewPool(transport).Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if outcome, _, err := s.PutRecord(t.Context(), first()); outcome != store.Created || err != nil {
		t.Errorf("PutRecord = %q, %v; want created", outcome, err)
	}
	proxied, err := http.NewRequest(http.MethodGet, "http://records.cos.LOCALHOST:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err := transport.Proxy(proxied); proxy != nil || err != nil {
		t.Errorf("Proxy = %v, %v; want none", proxy, err)
	}
}

// network joins a transport and a server by pipes, in a bubble without sockets.
type network struct {
	accept chan net.Conn
	closed chan struct{}

	mu    sync.Mutex
	links []*link
	dials atomic.Int64
}

// link is the client's end of a connection. Frozen, it takes what is written to it and
// returns nothing, like one whose other end is gone without a word.
type link struct {
	net.Conn
	frozen atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.frozen.Load() {
		<-l.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (l *link) Write(b []byte) (int, error) {
	if l.frozen.Load() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

func (l *link) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	n.dials.Add(1)
	client, server := net.Pipe()
	l := &link{Conn: client, closed: make(chan struct{})}
	n.mu.Lock()
	n.links = append(n.links, l)
	n.mu.Unlock()
	n.accept <- server
	return l, nil
}

func (n *network) each(do func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		do(l)
	}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accept:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { close(n.closed); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{} }

// The connections that an instance kept while it was frozen are dead when it wakes.
// That costs a try, or none, and no call.
func TestDeadIdleConnections(t *testing.T) {
	t.Parallel()
	deaths := []struct {
		name string
		die  func(*link)
		most time.Duration // that a call of 8 seconds may take then
	}{
		{"closed", func(l *link) { l.Conn.Close() }, time.Second},
		{"without_a_word", func(l *link) { l.frozen.Store(true) }, 2*time.Second + time.Second},
	}
	for _, death := range deaths {
		for _, f := range flows() {
			t.Run(death.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					f.before(t, w)
					n, transport, o := w.overPipes(t)
					o.Backoff = nil
					s, err := store.NewPool(transport).Open(o)
					if err != nil {
						t.Fatal(err)
					}
					// Leave idle connections to both buckets.
					var all sync.WaitGroup
					for i := range 4 {
						all.Go(func() {
							out := output()
							out.Key = fmt.Sprint("other", i)
							_, tagged := s.TagOutput(t.Context(), out, ended)
							_, kept := s.PutRejected(t.Context(), []byte(fmt.Sprint("other", i)), "")
							if err := errors.Join(tagged, kept); err != nil {
								t.Error(err)
							}
						})
					}
					all.Wait()
					synctest.Wait()
					n.each(death.die)
					ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
					defer cancel()
					started := time.Now()
					if got, err := f.do(ctx, s); got != f.want || err != nil {
						t.Errorf("outcome = %q, %v; want %q", got, err, f.want)
					}
					if took := time.Since(started); took > death.most {
						t.Errorf("took %v; want at most %v", took, death.most)
					}
					f.after(t, w)
				})
			})
		}
	}
}

// overPipes serves the world's COS on a network of pipes, and returns the transport and the
// options that reach it there.
func (w *world) overPipes(t *testing.T) (*network, *http.Transport, store.Options) {
	n := &network{accept: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: w.Server}
	go server.Serve(n)
	t.Cleanup(func() { server.Close() })
	transport := cosclient.NewTransport()
	transport.DialContext = n.dial
	t.Cleanup(transport.CloseIdleConnections)
	o := options()
	o.Endpoint = "http://{bucket}.cos.{region}.localhost"
	return n, transport, o
}

// A callback's requests to one bucket find idle connections the next time.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n, transport, o := w.overPipes(t)
		pool := store.NewPool(transport)
		w.Inject(coslocal.Fault{Delay: 10 * time.Millisecond})
		callback := func() {
			s, err := pool.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() {
					r := first()
					r.ID = fmt.Sprint("j", i)
					if _, _, err := s.PutRecord(t.Context(), r); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			synctest.Wait()
		}
		callback()
		before := n.dials.Load()
		callback()
		if diff := cmp.Diff([]int64{16, 16}, []int64{before, n.dials.Load()}); diff != "" {
			t.Errorf("dials after one callback and another (-want +got):\n%s", diff)
		}
	})
}

// A Store with MaxTries gives up after so many tries.
func TestMaxTries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Inject(coslocal.Fault{Status: http.StatusServiceUnavailable})
	o := options()
	o.MaxTries = 3
	s := w.open(t, o)
	if _, err := s.List(t.Context(), "ci/", ""); !errors.Is(err, cosclient.ErrUnavailable) || s.Requests() != 3 {
		t.Errorf("%d requests, and %v", s.Requests(), err)
	}
}
