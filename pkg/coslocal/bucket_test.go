package coslocal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.CreateBucket("regional-1250000000", "ap-beijing"))
	tests := map[string]bool{
		"examplebucket-1250000000.cos.ap-beijing.localhost:9000":         true,
		"examplebucket-1250000000.cos.ap-anywhere.localhost":             true,
		"ExampleBucket-1250000000.COS.ap-beijing.LocalHost":              true,
		"examplebucket-1250000000.cos.ap-beijing.myqcloud.com":           true,
		"examplebucket-1250000000.cos.ap-beijing.tencentcos.cn":          true,
		"examplebucket-1250000000.cos-internal.ap-beijing.tencentcos.cn": true,
		"regional-1250000000.cos.ap-beijing.localhost":                   true,
		"regional-1250000000.cos.ap-guangzhou.localhost":                 false,
		"other-1250000000.cos.ap-beijing.localhost":                      false,
		"examplebucket-1250000000.localhost":                             false,
		"examplebucket-1250000000.cos.localhost":                         false,
		"examplebucket-1250000000.s3.ap-beijing.localhost":               false,
		"127.0.0.1:9000":           false,
		"cos.ap-beijing.localhost": false,
		"examplebucket-1250000000.cos-website.ap-beijing.myqcloud.com":         false,
		"extra.examplebucket-1250000000.cos.ap-beijing.myqcloud.com.localhost": false,
	}
	for host, found := range tests {
		r := newRequest(t, http.MethodHead, "/", "")
		r.Host = host
		status := http.StatusNotFound
		if found {
			status = http.StatusOK
		}
		if w := do(s, signed(r)); w.Code != status {
			t.Errorf("%s: status %d; want %d", host, w.Code, status)
		}
	}
}

func TestNoSuchBucket(t *testing.T) {
	t.Parallel()
	s, _ := start(t, coslocal.Options{})
	must(t, s.CreateBucket("regional-1250000000", "ap-guangzhou"))
	for _, name := range []string{"missing-1250000000", "regional-1250000000"} {
		sdk := clientFor(t, s, coslocal.DefaultCredential(), name, region)
		_, err := sdk.Object.Put(context.Background(), "k", strings.NewReader("v"), nil)
		wantCode(t, err, "NoSuchBucket", 404)
		_, _, err = sdk.Object.GetTagging(context.Background(), "k")
		wantCode(t, err, "NoSuchBucket", 404)
	}
	for name, err := range map[string]error{
		"PutObject":     s.PutObject("missing-1250000000", "k", coslocal.Object{}),
		"DeleteObject":  s.DeleteObject("missing-1250000000", "k"),
		"SetTags":       s.SetTags("missing-1250000000", "k", nil),
		"SetVersioning": s.SetVersioning("missing-1250000000", "Enabled"),
	} {
		if !errors.Is(err, coslocal.ErrNoSuchBucket) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := s.Object("missing-1250000000", "k"); ok || s.Keys("missing-1250000000", "") != nil || s.BucketTags("missing-1250000000") != nil {
		t.Error("found something in a bucket that is not there")
	}
}

func TestCreateBucket(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	for _, name := range []string{"", "noappid", "Upper-1250000000", "-a-1250000000", "a.b-1250000000", "a-", "../a-1"} {
		if s.CreateBucket(name, "") == nil {
			t.Errorf("created %q", name)
		}
	}
	must(t, s.CreateBucket("second-1250000000", "ap-beijing"))
	must(t, s.CreateBucket("second-1250000000", "ap-beijing"))
	if s.CreateBucket("second-1250000000", "ap-guangzhou") == nil {
		t.Error("a bucket has two regions")
	}
	if diff := cmp.Diff([]string{bucket, "second-1250000000"}, s.Buckets()); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	_, err := sdk.Bucket.Put(context.Background(), nil)
	wantCode(t, err, "BucketAlreadyOwnedByYou", 409)
	response, err := sdk.Bucket.Head(context.Background())
	must(t, err)
	if got := response.Header.Get("x-cos-bucket-region"); got != region {
		t.Errorf("region = %q", got)
	}
}

// TestListPages goes through every page size, as the SDK would.
func TestListPages(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	keys := []string{"a", "a/", "a/1", "a/2", "a/2/x", "a0", "b/1", "b/2", "c", "目录/一", "目录/二"}
	for _, key := range keys {
		must(t, s.PutObject(bucket, key, coslocal.Object{Body: []byte(key)}))
	}
	tests := map[string]struct {
		options cos.BucketGetOptions
		want    []string
	}{
		"everything":            {cos.BucketGetOptions{}, keys},
		"prefix":                {cos.BucketGetOptions{Prefix: "a/"}, []string{"a/", "a/1", "a/2", "a/2/x"}},
		"delimiter":             {cos.BucketGetOptions{Delimiter: "/"}, []string{"a", "a/…", "a0", "b/…", "c", "目录/…"}},
		"prefix and delimiter":  {cos.BucketGetOptions{Prefix: "a/", Delimiter: "/"}, []string{"a/", "a/1", "a/2", "a/2/…"}},
		"prefix is a whole key": {cos.BucketGetOptions{Prefix: "a", Delimiter: "/"}, []string{"a", "a/…", "a0"}},
		"marker":                {cos.BucketGetOptions{Marker: "a0"}, []string{"b/1", "b/2", "c", "目录/一", "目录/二"}},
		"marker is in a prefix": {cos.BucketGetOptions{Marker: "b/1", Delimiter: "/"}, []string{"c", "目录/…"}},
		"nothing":               {cos.BucketGetOptions{Prefix: "z"}, nil},
		"encoded":               {cos.BucketGetOptions{Prefix: "目", EncodingType: "url", Delimiter: "/"}, []string{"目录/…"}},
	}
	for name, test := range tests {
		for size := 1; size <= len(keys)+1; size++ {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				t.Parallel()
				options := test.options
				options.MaxKeys = size
				if got := listAll(t, sdk, options); !cmp.Equal(test.want, got) {
					t.Errorf("listed %q; want %q", got, test.want)
				}
			})
		}
	}
}

