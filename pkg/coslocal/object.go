package coslocal

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash/crc64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// object is one version of an object. Once it is in a bucket it never changes: a change
// puts another one in its place.
type object struct {
	key      string
	size     int64
	body     []byte // in memory; nil when path is set
	path     string // the file that holds it; "" in memory
	header   http.Header
	md5      [md5.Size]byte
	etag     string // quoted; the MD5 in hexadecimal digits unless a test set another
	crc      uint64
	modified time.Time // whole seconds, UTC
	version  string    // "" unless the bucket was versioned
	tags     []Tag
}

// nullVersion is the id of what is stored while versioning is suspended, or before it is
// ever set.
const nullVersion = "null"

// newObject returns an object with all that follows from its body.
func newObject(key string, body []byte, now time.Time) *object {
	o := &object{
		key:      key,
		size:     int64(len(body)),
		body:     body,
		md5:      md5.Sum(body),
		crc:      crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)), // the table is made once, in hash/crc64
		modified: now.UTC().Truncate(time.Second),
	}
	o.etag = o.defaultETag()
	return o
}

// defaultETag returns the ETag of an object that was uploaded in one piece, its MD5.
func (o *object) defaultETag() string { return `"` + hex.EncodeToString(o.md5[:]) + `"` }

// checkKey checks a key by the rules of
// https://cloud.tencent.com/document/product/436/13324. That page does not refuse "." and
// ".." between slashes, as this does: COS is said to resolve them into another resource,
// and no client should depend on which.
func checkKey(key string) error {
	switch {
	case len(key) > 850:
		return &Error{http.StatusBadRequest, "KeyTooLong", "Your key is too long."}
	case !utf8.ValidString(key):
		return &Error{http.StatusBadRequest, "InvalidURI", "The key is not UTF-8."}
	case key == "", key[0] == '/', key[0] == '\\', strings.ContainsAny(key, "\x18\x19\x1a\x1b"):
		return &Error{http.StatusBadRequest, "InvalidObjectName",
			"The key is empty, starts with a slash or backslash, or has a control character in it."}
	case strings.Contains(key, ".") && hasDotSegment(key):
		return &Error{http.StatusBadRequest, "InvalidURI", `The key has "." or ".." as a path segment.`}
	}
	return nil
}

