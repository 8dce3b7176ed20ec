package store_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

func TestPutRecord(t *testing.T) {
	t.Parallel()
	other := second()
	other.ID = "j2"
	workflow := third()
	workflow.Kind = model.KindWorkflow
	stored := func(r *model.Record) []byte { return encode(t, r) }
	tests := []struct {
		name   string
		stored []byte // nil: nothing
		put    *model.Record
		want   store.Outcome
		after  *model.Record // what is stored then
		steps  []string
	}{
		{"created", nil, first(), store.Created, first(), []string{putNew}},
		{"duplicate", stored(second()), second(), store.Duplicate, second(), []string{putNew, get}},
		{"stale", stored(third()), second(), store.Stale, third(), []string{putNew, get, archive}},
		{"stale_not_terminal", stored(second()), first(), store.Stale, second(), []string{putNew, get, archive}},
		{"updated", stored(first()), second(), store.Updated, second(), updating},
		{"updated_of_same_state", stored(second()), third(), store.Updated, third(), updating},
		{"older_than_a_long_one", stored(longest()), first(), store.Stale, longest(), []string{putNew, get, archive}},
		{"unreadable", []byte("{"), first(), store.Updated, first(), updating},
		{"empty", []byte{}, first(), store.Updated, first(), updating},
		{"page", page, first(), store.Updated, first(), updating},
		{"of_another_version", []byte(`{"version":0,"kind":"job","id":"j1","state":"Success","detail":{}}`), first(), store.Updated, first(), updating},
		{"of_another_id", stored(other), first(), store.Updated, first(), updating},
		{"of_another_kind", stored(workflow), first(), store.Updated, first(), updating},
		{"cut_off", stored(third())[:40], first(), store.Updated, first(), updating},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if test.stored != nil {
					w.put(t, records, jobKey, coslocal.Object{Body: test.stored})
				}
				s := w.open(t, options())
				outcome, key, err := s.PutRecord(t.Context(), test.put)
				if err != nil || outcome != test.want || key != jobKey {
					t.Errorf("PutRecord = %q, %q, %v; want %q, %q", outcome, key, err, test.want, jobKey)
				}
				w.wantObject(t, records, jobKey, encode(t, test.after))
				w.wantKept(t, encode(t, test.put))
				if test.stored != nil {
					w.wantKept(t, test.stored)
				}
				w.wantSteps(t, test.steps...)
				if got := s.Requests(); got != int64(len(test.steps)) {
					t.Errorf("Requests = %d; want %d", got, len(test.steps))
				}
			})
		})
	}
}

// What is longer than any record of ours is none, and not read to its end.
func TestPutRecordOverEndlessObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // reading it takes a while on a busy machine, and a try has a limit
		w := newWorld(t)
		w.put(t, records, jobKey, coslocal.Object{Body: encode(t, third())})
		s, err := store.NewPool(&endlessTwice{wire: w.wire}).Open(options())
		if err != nil {
			t.Fatal(err)
		}
		if outcome, _, err := s.PutRecord(t.Context(), first()); outcome != store.Updated || err != nil {
			t.Errorf("PutRecord = %q, %v; want updated", outcome, err)
		}
		w.wantSteps(t, updating...)
		w.wantObject(t, records, jobKey, encode(t, first()))
	})
}

// endlessTwice answers the first two GETs with a body that begins as a record and never
// ends.
type endlessTwice struct {
	*wire
	reads int
}

func (e *endlessTwice) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := e.wire.RoundTrip(r)
	if r.Method == http.MethodGet && e.reads < 2 && err == nil {
		e.reads++
		response.Body = io.NopCloser(io.MultiReader(response.Body, zeros{r.Context()}))
		response.ContentLength = 1 << 60
	}
	return response, err
}

// zeros is a body that ends with its context.
type zeros struct{ context.Context }

func (z zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), z.Err()
}

