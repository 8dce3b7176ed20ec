package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// maxReads is how many requests are under way at a time.
const maxReads = 64

// ErrNotFound says that there is no such object.
var ErrNotFound = errors.New("not found")

// An Entry is an object as a listing shows it.
type Entry struct {
	Key          string
	Size         int64
	ETag         string
	LastModified time.Time
}

// An Object is an object that was read.
type Object struct {
	Entry
	Body   []byte
	Source string // "query" where a rejected body came from a query to CI, else empty
}

// A Source is where objects are read from: the record bucket. Both calls retry what may
// go better the next time, and may be made by many goroutines at once.
type Source interface {
	// List returns the objects whose keys begin with prefix and come after marker, in the
	// order of their keys, and the marker of the next page, empty after the last.
	List(ctx context.Context, prefix, marker string) (entries []Entry, next string, err error)
	// Read hands an object to use. While that runs, no other large object is in memory. Its
	// error wraps ErrNotFound where there is none.
	Read(ctx context.Context, key string, use func(Object) error) error
}

// A Catalog reads the records below a prefix. It is safe for concurrent use.
type Catalog struct {
	source Source
	prefix string
	slots  chan struct{} // holds one for each read of a summary that is under way

	mu   sync.Mutex
	seen map[string]*Summary // by key: what was read, good for as long as the ETag is the same
}

// maxSummaries bounds the summaries that are kept, about 12 MB.
const maxSummaries = 20_000

// New returns a catalog of the records below a prefix, such as "ci/".
func New(source Source, prefix string) *Catalog {
	return &Catalog{source: source, prefix: prefix, slots: make(chan struct{}, maxReads), seen: map[string]*Summary{}}
}

// Prefix returns what the keys of all records begin with.
func (c *Catalog) Prefix() string { return c.prefix }

// List lists the records of some kinds that were written at or after since, the newest
// first. COS lists by key alone, so all keys are listed, 1,000 a request; progress, which
// may be nil, is told how many so far.
func (c *Catalog) List(ctx context.Context, kinds []model.Kind, since time.Time, progress func(listed int)) ([]Entry, error) {
	var mu sync.Mutex
	var listed int
	found := make([][]Entry, len(kinds))
	err := forEach(ctx, len(kinds), len(kinds), func(ctx context.Context, i int) error {
		return c.listAll(ctx, c.prefix+kinds[i].Folder()+"/", func(page []Entry) {
			for _, e := range page {
				if !e.LastModified.Before(since) && strings.HasSuffix(e.Key, ".json") {
					found[i] = append(found[i], e)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			listed += len(page)
			if progress != nil {
				progress(listed)
			}
		})
	})
	entries := slices.Concat(found...)
	slices.SortFunc(entries, newestFirst)
	return entries, err
}

// newestFirst orders entries by when they were written, the newest first. Keys decide
// between those of one second.
func newestFirst(a, b Entry) int {
	return cmp.Or(b.LastModified.Compare(a.LastModified), strings.Compare(a.Key, b.Key))
}

// Within returns those of entries, the newest first, that are in a window: at or after
// since, and before until unless that is zero.
func Within(entries []Entry, since, until time.Time) []Entry {
	if !until.IsZero() {
		for len(entries) > 0 && !entries[0].LastModified.Before(until) {
			entries = entries[1:]
		}
	}
	for i, e := range entries {
		if e.LastModified.Before(since) {
			return entries[:i]
		}
	}
	return entries
}

// ListAll lists all objects below a folder of the prefix, such as "rejected/", the newest
// first.
func (c *Catalog) ListAll(ctx context.Context, folder string) ([]Entry, error) {
	var entries []Entry
	err := c.listAll(ctx, c.prefix+folder, func(page []Entry) { entries = append(entries, page...) })
	slices.SortFunc(entries, newestFirst)
	return entries, err
}

// listAll hands over page after page.
func (c *Catalog) listAll(ctx context.Context, prefix string, each func(page []Entry)) error {
	for marker := ""; ; {
		page, next, err := c.source.List(ctx, prefix, marker)
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		each(page)
		if next == "" {
			return nil
		}
		if next <= marker {
			return fmt.Errorf("list %s: the listing does not go on after %q", prefix, marker)
		}
		marker = next
	}
}

// Get reads one object by its key.
func (c *Catalog) Get(ctx context.Context, key string) (Object, error) {
	var object Object
	err := c.source.Read(ctx, key, func(o Object) error {
		object = o
		return nil
	})
	return object, err
}

// ReadAll hands the objects of entries to use, and the errors of those that COS refuses to
// refused. Both are called by up to 64 goroutines at a time. An object that is gone by now
// is passed over.
func (c *Catalog) ReadAll(ctx context.Context, entries []Entry, use func(i int, o Object) error, refused func(i int, err error)) error {
	return forEach(ctx, len(entries), maxReads, func(ctx context.Context, i int) error {
		err := c.read(ctx, entries[i].Key, func(o Object) error { return use(i, o) })
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case isRefused(err):
			refused(i, err)
			return nil
		}
		return err
	})
}

// isRefused reports whether an error is about one object, and says nothing of the others:
// COS answers and does not give it, or it is too long.
func isRefused(err error) bool {
	return errors.Is(err, cosclient.ErrMisconfigured) || errors.Is(err, store.ErrTooLong)
}

// read is the source's Read, with at most 64 of them under way at a time.
func (c *Catalog) read(ctx context.Context, key string, use func(Object) error) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return c.source.Read(ctx, key, use)
}

