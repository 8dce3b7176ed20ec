package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/store"
)

func TestGetObject(t *testing.T) {
	t.Parallel()
	written := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		key   string
		fault coslocal.Fault
		want  store.Object
		err   func(error) bool
	}{
		{"found", jobKey, coslocal.Fault{}, store.Object{Key: jobKey, Body: content, ETag: md5Of(content), LastModified: written}, nil},
		{"after_a_fault", jobKey, coslocal.Fault{Nth: 1, Truncate: true}, store.Object{Key: jobKey, Body: content, ETag: md5Of(content), LastModified: written}, nil},
		{"after_a_page", jobKey, coslocal.Fault{Nth: 1, Body: page}, store.Object{Key: jobKey, Body: content, ETag: md5Of(content), LastModified: written}, nil},
		{"missing", "ci/jobs/j2.json", coslocal.Fault{}, store.Object{}, func(err error) bool {
			return errors.Is(err, store.ErrNotFound) && !errors.Is(err, cosclient.ErrUnavailable) && !errors.Is(err, cosclient.ErrMisconfigured)
		}},
		{"denied", jobKey, coslocal.Fault{Status: 403}, store.Object{}, cosclient.IsDenied},
		{"no_bucket", jobKey, coslocal.Fault{Status: 404, Code: "NoSuchBucket"}, store.Object{}, func(err error) bool {
			return errors.Is(err, cosclient.ErrMisconfigured) && !errors.Is(err, store.ErrNotFound)
		}},
		{"odd_key", "ci/../x", coslocal.Fault{}, store.Object{}, func(err error) bool { return errors.Is(err, cosclient.ErrMisconfigured) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(t, records, jobKey, coslocal.Object{Body: content, LastModified: written})
			w.Inject(test.fault)
			got, err := w.open(t, options()).GetObject(t.Context(), test.key)
			if test.err == nil && err != nil || test.err != nil && (err == nil || !test.err(err)) {
				t.Errorf("GetObject: %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

// Out of reach is not the same as refused: one passes, the other does not.
func TestGetObjectOutOfReach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Inject(coslocal.Fault{Status: 503})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		o := options()
		o.Backoff = nil
		_, err := w.open(t, o).GetObject(ctx, jobKey)
		if !errors.Is(err, cosclient.ErrUnavailable) || cosclient.IsDenied(err) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("err = %v; want ErrUnavailable alone", err)
		}
	})
}

// An object that is longer than any of this project's is not read in part as if it were
// whole.
func TestGetObjectTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(t, records, jobKey, coslocal.Object{Body: content})
		s, err := store.NewPool(&endlessTwice{wire: w.wire}).Open(options())
		if err != nil {
			t.Fatal(err)
		}
		if o, err := s.GetObject(t.Context(), jobKey); !errors.Is(err, store.ErrTooLong) || len(o.Body) > 0 {
			t.Errorf("GetObject = %d bytes, %v; want ErrTooLong", len(o.Body), err)
		}
	})
}

func TestGetRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	review := second()
	review.Kind, review.ID = model.KindReview, "a+b/c="
	w.put(t, records, jobKey, coslocal.Object{Body: encode(t, second())})
	w.put(t, records, "ci/reviews/a~2Bb~2Fc~3D.json", coslocal.Object{Body: encode(t, review)})
	w.put(t, records, "ci/jobs/page.json", coslocal.Object{Body: page})
	s := w.open(t, options())
	for _, want := range []*model.Record{second(), review} {
		o, got, err := s.GetRecord(t.Context(), want.Kind, want.ID)
		if err != nil || o.Key != want.Key("ci/") {
			t.Errorf("GetRecord = %+v, %v", o, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	}
	if o, r, err := s.GetRecord(t.Context(), model.KindJob, "page"); !errors.Is(err, model.ErrNotRecord) || r != nil || string(o.Body) != string(page) {
		t.Errorf("GetRecord of a page = %q, %v, %v; want what was read and ErrNotRecord", o.Body, r, err)
	}
	if _, _, err := s.GetRecord(t.Context(), model.KindJob, "j2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("GetRecord of a missing one: %v; want ErrNotFound", err)
	}
}

// While a large record is looked at, no other large one is in memory.
func TestReadRecordHoldsLargeOnes(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{1 << 10: 6, 2 << 20: 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.open(t, options())
				var inMemory counter
				errs := parallel.ForEach(6, 6, func(i int) error {
					r := third()
					r.ID, r.Message = fmt.Sprint("j", i), strings.Repeat("x", size)
					w.put(t, records, r.Key("ci/"), coslocal.Object{Body: encode(t, r)})
					return s.ReadRecord(t.Context(), model.KindJob, r.ID, func(_ store.Object, got *model.Record) error {
						inMemory.add(1)
						time.Sleep(time.Second)
						inMemory.add(-1)
						return nil
					})
				})
				if err := errors.Join(errs...); err != nil || inMemory.most != want {
					t.Errorf("%d at a time, %v; want %d", inMemory.most, err, want)
				}
			})
		})
	}
}

