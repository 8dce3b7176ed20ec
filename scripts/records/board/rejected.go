package board

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

const (
	maxRejectedRows  = 50      // bodies of a page
	maxRejectedBytes = 1 << 20 // of a body that is read for the list; longer ones only on their own page
	maxRejectedReads = 4       // at a time: each may have megabytes
	maxBodyShown     = 64 << 10
)

// A rejectedPage lists the bodies that were not understood.
type rejectedPage struct {
	Rows  []rejectedRow
	Total int
}

// A rejectedRow is a body that was not understood, and what today's decoder says of it.
type rejectedRow struct {
	catalog.Entry
	Hash   string
	Source string
	Reason string // why it is not understood; empty where it is now
	Jobs   int    // that are understood now
	Start  string // the beginning of the body
	Unread bool   // it is too long to be read for a list
}

func (b *Board) rejected(r *request) (*page, error) {
	entries := r.known.rejected
	p := rejectedPage{Total: len(entries)}
	entries = entries[:min(len(entries), maxRejectedRows)]
	p.Rows = make([]rejectedRow, len(entries))
	slots := make(chan struct{}, maxRejectedReads)
	var group sync.WaitGroup
	for i, e := range entries {
		p.Rows[i] = rejectedRow{Entry: e, Hash: hashOfKey(e.Key), Unread: e.Size > maxRejectedBytes}
		if p.Rows[i].Unread {
			continue
		}
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			b.readRejected(r, &p.Rows[i])
		})
	}
	group.Wait()
	return &page{Template: "rejected", Title: "Rejected bodies", Active: "/rejected", Data: p, Command: command("rejected")}, nil
}

// readRejected reads a body and asks the decoder about it, or says why it cannot.
func (b *Board) readRejected(r *request, row *rejectedRow) {
	o, err := b.Catalog.Get(r.Context(), row.Key)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		row.Reason = "it has been taken away since"
	case err != nil:
		row.Reason = "it could not be read: " + err.Error()
	default:
		row.describe(o)
	}
}

func (row *rejectedRow) describe(o catalog.Object) {
	row.Entry, row.Source = o.Entry, o.Source
	row.Jobs, row.Reason = decodeNow(o)
	row.Start = firstLine(o.Body, 160)
}

// decodeNow returns how many jobs today's decoder finds in a body, and why it does not
// take it whole.
func decodeNow(o catalog.Object) (jobs int, reason string) {
	callback, err := model.Decode(o.Body)
	if callback != nil {
		jobs = len(callback.Records)
	}
	if err != nil {
		reason = err.Error()
	}
	return jobs, reason
}

// firstLine returns the beginning of a body as text, on one line.
func firstLine(body []byte, max int) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), max)]), "\uFFFD")
	return strings.Join(strings.Fields(text), " ")
}

// A rejectedBodyPage is one body that was not understood.
type rejectedBodyPage struct {
	rejectedRow
	Text   string // the body's beginning
	Cut    bool   // the body is longer
	Binary bool   // the body is no text
}

func (b *Board) rejectedBody(r *request) (*page, error) {
	o, err := b.getRejected(r)
	if err != nil {
		return nil, err
	}
	p := rejectedBodyPage{rejectedRow: rejectedRow{Hash: r.PathValue("hash")}}
	p.describe(o)
	shown := o.Body[:min(len(o.Body), maxBodyShown)]
	p.Text, p.Cut = strings.ToValidUTF8(string(shown), "\uFFFD"), len(o.Body) > len(shown)
	p.Binary = !utf8.Valid(o.Body)
	shows := command("rejected")
	if p.Reason == "" || p.Jobs > 0 { // else a replay finds nothing to do
		shows = command("replay --dry-run " + p.Hash)
	}
	return &page{Template: "rejectedbody", Title: "Rejected body " + catalog.ShortHash(o.Key), Active: "/rejected", Data: p,
		Command: shows}, nil
}

// getRejected reads the body that a URL names.
func (b *Board) getRejected(r *request) (catalog.Object, error) {
	hash := r.PathValue("hash")
	if !catalog.IsHash(hash) {
		return catalog.Object{}, notFound("That is no name of a rejected body.")
	}
	o, err := b.Catalog.Get(r.Context(), b.Catalog.Prefix()+"rejected/"+hash)
	if errors.Is(err, catalog.ErrNotFound) {
		return o, notFound("There is no rejected body of that name: it may have been taken away after it was received.")
	}
	return o, err
}

func (b *Board) rejectedFile(w http.ResponseWriter, r *http.Request) {
	hash := r.PathValue("hash")
	b.file(w, r, "rejected/"+hash, "rejected-"+hash[:min(12, len(hash))]+".txt", "text/plain; charset=utf-8", catalog.IsHash(hash))
}
