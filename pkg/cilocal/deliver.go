package cilocal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// The formats of a callback.
const (
	formatXML  = "XML"
	formatJSON = "JSON"
)

// callbackTimeout is how long an answer to a callback is waited for. CI's own time is not
// documented.
const callbackTimeout = 30 * time.Second

// keepDeliveries is how many callbacks Deliveries returns.
const keepDeliveries = 1000

// Delivery is a callback that was sent.
type Delivery struct {
	ID     string // of the job or the run
	Time   time.Time
	Format string // "XML" or "JSON"
	Body   []byte
	// Status is what was answered, 0 where no answer came.
	Status int
	// Err says why no answer came.
	Err error
}

// Deliveries returns the last 1,000 callbacks that were answered or failed, in the order
// in which that became known.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery(nil), s.delivered[max(0, len(s.delivered)-keepDeliveries):]...)
}

// Callback returns the body of the callback of a job or a run that has ended, "XML" or
// "JSON", whether or not it is ever sent.
func (s *Server) Callback(bucket, id, format string) ([]byte, error) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, fmt.Errorf("make callback: %w", err)
	}
	s.runDueLocked(now)
	if j := b.jobByID[id]; j != nil && j.final != "" {
		return s.jobCallback(j, format)
	}
	if r := b.runByID[id]; r != nil && r.final != "" {
		return s.runCallback(r, format)
	}
	return nil, fmt.Errorf("make callback: nothing named %s has ended in bucket %s", id, bucket)
}

// jobCallback returns the body of a job's callback. The lock is held.
func (s *Server) jobCallback(j *job, format string) ([]byte, error) {
	return callbackBody("TaskFinish", format, func(w *writer) { s.writeJob(w, j, j.final, true) })
}

// callBackJob sends the callback of a job, if there is a URL for it. The lock is held.
func (s *Server) callBackJob(j *job) {
	q, err := j.bucket.queueOf(j)
	if err != nil {
		return
	}
	url, format := q.target("TaskFinish")
	url = cmp.Or(j.Callback, url)
	format = cmp.Or(j.CallbackFormat, format)
	if url == "" || url == "no" {
		return
	}
	body, err := s.jobCallback(j, format)
	s.deliver(Delivery{ID: j.ID, Format: format, Body: body, Err: err}, url)
}

// deliver sends a callback, once, and keeps what came of it. The lock is held.
func (s *Server) deliver(d Delivery, url string) {
	d.Time = s.Now()
	s.delivering++
	go func() {
		if d.Err == nil {
			d.Status, d.Err = s.post(url, d.Format, d.Body)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.delivered) >= 2*keepDeliveries { // seldom, so that forgetting costs next to nothing
			s.delivered = append([]Delivery(nil), s.delivered[keepDeliveries:]...)
		}
		s.delivered = append(s.delivered, d)
		if s.delivering--; s.delivering == 0 {
			s.allSent.Broadcast()
		}
	}()
}

// post sends one callback and returns the status of the answer. The URL holds a token,
// and is in no error.
func (s *Server) post(url, format string, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the callback URL is not valid")
	}
	r.Header.Set("Content-Type", "application/"+strings.ToLower(format))
	response, err := s.client.Do(r)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // of the *url.Error, which has the URL
			err = inner
		}
		return 0, fmt.Errorf("call back: %w", err)
	}
	_ = response.Body.Close() // what it says is nothing to CI
	return response.StatusCode, nil
}

// newLoopbackTransport returns a transport that connects to this machine and nothing
// else: the URL of a callback is whatever was submitted.
func newLoopbackTransport() *http.Transport {
	return &http.Transport{DialContext: dialLoopback, DisableKeepAlives: true}
}

// dialLoopback connects to a name of this machine: an address of loopback, localhost, or
// a name under .localhost (RFC 6761).
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the local CI calls back on loopback only, not at %s", host)
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
}
