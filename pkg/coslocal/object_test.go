package coslocal_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

func TestObjectRoundTrip(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	now := time.Date(2026, 8, 1, 2, 3, 4, 999, time.UTC)
	s, sdk := start(t, coslocal.Options{Clock: func() time.Time { return now }, MaxClockSkew: 100 * 365 * 24 * time.Hour})
	body := "a body of a few words\n"
	sum := md5.Sum([]byte(body))
	meta := http.Header{}
	meta.Set("x-cos-meta-origin", "内容 & more")
	response, err := sdk.Object.Put(ctx, "ci/jobs/a b.json", strings.NewReader(body), &cos.ObjectPutOptions{
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
			ContentType:        "application/json",
			CacheControl:       "no-cache",
			ContentDisposition: "inline",
			ContentMD5:         base64.StdEncoding.EncodeToString(sum[:]),
			XCosMetaXXX:        &meta,
			XOptionHeader:      &http.Header{"X-Cos-Tagging": {"md5=abc&a%20b=1%2B2"}},
		},
	})
	must(t, err)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	if got := response.Header.Get("ETag"); got != etag {
		t.Errorf("PUT ETag = %s; want %s", got, etag)
	}

	head, err := sdk.Object.Head(ctx, "ci/jobs/a b.json", nil)
	must(t, err)
	got, err := sdk.Object.Get(ctx, "ci/jobs/a b.json", nil)
	must(t, err)
	text, err := io.ReadAll(got.Body) // also compares the CRC
	must(t, err)
	if string(text) != body {
		t.Errorf("body = %q", text)
	}
	for name, header := range map[string]http.Header{"HEAD": head.Header, "GET": got.Header} {
		header.Del("X-Cos-Request-Id")
		header.Del("Date")
		want := http.Header{
			"Etag": {etag}, "Last-Modified": {"Sat, 01 Aug 2026 02:03:04 GMT"}, "Content-Length": {fmt.Sprint(len(body))},
			"Content-Type": {"application/json"}, "Cache-Control": {"no-cache"}, "Content-Disposition": {"inline"},
			"X-Cos-Meta-Origin": {"内容 & more"}, "X-Cos-Tagging-Count": {"2"}, "Accept-Ranges": {"bytes"},
			"Server": {"tencent-cos"}, "X-Cos-Hash-Crc64ecma": response.Header["X-Cos-Hash-Crc64ecma"],
		}
		if diff := cmp.Diff(want, header); diff != "" {
			t.Errorf("%s headers (-want +got):\n%s", name, diff)
		}
	}
	want := coslocal.Object{
		Body: []byte(body), ETag: etag, LastModified: now.Truncate(time.Second),
		Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-cache"},
			"Content-Disposition": {"inline"}, "X-Cos-Meta-Origin": {"内容 & more"}},
		Tags: []coslocal.Tag{{"md5", "abc"}, {"a b", "1+2"}},
	}
	o, _ := s.Object(bucket, "ci/jobs/a b.json")
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func TestOverwriteDropsMetadataAndTags(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{
		Body: []byte("old"), ETag: "05a9a30179f3db7b63136f30aa6aacae-3", Tags: []coslocal.Tag{{"a", "b"}},
		Header: http.Header{"x-cos-meta-a": {"1"}, "Content-Type": {"text/plain"}},
	}))
	if o, _ := s.Object(bucket, "k"); o.ETag != `"05a9a30179f3db7b63136f30aa6aacae-3"` || o.Header.Get("x-cos-meta-a") != "1" {
		t.Errorf("fixture = %+v", o)
	}
	_, err := sdk.Object.Put(context.Background(), "k", strings.NewReader("new"), nil)
	must(t, err)
	o, _ := s.Object(bucket, "k")
	if string(o.Body) != "new" || len(o.Tags) != 0 || o.Header.Get("x-cos-meta-a") != "" {
		t.Errorf("object = %+v", o)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, sdk := start(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{}))
	for range 2 { // the second finds nothing and is fine too
		response, err := sdk.Object.Delete(ctx, "k")
		must(t, err)
		if response.StatusCode != http.StatusNoContent {
			t.Errorf("status = %d", response.StatusCode)
		}
	}
	_, err := sdk.Object.Get(ctx, "k", nil)
	wantCode(t, err, "NoSuchKey", 404)
	_, err = sdk.Object.Head(ctx, "k", nil)
	wantCode(t, err, "", 404)
	if !cos.IsNotFoundError(err) {
		t.Errorf("HEAD of a missing key: %v", err)
	}
}

