package store_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
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

func TestTagOutput(t *testing.T) {
	t.Parallel()
	stale := coslocal.Tag{Key: "md5", Value: strings.Repeat("0", 32)}
	multipart := coslocal.Object{Body: content, ETag: md5Of(page) + "-3"}
	tests := []struct {
		name   string
		object coslocal.Object // the zero value: as the job wrote it
		tags   []coslocal.Tag
		ended  time.Time
		want   store.TagOutcome
		after  []coslocal.Tag
		steps  int
	}{
		{"no_tags", coslocal.Object{}, nil, ended, store.Tagged, []coslocal.Tag{mine}, 3},
		{"merged", coslocal.Object{}, []coslocal.Tag{theirs, others}, ended, store.Tagged, []coslocal.Tag{theirs, others, mine}, 3},
		{"replaced_in_place", coslocal.Object{}, []coslocal.Tag{theirs, stale, others}, ended, store.Tagged, []coslocal.Tag{theirs, mine, others}, 3},
		{"key_in_another_case", coslocal.Object{}, []coslocal.Tag{{Key: "MD5", Value: "x"}}, ended, store.Tagged, []coslocal.Tag{{Key: "MD5", Value: "x"}, mine}, 3},
		{"unchanged", coslocal.Object{}, []coslocal.Tag{theirs, mine}, ended, store.Unchanged, []coslocal.Tag{theirs, mine}, 2},
		{"nine_tags", coslocal.Object{}, bigTags(9), ended, store.Tagged, append(bigTags(9), mine), 3},
		{"ten_tags", coslocal.Object{}, bigTags(10), ended, store.Skipped, bigTags(10), 2},
		{"ten_tags_with_ours", coslocal.Object{}, append(bigTags(9), stale), ended, store.Tagged, append(bigTags(9), mine), 3},
		{"ten_tags_unchanged", coslocal.Object{}, append(bigTags(9), mine), ended, store.Unchanged, append(bigTags(9), mine), 2},
		{"written_as_the_job_ended", multipart, nil, ended, store.Tagged, []coslocal.Tag{mine}, 3},
		{"written_within_five_minutes", modified(multipart, 5*time.Minute), nil, ended, store.Tagged, []coslocal.Tag{mine}, 3},
		{"overwritten", modified(multipart, 5*time.Minute+time.Second), nil, ended, store.Skipped, nil, 2},
		{"overwritten_with_tags", modified(multipart, time.Hour), []coslocal.Tag{theirs, stale}, ended, store.Skipped, []coslocal.Tag{theirs, stale}, 2},
		{"older_than_the_job", modified(multipart, -24*time.Hour), nil, ended, store.Tagged, []coslocal.Tag{mine}, 3},
		{"same_bytes_much_later", modified(coslocal.Object{Body: content}, 24*time.Hour), nil, ended, store.Tagged, []coslocal.Tag{mine}, 3},
		{"same_bytes_upper_case", modified(coslocal.Object{Body: content, ETag: strings.ToUpper(md5Of(content))}, 24*time.Hour), nil, ended, store.Tagged, []coslocal.Tag{mine}, 3},
		{"end_not_known", modified(multipart, 24*time.Hour), nil, time.Time{}, store.Tagged, []coslocal.Tag{mine}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := test.object
			if o.Body == nil {
				o.Body = content
			}
			if o.LastModified.IsZero() {
				o.LastModified = ended
			}
			o.Tags = test.tags
			w.put(t, media, object, o)
			s := w.open(t, options())
			tag, err := s.TagOutput(t.Context(), output(), test.ended)
			if err != nil || tag.Outcome != test.want || (tag.Reason != "") != (test.want == store.Skipped) {
				t.Errorf("TagOutput = %+v, %v; want %s", tag, err, test.want)
			}
			if tag.Bucket != media || tag.Object != object {
				t.Errorf("TagOutput = %+v; want it to name %s/%s", tag, media, object)
			}
			w.wantTags(t, test.after...)
			if n := len(w.steps()); n != test.steps || s.Requests() != int64(n) {
				t.Errorf("requests %v, %d counted; want %d", w.steps(), s.Requests(), test.steps)
			}
			stored, _ := w.Object(media, object)
			if diff := cmp.Diff(string(content), string(stored.Body)); diff != "" {
				t.Errorf("the object changed (-want +got):\n%s", diff)
			}
		})
	}
}