// What the reader of an object says is what ReadObject says.
func TestReadObjectReturnsError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, records, jobKey, coslocal.Object{Body: content})
	failed := errors.New("failed")
	if err := w.open(t, options()).ReadObject(t.Context(), jobKey, func(store.Object) error { return failed }); err != failed {
		t.Errorf("err = %v; want %v", err, failed)
	}
	w.wantSteps(t, get)
}

// A large object that has to wait does not wait past its time.
func TestLargeReadWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		large := third()
		large.Message = strings.Repeat("x", 2<<20)
		w.put(t, records, jobKey, coslocal.Object{Body: encode(t, large)})
		s := w.open(t, options())
		err := s.ReadObject(t.Context(), jobKey, func(store.Object) error { // holds the place
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			started := time.Now()
			_, err := s.GetObject(ctx, jobKey)
			if took := time.Since(started); took != 10*time.Second || !errors.Is(err, cosclient.ErrUnavailable) || !strings.Contains(err.Error(), "no answer in time") {
				t.Errorf("GetObject took %v: %v; want ErrUnavailable after 10 s", took, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetObject(t.Context(), jobKey); err != nil { // its turn
			t.Error(err)
		}
	})
}

// An object of which COS does not say how long it is may be a large one.
func TestUnknownLengthIsLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(t, records, jobKey, coslocal.Object{Body: content})
		s, err := store.NewPool(withoutLength{w.wire}).Open(options())
		if err != nil {
			t.Fatal(err)
		}
		var inMemory counter
		errs := parallel.ForEach(3, 3, func(int) error {
			return s.ReadObject(t.Context(), jobKey, func(o store.Object) error {
				if diff := cmp.Diff(content, o.Body); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
				inMemory.add(1)
				time.Sleep(time.Second)
				inMemory.add(-1)
				return nil
			})
		})
		if err := errors.Join(errs...); err != nil || inMemory.most != 1 {
			t.Errorf("%d at a time, %v; want 1", inMemory.most, err)
		}
	})
}

// withoutLength answers in chunks.
type withoutLength struct{ *wire }

func (c withoutLength) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.wire.RoundTrip(r)
	if err == nil {
		response.ContentLength = -1
		response.Header.Del("Content-Length")
	}
	return response, err
}

func TestPutObject(t *testing.T) {
	t.Parallel()
	const key = "ci/reconcile/" + media + ".json"
	w := newWorld(t)
	s := w.open(t, options())
	for _, body := range []string{"{}", `{"version":1}`} {
		if err := s.PutObject(t.Context(), key, "application/json", []byte(body)); err != nil {
			t.Fatal(err)
		}
		w.wantObject(t, records, key, []byte(body))
	}
	w.wantSteps(t, put, put)
	if o, _ := w.Object(records, key); o.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type = %s", o.Header.Get("Content-Type"))
	}
	if err := s.PutObject(t.Context(), "../x", "", nil); !errors.Is(err, cosclient.ErrMisconfigured) {
		t.Errorf("PutObject of an odd key: %v", err)
	}
}

// The last request of an invocation may take all the time that is left.
func TestPutObjectWithWholeTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Inject(coslocal.Fault{Delay: 250 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := w.open(t, options()).PutObject(cosclient.WithWholeTime(ctx), "ci/reconcile/x.json", "", nil); err != nil {
			t.Error(err)
		}
	})
}