func TestDeleteMultiple(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	for _, key := range []string{"a", "b", "c"} {
		must(t, s.PutObject(bucket, key, coslocal.Object{}))
	}
	result, _, err := sdk.Object.DeleteMulti(context.Background(), &cos.ObjectDeleteMultiOptions{
		Objects: []cos.Object{{Key: "a"}, {Key: "c"}, {Key: "missing"}},
	})
	must(t, err)
	if len(result.DeletedObjects) != 3 || len(result.Errors) != 0 {
		t.Errorf("result = %+v", result)
	}
	if diff := cmp.Diff([]string{"b"}, s.Keys(bucket, "")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// deleteMultiple sends POST ?delete with objects as the body's.
func deleteMultiple(t *testing.T, s http.Handler, objects string) *httptest.ResponseRecorder {
	t.Helper()
	return do(s, signed(newRequest(t, http.MethodPost, "/?delete", "<Delete>"+objects+"</Delete>")))
}

func wantDeleteResult(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	want = "<?xml version='1.0' encoding='utf-8' ?>\n<DeleteResult>" + want + "</DeleteResult>"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// TestDeleteMultipleVersions deletes by version, and by none, what a single DELETE would.
func TestDeleteMultipleVersions(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{Clock: func() time.Time { return time.Unix(0, 100) }, MaxClockSkew: 100 * 365 * 24 * time.Hour})
	must(t, s.SetVersioning(bucket, "Enabled"))
	for _, key := range []string{"a", "b", "c"} {
		must(t, s.PutObject(bucket, key, coslocal.Object{VersionID: "version-of-" + key}))
	}
	wantDeleteResult(t, deleteMultiple(t, s, "<Object><Key>a</Key><VersionId>version-of-a</VersionId></Object>"+
		"<Object><Key>b</Key><VersionId>another</VersionId></Object><Object><Key>c</Key></Object>"),
		"<Deleted><Key>a</Key><VersionId>version-of-a</VersionId></Deleted>"+
			"<Deleted><Key>b</Key><VersionId>another</VersionId></Deleted>"+
			"<Deleted><Key>c</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>MTAw</DeleteMarkerVersionId></Deleted>")
	if diff := cmp.Diff([]string{"b"}, s.Keys(bucket, "")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestDeleteMultipleQuiet(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "a", coslocal.Object{}))
	wantDeleteResult(t, deleteMultiple(t, s, "<Quiet>true</Quiet><Object><Key>a</Key></Object>"), "")
	if keys := s.Keys(bucket, ""); len(keys) > 0 {
		t.Errorf("left %q", keys)
	}
}

func TestDeleteMultipleLimit(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for n, status := range map[int]int{0: http.StatusBadRequest, 1000: http.StatusOK, 1001: http.StatusBadRequest} {
		must(t, s.PutObject(bucket, "a", coslocal.Object{}))
		code := ""
		if status != http.StatusOK {
			code = "MalformedXML"
		}
		wantAnswer(t, deleteMultiple(t, s, strings.Repeat("<Object><Key>a</Key></Object>", n)), status, code)
		if _, ok := s.Object(bucket, "a"); ok == (status == http.StatusOK) {
			t.Errorf("%d keys: still there = %t", n, ok)
		}
	}
}

// TestDenyDeleteMultiple: each key is refused or deleted as a DELETE of it alone would
// be.
func TestDenyDeleteMultiple(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for _, key := range []string{"a", "b"} {
		must(t, s.PutObject(bucket, key, coslocal.Object{}))
	}
	var asked []string
	s.Deny(func(r coslocal.Request) bool {
		asked = append(asked, r.Action()+" "+r.Key+r.Query.Get("versionId"))
		return r.Action() == "DeleteObject" && r.Key == "a"
	})
	wantDeleteResult(t, deleteMultiple(t, s, "<Object><Key>a</Key></Object><Object><Key>a</Key><VersionId>1</VersionId></Object>"+
		"<Object><Key>b</Key></Object>"),
		"<Deleted><Key>b</Key></Deleted>"+
			"<Error><Key>a</Key><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"+
			"<Error><Key>a</Key><VersionId>1</VersionId><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
	if diff := cmp.Diff([]string{"DeleteMultipleObjects ", "DeleteObject a", "DeleteObject a1", "DeleteObject b"}, asked); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a"}, s.Keys(bucket, "")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func createOnly(sdk *cos.Client, key, body string) error {
	_, err := sdk.Object.Put(context.Background(), key, strings.NewReader(body), &cos.ObjectPutOptions{
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
			XOptionHeader: &http.Header{"x-cos-forbid-overwrite": {"true"}},
		},
	})
	return err
}

func TestCreateOnlyHasOneWinner(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", t.TempDir()} {
		s, sdk := start(t, coslocal.Options{Dir: dir})
		for round := range 5 {
			key := fmt.Sprintf("ci/jobs/%d", round)
			var won atomic.Int32
			var winner atomic.Value
			var racers sync.WaitGroup
			for i := range 32 {
				racers.Go(func() {
					body := fmt.Sprint(i)
					err := createOnly(sdk, key, body)
					if err == nil {
						won.Add(1)
						winner.Store(body)
						return
					}
					wantCode(t, err, "FileAlreadyExists", http.StatusConflict)
				})
			}
			racers.Wait()
			if o, _ := s.Object(bucket, key); won.Load() != 1 || string(o.Body) != winner.Load() {
				t.Fatalf("%d winners, %q stored, %v won", won.Load(), o.Body, winner.Load())
			}
		}
	}
}

func TestCreateOnlyHasNoEffectWithVersioning(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, sdk := start(t, coslocal.Options{})
	must(t, createOnly(sdk, "k", "0"))
	seen := map[string]bool{}
	for _, status := range []string{"Enabled", "Enabled", "Suspended"} {
		_, err := sdk.Bucket.PutVersioning(ctx, &cos.BucketPutVersionOptions{Status: status})
		must(t, err)
		got, _, err := sdk.Bucket.GetVersioning(ctx)
		must(t, err)
		if got.Status != status {
			t.Errorf("versioning = %q; want %q", got.Status, status)
		}
		must(t, createOnly(sdk, "k", status))
		o, _ := s.Object(bucket, "k")
		if string(o.Body) != status || o.VersionID == "" || seen[o.VersionID] {
			t.Errorf("%s: object = %+v", status, o)
		}
		seen[o.VersionID] = true
		response, err := sdk.Object.Head(ctx, "k", nil, o.VersionID)
		must(t, err)
		if got := response.Header.Get("x-cos-version-id"); got != o.VersionID {
			t.Errorf("version id = %q; want %q", got, o.VersionID)
		}
	}
	if !seen["null"] {
		t.Errorf("versions = %v; want null when suspended", seen)
	}
	_, err := sdk.Object.Get(ctx, "k", nil, "MTIz")
	wantCode(t, err, "NoSuchVersion", 404)
	for _, version := range []string{"MTIz", "null"} { // the second is the version that is there
		if _, ok := s.Object(bucket, "k"); !ok {
			t.Error("deleted by a version that is not there")
		}
		response, err := sdk.Object.Delete(ctx, "k", &cos.ObjectDeleteOptions{VersionId: version})
		must(t, err)
		if response.Header.Get("x-cos-delete-marker") != "" || response.Header.Get("x-cos-version-id") != version {
			t.Errorf("delete of version %s: %v", version, response.Header)
		}
	}
	response, err := sdk.Object.Delete(ctx, "k")
	must(t, err)
	if response.Header.Get("x-cos-delete-marker") != "true" || len(s.Keys(bucket, "")) != 0 {
		t.Errorf("delete: %v", response.Header)
	}
}

// TestCreateOnlyIsAsked: only "true" asks for it.
func TestCreateOnlyIsAsked(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for _, test := range []struct {
		header string
		status int
	}{{"", 200}, {"false", 200}, {"true", 409}, {"True", 409}} {
		r := newRequest(t, http.MethodPut, "/k", "v")
		must(t, s.PutObject(bucket, "k", coslocal.Object{}))
		r.Header.Set("x-cos-forbid-overwrite", test.header)
		wantAnswer(t, do(s, signed(r)), test.status, "")
	}
}

// TestVersionsGrow: the clock stands still, and every version has an id of its own,
// greater than the one before.
func TestVersionsGrow(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{Clock: func() time.Time { return time.Unix(0, 100) }})
	must(t, s.SetVersioning(bucket, "Enabled"))
	var ids []string
	for range 3 {
		must(t, s.PutObject(bucket, "k", coslocal.Object{}))
		o, _ := s.Object(bucket, "k")
		id, err := base64.StdEncoding.DecodeString(o.VersionID)
		must(t, err)
		ids = append(ids, string(id))
	}
	if diff := cmp.Diff([]string{"100", "101", "102"}, ids); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

// TestVersionIDOfPut: while versioning is suspended, a PUT does not tell the id that a
// HEAD tells.
func TestVersionIDOfPut(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for _, status := range []string{"", "Enabled", "Suspended"} {
		if status != "" {
			must(t, s.SetVersioning(bucket, status))
		}
		w := do(s, signed(newRequest(t, http.MethodPut, "/k", status)))
		wantAnswer(t, w, http.StatusOK, "")
		o, _ := s.Object(bucket, "k")
		want := o.VersionID
		if status == "Suspended" {
			want = ""
		}
		if diff := cmp.Diff(want, w.Header().Get("x-cos-version-id")); diff != "" {
			t.Errorf("versioning %q: version id (-want +got):\n%s", status, diff)
		}
	}
}

func TestVersioningNeverSet(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	w := do(s, signed(newRequest(t, http.MethodGet, "/?versioning", "")))
	if want := "<?xml version='1.0' encoding='utf-8' ?>\n<VersioningConfiguration></VersioningConfiguration>"; w.Body.String() != want {
		t.Errorf("body = %q; want %q", w.Body, want)
	}
	w = do(s, signed(newRequest(t, http.MethodPut, "/?versioning", "<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>")))
	wantAnswer(t, w, http.StatusBadRequest, "MalformedXML")
	if err := s.SetVersioning(bucket, ""); err == nil {
		t.Error("versioning went back to never set")
	}
	// coscli sends "versionId=" for no version.
	must(t, s.PutObject(bucket, "k", coslocal.Object{}))
	w = do(s, signed(newRequest(t, http.MethodGet, "/k?versionId=", "")))
	wantAnswer(t, w, http.StatusOK, "")
	if got, ok := w.Header()["X-Cos-Version-Id"]; ok {
		t.Errorf("version id %q without versioning", got)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	modified := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	must(t, s.PutObject(bucket, "k", coslocal.Object{Body: []byte("0123456789"), ETag: "e1", LastModified: modified}))
	earlier, later := modified.Add(-time.Second).Format(http.TimeFormat), modified.Add(time.Second).Format(http.TimeFormat)
	same := modified.Format(http.TimeFormat)
	tests := map[string]struct {
		header [2]string
		status int
		body   string
	}{
		"If-Match hit":              {[2]string{"If-Match", `"e0", "e1"`}, 200, "0123456789"},
		"If-Match without quotes":   {[2]string{"If-Match", `e1`}, 200, "0123456789"},
		"If-Match miss":             {[2]string{"If-Match", `"e2"`}, 412, ""},
		"If-None-Match hit":         {[2]string{"If-None-Match", `W/"e1"`}, 304, ""},
		"If-None-Match any":         {[2]string{"If-None-Match", `*`}, 304, ""},
		"If-None-Match miss":        {[2]string{"If-None-Match", `"e2"`}, 200, "0123456789"},
		"If-Modified-Since earlier": {[2]string{"If-Modified-Since", earlier}, 200, "0123456789"},
		"If-Modified-Since same":    {[2]string{"If-Modified-Since", same}, 304, ""},
		"If-Modified-Since no date": {[2]string{"If-Modified-Since", "yesterday"}, 200, "0123456789"},
		"If-Unmodified-Since earl.": {[2]string{"If-Unmodified-Since", earlier}, 412, ""},
		"If-Unmodified-Since later": {[2]string{"If-Unmodified-Since", later}, 200, "0123456789"},
		"Range":                     {[2]string{"Range", "bytes=2-4"}, 206, "234"},
		"Range open":                {[2]string{"Range", "bytes=7-"}, 206, "789"},
		"Range too long":            {[2]string{"Range", "bytes=7-100"}, 206, "789"},
		"Range from the end":        {[2]string{"Range", "bytes=-3"}, 206, "789"},
		"Range longer than body":    {[2]string{"Range", "bytes=-30"}, 206, "0123456789"},
		"Range backwards":           {[2]string{"Range", "bytes=4-2"}, 200, "0123456789"},
		"Range no range":            {[2]string{"Range", "bytes=x"}, 200, "0123456789"},
		"Range two":                 {[2]string{"Range", "bytes=0-1,3-4"}, 200, "0123456789"},
		"Range of a minus":          {[2]string{"Range", "bytes=--5"}, 200, "0123456789"},
		"Range of a plus":           {[2]string{"Range", "bytes=+1-2"}, 200, "0123456789"},
		"Range to a plus":           {[2]string{"Range", "bytes=1-+2"}, 200, "0123456789"},
		"Range of a dash":           {[2]string{"Range", "bytes=-"}, 200, "0123456789"},
		"Range to beyond int64":     {[2]string{"Range", "bytes=7-99999999999999999999"}, 206, "789"},
		"Range longer than int64":   {[2]string{"Range", "bytes=-99999999999999999999"}, 206, "0123456789"},
		"Range beyond int64":        {[2]string{"Range", "bytes=99999999999999999999-"}, 416, ""},
		"Range past the end":        {[2]string{"Range", "bytes=10-"}, 416, ""},
		"Range of nothing":          {[2]string{"Range", "bytes=-0"}, 416, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(t, http.MethodGet, "/k", "")
			r.Header.Set(test.header[0], test.header[1])
			w := do(s, signed(r))
			if w.Code != test.status || w.Code < 300 && w.Body.String() != test.body {
				t.Errorf("answer = %d %q; want %d %q", w.Code, w.Body, test.status, test.body)
			}
		})
	}
}

// TestContentRange tells where the part is, and of how much.
func TestContentRange(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{Body: []byte("0123456789")}))
	for sent, want := range map[string]string{
		"": "", "bytes=x": "", "bytes=2-4": "bytes 2-4/10", "bytes=7-": "bytes 7-9/10", "bytes=-3": "bytes 7-9/10", "bytes=10-": "bytes */10",
	} {
		r := newRequest(t, http.MethodGet, "/k", "")
		r.Header.Set("Range", sent)
		if diff := cmp.Diff(want, do(s, signed(r)).Header().Get("Content-Range")); diff != "" {
			t.Errorf("%s: Content-Range (-want +got):\n%s", sent, diff)
		}
	}
}