// listAll follows the markers; a common prefix is marked by an ellipsis.
func listAll(t *testing.T, sdk *cos.Client, options cos.BucketGetOptions) []string {
	t.Helper()
	var names []string
	for range 100 {
		page, _, err := sdk.Bucket.Get(context.Background(), &options)
		must(t, err)
		if len(page.Contents)+len(page.CommonPrefixes) > options.MaxKeys || page.IsTruncated != (page.NextMarker != "") {
			t.Errorf("page = %+v", page)
		}
		names = append(names, namesOf(t, page)...)
		if !page.IsTruncated {
			return names
		}
		if options.Marker = page.NextMarker; page.EncodingType == "url" {
			options.Marker, err = cos.DecodeURIComponent(page.NextMarker)
			must(t, err)
		}
	}
	t.Fatal("the list has no end")
	return nil
}

// namesOf puts keys and common prefixes back into the order in which pages are filled.
func namesOf(t *testing.T, page *cos.BucketGetResult) []string {
	t.Helper()
	decode := func(s string) string { return s }
	if page.EncodingType == "url" {
		decode = func(s string) string {
			d, err := cos.DecodeURIComponent(s)
			must(t, err)
			return d
		}
	}
	var names []string
	prefixes := page.CommonPrefixes
	for _, o := range page.Contents {
		for len(prefixes) > 0 && prefixes[0] < o.Key {
			names, prefixes = append(names, decode(prefixes[0])+"…"), prefixes[1:]
		}
		names = append(names, decode(o.Key))
	}
	for _, prefix := range prefixes {
		names = append(names, decode(prefix)+"…")
	}
	return names
}

