package board

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

const (
	maxOutputs = 50 // outputs that are looked at for a page
	maxRaw     = 256 << 10
)

// A recordPage is all about one job.
type recordPage struct {
	*catalog.View
	Name     string // the id as in the key
	Path     string // of the page
	Failed   bool
	Timeline timeline
	Outputs  []outputRow
	Unlooked int // outputs beyond those that are shown
	Facts    []fact
	Tree     *treeNode
	Raw      string // the record's bytes, where they are few enough to show
	Retag    bool   // there is something to tag, and a button to do it
}

// A fact is a line of a record's facts.
type fact struct {
	Name, Value string
	Code        bool   // an id or a key, to be copied
	Path        string // of the page that it leads to; empty for none
	Query       string
}

// An outputRow is an output, as the record has it and as it is now.
type outputRow struct {
	model.Output
	Now    *OutputNow // nil where it was not looked at
	Tagged string     // the value of its MD5 tag now; empty for none
	Match  bool       // the tag is the MD5 of the record
}

// SizeNow writes how long the output is now; a dash where that is not known.
func (o outputRow) SizeNow() string {
	if o.Now == nil || o.Now.Problem != "" {
		return "–"
	}
	return catalog.Bytes(o.Now.Size)
}

// validName is an id as it stands in a key.
func validName(name string) bool {
	if name == "" || len(name) > 300 {
		return false
	}
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("_-~", rune(c)) {
			return false
		}
	}
	return true
}

// record answers with the page of a record, or with its bytes where .json is behind its
// name, as in its key.
func (b *Board) record(kind model.Kind) http.HandlerFunc {
	show := b.page(func(r *request) (*page, error) { return b.recordPage(r, kind) })
	return func(w http.ResponseWriter, r *http.Request) {
		name, isFile := strings.CutSuffix(r.PathValue("name"), ".json")
		if !isFile {
			show(w, r)
			return
		}
		b.file(w, r, kind.Folder()+"/"+name+".json", name+".json", "application/json", validName(name))
	}
}

// historyFile answers with the bytes of one version of a record.
func (b *Board) historyFile(kind model.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		hash, isFile := strings.CutSuffix(r.PathValue("file"), ".json")
		ok := isFile && validName(name) && catalog.IsHash(hash)
		b.file(w, r, "history/"+kind.Folder()+"/"+name+"/"+hash+".json", name+"-"+hash[:min(12, len(hash))]+".json", "application/json", ok)
	}
}

// file answers with the bytes of an object of the record bucket, to be saved.
func (b *Board) file(w http.ResponseWriter, httpRequest *http.Request, key, name, contentType string, valid bool) {
	r, err := b.newRequest(httpRequest)
	var o catalog.Object
	if err == nil && !valid {
		err = notFound("There is no such object.")
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(httpRequest.Context(), readTimeout)
		defer cancel()
		o, err = b.Catalog.Get(ctx, b.Catalog.Prefix()+key)
		if errors.Is(err, catalog.ErrNotFound) {
			err = notFound("There is no object " + b.Catalog.Prefix() + key + ".")
		}
	}
	if err != nil {
		b.render(w, r, b.errorPage(err))
		return
	}
	attachment(w.Header(), name, contentType)
	w.Write(o.Body)
}

func (b *Board) recordPage(r *request, kind model.Kind) (*page, error) {
	name := r.PathValue("name")
	if !validName(name) {
		return nil, notFound("That is no id of a record.")
	}
	found, err := b.Catalog.Open(r.Context(), kind, name)
	if errors.Is(err, catalog.ErrNotFound) {
		return b.pendingPage(r, kind, name)
	}
	if err != nil {
		return nil, err
	}
	if !r.known.has(found.Entry) {
		b.live.refreshSoon() // whoever saw this record looks for it in the lists next
	}
	p := recordPage{
		View: found, Name: name, Path: "/" + kind.Folder() + "/" + name,
		Failed:   found.Summary.State == "Failed",
		Timeline: newTimeline(found),
	}
	if len(found.Body) <= maxRaw {
		p.Raw = indent(found.Body)
	}
	if found.Record != nil {
		p.Facts = factsOf(found.Record)
		p.Tree = newTree(found.Record.Detail)
		p.Outputs, p.Unlooked = b.outputs(r.Context(), found.Record)
		p.Retag = b.writable() && hasMD5(p.Outputs)
	}
	title := found.Summary.State + " " + found.Summary.Type + " " + found.Summary.ID
	return &page{
		Template: "record", Title: strings.TrimSpace(title), Active: "/records", Data: p,
		Command: recordCommand("show", kind, name), Live: liveUntilEnded(found.Summary),
	}, nil
}

