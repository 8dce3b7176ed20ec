package board_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
)

// TestHost asks by every name that a rebound page, or a mistaken one, could have.
func TestHost(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, nil)
	tests := map[string]int{
		"127.0.0.1:9090":              200,
		"localhost:9090":              200,
		"LOCALHOST:9090":              200,
		"[::1]:9090":                  200,
		"":                            421,
		"127.0.0.1":                   421,
		"127.0.0.1:9091":              421,
		"127.0.0.1:09090":             421,
		"127.0.0.1.example.com:9090":  421,
		"localhost.example.com:9090":  421,
		"localhost:9090.example.com":  421,
		"evil.example:9090":           421,
		"127.0.0.1@evil.example:9090": 421,
		"0.0.0.0:9090":                421,
		"127.0.0.2:9090":              421,
		"192.168.0.1:9090":            421,
	}
	for host, want := range tests {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		b.Handler(port).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, not %d", host, w.Code, want)
		}
		if want == 421 && strings.Contains(w.Body.String(), sample.RecordBucket) {
			t.Errorf("Host %q is told the bucket", host)
		}
	}
}

// TestForeignPost posts as pages of strangers could, and as the board's own.
func TestForeignPost(t *testing.T) {
	t.Parallel()
	m := &mender{}
	b := newSample(t, 5, func(o *board.Options) { o.Mender = m })
	hash := firstRejected(t, b)
	form := func() url.Values { return url.Values{"token": {b.Token()}, "remove": {"yes"}} }
	tests := map[string]struct {
		form   url.Values
		change func(*http.Request)
		want   int
	}{
		"own":                {form: form(), want: 303},
		"own_by_localhost":   {form: form(), change: func(r *http.Request) { r.Host = "localhost:9090"; r.Header.Set("Origin", "http://localhost:9090") }, want: 303},
		"foreign_origin":     {form: form(), change: func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, want: 403},
		"other_port":         {form: form(), change: func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8080") }, want: 403},
		"https_origin":       {form: form(), change: func(r *http.Request) { r.Header.Set("Origin", "https://127.0.0.1:9090") }, want: 403},
		"null_origin":        {form: form(), change: func(r *http.Request) { r.Header.Set("Origin", "null") }, want: 403},
		"no_origin":          {form: form(), change: func(r *http.Request) { r.Header.Del("Origin") }, want: 403},
		"cross_site":         {form: form(), change: func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, want: 403},
		"no_token":           {form: url.Values{}, want: 403},
		"wrong_token":        {form: url.Values{"token": {"x"}}, want: 403},
		"token_in_the_query": {form: url.Values{}, change: func(r *http.Request) { r.URL.RawQuery = "token=" + b.Token() }, want: 403},
		"rebound": {form: form(), change: func(r *http.Request) {
			r.Host = "evil.example:9090"
			r.Header.Set("Origin", "http://evil.example:9090")
		}, want: 421},
		"plain_text": {form: form(), change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, want: 403},
		"json":       {form: form(), change: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, want: 403},
		"huge":       {form: url.Values{"token": {b.Token()}, "x": {strings.Repeat("x", 1<<20)}}, want: 403},
	}
	for name, test := range tests {
		m.done = nil
		w := post(t, b, "/rejected/"+hash+"/replay", test.form, test.change)
		if w.Code != test.want {
			t.Errorf("%s: %d, not %d: %s", name, w.Code, test.want, w.Body)
		}
		if done := len(m.done) > 0; done != (test.want == 303) {
			t.Errorf("%s: done %v", name, m.done)
		}
	}
}

func firstRejected(t *testing.T, b *board.Board) string {
	t.Helper()
	m := regexp.MustCompile(`href="/rejected/([0-9a-f]{64})`).FindStringSubmatch(get(t, b, "/rejected").Body.String())
	if m == nil {
		t.Fatal("no rejected body")
	}
	return m[1]
}

// TestButtons presses each button, after the page that says what it will do.
func TestButtons(t *testing.T) {
	t.Parallel()
	m := &mender{}
	b := newSample(t, 5, func(o *board.Options) { o.Mender = m })
	hash := firstRejected(t, b)
	tests := []struct{ target, plan, done string }{
		{"/rejected/" + hash + "/replay", "would receive ci/rejected/" + hash, "replay ci/rejected/" + hash + " false"},
		{"/jobs/" + sample.Replaced + "/retag", "would tag " + sample.Replaced, "retag " + sample.Replaced},
	}
	for _, test := range tests {
		text := get(t, b, test.target).Body.String()
		if !strings.Contains(text, test.plan) || !strings.Contains(text, `value="`+b.Token()+`"`) {
			t.Errorf("%s does not say %q, or has no token", test.target, test.plan)
		}
		m.done = nil
		w := post(t, b, test.target, url.Values{"token": {b.Token()}}, nil)
		if diff := cmp.Diff([]string{test.done}, m.done); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.target, diff)
		}
		location := w.Header().Get("Location")
		if after := get(t, b, location).Body.String(); w.Code != 303 || !strings.Contains(after, `role="status"`) {
			t.Errorf("%s leads to %q, which does not say what was done", test.target, location)
		}
	}
}

