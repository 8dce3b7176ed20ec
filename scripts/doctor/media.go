package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
)

// taggingHeader and taggingBody are a whole tag set, as PUT ?tagging wants it.
func taggingHeader() http.Header { return http.Header{"Content-Type": {"application/xml"}} }

const taggingBody = `<Tagging><TagSet><Tag><Key>doctor</Key><Value>probe</Value></Tag></TagSet></Tagging>`

// media are the checks of one media bucket. All is asked about a key that nothing has,
// so that nothing can be changed: 404 shows that it may be asked, 403 that it may not.
type media struct {
	target
	*bucket
	key string
}

// checkMedia checks the permissions that tags take, in each media bucket that is named.
func (d *doctor) checkMedia(ctx context.Context) {
	c := d.settings.config
	if !c.TagMD5 {
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

// targets are the media buckets: those of -media, else those of TAG_BUCKETS.
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
	c := d.settings.config
	m := &media{target: t, key: t.prefix + "ci-callback-doctor/" + d.random + "-missing"}
	// The clock and the endpoint were judged with the record bucket.
	needs := append(slices.Clone(cosSettings), "TAG_MD5", "TAG_BUCKETS", checkReached, checkClock)
	if d.verdictOf(checkAccepted) == failed { // not judged, where there is no record bucket
		needs = append(needs, checkAccepted)
	}
	readTags := t.bucket + ": read tags"
	d.check(ctx, readTags, needs, func(ctx context.Context) (f finding) {
		var err error
		if m.bucket, err = d.bucket(t.bucket, cmp.Or(t.region, c.RecordRegion)); err != nil {
			return fail(err.Error(), "check -media and COS_ENDPOINT")
		}
		f = m.ask(ctx, request{method: http.MethodGet, query: "tagging"}, "name/cos:GetObjectTagging")
		if f.Verdict == ok && !d.tagged(t.bucket) {
			return warn("permitted, but TAG_BUCKETS and the AppID leave this bucket out: the function tags nothing in it", "add it to TAG_BUCKETS")
		}
		return f
	})
	d.check(ctx, t.bucket+": head", []string{readTags}, func(ctx context.Context) finding {
		return m.ask(ctx, request{method: http.MethodHead}, "name/cos:HeadObject")
	})
	d.check(ctx, t.bucket+": write tags", []string{readTags}, func(ctx context.Context) finding {
		return m.ask(ctx, request{method: http.MethodPut, query: "tagging", header: taggingHeader(), body: []byte(taggingBody)}, "name/cos:PutObjectTagging")
	})
}

// tagged tells whether the function would tag in a bucket at all: package store's rule.
func (d *doctor) tagged(bucket string) bool {
	c := d.settings.config
	if len(c.TagBuckets) > 0 {
		return slices.Contains(c.TagBuckets, bucket)
	}
	return c.AppID != "" && strings.HasSuffix(bucket, "-"+c.AppID)
}

func (m *media) ask(ctx context.Context, r request, action string) finding {
	r.key = m.key
	answer, err := m.do(ctx, r)
	switch {
	case err != nil:
		return trouble(err)
	case answer.code == "NoSuchBucket":
		return fail("there is no bucket "+m.name+" at "+m.base.Host, "check the name and the region: -media "+m.name+"@<region>")
	case answer.status == http.StatusNotFound:
		return well("permitted")
	case answer.status < 300:
		return warn("COS answers "+answer.String()+" for a key that is not there", "try with a real object before relying on it")
	}
	return refused(answer, action, m.name, m.prefix+"*")
}
