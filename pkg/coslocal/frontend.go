package coslocal

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Frontend is what the local servers of Tencent Cloud have in common, the COS of this
// package and the CI of package cilocal. It reads bucket and region from the host, keeps
// a log of requests, breaks what a [Fault] says, verifies every signature, refuses what
// Deny says, and sends the answer. What a request asks for is done by
// FrontendOptions.Serve.
//
// A Frontend is an [http.Handler], and an [http.RoundTripper] for clients that need no
// socket. It is safe for concurrent use.
type Frontend struct {
	options  FrontendOptions
	verifier Verifier
	log      requestLog
	deny     atomic.Pointer[func(Request) bool]
	faults   atomic.Pointer[[]*fault]
	faultMu  sync.Mutex // held while faults is replaced
	serial   atomic.Int64
}

// FrontendOptions say what a [Frontend] stands before.
type FrontendOptions struct {
	// Service is the second label of the hosts that the server answers for, and a part of
	// the name of its request id header: "cos" for {bucket}.cos.{region}.{domain} and
	// x-cos-request-id.
	Service string
	// Credentials are the API keys accepted; none means DefaultCredential.
	Credentials []Credential
	// Clock returns the server's time; nil means time.Now.
	Clock func() time.Time
	// MaxClockSkew is how far in the future a signature may begin; 0 means 15 minutes.
	MaxClockSkew time.Duration
	// KeepRequests is how many of the last requests Frontend.Requests returns; 0 means
	// 1,000, and a negative number none.
	KeepRequests int
	// TokenHeaders name the headers in which a session token may come. None means
	// x-cos-security-token.
	TokenHeaders []string

	// CheckBucket returns the error for a bucket that is not there.
	CheckBucket func(bucket, region string) error
	// Serve does what an authenticated request for a bucket asks for. An error of type
	// *Error is answered as it is, any other with status 500.
	Serve func(*Exchange) (*Answer, error)
}

// Exchange is one request on its way through a [Frontend].
type Exchange struct {
	// HTTP is the request, with header names in canonical form.
	HTTP *http.Request
	// Request is the request as the log keeps it. Its maps are copies; nobody changes
	// them.
	Request *Request
	// Now is when the request came.
	Now time.Time
	// ID is the request id that the answer will carry.
	ID string
}

// NewFrontend returns a Frontend.
func NewFrontend(o FrontendOptions) *Frontend {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.KeepRequests == 0 {
		o.KeepRequests = 1000
	}
	f := &Frontend{options: o, log: requestLog{keep: o.KeepRequests}}
	f.verifier = Verifier{MaxClockSkew: o.MaxClockSkew, TokenHeaders: o.TokenHeaders}
	if len(o.Credentials) == 0 {
		o.Credentials = []Credential{DefaultCredential()}
	}
	f.SetCredentials(o.Credentials...)
	return f
}

// SetCredentials replaces the API keys that are accepted, from the next request on.
// Without any, nobody gets in.
func (f *Frontend) SetCredentials(credentials ...Credential) {
	f.verifier.SetCredentials(credentials...)
}

// Now returns the server's time.
func (f *Frontend) Now() time.Time { return f.options.Clock() }

// Deny answers 403 AccessDenied to every authenticated request that matches, as a CAM
// policy would. With nil, everything is allowed again. COS's POST ?delete is asked about
// once more for each of its keys, as the DELETE request that the key stands for, and
// refuses that key alone: https://cloud.tencent.com/document/product/436/8289.
func (f *Frontend) Deny(match func(Request) bool) {
	if match == nil {
		f.deny.Store(nil)
		return
	}
	f.deny.Store(&match)
}

// denies reports whether r is refused by what Deny was given.
func (f *Frontend) denies(r Request) bool {
	deny := f.deny.Load()
	return deny != nil && (*deny)(r)
}

// ServeHTTP implements [http.Handler]: it answers as the real service does, unless a
// [Fault] says otherwise.
func (f *Frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := f.newExchange(canonical(r))
	f.log.add(x.Request)
	fault := f.takeFault(*x.Request)
	if fault == nil {
		f.reply(w, x, f.work(x))
		return
	}
	f.serveFault(w, x, fault)
}

// RoundTrip implements [http.RoundTripper] as [HandlerTransport] does: there is no socket
// between the client and this server, so that one testing/synctest bubble can hold both,
// and the delay of a [Fault] takes no time.
func (f *Frontend) RoundTrip(r *http.Request) (*http.Response, error) {
	return HandlerTransport{f}.RoundTrip(r)
}

// work does what the request asks for and returns the answer, an error's too.
func (f *Frontend) work(x *Exchange) *Answer {
	a, err := f.perform(x)
	if err != nil {
		return x.errorAnswer(err)
	}
	return a
}

// perform is the one place that decides in which order a request is checked.
func (f *Frontend) perform(x *Exchange) (*Answer, error) {
	if err := f.options.CheckBucket(x.Request.Bucket, x.Request.Region); err != nil {
		return nil, err
	}
	if err := f.verifier.Verify(x.HTTP, x.Now); err != nil {
		return nil, err
	}
	if f.denies(*x.Request) {
		return nil, errAccessDenied
	}
	return f.options.Serve(x)
}

// newExchange reads what the log keeps of r.
func (f *Frontend) newExchange(r *http.Request) *Exchange {
	now := f.Now()
	return &Exchange{
		HTTP:    r,
		Request: newRequest(r, f.options.Service, now),
		Now:     now,
		ID:      requestID(now, f.serial.Add(1)),
	}
}

// requestID returns an id of the form of COS's: base64 of hexadecimal numbers that are
// joined by underscores.
func requestID(now time.Time, serial int64) string {
	var buffer [40]byte
	id := strconv.AppendInt(buffer[:0], now.Unix(), 16)
	id = strconv.AppendInt(append(id, '_'), serial, 16)
	return base64.StdEncoding.EncodeToString(id)
}

// reply sends an answer with the headers that show whose it is.
func (f *Frontend) reply(w http.ResponseWriter, x *Exchange, a *Answer) {
	f.sign(x, a)
	f.send(w, x, a)
}

// sign sets the headers that the service puts on each of its answers.
func (f *Frontend) sign(x *Exchange, a *Answer) {
	a.Header.Set("Date", x.Now.UTC().Format(http.TimeFormat))
	a.Header.Set("Server", "tencent-"+f.options.Service)
	a.Header.Set("X-"+f.options.Service+"-Request-Id", x.ID)
}

// send logs the status before the first byte leaves, so that whoever has the answer finds
// it in the log.
func (f *Frontend) send(w http.ResponseWriter, x *Exchange, a *Answer) {
	f.log.answered(x.Request, a.Status)
	a.write(w, x.HTTP.Method)
}
