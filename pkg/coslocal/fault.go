package coslocal

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Fault is what goes wrong with the requests that it matches. With nothing but Match and Nth set it does nothing.
type Fault struct {
	Match func(Request) bool // nil: every request
	Nth   int                // the n-th matching request, from 1; 0: every one
	Delay time.Duration      // wait before the work or, with AfterWork, after it
	// AfterWork does the work first: what goes wrong is an answer that is lost or wrong although COS did it.
	AfterWork bool
	// Reset drops the connection without an answer.
	Reset bool
	// Status is answered instead, with the error code that goes with it or Code.
	Status int
	// Code is COS's error code, with Status or 500.
	Code string
	// Body is answered instead, with Status or 200, and without COS's own headers: a proxy's page, JSON, half an XML.
	Body []byte
	// Header is set on whatever is answered, the real answer included; an empty list of values takes a header away.
	Header http.Header
	// Truncate sends the first half of the body and drops the connection; an answer without a body arrives whole.
	Truncate bool
}

// fault is an injected Fault and how many requests it has matched.
type fault struct {
	Fault
	matched atomic.Int64
}

// Inject makes requests go wrong until remove is called. Faults are tried in the order they were injected; the first that
// fires decides, but every one counts what it matches.
func (s *Server) Inject(f Fault) (remove func()) {
	injected := &fault{Fault: f}
	s.changeFaults(func(faults []*fault) []*fault { return append(faults, injected) })
	return func() {
		s.changeFaults(func(faults []*fault) []*fault {
			return slices.DeleteFunc(faults, func(other *fault) bool { return other == injected })
		})
	}
}

// ClearFaults removes every fault.
func (s *Server) ClearFaults() {
	s.changeFaults(func([]*fault) []*fault { return nil })
}

// changeFaults replaces the list, so that a request can go through it without a lock while Match calls what it likes.
func (s *Server) changeFaults(change func([]*fault) []*fault) {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	var faults []*fault
	if old := s.faults.Load(); old != nil {
		faults = slices.Clone(*old)
	}
	faults = change(faults)
	s.faults.Store(&faults)
}

// takeFault returns the fault that fires for r, or nil.
func (s *Server) takeFault(r Request) *fault {
	faults := s.faults.Load()
	if faults == nil {
		return nil
	}
	var fires *fault
	for _, f := range *faults {
		if f.Match != nil && !f.Match(r) {
			continue
		}
		if n := f.matched.Add(1); fires == nil && (f.Nth == 0 || int64(f.Nth) == n) {
			fires = f
		}
	}
	return fires
}

func (s *Server) serveFault(w http.ResponseWriter, c *call, f *fault) {
	var done *answer
	if f.AfterWork {
		done = s.work(c)
	}
	if f.Delay > 0 && !c.wait(f.Delay) || f.Reset {
		drop(w)
		return
	}
	a, ours := f.answer(c), true
	switch {
	case a != nil:
		ours = f.Body == nil
	case done != nil:
		a = done
	default:
		a = s.work(c)
	}
	if ours {
		a.header.Set("Server", "tencent-cos")
		a.header.Set("X-Cos-Request-Id", c.id)
	}
	f.setHeader(a)
	if f.Truncate && len(a.body) > 0 && c.http.Method != http.MethodHead {
		s.truncate(w, c, a)
		return
	}
	s.send(w, c, a)
}

// answer is what the fault answers instead; nil when it leaves the answer as it is.
func (f *fault) answer(c *call) *answer {
	status := cmp.Or(f.Status, http.StatusOK)
	switch {
	case f.Body != nil:
		a := newAnswer(status)
		a.body = f.Body
		return a
	case f.Status == 0 && f.Code == "":
		return nil
	case f.Status != 0 && f.Status < 400:
		return newAnswer(status)
	}
	status = cmp.Or(f.Status, http.StatusInternalServerError)
	code := cmp.Or(f.Code, defaultCode(status))
	return c.errorAnswer(&cosError{status, code, "This error was injected."})
}

// defaultCode is the commonest code of a status: https://cloud.tencent.com/document/product/436/7730.
func defaultCode(status int) string {
	switch status {
	case http.StatusForbidden:
		return "AccessDenied"
	case http.StatusNotFound:
		return "NoSuchKey"
	case http.StatusConflict:
		return "FileAlreadyExists"
	case http.StatusNotImplemented:
		return "NotImplemented"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	}
	if status < 500 {
		return "BadRequest"
	}
	return "InternalError"
}

func (f *fault) setHeader(a *answer) {
	for name, values := range f.Header {
		if len(values) == 0 {
			a.header.Del(name)
		} else {
			a.header[http.CanonicalHeaderKey(name)] = values
		}
	}
}

// wait returns false when the client gave up. The body is read first: before that, net/http does not notice.
func (c *call) wait(d time.Duration) bool {
	if c.http.Body != nil {
		body, err := io.ReadAll(c.http.Body)
		if err != nil {
			return false
		}
		c.http = c.http.WithContext(c.http.Context()) // a copy: the request is the caller's
		c.http.Body = io.NopCloser(bytes.NewReader(body))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.http.Context().Done():
		return false
	}
}

// drop ends the connection without an answer, with a TCP reset where there is TCP. It may not return.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// truncate promises the whole body, sends half of it and drops the connection.
func (s *Server) truncate(w http.ResponseWriter, c *call, a *answer) {
	a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	a.body = a.body[:len(a.body)/2]
	s.send(w, c, a)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
