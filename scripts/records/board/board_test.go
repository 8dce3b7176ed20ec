package board_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
)

const (
	port   = 9090
	origin = "http://127.0.0.1:9090"
)

// day is the time of the tests.
var day = time.Date(2026, 11, 27, 19, 12, 0, 0, time.UTC)

// newBoard returns a board of a source at the time of the tests.
func newBoard(t testing.TB, source catalog.Source, change func(*board.Options)) *board.Board {
	t.Helper()
	o := board.Options{
		Catalog: catalog.New(source, sample.Prefix), Bucket: sample.RecordBucket, Region: sample.Region, MD5TagKey: "md5",
		Zone: time.UTC, Clock: func() time.Time { return day },
	}
	if change != nil {
		change(&o)
	}
	b, err := board.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newSample returns a board of a day with n jobs, all of which it has read.
func newSample(t testing.TB, n int, change func(*board.Options)) *board.Board {
	t.Helper()
	source := sample.New()
	sample.Fill(source, day, n)
	b := newBoard(t, source, change)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// get asks for a page as a browser on this machine does.
func get(t testing.TB, b *board.Board, target string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
	r.Host = "127.0.0.1:9090"
	w := httptest.NewRecorder()
	b.Handler(port).ServeHTTP(w, r)
	return w
}

// post sends a form as a page of the board does, changed by a test.
func post(t testing.TB, b *board.Board, target string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", target, strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:9090"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	b.Handler(port).ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := newSample(t, 300, func(o *board.Options) { o.Mender = &mender{} })
	tests := map[string][]string{
		"/":                        {"jobs failed in the last 24 hours", "Records per hour", "Most in one hour", "How long jobs took", "list --since 24h"},
		"/records":                 {"302 records", "j1f9a3c7…4a0c15f38", "Next page"},
		"/records?state=Failed":    {"list --state Failed --since 24h", "InvalidArgument"},
		"/records?state=Cancel":    {"No record matches", "look at all times"},
		"/jobs/" + sample.Broken:   {"Why it failed", "has no video stream", "created", "after 9 s", "show " + sample.Broken},
		"/jobs/" + sample.Replaced: {"History: 2 versions", "<del>Failed</del>", "<ins>Success</ins>", "by a reconciliation"},
		"/failures":                {"failed jobs", "the input … has no video stream"},
		"/rejected":                {"3 bodies not understood", "no JobId"},
		"/reconciliation":          {"media-1250000000", "What was found", "replaced", "no record"},
		"/jobs/" + sample.Replaced + "?tz=Asia/Shanghai": {"2026-11-28 02:41:00 UTC+08:00"},
	}
	for target, words := range tests {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			w := get(t, b, target)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			text := w.Body.String()
			for _, word := range words {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
					t.Errorf("%q is not on the page", word)
				}
			}
			checkMarkup(t, text)
		})
	}
}

// TestCommands holds which command shows what a page shows.
func TestCommands(t *testing.T) {
	t.Parallel()
	source := sample.New()
	sample.Fill(source, day, 60)
	hash := func(digit string) string { return strings.Repeat(digit, 64) }
	source.Put("ci/rejected/"+hash("a"), []byte("no callback"), day)
	source.Put("ci/rejected/"+hash("b"), []byte(`{"EventName":"TaskFinish","JobsDetail":[{"JobId":"j1","State":"Success"}]}`), day)
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`<code id="command">go run ./scripts/records ([^<]*)</code>`)
	for target, want := range map[string]string{
		"/records":                  "list --since 24h --limit 50",
		"/records?limit=5&kind=job": "list --kind job --since 24h --limit 5",
		"/records?limit=5&after=" + url.QueryEscape(day.Format(time.RFC3339)+",x"): "",
		"/failures":              "list --state Failed --since 24h --limit 0",
		"/rejected/" + hash("a"): "rejected",
		"/rejected/" + hash("b"): "replay --dry-run " + hash("b"),
	} {
		w := get(t, b, target)
		got := ""
		if m := shown.FindStringSubmatch(w.Body.String()); m != nil {
			got = m[1]
		}
		if w.Code != http.StatusOK || got != want {
			t.Errorf("%s: status %d, command %q, not %q", target, w.Code, got, want)
		}
	}
}

// TestZones holds that the zone which was chosen is in the list once.
func TestZones(t *testing.T) {
	t.Parallel()
	b := newSample(t, 1, nil)
	for _, zone := range []string{"Asia/Shanghai", "Africa/Cairo"} {
		text := get(t, b, "/?tz="+zone).Body.String()
		if strings.Count(text, ">"+zone+"</option>") != 1 || !strings.Contains(text, "<option selected>"+zone+"<") {
			t.Errorf("%s is not in the list once", zone)
		}
	}
}