// Of a rejected body is known what it was, and only rejected bodies can be taken away.
func TestRejectedBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, records, jobKey, coslocal.Object{Body: content})
	s := w.open(t, options())
	for source, body := range map[string]string{"query": "<JobsDetail", "": "no callback"} {
		key, err := s.PutRejected(t.Context(), []byte(body), source)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := s.GetObject(t.Context(), key); o.Source != source || string(o.Body) != body || err != nil {
			t.Errorf("GetObject = %q from %q, %v; want %q from %q", o.Body, o.Source, err, body, source)
		}
		for range 2 { // that it is gone is as good
			if err := s.DeleteRejected(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.GetObject(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after it was deleted: %v; want ErrNotFound", err)
		}
	}
	w.ResetRequests()
	for _, key := range []string{jobKey, "", "ci/", "ci/rejected/", "ci/rejected/../jobs/j1.json", "x/ci/rejected/y"} {
		if err := s.DeleteRejected(t.Context(), key); err == nil {
			t.Errorf("%q was deleted", key)
		}
	}
	w.wantSteps(t)
	w.Deny(func(r coslocal.Request) bool { return r.Method == http.MethodDelete })
	if err := s.DeleteRejected(t.Context(), "ci/rejected/x"); !cosclient.IsDenied(err) || !strings.Contains(err.Error(), "grant name/cos:DeleteObject ") {
		t.Errorf("err = %v; want it to name the permission", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	written := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	want := []string{"ci/jobs/a b+c&d%2F<中>.json"}
	for i := range 2100 {
		want = append(want, fmt.Sprintf("ci/jobs/j%04d.json", i))
	}
	for _, key := range append([]string{"ci/history/jobs/j1/x.json", "other"}, want...) {
		w.put(t, records, key, coslocal.Object{Body: content, LastModified: written})
	}
	s := w.open(t, options())
	var got []string
	marker := ""
	for pages := 1; ; pages++ {
		page, err := s.List(t.Context(), "ci/jobs/", marker)
		if err != nil || pages > 3 {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, e := range page.Entries {
			got = append(got, e.Key)
			if e.Size != int64(len(content)) || e.ETag != md5Of(content) || !e.LastModified.Equal(written) {
				t.Fatalf("entry = %+v", e)
			}
		}
		if marker = page.Next; marker == "" {
			break
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if w.RequestCount() != 3 {
		t.Errorf("%d requests; want one for each thousand keys", w.RequestCount())
	}
}

// A page whose last key has to be encoded is followed by the right one.
func TestListGoesOnAfterOddKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 1001 {
		w.put(t, records, fmt.Sprintf("ci/a+b &%04d", i), coslocal.Object{})
	}
	s := w.open(t, options())
	first, err := s.List(t.Context(), "ci/", "")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.List(t.Context(), "ci/", first.Next)
	if err != nil || len(second.Entries) != 1 || second.Entries[0].Key != "ci/a+b &1000" || second.Next != "" {
		t.Errorf("second page = %+v, %v", second, err)
	}
}

// Keys are decoded where COS says that it has encoded them, and one that cannot be stays as
// it is. The last page has no next one, whatever marker it names.
func TestListedKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		want   store.Page
	}{
		"encoded":     {"<EncodingType>url</EncodingType><Contents><Key>ci/a%2Bb</Key><Size>7</Size><ETag>&quot;x&quot;</ETag></Contents>", store.Page{Entries: []store.Entry{{Key: "ci/a+b", Size: 7, ETag: "x"}}}},
		"not_encoded": {"<Contents><Key>ci/a%2Bb</Key></Contents>", store.Page{Entries: []store.Entry{{Key: "ci/a%2Bb"}}}},
		"badly":       {"<EncodingType>url</EncodingType><Contents><Key>ci/%zz</Key></Contents>", store.Page{Entries: []store.Entry{{Key: "ci/%zz"}}}},
		"more":        {"<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextMarker>a%20b</NextMarker>", store.Page{Entries: []store.Entry{}, Next: "a b"}},
		"last":        {"<IsTruncated>false</IsTruncated><NextMarker>x</NextMarker>", store.Page{Entries: []store.Entry{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Inject(coslocal.Fault{Body: []byte("<ListBucketResult>" + test.answer + "</ListBucketResult>"), Header: http.Header{"X-Cos-Request-Id": {"x"}}})
			got, err := w.open(t, options()).List(t.Context(), "ci/", "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An answer that is no listing is never taken for an empty one.
func TestListThatIsNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"empty": "", "json": `{"Contents":[]}`, "page": string(page), "other": "<Tagging><TagSet/></Tagging>"} {
		for _, header := range []http.Header{nil, {"X-Cos-Request-Id": {"x"}}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.Inject(coslocal.Fault{Body: []byte(answer), Header: header})
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					o := options()
					o.Backoff = nil
					if p, err := w.open(t, o).List(ctx, "ci/", ""); !errors.Is(err, cosclient.ErrUnavailable) {
						t.Errorf("List = %+v, %v; want ErrUnavailable", p, err)
					}
				})
			})
		}
	}
}

func TestLookAtOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, media, object, coslocal.Object{
		Body: content, LastModified: ended, Tags: []coslocal.Tag{theirs, mine}, Header: http.Header{"Content-Type": {"video/mp4"}},
	})
	s := w.open(t, options())
	want := store.OutputInfo{
		Size: int64(len(content)), ETag: md5Of(content), LastModified: ended, ContentType: "video/mp4",
		Tags: []store.Tag{{Key: theirs.Key, Value: theirs.Value}, {Key: mine.Key, Value: mine.Value}},
	}
	got, err := s.LookAtOutput(t.Context(), output())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("LookAtOutput: %v (-want +got):\n%s", err, diff)
	}
	missing := output()
	missing.Key = "gone"
	if _, err := s.LookAtOutput(t.Context(), missing); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a missing output: %v; want ErrNotFound", err)
	}
	w.ResetRequests()
	for _, odd := range []model.Object{{Bucket: media, Region: region}, {Bucket: media, Region: region, Key: ".."}, {Bucket: "evil.example/", Region: region, Key: "x"}, {Bucket: media, Region: "evil.example/", Key: "x"}} {
		if _, err := s.LookAtOutput(t.Context(), model.Output{Object: odd}); !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("%+v: %v; want ErrMisconfigured", odd, err)
		}
	}
	w.wantSteps(t)
	w.Inject(coslocal.Fault{Match: at(getTags), Status: 403})
	got, err = s.LookAtOutput(t.Context(), output())
	want.Tags = nil
	if diff := cmp.Diff(want, got); diff != "" || !cosclient.IsDenied(err) {
		t.Errorf("without the permission to read tags: %v (-want +got):\n%s", err, diff)
	}
}