// TestConditionsOnPutAreIgnored is what makes them dangerous: COS has no
// compare-and-swap.
func TestConditionsOnPutAreIgnored(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{Body: []byte("old")}))
	for _, header := range [][2]string{{"If-None-Match", "*"}, {"If-Match", `"other"`}} {
		r := newRequest(t, http.MethodPut, "/k", header[0])
		r.Header.Set(header[0], header[1])
		wantAnswer(t, do(s, signed(r)), http.StatusOK, "")
		if o, _ := s.Object(bucket, "k"); string(o.Body) != header[0] {
			t.Errorf("%s was honoured", header[0])
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	for _, key := range []string{"a", "a/b", "a//b", "dir/", "目录/文 件.json", "a b+c&d=e?f#g%2F", ".hidden", "...", "a/..b",
		"*", strings.Repeat("k", 850), strings.Repeat("é", 425), "a\nb", "https://a/b"} {
		_, err := sdk.Object.Put(context.Background(), key, strings.NewReader(key), nil)
		must(t, err)
		if o, ok := s.Object(bucket, key); !ok || string(o.Body) != key {
			t.Errorf("key %q: object = %+v", key, o)
		}
		got, err := sdk.Object.Get(context.Background(), key, nil)
		must(t, err)
		_ = got.Body.Close()
	}
	if requests := s.Requests(); requests[2].Key != "a/b" || requests[0].Action() != "PutObject" {
		t.Errorf("requests = %+v", requests)
	}
}

func TestKeysRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ key, code string }{
		"too long":          {strings.Repeat("k", 851), "KeyTooLong"},
		"too long in bytes": {strings.Repeat("é", 426), "KeyTooLong"},
		"leading slash":     {"/a", "InvalidObjectName"},
		"leading backslash": {`\a`, "InvalidObjectName"},
		"CAN":               {"a\x18", "InvalidObjectName"},
		"ESC":               {"a\x1bb", "InvalidObjectName"},
		"not UTF-8":         {"a\xff", "InvalidURI"},
		"dot segment":       {"a/./b", "InvalidURI"},
		"parent segment":    {"a/..", "InvalidURI"},
		"only a parent":     {"..", "InvalidURI"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory(t, coslocal.Options{})
			r := newRequest(t, http.MethodPut, "/", "body")
			r.URL.Path = "/" + test.key
			wantAnswer(t, do(s, signed(r)), http.StatusBadRequest, test.code)
			if err := s.PutObject(bucket, test.key, coslocal.Object{}); err == nil {
				t.Error("the fixture was taken")
			}
			if keys := s.Keys(bucket, ""); len(keys) > 0 {
				t.Errorf("stored %q", keys)
			}
		})
	}
}

