package coslocal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// Errors of the Go methods of a [Server]; over HTTP the same conditions are COS's error codes.
var (
	ErrNoSuchBucket = errors.New("no such bucket")
	ErrNoSuchKey    = errors.New("no such key")
)

// ErrLocked is New's error when another server, of this process or another, keeps its buckets in Options.Dir.
var ErrLocked = errors.New("another server keeps its buckets there")

// Credential is one API key that the server accepts.
type Credential struct {
	SecretID  string
	SecretKey string
	// SessionToken makes it a temporary key: requests must carry the token. Empty: they must carry none.
	SessionToken string
}

// DefaultCredential is what a server accepts when Options.Credentials is empty. It opens nothing but this server.
func DefaultCredential() Credential {
	return Credential{SecretID: "coslocal-secret-id", SecretKey: "coslocal-secret-key"}
}

// Options say where a [Server] keeps its objects and whom it lets in. The zero value keeps them in memory, accepts
// [DefaultCredential] and goes by the system's clock.
type Options struct {
	// Dir is the folder that keeps the buckets; "" keeps them in memory. What is there is read at the start. It is
	// locked until Server.Close or the end of the process: one server at a time.
	Dir string
	// Credentials are the API keys accepted; none means DefaultCredential.
	Credentials []Credential
	// Clock tells the server's time, for Last-Modified and the validity of signatures; nil means time.Now.
	Clock func() time.Time
	// MaxClockSkew is how far in the future a signature may begin; 0 means 15 minutes. A signature past its end is never
	// accepted.
	MaxClockSkew time.Duration
	// KeepRequests is how many of the last requests Server.Requests can tell of; 0 means 1,000, negative none.
	KeepRequests int
}

// Server is COS: an http.Handler for requests to {bucket}.cos.{region}.{domain}.
type Server struct {
	clock   func() time.Time
	skew    time.Duration
	dir     string
	lock    *flock.Flock // on dir; nil without one
	log     requestLog
	keys    atomic.Pointer[map[string]Credential]
	deny    atomic.Pointer[func(Request) bool]
	faults  atomic.Pointer[[]*fault]
	faultMu sync.Mutex // held while faults is replaced
	serial  atomic.Int64

	mu      sync.RWMutex
	buckets map[string]*bucket
}

// New returns a server with no buckets but those found in Options.Dir.
func New(o Options) (*Server, error) {
	s := &Server{clock: o.Clock, skew: o.MaxClockSkew, dir: o.Dir, buckets: map[string]*bucket{}}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.skew == 0 {
		s.skew = 15 * time.Minute
	}
	s.log.keep = o.KeepRequests
	if s.log.keep == 0 {
		s.log.keep = 1000
	}
	if len(o.Credentials) == 0 {
		o.Credentials = []Credential{DefaultCredential()}
	}
	s.SetCredentials(o.Credentials...)
	if s.dir == "" {
		return s, nil
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open folder %s: %w", s.dir, err)
	}
	return s, nil
}

// open locks the folder and reads it.
func (s *Server) open() error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	s.lock = flock.New(filepath.Join(s.dir, ".lock"))
	locked, err := s.lock.TryLock()
	if err != nil {
		return err
	}
	if !locked {
		return ErrLocked
	}
	if s.buckets, err = openBuckets(s.dir); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// Close lets another server have Options.Dir. No request may be on its way then, and none come after.
func (s *Server) Close() error {
	if s.lock == nil {
		return nil
	}
	if err := s.lock.Unlock(); err != nil {
		return fmt.Errorf("unlock folder %s: %w", s.dir, err)
	}
	return nil
}

// SetCredentials replaces the API keys accepted, from the next request on. None at all lets nobody in.
func (s *Server) SetCredentials(credentials ...Credential) {
	keys := make(map[string]Credential, len(credentials))
	for _, c := range credentials {
		keys[c.SecretID] = c
	}
	s.keys.Store(&keys)
}

// Deny answers 403 AccessDenied to every authenticated request that matches, as a CAM policy would. nil allows all again.
// Of POST ?delete, each key is also asked about as the DELETE request that it stands for, and refused alone:
// https://cloud.tencent.com/document/product/436/8289.
func (s *Server) Deny(match func(Request) bool) {
	if match == nil {
		s.deny.Store(nil)
		return
	}
	s.deny.Store(&match)
}

func (s *Server) denies(r Request) bool {
	deny := s.deny.Load()
	return deny != nil && (*deny)(r)
}

// ServeHTTP answers one request as COS does, unless a [Fault] says otherwise.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(canonical(r))
	s.log.add(c.seen)
	fault := s.takeFault(*c.seen)
	if fault == nil {
		s.reply(w, c, s.work(c))
		return
	}
	s.serveFault(w, c, fault)
}

// work does what the request asks for: the one place that decides in which order COS checks.
func (s *Server) work(c *call) *answer {
	a, err := s.perform(c)
	if err != nil {
		return c.errorAnswer(err)
	}
	return a
}

func (s *Server) perform(c *call) (*answer, error) {
	b, err := s.findBucket(c.seen.Bucket, c.seen.Region)
	if err != nil {
		return nil, err
	}
	c.bucket = b
	if err := s.authenticate(c); err != nil {
		return nil, err
	}
	if s.denies(*c.seen) {
		return nil, errAccessDenied
	}
	if c.seen.Key != "" {
		if err := checkKey(c.seen.Key); err != nil {
			return nil, err
		}
	}
	return c.operate()
}

// call is one request on its way through the server.
type call struct {
	server *Server
	http   *http.Request
	seen   *Request // what the log keeps; its maps are copies, never changed
	now    time.Time
	id     string
	bucket *bucket
}

func (s *Server) newCall(r *http.Request) *call {
	now := s.clock()
	return &call{server: s, http: r, seen: newRequest(r, now), now: now, id: requestID(now, s.serial.Add(1))}
}

// requestID looks like COS's: base64 of hexadecimal numbers joined by underscores.
func requestID(now time.Time, serial int64) string {
	var room [40]byte
	id := strconv.AppendInt(room[:0], now.Unix(), 16)
	id = strconv.AppendInt(append(id, '_'), serial, 16)
	return base64.StdEncoding.EncodeToString(id)
}

func (s *Server) reply(w http.ResponseWriter, c *call, a *answer) {
	a.header.Set("Server", "tencent-cos")
	a.header.Set("X-Cos-Request-Id", c.id)
	s.send(w, c, a)
}

// send logs the status before the first byte leaves, so that whoever has the answer finds it in the log.
func (s *Server) send(w http.ResponseWriter, c *call, a *answer) {
	s.log.answered(c.seen, a.status)
	a.write(w, c.http.Method)
}
