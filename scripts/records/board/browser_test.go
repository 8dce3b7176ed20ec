package board_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/internal/browser"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

// A tab is the browser's tab on the board of one test, and what went wrong in it.
type tab struct {
	t       *testing.T
	ctx     context.Context
	address string // of the board

	mu        sync.Mutex
	messages  []string
	elsewhere []string // requests that left for another place than the board
}

// TestInBrowser looks at the board in Chromium. To start one takes longer than any of the
// tests, so they use the same tab one after the other. Without a browser it is skipped.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	path := browser.Path()
	if path == "" {
		const none = "there is no Chromium: name it in CI_CALLBACK_BROWSER, or install it, to test the board in a browser"
		if os.Getenv("CI_CALLBACK_DEMAND_BROWSER") == "1" {
			t.Fatal(none)
		}
		t.Skip(none)
	}
	ctx, end := browser.Start(context.Background(), path)
	t.Cleanup(end)
	for _, test := range []struct {
		name string
		full bool // at full size alone
		run  func(*testing.T, context.Context)
	}{
		{"mouse", false, byMouse},
		{"keyboard", false, byKeyboard},
		{"no_script", true, withoutScript},
		{"hostile_text", true, hostileText},
		{"layout", true, layout},
	} {
		if test.full && !testsize.Full() {
			continue
		}
		t.Run(test.name, func(t *testing.T) { test.run(t, ctx) })
	}
}

// openTab shows the browser's tab a board until the test ends, with nothing left of the
// test before.
func openTab(t *testing.T, ctx context.Context, b *board.Board) *tab {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(serving, listener) }()
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank"), scripts(true), media(), chromedp.ResetViewport()); err != nil {
		t.Fatal(err)
	}
	ctx, limit := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(func() {
		limit()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	tab := &tab{t: t, ctx: ctx, address: "http://" + listener.Addr().String()}
	tab.watch()
	return tab
}

// watch notes what the console says, and what is asked of others.
func (tab *tab) watch() {
	tab.t.Helper()
	go func() {
		for message, err := range chromedp.Console(tab.ctx) {
			if err != nil {
				return
			}
			tab.mu.Lock()
			tab.messages = append(tab.messages, message.String())
			tab.mu.Unlock()
		}
	}()
	if _, err := chromedp.Call(tab.ctx, network.Enable, network.EnableParams{}); err != nil {
		tab.t.Fatal(err)
	}
	err := chromedp.Listen(tab.ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(sent.Request.URL, tab.address+"/") {
			tab.mu.Lock()
			tab.elsewhere = append(tab.elsewhere, sent.Request.URL)
			tab.mu.Unlock()
		}
	})
	if err != nil {
		tab.t.Fatal(err)
	}
}

// do takes steps, one after the other.
func (tab *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, steps...); err != nil {
		tab.t.Fatalf("%s: %v\n%s", what, err, tab.text())
	}
}

// open loads a page.
func (tab *tab) open(path string) {
	tab.t.Helper()
	tab.do("open "+path, chromedp.Navigate(tab.address+path))
}

// text returns what is to be read on the page.
func (tab *tab) text() string {
	text, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return text
}

// waitUntil waits until something is so of the page, which may be loaded again meanwhile.
func (tab *tab) waitUntil(what string, isSo func() bool) {
	tab.t.Helper()
	for range 300 {
		if isSo() {
			return
		}
		select {
		case <-tab.ctx.Done():
			tab.t.Fatalf("%s is not so:\n%s", what, tab.text())
		case <-time.After(50 * time.Millisecond):
		}
	}
	tab.t.Fatalf("%s is not so after 15 seconds:\n%s", what, tab.text())
}

// waitFor waits until words are on the page.
func (tab *tab) waitFor(words string) {
	tab.t.Helper()
	tab.waitUntil(fmt.Sprintf("%q on the page", words), func() bool { return strings.Contains(tab.text(), words) })
}

// waitForAddress waits until a page is there whose address holds some words. The page
// before it may hold the same text.
func (tab *tab) waitForAddress(words string) {
	tab.t.Helper()
	loaded := fmt.Sprintf(`document.readyState === "complete" && location.href.includes(%q)`, words)
	tab.waitUntil(fmt.Sprintf("%q in the address", words), func() bool {
		ok, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](loaded))
		return ok && err == nil
	})
}

