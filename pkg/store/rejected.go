package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// PutRejected keeps a body that was not understood, under the SHA-256 of it, and returns
// the key. A body that comes again is kept once. source is "query" where it was part of
// CI's answer to a query, and "" where it was a callback.
func (s *Store) PutRejected(ctx context.Context, body []byte, source string) (string, error) {
	sum := sha256.Sum256(body)
	key := s.rejectedPrefix() + hex.EncodeToString(sum[:])
	if err := s.checkPrefix(key); err != nil {
		return "", err
	}
	c := contents{body: body, contentType: binaryType, source: source}
	_, err := cosclient.Retry(ctx, s.session, func() (struct{}, error) {
		return struct{}{}, s.putRejected(ctx, key, c, sum)
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// putRejected writes a body unless it is there, and makes sure that it is: 409 is the
// status of other conflicts too. What else has the key does not hash to it, and is
// replaced.
func (s *Store) putRejected(ctx context.Context, key string, c contents, sum [sha256.Size]byte) error {
	if !s.records.versioned.Load() {
		if created, err := s.create(ctx, key, c); created || err != nil {
			return err
		}
	}
	if kept, err := s.holds(ctx, key, sum); kept || err != nil {
		return err
	}
	return s.overwrite(ctx, key, c)
}

// rejectedPrefix returns what the keys of rejected bodies begin with.
func (s *Store) rejectedPrefix() string { return s.options.Prefix + "rejected/" }

// DeleteRejected takes away a rejected body, once all of it has been received. That there
// is none is a success. No other key than one of a rejected body is taken.
func (s *Store) DeleteRejected(ctx context.Context, key string) error {
	if !strings.HasPrefix(key, s.rejectedPrefix()) {
		return fmt.Errorf("%s is not the key of a rejected body", key)
	}
	if err := s.checkPrefix(key); err != nil {
		return err
	}
	_, err := cosclient.Retry(ctx, s.session, func() (struct{}, error) {
		response, err := s.try(ctx, func(ctx context.Context) (*cos.Response, error) {
			return s.records.client.Object.Delete(ctx, key)
		})
		if err = cosclient.RequireCOS(response, err); err != nil {
			return struct{}{}, newError(deleteObject, s.options.Bucket, key, err)
		}
		return struct{}{}, nil
	})
	return err
}