// Cached returns what is known of an entry without a request, or nil.
func (c *Catalog) Cached(e Entry) *Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cached(e)
}

// CachedAll is Cached for many entries.
func (c *Catalog) CachedAll(entries []Entry) []*Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	summaries := make([]*Summary, len(entries))
	for i, e := range entries {
		summaries[i] = c.cached(e)
	}
	return summaries
}

func (c *Catalog) cached(e Entry) *Summary {
	if s := c.seen[e.Key]; s != nil && s.ETag == e.ETag && s.Recorded.Equal(e.LastModified) {
		return s
	}
	return nil
}

// remember keeps a summary. Where there are too many, those that come to hand first go.
func (c *Catalog) remember(s *Summary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.seen {
		if len(c.seen) < maxSummaries {
			break
		}
		delete(c.seen, key)
	}
	c.seen[s.Key] = s
}

// Summaries reads entries, up to 64 at a time, and returns a summary of each, in the
// same order. What was read before and has not changed since costs no request. An object
// that is gone by now has a nil summary; what is no record, or what COS refuses, has one
// that says so. After an error, or once ctx has ended, the summaries that were read are
// there, and the others are nil.
func (c *Catalog) Summaries(ctx context.Context, entries []Entry) ([]*Summary, error) {
	summaries := make([]*Summary, len(entries))
	err := forEach(ctx, len(entries), maxReads, func(ctx context.Context, i int) (err error) {
		summaries[i], err = c.summary(ctx, entries[i])
		return err
	})
	return summaries, err
}

func (c *Catalog) summary(ctx context.Context, e Entry) (*Summary, error) {
	if s := c.Cached(e); s != nil {
		return s, nil
	}
	var s *Summary
	err := c.read(ctx, e.Key, func(o Object) error {
		s = Summarize(c.prefix, o)
		return nil
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case isRefused(err): // not remembered: it may be given the next time
		return &Summary{Key: e.Key, ETag: e.ETag, Size: e.Size, Recorded: e.LastModified, ID: IDOfKey(e.Key), Kind: KindOfKey(c.prefix, e.Key),
			Problem: err.Error(), Refused: true}, nil
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", e.Key, err)
	}
	// The entry's ETag and time, not the object's: a version that was written since the
	// listing is read again once the listing shows it.
	s.ETag, s.Recorded = e.ETag, e.LastModified
	c.remember(s)
	return s, nil
}

// forEach calls do for 0 to n-1, at most limit of them at a time, and returns the first
// error. After an error, those that are under way are cancelled and no more are started.
func forEach(ctx context.Context, n, limit int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := parallel.ForEach(n, limit, func(i int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := do(ctx, i)
		if err != nil {
			cancel(err)
		}
		return err
	})
	for _, err := range errs {
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