// slowMender compares until it is let go on.
type slowMender struct {
	mender
	compared atomic.Int64
	goOn     chan struct{}
}

func (m *slowMender) Reconcile(_ context.Context, since time.Duration, progress func(string)) ([]string, error) {
	m.compared.Add(1)
	<-m.goOn
	return []string{"compared since " + since.String()}, nil
}

// serveIn serves a board in a bubble, as the background of its tasks needs it, until stop
// is called.
func serveIn(t *testing.T, b *board.Board) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, newFakeListener()) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestOneComparison presses the button many times at once: one comparison runs, all are
// led to it, and it is not forgotten while it runs, whatever else is done meanwhile.
func TestOneComparison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &slowMender{goOn: make(chan struct{})}
		b := newSample(t, 5, func(o *board.Options) { o.Mender = m })
		stop := serveIn(t, b)
		form := url.Values{"token": {b.Token()}}
		var locations sync.Map
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { locations.Store(post(t, b, "/reconciliation/run", form, nil).Header().Get("Location"), true) })
		}
		all.Wait()
		synctest.Wait()
		var led []string
		locations.Range(func(location, _ any) bool { led = append(led, location.(string)); return true })
		if len(led) != 1 || m.compared.Load() != 1 {
			t.Errorf("%d comparisons, and these pages: %q", m.compared.Load(), led)
		}
		for range 150 {
			post(t, b, "/jobs/"+sample.Replaced+"/retag", form, nil)
		}
		if w := get(t, b, led[0]); !strings.Contains(w.Body.String(), "is under way") {
			t.Errorf("the comparison that runs was forgotten: %d", w.Code)
		}
		close(m.goOn)
		synctest.Wait()
		if text := get(t, b, led[0]).Body.String(); !strings.Contains(text, "compared since 72h0m0s") {
			t.Errorf("its outcome is not there:\n%s", text)
		}
		stop()
	})
}

// TestForgetsTasks keeps the outcome of the last hundred tasks.
func TestForgetsTasks(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, func(o *board.Options) { o.Mender = &mender{} })
	var pages []string
	for range 110 {
		w := post(t, b, "/jobs/"+sample.Replaced+"/retag", url.Values{"token": {b.Token()}}, nil)
		_, id, _ := strings.Cut(w.Header().Get("Location"), "done=")
		pages = append(pages, "/tasks/"+id)
	}
	for i, page := range pages {
		want := http.StatusOK
		if i < 10 {
			want = http.StatusNotFound
		}
		if w := get(t, b, page); w.Code != want {
			t.Errorf("task %d: %d, not %d", i, w.Code, want)
		}
	}
}