// TestEscapedPath sends keys escaped in every way that clients do, over a connection.
func TestEscapedPath(t *testing.T) {
	t.Parallel()
	s, _ := start(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "a/b//c d", coslocal.Object{Body: []byte("found")}))
	for _, path := range []string{"/a/b//c%20d", "/a%2Fb%2F%2Fc%20d", "/%61/b/%2fc%20d"} {
		r := newRequest(t, http.MethodGet, path, "")
		response, err := s.Client().Do(signed(r))
		must(t, err)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d", path, response.StatusCode)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	for header, code := range map[string]string{
		"mQ/fVh815F3k6TAUm8m0eg==": "",
		"mQ/fVh815F3k6TAUm8m0eQ==": "BadDigest",
		"mQ/fVh815F3k6TAU":         "InvalidDigest",
		"not base64":               "InvalidDigest",
	} {
		s := newMemory(t, coslocal.Options{})
		r := newRequest(t, http.MethodPut, "/k", "ObjectContent")
		r.Header.Set("Content-MD5", header)
		status := http.StatusBadRequest
		if code == "" {
			status = http.StatusOK
		}
		wantAnswer(t, do(s, signed(r)), status, code)
		if _, ok := s.Object(bucket, "k"); ok != (code == "") {
			t.Errorf("%s: stored = %t", header, ok)
		}
	}
}