func modified(o coslocal.Object, after time.Duration) coslocal.Object {
	o.LastModified = ended.Add(after)
	return o
}

// What is missing is skipped, whichever of the three requests shows it.
func TestTagMissingObject(t *testing.T) {
	t.Parallel()
	elsewhere := output()
	elsewhere.Bucket = "nowhere-" + appID
	tests := []struct {
		name  string
		out   model.Output
		fault coslocal.Fault
		there bool
	}{
		{"no_object", output(), coslocal.Fault{}, false},
		{"no_bucket", elsewhere, coslocal.Fault{}, false},
		{"gone_at_head", output(), coslocal.Fault{Match: at(head), Status: 404}, true},
		{"gone_at_get", output(), coslocal.Fault{Match: at(getTags), Status: 404}, true},
		{"gone_at_put", output(), coslocal.Fault{Match: at(putTags), Status: 404}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.there {
				w.putOutput(t, theirs)
			}
			w.Inject(test.fault)
			tag, err := w.open(t, options()).TagOutput(t.Context(), test.out, ended)
			if tag.Outcome != store.Skipped || tag.Reason == "" || err != nil {
				t.Errorf("TagOutput = %+v, %v; want skipped", tag, err)
			}
			if test.there {
				w.wantTags(t, theirs)
			}
		})
	}
}

// A page that says 404 is no word of COS on the object: the tag is not given up. (The
// answer to a HEAD has no body that could tell.)
func TestTagBehindPage404(t *testing.T) {
	t.Parallel()
	for _, on := range []string{getTags, putTags} {
		w := newWorld(t)
		w.putOutput(t, theirs)
		w.Inject(coslocal.Fault{Match: at(on), Status: 404, Body: page})
		if tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended); tag.Outcome != store.Failed || !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("%s: TagOutput = %+v, %v; want failed, ErrMisconfigured", on, tag, err)
		}
		w.wantTags(t, theirs)
	}
}

// An answer to GET ?tagging that is no tag set is never taken for an empty one,
// however often it comes.
func TestTagsThatAreNone(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"empty":      "",
		"space":      "\n",
		"json":       `{"TagSet":[]}`,
		"json_array": `[]`,
		"text":       "OK",
		"page":       string(page),
		"page_xhtml": `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head/></html>`,
		"other_xml":  `<Error><Code>SlowDown</Code></Error>`,
		"lower_case": `<tagging><tagset></tagset></tagging>`,
		"half":       `<?xml version='1.0'?><Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag>`,
		"broken":     `<Tagging><TagSet></Tagging></TagSet>`,
		"encoding":   `<?xml version="1.0" encoding="GBK"?><Tagging><TagSet></TagSet></Tagging>`,
		"comment":    `<!-- <Tagging/> -->`,
		"no_set":     `<Tagging></Tagging>`,
		"no_set_but": `<Tagging><error>internal</error></Tagging>`,
		"tag_alone":  `<Tagging><Tag><Key>a</Key><Value>b</Value></Tag></Tagging>`,
		"other_case": `<Tagging><Tagset></Tagset></Tagging>`,
		"two_sets":   `<Tagging><TagSet></TagSet><TagSet></TagSet></Tagging>`,
		"too_long":   `<Tagging><TagSet></TagSet></Tagging>` + strings.Repeat(" ", 1<<20),
		"no_key":     `<Tagging><TagSet><Tag><Value>b</Value></Tag></TagSet></Tagging>`,
		"binary":     "\x1f\x8b\x00\x00",
	}
	for name, answer := range answers {
		for _, header := range []http.Header{nil, {"X-Cos-Request-Id": {"x"}, "Content-Type": {"application/xml"}}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.putOutput(t, theirs)
					w.Inject(coslocal.Fault{Match: at(getTags), Body: []byte(answer), Header: header})
					o := options()
					o.Backoff = nil
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					tag, err := w.open(t, o).TagOutput(ctx, output(), ended)
					if tag.Outcome != store.Failed || tag.Reason == "" || err == nil {
						t.Errorf("TagOutput = %+v, %v; want failed", tag, err)
					}
					w.wantTags(t, theirs)
					for _, step := range w.steps() {
						if step == putTags {
							t.Fatalf("put over a set that was not read: %v", w.steps())
						}
					}
				})
			})
		}
	}
}

