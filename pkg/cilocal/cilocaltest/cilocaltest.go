// Package cilocaltest starts a local CI for the time of a test. It is apart from package
// cilocal so that a program that uses that one does not link package testing.
package cilocaltest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

// Server is a [cilocal.Server] that listens on loopback until the test ends.
type Server struct {
	*cilocal.Server
	*coslocaltest.Listener
	// Endpoint is the template that a client fills in with a bucket and a region:
	// http://{bucket}.ci.{region}.localhost:port.
	Endpoint string
}

// NewServer starts a server with the zero [cilocal.Options] and closes it when the test
// ends. The buckets exist in every region.
func NewServer(t testing.TB, buckets ...string) *Server {
	t.Helper()
	return NewServerWith(t, cilocal.Options{}, buckets...)
}

// NewServerWith is [NewServer] with options.
func NewServerWith(t testing.TB, o cilocal.Options, buckets ...string) *Server {
	t.Helper()
	s := New(t, o, buckets...)
	l := coslocaltest.Listen(t, s)
	return &Server{s, l, "http://{bucket}.ci.{region}.localhost:" + l.Port}
}

// New returns a server with buckets that does not listen, for a client that takes it as
// its transport, in a testing/synctest bubble for example. It is closed when the test
// ends.
func New(t testing.TB, o cilocal.Options, buckets ...string) *cilocal.Server {
	t.Helper()
	s := cilocal.New(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("cilocal: %v", err)
		}
	})
	for _, bucket := range buckets {
		if err := s.CreateBucket(bucket, ""); err != nil {
			t.Fatalf("cilocal: %v", err)
		}
	}
	return s
}

// LargeOperation returns XML for [cilocal.Job] Operation that has about so many nodes, as
// the words of a long transcript do. Jobs can share it.
func LargeOperation(nodes int) string {
	var b strings.Builder
	b.WriteString("<SpeechRecognitionResult>")
	for n := 0; n < nodes; n += 5 {
		at := strconv.Itoa(n * 100)
		b.WriteString("<Words><Word>word</Word><OffsetStartMs>" + at + "</OffsetStartMs></Words>")
	}
	b.WriteString("</SpeechRecognitionResult>")
	return b.String()
}