// hasDotSegment reports whether a part of the key between slashes is "." or "..".
func hasDotSegment(key string) bool {
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// isStoredHeader reports whether a header of a PUT is kept with the object and sent with
// it: https://cloud.tencent.com/document/product/436/7749. The name is in canonical form.
func isStoredHeader(name string) bool {
	switch name {
	case "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires",
		"X-Cos-Storage-Class":
		return true
	}
	return strings.HasPrefix(name, "X-Cos-Meta-")
}

// storedHeader returns a copy of the headers that are kept with an object.
func storedHeader(sent http.Header) http.Header {
	stored := make(http.Header, 4)
	for name, values := range sent {
		if name = http.CanonicalHeaderKey(name); isStoredHeader(name) {
			stored[name] = slices.Clone(values)
		}
	}
	if stored["Content-Type"] == nil {
		stored["Content-Type"] = []string{"application/octet-stream"}
	}
	return stored
}

// checkHeader refuses metadata that JSON, and so a folder, cannot hold as it is. What COS
// does with it is not documented.
func checkHeader(stored http.Header) error {
	for name, values := range stored {
		if !utf8.ValidString(name + strings.Join(values, "")) {
			return InvalidArgument("The metadata is not UTF-8.")
		}
	}
	return nil
}

// putObject is PUT of an object: https://cloud.tencent.com/document/product/436/7749.
func (c *call) putObject() (*Answer, error) {
	header := c.HTTP.Header
	if header.Get("X-Cos-Copy-Source") != "" {
		return nil, errNotImplemented
	}
	body, err := c.readBody(maxObjectSize)
	if err != nil {
		return nil, err
	}
	o := newObject(c.Request.Key, body, c.Now)
	o.header = storedHeader(header)
	if err := checkHeader(o.header); err != nil {
		return nil, err
	}
	if o.tags, err = headerTags(header.Get("X-Cos-Tagging")); err != nil {
		return nil, err
	}
	createOnly := strings.EqualFold(header.Get("X-Cos-Forbid-Overwrite"), "true")
	if o, err = c.bucket.put(o, createOnly, c.Now); err != nil {
		return nil, err
	}
	a := newAnswer(http.StatusOK)
	o.describe(a)
	if o.version == nullVersion { // a PUT is not answered with this one: https://www.tencentcloud.com/document/product/436/7749
		a.Header.Del("X-Cos-Version-Id")
	}
	return a, nil
}

// describe sets the headers that every answer about an object has.
func (o *object) describe(a *Answer) {
	a.Header["Etag"] = []string{o.etag}
	a.Header["X-Cos-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.crc, 10)}
	o.describeVersion(a)
}

// describeVersion sets the version, in a bucket that was ever versioned.
func (o *object) describeVersion(a *Answer) {
	if o.version != "" {
		a.Header["X-Cos-Version-Id"] = []string{o.version}
	}
}

// getObject is GET and HEAD of an object:
// https://cloud.tencent.com/document/product/436/7753.
func (c *call) getObject() (*Answer, error) {
	o, body, err := c.readObject()
	if err != nil {
		return nil, err
	}
	switch c.evaluateConditions(o) {
	case http.StatusPreconditionFailed:
		return nil, &Error{http.StatusPreconditionFailed, "PreconditionFailed",
			"At least one of the preconditions you specified did not hold."}
	case http.StatusNotModified:
		return o.notModified(), nil
	}
	a := newAnswer(http.StatusOK)
	for name, values := range o.header {
		a.Header[name] = values
	}
	o.describe(a)
	a.Header["Last-Modified"] = []string{o.modified.Format(http.TimeFormat)}
	a.Header["Accept-Ranges"] = []string{"bytes"}
	if len(o.tags) > 0 {
		a.Header.Set("X-Cos-Tagging-Count", strconv.Itoa(len(o.tags)))
	}
	c.overrideHeaders(a)
	if c.HTTP.Method == http.MethodHead {
		a.Header["Content-Length"] = []string{strconv.FormatInt(o.size, 10)}
		return a, nil
	}
	a.Body = body
	if err := a.cut(c.HTTP.Header.Get("Range")); err != nil {
		refused := c.errorAnswer(err)
		refused.Header["Content-Range"] = []string{fmt.Sprintf("bytes */%d", o.size)}
		return refused, nil
	}
	return a, nil
}

// readObject returns the object that the request names, with its body if it is a GET.
func (c *call) readObject() (*object, []byte, error) {
	if c.HTTP.Method == http.MethodHead {
		o, err := c.findObject()
		return o, nil, err
	}
	o, body, err := c.bucket.read(c.Request.Key)
	if err != nil {
		return nil, nil, err
	}
	return o, body, c.checkVersion(o)
}

// findObject returns the object that the request names, without its body.
func (c *call) findObject() (*object, error) {
	o, ok := c.bucket.get(c.Request.Key)
	if !ok {
		return nil, errNoSuchKey
	}
	return o, c.checkVersion(o)
}

// versionID returns the version that the request names. It is "" for "versionId=" too,
// which coscli sends. The Go SDK's Delete spells it with a capital V.
func (c *call) versionID() string {
	return cmp.Or(c.Request.Query.Get("versionId"), c.Request.Query.Get("VersionId"))
}

// checkVersion returns an error unless the request is for the newest version.
func (c *call) checkVersion(o *object) error {
	if o.isVersion(c.versionID()) {
		return nil
	}
	return &Error{http.StatusNotFound, "NoSuchVersion",
		"The specified version does not exist; only the newest is kept here."}
}

// isVersion reports whether a version id means this object, as "" does.
func (o *object) isVersion(id string) bool { return id == "" || id == cmp.Or(o.version, nullVersion) }

// evaluateConditions evaluates the If-* headers in the order of RFC 9110, section 13.2.2,
// and returns 412, 304 or 200.
func (c *call) evaluateConditions(o *object) int {
	h := c.HTTP.Header
	if match := h.Get("If-Match"); match != "" {
		if !matchesETag(match, o.etag) {
			return http.StatusPreconditionFailed
		}
	} else if t, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && o.modified.After(t) {
		return http.StatusPreconditionFailed
	}
	if match := h.Get("If-None-Match"); match != "" {
		if matchesETag(match, o.etag) {
			return http.StatusNotModified
		}
	} else if t, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !o.modified.After(t) {
		return http.StatusNotModified
	}
	return http.StatusOK
}

// matchesETag reports whether an ETag is in a list, whose entries may be without quotes.
func matchesETag(list, etag string) bool {
	for candidate := range strings.SplitSeq(list, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || strings.Trim(candidate, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}

// notModified returns the answer 304 with what a cache needs.
func (o *object) notModified() *Answer {
	a := newAnswer(http.StatusNotModified)
	o.describe(a)
	a.Header["Last-Modified"] = []string{o.modified.Format(http.TimeFormat)}
	return a
}

// overrideHeaders sets the headers that parameters such as response-content-type ask for:
// https://cloud.tencent.com/document/product/436/7753.
func (c *call) overrideHeaders(a *Answer) {
	for parameter, values := range c.Request.Query {
		name, ok := strings.CutPrefix(parameter, "response-")
		if name = http.CanonicalHeaderKey(name); ok && isStoredHeader(name) {
			a.Header[name] = values[:1]
		}
	}
}

// cut reduces the body to a range. Several ranges are answered with the whole body, as
// RFC 9110 permits.
func (a *Answer) cut(header string) error {
	span, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(span, ",") {
		return nil
	}
	size := int64(len(a.Body))
	first, last, ok := parseRange(span, size)
	if !ok {
		return nil
	}
	if first >= size {
		return &Error{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable."}
	}
	a.Status = http.StatusPartialContent
	a.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	a.Body = a.Body[first : last+1]
	return nil
}

// parseRange reads "0-99", "100-" and "-50", and reports whether the text is such a
// range.
func parseRange(span string, size int64) (first, last int64, ok bool) {
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	last = size - 1
	if from == "" {
		n, ok := parsePosition(to)
		if n == 0 {
			return size, last, ok
		}
		return max(0, size-n), last, ok
	}
	first, ok = parsePosition(from)
	if to == "" {
		return first, last, ok
	}
	n, isNumber := parsePosition(to)
	return first, min(n, last), ok && isNumber && n >= first
}

// parsePosition reads digits, however many: what is beyond int64 is beyond any object
// too.
func parsePosition(digits string) (int64, bool) {
	n, _ := strconv.ParseInt(digits, 10, 64) // the greatest int64 if it is beyond
	return n, digits != "" && strings.Trim(digits, "0123456789") == ""
}

// deleteObject is DELETE of an object. It answers 204 whether or not there was one.
// Without a versionId, a versioned bucket keeps a delete marker:
// https://cloud.tencent.com/document/product/436/7743.
func (c *call) deleteObject() (*Answer, error) {
	id := c.versionID()
	marker, err := c.bucket.remove(c.Request.Key, id, c.Now)
	a := newAnswer(http.StatusNoContent)
	if marker != "" {
		a.Header.Set("X-Cos-Delete-Marker", "true")
	}
	if id = cmp.Or(id, marker); id != "" {
		a.Header.Set("X-Cos-Version-Id", id)
	}
	return a, err
}
