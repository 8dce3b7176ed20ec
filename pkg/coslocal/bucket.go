package coslocal

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// bucketName is <name>-<appid>: https://cloud.tencent.com/document/product/436/13312.
var bucketName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?-[0-9]+$`)

// bucket holds the newest version of each object. Its lock makes check and change one step, the disk included.
type bucket struct {
	name   string
	folder *folder // nil: objects are kept in memory

	mu       sync.RWMutex
	settings bucketSettings
	objects  map[string]*object
	sorted   []string // the keys, in order; nil when they have to be sorted again
	serial   int64    // of the last version
}

// bucketSettings are what a bucket has besides objects.
type bucketSettings struct {
	Region     string `json:"region,omitempty"`     // "": every region
	Versioning string `json:"versioning,omitempty"` // "": never set
	Tags       []Tag  `json:"tags,omitempty"`
}

// findBucket returns a bucket, if it is there and in the region.
func (s *Server) findBucket(name, region string) (*bucket, error) {
	s.mu.RLock()
	b := s.buckets[name]
	s.mu.RUnlock()
	if b == nil {
		return nil, NoSuchBucket(name)
	}
	if home := b.readSettings().Region; home != "" && home != region {
		return nil, NoSuchBucket(name)
	}
	return b, nil
}

func (b *bucket) readSettings() bucketSettings {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.settings
}

// changeSettings changes a copy, and keeps it once the folder has it.
func (b *bucket) changeSettings(change func(*bucketSettings)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := b.settings
	change(&changed)
	if b.folder != nil {
		if err := b.folder.writeSettings(changed); err != nil {
			return fmt.Errorf("keep the settings of bucket %s: %w", b.name, err)
		}
	}
	b.settings = changed
	return nil
}

func (b *bucket) get(key string) (*object, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	o, ok := b.objects[key]
	return o, ok
}

// read returns an object with its body. The lock keeps the file from being replaced in between.
func (b *bucket) read(key string) (*object, []byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	o, ok := b.objects[key]
	if !ok {
		return nil, nil, errNoSuchKey
	}
	body, err := o.content()
	return o, body, err
}

// put stores o as the newest version, and returns it as it was stored. Create-only has no effect in a bucket that was ever
// versioned: https://cloud.tencent.com/document/product/436/7749.
func (b *bucket) put(o *object, createOnly bool, now time.Time) (*object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.objects[o.key]
	if createOnly && old != nil && b.settings.Versioning == "" {
		return nil, &Error{http.StatusConflict, "FileAlreadyExists",
			"The object already exists and x-cos-forbid-overwrite is true."}
	}
	if o.version == "" {
		o.version = b.nextVersion(now)
	}
	return o, b.store(o, old)
}

// store puts o in the place of old, which may be nil. The lock is held.
func (b *bucket) store(o, old *object) error {
	if b.folder != nil {
		if err := b.folder.write(o, old); err != nil {
			return fmt.Errorf("keep object %s: %w", o.key, err)
		}
	}
	if old == nil {
		b.sorted = nil
	}
	b.objects[o.key] = o
	return nil
}

// nextVersion makes ids that look like COS's and grow with time, over a restart too.
func (b *bucket) nextVersion(now time.Time) string {
	switch b.settings.Versioning {
	case "":
		return ""
	case "Suspended":
		return nullVersion
	}
	b.serial = max(b.serial+1, now.UnixNano())
	return base64.StdEncoding.EncodeToString(strconv.AppendInt(nil, b.serial, 10))
}

// retag replaces the tags of an object, and with them nothing else.
func (b *bucket) retag(key string, tags []Tag, check func(*object) error) (*object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.objects[key]
	if old == nil {
		return nil, errNoSuchKey
	}
	if err := check(old); err != nil {
		return nil, err
	}
	body, err := old.content()
	if err != nil {
		return nil, err
	}
	changed := *old
	changed.body, changed.tags = body, tags
	return &changed, b.store(&changed, old)
}

// remove deletes an object, if it is there and has the version; "" is any. Without a version it returns the id of the
// delete marker that a versioned bucket keeps.
func (b *bucket) remove(key, version string, now time.Time) (marker string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.objects[key]; o != nil && o.isVersion(version) {
		if b.folder != nil {
			if err := b.folder.remove(o); err != nil {
				return "", fmt.Errorf("delete object %s: %w", key, err)
			}
		}
		delete(b.objects, key)
		b.sorted = nil
	}
	if version != "" {
		return "", nil
	}
	return b.nextVersion(now), nil
}

// keys returns the keys in UTF-8 order. Nobody changes the slice.
func (b *bucket) keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sorted == nil {
		b.sorted = slices.Sorted(maps.Keys(b.objects))
	}
	return b.sorted
}

func (c *call) headBucket() (*Answer, error) {
	a := newAnswer(http.StatusOK)
	a.Header.Set("X-Cos-Bucket-Region", cmp.Or(c.bucket.readSettings().Region, c.Request.Region))
	return a, nil
}

// versioningConfiguration has no Status when versioning was never set:
// https://cloud.tencent.com/document/product/436/19888.
type versioningConfiguration struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

func (c *call) getBucketVersioning() (*Answer, error) {
	return xmlAnswer(versioningConfiguration{Status: c.bucket.readSettings().Versioning})
}

func (c *call) putBucketVersioning() (*Answer, error) {
	var v versioningConfiguration
	if err := c.readXML(&v); err != nil {
		return nil, err
	}
	if !isVersioningStatus(v.Status) {
		return nil, errMalformedXML
	}
	err := c.bucket.changeSettings(func(s *bucketSettings) { s.Versioning = v.Status })
	return newAnswer(http.StatusOK), err
}

func isVersioningStatus(status string) bool { return status == "Enabled" || status == "Suspended" }

// deleteResult has the elements of https://cloud.tencent.com/document/product/436/8289.
type deleteResult struct {
	XMLName xml.Name       `xml:"DeleteResult"`
	Deleted []deletedEntry // not in quiet mode
	Error   []undeletedEntry
}

type deletedEntry struct {
	Key                   string
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionId string `xml:",omitempty"`
	VersionId             string `xml:",omitempty"`
}

type undeletedEntry struct {
	Key           string
	VersionId     string `xml:",omitempty"`
	Code, Message string
}

// deleteMultipleObjects is POST ?delete: https://cloud.tencent.com/document/product/436/8289.
func (c *call) deleteMultipleObjects() (*Answer, error) {
	var request struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []struct{ Key, VersionId string }
	}
	if err := c.readXML(&request); err != nil {
		return nil, err
	}
	if len(request.Object) == 0 || len(request.Object) > 1000 {
		return nil, errMalformedXML
	}
	var result deleteResult
	for _, o := range request.Object {
		marker, err := c.deleteOne(o.Key, o.VersionId)
		if err != nil {
			e := asError(err)
			result.Error = append(result.Error, undeletedEntry{o.Key, o.VersionId, e.Code, e.Message})
		} else if !request.Quiet {
			result.Deleted = append(result.Deleted, deletedEntry{o.Key, marker != "", marker, o.VersionId})
		}
	}
	return xmlAnswer(result)
}

// deleteOne deletes one of several objects, if a DELETE of it alone would be allowed.
func (c *call) deleteOne(key, version string) (marker string, err error) {
	alone := *c.Request
	alone.Method, alone.Key, alone.Query, alone.ContentLength = http.MethodDelete, key, url.Values{}, 0
	if version != "" {
		alone.Query.Set("versionId", version)
	}
	if c.server.denies(alone) {
		return "", errAccessDenied
	}
	return c.bucket.remove(key, version, c.Now)
}
