package coslocal

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBucketName is how long the name of a bucket may be before its AppID.
const maxBucketName = 50

// isBucketName reports whether a bucket can have a name, which is <name>-<appid>:
// https://cloud.tencent.com/document/product/436/13312.
func isBucketName(full string) bool {
	i := strings.LastIndexByte(full, '-')
	if i < 1 || i > maxBucketName || i+1 == len(full) {
		return false
	}
	name, appID := full[:i], full[i+1:]
	return strings.Trim(appID, "0123456789") == "" &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		name[0] != '-' && name[len(name)-1] != '-'
}

// bucket holds the newest version of each object. Its lock makes a check and the change
// after it one step, the disk included.
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
	Format     int    `json:"format"`               // of the folder; nothing in memory
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

// readSettings returns the settings as they are now.
func (b *bucket) readSettings() bucketSettings {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.settings
}

// changeSettings changes a copy of the settings, which counts once the folder has it.
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

// get returns an object without its body.
func (b *bucket) get(key string) (*object, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	o, ok := b.objects[key]
	return o, ok
}

// read returns an object with its body. The lock keeps its file from being replaced in
// between.
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

// put stores o as the newest version and returns it as it was stored. With createOnly it
// fails if there is an object of that key. That has no effect in a bucket that was ever
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
	var failed error
	if b.folder != nil {
		stored, err := b.folder.write(o, old)
		if err != nil {
			failed = fmt.Errorf("keep object %s: %w", o.key, err)
		}
		if !stored {
			return failed
		}
		if failed != nil {
			o.tags, o.header, o.etag = nil, storedHeader(nil), o.defaultETag()
		}
	}
	if old == nil {
		b.sorted = nil
	}
	b.objects[o.key] = o
	return failed
}

// nextVersion returns an id that looks like COS's and is greater than those before, over
// a restart too. It is "" in a bucket that was never versioned.
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

// retag replaces the tags of an object, and nothing else of it, if check has no
// objection.
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
	changed := *old
	changed.tags = tags
	if b.folder != nil {
		if err := b.folder.writeMetadata(&changed); err != nil {
			return nil, fmt.Errorf("keep the tags of object %s: %w", key, err)
		}
	}
	b.objects[key] = &changed
	return &changed, nil
}

// remove deletes an object, if it is there and has the version; "" means any version, and
// then remove returns the id of the delete marker that a versioned bucket keeps.
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

// keys returns the keys in UTF-8 order. Callers must not change the slice.
func (b *bucket) keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sorted == nil {
		b.sorted = slices.Sorted(maps.Keys(b.objects))
	}
	return b.sorted
}

// headBucket is HEAD of a bucket: https://cloud.tencent.com/document/product/436/7735.
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

// getBucketVersioning is GET ?versioning.
func (c *call) getBucketVersioning() (*Answer, error) {
	return xmlAnswer(versioningConfiguration{Status: c.bucket.readSettings().Versioning})
}

// putBucketVersioning is PUT ?versioning:
// https://cloud.tencent.com/document/product/436/19889.
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

// isVersioningStatus reports whether versioning can be set to a status.
func isVersioningStatus(status string) bool { return status == "Enabled" || status == "Suspended" }

// deleteResult has the elements of https://cloud.tencent.com/document/product/436/8289.
type deleteResult struct {
	XMLName xml.Name       `xml:"DeleteResult"`
	Deleted []deletedEntry // not in quiet mode
	Error   []undeletedEntry
}

// deletedEntry is an object that was deleted, or was not there.
type deletedEntry struct {
	Key                   string
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionId string `xml:",omitempty"`
	VersionId             string `xml:",omitempty"`
}

// undeletedEntry is an object that could not be deleted.
type undeletedEntry struct {
	Key           string
	VersionId     string `xml:",omitempty"`
	Code, Message string
}

// deleteMultipleObjects is POST ?delete:
// https://cloud.tencent.com/document/product/436/8289.
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

// deleteOne deletes one of several objects, if a DELETE request for it alone would be
// allowed.
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
