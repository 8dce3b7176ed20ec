package board

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// readTimeout is how long a page may wait for the record bucket.
const readTimeout = 10 * time.Second

// A request is one for a page, with what its URL says of the time.
type request struct {
	*http.Request
	board *Board
	query url.Values
	now   time.Time // in the reader's zone
	known snapshot
}

// A page is what a handler found, and which template shows it.
type page struct {
	Template string
	Title    string
	Active   string // the path of the navigation's link that the page belongs to
	Command  string // that shows the same; empty where none does
	Live     int    // seconds after which the page is to be loaded again; 0 for never
	Status   int    // 0 for 200
	Data     any
}

// view is what a template sees: the page, and how times and links are written.
type view struct {
	*page
	r *request
}

// pageError is an error that has a page of its own.
type pageError struct {
	status      int
	title, text string
}

func (e *pageError) Error() string { return e.text }

func notFound(text string) error { return &pageError{http.StatusNotFound, "Not found", text} }
func badQuery(err error) error {
	return &pageError{http.StatusBadRequest, "This address does not say what to show", err.Error()}
}

// page returns the handler of a page. What find returns is rendered whole before the
// first byte leaves, and has an ETag, so that a page that did not change costs its
// reader nothing.
func (b *Board) page(find func(*request) (*page, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, httpRequest *http.Request) {
		r, err := b.newRequest(httpRequest)
		ctx, cancel := context.WithTimeout(httpRequest.Context(), readTimeout)
		defer cancel()
		r.Request = httpRequest.WithContext(ctx)
		var p *page
		if err == nil {
			p, err = find(r)
		}
		if err != nil {
			p = b.errorPage(err)
		}
		b.render(w, r, p)
	}
}

// listed puts a page that says so in the place of one that is made of a listing, until
// the first listing has ended: nothing known must not look like nothing there.
func (b *Board) listed(find func(*request) (*page, error)) func(*request) (*page, error) {
	return func(r *request) (*page, error) {
		p, err := find(r)
		if err == nil && r.known.listed.IsZero() {
			p.Template, p.Data, p.Live = "unlisted", nil, b.liveWhile(r)
		}
		return p, err
	}
}

func (b *Board) newRequest(r *http.Request) (*request, error) {
	query := r.URL.Query()
	zone, err := b.zone(query.Get("tz"))
	return &request{Request: r, board: b, query: query, now: b.Clock().In(zone), known: b.live.look()}, err
}

// moment writes a moment of the URL for the command line. A day is the one of the page's
// zone, where the URL chooses one: the command line knows this machine's alone.
func (r *request) moment(text string) string {
	if day, err := time.ParseInLocation(time.DateOnly, text, r.now.Location()); err == nil && r.query.Get("tz") != "" {
		return day.Format(time.RFC3339)
	}
	return text
}

