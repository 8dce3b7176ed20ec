package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// probeTags is a whole tag set, as PUT ?tagging wants it.
const probeTags = `<Tagging><TagSet><Tag><Key>doctor</Key><Value>probe</Value></Tag></TagSet></Tagging>`

// media is the checks of one media bucket. All of them ask about a key that no object
// has, so that nothing can be changed: 404 shows that one may ask, 403 that one may not.
type media struct {
	target
	bucket wire.Host
	key    string
}

// checkMedia checks the permissions that tags take, in each media bucket that is named.
func (d *doctor) checkMedia(ctx context.Context) {
	if !d.settings.config.TagMD5 {
		if len(d.media) > 0 {
			d.check(ctx, "media buckets", nil, func(context.Context) finding {
				return skip("because TAG_MD5 is not true: the function touches no media bucket")
			})
		}
		return
	}
	targets := d.targets()
	if len(targets) == 0 {
		d.check(ctx, "media buckets", nil, func(context.Context) finding {
			return warn("none was named: whether outputs can be tagged is not known", "name them: -media <bucket>[@<region>][/<prefix>],…")
		})
	}
	for _, t := range targets {
		d.checkTarget(ctx, t)
	}
}

// targets returns the media buckets: those of -media, else those of TAG_BUCKETS.
func (d *doctor) targets() []target {
	if len(d.media) > 0 {
		return d.media
	}
	var targets []target
	for _, bucket := range d.settings.config.TagBuckets {
		targets = append(targets, target{bucket: bucket})
	}
	return targets
}

func (d *doctor) checkTarget(ctx context.Context, t target) {
	m := &media{target: t, key: t.prefix + "ci-callback-doctor/" + d.random + "-missing"}
	// The clock and the endpoint were judged with the record bucket.
	needs := append(slices.Clone(cosSettings), "TAG_MD5", "TAG_BUCKETS", checkReached, checkClock)
	if d.verdictOf(checkAccepted) == verdictFailed { // it was not judged where there is no record bucket
		needs = append(needs, checkAccepted)
	}
	readTags := t.bucket + ": read tags"
	d.check(ctx, readTags, needs, func(ctx context.Context) (f finding) {
		var err error
		if m.bucket, err = d.bucketAt(t.bucket, cmp.Or(t.region, d.settings.config.RecordRegion)); err != nil {
			return fail(err.Error(), "check -media and COS_ENDPOINT")
		}
		f = m.ask(ctx, wire.Request{Method: http.MethodGet, Query: "tagging"}, "name/cos:GetObjectTagging")
		if f.Verdict == verdictOK && !d.tagged(t.bucket) {
			return warn("permitted, but TAG_BUCKETS and the AppID leave this bucket out: the function tags nothing in it", "add it to TAG_BUCKETS")
		}
		return f
	})
	d.check(ctx, t.bucket+": head", []string{readTags}, func(ctx context.Context) finding {
		return m.ask(ctx, wire.Request{Method: http.MethodHead}, "name/cos:HeadObject")
	})
	d.check(ctx, t.bucket+": write tags", []string{readTags}, func(ctx context.Context) finding {
		return m.ask(ctx, wire.Request{Method: http.MethodPut, Query: "tagging", Header: http.Header{"Content-Type": {"application/xml"}},
			Body: []byte(probeTags)}, "name/cos:PutObjectTagging")
	})
}

// tagged reports whether the function would tag anything in a bucket.
func (d *doctor) tagged(bucket string) bool {
	c := d.settings.config
	return store.Options{TagBuckets: c.TagBuckets, AppID: c.AppID}.CheckTagBucket(bucket) == nil
}

// ask makes a request about the key that no object has, and judges the answer.
func (m *media) ask(ctx context.Context, r wire.Request, action string) finding {
	r.Path = m.key
	a, err := m.bucket.Do(ctx, r)
	switch {
	case err != nil:
		return noAnswer(err)
	case a.Code == "NoSuchBucket":
		return fail("there is no bucket "+m.bucket.Bucket+" at "+m.bucket.Base.Host, "check the name and the region: -media "+m.bucket.Bucket+"@<region>")
	case a.Status == http.StatusNotFound:
		return pass("permitted")
	case a.Status < 300:
		return warn("COS answers "+a.String()+" for a key that no object has", "try with a real object before relying on it")
	}
	return refused(a, action, m.bucket.Bucket, m.prefix+"*")
}
