package coslocal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

func putTags(sdk *cos.Client, key string, tags ...cos.ObjectTaggingTag) error {
	_, err := sdk.Object.PutTagging(context.Background(), key, &cos.ObjectPutTaggingOptions{TagSet: tags})
	return err
}

func TestObjectTagging(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, sdk := start(t, coslocal.Options{})
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	must(t, s.PutObject(bucket, "out/a b.mp4", coslocal.Object{Body: []byte("v"), ETag: "e-2", LastModified: modified}))

	got, _, err := sdk.Object.GetTagging(ctx, "out/a b.mp4")
	must(t, err)
	if got.XMLName.Local != "Tagging" || len(got.TagSet) != 0 {
		t.Errorf("untagged object: %+v", got)
	}
	must(t, putTags(sdk, "out/a b.mp4", cos.ObjectTaggingTag{Key: "old", Value: "1"}))
	want := []cos.ObjectTaggingTag{{Key: "md5", Value: "abc"}, {Key: "标签 <&", Value: "v"}}
	wantCode(t, putTags(sdk, "out/a b.mp4", want...), "InvalidTag", 400)
	want[1].Key = "标签 +-_=/.:@"
	must(t, putTags(sdk, "out/a b.mp4", want...))
	got, _, err = sdk.Object.GetTagging(ctx, "out/a b.mp4")
	must(t, err)
	if diff := cmp.Diff(want, got.TagSet); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	o, _ := s.Object(bucket, "out/a b.mp4")
	if o.ETag != `"e-2"` || !o.LastModified.Equal(modified) || string(o.Body) != "v" {
		t.Errorf("tagging changed the object: %+v", o)
	}
	head, err := sdk.Object.Head(ctx, "out/a b.mp4", nil)
	must(t, err)
	if got := head.Header.Get("x-cos-tagging-count"); got != "2" {
		t.Errorf("tagging count = %q", got)
	}

	response, err := sdk.Object.DeleteTagging(ctx, "out/a b.mp4")
	must(t, err)
	if o, _ := s.Object(bucket, "out/a b.mp4"); len(o.Tags) != 0 || response.StatusCode != http.StatusNoContent {
		t.Errorf("after delete: %d, %+v", response.StatusCode, o)
	}
}

func TestTaggingOfMissingObject(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	_, _, err := sdk.Object.GetTagging(context.Background(), "k")
	wantCode(t, err, "NoSuchKey", 404)
	wantCode(t, putTags(sdk, "k", cos.ObjectTaggingTag{Key: "a", Value: "b"}), "NoSuchKey", 404)
	_, err = sdk.Object.DeleteTagging(context.Background(), "k")
	wantCode(t, err, "NoSuchKey", 404)
	if err := s.SetTags(bucket, "k", nil); !errors.Is(err, coslocal.ErrNoSuchKey) {
		t.Errorf("SetTags: %v", err)
	}
	if keys := s.Keys(bucket, ""); len(keys) != 0 {
		t.Errorf("tagging made %q", keys)
	}
}

func TestTagLimits(t *testing.T) {
	t.Parallel()
	many := func(n int) (tags []coslocal.Tag) {
		for i := range n {
			tags = append(tags, coslocal.Tag{Key: fmt.Sprint(i), Value: "v"})
		}
		return tags
	}
	one := func(key, value string) []coslocal.Tag { return []coslocal.Tag{{Key: key, Value: value}} }
	tests := map[string]struct {
		tags []coslocal.Tag
		fine bool
	}{
		"none":                {nil, true},
		"ten":                 {many(10), true},
		"eleven":              {many(11), false},
		"key of 127":          {one(strings.Repeat("标", 127), "v"), true},
		"key of 128":          {one(strings.Repeat("k", 128), "v"), false},
		"empty key":           {one("", "v"), false},
		"value of 255":        {one("k", strings.Repeat("签", 255)), true},
		"value of 256":        {one("k", strings.Repeat("v", 256)), false},
		"empty value":         {one("k", ""), false},
		"every character":     {one("azAZ09 +-_=/.:@", "标签"), true},
		"comma":               {one("a,b", "v"), false},
		"tilde":               {one("k", "~"), false},
		"accent":              {one("é", "v"), false},
		"newline":             {one("k", "a\nb"), false},
		"twice the same":      {append(one("k", "1"), one("k", "2")...), false},
		"differ in case only": {append(one("k", "1"), one("K", "2")...), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, sdk := start(t, coslocal.Options{})
			before := []coslocal.Tag{{Key: "before", Value: "1"}}
			must(t, s.PutObject(bucket, "k", coslocal.Object{Tags: before}))
			var tags []cos.ObjectTaggingTag
			for _, tag := range test.tags {
				tags = append(tags, cos.ObjectTaggingTag{Key: tag.Key, Value: tag.Value})
			}
			err := putTags(sdk, "k", tags...)
			o, _ := s.Object(bucket, "k")
			if !test.fine {
				wantCode(t, err, "InvalidTag", 400)
				if diff := cmp.Diff(before, o.Tags); diff != "" {
					t.Errorf("tags (-want +got):\n%s", diff)
				}
			} else if diff := cmp.Diff(len(test.tags), len(o.Tags)); err != nil || diff != "" {
				t.Errorf("%v; number of tags (-want +got):\n%s", err, diff)
			}
			if err := s.SetTags(bucket, "k", test.tags); (err == nil) != test.fine {
				t.Errorf("SetTags: %v", err)
			}
			if err := s.PutObject(bucket, "k2", coslocal.Object{Tags: test.tags}); (err == nil) != test.fine {
				t.Errorf("PutObject: %v", err)
			}
		})
	}
}