// zone returns the zone of a name; the default one for an empty name, and with an error.
func (b *Board) zone(name string) (*time.Location, error) {
	if name == "" {
		return b.Zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || len(name) > 64 {
		return b.Zone, badQuery(fmt.Errorf("tz=%.40q is no time zone: write UTC, or a name such as Asia/Shanghai", name))
	}
	return zone, nil
}

// errorPage returns the page of an error. One that is not the reader's is the bucket's.
func (b *Board) errorPage(err error) *page {
	status, title, text := http.StatusBadGateway, "The record bucket does not answer", err.Error()
	if e, ok := errors.AsType[*pageError](err); ok {
		status, title, text = e.status, e.title, e.text
	} else {
		b.Log.Warn("a page of the board failed", "error", err.Error())
	}
	return &page{Template: "error", Title: title, Status: status, Data: text}
}

func (b *Board) render(w http.ResponseWriter, r *request, p *page) {
	var body bytes.Buffer
	if err := b.pages[p.Template].Execute(&body, view{p, r}); err != nil {
		b.Log.Error("a page of the board could not be rendered", "page", p.Template, "error", err.Error())
		http.Error(w, "This page could not be rendered; the board's log says why.", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body.Bytes())
	version := hex.EncodeToString(sum[:8])
	tag := `W/"` + version + `"`
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("ETag", tag)
	if p.Status == 0 && strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	// A page that is not finished says its own version, which the script compares with what
	// is there later: the page may have changed before the script first asks.
	w.Write(bytes.Replace(body.Bytes(), []byte(`data-version=""`), []byte(`data-version="`+version+`"`), 1))
}

// act returns the handler of a POST: what do does is followed by a redirect to the page
// that it names. The guard has seen to Origin and token.
func (b *Board) act(do func(*request) (location string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, httpRequest *http.Request) {
		r, err := b.newRequest(httpRequest)
		var location string
		if err == nil {
			location, err = do(r)
		}
		if err != nil {
			b.render(w, r, b.errorPage(err))
			return
		}
		b.live.refreshSoon()
		http.Redirect(w, httpRequest, location, http.StatusSeeOther)
	}
}

// Bucket returns the name of the record bucket.
func (v view) Bucket() string { return v.r.board.Bucket }

// Writable reports whether the board has buttons.
func (v view) Writable() bool { return v.r.board.writable() }

// Token returns what a form must have.
func (v view) Token() string { return v.r.board.token }

// CanSubmit reports whether there is a form that submits a job.
func (v view) CanSubmit() bool { return v.r.board.Submit != nil }

// Stamp writes when the page was made, to the minute: one that is asked for again in the
// same minute, and shows the same, has the same bytes.
func (v view) Stamp() string { return v.r.now.Format("2 Jan 15:04") }

// Offset writes the zone's distance from UTC now, such as UTC+08:00.
func (v view) Offset() string { return offsetOf(v.r.now) }

func offsetOf(t time.Time) string {
	if _, seconds := t.Zone(); seconds == 0 {
		return "UTC"
	}
	return "UTC" + t.Format("-07:00")
}

// OwnZone returns what the zone is called that times are in where the URL names none.
func (v view) OwnZone() string { return v.r.board.ZoneName }

// Tz returns the zone that the URL names, or nothing.
func (v view) Tz() string { return v.r.query.Get("tz") }

// Zones returns the zones that the page offers.
func (v view) Zones() []string {
	zones := []string{"UTC", "Asia/Shanghai", "Asia/Singapore", "Europe/Berlin", "America/New_York", "America/Los_Angeles"}
	if tz := v.Tz(); tz != "" && !slices.Contains(zones, tz) {
		zones = append([]string{tz}, zones...)
	}
	return zones
}

// Hidden returns the query but for some names, as name and value, for forms that keep
// it.
func (v view) Hidden(without ...string) [][2]string {
	var fields [][2]string
	for _, name := range queryNames() {
		value := v.r.query.Get(name)
		if value == "" || slices.Contains(without, name) {
			continue
		}
		fields = append(fields, [2]string{name, value})
	}
	return fields
}

// queryNames are the names that a URL's query may have, in the order in which links
// write them.
func queryNames() []string {
	return []string{"kind", "state", "type", "verdict", "code", "input", "since", "until", "limit", "after", "tz"}
}

// Path returns the path of the page.
func (v view) Path() string { return v.r.URL.Path }

// When writes a time for a glance, in the reader's zone, with the exact one at hand.
func (v view) When(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	t = t.In(v.r.now.Location())
	layout := "2 Jan 15:04:05"
	if t.Year() != v.r.now.Year() {
		layout = "2 Jan 2006 15:04"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`,
		t.UTC().Format(time.RFC3339), exact(t), t.Format(layout)))
}

// Exact writes a time to the second, with its distance from UTC.
func (v view) Exact(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	t = t.In(v.r.now.Location())
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.UTC().Format(time.RFC3339Nano), exact(t)))
}

func exact(t time.Time) string { return t.Format("2006-01-02 15:04:05") + " " + offsetOf(t) }

// Ago writes how long ago a time was.
func (v view) Ago(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return catalog.Age(v.r.now.Sub(t))
}

// AgoWords is Ago for use in a sentence: "3 min ago", "just now".
func (v view) AgoWords(t time.Time) string {
	if age := v.Ago(t); age != "now" {
		return age + " ago"
	}
	return "just now"
}

// Link returns the address of a page in the reader's zone. What follows the path is
// names and values of its query; empty values are left out.
func (v view) Link(path string, query ...string) template.URL {
	return template.URL(v.r.link(path, query...))
}

// InWindow is Link to what is in the window of this page.
func (v view) InWindow(path string, query ...string) template.URL {
	f := filterOf(v.r)
	return v.Link(path, append(query, "since", f.Since, "until", f.Until)...)
}

// With returns the address of this page with some of its query changed.
func (v view) With(query ...string) template.URL {
	values := url.Values{}
	for _, name := range queryNames() {
		if value := v.r.query.Get(name); value != "" {
			values.Set(name, value)
		}
	}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] == "" {
			values.Del(query[i])
		} else {
			values.Set(query[i], query[i+1])
		}
	}
	return template.URL(address(v.r.URL.Path, values))
}

func (r *request) link(path string, query ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] != "" {
			values.Set(query[i], query[i+1])
		}
	}
	if tz := r.query.Get("tz"); tz != "" {
		values.Set("tz", tz)
	}
	return address(path, values)
}

func address(path string, values url.Values) string {
	u := url.URL{Path: path, RawQuery: values.Encode()}
	return u.String()
}

// Done returns the task whose end brought the reader here, or nil.
func (v view) Done() *task { return v.r.board.tasks.look(v.r.query.Get("done")) }

// Reading says how far the first listing is; empty once it has ended.
func (v view) Reading() string {
	known := v.r.known
	switch {
	case !known.listed.IsZero():
		return ""
	case known.problem != "":
		return ""
	default:
		return fmt.Sprintf("Listing the records: %s so far.", catalog.Count(known.listing))
	}
}

// Problem says what kept the board from listing or reading; empty if nothing did.
func (v view) Problem() string { return v.r.known.problem }

// ListedAt writes when the bucket was last listed; empty before the first time.
func (v view) ListedAt() string {
	if v.r.known.listed.IsZero() {
		return ""
	}
	return v.r.known.listed.In(v.r.now.Location()).Format("15:04")
}

// RejectedCount returns how many rejected bodies there are.
func (v view) RejectedCount() int { return len(v.r.known.rejected) }

// Prefix returns what the keys of all records begin with.
func (v view) Prefix() string { return v.r.board.Catalog.Prefix() }

// MD5TagKey returns the key of the tag that holds an output's MD5.
func (v view) MD5TagKey() string { return v.r.board.MD5TagKey }

// AgeOf writes how long ago a time was, with the time itself at hand.
func (v view) AgeOf(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`,
		t.UTC().Format(time.RFC3339), exact(t.In(v.r.now.Location())), v.Ago(t)))
}

// File returns the address of this page's rows as a file.
func (v view) File(ext string) template.URL {
	return template.URL(address(v.r.URL.Path+ext, v.r.query))
}

// VersionFile returns the address of the bytes of one version of a record.
func (v view) VersionFile(version catalog.Version) template.URL {
	path := strings.TrimPrefix(version.Key, v.Prefix())
	return template.URL(address("/"+path, nil))
}