// checkMarkup looks for what the content policy would refuse, and for what a reader who
// is read to would miss.
func checkMarkup(t *testing.T, text string) {
	t.Helper()
	for _, pattern := range []string{`<script>`, ` style=`, ` on[a-z]+=`, `<style`, `https?://[^1"]`, `<no value>`, `%!`} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("there is %q on the page", found)
		}
	}
	if n := strings.Count(text, "<h1"); n != 1 {
		t.Errorf("%d first headings", n)
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if ids[m[1]] {
			t.Errorf("the id %q is on the page twice", m[1])
		}
		ids[m[1]] = true
	}
	names := map[string]bool{} // of the regions that a reader can jump to
	for _, m := range regexp.MustCompile(`role="region"[^>]* aria-label="([^"]+)"|<section[^>]*><h2 id="[^"]+">([^<]+)</h2>`).FindAllStringSubmatch(text, -1) {
		name := m[1] + m[2]
		if names[name] {
			t.Errorf("two regions have the name %q", name)
		}
		names[name] = true
	}
	if strings.Contains(text, `role="region" tabindex="0" aria-labelledby`) {
		t.Error("a region has the name of the section around it")
	}
	for _, m := range regexp.MustCompile(`<(?:input|select)[^>]* id="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(text, `for="`+m[1]+`"`) {
			t.Errorf("the field %q has no label", m[1])
		}
	}
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	b := newSample(t, 10, nil)
	tests := map[string]int{
		"/nowhere":                                404,
		"/jobs/j404":                              404,
		"/jobs/..%2f..%2fetc":                     404,
		"/jobs/j404.json":                         404,
		"/rejected/..":                            404,
		"/rejected/abc":                           404,
		"/rejected/abc/body":                      404,
		"/records?since=yesterday":                400,
		"/?since=yesterday":                       400,
		"/?until=garbage":                         400,
		"/failures?until=garbage":                 400,
		"/records?kind=task":                      400,
		"/records?verdict=bogus":                  400,
		"/records?limit=100000":                   400,
		"/records?after=x":                        400,
		"/?tz=Mars/Olympus":                       400,
		"/?tz=../../etc/passwd":                   400,
		"/records?q=" + strings.Repeat("x", 5000): 414,
		"/submit":                                 404,
		"/tasks/none":                             404,
		"/jobs/" + sample.Broken + "/retag":       403,
		"/reconciliation/run":                     403,
	}
	for target, want := range tests {
		if got := get(t, b, target).Code; got != want && !(want == 404 && got == http.StatusTemporaryRedirect) {
			t.Errorf("%.60s: %d, not %d", target, got, want)
		}
	}
}

// TestBucketDoesNotAnswer shows what a reader sees where COS is out of reach.
func TestBucketDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := newBoard(t, broken{}, nil)
	if err := b.Read(t.Context()); err == nil {
		t.Fatal("no error")
	}
	w := get(t, b, "/jobs/j1")
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "COS is on fire") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// TestNotListed holds that a board that could not list the bucket yet does not look as if
// there were nothing in it.
func TestNotListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, broken{}, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		check := func(when, word string) {
			t.Helper()
			for _, target := range []string{"/", "/records", "/failures", "/rejected", "/reconciliation"} {
				text := get(t, b, target).Body.String()
				for _, word := range []string{"<h1>The records have not been listed yet</h1>", `data-live="2"`, word} {
					if !strings.Contains(text, word) {
						t.Errorf("%s, %s: the page does not say %q:\n%s", target, when, word, text)
					}
				}
				if strings.Contains(text, "known before") {
					t.Errorf("%s, %s: the page claims to show something", target, when)
				}
			}
			for _, target := range []string{"/records.json", "/records.csv"} {
				if w := get(t, b, target); w.Code != http.StatusServiceUnavailable {
					t.Errorf("%s, %s: status %d", target, when, w.Code)
				}
			}
		}
		check("before the first listing", "Listing the records: 0 so far")
		go func() { ended <- b.Serve(ctx, newFakeListener()) }()
		synctest.Wait()
		check("after it failed", "COS is on fire")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// broken is a bucket that does not answer.
type broken struct{}

var errFire = errors.New("COS is on fire")

func (broken) List(context.Context, string, string) ([]catalog.Entry, string, error) {
	return nil, "", errFire
}
func (broken) Read(context.Context, string, func(catalog.Object) error) error { return errFire }

// gone lists what nobody can read any more.
type gone struct{ *sample.Source }

func (gone) Read(context.Context, string, func(catalog.Object) error) error {
	return catalog.ErrNotFound
}

// TestGone shows bodies that were taken away after they were listed.
func TestGone(t *testing.T) {
	t.Parallel()
	source := sample.New()
	sample.Fill(source, day, 1)
	b := newBoard(t, gone{source}, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := get(t, b, "/rejected")
	if n := strings.Count(w.Body.String(), "it has been taken away since"); w.Code != http.StatusOK || n != 3 {
		t.Errorf("status %d, %d of 3 bodies", w.Code, n)
	}
}

// TestReads holds how many records a page reads while somebody waits, among thousands, at
// full size 10,000, of which none was read in the background.
func TestReads(t *testing.T) {
	t.Parallel()
	source := sample.New()
	n, notRead := testsize.Pick(2000, 10_000), testsize.Pick("0 of 2,002 read so far", "0 of 10,002 read so far")
	sample.Fill(source, day, n)
	tests := map[string]int{
		"/": 0, "/records": 50, "/records?state=Cancel": 50, "/records?limit=200": 50, "/failures": 0,
		"/jobs/" + sample.Broken: 1, "/jobs/" + sample.Replaced: 2, "/rejected": 3, "/reconciliation": 0,
	}
	for target, want := range tests {
		b := newBoard(t, source, nil)
		if err := b.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		reads, lists := source.Reads, source.Lists
		w := get(t, b, target)
		if got := source.Reads - reads; got != want {
			t.Errorf("%s: %d reads, not %d", target, got, want)
		}
		if got := source.Lists - lists; got > 1 {
			t.Errorf("%s: %d listings", target, got)
		}
		if target == "/" && !strings.Contains(w.Body.String(), notRead) {
			t.Errorf("the overview does not say that nothing was read yet")
		}
	}
}

// TestLookFurther follows the links of a filter that hardly anything matches, until the
// one record that does is found.
func TestLookFurther(t *testing.T) {
	t.Parallel()
	source := sample.New()
	for i := range 170 {
		state := "Success"
		if i == 160 {
			state = "Cancel"
		}
		body := fmt.Sprintf(`{"version":2,"kind":"job","id":"j%d","state":%q,"detail":{"JobId":"j%d"}}`, i, state, i)
		source.Put(fmt.Sprintf("ci/jobs/j%d.json", i), []byte(body), day.Add(-time.Duration(i)*time.Minute))
	}
	b := newBoard(t, source, nil)
	if err := b.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	target := "/records?state=Cancel"
	for range 5 {
		text := get(t, b, target).Body.String()
		if strings.Contains(text, `href="/jobs/j160"`) {
			return
		}
		next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(text)
		if next == nil {
			t.Fatalf("nothing leads on from %s", target)
		}
		target = strings.ReplaceAll(next[1], "&amp;", "&")
	}
	t.Error("the record was not found in five pages")
}

// TestNextPages goes through all records by the Next links, while newer ones come.
func TestNextPages(t *testing.T) {
	t.Parallel()
	source := sample.New()
	put := func(name string, at time.Time) {
		body := fmt.Sprintf(`{"version":2,"kind":"job","id":%q,"state":"Success","detail":{}}`, name)
		source.Put("ci/jobs/"+name+".json", []byte(body), at)
	}
	for i := range 95 { // three of each second
		put(fmt.Sprintf("j%02d", i), day.Add(-time.Duration(i/3)*time.Second))
	}
	b := newBoard(t, source, nil)
	seen := map[string]int{}
	target := "/records?limit=10"
	for n := 0; target != ""; n++ {
		if err := b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		text := get(t, b, target).Body.String()
		for _, m := range regexp.MustCompile(`href="/jobs/(j[0-9]+)"`).FindAllStringSubmatch(text, -1) {
			seen[m[1]]++
		}
		put(fmt.Sprintf("new%d", n), day.Add(time.Minute))
		target = ""
		if next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(text); next != nil {
			target = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	if len(seen) != 95 {
		t.Errorf("%d of 95 records were seen", len(seen))
	}
	if text := get(t, b, "/records?limit=200").Body.String(); strings.Contains(text, `rel="next"`) {
		t.Error("a page with all records leads to another")
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was seen %d times", id, n)
		}
	}
}

// refusing is a source that does not give some objects, or does not list at all.
type refusing struct {
	*sample.Source
	refuses func(key string) bool
	silent  atomic.Bool // each listing takes half a minute and fails
}

func (r *refusing) Read(ctx context.Context, key string, use func(catalog.Object) error) error {
	if r.refuses != nil && r.refuses(key) {
		return fmt.Errorf("get %s: %w: %w", key, cosclient.ErrMisconfigured, errFire)
	}
	return r.Source.Read(ctx, key, use)
}

func (r *refusing) List(ctx context.Context, prefix, marker string) ([]catalog.Entry, string, error) {
	if r.silent.Load() {
		time.Sleep(30 * time.Second)
		return nil, "", errFire
	}
	return r.Source.List(ctx, prefix, marker)
}

// TestOneRefused shows the records, and the other bodies, where COS does not give what a
// reconciliation said, or one body.
func TestOneRefused(t *testing.T) {
	t.Parallel()
	source := &refusing{Source: sample.New()}
	sample.Fill(source.Source, day, 5)
	body := ""
	source.refuses = func(key string) bool {
		return strings.Contains(key, "/reconcile/") || body != "" && strings.Contains(key, body)
	}
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); !errors.Is(err, errFire) {
		t.Errorf("of the state that is refused it says: %v", err)
	}
	if text := get(t, b, "/records").Body.String(); !strings.Contains(text, sample.Broken) {
		t.Error("the records are not listed")
	}
	body = firstRejected(t, b)
	if w := get(t, b, "/rejected"); w.Code != 200 || !strings.Contains(w.Body.String(), "it could not be read: ") || !strings.Contains(w.Body.String(), "3 bodies") {
		t.Errorf("rejected bodies, one of them refused: %d\n%s", w.Code, w.Body)
	}
}

// TestRefusedVersion shows a record whose only other version COS does not give, and says so.
func TestRefusedVersion(t *testing.T) {
	t.Parallel()
	source := &refusing{Source: sample.New()}
	record := []byte(`{"version":2,"kind":"job","id":"j1","state":"Success","detail":{}}`)
	source.Put("ci/jobs/j1.json", record, day)
	source.Put("ci/history/jobs/j1/"+strings.Repeat("0", 64)+".json", record, day)
	source.refuses = func(key string) bool { return strings.Contains(key, "/history/") }
	b := newBoard(t, source, nil)
	if w := get(t, b, "/jobs/j1"); w.Code != 200 || !strings.Contains(w.Body.String(), "1 version not read: ") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
}

// TestComesBack lists again soon after COS was out of reach, however long its tries took.
func TestComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &refusing{Source: sample.New()}
		sample.Fill(source.Source, time.Now(), 5)
		source.silent.Store(true)
		b := newBoard(t, source, func(o *board.Options) { o.Clock = time.Now })
		stop := serveIn(t, b)
		time.Sleep(40 * time.Second) // the first listing has failed
		source.silent.Store(false)
		time.Sleep(30 * time.Second)
		if text := get(t, b, "/records").Body.String(); !strings.Contains(text, sample.Broken) {
			t.Errorf("the records are not listed:\n%s", text)
		}
		stop()
	})
}

// TestWithoutState says of records whose state cannot be read what they are, and leads to
// them from the overview.
func TestWithoutState(t *testing.T) {
	t.Parallel()
	source := sample.New()
	source.Put("ci/jobs/jlater.json", []byte(`{"version":3,"kind":"job","id":"jlater","state":{"a":1},"detail":{}}`), day)
	source.Put("ci/jobs/jnone.json", nil, day)
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for target, words := range map[string][]string{
		"/": {"<span>Later format</span>", "<span>Unreadable</span>"}, "/records": {"<span>Later format</span>", "<span>Unreadable</span>"},
		"/jobs/jlater": {"<bdi>Later format</bdi>"}, "/jobs/jnone": {"<bdi>Unreadable</bdi>", "It is empty."},
	} {
		text := get(t, b, target).Body.String()
		for _, word := range words {
			if !strings.Contains(text, word) || strings.Contains(text, "state=Unreadable") {
				t.Errorf("%s does not say %q, or leads to nothing:\n%s", target, word, text)
			}
		}
	}
}

// TestCommandKeepsTheZone holds that the printed command means the day that the page does.
func TestCommandKeepsTheZone(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, nil)
	for target, want := range map[string]string{
		"/records?until=2026-11-27&since=2026-11-20":                      "--since 2026-11-20 --until 2026-11-27 ",
		"/records?until=2026-11-27&since=7d&tz=America/Los_Angeles":       "--since 7d --until 2026-11-27T00:00:00-08:00 ",
		"/?since=2026-11-27&tz=Asia/Shanghai":                             "--since 2026-11-27T00:00:00+08:00",
		"/failures?since=all&until=2026-11-27T10:00:00Z&tz=Asia/Shanghai": "--until 2026-11-27T10:00:00Z ",
	} {
		if text := html.UnescapeString(get(t, b, target).Body.String()); !strings.Contains(text, want) {
			t.Errorf("%s does not print %q", target, want)
		}
	}
}

// TestKinds shows the records of one kind.
func TestKinds(t *testing.T) {
	t.Parallel()
	source := sample.New()
	for _, kind := range model.Kinds() {
		source.Put("ci/"+kind.Folder()+"/of_"+string(kind)+".json", []byte(`{"version":2,"kind":"`+string(kind)+`","id":"of_`+string(kind)+`","state":"Success","detail":{}}`), day)
	}
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range model.Kinds() {
		text := get(t, b, "/records?kind="+string(kind)).Body.String()
		for _, other := range model.Kinds() {
			if got := strings.Contains(text, "/of_"+string(other)+`"`); got != (other == kind) {
				t.Errorf("of kind %s: the page shows a %s: %t", kind, other, got)
			}
		}
	}
}