func TestRecordKeys(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind   model.Kind
		prefix string
		want   string
	}{
		{model.KindJob, "ci/", "ci/jobs/j1.json"},
		{model.KindWorkflow, "a/b/", "a/b/workflows/j1.json"},
		{model.KindReview, "", "reviews/j1.json"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := first()
			r.Kind = test.kind
			o := options()
			o.Prefix = test.prefix
			if _, key, err := w.open(t, o).PutRecord(t.Context(), r); key != test.want || err != nil {
				t.Errorf("PutRecord = %q, %v; want %q", key, err, test.want)
			}
			if diff := cmp.Diff([]string{test.want}, w.Keys(records, "")); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOddPrefixSendsNothing(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/", "../", "a//", "./", "a/../", "\x00", strings.Repeat("x", 850)} {
		w := newWorld(t)
		o := options()
		o.Prefix = prefix
		s := w.open(t, o)
		if _, _, err := s.PutRecord(t.Context(), first()); !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("PutRecord with prefix %.20q: %v; want ErrMisconfigured", prefix, err)
		}
		if _, err := s.PutRejected(t.Context(), page, ""); !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("PutRejected with prefix %.20q: %v; want ErrMisconfigured", prefix, err)
		}
		w.wantSteps(t)
	}
}

// What cannot be encoded is an error, and is not stored, be it the newest or an older one.
func TestRecordThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.open(t, options())
	broken := first()
	broken.Version = model.Version + 1 // fields of it would be lost
	if outcome, key, err := s.PutRecord(t.Context(), broken); outcome != "" || key != "" || err == nil {
		t.Errorf("PutRecord = %q, %q, %v", outcome, key, err)
	}
	w.wantSteps(t)
	if outcome, _, err := s.PutRecord(t.Context(), second(), broken); outcome != store.Created || err == nil {
		t.Errorf("PutRecord with an older one = %q, %v", outcome, err)
	}
}

// The headers that carry the guarantees, as they are on the wire.
func TestRecordOnTheWire(t *testing.T) {
	t.Parallel()
	credential := coslocal.Credential{SecretID: "AKIDexample", SecretKey: "key", SessionToken: "session-token"}
	server := coslocaltest.NewServerWith(t, coslocal.Options{Credentials: []coslocal.Credential{credential}}, records)
	if err := server.PutObject(records, jobKey, coslocal.Object{Body: encode(t, first())}); err != nil {
		t.Fatal(err)
	}
	transport := cosclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	o := options()
	o.Endpoint = server.Endpoint
	o.Credentials = cosclient.Credentials{SecretID: credential.SecretID, SecretKey: credential.SecretKey, SessionToken: credential.SessionToken}
	s, err := store.NewPool(transport).Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if outcome, _, err := s.PutRecord(t.Context(), second()); outcome != store.Updated || err != nil {
		t.Fatalf("PutRecord = %q, %v; want updated", outcome, err)
	}
	type request struct {
		Method, Host, Key, Query          string
		ForbidOverwrite, MD5, Type, Token string
		Length                            int64
		SignsHost, SignsToken, SignsMD5   bool
		SignsForbidOverwrite, Retry, Gzip bool
	}
	var got []request
	for _, r := range server.Requests() {
		_, list, _ := strings.Cut(r.Header.Get("Authorization"), "q-header-list=")
		list, _, _ = strings.Cut(list, "&")
		signed := strings.Split(list, ";")
		got = append(got, request{
			r.Method, strings.Split(r.Host, ":")[0], r.Key, r.Query.Encode(),
			r.Header.Get("x-cos-forbid-overwrite"), r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), r.Header.Get("x-cos-security-token"),
			r.ContentLength,
			slices.Contains(signed, "host"), slices.Contains(signed, "x-cos-security-token"), slices.Contains(signed, "content-md5"),
			slices.Contains(signed, "x-cos-forbid-overwrite"), r.Header.Get("X-Cos-Sdk-Retry") != "", r.Header.Get("Accept-Encoding") != "",
		})
	}
	body := encode(t, second())
	sum := md5.Sum(body)
	host := records + ".cos." + region + ".localhost"
	write := request{
		Method: "PUT", Host: host, Key: jobKey, MD5: base64.StdEncoding.EncodeToString(sum[:]), Type: "application/json", Token: "session-token",
		Length: int64(len(body)), SignsHost: true, SignsToken: true, SignsMD5: true,
	}
	create := write
	create.ForbidOverwrite, create.SignsForbidOverwrite = "true", true
	read := request{Method: "GET", Host: host, Key: jobKey, Token: "session-token", SignsHost: true, SignsToken: true}
	archived := func(body []byte) request {
		sum, name := md5.Sum(body), sha256.Sum256(body)
		r := create
		r.Key, r.MD5, r.Length = "ci/history/jobs/j1/"+hex.EncodeToString(name[:])+".json", base64.StdEncoding.EncodeToString(sum[:]), int64(len(body))
		return r
	}
	if len(got) == 7 && got[2].Key != archived(encode(t, first())).Key { // the two go side by side
		got[2], got[3] = got[3], got[2]
	}
	want := []request{create, read, archived(encode(t, first())), archived(body), read, write, read}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	stored, _ := server.Object(records, jobKey)
	if got := stored.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("stored Content-Type = %q", got)
	}
}

