package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
)

// maxHistoryWrites is how many versions are written to the history at a time, over all
// records of a Pool.
const maxHistoryWrites = 8

// version is one version of a record, or what stands in its place.
type version struct {
	body []byte
	sum  [sha256.Size]byte
}

// newVersion returns the version that has these bytes.
func newVersion(body []byte) version { return version{body, sha256.Sum256(body)} }

// key returns the version's key in a history, as [model.HistoryKey] does. It is named for
// the hash of its bytes, so that writing it again changes nothing.
func (v version) key(history string) string {
	return history + hex.EncodeToString(v.sum[:]) + ".json"
}

// archive writes a version to a history, in one try. That it is there already is a success:
// its key is the hash of its bytes. A conflict of which COS does not say that it is this one
// may be another, after which the version is not there.
func (s *Store) archive(ctx context.Context, history string, v version) error {
	key := v.key(history)
	select {
	case s.pool.historyWrites <- struct{}{}:
		defer func() { <-s.pool.historyWrites }()
	case <-ctx.Done():
		return newError(putObject, s.options.Bucket, key, ctx.Err())
	}
	_, err := s.put(ctx, key, contents{body: v.body, contentType: jsonType}, true)
	if e, ok := errors.AsType[*cosclient.Error](err); ok && e.Status == http.StatusConflict {
		if e.Code == "FileAlreadyExists" || e.Code == "ObjectAlreadyExists" {
			return nil
		}
		if held, heldErr := s.holds(ctx, key, v.sum); held || heldErr != nil {
			return heldErr
		}
	}
	return err
}

// archiveOlder writes an older version, which came in the same body as the newest, to the
// history.
func (s *Store) archiveOlder(ctx context.Context, history string, newest []byte, older *model.Record) error {
	encoded, err := older.Encode()
	if err != nil || bytes.Equal(encoded, newest) {
		return err
	}
	v := newVersion(encoded)
	_, err = cosclient.Retry(ctx, s.session, func() (struct{}, error) {
		return struct{}{}, s.archive(ctx, history, v)
	})
	return err
}

// archive writes versions to the history, side by side, but for those that this
// replacement has written there already.
func (r *replacement) archive(ctx context.Context, versions ...version) error {
	versions = slices.DeleteFunc(versions, func(v version) bool { return r.archived[v.sum] })
	errs := parallel.ForEach(len(versions), len(versions), func(i int) error {
		return r.store.archive(ctx, r.history, versions[i])
	})
	for i, err := range errs {
		if err == nil {
			r.archived[versions[i].sum] = true
		}
	}
	return cosclient.MostSevere(errs)
}
