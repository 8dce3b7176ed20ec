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

// object is one version of an object. It never changes once it is in a bucket: a change puts another in its place.
type object struct {
	key      string
	size     int64
	body     []byte // in memory; nil when path is set
	path     string // the file that holds it; "" in memory
	header   http.Header
	etag     string // quoted
	crc      uint64
	modified time.Time // whole seconds, UTC
	version  string    // "" unless the bucket was versioned
	tags     []Tag
}

// nullVersion is the id of what is stored while versioning is suspended, or before it is ever set.
const nullVersion = "null"

// newObject fills in what follows from the body.
func newObject(key string, body []byte, now time.Time) *object {
	sum := md5.Sum(body)
	return &object{
		key:      key,
		size:     int64(len(body)),
		body:     body,
		etag:     `"` + hex.EncodeToString(sum[:]) + `"`,
		crc:      crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)), // the table is made once, in hash/crc64
		modified: now.UTC().Truncate(time.Second),
	}
}

// checkKey applies https://cloud.tencent.com/document/product/436/13324. Refusing "." and ".." as path segments is not in
// there: COS is said to resolve them into another resource, and no client should depend on which.
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

func hasDotSegment(key string) bool {
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// isStoredHeader tells which headers of a PUT are kept with the object and given back:
// https://cloud.tencent.com/document/product/436/7749. name is in canonical form.
func isStoredHeader(name string) bool {
	switch name {
	case "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires",
		"X-Cos-Storage-Class":
		return true
	}
	return strings.HasPrefix(name, "X-Cos-Meta-")
}

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

// checkHeader refuses what JSON, and so a folder, cannot hold as it is. What COS does with it is not documented.
func checkHeader(stored http.Header) error {
	for name, values := range stored {
		if !utf8.ValidString(name + strings.Join(values, "")) {
			return InvalidArgument("The metadata is not UTF-8.")
		}
	}
	return nil
}

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
	if o.version == nullVersion { // not told by a PUT: https://www.tencentcloud.com/document/product/436/7749
		a.Header.Del("X-Cos-Version-Id")
	}
	return a, nil
}

// describe sets what COS tells of an object in every answer about it.
func (o *object) describe(a *Answer) {
	a.Header["Etag"] = []string{o.etag}
	a.Header["X-Cos-Hash-Crc64ecma"] = []string{strconv.FormatUint(o.crc, 10)}
	o.describeVersion(a)
}

func (o *object) describeVersion(a *Answer) {
	if o.version != "" {
		a.Header["X-Cos-Version-Id"] = []string{o.version}
	}
}

// getObject answers GET and HEAD.
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

// readObject finds the object that the request names; its body only for a GET.
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

// findObject finds the object that the request names.
func (c *call) findObject() (*object, error) {
	o, ok := c.bucket.get(c.Request.Key)
	if !ok {
		return nil, errNoSuchKey
	}
	return o, c.checkVersion(o)
}

// versionID is "" for "versionId=" too: coscli sends that. The Go SDK's Delete spells it with a capital V.
func (c *call) versionID() string {
	return cmp.Or(c.Request.Query.Get("versionId"), c.Request.Query.Get("VersionId"))
}

// checkVersion accepts the newest version by its id.
func (c *call) checkVersion(o *object) error {
	if o.isVersion(c.versionID()) {
		return nil
	}
	return &Error{http.StatusNotFound, "NoSuchVersion",
		"The specified version does not exist; only the newest is kept here."}
}

// isVersion tells whether id means o, as "" does.
func (o *object) isVersion(id string) bool { return id == "" || id == cmp.Or(o.version, nullVersion) }

// evaluateConditions evaluates If-* as RFC 9110, 13.2.2 orders them: 412, 304 or 200.
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

// matchesETag takes a list, with or without quotes.
func matchesETag(list, etag string) bool {
	for candidate := range strings.SplitSeq(list, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || strings.Trim(candidate, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}

// notModified is 304 with what a cache needs.
func (o *object) notModified() *Answer {
	a := newAnswer(http.StatusNotModified)
	o.describe(a)
	a.Header["Last-Modified"] = []string{o.modified.Format(http.TimeFormat)}
	return a
}

// overrideHeaders applies response-content-type and its like: https://cloud.tencent.com/document/product/436/7753.
func (c *call) overrideHeaders(a *Answer) {
	for parameter, values := range c.Request.Query {
		name, ok := strings.CutPrefix(parameter, "response-")
		if name = http.CanonicalHeaderKey(name); ok && isStoredHeader(name) {
			a.Header[name] = values[:1]
		}
	}
}

// cut reduces the body to a range. Several ranges at once are answered with the whole body, as RFC 9110 permits.
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

// parseRange reads "0-99", "100-" and "-50"; false for what is no range.
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

// parsePosition takes digits and nothing else, however many: what is beyond int64 is beyond any object too.
func parsePosition(digits string) (int64, bool) {
	n, _ := strconv.ParseInt(digits, 10, 64) // the greatest, if it is beyond
	return n, digits != "" && strings.Trim(digits, "0123456789") == ""
}

// deleteObject answers 204 whether or not the object was there. Without a versionId, a versioned bucket keeps a delete
// marker: https://cloud.tencent.com/document/product/436/7743.
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