// What other instances do between our requests.
func TestPutRecordBesideOthers(t *testing.T) {
	t.Parallel()
	reset := coslocal.Fault{Match: at(put), Nth: 1, Reset: true}
	lost := coslocal.Fault{Match: at(put), Nth: 1, Reset: true, AfterWork: true}
	tests := []struct {
		name   string
		stored *model.Record
		put    *model.Record
		step   string // before which the other instance writes
		nth    int64
		writes *model.Record // nil: deletes
		fault  coslocal.Fault
		want   store.Outcome
		after  *model.Record
		steps  []string
	}{
		{"newer_before_read", first(), second(), get, 1, third(), coslocal.Fault{}, store.Stale, third(), []string{putNew, get, archive}},
		{"same_before_read", first(), second(), get, 1, second(), coslocal.Fault{}, store.Duplicate, second(), []string{putNew, get}},
		{"deleted_before_read", first(), second(), get, 1, nil, coslocal.Fault{}, store.Created, second(), []string{putNew, get, putNew}},
		// Something else is stored than what went into the history: it is not overwritten.
		{"newer_before_second_read", first(), second(), get, 2, third(), coslocal.Fault{}, store.Stale, third(), []string{putNew, get, archive, archive, get, get}},
		{"same_before_second_read", first(), second(), get, 2, second(), coslocal.Fault{}, store.Duplicate, second(), []string{putNew, get, archive, archive, get, get}},
		{"older_before_second_read", first(), third(), get, 2, second(), coslocal.Fault{}, store.Updated, third(), []string{putNew, get, archive, archive, get, get, archive, get, put, get}},
		{"deleted_before_second_read", first(), second(), get, 2, nil, coslocal.Fault{}, store.Created, second(), []string{putNew, get, archive, archive, get, get, putNew}},
		// The window that only a compare-and-swap could close, see the package comment.
		{"newer_between_read_and_write", first(), second(), put, 1, third(), coslocal.Fault{}, store.Updated, second(), updating},
		{"newer_before_read_back", first(), second(), get, 3, third(), coslocal.Fault{}, store.Updated, third(), updating},
		{"older_before_read_back", first(), second(), get, 3, first(), coslocal.Fault{}, store.Updated, second(), slices.Concat(updating, []string{get, get, put, get})},
		{"deleted_before_read_back", first(), second(), get, 3, nil, coslocal.Fault{}, store.Created, second(), slices.Concat(updating, []string{get, putNew})},
		{"newer_after_failed_write", first(), second(), get, 3, third(), reset, store.Stale, third(), updating},
		{"same_after_failed_write", first(), second(), get, 3, second(), reset, store.Updated, second(), updating},
		{"older_after_failed_write", first(), third(), get, 3, second(), reset, store.Updated, third(), slices.Concat(updating, []string{archive, get, put, get})},
		{"newer_after_lost_write", first(), second(), get, 3, third(), lost, store.Stale, third(), updating},
		{"older_after_lost_write", first(), third(), get, 3, second(), lost, store.Updated, third(), slices.Concat(updating, []string{archive, get, put, get})},
		{"newer_after_failed_create", nil, second(), putNew, 2, third(), coslocal.Fault{Match: at(putNew), Nth: 1, Status: 503}, store.Stale, third(), []string{putNew, putNew, get, archive}},
		{"older_after_failed_create", nil, second(), putNew, 2, first(), coslocal.Fault{Match: at(putNew), Nth: 1, Reset: true}, store.Updated, second(), slices.Concat([]string{putNew}, updating)},
		{"newer_after_lost_create", nil, second(), putNew, 2, third(), coslocal.Fault{Match: at(putNew), Nth: 1, Reset: true, AfterWork: true}, store.Stale, third(), []string{putNew, putNew, get, archive}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.stored != nil {
				w.put(t, records, jobKey, coslocal.Object{Body: encode(t, test.stored)})
			}
			w.before(test.step, test.nth, func() {
				if test.writes == nil {
					if err := w.DeleteObject(records, jobKey); err != nil {
						t.Error(err)
					}
					return
				}
				w.put(t, records, jobKey, coslocal.Object{Body: encode(t, test.writes)})
			})
			w.Inject(test.fault)
			outcome, _, err := w.open(t, options()).PutRecord(t.Context(), test.put)
			if outcome != test.want || err != nil {
				t.Errorf("PutRecord = %q, %v; want %q", outcome, err, test.want)
			}
			w.wantObject(t, records, jobKey, encode(t, test.after))
			w.wantKept(t, encode(t, test.put))
			if test.stored != nil && slices.Contains(test.steps, put) {
				w.wantKept(t, encode(t, test.stored))
			}
			w.wantSteps(t, test.steps...)
			w.wantSafe(t)
		})
	}
}