// What is no tag set for good is the endpoint's fault, and the whole time is not spent on it.
func TestTagsThatAreNoneForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putOutput(t, theirs)
	w.Inject(coslocal.Fault{Match: at(getTags), Body: []byte("{}")})
	tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended)
	if tag.Outcome != store.Failed || !errors.Is(err, cosclient.ErrMisconfigured) {
		t.Errorf("TagOutput = %+v, %v; want failed, ErrMisconfigured", tag, err)
	}
	if n := w.RequestCount(); n != 4 {
		t.Errorf("%d requests: %v; want HEAD and three GETs", n, w.steps())
	}
}

// A set that was read once is not put again where reading it again, after a fault, gives
// none.
func TestTagsThatAreNoneAfterAFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putOutput(t, theirs)
	w.Inject(coslocal.Fault{Match: at(putTags), Nth: 1, Status: 503})
	var reads atomic.Int64
	w.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return at(getTags)(r) && reads.Add(1) > 1 }, Body: []byte("{}")})
	tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended)
	if tag.Outcome != store.Failed || !errors.Is(err, cosclient.ErrMisconfigured) {
		t.Errorf("TagOutput = %+v, %v; want failed, ErrMisconfigured", tag, err)
	}
	w.wantTags(t, theirs)
}

// That an object was overwritten is known, whatever became of its tags.
func TestOverwrittenAndTagsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, media, object, coslocal.Object{Body: page, LastModified: ended.Add(time.Hour), Tags: []coslocal.Tag{theirs}})
	w.Inject(coslocal.Fault{Match: at(getTags), Status: 403})
	if tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended); tag.Outcome != store.Skipped || err != nil {
		t.Errorf("TagOutput = %+v, %v; want skipped", tag, err)
	}
}

// Two documented answers for an object without tags.
func TestUntagged(t *testing.T) {
	t.Parallel()
	faults := map[string]coslocal.Fault{
		"no_such_tag_set": {Match: at(getTags), Status: 404, Code: "NoSuchTagSet"},
		"empty_set":       {},
	}
	for name, fault := range faults {
		w := newWorld(t)
		w.putOutput(t)
		w.Inject(fault)
		if tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended); tag.Outcome != store.Tagged || err != nil {
			t.Errorf("%s: TagOutput = %+v, %v; want tagged", name, tag, err)
		}
		w.wantTags(t, mine)
	}
}

// A tag that another writes after our set was read is lost to nobody's knowledge, which
// only a compare-and-swap could prevent; after a fault the set is read again.
func TestTagBesideOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putOutput(t, theirs)
	w.Inject(coslocal.Fault{Match: at(putTags), Nth: 1, Status: 503})
	w.before(getTags, 2, func() {
		if err := w.SetTags(media, object, []coslocal.Tag{others}); err != nil {
			t.Error(err)
		}
	})
	if tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended); tag.Outcome != store.Tagged || err != nil {
		t.Errorf("TagOutput = %+v, %v; want tagged", tag, err)
	}
	w.wantTags(t, others, mine)
	w.wantSafe(t)
}

// The tenth tag comes while ours is on its way.
func TestTagTooManyAfterFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putOutput(t, bigTags(9)...)
	w.Inject(coslocal.Fault{Match: at(putTags), Nth: 1, Reset: true})
	w.before(getTags, 2, func() {
		if err := w.SetTags(media, object, bigTags(10)); err != nil {
			t.Error(err)
		}
	})
	if tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended); tag.Outcome != store.Skipped || err != nil {
		t.Errorf("TagOutput = %+v, %v; want skipped", tag, err)
	}
	w.wantTags(t, bigTags(10)...)
}

func TestTagRefused(t *testing.T) {
	t.Parallel()
	for _, on := range []struct{ step, action string }{
		{head, "HeadObject"}, {getTags, "GetObjectTagging"}, {putTags, "PutObjectTagging"},
	} {
		w := newWorld(t)
		w.putOutput(t, theirs)
		w.Deny(at(on.step))
		tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended)
		if tag.Outcome != store.Failed || !errors.Is(err, cosclient.ErrMisconfigured) {
			t.Errorf("%s: TagOutput = %+v, %v; want failed, ErrMisconfigured", on.step, tag, err)
		}
		if !strings.Contains(tag.Reason, "grant name/cos:"+on.action+" ") {
			t.Errorf("%s: reason = %q; want it to name %s", on.step, tag.Reason, on.action)
		}
		w.wantTags(t, theirs)
	}
}

