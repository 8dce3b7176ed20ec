package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/goleak"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// TestMain lets the heap, which is small, grow before it is collected: that would take a
// third of the time otherwise.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	goleak.VerifyTestMain(m)
}

const (
	records = "records-1250000000"
	media   = "media-1250000000"
	region  = "ap-guangzhou"
)

// A world is CI, COS and the network to them, in one synctest bubble.
type world struct {
	t   *testing.T
	cos *coslocal.Server
	ci  *cilocal.Server
	net *network
	log *logBuffer
}

// newWorld returns a world where CI answers as the options say.
func newWorld(t *testing.T, o cilocal.Options) *world {
	t.Helper()
	cos, err := coslocal.New(coslocal.Options{KeepRequests: -1})
	if err != nil {
		t.Fatal(err)
	}
	o.COS, o.KeepRequests = cos, -1
	w := &world{t: t, cos: cos, ci: cilocal.New(o), log: &logBuffer{}}
	w.net = &network{world: w}
	for _, bucket := range []string{records, media} {
		if err := errors.Join(cos.CreateBucket(bucket, region), w.ci.CreateBucket(bucket, region)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = errors.Join(w.ci.Close(), cos.Close()) })
	return w
}

// A network takes requests to COS and CI, counts them, and breaks what it is told to.
type network struct {
	world *world

	// delays are how long a request takes on its way.
	cosDelay, ciDelay time.Duration
	// meddle may answer a request itself: with a response or an error that is not nil.
	meddle func(*http.Request, func() (*http.Response, error)) (*http.Response, error)

	cosUnderWay, ciUnderWay atomic.Int64
	mu                      sync.Mutex
	mostCOS, mostCI         int64
	requests                []string // METHOD host path?query
}

// RoundTrip implements [http.RoundTripper].
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	underWay, most, delay := &n.cosUnderWay, &n.mostCOS, n.cosDelay
	if toCI(r) {
		underWay, most, delay = &n.ciUnderWay, &n.mostCI, n.ciDelay
	}
	now := underWay.Add(1)
	defer underWay.Add(-1)
	n.mu.Lock()
	*most = max(*most, now)
	n.requests = append(n.requests, r.Method+" "+r.URL.Host+" "+r.URL.Path+"?"+r.URL.RawQuery)
	n.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	do := func() (*http.Response, error) { return n.world.ci.WithCOS().RoundTrip(r) }
	if n.meddle == nil {
		return do()
	}
	return n.meddle(r, do)
}

func toCI(r *http.Request) bool { return strings.Contains(r.URL.Host, ".ci.") }

// since returns the requests after the first n.
func (n *network) since(first int) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.requests[first:]...)
}

func (n *network) count() int { return len(n.since(0)) }

// An answer that is not CI's, nor COS's.
func proxyPage(status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>sign in</html>")), ContentLength: -1}
}

// errorOf is an error that the service answers which the request is for.
func errorOf(r *http.Request, status int, code string) *http.Response {
	header := http.Header{"X-Cos-Request-Id": {"x"}}
	if toCI(r) {
		header = http.Header{"X-Ci-Request-Id": {"x"}}
	}
	body := "<Error><Code>" + code + "</Code></Error>"
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}
}

var errReset = syscall.ECONNRESET

// A logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns the lines so far, and forgets them.
func (l *logBuffer) lines() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil {
			lines = append(lines, fields)
		}
	}
	l.b.Reset()
	return lines
}

// An instance is a function's instance, which keeps connections.
type instance struct {
	w         *world
	transport http.RoundTripper
}

func (w *world) instance() *instance { return &instance{w, w.net} }

// evenBackoff returns the usual waits between tries, without what they leave to chance.
func evenBackoff() backoff.BackOff {
	return &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, Multiplier: 2, MaxInterval: 5 * time.Second}
}

// receiver returns a receiver of one invocation, which tags.
func (i *instance) receiver(slots chan struct{}) *receive.Receiver {
	i.w.t.Helper()
	c := coslocal.DefaultCredential()
	s, err := store.NewPool(i.transport).Open(store.Options{
		Credentials: cosclient.Credentials{SecretID: c.SecretID, SecretKey: c.SecretKey},
		Bucket:      records, Region: region, Prefix: "ci/", TagKey: "md5", AppID: "1250000000", Slots: slots, Backoff: evenBackoff,
	})
	if err != nil {
		i.w.t.Fatal(err)
	}
	return &receive.Receiver{Store: s, TagMD5: true}
}

