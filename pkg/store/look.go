package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
)

// An Object is an object of the record bucket, as it was read.
type Object struct {
	Key          string
	Body         []byte
	ETag         string    // without quotes
	LastModified time.Time // when it was written; for a record, when the callback was received
	Source       string    // of a rejected body: "query", or "" for a callback; see PutRejected
}

// ErrTooLong means that an object has more than 32 MB, as none of this project's has.
var ErrTooLong = errors.New("the object is longer than 32 MB")

// GetObject reads an object of the record bucket. Its error wraps [ErrNotFound] where
// there is none, [ErrTooLong], [cosclient.ErrUnavailable] or
// [cosclient.ErrMisconfigured]. To a role that may not list the bucket, COS may answer that
// access is denied (see [cosclient.IsDenied]) where there is no such object.
func (s *Store) GetObject(ctx context.Context, key string) (Object, error) {
	var o Object
	err := s.ReadObject(ctx, key, func(read Object) error {
		o = read
		return nil
	})
	return o, err
}

// ReadObject is [Store.GetObject] for many objects side by side: while use runs, no other
// object of more than a megabyte is in memory, but for what their readers have kept. use
// must not call the store.
func (s *Store) ReadObject(ctx context.Context, key string, use func(Object) error) error {
	if err := s.checkPrefix(key); err != nil {
		return err
	}
	o, err := cosclient.Retry(ctx, s.session, func() (*object, error) { return s.readFromCOS(ctx, key) })
	if err != nil {
		return err
	}
	defer o.release()
	if o.truncated {
		return fmt.Errorf("get %s/%s: %w", s.options.Bucket, key, ErrTooLong)
	}
	return use(Object{
		Key: key, Body: o.body, ETag: etag(o.header), LastModified: modified(o.header), Source: o.header.Get(headerSource),
	})
}

// readFromCOS is read, which does not believe what may not be COS's.
func (s *Store) readFromCOS(ctx context.Context, key string) (*object, error) {
	o, err := s.read(ctx, key)
	if err == nil && !cosclient.IsFromCOS(o.header) {
		o.release()
		return nil, newError(getObject, s.options.Bucket, key, cosclient.ErrNotFromService)
	}
	return o, err
}

// GetRecord reads a record. Its error is one of [Store.GetObject], or wraps
// [model.ErrNotRecord]; what was read is returned then as well.
func (s *Store) GetRecord(ctx context.Context, kind model.Kind, id string) (Object, *model.Record, error) {
	var object Object
	var record *model.Record
	err := s.ReadRecord(ctx, kind, id, func(o Object, r *model.Record) error {
		object, record = o, r
		if r == nil {
			_, err := model.ParseRecord(o.Body)
			return err
		}
		return nil
	})
	return object, record, err
}

// ReadRecord is [Store.ReadObject] for a record. Where the object is none, use is called
// with a nil record.
func (s *Store) ReadRecord(ctx context.Context, kind model.Kind, id string, use func(Object, *model.Record) error) error {
	key := model.RecordKey(s.options.Prefix, kind, id)
	return s.ReadObject(ctx, key, func(o Object) error {
		r, err := model.ParseRecord(o.Body)
		if err != nil {
			return use(o, nil)
		}
		return use(o, r)
	})
}

// PutObject writes an object to the record bucket, over what is there. Of the state of the
// reconciliation, the last one that is written stands.
func (s *Store) PutObject(ctx context.Context, key, contentType string, body []byte) error {
	if err := s.checkPrefix(key); err != nil {
		return err
	}
	_, err := cosclient.Retry(ctx, s.session, func() (struct{}, error) {
		return struct{}{}, s.overwrite(ctx, key, contents{body: body, contentType: contentType})
	})
	return err
}

// A Page is a part of a listing, in the order of the keys.
type Page struct {
	Entries []Entry
	Next    string // the marker of the next page; "" at the end
}

// An Entry is an object in a listing.
type Entry struct {
	Key          string
	Size         int64
	ETag         string // without quotes
	LastModified time.Time
}

// maxKeysAPage is how many keys COS lists at a time.
// https://cloud.tencent.com/document/product/436/7734
const maxKeysAPage = 1000

// List lists the objects of the record bucket whose keys begin with prefix, a thousand at
// a time, from after marker on. COS may list an object only some time after it was
// written.
func (s *Store) List(ctx context.Context, prefix, marker string) (Page, error) {
	return cosclient.Retry(ctx, s.session, func() (Page, error) {
		var result *cos.BucketGetResult
		response, err := s.try(ctx, func(ctx context.Context) (response *cos.Response, err error) {
			result, response, err = s.records.client.Bucket.Get(ctx, &cos.BucketGetOptions{
				Prefix: prefix, Marker: marker, MaxKeys: maxKeysAPage, EncodingType: "url",
			})
			return response, err
		})
		if err = cosclient.RequireCOS(response, err); err == nil && result.XMLName.Local != "ListBucketResult" {
			err = cosclient.ErrNotFromService
		}
		if err != nil {
			return Page{}, newError(listBucket, s.options.Bucket, prefix, err)
		}
		return newPage(result), nil
	})
}

// newPage makes a page of COS's answer.
func newPage(result *cos.BucketGetResult) Page {
	decode := func(key string) string { return key }
	if result.EncodingType == "url" {
		decode = unescapeKey
	}
	page := Page{Entries: make([]Entry, 0, len(result.Contents))}
	for _, o := range result.Contents {
		t, _ := time.Parse(time.RFC3339, o.LastModified)
		page.Entries = append(page.Entries, Entry{Key: decode(o.Key), Size: o.Size, ETag: strings.Trim(o.ETag, `"`), LastModified: t})
	}
	if result.IsTruncated {
		page.Next = decode(result.NextMarker)
	}
	return page
}

// unescapeKey decodes a key of a listing. One that cannot be decoded is returned as it is.
func unescapeKey(key string) string {
	if decoded, err := url.QueryUnescape(key); err == nil {
		return decoded
	}
	return key
}

// OutputInfo is what COS says of an output now.
type OutputInfo struct {
	Size         int64
	ETag         string // without quotes
	LastModified time.Time
	ContentType  string
	Tags         []Tag
}

// A Tag is a tag of an object.
type Tag struct{ Key, Value string }

// LookAtOutput reads what COS says of an output now, and its tags, in whatever bucket it
// is. It changes nothing. Its error wraps [ErrNotFound] where there is no such object,
// [cosclient.ErrUnavailable] or [cosclient.ErrMisconfigured]. Where the tags alone could
// not be read, the rest is returned as well.
func (s *Store) LookAtOutput(ctx context.Context, o model.Output) (OutputInfo, error) {
	c, err := s.outputClient(o)
	if err != nil {
		return OutputInfo{}, fmt.Errorf("%w: %w", cosclient.ErrMisconfigured, err)
	}
	response, set, err := s.headAndTags(ctx, c, o.Key)
	switch {
	case isMissing(err) || err == nil && isMissing(set.err):
		return OutputInfo{}, fmt.Errorf("head %s/%s: %w", o.Bucket, o.Key, ErrNotFound)
	case err != nil:
		return OutputInfo{}, err
	}
	info := OutputInfo{
		Size: response.ContentLength, ETag: etag(response.Header), LastModified: modified(response.Header),
		ContentType: response.Header.Get("Content-Type"),
	}
	for _, tag := range set.tags {
		info.Tags = append(info.Tags, Tag{tag.Key, tag.Value})
	}
	return info, set.err
}
