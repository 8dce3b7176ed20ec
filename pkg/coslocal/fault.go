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

// Fault is what goes wrong with the requests that it matches. A Fault that only has Match
// and Nth does nothing.
type Fault struct {
	Match func(Request) bool // nil matches every request
	Nth   int                // only the n-th matching request, from 1; 0 means each of them
	Delay time.Duration      // wait before the work or, with AfterWork, after it
	// AfterWork does the work first: what goes wrong is then an answer that is lost or
	// wrong although the work was done.
	AfterWork bool
	// Reset drops the connection without an answer.
	Reset bool
	// Status is answered instead, with the error code that belongs to it, or with Code.
	Status int
	// Code is the error code, answered with Status or 500.
	Code string
	// Body is answered instead, with Status or 200, and without the server's own headers:
	// a proxy's page, JSON, half an XML document.
	Body []byte
	// Header is set on whatever is answered, the real answer included. An empty list of
	// values takes a header away.
	Header http.Header
	// Truncate sends the first half of the body and drops the connection. An answer
	// without a body arrives whole.
	Truncate bool
}

// fault is an injected Fault and how many requests it has matched.
type fault struct {
	Fault
	matched atomic.Int64
}

// Inject makes requests go wrong until remove is called. Faults are tried in the order in
// which they were injected, and the first that applies decides, but every one of them
// counts the requests that it matches.
func (f *Frontend) Inject(what Fault) (remove func()) {
	injected := &fault{Fault: what}
	f.changeFaults(func(faults []*fault) []*fault { return append(faults, injected) })
	return func() {
		f.changeFaults(func(faults []*fault) []*fault {
			return slices.DeleteFunc(faults, func(other *fault) bool { return other == injected })
		})
	}
}

// ClearFaults removes every fault.
func (f *Frontend) ClearFaults() {
	f.changeFaults(func([]*fault) []*fault { return nil })
}

// changeFaults replaces the list, so that a request can go through it without a lock
// while Match calls whatever it likes.
func (f *Frontend) changeFaults(change func([]*fault) []*fault) {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	var faults []*fault
	if old := f.faults.Load(); old != nil {
		faults = slices.Clone(*old)
	}
	faults = change(faults)
	f.faults.Store(&faults)
}

// takeFault returns the fault that applies to r, or nil.
func (f *Frontend) takeFault(r Request) *Fault {
	faults := f.faults.Load()
	if faults == nil {
		return nil
	}
	var applies *Fault
	for _, candidate := range *faults {
		if candidate.Match != nil && !candidate.Match(r) {
			continue
		}
		n := candidate.matched.Add(1)
		if applies == nil && (candidate.Nth == 0 || int64(candidate.Nth) == n) {
			applies = &candidate.Fault
		}
	}
	return applies
}

// serveFault answers a request that a fault applies to.
func (f *Frontend) serveFault(w http.ResponseWriter, x *Exchange, fault *Fault) {
	var done *Answer
	if fault.AfterWork {
		done = f.work(x)
	}
	if fault.Delay > 0 && !x.wait(fault.Delay) || fault.Reset {
		dropConnection(w)
		return
	}
	a, signed := fault.answer(x), fault.Body == nil
	switch {
	case a != nil:
	case done != nil:
		a = done
	default:
		a = f.work(x)
	}
	if signed {
		f.sign(x, a)
	}
	fault.setHeader(a)
	if fault.Truncate && len(a.Body) > 0 && x.HTTP.Method != http.MethodHead {
		f.truncate(w, x, a)
		return
	}
	f.send(w, x, a)
}

// answer returns what the fault answers instead, nil when it leaves the answer as it is.
func (f *Fault) answer(x *Exchange) *Answer {
	status := cmp.Or(f.Status, http.StatusOK)
	switch {
	case f.Body != nil:
		a := newAnswer(status)
		a.Body = f.Body
		return a
	case f.Status == 0 && f.Code == "":
		return nil
	case f.Status != 0 && f.Status < 400:
		return newAnswer(status)
	}
	status = cmp.Or(f.Status, http.StatusInternalServerError)
	return x.errorAnswer(&Error{status, cmp.Or(f.Code, defaultCode(status)), "This error was injected."})
}

// commonCodes are the commonest error codes of a status:
// https://cloud.tencent.com/document/product/436/7730.
var commonCodes = map[int]string{
	http.StatusForbidden:          "AccessDenied",
	http.StatusNotFound:           "NoSuchKey",
	http.StatusConflict:           "FileAlreadyExists",
	http.StatusNotImplemented:     "NotImplemented",
	http.StatusServiceUnavailable: "ServiceUnavailable",
}

// defaultCode returns the error code of a status that a fault names no code for.
func defaultCode(status int) string {
	if status < 500 {
		return cmp.Or(commonCodes[status], "BadRequest")
	}
	return cmp.Or(commonCodes[status], "InternalError")
}

// setHeader sets the headers of the fault, and takes away those without a value.
func (f *Fault) setHeader(a *Answer) {
	for name, values := range f.Header {
		if len(values) == 0 {
			a.Header.Del(name)
		} else {
			a.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
}

// wait returns false when the client gives up before d has passed. It reads the body
// first: net/http does not notice before that.
func (x *Exchange) wait(d time.Duration) bool {
	if x.HTTP.Body != nil {
		body, err := io.ReadAll(x.HTTP.Body)
		if err != nil {
			return false
		}
		x.HTTP = x.HTTP.WithContext(x.HTTP.Context()) // a copy: the request is the caller's
		x.HTTP.Body = io.NopCloser(bytes.NewReader(body))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.HTTP.Context().Done():
		return false
	}
}

// dropConnection ends the connection without an answer, with a TCP reset where there is
// TCP. It may not return.
func dropConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// truncate announces the whole body, sends half of it and drops the connection.
func (f *Frontend) truncate(w http.ResponseWriter, x *Exchange, a *Answer) {
	a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
	a.Body = a.Body[:len(a.Body)/2]
	f.send(w, x, a)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
