package store

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// The types of the objects that a store writes.
const (
	jsonType   = "application/json"
	binaryType = "application/octet-stream"
)

// headerSource says where a rejected body came from; see [Store.PutRejected].
const headerSource = "x-cos-meta-source"

// maxObjectBytes is how much is read of a stored object. The largest record, of a body of
// 6 MB, has 25 MB and 4 MB of outputs.
const maxObjectBytes = 32 << 20

// largeObjectBytes is how long an object is of which only one at a time may be in memory:
// a record can have 25 MB, and a callback may be of eight at once.
const largeObjectBytes = 1 << 20

// contents is what is written as an object.
type contents struct {
	body        []byte
	contentType string
	source      string // of a rejected body
}

// create writes an object unless the key exists, and reports whether it did. A try of it
// whose answer is lost may be repeated: the next one finds the key.
func (s *Store) create(ctx context.Context, key string, c contents) (bool, error) {
	response, err := s.put(ctx, key, c, true)
	if response != nil && response.StatusCode == http.StatusConflict {
		return false, nil // FileAlreadyExists, as a rule; the caller reads to make sure
	}
	return err == nil, err
}

// overwrite writes an object, whatever is there.
func (s *Store) overwrite(ctx context.Context, key string, c contents) error {
	_, err := s.put(ctx, key, c, false)
	return err
}

// put writes an object in one try. Where the answer does not show the MD5 of what was sent,
// it is believed only if it is COS's own.
func (s *Store) put(ctx context.Context, key string, c contents, createOnly bool) (*cos.Response, error) {
	sum := md5.Sum(c.body)
	header := &cos.ObjectPutHeaderOptions{
		ContentType: c.contentType,
		ContentMD5:  base64.StdEncoding.EncodeToString(sum[:]),
	}
	if createOnly {
		// https://cloud.tencent.com/document/product/436/7749
		header.XOptionHeader = &http.Header{"x-cos-forbid-overwrite": {"true"}}
	}
	if c.source != "" {
		header.XCosMetaXXX = &http.Header{headerSource: {c.source}}
	}
	response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
		return s.records.client.Object.Put(ctx, key, bytes.NewReader(c.body), &cos.ObjectPutOptions{ObjectPutHeaderOptions: header})
	})
	if err == nil && strings.Trim(response.Header.Get("ETag"), `"`) != hex.EncodeToString(sum[:]) {
		err = cosclient.RequireCOS(response, err)
	}
	if err != nil {
		return response, newError(putObject, s.options.Bucket, key, err)
	}
	if response.Header.Get("x-cos-version-id") != "" && !s.records.versioned.Swap(true) {
		s.options.Warn("the record bucket has versioning: two instances can now overwrite each other's records, " +
			"and every callback costs more requests; use a bucket that never had versioning")
	}
	return response, nil
}

// object is a stored object in memory. Where it is a large one, no other large one is, as
// long as release has not been called.
type object struct {
	body      []byte
	truncated bool // the body is longer than maxObjectBytes
	header    http.Header
	release   func()
}

// errLargeReadsBusy says that an object is large, and another large one is in memory.
var errLargeReadsBusy = errors.New("another large object is being read")

// read reads an object, in one try. The caller must release it. Its error wraps
// [ErrNotFound] where there is none.
//
// A large object waits for its turn between two requests, and not with an answer that is
// half read: neither a connection nor the time limit of a try is spent on waiting.
func (s *Store) read(ctx context.Context, key string) (*object, error) {
	o, err := s.readInTurn(ctx, key, false)
	if !errors.Is(err, errLargeReadsBusy) {
		return o, err
	}
	select {
	case s.pool.largeReads <- struct{}{}:
		return s.readInTurn(ctx, key, true)
	case <-ctx.Done():
		return nil, newError(getObject, s.options.Bucket, key, ctx.Err())
	}
}

// readInTurn reads an object, a large one only if it is its turn or nobody else's. It is
// its turn where the caller holds the place in largeReads, which the object takes over.
func (s *Store) readInTurn(ctx context.Context, key string, itsTurn bool) (*object, error) {
	o := &object{release: func() {}}
	hold := func() { o.release = onlyOnce(func() { <-s.pool.largeReads }) }
	if itsTurn {
		hold()
	}
	err := s.get(ctx, key, func(response *cos.Response) error {
		isLarge := response.ContentLength < 0 || response.ContentLength > largeObjectBytes
		if isLarge && !itsTurn {
			select {
			case s.pool.largeReads <- struct{}{}:
				hold()
			default:
				return errLargeReadsBusy
			}
		}
		var err error
		o.header = response.Header
		o.body, o.truncated, err = readBody(response)
		return err
	})
	if err != nil {
		o.release()
		return nil, err
	}
	return o, nil
}

// onlyOnce returns a function that calls f the first time it is called itself.
func onlyOnce(f func()) func() {
	return func() {
		if f != nil {
			f()
			f = nil
		}
	}
}

// readBody reads the body of an answer, and reports whether it is longer than what was
// read of it.
func readBody(response *cos.Response) (body []byte, truncated bool, err error) {
	var b bytes.Buffer
	b.Grow(max(0, min(int(response.ContentLength), maxObjectBytes)) + bytes.MinRead)
	_, err = b.ReadFrom(io.LimitReader(response.Body, maxObjectBytes+1))
	body = b.Bytes()
	if len(body) > maxObjectBytes {
		return body[:maxObjectBytes], true, err
	}
	return body, false, err
}

// holds reports whether an object's bytes have a hash, which is so only of the right ones,
// whoever answered. It keeps none of them in memory.
func (s *Store) holds(ctx context.Context, key string, sum [sha256.Size]byte) (bool, error) {
	var same bool
	err := s.get(ctx, key, func(response *cos.Response) error {
		hash := sha256.New()
		if _, err := io.Copy(hash, io.LimitReader(response.Body, maxObjectBytes)); err != nil {
			return err
		}
		same = [sha256.Size]byte(hash.Sum(nil)) == sum
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return same, err
}

// get asks for an object of the record bucket and hands the answer to use, all in one try.
// Its error wraps [ErrNotFound] where there is no such object.
func (s *Store) get(ctx context.Context, key string, use func(*cos.Response) error) error {
	response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
		response, err := s.records.client.Object.Get(ctx, key, nil)
		if err != nil {
			return response, err
		}
		defer response.Body.Close()
		return response, use(response)
	})
	if e, ok := errors.AsType[*cos.ErrorResponse](err); ok && response.StatusCode == http.StatusNotFound && e.Code == "NoSuchKey" {
		return fmt.Errorf("get %s/%s: %w", s.options.Bucket, key, ErrNotFound)
	}
	if err != nil {
		return newError(getObject, s.options.Bucket, key, err)
	}
	return nil
}

// modified returns when an object was written, or the zero time where COS does not say so.
func modified(header http.Header) time.Time {
	t, _ := http.ParseTime(header.Get("Last-Modified"))
	return t
}

// etag returns an object's ETag without its quotes.
func etag(header http.Header) string { return strings.Trim(header.Get("ETag"), `"`) }