// follow clicks on the link or the button with some words, as soon as it is there.
func (tab *tab) follow(words string) {
	tab.t.Helper()
	found := fmt.Sprintf(`(() => { const e = [...document.querySelectorAll("main a, main button, nav a")].find(e => e.innerText.trim() === %q); if (!e) return false; e.click(); return true; })()`, words)
	tab.waitUntil(fmt.Sprintf("a link or button %q", words), func() bool {
		ok, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](found))
		return ok && err == nil
	})
}

// checkQuiet fails where the console said anything, or a request left for elsewhere.
func (tab *tab) checkQuiet() {
	tab.t.Helper()
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, message := range tab.messages {
		tab.t.Errorf("the console says: %s", message)
	}
	for _, address := range tab.elsewhere {
		tab.t.Errorf("a request left for %s", address)
	}
}

const (
	recordBucket = "records-1250000000"
	mediaBucket  = "media-1250000000"
	region       = "ap-guangzhou"
)

// A localCI is a board's local CI and local COS.
type localCI struct {
	store *store.Store
	ci    *cilocal.Server
	ahead atomic.Int64 // how far the CI's clock is ahead of the real one
}

// wait lets a time pass for the jobs.
func (l *localCI) wait(d time.Duration) {
	l.ahead.Add(int64(d))
	l.ci.RunDue()
}

// newCOS returns a local COS with both buckets.
func newCOS(t *testing.T) *coslocal.Server {
	t.Helper()
	cos, err := coslocal.New(coslocal.Options{KeepRequests: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cos.Close() })
	for _, bucket := range []string{recordBucket, mediaBucket} {
		if err := cos.CreateBucket(bucket, region); err != nil {
			t.Fatal(err)
		}
	}
	return cos
}

