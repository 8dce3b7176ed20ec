package board

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

const (
	maxPageReads = 50  // records that are read while somebody waits
	defaultLimit = 50  // rows of a page
	maxLimit     = 200 // rows of a page, where the reader asks for more
)

// A recordsPage is a table of records.
type recordsPage struct {
	Filter catalog.Filter
	Rows   []*catalog.Summary
	Looked int    // entries that were looked at for this page
	Total  int    // entries of the window
	Next   string // where to go on; empty at the end
	Cut    bool   // not all that might match was read: the page was full of reads, not of rows
	After  string
	Limit  int
	Window string
	Types  []string // of the records that were read, to choose from
	Empty  bool     // there is no record at all
}

// records shows the records that match the URL's filter.
func (b *Board) records(r *request) (*page, error) {
	p, err := b.findRecords(r)
	if err != nil {
		return nil, err
	}
	f := p.Filter
	found := &page{
		Template: "records", Title: "Records", Active: "/records", Data: p, Live: b.liveWhile(r),
		Command: command("list", "kind", f.Kind, "state", f.State, "type", f.Type, "verdict", f.Verdict, "code", f.Code,
			"input", f.Input, "since", r.moment(f.Since), "until", r.moment(f.Until), "limit", strconv.Itoa(p.Limit)),
	}
	if p.After != "" {
		found.Command = "" // the command line cannot go on where a page ended
	}
	return found, nil
}

// filterOf reads the filter of a URL. Where it names no window, it is the last day.
func filterOf(r *request) catalog.Filter {
	get := func(name string) string { return strings.TrimSpace(r.query.Get(name)) }
	return catalog.Filter{
		Kind: get("kind"), State: get("state"), Type: get("type"), Verdict: get("verdict"), Code: get("code"),
		Input: get("input"), Since: cmp.Or(get("since"), "24h"), Until: get("until"),
	}
}

func (b *Board) findRecords(r *request) (recordsPage, error) {
	f := filterOf(r)
	p := recordsPage{Filter: f, After: r.query.Get("after"), Limit: defaultLimit, Window: windowWords(f.Since, f.Until)}
	kinds, err := f.Kinds()
	if err = cmp.Or(err, f.CheckVerdict()); err != nil {
		return p, badQuery(err)
	}
	since, until, err := f.Window(r.now)
	if err != nil {
		return p, badQuery(err)
	}
	if text := r.query.Get("limit"); text != "" {
		if p.Limit, err = strconv.Atoi(text); err != nil || p.Limit < 1 || p.Limit > maxLimit {
			return p, badQuery(fmt.Errorf("limit=%.20q: it must be a number from 1 to %d", text, maxLimit))
		}
	}
	var entries []catalog.Entry
	for _, e := range catalog.Within(r.known.entries, since, until) {
		if len(kinds) == len(model.Kinds()) || slices.Contains(kinds, catalog.KindOfKey(b.Catalog.Prefix(), e.Key)) {
			entries = append(entries, e)
		}
	}
	p.Total, p.Empty = len(entries), len(r.known.entries) == 0 && !r.known.listed.IsZero()
	p.Types = b.knownTypes(entries)
	rest, err := afterCursor(entries, p.After)
	if err != nil {
		return p, badQuery(err)
	}
	return p, b.fillRows(r, &p, rest)
}

// fillRows looks at entries until the page has its rows, or has read as many records as
// it may.
func (b *Board) fillRows(r *request, p *recordsPage, entries []catalog.Entry) error {
	reads := 0
	for len(entries) > 0 {
		n := min(len(entries), p.Limit)
		known := b.Catalog.CachedAll(entries[:n])
		for i, s := range known {
			if s == nil {
				reads++
			}
			if reads > maxPageReads {
				n = i
				break
			}
		}
		if n == 0 {
			p.Cut = true
			return nil
		}
		summaries, err := b.Catalog.Summaries(r.Context(), entries[:n])
		if err != nil {
			return err
		}
		for i, s := range summaries {
			p.Looked++
			if s != nil && p.Filter.Match(s) {
				p.Rows = append(p.Rows, s)
			}
			p.Next = cursorOf(entries[i])
			if len(p.Rows) == p.Limit {
				if i+1 == len(entries) {
					p.Next = ""
				}
				return nil
			}
		}
		entries = entries[n:]
	}
	p.Next = ""
	return nil
}

// knownTypes returns the types of the records that were read, for a reader to choose
// from.
func (b *Board) knownTypes(entries []catalog.Entry) []string {
	counts := map[string]int{}
	for _, s := range b.Catalog.CachedAll(entries[:min(len(entries), 5000)]) {
		if s != nil && s.Type != "" {
			counts[s.Type]++
		}
	}
	return stackOrder(counts)
}

// cursorOf returns a place in the list: behind an entry. It holds when the entry was
// written and its key, so that it stands for the same place whatever comes later.
func cursorOf(e catalog.Entry) string {
	return e.LastModified.UTC().Format(time.RFC3339) + "," + e.Key
}

// afterCursor returns the entries behind a cursor.
func afterCursor(entries []catalog.Entry, cursor string) ([]catalog.Entry, error) {
	if cursor == "" {
		return entries, nil
	}
	moment, key, ok := strings.Cut(cursor, ",")
	at, err := time.Parse(time.RFC3339, moment)
	if !ok || err != nil {
		return nil, fmt.Errorf("after=%.60q is no place in the list: take the address of a Next link", cursor)
	}
	for i, e := range entries {
		written := e.LastModified.Truncate(time.Second)
		if written.Before(at) || written.Equal(at) && e.Key > key {
			return entries[i:], nil
		}
	}
	return nil, nil
}

// errNotListed keeps a program from taking nothing known for nothing there.
var errNotListed = &pageError{http.StatusServiceUnavailable, "The records have not been listed yet", "Ask again in a while."}

// recordsJSON and recordsCSV answer with the rows of the page with the same query.
func (b *Board) recordsJSON(w http.ResponseWriter, httpRequest *http.Request) {
	rows, ok := b.rows(w, httpRequest)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(rows)
}

func (b *Board) recordsCSV(w http.ResponseWriter, httpRequest *http.Request) {
	rows, ok := b.rows(w, httpRequest)
	if !ok {
		return
	}
	attachment(w.Header(), "records.csv", "text/csv; charset=utf-8")
	catalog.WriteCSV(w, rows)
}

func (b *Board) rows(w http.ResponseWriter, httpRequest *http.Request) ([]catalog.Row, bool) {
	r, err := b.newRequest(httpRequest)
	var p recordsPage
	if err == nil {
		p, err = b.findRecords(r)
	}
	if err == nil && r.known.listed.IsZero() {
		err = errNotListed
	}
	if err != nil {
		b.render(w, r, b.errorPage(err))
		return nil, false
	}
	rows := []catalog.Row{}
	for _, s := range p.Rows {
		rows = append(rows, catalog.RowOf(s))
	}
	return rows, true
}

// attachment sets the headers of bytes that a browser is to save, not to show: they are
// a stranger's.
func attachment(h http.Header, name, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}
