package ci

import (
	"net/http"
	"net/url"

	"github.com/cenkalti/backoff/v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
)

const (
	// MaxRequests is how many requests of one Client are on their way at a time. CI
	// documents no limit for asking about jobs, and 10 a second for settings of a bucket.
	MaxRequests = 4
	// MaxTries is how often a request is tried.
	MaxTries = 4
	// MaxAnswerBytes is how long an answer may be. A hundred jobs, each with a transcript of
	// a quarter of a megabyte, fit.
	MaxAnswerBytes = 24 << 20
	// LargeAnswerBytes is how long an answer may be without waiting for its turn.
	LargeAnswerBytes = 1 << 20
)

// Options are what a [Client] works with.
type Options struct {
	// Transport is what requests go over; nil means [cosclient.NewTransport].
	Transport http.RoundTripper
	// Endpoint is CI's address, with {bucket} and {region} to be filled in; "" means
	// [cosname.CIEndpoint].
	Endpoint    string
	Credentials cosclient.Credentials
	// Backoff returns the waits between the tries of one request; nil means those of
	// [cosclient.Session].
	Backoff func() backoff.BackOff
}

// A Client asks CI about the jobs of several buckets, within common limits. It is safe for
// concurrent use.
type Client struct {
	transport http.RoundTripper
	endpoint  string
	session   *cosclient.Session
	large     chan struct{} // taken while a large answer is in memory
}

// NewClient returns a Client.
func NewClient(o Options) *Client {
	if o.Transport == nil {
		o.Transport = cosclient.NewTransport()
	}
	if o.Endpoint == "" {
		o.Endpoint = cosname.CIEndpoint
	}
	return &Client{
		transport: cosclient.Wrap(o.Transport),
		endpoint:  o.Endpoint,
		session: &cosclient.Session{
			Credentials: o.Credentials, Backoff: o.Backoff, MaxTries: MaxTries, Slots: make(chan struct{}, MaxRequests),
		},
		large: make(chan struct{}, 1),
	}
}

// Requests returns how many requests were made, each try counted.
func (c *Client) Requests() int64 { return c.session.Requests() }

// A Bucket is a bucket about whose jobs CI is asked: the one that the jobs' input is in.
type Bucket struct {
	client *Client
	name   string
	url    *url.URL
}

// Bucket returns the bucket of that name, which must be <name>-<appid>, in a region.
func (c *Client) Bucket(name, region string) (*Bucket, error) {
	base, err := cosname.BucketURL(c.endpoint, name, region)
	if err != nil {
		return nil, &cosclient.Error{Verb: "ask CI about", Object: "bucket " + name, Err: err, Kind: cosclient.ErrMisconfigured,
			Remedy: "check CI_ENDPOINT and the bucket's name and region"}
	}
	return &Bucket{client: c, name: name, url: base}, nil
}