// TestUnchanged holds that a page that did not change has no body, and that one that did
// has another ETag.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	source := sample.New()
	sample.Fill(source, day, 50)
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := get(t, b, "/").Header().Get("ETag")
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host = "localhost:9090"
		r.Header.Set("If-None-Match", first)
		w := httptest.NewRecorder()
		b.Handler(port).ServeHTTP(w, r)
		return w
	}
	if w := ask(); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("unchanged: %d, %d bytes", w.Code, w.Body.Len())
	}
	source.Put("ci/jobs/jnew.json", []byte(`{"version":2,"kind":"job","id":"jnew","state":"Failed","detail":{}}`), day)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := ask(); w.Code != http.StatusOK {
		t.Errorf("changed: %d", w.Code)
	}
}

// TestLivePageSaysItsVersion holds that a page that is not finished names the ETag that it
// came with, so that its script sees a change that came before it first asked.
func TestLivePageSaysItsVersion(t *testing.T) {
	t.Parallel()
	b := newBoard(t, sample.New(), nil)
	w := get(t, b, "/")
	version, _ := strings.CutPrefix(strings.Trim(w.Header().Get("ETag"), `"`), `W/"`)
	if want := fmt.Sprintf(`data-version="%s"`, version); version == "" || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s is not in the page:\n%.800s", want, w.Body)
	}
}

