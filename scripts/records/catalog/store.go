package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/ci-callback/ci-callback/pkg/store"
)

// FromStore returns the record bucket of a store as a Source.
func FromStore(s *store.Store) Source { return storeSource{s} }

// storeSource turns a store's objects and errors into the catalog's.
type storeSource struct{ store *store.Store }

// List implements Source.
func (s storeSource) List(ctx context.Context, prefix, marker string) (entries []Entry, next string, err error) {
	page, err := s.store.List(ctx, prefix, marker)
	if err != nil {
		return nil, "", err
	}
	entries = make([]Entry, len(page.Entries))
	for i, e := range page.Entries {
		entries[i] = Entry(e)
	}
	return entries, page.Next, nil
}

// Read implements Source.
func (s storeSource) Read(ctx context.Context, key string, use func(Object) error) error {
	err := s.store.ReadObject(ctx, key, func(o store.Object) error {
		return use(Object{
			Entry: Entry{Key: o.Key, Size: int64(len(o.Body)), ETag: o.ETag, LastModified: o.LastModified},
			Body:  o.Body, Source: o.Source,
		})
	})
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return err
}
