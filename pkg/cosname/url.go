package cosname

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// ParseURL returns the bucket, the region and the key that the address of an object in
// COS names, and reports whether it is one. The scheme may be missing, as in the Location
// that COS returns of an upload. The region is empty in an address of global
// acceleration, which does not name it, and the key where only a bucket is named.
//
//	https://b-1250000000.cos.ap-beijing.myqcloud.com/a%20b.mp4?sign=…   the default
//	https://b-1250000000.cos.ap-beijing.tencentcos.cn/a.mp4             the same, another domain
//	https://b-1250000000.cos-internal.ap-beijing.tencentcos.cn/a.mp4    from within Tencent's network
//	https://b-1250000000.cos-website.ap-beijing.myqcloud.com/a.html     a static website
//	https://b-1250000000.cos.accelerate.myqcloud.com/a.mp4              global acceleration
//	https://b-1250000000.cos.accelerate-overseas.myqcloud.com/a.mp4     the same, abroad
//	https://b-1250000000.ci.ap-beijing.myqcloud.com/a.mp4               by CI
//	https://b-1250000000.pic.ap-beijing.myqcloud.com/a.jpg              by CI, pictures
//	https://cos.ap-beijing.myqcloud.com/b-1250000000/a.mp4              with the bucket in the path
//	b-1250000000.cos.ap-beijing.myqcloud.com/a.mp4                      a Location
//
// The key is unescaped once, as a server would, and has no leading slash. A key that was
// not escaped, against the rules, is returned as it stands where its percent signs escape
// nothing, or no UTF-8.
//
// https://www.tencentcloud.com/document/product/436/6224 and
// https://cloud.tencent.com/document/product/460/36365
func ParseURL(raw string) (bucket, region, key string, ok bool) {
	host, path := splitURL(raw)
	labels, isCOS := cutDomain(host)
	if !isCOS {
		return "", "", "", false
	}
	parts := strings.Split(labels, ".")
	if len(parts) == 2 && isService(parts[0]) { // the bucket is in the path
		bucket, path, _ = strings.Cut(path, "/")
		parts = append([]string{bucket}, parts...)
	}
	if len(parts) != 3 || !isService(parts[1]) || CheckBucket(parts[0]) != nil {
		return "", "", "", false
	}
	if region = parts[2]; region == "accelerate" || region == "accelerate-overseas" {
		region = ""
	} else if CheckRegion(region) != nil {
		return "", "", "", false
	}
	return parts[0], region, unescapeKey(path), true
}

// splitURL returns the host of a URL, in lower case and without the port, and its path
// without the first slash. Both are empty where there is a user in it.
func splitURL(raw string) (host, path string) {
	if scheme, rest, found := strings.Cut(raw, "://"); found && !strings.ContainsAny(scheme, "/?#") {
		if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
			return "", ""
		}
		raw = rest
	}
	if end := strings.IndexAny(raw, "?#"); end >= 0 {
		raw = raw[:end]
	}
	host, path, _ = strings.Cut(raw, "/")
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
	return strings.ToLower(host), path
}

// cutDomain returns what stands before COS's domain in a host name.
func cutDomain(host string) (labels string, ok bool) {
	if labels, ok = strings.CutSuffix(host, ".myqcloud.com"); !ok {
		labels, ok = strings.CutSuffix(host, ".tencentcos.cn")
	}
	return labels, ok
}

// isService reports whether a label of a host name says that objects are there.
func isService(label string) bool {
	switch label {
	case "cos", "cos-internal", "cos-website", "ci", "pic":
		return true
	default:
		return false
	}
}

// unescapeKey returns the key that a path stands for.
func unescapeKey(path string) string {
	if key, err := url.PathUnescape(path); err == nil && utf8.ValidString(key) {
		return key
	}
	return path
}