// TestCompareSince holds which times the form for a comparison takes.
func TestCompareSince(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for since, want := range map[string]string{
			"": "72h0m0s", "90m": "1h30m0s", "7d": "168h0m0s", "2026-11-27": "19h12m0s", "2026-11-27T18:12:00Z": "1h0m0s",
			"all": "", "soon": "", "0s": "", "-1h": "", "2026-11-28": "", "91d": "", "0001-01-01": "",
		} {
			m := &mender{}
			b := newSample(t, 1, func(o *board.Options) { o.Mender = m })
			stop := serveIn(t, b)
			w := post(t, b, "/reconciliation/run", url.Values{"token": {b.Token()}, "since": {since}}, nil)
			synctest.Wait()
			if got := strings.Join(m.done, " "); (w.Code == http.StatusSeeOther) != (want != "") || strings.TrimPrefix(got, "reconcile ") != want {
				t.Errorf("since %q: status %d, %q", since, w.Code, got)
			}
			stop()
		}
	})
}

// TestSubmitDuration holds which durations the form for jobs takes.
func TestSubmitDuration(t *testing.T) {
	t.Parallel()
	var submitted []time.Duration
	b := newSample(t, 5, func(o *board.Options) {
		o.Submit = &board.SubmitForm{Types: []string{"Transcode"}, Submit: func(_ context.Context, s board.Submission) (string, error) {
			submitted = append(submitted, s.Duration)
			return "j1", nil
		}}
	})
	for duration, status := range map[string]int{"": 303, "0s": 303, "1h": 303, "-1ns": 400, "1h1ns": 400, "soon": 400} {
		submitted = nil
		w := post(t, b, "/submit", url.Values{"token": {b.Token()}, "type": {"Transcode"}, "duration": {duration}}, nil)
		if w.Code != status || len(submitted) == 1 != (status == 303) {
			t.Errorf("duration %q: status %d, want %d; submitted %v", duration, w.Code, status, submitted)
		}
	}
}

// TestOnlyShows holds that a board without a Mender has no buttons and takes no POST.
func TestOnlyShows(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, nil)
	hash := firstRejected(t, b)
	for _, target := range []string{"/rejected/" + hash, "/jobs/" + sample.Replaced, "/reconciliation"} {
		if text := get(t, b, target).Body.String(); strings.Contains(text, "replay\"") || strings.Contains(text, "retag\"") || strings.Contains(text, "reconciliation/run") {
			t.Errorf("%s has a button", target)
		}
	}
	for _, target := range []string{"/rejected/" + hash + "/replay", "/jobs/" + sample.Replaced + "/retag", "/reconciliation/run", "/submit"} {
		if w := post(t, b, target, url.Values{"token": {b.Token()}}, nil); w.Code != 403 && w.Code != 404 {
			t.Errorf("POST %s: %d", target, w.Code)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "DELETE", "/jobs/"+sample.Broken, nil)
	r.Host = "127.0.0.1:9090"
	w := httptest.NewRecorder()
	if b.Handler(port).ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", w.Code)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newSample(t, 5, nil)
	for _, target := range []string{"/", "/nowhere", "/records.json"} {
		h := get(t, b, target).Header()
		want := map[string]string{
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "same-origin", "Cache-Control": "private, no-cache",
		}
		for name, value := range want {
			if h.Get(name) != value {
				t.Errorf("%s: %s is %q, not %q", target, name, h.Get(name), value)
			}
		}
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: %q is not in the policy %q", target, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy lets in too much: %q", target, policy)
		}
	}
}

// hostile is text that would be markup, a script, an attribute or another line if it was
// not escaped.
const hostile = `</script></title></textarea><script>window.owned=1</script><img src=x onerror=window.owned=1>" onfocus="window.owned=1" autofocus x='javascript:window.owned=1//` + "\u202e\u2028"

