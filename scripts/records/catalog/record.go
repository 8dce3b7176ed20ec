package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// A Version is one version of a record: the one that stands, or one of its history.
type Version struct {
	Object
	Summary *Summary
	Current bool     // it is the record; the others are in its history
	Changes []Change // from the version before it; none of the oldest, nor where one is over 2 MB
	More    int      // changes that are not named
}

// OwnChanges returns the changes of the record's own fields.
func (v Version) OwnChanges() []Change { return v.changes(false) }

// DetailChanges returns the changes within the record's detail.
func (v Version) DetailChanges() []Change { return v.changes(true) }

func (v Version) changes(inDetail bool) []Change {
	var some []Change
	for _, c := range v.Changes {
		if isInDetail(c.Path) == inDetail {
			some = append(some, c)
		}
	}
	return some
}

// A View is a record with its history.
type View struct {
	Object            // the record as it is stored
	Summary  *Summary // never nil
	Record   *model.Record
	Versions []Version // the newest first, the record among them
	Omitted  int       // versions of the history that were not read
	Refused  error     // why COS did not give one of them; nil where they were only too many
}

// maxCompared is how long a version may be whose changes are named, in bytes.
const maxCompared = 2 << 20

// maxVersions bounds how much of a history is read. A job has one version or two.
const maxVersions = 20

// nameInKey returns the last part of a key for an id: model's escapes, or the id itself where
// it is written as in a key.
func nameInKey(kind model.Kind, id string) string {
	return IDOfKey((&model.Record{Kind: kind, ID: id}).Key(""))
}

// Find returns the record of an id with its history: of the first of some kinds that has
// one, such as model.Kinds. The id may be written as CI has it or as it stands in the key.
// The error wraps ErrNotFound where there is no record.
func (c *Catalog) Find(ctx context.Context, id string, kinds []model.Kind) (*View, error) {
	if !mayBeID(id) {
		return nil, fmt.Errorf("record of %.100q: %w", id, ErrNotFound)
	}
	for _, kind := range kinds {
		view, err := c.Open(ctx, kind, nameInKey(kind, id))
		if !errors.Is(err, ErrNotFound) {
			return view, err
		}
	}
	return nil, fmt.Errorf("record of %.100q: %w", id, ErrNotFound)
}

// mayBeID reports whether a text may be an id, or an id as it stands in a key. What may not
// be is not worth a request.
func mayBeID(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+/=~"
	return text != "" && len(text) <= maxIDInKey && strings.Trim(text, letters) == ""
}

// maxIDInKey is how long an id may be in a key: a trace_id of 96 characters, each of which
// may be written as three.
const maxIDInKey = 288

// Open returns one record with its history. name is the id as it stands in the key.
func (c *Catalog) Open(ctx context.Context, kind model.Kind, name string) (*View, error) {
	o, err := c.Get(ctx, c.prefix+kind.Folder()+"/"+name+".json")
	if err != nil {
		return nil, err
	}
	view := &View{Object: o, Summary: Summarize(c.prefix, o)}
	if record, err := model.ParseRecord(o.Body); err == nil {
		view.Record = record
	}
	if err := c.readHistory(ctx, view, c.prefix+"history/"+kind.Folder()+"/"+name+"/"); err != nil {
		return nil, err
	}
	return view, nil
}

// readHistory reads the versions below a prefix and puts them in order with the record.
func (c *Catalog) readHistory(ctx context.Context, view *View, prefix string) error {
	var entries []Entry
	if err := c.listAll(ctx, prefix, func(page []Entry) { entries = append(entries, page...) }); err != nil {
		return err
	}
	slices.SortFunc(entries, newestFirst)
	if len(entries) > maxVersions {
		view.Omitted = len(entries) - maxVersions
		entries = entries[:maxVersions]
	}
	found := make([]*Object, len(entries))
	refused := make([]error, len(entries))
	err := forEach(ctx, len(entries), maxHistoryReads, func(ctx context.Context, i int) error {
		o, err := c.Get(ctx, entries[i].Key)
		switch {
		case errors.Is(err, ErrNotFound): // taken away since the listing
			return nil
		case isRefused(err):
			refused[i] = err
			return nil
		}
		found[i] = &o
		return err
	})
	if err != nil {
		return err
	}
	for _, err := range refused {
		if err != nil {
			view.Omitted++
			view.Refused = cmp.Or(view.Refused, err)
		}
	}
	view.Versions = versionsOf(c.prefix, view.Object, found)
	return nil
}

// maxHistoryReads bounds the versions in flight: each may have 25 MB.
const maxHistoryReads = 4

// versionsOf orders a record and its history, the newest first, and names what changed
// from each to the next. The history holds the record itself too where it was replaced
// once: the bytes decide.
func versionsOf(prefix string, current Object, history []*Object) []Version {
	versions := []Version{{Object: current, Summary: Summarize(prefix, current), Current: true}}
	for _, o := range history {
		if o == nil {
			continue
		}
		if string(o.Body) == string(current.Body) {
			continue
		}
		versions = append(versions, Version{Object: *o, Summary: Summarize(prefix, *o)})
	}
	slices.SortStableFunc(versions, func(a, b Version) int { return model.Compare(b.Body, a.Body) })
	for i := range len(versions) - 1 {
		if max(len(versions[i].Body), len(versions[i+1].Body)) <= maxCompared {
			versions[i].Changes, versions[i].More = Changes(versions[i+1].Body, versions[i].Body)
		}
	}
	return versions
}

// ShortHashDigits is how many digits of a hash are shown.
const ShortHashDigits = 12

// ShortHash returns the first characters of the hash that names a version of a history
// or a rejected body, enough to tell it apart.
func ShortHash(key string) string {
	name := IDOfKey(key)
	return name[:min(ShortHashDigits, len(name))]
}

// BeginsHash reports whether a text may be the beginning of a hash, or all of it: it has as
// many digits as ShortHash, or more.
func BeginsHash(s string) bool {
	return len(s) >= ShortHashDigits && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// IsHash reports whether a text is a SHA-256 in lower-case hex digits, as in the keys of
// rejected bodies and of the history.
func IsHash(s string) bool {
	return len(s) == 64 && BeginsHash(s)
}