// A panic while tags are read, in a goroutine of the store's own, ends nothing.
func TestTagPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putOutput(t, theirs)
	w.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
		if step(r) == getTags {
			panic("a bug")
		}
		return false
	}})
	tag, err := w.open(t, options()).TagOutput(t.Context(), output(), ended)
	if p, ok := errors.AsType[*parallel.PanicError](err); !ok || p.Value != "a bug" || len(p.Stack) == 0 {
		t.Errorf("TagOutput = %+v, %v; want the panic", tag, err)
	}
	if errors.Is(err, cosclient.ErrUnavailable) || errors.Is(err, cosclient.ErrMisconfigured) || tag.Outcome != store.Failed {
		t.Errorf("TagOutput = %+v, %v; want failed, of no kind", tag, err)
	}
}

// What a stranger writes into a callback reaches COS only if it names an object of a
// bucket that may be tagged. Everything else costs no request.
func TestTagOnlyWhatIsAllowed(t *testing.T) {
	t.Parallel()
	const none = "\x00none"
	tests := []struct {
		name, bucket, region, key string
		buckets                   []string
		appID                     string
	}{
		{name: "bucket_of_another", bucket: "media-1999999999"},
		{name: "bucket_with_our_appid_within", bucket: "media-1250000000-1999999999"},
		{name: "bucket_with_our_appid_as_end", bucket: "media-91250000000"},
		{name: "bucket_not_listed", buckets: []string{records}},
		{name: "bucket_listed_in_part", buckets: []string{media + "0"}},
		{name: "bucket_and_no_appid", appID: none},
		{name: "bucket_empty", bucket: none},
		{name: "bucket_without_appid", bucket: "media"},
		{name: "bucket_is_a_host", bucket: "evil.example/x-1250000000"},
		{name: "bucket_with_dot", bucket: "evil.example.x-1250000000"},
		{name: "bucket_with_user", bucket: "x@evil-1250000000"},
		{name: "bucket_with_port", bucket: "evil:80-1250000000"},
		{name: "bucket_with_fragment", bucket: "evil#-1250000000"},
		{name: "bucket_with_query", bucket: "evil?-1250000000"},
		{name: "bucket_with_percent", bucket: "evil%2f-1250000000"},
		{name: "bucket_with_template", bucket: "{region}-1250000000", region: "evil"},
		{name: "bucket_upper_case", bucket: "Media-1250000000"},
		{name: "bucket_with_newline", bucket: "media\n-1250000000"},
		{name: "bucket_newline_after", bucket: media + "\n"},
		{name: "bucket_with_space", bucket: " " + media},
		{name: "bucket_too_long", bucket: strings.Repeat("m", 60) + "-1250000000"},
		{name: "bucket_unicode", bucket: "mediа-1250000000"},
		{name: "bucket_hyphen_first", bucket: "-media-1250000000"},

		{name: "region_empty", region: none},
		{name: "region_with_dot", region: "evil.example"},
		{name: "region_with_slash", region: "evil/x"},
		{name: "region_with_at", region: "x@evil"},
		{name: "region_with_port", region: "evil:80"},
		{name: "region_with_query", region: "x?y"},
		{name: "region_with_fragment", region: "x#y"},
		{name: "region_with_backslash", region: `x\y`},
		{name: "region_with_template", region: "{bucket}"},
		{name: "region_with_percent", region: "a%2eb"},
		{name: "region_with_newline", region: "ap-guangzhou\n"},
		{name: "region_upper_case", region: "AP-Guangzhou"},
		{name: "region_with_space", region: "ap guangzhou"},
		{name: "region_too_long", region: strings.Repeat("a", 64)},
		{name: "region_hyphen_last", region: "ap-"},

		{name: "key_empty", key: none},
		{name: "key_dot", key: "."},
		{name: "key_dots", key: ".."},
		{name: "key_slash", key: "/"},
		{name: "key_leading_slash", key: "/a"},
		{name: "key_leading_dots", key: "../a"},
		{name: "key_dots_within", key: "a/../b"},
		{name: "key_dot_within", key: "a/./b"},
		{name: "key_dots_last", key: "a/.."},
		{name: "key_double_slash", key: "a//b"},
		{name: "key_trailing_slash", key: "a/"},
		{name: "key_backslash_first", key: `\a`},
		{name: "key_nul", key: "a\x00b"},
		{name: "key_newline", key: "a\nb"},
		{name: "key_escape", key: "a\x1bb"},
		{name: "key_delete", key: "a\x7fb"},
		{name: "key_c1_control", key: "a\u0085b"},
		{name: "key_851_bytes", key: strings.Repeat("k", 851)},
		{name: "key_851_bytes_of_284_characters", key: strings.Repeat("键", 283) + "kk"},
		{name: "key_not_utf8", key: "a\xffb"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			value := func(s, otherwise string) string {
				switch s {
				case none:
					return ""
				case "":
					return otherwise
				}
				return s
			}
			w := newWorld(t)
			w.putOutput(t, theirs)
			o := options()
			o.TagBuckets, o.AppID = test.buckets, value(test.appID, appID)
			out := output()
			out.Bucket, out.Region, out.Key = value(test.bucket, media), value(test.region, region), value(test.key, object)
			tag, err := w.open(t, o).TagOutput(t.Context(), out, ended)
			if tag.Outcome != store.Skipped || tag.Reason == "" || err != nil {
				t.Errorf("TagOutput = %+v, %v; want skipped", tag, err)
			}
			if len(tag.Reason) > 500 || strings.ContainsAny(tag.Reason, "\n\x00\x1b") {
				t.Errorf("reason = %q", tag.Reason)
			}
			if len(w.wire.hosts) > 0 {
				t.Errorf("requests to %v", w.wire.hosts)
			}
		})
	}
}

