package coslocal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Request is one request as COS saw it, kept so that a test can assert on what went over the wire. Its maps are shared:
// read them only.
type Request struct {
	Time   time.Time // when it came, by Options.Clock
	Method string
	Host   string
	Bucket string // from the host; "" when the host names none
	Region string // from the host
	Key    string // decoded, without the leading slash; "" for a request on the bucket
	Query  url.Values
	Header http.Header
	// ContentLength is the body's length, -1 when it was sent in chunks.
	ContentLength int64
	// Status is what was answered; 0 while nothing was, or when the connection was dropped instead.
	Status int
}

// newRequest copies what it keeps: the caller of ServeHTTP may use the maps of r again.
func newRequest(r *http.Request, now time.Time) *Request {
	host := r.Host
	if host == "" { // r was made for a client and handed over without a connection between
		host = r.URL.Host
	}
	bucket, region := splitHost(host)
	return &Request{
		Time:          now,
		Method:        r.Method,
		Host:          host,
		Bucket:        bucket,
		Region:        region,
		Key:           strings.TrimPrefix(r.URL.Path, "/"),
		Query:         parseQuery(r.URL.RawQuery),
		Header:        r.Header.Clone(),
		ContentLength: r.ContentLength,
	}
}

// canonical gives a request whose header names are as a connection would bring them: the Go SDK writes Content-MD5.
func canonical(r *http.Request) *http.Request {
	for name := range r.Header {
		if name != http.CanonicalHeaderKey(name) {
			c := r.WithContext(r.Context())
			c.Header = make(http.Header, len(r.Header))
			for name, values := range r.Header {
				c.Header[http.CanonicalHeaderKey(name)] = values
			}
			return c
		}
	}
	return r
}

// splitHost reads {bucket}.cos.{region}.{domain} and {bucket}.cos-internal.{region}.{domain}, whatever the domain:
// https://cloud.tencent.com/document/product/436/6224. It returns "" for any other host.
func splitHost(host string) (bucket, region string) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	bucket, rest, _ := strings.Cut(strings.ToLower(host), ".")
	service, rest, _ := strings.Cut(rest, ".")
	region, domain, _ := strings.Cut(rest, ".")
	if domain == "" || service != "cos" && service != "cos-internal" {
		return "", ""
	}
	return bucket, region
}

// parseQuery differs from url.ParseQuery where COS is more tolerant: a semicolon is a character like any other (signature
// times hold one), and an escape that is none stands for itself.
func parseQuery(raw string) url.Values {
	query := url.Values{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = unescape(name)
		query[name] = append(query[name], unescape(value))
	}
	return query
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// Action is the CAM action that the request needs, without "name/cos:", for example "PutObject" or "GetBucketVersioning";
// "" for an operation that this server does not know. https://cloud.tencent.com/document/product/436/65935
func (r Request) Action() string {
	if r.hasForeignParameter() {
		return ""
	}
	if r.Key == "" {
		return r.bucketAction()
	}
	if r.Query.Has("tagging") {
		return name(r.Method, "ObjectTagging", http.MethodGet, http.MethodPut, http.MethodDelete)
	}
	return name(r.Method, "Object", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
}

func (r Request) bucketAction() string {
	switch {
	case r.Query.Has("tagging"):
		return name(r.Method, "BucketTagging", http.MethodGet, http.MethodPut, http.MethodDelete)
	case r.Query.Has("versioning"):
		return name(r.Method, "BucketVersioning", http.MethodGet, http.MethodPut)
	case r.Query.Has("delete") && r.Method == http.MethodPost:
		return "DeleteMultipleObjects"
	}
	return name(r.Method, "Bucket", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
}

// name joins a method and what it acts on: ("GET", "Object") is "GetObject".
func name(method, on string, known ...string) string {
	if !slices.Contains(known, method) {
		return ""
	}
	return method[:1] + strings.ToLower(method[1:]) + on
}

// hasForeignParameter tells whether a parameter makes the request an operation that is not implemented here. Without this
// a "PUT /key?acl" would overwrite the object.
func (r Request) hasForeignParameter() bool {
	for parameter := range r.Query {
		switch parameter {
		case "accelerate", "acl", "append", "cors", "domain", "encryption", "intelligenttiering", "inventory", "legal-hold",
			"lifecycle", "list-type", "logging", "metadata", "object-lock", "origin", "partNumber", "policy", "referer",
			"rename", "replication", "restore", "retention", "select", "symlink", "uploadId", "uploads", "versions",
			"website", "ci-process":
			return true
		}
		if strings.HasPrefix(parameter, "imageMogr2") || strings.HasPrefix(parameter, "imageView2") {
			return true
		}
	}
	return false
}

// requestLog keeps the last requests, oldest first.
type requestLog struct {
	mu    sync.Mutex
	keep  int
	last  []*Request
	total int64
}

func (l *requestLog) add(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	if l.keep < 0 {
		return
	}
	if len(l.last) >= 2*l.keep { // rarely, so that dropping costs nothing to speak of
		l.last = slices.Clone(l.last[len(l.last)-l.keep:])
	}
	l.last = append(l.last, r)
}

func (l *requestLog) answered(r *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Status = status
}

// Requests returns the last requests in the order they came, at most Options.KeepRequests, those included that were
// refused or are not answered yet.
func (s *Server) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	last := s.log.last[max(0, len(s.log.last)-max(0, s.log.keep)):]
	requests := make([]Request, len(last))
	for i, r := range last {
		requests[i] = *r
	}
	return requests
}

// ResetRequests forgets the requests so far and begins to count again.
func (s *Server) ResetRequests() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.last, s.log.total = nil, 0
}

// RequestCount is how many requests came since the start or the last ResetRequests, however many are kept.
func (s *Server) RequestCount() int64 {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.total
}