// newLocalBoard returns a board of a local COS, with a form for jobs of a local CI that
// calls back.
func newLocalBoard(t *testing.T) (*board.Board, *localCI) {
	t.Helper()
	cos := newCOS(t)
	var receiver *receive.Receiver
	callbacks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := r.Body.Read(body); err != nil && r.ContentLength == 0 {
			t.Error(err)
		}
		if _, err := receiver.Callback(r.Context(), body); err != nil {
			t.Error(err)
		}
	})
	l := &localCI{}
	l.ci = cilocaltest.New(t, cilocal.Options{
		COS: cos, Transport: coslocal.HandlerTransport{Handler: callbacks},
		Clock: func() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) },
	}, mediaBucket)
	l.ci.SetCallback(mediaBucket, "http://function.localhost/", "JSON")
	keys := coslocal.DefaultCredential()
	o := store.Options{
		Credentials: cosclient.Credentials{SecretID: keys.SecretID, SecretKey: keys.SecretKey},
		Bucket:      recordBucket, Region: region, Prefix: "ci/", TagKey: "md5", AppID: "1250000000",
	}
	s, err := store.NewPool(l.ci.WithCOS()).Open(o)
	if err != nil {
		t.Fatal(err)
	}
	l.store = s
	receiver = &receive.Receiver{Store: s, TagMD5: true}
	client := ci.NewClient(ci.Options{Transport: l.ci.WithCOS(), Credentials: o.Credentials})
	b, err := board.New(board.Options{
		Catalog: catalog.New(catalog.FromStore(s), "ci/"), Bucket: recordBucket, Region: region, MD5TagKey: "md5",
		Look: board.LookWith(s), AskCI: board.AskWith(client, mediaBucket, region), Refresh: 200 * time.Millisecond,
		Mender: board.MendWith(mend.New(mend.Options{Store: s, StoreOptions: o, TagMD5: true, CI: client, Buckets: []reconcile.Bucket{{Name: mediaBucket, Region: region}}})),
		Submit: &board.SubmitForm{Types: []string{"Transcode"}, Inputs: []string{"in/demo.mov"}, Submit: func(_ context.Context, s board.Submission) (string, error) {
			plan := cilocal.Plan{Run: s.Duration}
			if s.Fail {
				plan.Code, plan.Message = "InvalidArgument", "the input has no video stream"
			}
			return l.ci.AddJob(mediaBucket, cilocal.Job{Tag: s.Type, Input: cilocal.Object{Key: s.Input}, Output: cilocal.Object{Key: "out/${JobId}.mp4"}}, plan)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, l
}

// byMouse does what a person does: submits a job, watches it end, finds it among the
// failed ones, opens it, and receives a rejected body again.
func byMouse(t *testing.T, ctx context.Context) {
	b, local := newLocalBoard(t)
	tab := openTab(t, ctx, b)

	tab.open("/")
	tab.waitFor("Nothing has been stored under ci/ yet")
	tab.follow("Submit a job")
	tab.waitFor("To the local Cloud Infinite")
	tab.do("fill in the form",
		chromedp.SetValue(chromedp.CSS("#end"), "fail"), chromedp.SetValue(chromedp.CSS("#duration"), "1m"),
	)
	tab.follow("Submit")
	tab.waitFor("There is no record of this job yet")
	local.wait(time.Minute)
	tab.waitFor("Why it failed") // the page was loaded again by itself
	tab.waitFor("the input has no video stream")

	tab.follow("Records")
	tab.waitFor("1 record in the last 24 hours")
	tab.follow("Failed")
	tab.waitForAddress("state=Failed")
	tab.waitFor("1 row")
	tab.do("open the failed job", chromedp.Evaluate[chromedp.Void](`document.querySelector("table.records th a").click()`))
	tab.waitFor("Why it failed")

	body := fmt.Sprintf(`{"EventName":"TaskFinish","JobsDetail":[{"JobId":"jreplayed","Tag":"Transcode","State":"Success","Input":{"BucketId":%q,"Region":%q,"Object":"in/b.mov"}}]}`, mediaBucket, region)
	key, err := local.store.PutRejected(t.Context(), []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	tab.waitUntil("the body in the board's list", func() bool {
		return strings.Contains(get(t, b, "/rejected").Body.String(), "understood now: 1 job")
	})
	tab.open("/rejected")
	tab.follow(catalog.ShortHash(key))
	tab.waitFor("jreplayed")
	tab.follow("Receive it again…")
	tab.waitFor("would be created")
	tab.do("take it away afterwards", chromedp.Click(chromedp.CSS("#remove")))
	tab.follow("Receive it again")
	tab.waitFor("job jreplayed, Success: created")
	if _, _, err := local.store.GetRecord(t.Context(), "job", "jreplayed"); err != nil {
		t.Error(err)
	}
	if _, err := local.store.GetObject(t.Context(), key); err == nil {
		t.Error("the body was not taken away")
	}
	tab.open("/reconciliation/run")
	tab.follow("Compare and mend")
	tab.waitFor("Reconciliation has ended")
	tab.checkQuiet()
}

// byKeyboard finds a record, and copies its id, without a mouse.
func byKeyboard(t *testing.T, ctx context.Context) {
	tab := openTab(t, ctx, newSample(t, 20, nil))
	tab.open("/")
	focused := func() string {
		text, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string]("(document.activeElement.innerText || document.activeElement.id || document.activeElement.className).trim()"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	tab.do("press Tab", chromedp.KeyEvent("\t"))
	if got := focused(); got != "Skip to the page" {
		t.Errorf("the first stop of Tab is %q", got)
	}
	tab.do("press /", chromedp.KeyEvent("/"))
	if got := focused(); got != "q" {
		t.Errorf("/ leads to %q, not to the search", got)
	}
	// Unlike a keyboard, the protocol types the character although the key was taken.
	tab.do("empty the search", chromedp.Evaluate[chromedp.Void](`document.getElementById("q").value = ""`))
	tab.do("search", chromedp.KeyEvent(sample.Broken+"\r"))
	tab.waitFor("Why it failed")
	tab.checkQuiet()
}

// withoutScript shows the pages to a browser that runs no script.
func withoutScript(t *testing.T, ctx context.Context) {
	b, local := newLocalBoard(t)
	tab := openTab(t, ctx, b)
	tab.do("run no script", scripts(false))
	tab.open("/submit")
	tab.do("submit", chromedp.SetValue(chromedp.CSS("#duration"), "1m"), chromedp.Click(chromedp.CSS("form.submit button")),
		chromedp.WaitReady(chromedp.CSS(".steps")))
	local.wait(time.Minute)
	tab.waitFor("Outputs, as they are now") // by the page's own refresh
	tab.checkQuiet()
}

// scripts lets the pages run their script, or keeps them from it.
func scripts(run bool) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (none chromedp.Void, err error) {
		_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
		return none, err
	}
}

// media has the pages drawn for what a reader prefers.
func media(features ...*emulation.MediaFeature) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, _ *chromedp.Target) (none chromedp.Void, err error) {
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return none, err
	}
}

// hostileText opens pages with markup in every field, and sees whether any of it runs, or
// is stopped by nothing but the policy: all that TestHostileText reads.
func hostileText(t *testing.T, ctx context.Context) {
	source, pages := hostileSource(t)
	b := newBoard(t, source, func(o *board.Options) { o.Mender = &mender{} })
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	tab := openTab(t, ctx, b)
	for _, target := range pages {
		tab.open(target)
		owned, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool]("window.owned !== undefined"))
		if err != nil || owned {
			t.Errorf("%.60s: owned %v, %v", target, owned, err)
		}
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, message := range tab.messages {
		if !strings.Contains(message, "the server responded with a status of 4") { // pages that say what is wrong with the address
			t.Errorf("the console says: %s", message)
		}
	}
}

// layout looks at each page at the width of a telephone and of a screen, in the light, in
// the dark and in colours that the system forces on it. Nothing may stick out of the page.
// It takes pictures, which -artifacts keeps.
func layout(t *testing.T, ctx context.Context) {
	source := sample.New()
	sample.Fill(source, day, 300)
	source.Put("ci/jobs/"+strings.Repeat("j0", 16)+".json", []byte(`{"version":2,"kind":"job","id":"`+strings.Repeat("j0", 16)+`","tag":"SpeechRecognition","state":"Failed",`+
		`"code":"ResourceDownloadFailedForReason","input":{"bucket":"media-1250000000","object":"`+strings.Repeat("2026/11/recording-", 8)+`"},"detail":{}}`), day)
	b := newBoard(t, source, func(o *board.Options) {
		o.Mender = &mender{}
		o.Submit = &board.SubmitForm{Types: []string{"Transcode"}}
		o.Look = func(_ context.Context, o model.Output) board.OutputNow {
			return board.OutputNow{Size: 18_437_120, LastModified: day, Tags: []board.Tag{{Key: "md5", Value: strings.Repeat("0", 32)}, {Key: "project", Value: "demo"}}}
		}
	})
	if err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	tab := openTab(t, ctx, b)
	pages := map[string]string{
		"overview": "/", "records": "/records", "none": "/records?state=Cancel", "broken": "/jobs/" + sample.Broken, "replaced": "/jobs/" + sample.Replaced,
		"failures": "/failures", "rejected": "/rejected", "reconciliation": "/reconciliation", "retag": "/jobs/" + sample.Replaced + "/retag", "submit": "/submit",
	}
	for name, target := range pages {
		tab.open(target)
		for theme, feature := range themes() {
			for _, width := range []int64{360, 1280} {
				tab.do("set the colours and the size", media(&feature), chromedp.EmulateViewport(width, 800))
				tab.checkLayout(fmt.Sprintf("%s-%d-%s", name, width, theme), width)
			}
		}
	}
	tab.checkQuiet()
}

// themes are the colours in which pages are looked at.
func themes() map[string]emulation.MediaFeature {
	return map[string]emulation.MediaFeature{
		"light":  {Name: "prefers-color-scheme", Value: "light"},
		"dark":   {Name: "prefers-color-scheme", Value: "dark"},
		"forced": {Name: "forced-colors", Value: "active"},
	}
}

// checkLayout looks whether a page fits, and takes a picture of it.
func (tab *tab) checkLayout(name string, width int64) {
	tab.t.Helper()
	wide, err := chromedp.Run(tab.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
	if err != nil || wide > width {
		tab.t.Errorf("%s is %d wide: %v", name, wide, err)
	}
	// What one presses has a side of 24 pixels, or stands in a line of text.
	small, err := chromedp.Run(tab.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("button, .button, nav a, .choices a, .tiles a, select, input:not([type=hidden]):not([type=checkbox])")]
		.filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 24).map(e => e.outerHTML.slice(0, 80))`))
	if err != nil || len(small) > 0 {
		tab.t.Errorf("%s has what is too small to press: %q, %v", name, small, err)
	}
	// No column is beyond the edge, but where a table compares, and what was shortened for a
	// wide table is not broken again.
	cut, err := chromedp.Run(tab.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".scroll")]
		.filter(e => e.scrollWidth > e.clientWidth && !e.closest("details") && !e.matches("[aria-label^=What], [aria-label^=Findings]")).map(e => e.ariaLabel + " " + e.scrollWidth + " " + e.clientWidth)`))
	if err != nil || len(cut) > 0 {
		tab.t.Errorf("%s has tables that are cut: %q, %v", name, cut, err)
	}
	broken, err := chromedp.Run(tab.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".records .input, .records .code")]
		.filter(e => e.textContent && innerWidth > 1200 && e.getBoundingClientRect().height > 44).map(e => e.textContent)`))
	if err != nil || len(broken) > 0 {
		tab.t.Errorf("%s breaks what was shortened: %q, %v", name, broken, err)
	}
	picture, err := chromedp.Run(tab.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tab.t.ArtifactDir(), name+".png"), picture, 0o644); err != nil {
		tab.t.Fatal(err)
	}
}
