package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/cos-go-sdk-v5"
)

// DefaultEndpoint is COS's public endpoint, with {bucket} and {region} to be filled in.
const DefaultEndpoint = "https://{bucket}.cos.{region}.myqcloud.com"

// mostClients is how many buckets' clients a Pool keeps.
const mostClients = 128

// A Pool holds what invocations share: connections, and a client for each bucket.
type Pool struct {
	transport http.RoundTripper
	large     chan struct{} // taken while a large object is in memory

	mu      sync.Mutex
	clients map[string]*bucketClient // by base URL
}

// bucketClient is the SDK's client of one bucket.
type bucketClient struct {
	*cos.Client
	bucket    string
	versioned atomic.Bool // an answer showed that the bucket has versions
}

// NewPool returns a Pool on a transport; nil means [NewTransport].
func NewPool(transport http.RoundTripper) *Pool {
	if transport == nil {
		transport = NewTransport()
	}
	return &Pool{transport: transport, large: make(chan struct{}, 1), clients: map[string]*bucketClient{}}
}

// NewTransport returns a transport for COS. It keeps enough idle connections for the
// requests of one callback, and dials names under .localhost on loopback (RFC 6761),
// so that a local COS with the bucket in the host name needs no DNS.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if isLocal(r.URL.Hostname()) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if host, port, err := net.SplitHostPort(addr); err == nil && isLocal(host) {
				addr = net.JoinHostPort("127.0.0.1", port)
			}
			return dialer.DialContext(ctx, network, addr)
		},
		DisableCompression:  true, // an object is compared as it is stored
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     60 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
	}
}

func isLocal(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), ".localhost")
}

// Credentials are an API key of Tencent Cloud, temporary ones with a session token.
type Credentials struct {
	SecretID, SecretKey, SessionToken string
}

// Options say what one invocation works on.
type Options struct {
	Credentials Credentials
	Endpoint    string // with {bucket} and {region}; "" means DefaultEndpoint

	Bucket, Region, Prefix string // where the records are

	TagKey     string   // the key of the MD5 tag
	TagBuckets []string // buckets whose objects may be tagged; empty means those of AppID
	AppID      string

	// Backoff gives the waits between tries; nil means exponential ones from 100
	// milliseconds to 5 seconds, with jitter.
	Backoff func() backoff.BackOff
	// Warn is told of what an operator should know and no answer says; nil means nobody.
	Warn func(message string)
}

// A Store does the work of one invocation.
type Store struct {
	Options
	pool     *Pool
	records  *bucketClient
	requests atomic.Int64
}

// Open returns a Store. Its error wraps ErrMisconfigured.
func (p *Pool) Open(o Options) (*Store, error) {
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	if o.Backoff == nil {
		o.Backoff = exponential
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	s := &Store{Options: o, pool: p}
	var err error
	if s.records, err = p.client(o.Endpoint, o.Bucket, o.Region); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMisconfigured, err)
	}
	return s, nil
}

// Requests is how many requests were made to COS, each try counted.
func (s *Store) Requests() int64 { return s.requests.Load() }

// client gives the client of a bucket, whose name and region it checks.
func (p *Pool) client(endpoint, bucket, region string) (*bucketClient, error) {
	base, err := BucketURL(endpoint, bucket, region)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := base.String()
	c := p.clients[key]
	if c == nil {
		if len(p.clients) >= mostClients { // a callback may name any bucket of the account, there or not
			for url, c := range p.clients { // not maps.DeleteFunc: its generic code makes the linker keep all of the SDK
				if !c.versioned.Load() {
					delete(p.clients, url)
				}
			}
		}
		c = &bucketClient{bucket: bucket, Client: cos.NewClient(&cos.BaseURL{BucketURL: base}, &http.Client{Transport: guard{signer{p.transport}}})}
		c.Conf.RetryOpt.Count = 1 // retries are ours: the SDK's come in a burst and outlive their context
		c.Conf.EnableCRC = false  // it fails a PUT that was done and whose answer lacks the checksum; Content-MD5 guards ours
		p.clients[key] = c
	}
	return c, nil
}

// BucketURL fills in an endpoint template. The result is a host alone: the SDK drops a
// path silently.
func BucketURL(endpoint, bucket, region string) (*url.URL, error) {
	if err := CheckBucket(bucket); err != nil {
		return nil, err
	}
	if err := CheckRegion(region); err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.NewReplacer("{bucket}", bucket, "{region}", region).Replace(endpoint))
	switch { // none of the errors shows the endpoint: it may hold a password
	case err != nil:
		return nil, errors.New("the endpoint is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the endpoint must begin with https:// or http://")
	case !strings.HasPrefix(u.Hostname(), bucket+"."):
		return nil, errors.New("the endpoint must have {bucket} as the first part of its host")
	case !validHost.MatchString(u.Hostname()):
		return nil, errors.New("the endpoint's host must be of lower-case letters, digits, hyphens and dots")
	case strings.HasSuffix(u.Hostname(), "."+region):
		return nil, errors.New("the endpoint must have a domain behind {region}: a callback names the region of an output")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the endpoint must be a scheme, a host and a port, nothing else")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// signer signs each request with the credentials in its context, so that a client
// kept across invocations keeps none.
type signer struct{ base http.RoundTripper }

type credentialsKey struct{}

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	c, _ := r.Context().Value(credentialsKey{}).(Credentials)
	signed := r.WithContext(r.Context())
	signed.Header = r.Header.Clone()
	cos.AddAuthorizationHeader(c.SecretID, c.SecretKey, c.SessionToken, signed, cos.NewAuthTime(time.Hour))
	return s.base.RoundTrip(signed)
}