// liveUntilEnded returns after how many seconds the page of a job is to be loaded again.
func liveUntilEnded(s *catalog.Summary) int {
	if s.Problem != "" || model.IsTerminal(s.State) || s.State == model.StateUnknown {
		return 0
	}
	return 5
}

// A pendingPage is about a job that has no record: what CI says of it, if it is asked.
type pendingPage struct {
	ID       string
	Asked    bool // CI was asked
	Record   *model.Record
	Summary  *catalog.Summary
	Timeline timeline
	Problem  string
}

// pendingPage returns the page of an id that has no record. A job that CI has not ended
// yet has none: its callback is to come.
func (b *Board) pendingPage(r *request, kind model.Kind, name string) (*page, error) {
	if b.AskCI == nil || kind != model.KindJob {
		return nil, notFound("There is no record of " + name + " under " + b.Catalog.Prefix() + kind.Folder() +
			"/. Its callback may be on its way; the last reconciliation may say more.")
	}
	p := pendingPage{ID: name, Asked: true}
	record, err := b.AskCI(r.Context(), name)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return nil, notFound("There is no record of " + name + ", and CI knows no such job.")
	case err != nil:
		p.Problem = err.Error()
	default:
		p.Record = record
		body, err := record.Encode()
		if err != nil {
			return nil, err
		}
		p.Summary = catalog.Summarize(b.Catalog.Prefix(), catalog.Object{Entry: catalog.Entry{Key: record.Key(b.Catalog.Prefix())}, Body: body})
		p.Timeline = timelineOf(p.Summary, time.Time{})
	}
	return &page{Template: "pending", Title: name, Active: "/records", Data: p, Live: 1,
		Command: recordCommand("show", kind, name)}, nil
}

// outputs looks at the outputs of a record as they are now, side by side.
func (b *Board) outputs(ctx context.Context, record *model.Record) (rows []outputRow, unlooked int) {
	shown := record.Outputs[:min(len(record.Outputs), maxOutputs)]
	rows = make([]outputRow, len(shown))
	var group sync.WaitGroup
	for i, o := range shown {
		rows[i].Output = o
		if b.Look == nil {
			continue
		}
		group.Go(func() {
			now := b.Look(ctx, o)
			rows[i].Now = &now
			for _, tag := range now.Tags {
				if tag.Key == b.MD5TagKey {
					rows[i].Tagged, rows[i].Match = tag.Value, strings.EqualFold(tag.Value, o.MD5)
				}
			}
		})
	}
	group.Wait()
	return rows, len(record.Outputs) - len(shown)
}

func hasMD5(rows []outputRow) bool {
	for _, row := range rows {
		if row.MD5 != "" {
			return true
		}
	}
	return false
}

// find leads to the record of an id, or lists the records whose input begins with what
// was entered.
func (b *Board) find(w http.ResponseWriter, httpRequest *http.Request) {
	r, err := b.newRequest(httpRequest)
	if err != nil {
		b.render(w, r, b.errorPage(err))
		return
	}
	text := strings.TrimSpace(r.query.Get("q"))
	if text == "" {
		http.Redirect(w, httpRequest, r.link("/records"), http.StatusSeeOther)
		return
	}
	ctx, cancel := context.WithTimeout(httpRequest.Context(), readTimeout)
	defer cancel()
	found, err := b.Catalog.Find(ctx, text, model.Kinds())
	switch {
	case err == nil:
		http.Redirect(w, httpRequest, r.link(recordPath(found.Summary)), http.StatusSeeOther)
	case errors.Is(err, catalog.ErrNotFound):
		http.Redirect(w, httpRequest, r.link("/records", "input", text, "since", "all"), http.StatusSeeOther)
	default:
		b.render(w, r, b.errorPage(err))
	}
}