// The same record from many instances at once: one has created it.
func TestPutRecordAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const instances = 8
	outcomes := make([]store.Outcome, instances)
	var all sync.WaitGroup
	for i := range instances {
		s, err := store.NewPool(w.wire).Open(options())
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			outcome, _, err := s.PutRecord(t.Context(), second())
			if err != nil {
				t.Error(err)
			}
			outcomes[i] = outcome
		})
	}
	all.Wait()
	slices.Sort(outcomes)
	want := append([]store.Outcome{store.Created}, slices.Repeat([]store.Outcome{store.Duplicate}, instances-1)...)
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestVersionedBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.SetVersioning(records, "Enabled"); err != nil {
		t.Fatal(err)
	}
	warned := 0
	o := options()
	o.Warn = func(string) { warned++ }
	other := first()
	other.ID = "j2"
	otherKey := "ci/jobs/j2.json"
	w.put(t, records, otherKey, coslocal.Object{Body: page})
	puts := []struct {
		name  string
		put   *model.Record
		want  store.Outcome
		steps []string
	}{
		{"first", first(), store.Created, []string{putNew}}, // nothing has shown the versioning yet
		{"updated", third(), store.Updated, []string{get, archive, archive, get, put, get}},
		{"stale", second(), store.Stale, []string{get, archive}},
		{"duplicate", third(), store.Duplicate, []string{get}},
		{"unreadable", other, store.Updated, []string{get, archive, archive, get, put, get}},
	}
	for _, p := range puts {
		w.ResetRequests()
		outcome, _, err := w.open(t, o).PutRecord(t.Context(), p.put)
		if outcome != p.want || err != nil {
			t.Errorf("%s: PutRecord = %q, %v; want %q", p.name, outcome, err, p.want)
		}
		w.wantSteps(t, p.steps...)
	}
	w.wantObject(t, records, jobKey, encode(t, third()))
	if warned != 1 {
		t.Errorf("warned %d times; want once", warned)
	}
	if err := w.DeleteObject(records, jobKey); err != nil {
		t.Fatal(err)
	}
	w.ResetRequests()
	if outcome, _, err := w.open(t, o).PutRecord(t.Context(), second()); outcome != store.Created || err != nil {
		t.Errorf("PutRecord = %q, %v; want created", outcome, err)
	}
	w.wantSteps(t, get, putNew, get)
}

// What versioning that is suspended does to create-only, no answer of COS to a PUT shows:
// the limit of which the package comment and the README tell.
func TestSuspendedVersioningIsNotSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.SetVersioning(records, "Suspended"); err != nil {
		t.Fatal(err)
	}
	w.put(t, records, jobKey, coslocal.Object{Body: encode(t, third())})
	outcome, _, err := w.open(t, options()).PutRecord(t.Context(), second())
	if outcome != store.Created || err != nil {
		t.Errorf("PutRecord = %q, %v; want created", outcome, err)
	}
	w.wantSteps(t, putNew)
	w.wantObject(t, records, jobKey, encode(t, second()))
}

// Create-only does nothing in a versioned bucket, so that another instance's record is
// replaced by ours unnoticed, or ours by theirs: only reading back tells.
func TestVersionedBucketReadsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.SetVersioning(records, "Enabled"); err != nil {
		t.Fatal(err)
	}
	s := w.open(t, options())
	if _, err := s.PutRejected(t.Context(), page, ""); err != nil { // shows the versioning
		t.Fatal(err)
	}
	w.ResetRequests()
	w.before(get, 2, func() { w.put(t, records, jobKey, coslocal.Object{Body: encode(t, first())}) })
	if outcome, _, err := s.PutRecord(t.Context(), second()); outcome != store.Updated || err != nil {
		t.Errorf("PutRecord = %q, %v; want updated", outcome, err)
	}
	w.wantObject(t, records, jobKey, encode(t, second()))
	w.wantSteps(t, get, putNew, get, get, archive, archive, get, put, get)
}