func TestBodyLength(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		length int64
		body   string
		status int
		code   string
	}{
		"chunked":          {-1, "body", 200, ""},
		"empty":            {0, "", 200, ""},
		"more than XML":    {3 << 20, strings.Repeat("x", 3<<20), 200, ""},
		"short":            {5, "body", 400, "IncompleteBody"},
		"announced 2 MB":   {2 << 20, "body", 400, "IncompleteBody"},
		"announced 5 GB +": {5<<30 + 1, "body", 400, "EntityTooLarge"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory(t, coslocal.Options{})
			r := newRequest(t, http.MethodPut, "/k", test.body)
			r.ContentLength = test.length
			wantAnswer(t, do(s, signed(r)), test.status, test.code)
			if o, ok := s.Object(bucket, "k"); ok != (test.status == 200) || string(o.Body) != test.body && ok {
				t.Errorf("object = %+v, %t", o, ok)
			}
		})
	}
}

// TestMissingContentLength needs a raw connection: Go's client always sends a length.
func TestMissingContentLength(t *testing.T) {
	t.Parallel()
	s, _ := start(t, coslocal.Options{})
	r := signed(newRequest(t, http.MethodPut, "/k", ""))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "PUT /k HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", r.URL.Host, r.Header.Get("Authorization"))
	must(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusLengthRequired {
		t.Errorf("status = %d", response.StatusCode)
	}
}