// TestCache holds that what was read once is not read again, until it is written again.
func TestCache(t *testing.T) {
	t.Parallel()
	source := sample.New()
	sample.Fill(source, day, 100)
	b := newBoard(t, source, nil)
	read := func() int {
		before := source.Reads
		if err := b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		return source.Reads - before - 1 // the state of the reconciliation is read each time
	}
	if n := read(); n != 102 {
		t.Errorf("%d reads at first, not 102", n)
	}
	if n := read(); n != 0 {
		t.Errorf("%d reads the second time", n)
	}
	source.Put("ci/jobs/"+sample.Broken+".json", []byte(`{"version":2,"kind":"job","id":"x","state":"Success","detail":{}}`), day)
	if n := read(); n != 1 {
		t.Errorf("%d reads after one was written", n)
	}
}

// TestFills reads thousands of records, at full size 10,000, in the background from a
// bucket that takes 20 ms for each request, and notices one that comes later.
func TestFills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := sample.New()
		n, limit := testsize.Pick(2000, 10_000), testsize.Pick(time.Second, 5*time.Second)
		read := testsize.Pick("2,002 records", "10,002 records")
		sample.Fill(source, time.Now(), n)
		source.Delay = 20 * time.Millisecond
		b := newBoard(t, source, func(o *board.Options) { o.Clock = time.Now })
		ctx, stop := context.WithCancel(t.Context())
		listener := newFakeListener()
		ended := make(chan error, 1)
		go func() { ended <- b.Serve(ctx, listener) }()
		time.Sleep(limit)
		if text := get(t, b, "/").Body.String(); strings.Contains(text, "read so far") || !strings.Contains(text, read) {
			t.Errorf("%d records are not read after %s", n, limit)
		}
		body := `{"version":2,"kind":"job","id":"jnew","state":"Failed","detail":{}}`
		source.Put("ci/jobs/jnew.json", []byte(body), time.Now())
		time.Sleep(time.Minute)
		if text := get(t, b, "/records").Body.String(); !strings.Contains(text, `href="/jobs/jnew"`) {
			t.Error("a record that came later is not shown after a minute")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestFillsTheNewest holds that of a bucket with more records than are kept in memory, the
// newest are read in the background, and are not read again.
func TestFillsTheNewest(t *testing.T) {
	t.Parallel()
	const kept, older = 20_000, 5
	source := sample.New()
	for i := range kept + older {
		body := fmt.Sprintf(`{"version":2,"kind":"job","id":"j%d","state":"Success","detail":{}}`, i)
		source.Put(fmt.Sprintf("ci/jobs/j%d.json", i), []byte(body), day.Add(-time.Duration(i)*time.Second))
	}
	b := newBoard(t, source, nil)
	for range 2 {
		if err := b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if source.Reads != kept {
		t.Errorf("%d reads, not %d", source.Reads, kept)
	}
	before := source.Reads
	if text := get(t, b, "/records?limit=1").Body.String(); !strings.Contains(text, `href="/jobs/j0"`) || source.Reads != before {
		t.Errorf("%d more reads for the newest record", source.Reads-before)
	}
}

// TestBehind holds that the lists show a record soon once its own page was seen, or
// something was done, however long the rest between two listings is, and that they load
// themselves again until then.
func TestBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := sample.New()
		source.Delay = 20 * time.Millisecond // a listing takes 60 ms, that of the jobs first
		put := func(id string) {
			source.Put("ci/jobs/"+id+".json", []byte(`{"version":2,"kind":"job","id":"`+id+`","state":"Failed","detail":{}}`), time.Now())
		}
		b := newBoard(t, source, func(o *board.Options) {
			o.Clock, o.Refresh, o.Mender = time.Now, time.Hour, &mender{}
			o.Submit = &board.SubmitForm{Submit: func(context.Context, board.Submission) (string, error) {
				put("jsubmitted")
				return "jsubmitted", nil
			}}
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Serve(ctx, newFakeListener()) }()
		check := func(when, id string, isListed, isLive bool) {
			t.Helper()
			text := get(t, b, "/records").Body.String()
			if got := strings.Contains(text, `href="/jobs/`+id+`"`); got != isListed {
				t.Errorf("%s: %s is listed: %v", when, id, got)
			}
			if got := strings.Contains(text, `data-live="2"`); got != isLive {
				t.Errorf("%s: the list loads itself again: %v", when, got)
			}
		}
		time.Sleep(time.Second)
		for _, id := range []string{"jone", "jtwo"} {
			put(id)
			check("before anybody saw it", id, false, false)
			get(t, b, "/jobs/"+id)
			check("its page was seen", id, false, true)
			time.Sleep(time.Second)
			check("a second later", id, true, false)
			get(t, b, "/jobs/"+id)
			check("its page was seen again", id, true, false)
		}

		put("jthree")
		get(t, b, "/jobs/jthree")
		time.Sleep(30 * time.Millisecond)
		if w := post(t, b, "/submit", url.Values{"token": {b.Token()}}, nil); w.Code != http.StatusSeeOther {
			t.Fatalf("submit: %d", w.Code)
		}
		time.Sleep(40 * time.Millisecond)
		check("a listing ended that was behind the jobs when one was submitted", "jsubmitted", false, true)
		time.Sleep(time.Second)
		check("a second after the job was submitted", "jsubmitted", true, false)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// fakeListener is a loopback listener to which nobody connects, for a bubble.
type fakeListener struct{ closed chan struct{} }

func newFakeListener() *fakeListener { return &fakeListener{make(chan struct{})} }

func (l *fakeListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l *fakeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

func TestFiles(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, nil)
	history := regexp.MustCompile(`href="(/history/[^"]+)"`).FindStringSubmatch(get(t, b, "/jobs/"+sample.Replaced).Body.String())
	if history == nil {
		t.Fatal("no link to a version")
	}
	hash := regexp.MustCompile(`href="/rejected/([0-9a-f]{64})`).FindStringSubmatch(get(t, b, "/rejected").Body.String())
	for _, target := range []string{"/jobs/" + sample.Broken + ".json", history[1], "/rejected/" + hash[1] + "/body"} {
		w := get(t, b, target)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %d, %v", target, w.Code, w.Header())
		}
	}
	if w := get(t, b, "/records.json?state=Failed"); w.Code != 200 || !strings.Contains(w.Body.String(), `"id": "`+sample.Broken) {
		t.Errorf("JSON: %d, %s", w.Code, w.Body)
	}
	if w := get(t, b, "/records.csv?limit=2"); strings.Count(w.Body.String(), "\n") != 3 {
		t.Errorf("CSV: %s", w.Body)
	}
}

// TestOddNames opens records whose ids have every kind of character that one can have in a
// key.
func TestOddNames(t *testing.T) {
	t.Parallel()
	source := sample.New()
	for _, id := range []string{"A", "Z", "a", "z", "0", "9", "_", "-", "AZaz09_-"} {
		source.Put("ci/jobs/"+id+".json", []byte(`{"version":2,"kind":"job","id":"`+id+`","state":"Success","detail":{}}`), day)
	}
	source.Put("ci/reviews/a~2B~2F~3D.json", []byte(`{"version":2,"kind":"review","id":"a+/=","state":"Success","detail":{}}`), day)
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`<a class="id" href="([^"]+)"`).FindAllStringSubmatch(get(t, b, "/records").Body.String(), -1)
	if len(links) != 10 {
		t.Errorf("%d links, not 10: %q", len(links), links)
	}
	for _, link := range links {
		if w := get(t, b, link[1]); w.Code != 200 {
			t.Errorf("%s: %d", link[1], w.Code)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, nil)
	tests := map[string]string{
		sample.Broken:        "/jobs/" + sample.Broken,
		"2026/11/broken":     "/records?input=2026%2F11%2Fbroken&since=all",
		"":                   "/records",
		"  " + sample.Broken: "/jobs/" + sample.Broken,
	}
	for text, want := range tests {
		w := get(t, b, "/find?q="+url.QueryEscape(text))
		if diff := cmp.Diff(want, w.Header().Get("Location")); diff != "" || w.Code != http.StatusSeeOther {
			t.Errorf("%q: %d, -want +got:\n%s", text, w.Code, diff)
		}
	}
}

// TestFindWithoutCOS does not take a bucket that does not answer for one without the record.
func TestFindWithoutCOS(t *testing.T) {
	t.Parallel()
	w := get(t, newBoard(t, broken{}, nil), "/find?q=j1")
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "COS is on fire") {
		t.Errorf("%d, to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
}

// TestOddPrefix has records below a prefix that does not end with a slash, and one that
// says of itself that it is of another kind. All links stay on the board.
func TestOddPrefix(t *testing.T) {
	t.Parallel()
	source := sample.New()
	for _, id := range []string{"jf1", "jf2"} {
		kind := map[string]string{"jf1": "job", "jf2": "elsewhere"}[id]
		source.Put("xjobs/"+id+".json", []byte(`{"version":2,"kind":"`+kind+`","id":"`+id+`","state":"Success"}`), day)
	}
	b := newBoard(t, source, func(o *board.Options) { o.Catalog = catalog.New(source, "x") })
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := get(t, b, "/records?kind=job&since=all").Body.String()
	for _, id := range []string{"jf1", "jf2"} {
		if !strings.Contains(list, `href="/jobs/`+id) {
			t.Errorf("no link to %s on the page", id)
		}
		if to := get(t, b, "/find?q="+id).Header().Get("Location"); to != "/jobs/"+id {
			t.Errorf("%s is found at %q", id, to)
		}
	}
	if strings.Contains(list, `href="//`) {
		t.Error("a link leads to another host")
	}
}

// TestCommandOfRecord prints a command that shows this record, and no other.
func TestCommandOfRecord(t *testing.T) {
	t.Parallel()
	source := sample.New()
	for path, kind := range map[string]string{"jobs/-abc": "job", "reviews/j1": "review"} {
		_, id, _ := strings.Cut(path, "/")
		source.Put("ci/"+path+".json", []byte(`{"version":2,"kind":"`+kind+`","id":"`+id+`","state":"Success","detail":{}}`), day)
	}
	b := newBoard(t, source, func(o *board.Options) { o.Mender = &mender{} })
	for target, want := range map[string]string{
		"/jobs/-abc": "records show -- -abc<", "/reviews/j1": "records show --kind review j1<", "/jobs/-abc/retag": "records retag -- -abc<",
	} {
		if text := get(t, b, target).Body.String(); !strings.Contains(text, want) {
			t.Errorf("%s does not print %q", target, want)
		}
	}
}

// TestEmpty shows what a reader sees before there is anything.
func TestEmpty(t *testing.T) {
	t.Parallel()
	b := newBoard(t, sample.New(), nil)
	if text := get(t, b, "/").Body.String(); !strings.Contains(text, "Listing the records") {
		t.Error("before the first listing: the page does not say that it is under way")
	}
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/records"} {
		if text := get(t, b, target).Body.String(); !strings.Contains(text, "Nothing has been stored under ci/ yet") || !strings.Contains(text, "scripts/doctor") {
			t.Errorf("%s does not say what to do", target)
		}
	}
	for target, words := range map[string]string{"/failures": "Nothing failed", "/rejected": "All that was posted was understood", "/reconciliation": "RECONCILE_BUCKETS"} {
		if text := get(t, b, target).Body.String(); !strings.Contains(text, words) {
			t.Errorf("%s does not say %q", target, words)
		}
	}
}

// TestEmptyWindow shows a day of which there are no records in a bucket that has some.
func TestEmptyWindow(t *testing.T) {
	t.Parallel()
	source := sample.New()
	sample.Fill(source, day.Add(-48*time.Hour), 5)
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := get(t, b, "/").Body.String(); !strings.Contains(text, "No records in this window.") || strings.Contains(text, "Most in one hour") {
		t.Errorf("the chart of hours does not say that it is empty:\n%s", text)
	}
}

// TestWindow holds that every page of a window shows what is in it: of three days with a
// failed job, a mended record and a rejected body each, the one in the middle.
func TestWindow(t *testing.T) {
	t.Parallel()
	source := sample.New()
	for i := range 3 {
		at := day.Add(-time.Duration(i)*24*time.Hour - time.Hour)
		source.Put(fmt.Sprintf("ci/jobs/j%d.json", i), fmt.Appendf(nil, `{"version":2,"kind":"job","id":"j%d","state":"Failed","code":"Code%d","detail":{}}`, i, i), at)
		source.Put(fmt.Sprintf("ci/jobs/q%d.json", i), fmt.Appendf(nil, `{"version":2,"kind":"job","id":"q%d","source":"query","state":"Success","detail":{}}`, i), at)
		source.Put("ci/rejected/"+strings.Repeat(strconv.Itoa(i), 64), []byte("?"), at)
	}
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	tile := regexp.MustCompile(`<span>([A-Za-z ]+)</span></span><span class="figure">(\d+)</span></a></li>`)
	for query, want := range map[string]map[string]string{
		"?since=48h&until=24h":        {"Failed": "1", "Success": "1", "Mended": "1", "Rejected bodies": "1"},
		"?until=2026-11-26&since=all": {"Failed": "1", "Success": "1", "Mended": "1", "Rejected bodies": "1"},
		"?since=all":                  {"Failed": "3", "Success": "3", "Mended": "3", "Rejected bodies": "3"},
		"?since=10m":                  {"Failed": "0", "Success": "0", "Rejected bodies": "0"},
	} {
		text := get(t, b, "/"+query).Body.String()
		got := map[string]string{}
		for _, m := range tile.FindAllStringSubmatch(text, -1) {
			got[m[1]] = m[2]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, the tiles (-want +got):\n%s", query, diff)
		}
	}
	for _, target := range []string{"/?since=48h&until=24h", "/failures?since=48h&until=24h"} {
		text := get(t, b, target).Body.String()
		if !strings.Contains(text, "Code1") || strings.Contains(text, "Code0") || strings.Contains(text, "Code2") {
			t.Errorf("%s shows not just what is in the window:\n%s", target, text)
		}
		for _, word := range []string{`href="/records?code=Code1&amp;since=48h&amp;state=Failed&amp;until=24h"`, "--since 48h --until 24h", "in the last 48h, more than 24h ago"} {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q is not on the page", target, word)
			}
		}
	}
	for target, words := range map[string]string{
		"/?since=all": "3 jobs failed so far", "/?since=2026-11-20": "3 jobs failed since 2026-11-20", "/?since=all&until=2026-11-26": "1 job failed before 2026-11-26",
		"/records?since=all&type=x": "Nothing so far is as asked for.", "/failures?since=10m": "No failures in the last 10m",
	} {
		if text := get(t, b, target).Body.String(); !strings.Contains(text, words) {
			t.Errorf("%s does not say %q", target, words)
		}
	}
}

// TestManyYears draws a chart of more weeks than it is wide.
func TestManyYears(t *testing.T) {
	t.Parallel()
	b := newSample(t, 40, nil)
	text := get(t, b, "/?since=2010-01-01").Body.String()
	if wrong := regexp.MustCompile(`<rect[^>]* (?:width|height)="(?:-[^"]*|0\.0)"`).FindString(text); wrong != "" || !strings.Contains(text, `class="hit"`) {
		t.Errorf("a bar that cannot be drawn: %q", wrong)
	}
	_, plot, _ := strings.Cut(text, `class="plot hours-wide"`)
	plot, _, _ = strings.Cut(plot, "</svg>")
	if n := strings.Count(plot, "<text"); n > 20 {
		t.Errorf("%d texts stand in one another's way", n)
	}
}

func TestServeOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	listener := newFakeListener()
	b := newBoard(t, sample.New(), nil)
	err := b.Serve(t.Context(), elsewhere{listener})
	if err == nil || !strings.Contains(err.Error(), "loopback only") {
		t.Errorf("error %v", err)
	}
}

type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 168, 0, 1), Port: port} }

// mender notes what it was asked to do.
type mender struct{ done []string }

func (m *mender) PlanReplay(_ context.Context, key string) ([]string, bool, error) {
	return []string{"would receive " + key}, true, nil
}

func (m *mender) Replay(_ context.Context, key string, remove bool) ([]string, error) {
	m.done = append(m.done, fmt.Sprint("replay ", key, " ", remove))
	return []string{"job j1, Success: created"}, nil
}

func (m *mender) PlanRetag(_ context.Context, r *model.Record) ([]string, bool, error) {
	return []string{"would tag " + r.ID}, true, nil
}

func (m *mender) Retag(_ context.Context, r *model.Record) ([]string, error) {
	m.done = append(m.done, "retag "+r.ID)
	return []string{"tagged"}, nil
}

func (m *mender) Reconcile(_ context.Context, since time.Duration, progress func(string)) ([]string, error) {
	m.done = append(m.done, "reconcile "+since.String())
	return []string{"1 compared"}, nil
}

func (m *mender) PlanReconcile() ([]string, bool, error) { return []string{"would compare"}, true, nil }
