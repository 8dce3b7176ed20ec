package cilocal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// ErrNoSuchBucket is the error of a Go method of [Server] that names a bucket without CI.
var ErrNoSuchBucket = errors.New("no such bucket")

// The headers in which CI's clients send a session token. The documentation names the
// first, Tencent's SDKs for Go and Java send the second.
const (
	TokenHeaderCI  = "X-Ci-Security-Token"
	TokenHeaderCOS = "X-Cos-Security-Token"
)

// The NextToken of the last page of a list. Tencent does not say which of them it is.
const (
	LastTokenAbsent   = "absent"   // there is no such element
	LastTokenEmpty    = "empty"    // the element is empty
	LastTokenRepeated = "repeated" // it is the token that the page was asked for with
	LastTokenNever    = "never"    // no page has one, a full page neither
)

// Options say how a [Server] runs jobs and whom it lets in. The zero value accepts
// [coslocal.DefaultCredential], goes by the system's clock, writes no outputs, and lets
// each job succeed at once.
type Options struct {
	// COS is where jobs write their outputs. With nil they write none, and are reported
	// as if they had.
	COS *coslocal.Server
	// Credentials are the API keys accepted; none means coslocal.DefaultCredential.
	Credentials []coslocal.Credential
	// Clock returns the server's time; nil means time.Now. With a Clock, nothing happens
	// by itself: see Server.RunDue.
	Clock func() time.Time
	// MaxClockSkew and KeepRequests are those of coslocal.Options.
	MaxClockSkew time.Duration
	KeepRequests int

	// Plan says how a job goes that a client submits; nil means the zero Plan for each.
	// It is called with the server's lock held, and must not call the server.
	Plan func(Job) Plan
	// Transport sends the callbacks; nil means over loopback, and never anywhere else.
	Transport http.RoundTripper
	// Location is the time zone of the times that CI writes; nil means UTC+8.
	Location *time.Location

	// What follows chooses between answers that Tencent does not document.

	// TokenHeader is the one header in which a session token must come, one of the
	// constants of this package; "" takes it in either.
	TokenHeader string
	// LastToken is how the last page of a list shows that it is, one of the constants of
	// this package; "" means LastTokenAbsent.
	LastToken string
	// DemandQueue refuses a list of jobs that names neither queueId nor queueType.
	DemandQueue bool
	// OldPathsOnly lets /jobs/<id> know jobs of media alone, others their old path alone.
	OldPathsOnly bool
	// MoreTags are types of jobs that GET /jobs?tag=… lists, besides those that it is
	// documented for.
	MoreTags []string
}

// Server is CI: an http.Handler for requests to {bucket}.ci.{region}.{domain}. What it
// can do to requests (refuse them, break them, tell which came) is its
// [coslocal.Frontend].
type Server struct {
	*coslocal.Frontend
	options  Options
	location *time.Location
	client   *http.Client // for callbacks

	mu         sync.Mutex
	buckets    map[string]*bucket
	serial     int64
	due        dueQueue
	timer      *time.Timer // for the first of due; nil with Options.Clock
	closed     bool
	delivered  []Delivery
	delivering int        // how many callbacks are on their way
	allSent    *sync.Cond // on mu, signalled when delivering gets 0
}

// bucket is what CI has of a bucket. The server's lock guards it.
type bucket struct {
	name, region string
	jobs         []*job // by creation time, in whole seconds, then serial
	jobByID      map[string]*job
	runs         []*run // in the same order
	runByID      map[string]*run
	queues       []*Queue
}

// New returns a server that has no bucket yet.
func New(o Options) *Server {
	s := &Server{
		options:  o,
		location: o.Location,
		client:   &http.Client{Transport: o.Transport, Timeout: callbackTimeout},
		buckets:  map[string]*bucket{},
	}
	s.allSent = sync.NewCond(&s.mu)
	if s.client.Transport == nil {
		s.client.Transport = newLoopbackTransport()
	}
	if s.location == nil {
		s.location = time.FixedZone("", 8*60*60)
	}
	tokenHeaders := []string{TokenHeaderCI, TokenHeaderCOS}
	if o.TokenHeader != "" {
		tokenHeaders = []string{o.TokenHeader}
	}
	s.Frontend = coslocal.NewFrontend(coslocal.FrontendOptions{
		Service:      "ci",
		Credentials:  o.Credentials,
		Clock:        o.Clock,
		MaxClockSkew: o.MaxClockSkew,
		KeepRequests: o.KeepRequests,
		TokenHeaders: tokenHeaders,
		CheckBucket: func(name, region string) error {
			_, err := s.findBucket(name, region)
			return err
		},
		Serve: s.serve,
	})
	return s
}

