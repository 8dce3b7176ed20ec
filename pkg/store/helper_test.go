package store_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	appID   = "1250000000"
	records = "records-" + appID
	media   = "media-" + appID
	region  = "ap-guangzhou"

	jobKey = "ci/jobs/j1.json"
	object = "out/1.mp4"
)

// world is a COS without sockets, and a pool that reaches it.
type world struct {
	*coslocal.Server
	wire *wire
	pool *store.Pool
}

func newWorld(t testing.TB, credentials ...coslocal.Credential) *world {
	t.Helper()
	server, err := coslocal.New(coslocal.Options{Credentials: credentials, KeepRequests: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{records, media} {
		if err := server.CreateBucket(bucket, ""); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{Server: server, wire: &wire{Server: server}}
	w.pool = store.NewPool(w.wire)
	return w
}

// options are those of an invocation that does not wait between tries.
func options() store.Options {
	c := coslocal.DefaultCredential()
	return store.Options{
		Credentials: cosclient.Credentials{SecretID: c.SecretID, SecretKey: c.SecretKey},
		Bucket:      records, Region: region, Prefix: "ci/",
		TagKey: "md5", AppID: appID,
		Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} },
	}
}

func (w *world) open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := w.pool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) put(t testing.TB, bucket, key string, o coslocal.Object) {
	t.Helper()
	if err := w.PutObject(bucket, key, o); err != nil {
		t.Fatal(err)
	}
}

// wantObject checks what is stored.
func (w *world) wantObject(t *testing.T, bucket, key string, want []byte) {
	t.Helper()
	o, _ := w.Object(bucket, key)
	if diff := cmp.Diff(string(want), string(o.Body)); diff != "" {
		t.Errorf("stored %s (-want +got):\n%s", key, diff)
	}
}

// wantKept checks that a version of the job is its record, or in its history under the
// hash of its bytes.
func (w *world) wantKept(t *testing.T, version []byte) {
	t.Helper()
	sum := sha256.Sum256(version)
	for _, key := range []string{jobKey, "ci/history/jobs/j1/" + hex.EncodeToString(sum[:]) + ".json"} {
		if o, ok := w.Object(records, key); ok && bytes.Equal(o.Body, version) {
			return
		}
	}
	t.Errorf("%.200s is neither the record nor in the history, which has %v", version, w.Keys(records, "ci/history/"))
}

// steps names the requests so far.
func (w *world) steps() []string {
	var steps []string
	for _, r := range w.Requests() {
		steps = append(steps, step(r))
	}
	return steps
}

func (w *world) wantSteps(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.steps()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// The requests that a store makes.
const (
	putNew  = "PUT create-only"
	archive = "PUT to history"
	put     = "PUT"
	get     = "GET"
	head    = "HEAD"
	getTags = "GET ?tagging"
	putTags = "PUT ?tagging"
)

// updating are the steps of replacing an older record.
var updating = []string{putNew, get, archive, archive, get, put, get}

func step(r coslocal.Request) string {
	switch {
	case r.Key == "":
		return r.Method + " on the bucket"
	case r.Query.Has("tagging"):
		return r.Method + " ?tagging"
	case strings.HasPrefix(r.Key, "ci/history/") && r.Method == http.MethodPut && r.Header.Get("x-cos-forbid-overwrite") == "true":
		return archive
	case r.Header.Get("x-cos-forbid-overwrite") == "true":
		return r.Method + " create-only"
	default:
		return r.Method
	}
}

// at matches the requests of a step, for a fault.
func at(name string) func(coslocal.Request) bool {
	return func(r coslocal.Request) bool { return step(r) == name }
}

// before does something just before COS carries out the n-th request of a step: what
// another instance does at that moment.
func (w *world) before(name string, n int64, do func()) {
	var seen atomic.Int64
	w.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
		if step(r) == name && seen.Add(1) == n {
			do()
		}
		return false
	}})
}

// wantSafe checks what must hold of any sequence of requests: an object or a tag set is
// never replaced twice without being read in between.
func (w *world) wantSafe(t *testing.T) {
	t.Helper()
	for _, replaced := range []struct{ by, read string }{{put, get}, {putTags, getTags}} {
		fresh := map[string]bool{}
		for _, r := range w.Requests() {
			switch step(r) {
			case replaced.read:
				fresh[r.Key] = true
			case replaced.by:
				if !fresh[r.Key] {
					t.Errorf("%s of %s without %s before it: %v", replaced.by, r.Key, replaced.read, w.steps())
				}
				fresh[r.Key] = false
			}
		}
	}
}

// wire is the COS without a socket, so that a synctest bubble can hold it, and remembers
// where requests went.
type wire struct {
	*coslocal.Server

	mu    sync.Mutex
	hosts []string
	paths []string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.hosts, w.paths = append(w.hosts, r.URL.Host), append(w.paths, r.URL.Path)
	w.mu.Unlock()
	return w.Server.RoundTrip(r)
}

// job is a record; note makes records differ that are of the same age.
func job(state, end, note string) *model.Record {
	return &model.Record{
		Version: model.Version, Kind: model.KindJob, ID: "j1", State: state, EndTime: end,
		Detail: json.RawMessage(`{"Note":"` + note + `"}`),
	}
}

// Three versions of a job, each newer than the one before.
func first() *model.Record  { return job("Running", "", "<first> & more") }
func second() *model.Record { return job("Success", "2026-11-20T10:00:00+08:00", "second") }
func third() *model.Record  { return job("Success", "2026-11-20T10:00:01+08:00", "third") }

// longest is as long as a record of a body of 6 MB can be.
func longest() *model.Record {
	r := third()
	r.Message = strings.Repeat(`"`, 13<<20)
	return r
}

func encode(t testing.TB, r *model.Record) []byte {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	content = []byte("the output of a job")
	ended   = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
)

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func output() model.Output {
	return model.Output{Object: model.Object{Bucket: media, Region: region, Key: object}, MD5: md5Of(content)}
}

// putOutput stores the output of a job.
func (w *world) putOutput(t testing.TB, tags ...coslocal.Tag) {
	t.Helper()
	w.put(t, media, object, coslocal.Object{Body: content, LastModified: ended, Tags: tags})
}

func (w *world) wantTags(t *testing.T, want ...coslocal.Tag) {
	t.Helper()
	o, _ := w.Object(media, object)
	if diff := cmp.Diff(want, slices.Clip(o.Tags), cmp.Transformer("empty", func(t []coslocal.Tag) []coslocal.Tag {
		return append([]coslocal.Tag{}, t...)
	})); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if tags := w.BucketTags(media); len(tags) > 0 {
		t.Errorf("tags of the bucket = %v", tags)
	}
}

var (
	mine   = coslocal.Tag{Key: "md5", Value: md5Of(content)}
	theirs = coslocal.Tag{Key: "owner", Value: "someone else"}
	others = coslocal.Tag{Key: "项目", Value: "a+b=c"}
)

func bigTags(n int) []coslocal.Tag {
	tags := make([]coslocal.Tag, n)
	for i := range tags {
		tags[i] = coslocal.Tag{Key: string(rune('a' + i)), Value: "v"}
	}
	return tags
}

// page is what a proxy answers.
var page = bytes.Repeat([]byte("<html><body>502</body></html>\n"), 3)

// counter counts how many there are of something, and how many there were at most.
type counter struct {
	mu        sync.Mutex
	now, most int
}

func (c *counter) add(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += change
	c.most = max(c.most, c.now)
}
