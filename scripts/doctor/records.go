package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"time"

	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// Names of the checks of the record bucket.
const (
	checkReached    = "COS reached"
	checkClock      = "clock"
	checkAccepted   = "credentials accepted"
	checkBucket     = "record bucket"
	checkVersioning = "never versioned"
	checkWrite      = "write a record"
	checkCreateOnly = "create-only"
	checkRead       = "read a record"
	checkRemoved    = "probe removed"
)

// records is the checks of the record bucket, and what its first answer was.
type records struct {
	bucket  wire.Host
	prefix  string      // of all keys
	probe   string      // the key of the object that is written
	missing string      // a key that no object has
	first   wire.Answer // to a GET of missing
	written bool        // whether the probe was written, or may have been: an answer can be lost
}

// checkRecords makes the checks of the record bucket. Its first request answers four of
// them, those about the key and those about the bucket: COS looks at one before the
// other, and does not say at which.
func (d *doctor) checkRecords(ctx context.Context) {
	c := d.settings.config
	r := &records{prefix: c.RecordPrefix, probe: d.probePrefix() + d.random, missing: d.probePrefix() + d.random + "-missing"}
	d.check(ctx, checkReached, cosSettings, func(ctx context.Context) (f finding) {
		var err error
		if r.bucket, err = d.bucketAt(c.RecordBucket, c.RecordRegion); err != nil {
			return fail(err.Error(), "check COS_ENDPOINT")
		}
		if r.first, err = r.bucket.Do(ctx, wire.Request{Method: http.MethodGet, Path: r.missing}); err != nil {
			return noAnswer(err)
		}
		return r.checkReachable()
	})
	d.check(ctx, checkClock, []string{checkReached}, r.compareClocks)
	d.check(ctx, checkAccepted, []string{checkReached, checkClock}, r.checkCredentials)
	d.check(ctx, checkBucket, []string{checkReached, checkClock}, r.checkExists)
	d.check(ctx, checkVersioning, []string{checkReached, checkClock, checkAccepted, checkBucket}, r.readVersioning)
	d.check(ctx, checkWrite, []string{checkVersioning}, r.writeProbe)
	d.check(ctx, checkCreateOnly, []string{checkWrite}, r.writeProbeAgain)
	d.check(ctx, checkRead, []string{checkWrite}, r.readProbe)
	if r.written {
		d.check(context.WithoutCancel(ctx), checkRemoved, nil, func(ctx context.Context) finding { return removeObject(ctx, r.bucket, r.probe) })
	}
}

// checkReachable takes any answer for a sign of COS, but one of a COS that is in trouble.
func (r *records) checkReachable() finding {
	if r.first.Status >= 500 || r.first.Status == http.StatusTooManyRequests {
		return fail("COS answers "+r.first.String(), "run it again a little later")
	}
	return pass(r.bucket.Base.Scheme + "://" + r.bucket.Base.Host)
}

// How far the clocks may be apart. COS documents no tolerance; 15 minutes is S3's.
const (
	maxSkewUnsaid = 30 * time.Second
	maxSkew       = 10 * time.Minute
)

func (r *records) compareClocks(context.Context) finding {
	if r.first.Header.Get("Date") == "" {
		return warn("COS sent no Date to compare with", "make sure that this machine's clock is right")
	}
	apart := r.first.Offset.Abs().Round(time.Second)
	side := "behind"
	if r.first.Offset < 0 {
		side = "ahead of"
	}
	detail := fmt.Sprintf("this machine's clock is %v %s COS's", apart, side)
	switch {
	case apart > maxSkew:
		return fail(detail, setClock)
	case apart > maxSkewUnsaid:
		return warn(detail, setClock)
	default:
		return pass("within " + maxSkewUnsaid.String() + " of COS's")
	}
}

// checkCredentials tells by the error code whether COS knows the key. AccessDenied does
// not tell: a good key gets it too.
func (r *records) checkCredentials(context.Context) finding {
	if f, bad := badCredentials(r.first); bad {
		return f
	}
	switch {
	case r.first.Code == "NoSuchBucket":
		return skip("not looked at: COS found no bucket first")
	case r.first.Status == http.StatusForbidden:
		return r.inconclusive()
	}
	return pass("by COS")
}

// inconclusive returns the finding for an answer that says nothing of the key and nothing
// of the bucket.
func (r *records) inconclusive() finding {
	return warn("cannot be told: COS answers "+r.first.String(),
		"see "+checkWrite+": if that is refused too, check RECORD_BUCKET, RECORD_REGION and what this key may do")
}