func TestListBody(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for i := range 1002 {
		must(t, s.PutObject(bucket, fmt.Sprintf("%04d", i), coslocal.Object{}))
	}
	w := do(s, signed(newRequest(t, http.MethodGet, "/?max-keys=5000", "")))
	for _, want := range []string{"<ListBucketResult><Name>" + bucket + "</Name>", "<MaxKeys>1000</MaxKeys>",
		"<IsTruncated>true</IsTruncated><NextMarker>0999</NextMarker>", ".000Z</LastModified>",
		"<ETag>&#34;d41d8cd98f00b204e9800998ecf8427e&#34;</ETag>", "<StorageClass>STANDARD</StorageClass>"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %.600s", want, w.Body)
		}
	}
	for _, query := range []string{"max-keys=x", "max-keys=-1", "encoding-type=base64"} {
		wantAnswer(t, do(s, signed(newRequest(t, http.MethodGet, "/?"+query, ""))), http.StatusBadRequest, "InvalidArgument")
	}
	w = do(s, signed(newRequest(t, http.MethodGet, "/?max-keys=0", "")))
	if !strings.Contains(w.Body.String(), "<IsTruncated>false</IsTruncated>") {
		t.Errorf("max-keys=0: %s", w.Body)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for request, want := range map[string]string{
		"PUT /k": "PutObject", "GET /k": "GetObject", "HEAD /k": "HeadObject", "DELETE /k": "DeleteObject",
		"PUT /k?tagging": "PutObjectTagging", "GET /k?tagging=": "GetObjectTagging", "DELETE /k?tagging": "DeleteObjectTagging",
		"GET /": "GetBucket", "GET /?prefix=a": "GetBucket", "HEAD /": "HeadBucket", "PUT /": "PutBucket", "DELETE /": "DeleteBucket",
		"GET /?versioning": "GetBucketVersioning", "PUT /?versioning": "PutBucketVersioning", "POST /?delete": "DeleteMultipleObjects",
		"GET /?tagging": "GetBucketTagging", "PUT /?tagging": "PutBucketTagging", "DELETE /?tagging": "DeleteBucketTagging",
		"GET /k?acl": "", "POST /k": "", "PUT /k?uploadId=1": "",
	} {
		s.ResetRequests()
		method, target, _ := strings.Cut(request, " ")
		do(s, newRequest(t, method, target, ""))
		if got := s.Requests()[0].Action(); got != want {
			t.Errorf("%s: action %q; want %q", request, got, want)
		}
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{KeepRequests: 3})
	for i := range 10 {
		r := newRequest(t, http.MethodPut, fmt.Sprintf("/%d?a=1%%2B1&&%%62=x;y&c=%%", i), "body")
		r.Header.Set("x-cos-meta-i", fmt.Sprint(i))
		do(s, signed(r))
	}
	do(s, newRequest(t, http.MethodGet, "/9", ""))
	requests := s.Requests()
	if len(requests) != 3 || s.RequestCount() != 11 {
		t.Fatalf("%d of %d requests", len(requests), s.RequestCount())
	}
	r := requests[1]
	if diff := cmp.Diff(url.Values{"a": {"1+1"}, "b": {"x;y"}, "c": {"%"}}, r.Query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if r.Key != "9" || r.Header.Get("x-cos-meta-i") != "9" || r.Status != 200 || r.ContentLength != 4 ||
		r.Bucket != bucket || r.Region != region || r.Host != bucket+".cos."+region+".localhost" || r.Time.IsZero() {
		t.Errorf("request = %+v", r)
	}
	if requests[2].Status != http.StatusForbidden {
		t.Errorf("request = %+v", requests[2])
	}
	s.ResetRequests()
	if len(s.Requests()) != 0 || s.RequestCount() != 0 {
		t.Error("requests were kept")
	}
}

func TestDeny(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{}))
	s.Deny(func(r coslocal.Request) bool { return r.Action() == "GetObjectTagging" })
	_, _, err := sdk.Object.GetTagging(context.Background(), "k")
	wantCode(t, err, "AccessDenied", 403)
	_, err = sdk.Object.Head(context.Background(), "k", nil)
	must(t, err)
	s.Deny(nil)
	_, _, err = sdk.Object.GetTagging(context.Background(), "k")
	must(t, err)
}

// TestBucketNames takes the names that COS takes, at the limits too.
func TestBucketNames(t *testing.T) {
	t.Parallel()
	s, err := coslocal.New(coslocal.Options{})
	must(t, err)
	for name, taken := range map[string]bool{
		"a-1": true, "a-b-1": true, "0-0": true, strings.Repeat("a", 50) + "-1": true,
		"": false, "a": false, "-1": false, "a-": false, "a--1": false, "ab--1": false, "-a-1": false, "A-1": false, "a_b-1": false,
		"a.b-1": false, "a-1x": false, strings.Repeat("a", 51) + "-1": false, "é-1": false, "a/b-1": false,
	} {
		if err := s.CreateBucket(name, ""); (err == nil) != taken {
			t.Errorf("bucket %q: %v", name, err)
		}
	}
}