// hostileSource is a bucket in which everything that a stranger can write is hostile. It
// comes with the pages that show it, of which some are hostile in their addresses.
func hostileSource(t testing.TB) (source *sample.Source, pages []string) {
	t.Helper()
	source = sample.New()
	record := map[string]any{
		"version": 2, "kind": "job", "id": "jhostile", "state": hostile, "verdict": hostile, "label": hostile, "event": hostile,
		"code": hostile, "message": hostile, "tag": hostile, "subTag": hostile, "queueId": hostile, "userData": hostile,
		"creationTime": "2026-11-27T18:00:00Z", "startTime": "2026-11-27T18:00:05Z", "endTime": "2026-11-27T18:00:09Z",
		"input":    map[string]any{"bucket": hostile, "region": hostile, "object": hostile, "url": "javascript:window.owned=1"},
		"outputs":  []any{map[string]any{"bucket": hostile, "region": hostile, "object": hostile, "md5": hostile}},
		"workflow": map[string]any{"runId": hostile, "workflowId": hostile, "workflowName": hostile, "name": hostile},
		"detail":   map[string]any{hostile: []any{hostile, map[string]any{hostile: hostile}}},
	}
	put := func(key, state string, minutes int) {
		record["state"] = state
		body, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		source.Put(key, body, day.Add(-time.Duration(minutes)*time.Minute))
	}
	put("ci/jobs/jhostile.json", "Failed", 3)
	old := hex.EncodeToString(make([]byte, 32))
	put("ci/history/jobs/jhostile/"+old+".json", hostile, 4)
	put("ci/jobs/jother.json", hostile, 5)
	source.Put("ci/jobs/jnot.json", []byte(hostile), day.Add(-time.Duration(6)*time.Minute))
	sum := sha256.Sum256([]byte(hostile))
	hash := hex.EncodeToString(sum[:])
	source.Put("ci/rejected/"+hash, []byte(hostile), day.Add(-time.Duration(7)*time.Minute))
	state, err := json.Marshal(map[string]any{
		"version": 1, "bucket": hostile, "region": hostile, "tags": map[string]any{hostile: map[string]any{"pending": []string{hostile}}},
		"last": map[string]any{"ended": "2026-11-27T18:00:00Z", "began": "2026-11-27T18:00:00Z", "findings": []any{
			map[string]any{"id": hostile, "type": hostile, "outcome": hostile, "state": hostile, "was": hostile}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	source.Put("ci/reconcile/media-1.json", state, day)
	query := url.QueryEscape(hostile)
	pages = []string{
		"/", "/records", "/records?state=" + query + "&type=" + query + "&input=" + query + "&code=" + query + "&verdict=" + query,
		"/records?since=" + query, "/jobs/jhostile", "/failures", "/rejected", "/rejected/" + hash, "/reconciliation",
		"/records?after=" + query, "/?since=" + query, "/?tz=" + query,
		"/jobs/jother", "/jobs/jnot", "/jobs/" + url.PathEscape(hostile), "/" + url.PathEscape(hostile), "/records.json",
	}
	return source, pages
}

// TestHostileText stores markup in every field of a record, in a rejected body and in the
// reconciliation's state, asks for it in every query, and finds none of it on a page.
func TestHostileText(t *testing.T) {
	t.Parallel()
	source, pages := hostileSource(t)
	b := newBoard(t, source, func(o *board.Options) { o.Mender = &mender{} })
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, target := range pages {
		w := get(t, b, target)
		text := w.Body.String()
		if w.Header().Get("Content-Type") == "application/json" {
			continue // not shown as a page, by nosniff
		}
		for _, never := range []string{"<script>window", "<img src=x", `" onfocus="`, "x='javascript", `href="javascript:`} {
			if strings.Contains(text, never) {
				t.Errorf("%.60s: %q is on the page", target, never)
			}
		}
		shown += strings.Count(text, "window.owned")
	}
	if shown < 20 {
		t.Errorf("the hostile text is on the pages %d times only: this test sees too little of it", shown)
	}
}

// TestSignedURL holds that the signature of an input's URL is in no table.
func TestSignedURL(t *testing.T) {
	t.Parallel()
	source := sample.New()
	body := fmt.Sprintf(`{"version":2,"kind":"review","id":"si1","state":"Success","input":{"url":%q},"detail":{}}`, "https://example.com/a.jpg?sign=secret")
	source.Put("ci/reviews/si1.json", []byte(body), day)
	b := newBoard(t, source, nil)
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := get(t, b, "/records").Body.String()
	if !strings.Contains(text, "example.com/a.jpg") || strings.Contains(text, "secret") {
		t.Error("the URL is not in the table, or is there with its query")
	}
}