// options are those of a run over the Transcode jobs of the media bucket.
func (i *instance) options() reconcile.Options {
	c := coslocal.DefaultCredential()
	r := i.receiver(make(chan struct{}, reconcile.MaxCOSRequests))
	return reconcile.Options{
		Buckets: []reconcile.Bucket{{Name: media, Region: region}},
		Types:   []string{"Transcode"},
		Since:   72 * time.Hour,
		CI: ci.NewClient(ci.Options{
			Transport: i.transport, Credentials: cosclient.Credentials{SecretID: c.SecretID, SecretKey: c.SecretKey}, Backoff: evenBackoff,
		}),
		Store: r.Store, Receiver: r,
		Log: slog.New(slog.NewJSONHandler(i.w.log, nil)),
	}
}

// run runs once, with a time limit of a minute.
func (w *world) run(change ...func(*reconcile.Options)) (reconcile.Result, error) {
	w.t.Helper()
	return w.runFor(time.Minute, change...)
}

// runFor runs once, within a time limit.
func (w *world) runFor(limit time.Duration, change ...func(*reconcile.Options)) (reconcile.Result, error) {
	w.t.Helper()
	o := w.instance().options()
	for _, c := range change {
		c(&o)
	}
	o.TimeLimit = limit
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	result, err := reconcile.Run(ctx, o)
	if ctx.Err() != nil {
		w.t.Errorf("the run did not end before its deadline")
	}
	return result, err
}

// mustRun runs once and expects these counts.
func (w *world) mustRun(want reconcile.Counts, change ...func(*reconcile.Options)) reconcile.Result {
	w.t.Helper()
	got, err := w.run(change...)
	if err != nil {
		w.t.Fatal(err)
	}
	if got.Counts != want || !got.Complete {
		w.t.Fatalf("%+v, want %+v", got, want)
	}
	return got
}

// add puts a Transcode job into CI that is called back at nobody.
func (w *world) add(id string, age time.Duration, plan cilocal.Plan, change ...func(*cilocal.Job)) {
	w.t.Helper()
	plan.Age, plan.Lost = age, true
	job := cilocal.Job{ID: id, Tag: "Transcode", Input: cilocal.Object{Key: "in/" + id}, Output: cilocal.Object{Key: "out/" + id + ".mp4"}}
	for _, c := range change {
		c(&job)
	}
	if _, err := w.ci.AddJob(media, job, plan); err != nil {
		w.t.Fatal(err)
	}
}

// callback lets the function receive the callback of a job, and reports whether it
// answers 200.
func (w *world) callback(id string) bool {
	w.t.Helper()
	body, err := w.ci.Callback(media, id, "JSON")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.receive(body)
}

// putCallback stores what the callback of a job says, without a request.
func (w *world) putCallback(id string) {
	w.t.Helper()
	body, err := w.ci.Callback(media, id, "JSON")
	if err != nil {
		w.t.Fatal(err)
	}
	decoded, err := model.Decode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	encoded, err := decoded.Records[0].Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(decoded.Records[0].Key("ci/"), string(encoded))
}

func (w *world) receive(body []byte) bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, err := w.instance().receiver(nil).Callback(ctx, body)
	return err == nil
}

// record returns the record of a job; nil where there is none.
func (w *world) record(id string) *model.Record {
	w.t.Helper()
	o, ok := w.cos.Object(records, "ci/jobs/"+id+".json")
	if !ok {
		return nil
	}
	r, err := model.ParseRecord(o.Body)
	if err != nil {
		w.t.Fatalf("record of %s: %v", id, err)
	}
	return r
}

// history returns the records in the history of a job.
func (w *world) history(id string) []*model.Record {
	w.t.Helper()
	var versions []*model.Record
	for _, key := range w.cos.Keys(records, model.HistoryPrefix("ci/", model.KindJob, id)) {
		o, _ := w.cos.Object(records, key)
		r, err := model.ParseRecord(o.Body)
		if err != nil {
			w.t.Fatalf("history of %s: %v", id, err)
		}
		versions = append(versions, r)
	}
	return versions
}

// state returns the state of the media bucket.
func (w *world) state() *reconcile.State {
	w.t.Helper()
	o, ok := w.cos.Object(records, reconcile.StateKey("ci/", media))
	if !ok {
		w.t.Fatal("there is no state")
	}
	s, err := reconcile.ParseState(o.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// put writes an object into the record bucket.
func (w *world) put(key, body string) {
	w.t.Helper()
	if err := w.cos.PutObject(records, key, coslocal.Object{Body: []byte(body), LastModified: time.Now()}); err != nil {
		w.t.Fatal(err)
	}
}

// messages returns what the warnings so far say, without those of the same text.
func (w *world) messages() []string {
	var all []string
	for _, line := range w.log.lines() {
		all = append(all, fmt.Sprint(line["msg"]))
	}
	return all
}
