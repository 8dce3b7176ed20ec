package cosname

import (
	"errors"
	"net/url"
	"strings"
)

// The public endpoints, with {bucket} and {region} to be filled in.
const (
	COSEndpoint = "https://{bucket}.cos.{region}.myqcloud.com"
	CIEndpoint  = "https://{bucket}.ci.{region}.myqcloud.com"
)

// BucketURL fills a bucket and a region, which it checks, into an endpoint template. The
// result is a scheme, a host and a port alone, since the SDK drops a path silently.
func BucketURL(endpoint, bucket, region string) (*url.URL, error) {
	if err := CheckBucket(bucket); err != nil {
		return nil, err
	}
	if err := CheckRegion(region); err != nil {
		return nil, err
	}
	filled := strings.ReplaceAll(strings.ReplaceAll(endpoint, "{bucket}", bucket), "{region}", region)
	u, err := url.Parse(filled)
	switch { // none of the errors shows the endpoint: it may hold a password
	case err != nil:
		return nil, errors.New("the endpoint is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the endpoint must begin with https:// or http://")
	case !strings.HasPrefix(u.Hostname(), bucket+"."):
		return nil, errors.New("the endpoint must have {bucket} as the first part of its host")
	case !isHostName(u.Hostname()):
		return nil, errors.New("the endpoint's host must be of lower-case letters, digits, hyphens and dots")
	case strings.HasSuffix(u.Hostname(), "."+region):
		return nil, errors.New("the endpoint must have a domain behind {region}: a callback names the region of an output")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the endpoint must be a scheme, a host and a port, nothing else")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// isHostName reports whether a name is of labels of lower-case letters, digits and
// hyphens, with single dots between them.
func isHostName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || !consistsOf(label, isHostByte) {
			return false
		}
	}
	return true
}

// IsLoopbackName reports whether a host name is one under .localhost, which stands for
// this machine and is never looked up (RFC 6761).
func IsLoopbackName(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), ".localhost")
}