func TestEveryReplyIsCOS(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	ids := map[string]bool{}
	for _, r := range []*http.Request{
		signed(newRequest(t, http.MethodPut, "/k", "v")), signed(newRequest(t, http.MethodGet, "/k", "")),
		signed(newRequest(t, http.MethodHead, "/missing", "")), signed(newRequest(t, http.MethodGet, "/k?acl", "")),
		signed(newRequest(t, http.MethodDelete, "/k", "")), newRequest(t, http.MethodGet, "/", ""),
	} {
		w := do(s, r)
		id := w.Header().Get("x-cos-request-id")
		if w.Header().Get("Server") != "tencent-cos" || id == "" || ids[id] {
			t.Errorf("%s %s: headers = %v", r.Method, r.URL, w.Header())
		}
		ids[id] = true
		if w.Code < 400 {
			continue
		}
		if w.Header().Get("Content-Type") != "application/xml" {
			t.Errorf("%s %s: headers = %v", r.Method, r.URL, w.Header())
		}
		if body := w.Body.String(); (r.Method == http.MethodHead) != (body == "") ||
			body != "" && !strings.Contains(body, "<RequestId>"+id+"</RequestId>") {
			t.Errorf("%s %s: body = %s", r.Method, r.URL, body)
		}
	}
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	w := do(s, signed(newRequest(t, http.MethodGet, "/a%3C&b", "")))
	id := w.Header().Get("x-cos-request-id")
	want := "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>NoSuchKey</Code>\n" +
		"\t<Message>The specified key does not exist.</Message>\n" +
		"\t<Resource>" + bucket + ".cos." + region + ".localhost/a&lt;&amp;b</Resource>\n" +
		"\t<RequestId>" + id + "</RequestId>\n\t<TraceId>" + id + "</TraceId>\n</Error>\n"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// TestNotImplemented makes sure that an operation that is not there does not become one
// that is.
func TestNotImplemented(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{Body: []byte("old")}))
	for _, request := range []string{"PUT /k?acl", "PUT /k?uploadId=1&partNumber=1", "POST /k?uploads", "POST /k?append&position=0",
		"PATCH /k", "POST /k", "GET /k?imageMogr2/thumbnail/10x", "GET /?acl", "DELETE /", "GET /?versions", "PUT /?lifecycle", "POST /"} {
		method, target, _ := strings.Cut(request, " ")
		wantAnswer(t, do(s, signed(newRequest(t, method, target, "new"))), http.StatusNotImplemented, "NotImplemented")
	}
	r := newRequest(t, http.MethodPut, "/k", "")
	r.Header.Set("x-cos-copy-source", "elsewhere/k")
	wantAnswer(t, do(s, signed(r)), http.StatusNotImplemented, "NotImplemented")
	if o, _ := s.Object(bucket, "k"); string(o.Body) != "old" {
		t.Errorf("object = %+v", o)
	}
}

