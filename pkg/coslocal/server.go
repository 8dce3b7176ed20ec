package coslocal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Errors of the Go methods of a [Server]. Over HTTP they are error codes of COS.
var (
	ErrNoSuchBucket = errors.New("no such bucket")
	ErrNoSuchKey    = errors.New("no such key")
)

// ErrLocked is New's error when another server, of this process or another, keeps its
// buckets in Options.Dir.
var ErrLocked = errors.New("another server keeps its buckets there")

// Credential is one API key that the server accepts.
type Credential struct {
	SecretID  string
	SecretKey string
	// SessionToken makes it a temporary key, and requests must carry the token. Without
	// one, requests must carry none.
	SessionToken string
}

// DefaultCredential returns the key that a server accepts when Options.Credentials is
// empty. It opens nothing but local servers.
func DefaultCredential() Credential {
	return Credential{SecretID: "coslocal-secret-id", SecretKey: "coslocal-secret-key"}
}

// Options say where a [Server] keeps its objects and whom it lets in. With the zero value
// it keeps them in memory, accepts [DefaultCredential], and goes by the system's clock.
type Options struct {
	// Dir is the folder that keeps the buckets; "" keeps them in memory. What is in it is
	// read at the start. It is locked until Server.Close or the end of the process, so
	// that one server has it at a time.
	Dir string
	// Credentials are the API keys accepted; none means DefaultCredential.
	Credentials []Credential
	// Clock returns the server's time, for Last-Modified and the validity of signatures;
	// nil means time.Now.
	Clock func() time.Time
	// MaxClockSkew is how far in the future a signature may begin; 0 means 15 minutes. A
	// signature past its end is never accepted.
	MaxClockSkew time.Duration
	// KeepRequests is how many of the last requests Frontend.Requests returns; 0 means
	// 1,000, and a negative number none.
	KeepRequests int
}

// Server is COS: an http.Handler for requests to {bucket}.cos.{region}.{domain}. What it
// can do to requests (refuse them, break them, tell which came) is its [Frontend].
type Server struct {
	*Frontend
	dir  string
	lock *flock.Flock // on dir; nil without one

	mu      sync.RWMutex
	buckets map[string]*bucket
}

// New returns a server that has no buckets but those found in Options.Dir.
func New(o Options) (*Server, error) {
	s := &Server{dir: o.Dir, buckets: map[string]*bucket{}}
	s.Frontend = NewFrontend(FrontendOptions{
		Service:      "cos",
		Credentials:  o.Credentials,
		Clock:        o.Clock,
		MaxClockSkew: o.MaxClockSkew,
		KeepRequests: o.KeepRequests,
		CheckBucket: func(bucket, region string) error {
			_, err := s.findBucket(bucket, region)
			return err
		},
		Serve: s.serve,
	})
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

// Close lets another server have Options.Dir. No request may be under way, and none may
// come after it.
func (s *Server) Close() error {
	if s.lock == nil {
		return nil
	}
	if err := s.lock.Unlock(); err != nil {
		return fmt.Errorf("unlock folder %s: %w", s.dir, err)
	}
	return nil
}

// call is one authenticated request to COS.
type call struct {
	*Exchange
	server *Server
	bucket *bucket
}

// serve does what an authenticated request asks for.
func (s *Server) serve(x *Exchange) (*Answer, error) {
	b, err := s.findBucket(x.Request.Bucket, x.Request.Region)
	if err != nil {
		return nil, err
	}
	if x.Request.Key != "" {
		if err := checkKey(x.Request.Key); err != nil {
			return nil, err
		}
	}
	c := &call{Exchange: x, server: s, bucket: b}
	return c.operate()
}