// Close ends what the server does by itself, and waits for the callbacks on their way.
// Jobs end no more after that, and call back no more.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.waitForCallbacks()
	return nil
}

// waitForCallbacks waits until no callback is on its way. The lock is held before and
// after.
func (s *Server) waitForCallbacks() {
	for s.delivering > 0 {
		s.allSent.Wait()
	}
}

// CreateBucket makes CI take jobs for a bucket, with one queue for each type of queue,
// that call nobody back. An empty region answers in every one. A bucket that is there
// already stays as it is.
func (s *Server) CreateBucket(name, region string) error {
	if i := strings.LastIndexByte(name, '-'); i <= 0 || strings.Trim(name[i+1:], "0123456789") != "" || name[i+1:] == "" {
		return fmt.Errorf("create bucket %q: the name must be <name>-<appid>", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return nil
	}
	b := &bucket{name: name, region: region, jobByID: map[string]*job{}, runByID: map[string]*run{}}
	b.queues = newQueues(s.Now())
	s.buckets[name] = b
	return nil
}

// findBucket returns a bucket, if it is there and in the region.
func (s *Server) findBucket(name, region string) (*bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil || b.region != "" && b.region != region {
		return nil, coslocal.NoSuchBucket(name)
	}
	return b, nil
}

// bucket returns a bucket for a Go method. The lock is held.
func (s *Server) bucket(name string) (*bucket, error) {
	b := s.buckets[name]
	if b == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoSuchBucket, name)
	}
	return b, nil
}

// WithCOS returns a transport for a client of both: it hands what is for
// {bucket}.cos.{region}.{domain} to Options.COS, and everything else to this server.
func (s *Server) WithCOS() http.RoundTripper { return withCOS{s} }

// withCOS is the transport of WithCOS.
type withCOS struct{ server *Server }

// RoundTrip implements [http.RoundTripper].
func (t withCOS) RoundTrip(r *http.Request) (*http.Response, error) {
	_, rest, _ := strings.Cut(cmp.Or(r.Host, r.URL.Host), ".")
	if cos := t.server.options.COS; cos != nil && strings.HasPrefix(rest, "cos") {
		return cos.RoundTrip(r)
	}
	return t.server.RoundTrip(r)
}

// call is one authenticated request.
type call struct {
	*coslocal.Exchange
	server *Server
	bucket *bucket
	id     string // what the path names after its first segment
}

// serve does what an authenticated request asks for, after what is due by now.
func (s *Server) serve(x *coslocal.Exchange) (*coslocal.Answer, error) {
	b, err := s.findBucket(x.Request.Bucket, x.Request.Region)
	if err != nil {
		return nil, err
	}
	s.runDue(x.Now)
	op, id, ok := findOperation(*x.Request)
	if !ok {
		return nil, errNotImplemented
	}
	c := &call{Exchange: x, server: s, bucket: b, id: id}
	s.mu.Lock()
	defer s.mu.Unlock()
	return op.serve(c)
}

// operation is one of the things that CI can be asked for.
type operation struct {
	method, path string
	withID       bool   // whether the path goes on with an id
	parameter    string // that the request must have
	action       string // the CAM action, without "ci:"
	serve        func(*call) (*coslocal.Answer, error)
}

