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

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// Outcome says what became of a record.
type Outcome string

// The outcomes of PutRecord.
const (
	Created   Outcome = "created"   // there was none
	Duplicate Outcome = "duplicate" // the same bytes were there already
	Updated   Outcome = "updated"   // an older one was there
	Stale     Outcome = "stale"     // a newer one is there
)

// mostStored is how much of a stored object is read to compare it with a record of
// ours. What is longer is cut, which makes it unreadable as one.
const mostStored = 16 << 20

// PutRecord writes a record unless it or a newer one is there, and gives its key. It
// returns without an error only once what is stored is not older than r. Its error
// wraps ErrUnavailable or ErrMisconfigured.
//
// The first version of a record costs one request. Only where there is one already is
// it read, compared and, if it is older, replaced and read back.
func (s *Store) PutRecord(ctx context.Context, r *model.Record) (Outcome, string, error) {
	key := r.Key(s.Prefix)
	if err := CheckKey(key); err != nil {
		return "", "", fmt.Errorf("%w: RECORD_PREFIX: %w", ErrMisconfigured, err)
	}
	ours, err := r.Encode()
	if err != nil {
		return "", "", err
	}
	if !s.records.versioned.Load() {
		created, err := retry(ctx, s, func() (bool, error) { return s.create(ctx, key, jsonType, ours) })
		if err != nil {
			return "", "", err
		}
		if created {
			return Created, key, nil
		}
	}
	w := &write{store: s, record: r, key: key, ours: ours}
	outcome, err := retry(ctx, s, func() (Outcome, error) { return w.settle(ctx) })
	if err != nil {
		return "", "", err
	}
	return outcome, key, nil
}

// write is the replacing of a record that may be there.
type write struct {
	store  *Store
	record *model.Record
	key    string
	ours   []byte
	done   Outcome // what our own write did, if there was one
}

// settle reads what is stored, and if that is older than ours, writes ours and reads
// again. It is one try: after a fault it starts over with reading, since another
// instance may have written in between.
func (w *write) settle(ctx context.Context) (Outcome, error) {
	for first := true; ; first = false {
		theirs, err := w.store.get(ctx, w.key, max(mostStored, len(w.ours)+1))
		if err != nil {
			return "", err
		}
		switch {
		case bytes.Equal(theirs, w.ours):
			return w.outcome(Duplicate), nil
		case w.isNewer(theirs):
			return w.outcome(Stale), nil
		case !first:
			return "", w.store.contended(w.key)
		}
		if err := w.put(ctx, theirs); err != nil {
			return "", err
		}
		if w.done == Created && !w.store.records.versioned.Load() {
			return Created, nil
		}
	}
}

func (w *write) outcome(otherwise Outcome) Outcome {
	if w.done != "" {
		return w.done
	}
	return otherwise
}

// isNewer tells whether what is stored is a record of the same job, newer than ours.
func (w *write) isNewer(theirs []byte) bool {
	r, err := model.ParseRecord(theirs)
	return err == nil && r.Kind == w.record.Kind && r.ID == w.record.ID && model.Compare(theirs, w.ours) > 0
}

// put writes ours over theirs, or, where there is none, create-only.
func (w *write) put(ctx context.Context, theirs []byte) error {
	if theirs != nil {
		w.done = Updated // even if the answer gets lost
		_, err := w.store.put(ctx, w.key, jsonType, w.ours, false)
		return err
	}
	created, err := w.store.create(ctx, w.key, jsonType, w.ours)
	if err == nil && !created {
		err = w.store.contended(w.key)
	}
	if created {
		w.done = Created
	}
	return err
}

func (s *Store) contended(key string) error {
	return &Error{Op: "settle", Object: s.Bucket + "/" + key, kind: ErrUnavailable, Err: errContended}
}

// KeepRejected keeps a body that was not understood, under the SHA-256 of it, and gives
// the key. A body that comes again is kept once.
func (s *Store) KeepRejected(ctx context.Context, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	key := s.Prefix + "rejected/" + hex.EncodeToString(sum[:])
	if err := CheckKey(key); err != nil {
		return "", fmt.Errorf("%w: RECORD_PREFIX: %w", ErrMisconfigured, err)
	}
	_, err := retry(ctx, s, func() (bool, error) {
		if s.records.versioned.Load() {
			if _, err := s.head(ctx, s.records, key); !isMissing(err) {
				return false, err
			}
		}
		return s.create(ctx, key, "application/octet-stream", body)
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

const jsonType = "application/json"

// create writes an object unless the key exists, and tells whether it did. A try of it
// whose answer is lost may be repeated: the next one finds the key.
func (s *Store) create(ctx context.Context, key, contentType string, body []byte) (bool, error) {
	response, err := s.put(ctx, key, contentType, body, true)
	if response != nil && response.StatusCode == http.StatusConflict {
		return false, nil // FileAlreadyExists, as a rule; the caller reads to make sure
	}
	return err == nil, err
}

func (s *Store) put(ctx context.Context, key, contentType string, body []byte, createOnly bool) (*cos.Response, error) {
	sum := md5.Sum(body)
	header := &cos.ObjectPutHeaderOptions{
		ContentType: contentType,
		ContentMD5:  base64.StdEncoding.EncodeToString(sum[:]),
	}
	if createOnly {
		// https://cloud.tencent.com/document/product/436/7749
		header.XOptionHeader = &http.Header{"x-cos-forbid-overwrite": {"true"}}
	}
	response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
		return s.records.Object.Put(ctx, key, bytes.NewReader(body), &cos.ObjectPutOptions{ObjectPutHeaderOptions: header})
	})
	if err != nil {
		return response, explain(putObject, s.Bucket, key, err)
	}
	if response.Header.Get("x-cos-version-id") != "" && !s.records.versioned.Swap(true) {
		s.Warn("the record bucket has versioning: two instances can now overwrite each other's records, " +
			"and every callback costs more requests; use a bucket that never had versioning")
	}
	return response, nil
}

// get reads an object, at most that many bytes of it; nil where there is none.
func (s *Store) get(ctx context.Context, key string, most int) ([]byte, error) {
	var body []byte
	response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
		response, err := s.records.Object.Get(ctx, key, nil)
		if err != nil {
			return response, err
		}
		defer response.Body.Close()
		body, err = io.ReadAll(io.LimitReader(response.Body, int64(most)))
		if err != nil {
			return nil, err
		}
		return response, nil
	})
	if e, ok := errors.AsType[*cos.ErrorResponse](err); ok && response.StatusCode == http.StatusNotFound && e.Code == "NoSuchKey" {
		return nil, nil
	}
	if err != nil {
		return nil, explain(getObject, s.Bucket, key, err)
	}
	return body, nil
}