// A pool that met very many buckets still knows which have versions.
func TestVersionedBucketIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.SetVersioning(records, "Enabled"); err != nil {
		t.Fatal(err)
	}
	s := w.open(t, options())
	if _, _, err := s.PutRecord(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		out := output()
		out.Bucket = strings.Repeat("x", i%40+1) + string(rune('a'+i/40)) + "-" + appID
		if _, err := s.TagOutput(t.Context(), out, ended); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.pool.Clients(); n > 129 {
		t.Errorf("the pool has %d clients after 301 buckets; want 128 or so at most", n)
	}
	w.ResetRequests()
	if _, _, err := w.open(t, options()).PutRecord(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	w.wantSteps(t, get)
}

// An answer without a checksum is as good: Content-MD5 has guarded the body.
func TestPutRecordWithoutChecksum(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Inject(coslocal.Fault{Header: http.Header{"X-Cos-Hash-Crc64ecma": {}}})
	if outcome, _, err := w.open(t, options()).PutRecord(t.Context(), first()); outcome != store.Created || err != nil {
		t.Errorf("PutRecord = %q, %v; want created", outcome, err)
	}
	w.wantSteps(t, putNew)
}

func TestPutRejected(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(page)
	key := "ci/rejected/" + hex.EncodeToString(sum[:])
	empty := "ci/rejected/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := []struct {
		name      string
		body      []byte
		stored    bool
		versioned bool
		fault     coslocal.Fault
		wantKey   string
		steps     []string
	}{
		{"new", page, false, false, coslocal.Fault{}, key, []string{putNew}},
		{"again", page, true, false, coslocal.Fault{}, key, []string{putNew, get}},
		{"empty", nil, false, false, coslocal.Fault{}, empty, []string{putNew}},
		{"empty_again", nil, true, false, coslocal.Fault{}, empty, []string{putNew, get}},
		{"versioned", page, false, true, coslocal.Fault{}, key, []string{get, put}},
		{"versioned_again", page, true, true, coslocal.Fault{}, key, []string{get}},
		{"lost", page, false, false, coslocal.Fault{Match: at(putNew), Nth: 1, Reset: true, AfterWork: true}, key, []string{putNew, putNew, get}},
		{"other_conflict", page, false, false, coslocal.Fault{Match: at(putNew), Nth: 1, Status: http.StatusConflict, Code: "PathConflict"}, key, []string{putNew, get, put}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.open(t, options())
			if test.versioned {
				if err := w.SetVersioning(records, "Enabled"); err != nil {
					t.Fatal(err)
				}
				if _, _, err := s.PutRecord(t.Context(), first()); err != nil { // shows the versioning
					t.Fatal(err)
				}
				w.ResetRequests()
			}
			if test.stored {
				w.put(t, records, test.wantKey, coslocal.Object{Body: test.body})
			}
			w.Inject(test.fault)
			got, err := s.PutRejected(t.Context(), test.body, "")
			if got != test.wantKey || err != nil {
				t.Errorf("PutRejected = %q, %v; want %q", got, err, test.wantKey)
			}
			w.wantSteps(t, test.steps...)
			w.wantObject(t, records, test.wantKey, test.body)
			if o, ok := w.Object(records, test.wantKey); !ok || o.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("stored = %t, Content-Type %q", ok, o.Header.Get("Content-Type"))
			}
		})
	}
}

// What is kept under the hash of a body and is another is replaced.
func TestPutRejectedOverAnother(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"", "Enabled"} {
		w := newWorld(t)
		sum := sha256.Sum256(page)
		key := "ci/rejected/" + hex.EncodeToString(sum[:])
		w.put(t, records, key, coslocal.Object{Body: []byte("another")})
		steps := []string{putNew, get, put}
		if status != "" {
			if err := w.SetVersioning(records, status); err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.open(t, options()).PutRecord(t.Context(), first()); err != nil { // shows the versioning
				t.Fatal(err)
			}
			w.ResetRequests()
			steps = []string{get, put}
		}
		if got, err := w.open(t, options()).PutRejected(t.Context(), page, ""); got != key || err != nil {
			t.Errorf("PutRejected = %q, %v; want %q", got, err, key)
		}
		w.wantSteps(t, steps...)
		w.wantObject(t, records, key, page)
	}
}