// An output that is gone when its tags are read is gone, though it was there for the HEAD
// beside it, and the other way round. Where COS denies the HEAD, that is what matters.
func TestLookAtOutputGoneMeanwhile(t *testing.T) {
	t.Parallel()
	gone := func(step string) coslocal.Fault {
		return coslocal.Fault{Match: at(step), Status: 404, Code: "NoSuchKey"}
	}
	for name, test := range map[string]struct {
		faults []coslocal.Fault
		want   func(error) bool
	}{
		"before_the_tags": {[]coslocal.Fault{gone(getTags)}, isNotFound},
		"before_the_head": {[]coslocal.Fault{gone(head)}, isNotFound},
		"denied":          {[]coslocal.Fault{gone(getTags), {Match: at(head), Status: 403}}, cosclient.IsDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.putOutput(t, mine)
			for _, fault := range test.faults {
				w.Inject(fault)
			}
			got, err := w.open(t, options()).LookAtOutput(t.Context(), output())
			if diff := cmp.Diff(store.OutputInfo{}, got); diff != "" || !test.want(err) {
				t.Errorf("LookAtOutput: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

func TestCheckTagBucket(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		tagBuckets []string
		appID      string
		good, fail []string
	}{
		{"of_the_account", nil, "1250000000", []string{"a-1250000000", "a-b-1250000000"}, []string{"a-1", "a-91250000000", "a1250000000", "", "A-1250000000"}},
		{"listed", []string{"a-1", "b-2"}, "1250000000", []string{"a-1", "b-2"}, []string{"c-1", "a-1250000000"}},
		{"account_unknown", nil, "", nil, []string{"a-1", "a-"}},
	}
	for _, test := range tests {
		o := store.Options{TagBuckets: test.tagBuckets, AppID: test.appID}
		for _, bucket := range test.good {
			if err := o.CheckTagBucket(bucket); err != nil {
				t.Errorf("%s: %s: %v", test.name, bucket, err)
			}
		}
		for _, bucket := range test.fail {
			if err := o.CheckTagBucket(bucket); err == nil {
				t.Errorf("%s: %q may be tagged", test.name, bucket)
			}
		}
	}
	o := store.Options{AppID: "1250000000"} // TAG_BUCKETS is not set: it is not to blame
	if err := o.CheckTagBucket("a-1"); err == nil || !strings.Contains(err.Error(), "bucket a-1 is not of AppID 1250000000") {
		t.Errorf("of a bucket of another account it says: %v", err)
	}
}
