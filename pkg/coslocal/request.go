package coslocal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Request is one request as the server saw it, kept so that a test can check what went
// over the wire. Its maps are shared: only read them.
type Request struct {
	Time    time.Time // when it came, by the server's clock
	Method  string
	Host    string
	Service string // from the host: "cos" or "ci"
	Bucket  string // from the host; "" when the host names none
	Region  string // from the host
	// Key is the decoded path without its leading slash: the object's key, and "" for a
	// request for the bucket. Of a request to CI it is the path, such as "jobs/j1".
	Key    string
	Query  url.Values
	Header http.Header
	// ContentLength is the body's length, -1 when it was sent in chunks.
	ContentLength int64
	// Status is what was answered. It is 0 as long as nothing was, and when the
	// connection was dropped instead.
	Status int
}

// newRequest copies what it keeps: the caller of ServeHTTP may use the maps of r again.
func newRequest(r *http.Request, service string, now time.Time) *Request {
	host := requestHost(r)
	bucket, region := splitHost(host, service)
	return &Request{
		Time:          now,
		Method:        r.Method,
		Host:          host,
		Service:       service,
		Bucket:        bucket,
		Region:        region,
		Key:           strings.TrimPrefix(r.URL.Path, "/"),
		Query:         parseQuery(r.URL.RawQuery),
		Header:        r.Header.Clone(),
		ContentLength: r.ContentLength,
	}
}

// requestHost returns the host that a request is for. A request that was made for a
// client and handed to a handler has it in the URL alone.
func requestHost(r *http.Request) string {
	return cmp.Or(r.Host, r.URL.Host)
}

// canonical returns r with header names as a connection would bring them: the Go SDK
// writes Content-MD5.
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

// splitHost returns bucket and region of {bucket}.{service}.{region}.{domain}, whatever
// domain and port are, and "" of any other host. The service may be followed by
// "-internal": https://cloud.tencent.com/document/product/436/6224.
func splitHost(host, service string) (bucket, region string) {
	bucket, rest, _ := strings.Cut(strings.ToLower(host), ".")
	label, rest, _ := strings.Cut(rest, ".")
	region, domain, _ := strings.Cut(rest, ".")
	if domain == "" || strings.TrimSuffix(label, "-internal") != service {
		return "", ""
	}
	return bucket, region
}

// parseQuery differs from url.ParseQuery where COS is more tolerant. A semicolon is a
// character like any other, as the times of a signature hold one, and an escape that is
// not valid stands for itself.
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

// unescape returns s itself where it holds an escape that is not valid.
func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// Action is the CAM action that a request to COS needs, without "name/cos:", such as
// "PutObject" or "GetBucketVersioning". It is "" for an operation that this server does
// not know, and for a request to another service.
// https://cloud.tencent.com/document/product/436/65935
func (r Request) Action() string {
	if r.Service != "cos" || r.hasForeignParameter() {
		return ""
	}
	if r.Key == "" {
		return r.bucketAction()
	}
	if r.Query.Has("tagging") {
		return actionName(r.Method, "ObjectTagging", http.MethodGet, http.MethodPut, http.MethodDelete)
	}
	return actionName(r.Method, "Object", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
}

// bucketAction is the action of a request without a key.
func (r Request) bucketAction() string {
	switch {
	case r.Query.Has("tagging"):
		return actionName(r.Method, "BucketTagging", http.MethodGet, http.MethodPut, http.MethodDelete)
	case r.Query.Has("versioning"):
		return actionName(r.Method, "BucketVersioning", http.MethodGet, http.MethodPut)
	case r.Query.Has("delete") && r.Method == http.MethodPost:
		return "DeleteMultipleObjects"
	}
	return actionName(r.Method, "Bucket", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
}

// actionName joins a method and what it acts on: ("GET", "Object") is "GetObject". It is
// "" for a method that is not among the known ones.
func actionName(method, on string, known ...string) string {
	if !slices.Contains(known, method) {
		return ""
	}
	return method[:1] + strings.ToLower(method[1:]) + on
}

// hasForeignParameter reports whether a parameter makes the request an operation that is
// not implemented here. Without this check, a "PUT /key?acl" would overwrite the object.
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

// requestLog keeps the last requests, the oldest first.
type requestLog struct {
	mu    sync.Mutex
	keep  int // how many; negative for none
	last  []*Request
	total int64
}

// add appends a request.
func (l *requestLog) add(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	if l.keep < 0 {
		return
	}
	if len(l.last) >= 2*l.keep { // seldom, so that forgetting costs next to nothing
		l.last = slices.Clone(l.last[len(l.last)-l.keep:])
	}
	l.last = append(l.last, r)
}

// answered notes the status that r was answered with.
func (l *requestLog) answered(r *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Status = status
}

// Requests returns the last requests in the order in which they came, at most
// FrontendOptions.KeepRequests, with those that were refused or are not answered yet.
func (f *Frontend) Requests() []Request {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	last := f.log.last[max(0, len(f.log.last)-max(0, f.log.keep)):]
	requests := make([]Request, len(last))
	for i, r := range last {
		requests[i] = *r
	}
	return requests
}

// ResetRequests forgets the requests so far and counts from zero again.
func (f *Frontend) ResetRequests() {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	f.log.last, f.log.total = nil, 0
}

// RequestCount returns how many requests came since the start or the last ResetRequests,
// however many of them are kept.
func (f *Frontend) RequestCount() int64 {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return f.log.total
}