// A record that appears between the reading of nothing and the create-only PUT is not
// taken for ours.
func TestCreatedInBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, records, jobKey, coslocal.Object{Body: encode(t, first())})
	w.before(get, 1, func() {
		if err := w.DeleteObject(records, jobKey); err != nil {
			t.Error(err)
		}
	})
	w.before(putNew, 2, func() { w.put(t, records, jobKey, coslocal.Object{Body: encode(t, third())}) })
	outcome, _, err := w.open(t, options()).PutRecord(t.Context(), second())
	if outcome != store.Stale || err != nil {
		t.Errorf("PutRecord = %q, %v; want stale", outcome, err)
	}
	w.wantObject(t, records, jobKey, encode(t, third()))
}

// Of large records, one at a time is in memory.
func TestLargeRecordsOneAtATime(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{1 << 10: 8, 2 << 20: 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				slow := &slowReads{wire: w.wire}
				s, err := store.NewPool(slow).Open(options())
				if err != nil {
					t.Fatal(err)
				}
				var all sync.WaitGroup
				for i := range 8 {
					r := third()
					r.ID, r.Message = fmt.Sprint("j", i), strings.Repeat("x", size)
					w.put(t, records, r.Key("ci/"), coslocal.Object{Body: encode(t, r)})
					all.Go(func() {
						r := first()
						r.ID = fmt.Sprint("j", i)
						if outcome, _, err := s.PutRecord(t.Context(), r); outcome != store.Stale || err != nil {
							t.Errorf("PutRecord = %q, %v; want stale", outcome, err)
						}
					})
				}
				all.Wait()
				if got := slow.most; got != want {
					t.Errorf("%d were read at once; want %d", got, want)
				}
			})
		})
	}
}

// slowReads takes a while for each body, and counts how many are read at once.
type slowReads struct {
	*wire
	counter
}

func (s *slowReads) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.wire.RoundTrip(r)
	if r.Method == http.MethodGet && err == nil {
		response.Body = &slowBody{ReadCloser: response.Body, reads: &s.counter}
	}
	return response, err
}

type slowBody struct {
	io.ReadCloser
	reads *counter
	begun bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.reads.add(1)
		time.Sleep(10 * time.Millisecond)
	}
	return b.ReadCloser.Read(p)
}

func (b *slowBody) Close() error {
	if b.begun {
		b.reads.add(-1)
	}
	return b.ReadCloser.Close()
}

// Of a history key, too, a 409 can mean another conflict: the record is replaced only where
// its version is there all the same.
func TestConflictInHistory(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, code string
		afterWork  bool
		want       store.Outcome // "" for an error
		reads      int
	}{
		{"not_stored", "PathConflict", false, "", 2},
		{"stored", "UploadConflict", true, store.Updated, 4},
		{"exists", "FileAlreadyExists", true, store.Updated, 3},
		{"exists_by_another_name", "ObjectAlreadyExists", true, store.Updated, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(t, records, jobKey, coslocal.Object{Body: encode(t, first())})
			w.Inject(coslocal.Fault{Match: at(archive), Nth: 1, Status: http.StatusConflict, Code: test.code, AfterWork: test.afterWork})
			outcome, _, err := w.open(t, options()).PutRecord(t.Context(), second())
			if outcome != test.want || (test.want == "") != errors.Is(err, cosclient.ErrUnavailable) {
				t.Errorf("PutRecord = %q, %v", outcome, err)
			}
			w.wantKept(t, encode(t, first()))
			if test.want == store.Updated {
				w.wantKept(t, encode(t, second()))
			}
			reads := slices.DeleteFunc(w.steps(), func(step string) bool { return step != get })
			if len(reads) != test.reads {
				t.Errorf("%d reads; want %d: %v", len(reads), test.reads, w.steps())
			}
		})
	}
}

// A 409 that stays, and is none of "exists": nothing is claimed to be stored.
func TestConflictThatStays(t *testing.T) {
	t.Parallel()
	operations := map[string]func(context.Context, *store.Store) error{
		"record": func(ctx context.Context, s *store.Store) error {
			_, _, err := s.PutRecord(ctx, first())
			return err
		},
		"rejected": func(ctx context.Context, s *store.Store) error {
			_, err := s.PutRejected(ctx, page, "")
			return err
		},
	}
	for name, do := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			isPut := func(r coslocal.Request) bool { return r.Action() == "PutObject" }
			w.Inject(coslocal.Fault{Match: isPut, Status: http.StatusConflict, Code: "PathConflict"})
			w.before(putNew, 5, cancel)
			if err := do(ctx, w.open(t, options())); !errors.Is(err, cosclient.ErrUnavailable) {
				t.Errorf("err = %v; want ErrUnavailable", err)
			}
		})
	}
}