func TestObjectIsACopy(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	given := coslocal.Object{Body: []byte("body"), Header: http.Header{"X-Cos-Meta-A": {"1"}}, Tags: []coslocal.Tag{{"a", "b"}}}
	must(t, s.PutObject(bucket, "k", given))
	before, _ := s.Object(bucket, "k")
	for _, o := range []coslocal.Object{given, before} {
		o.Body[0], o.Tags[0].Key = 'B', "A"
		o.Header["X-Cos-Meta-A"][0] = "2"
	}
	after, _ := s.Object(bucket, "k")
	if !bytes.Equal(after.Body, []byte("body")) || after.Tags[0].Key != "a" || after.Header.Get("x-cos-meta-a") != "1" {
		t.Errorf("object = %+v", after)
	}
}

// TestStoredHeaders shows which headers of a PUT come back with the object, each of them.
func TestStoredHeaders(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	kept := map[string]string{
		"Cache-Control": "no-cache", "Content-Disposition": "inline", "Content-Encoding": "identity", "Content-Language": "zh",
		"Content-Type": "text/plain", "Expires": "Thu, 01 Dec 1994 16:00:00 GMT", "X-Cos-Storage-Class": "STANDARD_IA", "X-Cos-Meta-A": "b",
	}
	put := newRequest(t, http.MethodPut, "/a", "v")
	put.Header.Set("X-Other", "not kept")
	for name, value := range kept {
		put.Header.Set(name, value)
	}
	wantAnswer(t, do(s, signed(put)), http.StatusOK, "")
	answer := do(s, signed(newRequest(t, http.MethodGet, "/a", "")))
	for name, value := range kept {
		if got := answer.Header().Get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
	if got := answer.Header().Get("X-Other"); got != "" {
		t.Errorf("X-Other = %q", got)
	}
}
