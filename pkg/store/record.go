package store

import (
	"bytes"
	"cmp"
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

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
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
// ours. The largest record, of a body of 6 MB, has 25 MB and 4 MB of outputs; what is
// longer is cut, which makes it unreadable as one.
const mostStored = 32 << 20

// PutRecord writes a record unless it or a newer one is there, and gives its key. It
// returns without an error only once what is stored is not older than r. Its error
// wraps [cosclient.ErrUnavailable] or [cosclient.ErrMisconfigured].
//
// The first version of a record costs one request. Only where there is one already is
// it read, compared and, if it is older, replaced and read back.
func (s *Store) PutRecord(ctx context.Context, r *model.Record) (Outcome, string, error) {
	key := r.Key(s.options.Prefix)
	if err := cosname.CheckKey(key); err != nil {
		return "", "", fmt.Errorf("%w: RECORD_PREFIX: %w", cosclient.ErrMisconfigured, err)
	}
	ours, err := r.Encode()
	if err != nil {
		return "", "", err
	}
	if !s.records.versioned.Load() {
		created, err := cosclient.Retry(ctx, s.session, func() (bool, error) { return s.create(ctx, key, jsonType, ours) })
		if err != nil {
			return "", "", err
		}
		if created {
			return Created, key, nil
		}
	}
	w := &write{store: s, key: key, ours: ours}
	outcome, err := cosclient.Retry(ctx, s.session, func() (Outcome, error) { return w.settle(ctx) })
	if err != nil {
		return "", "", err
	}
	return outcome, key, nil
}

// write is the replacing of a record that may be there.
type write struct {
	store *Store
	key   string
	ours  []byte
	wrote Outcome // what our own write did or, if its answer was lost, may have done
	sure  bool    // that it did
}

// settle reads what is stored, and if that is older than ours, writes ours and reads
// again. It is one try: after a fault it starts over with reading, since another
// instance may have written in between.
func (w *write) settle(ctx context.Context) (Outcome, error) {
	for first := true; ; first = false {
		stored, err := w.store.look(ctx, w.key, w.ours)
		switch {
		case err != nil:
			return "", err
		case stored == same:
			return cmp.Or(w.wrote, Duplicate), nil
		case stored == newer && w.sure:
			return w.wrote, nil
		case stored == newer:
			return Stale, nil
		case !first:
			return "", w.store.contended(w.key)
		}
		if err := w.put(ctx, stored); err != nil {
			return "", err
		}
		w.sure = true
		if w.wrote == Created && !w.store.records.versioned.Load() {
			return Created, nil
		}
	}
}

// put writes ours over what is stored, or, where nothing is, create-only.
func (w *write) put(ctx context.Context, stored standing) error {
	if stored != absent {
		w.wrote = Updated
		_, err := w.store.put(ctx, w.key, jsonType, w.ours, false)
		return err
	}
	created, err := w.store.create(ctx, w.key, jsonType, w.ours)
	if err == nil && !created {
		err = w.store.contended(w.key)
	}
	if created {
		w.wrote = Created
	}
	return err
}

func (s *Store) contended(key string) error {
	return &cosclient.Error{Verb: putObject.verb(), Object: s.options.Bucket + "/" + key, Kind: cosclient.ErrUnavailable, Err: errContended}
}

// KeepRejected keeps a body that was not understood, under the SHA-256 of it, and gives
// the key. A body that comes again is kept once.
func (s *Store) KeepRejected(ctx context.Context, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	key := s.options.Prefix + "rejected/" + hex.EncodeToString(sum[:])
	if err := cosname.CheckKey(key); err != nil {
		return "", fmt.Errorf("%w: RECORD_PREFIX: %w", cosclient.ErrMisconfigured, err)
	}
	_, err := cosclient.Retry(ctx, s.session, func() (bool, error) { return s.keep(ctx, key, body) })
	if err != nil {
		return "", err
	}
	return key, nil
}

// keep writes a body unless it is there, and makes sure that it is: 409 is the status of
// other conflicts too. What else has the key does not hash to it, and is replaced.
func (s *Store) keep(ctx context.Context, key string, body []byte) (kept bool, err error) {
	const contentType = "application/octet-stream"
	if !s.records.versioned.Load() {
		if kept, err = s.create(ctx, key, contentType, body); kept || err != nil {
			return kept, err
		}
	}
	if stored, err := s.look(ctx, key, body); stored == same || err != nil {
		return err == nil, err
	}
	_, err = s.put(ctx, key, contentType, body, false)
	return err == nil, err
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

// standing is how what is stored stands to a body of ours.
type standing int

const (
	absent standing = iota
	same
	newer
	older // or no record at all
)

// large is how long a stored object is that one goroutine at a time may hold: a record
// can have 25 MB, and a callback may be of eight at once. Others wait, within their own
// try.
const large = 1 << 20

// look reads an object and tells how it stands to ours.
func (s *Store) look(ctx context.Context, key string, ours []byte) (standing, error) {
	var stored standing
	response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
		response, err := s.records.Object.Get(ctx, key, nil)
		if err != nil {
			return response, err
		}
		defer response.Body.Close()
		if response.ContentLength < 0 || response.ContentLength > large {
			select {
			case s.pool.largeReads <- struct{}{}:
				defer func() { <-s.pool.largeReads }()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		most := max(mostStored, len(ours)+1)
		var body bytes.Buffer
		body.Grow(max(0, min(int(response.ContentLength), most)) + bytes.MinRead)
		if _, err := body.ReadFrom(io.LimitReader(response.Body, int64(most))); err != nil {
			return nil, err
		}
		stored, err = judge(body.Bytes(), ours, cosclient.IsFromCOS(response.Header))
		return response, err
	})
	if e, ok := errors.AsType[*cos.ErrorResponse](err); ok && response.StatusCode == http.StatusNotFound && e.Code == "NoSuchKey" {
		return absent, nil
	}
	if err != nil {
		return absent, newError(getObject, s.options.Bucket, key, err)
	}
	return stored, nil
}

// judge compares what is stored with ours. What may not be COS's is believed only if it
// is ours, or a record.
func judge(stored, ours []byte, fromCOS bool) (standing, error) {
	switch {
	case bytes.Equal(stored, ours):
		return same, nil
	case model.Supersedes(stored, ours):
		return newer, nil
	}
	if !fromCOS {
		if _, err := model.ParseRecord(stored); err != nil {
			return absent, cosclient.ErrNotFromService
		}
	}
	return older, nil
}