// operations lists what this server answers. The actions are those of
// https://cloud.tencent.com/document/product/460/104297; it has none for some old paths,
// and those here are a guess.
func operations() []operation {
	list := []operation{
		{"POST", "jobs", false, "", "CreateMediaJobs", (*call).createJobs},
		{"GET", "jobs", true, "", "DescribeMediaJob", (*call).describeJobs},
		{"GET", "jobs", false, "", "DescribeMediaJobs", (*call).listJobs},
		{"PUT", "jobs", true, "cancel", "CancelMediaJob", (*call).cancelJob},
		{"POST", "triggerworkflow", false, "", "TriggerWorkflow", (*call).triggerWorkflow},
		{"GET", "workflowexecution", true, "", "DescribeMediaWorkflowExecutions", (*call).describeRun},
		{"GET", "workflowexecution", false, "", "DescribeMediaWorkflowExecutions", (*call).listRuns},
	}
	for _, old := range oldPaths {
		list = append(list,
			operation{"POST", old.path, false, "", old.create, (*call).createJobs},
			operation{"GET", old.path, true, "", old.describe, (*call).describeJobs},
			operation{"GET", old.path, false, "", old.describe, (*call).listJobs})
	}
	for _, path := range queuePaths() {
		list = append(list,
			operation{"GET", path, false, "", "DescribeMediaQueues", (*call).describeQueues},
			operation{"PUT", path, true, "", "UpdateMediaQueue", (*call).updateQueue})
	}
	return list
}

// oldPaths are where jobs that are not of media were asked for before /jobs took them
// all, with the prefix of their ids.
var oldPaths = []struct {
	path             string
	prefix           byte
	create, describe string
}{
	{"pic_jobs", 'c', "CreatePicProcessJobs", "DescribePicProcessJobs"},
	{"ai_jobs", 'a', "CreateAIJobs", "DescribeAIJobs"},
	{"asr_jobs", 's', "CreateAsrJobs", "DescribeAsrJobs"},
	{"doc_jobs", 'd', "CreateDocProcessJobs", "DescribeDocProcessJobs"},
	{"file_jobs", 'f', "CreateFileProcessJobs", "DescribeFileProcessJob"},
}

// oldPrefix returns the prefix of ids at an old path, 0 for another path.
func oldPrefix(path string) byte {
	for _, old := range oldPaths {
		if old.path == path {
			return old.prefix
		}
	}
	return 0
}

// findOperation returns what a request asks for, and the id in its path.
func findOperation(r coslocal.Request) (op operation, id string, ok bool) {
	path, id, withID := strings.Cut(r.Key, "/")
	for _, op := range operations() {
		if op.method == r.Method && op.path == path && op.withID == withID &&
			(op.parameter == "" || r.Query.Has(op.parameter)) {
			return op, id, true
		}
	}
	return operation{}, "", false
}

// Action is the CAM action that a request to CI needs, without "ci:", such as
// "DescribeMediaJobs". It is "" for what this server does not answer.
func Action(r coslocal.Request) string {
	op, _, _ := findOperation(r)
	return op.action
}

var errNotImplemented = &coslocal.Error{Status: http.StatusNotImplemented, Code: "NotImplemented",
	Message: "This operation is not implemented here."}

// maxRequestBytes bounds the body of a request.
const maxRequestBytes = 1 << 20

// readRequest reads the body of a request, which is one element named Request.
func (c *call) readRequest() (*element, error) {
	body, err := io.ReadAll(io.LimitReader(c.HTTP.Body, maxRequestBytes+1))
	if err != nil {
		return nil, coslocal.InvalidArgument("The body cannot be read.")
	}
	if len(body) > maxRequestBytes {
		return nil, coslocal.InvalidArgument("The body is too long.")
	}
	root, err := parseElement(body)
	if err != nil || root.name != "Request" {
		return nil, &coslocal.Error{Status: http.StatusBadRequest, Code: "MalformedXML",
			Message: "The body must be XML with the root Request."}
	}
	return root, nil
}

// respond returns an answer with inner in its Response.
func respond(inner func(*writer)) *coslocal.Answer {
	var w writer
	w.element("Response", func() { inner(&w) })
	return coslocal.XMLAnswer(w.Bytes())
}

// sortKey orders jobs and runs as CI lists them: by the second of their creation, and
// within one second as they were made.
type sortKey struct {
	second, serial int64
}

// compare returns a negative number where k is before other.
func (k sortKey) compare(other sortKey) int {
	return cmp.Or(cmp.Compare(k.second, other.second), cmp.Compare(k.serial, other.serial))
}

func (j *job) sortKey() sortKey { return sortKey{j.Created.Unix(), j.serial} }

// insertJob puts a job where it belongs. The lock is held.
func (b *bucket) insertJob(j *job) {
	at, _ := slices.BinarySearchFunc(b.jobs, j.sortKey(), func(j *job, k sortKey) int { return j.sortKey().compare(k) })
	b.jobs = slices.Insert(b.jobs, at, j)
	b.jobByID[j.ID] = j
}