func TestBucketTagLimit(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	for _, n := range []int{50, 51} {
		var tags strings.Builder
		for i := range n {
			fmt.Fprintf(&tags, "<Tag><Key>%d</Key><Value>v</Value></Tag>", i)
		}
		status, code := http.StatusNoContent, ""
		if n > 50 {
			status, code = http.StatusBadRequest, "InvalidTag"
		}
		wantAnswer(t, do(s, signed(newRequest(t, http.MethodPut, "/?tagging",
			"<Tagging><TagSet>"+tags.String()+"</TagSet></Tagging>"))), status, code)
		if diff := cmp.Diff(50, len(s.BucketTags(bucket))); diff != "" {
			t.Errorf("%d sent: number of tags (-want +got):\n%s", n, diff)
		}
	}
}

func TestTaggingBodies(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		"":                                     "MissingRequestBodyError",
		"<Tagging><TagSet></TagSet></Tagging>": "",
		"<Tagging><TagSet/></Tagging> <!-- a comment -->\n":                                                          "",
		`<?xml version="1.0"?><Tagging xmlns="x"><TagSet><Tag><Value>v</Value><Key>k</Key></Tag></TagSet></Tagging>`: "",
		"<Tagging></Tagging>": "MalformedXML",
		"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>":                "MalformedXML",
		"<Tagging><TagSet><Tag><Value>v</Value></Tag></TagSet></Tagging>":            "MalformedXML",
		"<Other><TagSet/></Other>":                                                   "MalformedXML",
		"<Tagging><TagSet></Tagging>":                                                "MalformedXML",
		"<Tagging><TagSet/></Tagging>more":                                           "MalformedXML",
		"<Tagging><TagSet/></Tagging><Tagging/>":                                     "MalformedXML",
		"<Tagging><TagSet/></Tagging></x>":                                           "MalformedXML",
		`{"TagSet":[]}`:                                                              "MalformedXML",
		"<Tagging><TagSet><Tag><Key>k</Key><Value></Value></Tag></TagSet></Tagging>": "InvalidTag",
		strings.Repeat(" ", 2<<20+1):                                                 "EntityTooLarge",
	} {
		s := newMemory(t, coslocal.Options{})
		must(t, s.PutObject(bucket, "k", coslocal.Object{}))
		status := http.StatusBadRequest
		if code == "" {
			status = http.StatusOK
		}
		wantAnswer(t, do(s, signed(newRequest(t, http.MethodPut, "/k?tagging", body))), status, code)
	}
}

func TestTaggingDigest(t *testing.T) {
	t.Parallel()
	s := newMemory(t, coslocal.Options{})
	must(t, s.PutObject(bucket, "k", coslocal.Object{}))
	r := newRequest(t, http.MethodPut, "/k?tagging", "<Tagging><TagSet/></Tagging>")
	r.Header.Set("Content-MD5", "mQ/fVh815F3k6TAUm8m0eg==")
	wantAnswer(t, do(s, signed(r)), http.StatusBadRequest, "BadDigest")
}

func TestTaggingHeaderRefused(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"a", "a=", "=b", "a=b&a=c", "a=b&", "a=%", "a=b%2C"} {
		s := newMemory(t, coslocal.Options{})
		r := newRequest(t, http.MethodPut, "/k", "body")
		r.Header.Set("x-cos-tagging", header)
		wantAnswer(t, do(s, signed(r)), http.StatusBadRequest, "InvalidTag")
		if _, ok := s.Object(bucket, "k"); ok {
			t.Errorf("%s: stored", header)
		}
	}
}

// TestEmptyKeyTagsTheBucket is the trap that the SDK sets: an empty or odd key becomes a
// request on the bucket.
func TestEmptyKeyTagsTheBucket(t *testing.T) {
	t.Parallel()
	s, sdk := start(t, coslocal.Options{})
	_, _, err := sdk.Bucket.GetTagging(context.Background())
	wantCode(t, err, "NoSuchTagSet", 404)
	must(t, putTags(sdk, "..", cos.ObjectTaggingTag{Key: "a", Value: "b"}))
	if diff := cmp.Diff([]coslocal.Tag{{Key: "a", Value: "b"}}, s.BucketTags(bucket)); diff != "" {
		t.Errorf("bucket tags (-want +got):\n%s", diff)
	}
	got, _, err := sdk.Bucket.GetTagging(context.Background())
	must(t, err)
	if len(got.TagSet) != 1 {
		t.Errorf("bucket tags = %+v", got.TagSet)
	}
	if r := s.Requests()[1]; r.Action() != "PutBucketTagging" || r.Key != "" {
		t.Errorf("request = %+v", r)
	}
	_, err = sdk.Bucket.DeleteTagging(context.Background())
	must(t, err)
	if tags := s.BucketTags(bucket); len(tags) != 0 {
		t.Errorf("bucket tags = %v", tags)
	}
}

// TestTaggingVersion names the version in each answer about the tags of an object, if the
// bucket was ever versioned.
func TestTaggingVersion(t *testing.T) {
	t.Parallel()
	const body = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
	s := newMemory(t, coslocal.Options{})
	for _, versioned := range []bool{false, true} {
		if versioned {
			must(t, s.SetVersioning(bucket, "Enabled"))
		}
		must(t, s.PutObject(bucket, "a", coslocal.Object{}))
		want, _ := s.Object(bucket, "a")
		for _, request := range []*http.Request{
			newRequest(t, http.MethodPut, "/a?tagging", body), newRequest(t, http.MethodGet, "/a?tagging", ""),
			newRequest(t, http.MethodDelete, "/a?tagging", ""),
		} {
			got := do(s, signed(request)).Header().Get("x-cos-version-id")
			if got != want.VersionID || (got != "") != versioned {
				t.Errorf("%s: version %q, want %q", request.Method, got, want.VersionID)
			}
		}
	}
}
