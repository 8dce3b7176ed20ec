package coslocal

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
)

// Object is an object as a test arranges it or looks at it.
type Object struct {
	Body []byte
	// Header is the metadata: Content-Type, Cache-Control and the like, and x-cos-meta-*.
	// Other headers are not kept.
	Header http.Header
	// ETag is in quotes, as COS sends it. PutObject takes the MD5 of the body where it is
	// empty; set it to have another, such as that of a multipart upload.
	ETag string
	// LastModified has whole seconds. PutObject takes the time of the call where it is
	// zero.
	LastModified time.Time
	// VersionID is empty in a bucket that was never versioned. PutObject takes what COS
	// would where it is empty.
	VersionID string
	Tags      []Tag
}

// CreateBucket makes an empty bucket. Its name is <name>-<appid>. With an empty region it
// answers in every one. A bucket that is there already, in the same region, stays as it
// is.
func (s *Server) CreateBucket(bucket, region string) error {
	if !isBucketName(bucket) {
		return fmt.Errorf("create bucket %q: the name must be <name>-<appid>, of a-z, 0-9 and -", bucket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[bucket]; b != nil {
		if home := b.readSettings().Region; home != region {
			return fmt.Errorf("create bucket %s in region %q: it exists in region %q", bucket, region, home)
		}
		return nil
	}
	b := newBucket(bucket, s.dir)
	if err := b.changeSettings(func(s *bucketSettings) { s.Region = region }); err != nil {
		return err
	}
	s.buckets[bucket] = b
	return nil
}

// newBucket returns a bucket without objects, kept in dir unless that is "".
func newBucket(name, dir string) *bucket {
	b := &bucket{name: name, objects: map[string]*object{}}
	if dir != "" {
		b.folder = newFolder(dir, name)
	}
	return b
}

// SetVersioning sets the versioning of a bucket to "Enabled" or "Suspended". As with COS,
// there is no way back to a bucket that was never versioned.
func (s *Server) SetVersioning(bucket, status string) error {
	b, err := s.bucket(bucket)
	if err != nil {
		return fmt.Errorf("set versioning: %w", err)
	}
	if !isVersioningStatus(status) {
		return fmt.Errorf("set versioning of bucket %s: status is %q, want Enabled or Suspended", bucket, status)
	}
	return b.changeSettings(func(s *bucketSettings) { s.Versioning = status })
}

// BucketTags returns a copy of the tags of a bucket itself. A client sets those when it
// means an object's and sends no key.
func (s *Server) BucketTags(bucket string) []Tag {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil
	}
	return slices.Clone(b.readSettings().Tags)
}

// PutObject stores an object and replaces the one that is there. Where ETag, LastModified
// and VersionID are empty, they are filled in.
func (s *Server) PutObject(bucket, key string, o Object) error {
	b, err := s.bucket(bucket)
	if err == nil {
		err = checkKey(key)
	}
	if err == nil {
		err = checkTags(o.Tags, maxObjectTags)
	}
	header := storedHeader(o.Header)
	if err == nil {
		err = checkHeader(header)
	}
	if err != nil {
		return fmt.Errorf("put object %s: %w", key, err)
	}
	now := s.Now()
	stored := newObject(key, slices.Clone(o.Body), now)
	stored.header = header
	stored.tags = slices.Clone(o.Tags)
	stored.version = o.VersionID
	if o.ETag != "" {
		stored.etag = `"` + strings.Trim(o.ETag, `"`) + `"`
	}
	if !o.LastModified.IsZero() {
		stored.modified = o.LastModified.UTC().Truncate(time.Second)
	}
	_, err = b.put(stored, false, now)
	return err
}

// Object returns a copy of an object, and reports whether it is there.
func (s *Server) Object(bucket, key string) (Object, bool) {
	b, err := s.bucket(bucket)
	if err != nil {
		return Object{}, false
	}
	o, body, err := b.read(key)
	if err != nil {
		return Object{}, false
	}
	return Object{
		Body:         slices.Clone(body),
		Header:       o.header.Clone(),
		ETag:         o.etag,
		LastModified: o.modified,
		VersionID:    o.version,
		Tags:         slices.Clone(o.tags),
	}, true
}

// DeleteObject deletes an object. It is no error if there is none.
func (s *Server) DeleteObject(bucket, key string) error {
	b, err := s.bucket(bucket)
	if err != nil {
		return fmt.Errorf("delete object %s: %w", key, err)
	}
	_, err = b.remove(key, "", s.Now())
	return err
}

// Keys returns the keys that begin with prefix, sorted. It returns nil when the bucket is
// not there.
func (s *Server) Keys(bucket, prefix string) []string {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil
	}
	keys := b.keys()
	keys = keys[sort.SearchStrings(keys, prefix):]
	n := sort.Search(len(keys), func(i int) bool { return !strings.HasPrefix(keys[i], prefix) })
	return slices.Clone(keys[:n])
}

// SetTags replaces the tags of an object, within COS's limits.
func (s *Server) SetTags(bucket, key string, tags []Tag) error {
	b, err := s.bucket(bucket)
	if err == nil {
		err = checkTags(tags, maxObjectTags)
	}
	if err == nil {
		_, err = b.retag(key, slices.Clone(tags), func(*object) error { return nil })
	}
	if errors.Is(err, errNoSuchKey) {
		err = ErrNoSuchKey
	}
	if err != nil {
		return fmt.Errorf("set tags of %s: %w", key, err)
	}
	return nil
}

// Buckets returns the names of the buckets, sorted.
func (s *Server) Buckets() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.buckets))
}

// bucket returns a bucket for a Go method.
func (s *Server) bucket(name string) (*bucket, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[name]
	if b == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoSuchBucket, name)
	}
	return b, nil
}
