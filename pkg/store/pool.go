package store

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// maxClients is how many buckets' clients a Pool keeps.
const maxClients = 128

// A Pool holds what invocations share: connections, and a client for each bucket.
type Pool struct {
	transport     http.RoundTripper
	largeReads    chan struct{} // holds a value while a large object is in memory
	historyWrites chan struct{} // holds a value for each version on its way to a history

	mu      sync.Mutex
	clients map[string]*bucketClient // by base URL
}

// bucketClient is the SDK's client of one bucket.
type bucketClient struct {
	client    *cos.Client
	bucket    string
	versioned atomic.Bool // an answer showed that the bucket has versions
}

// NewPool returns a Pool on a transport; nil means that of [cosclient.NewTransport].
func NewPool(transport http.RoundTripper) *Pool {
	if transport == nil {
		transport = cosclient.NewTransport()
	}
	return &Pool{
		transport:     checkedTransport{cosclient.Wrap(transport)},
		largeReads:    make(chan struct{}, 1),
		historyWrites: make(chan struct{}, maxHistoryWrites),
		clients:       map[string]*bucketClient{},
	}
}

// Options say what one invocation works on.
type Options struct {
	Credentials cosclient.Credentials
	Endpoint    string // with {bucket} and {region}; "" means cosname.COSEndpoint

	Bucket, Region, Prefix string // where the records are

	TagKey     string   // the key of the MD5 tag
	TagBuckets []string // buckets whose objects may be tagged; empty means those of AppID
	AppID      string

	// Backoff returns the waits between tries; nil means those of [cosclient.Session].
	Backoff func() backoff.BackOff
	// MaxTries is how often an operation is tried; 0 means until its context ends.
	MaxTries uint
	// Slots bounds how many requests are under way at a time, as in [cosclient.Session].
	Slots chan struct{}
	// Warn is told of what an operator should know and no answer says; nil means nobody.
	Warn func(message string)
}

// A Store does the work of one invocation.
type Store struct {
	options Options
	session *cosclient.Session
	pool    *Pool
	records *bucketClient
}

// Open returns a Store. Its error wraps [cosclient.ErrMisconfigured].
func (p *Pool) Open(o Options) (*Store, error) {
	if o.Endpoint == "" {
		o.Endpoint = cosname.COSEndpoint
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	s := &Store{options: o, pool: p, session: &cosclient.Session{
		Credentials: o.Credentials, Backoff: o.Backoff, MaxTries: o.MaxTries, Slots: o.Slots,
	}}
	var err error
	if s.records, err = p.client(o.Endpoint, o.Bucket, o.Region); err != nil {
		return nil, fmt.Errorf("%w: %w", cosclient.ErrMisconfigured, err)
	}
	return s, nil
}

// Requests returns how many requests were made to COS, each try counted.
func (s *Store) Requests() int64 { return s.session.Requests() }

// Prefix returns what all keys of the store begin with, such as "ci/".
func (s *Store) Prefix() string { return s.options.Prefix }

// try makes one request by a call of the SDK.
func (s *Store) try(ctx context.Context, call func(context.Context) (*cos.Response, error)) (*cos.Response, error) {
	var response *cos.Response
	err := s.session.Try(ctx, func(ctx context.Context) (err error) {
		response, err = call(ctx)
		return err
	})
	return response, err
}

// client returns the client of a bucket, whose name and region it checks.
func (p *Pool) client(endpoint, bucket, region string) (*bucketClient, error) {
	base, err := cosname.BucketURL(endpoint, bucket, region)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := base.String()
	c := p.clients[key]
	if c == nil {
		if len(p.clients) >= maxClients { // a callback may name any bucket of the account, there or not
			p.forgetClients()
		}
		c = &bucketClient{bucket: bucket, client: newClient(base, p.transport)}
		p.clients[key] = c
	}
	return c, nil
}

// forgetClients lets go of all clients but those of buckets that were seen to have
// versions. It is no maps.DeleteFunc, whose generic code would make the linker keep all of
// the SDK.
func (p *Pool) forgetClients() {
	for base, c := range p.clients {
		if !c.versioned.Load() {
			delete(p.clients, base)
		}
	}
}

// newClient returns the SDK's client of a bucket. Retries are ours: the SDK's come in a
// burst and outlive their context. Its check of an answer's CRC would fail a PUT that was
// done and whose answer lacks the checksum; ours is guarded by Content-MD5.
func newClient(bucket *url.URL, transport http.RoundTripper) *cos.Client {
	c := cos.NewClient(&cos.BaseURL{BucketURL: bucket}, &http.Client{Transport: transport})
	c.Conf.RetryOpt.Count = 1
	c.Conf.EnableCRC = false
	return c
}