func (r *records) checkExists(context.Context) finding {
	_, bad := badCredentials(r.first)
	switch {
	case bad:
		return skip("because of " + checkAccepted)
	case r.first.Code == "NoSuchBucket":
		return fail(fmt.Sprintf("there is no bucket %s at %s", r.bucket.Bucket, r.bucket.Base.Host),
			"check RECORD_BUCKET and RECORD_REGION: the console shows both; a bucket answers in its own region alone")
	case r.first.Status >= 300 && r.first.Status < 400:
		return fail("COS answers "+r.first.String(), "check RECORD_REGION and COS_ENDPOINT: the bucket is served from somewhere else")
	case r.first.Status == http.StatusBadRequest:
		return fail("COS answers "+r.first.String(), "check COS_ENDPOINT, RECORD_BUCKET and RECORD_PREFIX")
	case r.first.Status == http.StatusForbidden:
		return r.inconclusive()
	}
	return pass(r.bucket.Bucket)
}

// readVersioning reads the bucket's setting. Versioning cannot be undone, only suspended.
// https://tencentcloud.com/document/product/436/19883
func (r *records) readVersioning(ctx context.Context) finding {
	const look = "look in the console: the bucket must never have had versioning"
	a, err := r.bucket.Do(ctx, wire.Request{Method: http.MethodGet, Query: "versioning"})
	if err != nil {
		return noAnswer(err)
	}
	if a.Status == http.StatusForbidden {
		return warn("this key may not ask (name/cos:GetBucketVersioning); the next checks show whether it matters", look)
	}
	var v struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string
	}
	if a.Status != http.StatusOK || xml.Unmarshal(a.Body, &v) != nil {
		return warn("COS answers "+a.String()+", which does not tell", look)
	}
	if v.Status != "" {
		return fail(fmt.Sprintf("versioning is %.20q: create-only does not work, and one instance can overwrite another's record", v.Status), newBucket)
	}
	return pass("create-only works in such a bucket alone")
}

const newBucket = "make a new bucket without versioning, for the records alone, and set RECORD_BUCKET; " +
	"versioning cannot be undone, only suspended, which does not help"

// probeBody is what the object holds that is written.
const probeBody = "{\"doctor\":\"a probe of ci-callback; it may be deleted\"}\n"

// putProbe writes the probe, create-only.
func (r *records) putProbe(ctx context.Context) (wire.Answer, error) {
	header := http.Header{"X-Cos-Forbid-Overwrite": {"true"}, "Content-Type": {"application/json"}}
	return r.bucket.Do(ctx, wire.Request{Method: http.MethodPut, Path: r.probe, Header: header, Body: []byte(probeBody)})
}

func (r *records) writeProbe(ctx context.Context) finding {
	r.written = true
	a, err := r.putProbe(ctx)
	if err != nil {
		return noAnswer(err)
	}
	if a.Status != http.StatusOK {
		r.written = a.Status >= http.StatusInternalServerError // COS may have done it all the same
		return r.refused(a, "name/cos:PutObject")
	}
	return pass(r.probe)
}

// refused names what a policy would: not the probe, but all keys under the prefix.
func (r *records) refused(a wire.Answer, action string) finding {
	return refused(a, action, r.bucket.Bucket, r.prefix+"*")
}

// writeProbeAgain expects a 409, with whatever code: the documents name two.
func (r *records) writeProbeAgain(ctx context.Context) finding {
	a, err := r.putProbe(ctx)
	switch {
	case err != nil:
		return noAnswer(err)
	case a.Status == http.StatusConflict:
		return pass("the second write answers " + a.String())
	case a.Status == http.StatusOK:
		return fail("the second write went through as well: the bucket has or had versioning", newBucket)
	}
	return r.refused(a, "name/cos:PutObject")
}

// readProbe reads the probe, and judges what the first request, for a key that no object
// has, was answered: the function must be able to tell the two apart.
func (r *records) readProbe(ctx context.Context) finding {
	a, err := r.bucket.Do(ctx, wire.Request{Method: http.MethodGet, Path: r.probe})
	switch {
	case err != nil:
		return noAnswer(err)
	case a.Status != http.StatusOK:
		return r.refused(a, "name/cos:GetObject")
	case !bytes.Equal(a.Body, []byte(probeBody)):
		return fail("what was read is not what was written", "look for what stands between: COS_ENDPOINT, a proxy, a cache")
	case r.first.Status != http.StatusNotFound:
		return warn("permitted, but a key that no object has answers "+r.first.String()+" instead of 404: a missing record looks like a missing permission",
			"grant name/cos:GetObject on the whole prefix; if it is granted, name/cos:GetBucket on the bucket may be what COS wants to answer 404")
	}
	return pass("what was written, and 404 for a key that no object has")
}

// removeObject deletes an object. The function has no such permission and needs none.
func removeObject(ctx context.Context, bucket wire.Host, key string) finding {
	a, err := bucket.Do(ctx, wire.Request{Method: http.MethodDelete, Path: key})
	remedy := fmt.Sprintf("delete %s/%s by hand, when you like; it does no harm", bucket.Bucket, key)
	switch {
	case err != nil:
		return warn("left over: "+err.Error(), remedy)
	case a.Status == http.StatusForbidden:
		return warn("left over: this key may not delete (name/cos:DeleteObject), and the function's role need not", remedy)
	case a.Status >= 300:
		return warn("left over: COS answers "+a.String(), remedy)
	}
	return pass(key)
}