func TestTagAllowed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		key     string
		buckets []string
		appID   string
	}{
		{"own_appid", object, nil, appID},
		{"listed", object, []string{records, media}, "1999999999"},
		{"key_850_bytes", strings.Repeat("k", 850), nil, appID},
		{"key_with_odd_characters", "a b/+%2F?#&=c;'()*!~中文.mp4", nil, appID},
		{"key_with_dots_in_names", "a/...b/..c/d..", nil, appID},
		{"key_like_a_query", "a?tagging&versionId=1", nil, appID},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(t, media, test.key, coslocal.Object{Body: content, LastModified: ended, Tags: []coslocal.Tag{theirs}})
			o := options()
			o.TagBuckets, o.AppID = test.buckets, test.appID
			out := output()
			out.Key = test.key
			if tag, err := w.open(t, o).TagOutput(t.Context(), out, ended); tag.Outcome != store.Tagged || err != nil {
				t.Errorf("TagOutput = %+v, %v; want tagged", tag, err)
			}
			stored, _ := w.Object(media, test.key)
			if diff := cmp.Diff([]coslocal.Tag{theirs, mine}, stored.Tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

var ourHost = regexp.MustCompile(`^[a-z0-9-]+-1250000000\.cos\.[a-z0-9-]+\.myqcloud\.com$`)

// Whatever a callback names, a request goes to a bucket of ours, and to the object named.
func FuzzTagOutput(f *testing.F) {
	f.Add(media, region, object)
	f.Add("x@evil-1250000000", "evil.example/", "../?tagging")
	f.Add("a-1250000000", "b", ".")
	f.Add("a-1250000000", "ap-x", "a%2f..%2fb")
	f.Add("a-1250000000", "accelerate", "https://evil.example/a")
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, bucket, region, key string) {
		w.wire.mu.Lock()
		w.wire.hosts, w.wire.paths = nil, nil
		w.wire.mu.Unlock()
		s, err := w.pool.Open(options())
		if err != nil {
			t.Fatal(err)
		}
		tag, err := s.TagOutput(t.Context(), model.Output{Object: model.Object{Bucket: bucket, Region: region, Key: key}, MD5: md5Of(content)}, ended)
		if tag.Outcome == "" || tag.Outcome == store.Failed && err == nil {
			t.Errorf("TagOutput = %+v, %v", tag, err)
		}
		for i, host := range w.wire.hosts {
			if !ourHost.MatchString(host) || !strings.HasPrefix(host, bucket+".") || w.wire.paths[i] != "/"+key {
				t.Errorf("request to %q, %q for %q, %q, %q", host, w.wire.paths[i], bucket, region, key)
			}
		}
	})
}
