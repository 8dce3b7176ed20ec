package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"
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

// records are the checks of the record bucket, and what the first request showed.
type records struct {
	*bucket
	prefix  string // of all keys
	probe   string // the key of the object that is written
	missing string // a key that nothing has
	first   reply
	wrote   bool // the probe, or perhaps: its answer may have been lost
}

// checkRecords makes the checks of the record bucket. One request answers the first four,
// the credentials or the bucket, whichever COS looks at first.
func (d *doctor) checkRecords(ctx context.Context) {
	c := d.settings.config
	r := &records{prefix: c.RecordPrefix, probe: d.probePrefix() + d.random, missing: d.probePrefix() + d.random + "-missing"}
	d.check(ctx, checkReached, cosSettings, func(ctx context.Context) (f finding) {
		var err error
		if r.bucket, err = d.bucket(c.RecordBucket, c.RecordRegion); err == nil {
			r.first, err = r.do(ctx, request{method: http.MethodGet, key: r.missing})
		}
		if err != nil {
			return trouble(err)
		}
		return reached(r)
	})
	d.check(ctx, checkClock, []string{checkReached}, r.clock)
	d.check(ctx, checkAccepted, []string{checkReached, checkClock}, r.accepted)
	d.check(ctx, checkBucket, []string{checkReached, checkClock}, r.exists)
	d.check(ctx, checkVersioning, []string{checkReached, checkClock, checkAccepted, checkBucket}, r.versioning)
	d.check(ctx, checkWrite, []string{checkVersioning}, r.write)
	d.check(ctx, checkCreateOnly, []string{checkWrite}, r.createOnly)
	d.check(ctx, checkRead, []string{checkWrite}, r.read)
	if r.wrote {
		d.check(context.WithoutCancel(ctx), checkRemoved, nil, func(ctx context.Context) finding { return r.remove(ctx, r.probe) })
	}
}

// reached takes any answer of COS but that of a COS in trouble.
func reached(r *records) finding {
	if r.first.status >= 500 || r.first.status == http.StatusTooManyRequests {
		return fail("COS answers "+r.first.String(), "run it again a little later")
	}
	return well(r.base.Scheme + "://" + r.base.Host)
}

// How far the clocks may be apart. COS documents no tolerance; 15 minutes is S3's.
const (
	skewToSay  = 30 * time.Second
	skewToFail = 10 * time.Minute
)

const setClock = "set the clock of this machine (NTP): COS refuses signatures whose time is off"

func (r *records) clock(context.Context) finding {
	if r.first.header.Get("Date") == "" {
		return warn("COS sent no Date to compare with", "make sure that this machine's clock is right")
	}
	apart := r.first.offset.Abs().Round(time.Second)
	side := "behind"
	if r.first.offset < 0 {
		side = "ahead of"
	}
	detail := fmt.Sprintf("this machine's clock is %v %s COS's", apart, side)
	switch {
	case apart > skewToFail:
		return fail(detail, setClock)
	case apart > skewToSay:
		return warn(detail, setClock)
	default:
		return well("within " + skewToSay.String() + " of COS's")
	}
}

// accepted tells by the error code whether COS knows the key. AccessDenied does not tell:
// it comes to a good key too.
// https://www.tencentcloud.com/document/product/436/40105
func (r *records) accepted(context.Context) finding {
	if f, bad := badCredentials(r.first); bad {
		return f
	}
	switch {
	case r.first.code == "NoSuchBucket":
		return skip("not looked at: COS found no bucket first")
	case r.first.status == http.StatusForbidden:
		return r.untold()
	}
	return well("by COS")
}

// untold is for an answer that tells of neither the key nor the bucket.
func (r *records) untold() finding {
	return warn("could not be told: COS answers "+r.first.String(), "see "+checkWrite+": if that is refused too, check RECORD_BUCKET, RECORD_REGION and what this key may do")
}

// badCredentials tells the answers that are about the key, not about what it may do.
func badCredentials(r reply) (finding, bool) {
	detail := "COS answers " + r.String()
	switch r.code {
	case "InvalidAccessKeyId":
		return fail(detail, "TENCENTCLOUD_SECRETID is no key of COS, or a temporary one whose TENCENTCLOUD_SESSIONTOKEN is not set: take it again from where you got it"), true
	case "SignatureDoesNotMatch":
		return fail(detail, "TENCENTCLOUD_SECRETKEY is not the one of TENCENTCLOUD_SECRETID: copy both again"), true
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return fail(detail, "the temporary key has expired, or TENCENTCLOUD_SESSIONTOKEN is of another: get a new one, all three values"), true
	case "RequestTimeTooSkewed":
		return fail(detail, setClock), true
	case "AccessDenied": // about permissions, but for one case that the message alone tells
		if strings.Contains(r.message, "expired") {
			return fail(fmt.Sprintf("%s: %.80q", detail, r.message), setClock), true
		}
	}
	if r.status == http.StatusPaymentRequired || r.status == http.StatusUnavailableForLegalReasons {
		return fail(detail, "look at the account in the console: its balance and state"), true
	}
	return finding{}, false
}

func (r *records) exists(context.Context) finding {
	_, bad := badCredentials(r.first)
	switch {
	case bad:
		return skip("because of " + checkAccepted)
	case r.first.code == "NoSuchBucket":
		return fail(fmt.Sprintf("there is no bucket %s at %s", r.name, r.base.Host), "check RECORD_BUCKET and RECORD_REGION: the console shows both; a bucket answers in its own region alone")
	case r.first.status >= 300 && r.first.status < 400:
		return fail("COS answers "+r.first.String(), "check RECORD_REGION and COS_ENDPOINT: the bucket is served from somewhere else")
	case r.first.status == http.StatusBadRequest:
		return fail("COS answers "+r.first.String(), "check COS_ENDPOINT, RECORD_BUCKET and RECORD_PREFIX")
	case r.first.status == http.StatusForbidden:
		return r.untold()
	}
	return well(r.name)
}

// versioning reads the bucket's setting. Versioning cannot be taken back, only suspended.
// https://tencentcloud.com/document/product/436/19883
func (r *records) versioning(ctx context.Context) finding {
	answer, err := r.do(ctx, request{method: http.MethodGet, query: "versioning"})
	if err != nil {
		return trouble(err)
	}
	if answer.status == http.StatusForbidden {
		return warn("this key may not ask (name/cos:GetBucketVersioning); the next checks show whether it matters", "look in the console: the bucket must never have had versioning")
	}
	var v struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string
	}
	if answer.status != http.StatusOK || xml.Unmarshal(answer.body, &v) != nil {
		return warn("COS answers "+answer.String()+", from which it does not follow", "look in the console: the bucket must never have had versioning")
	}
	if v.Status != "" {
		return fail(fmt.Sprintf("versioning is %.20q: create-only does not work, and one instance can overwrite another's record", v.Status), newBucket)
	}
	return well("create-only works in such a bucket alone")
}

const newBucket = "make a new bucket without versioning, for the records alone, and set RECORD_BUCKET; versioning cannot be taken back, only suspended, which does not help"

var probeBody = []byte("{\"doctor\":\"a probe of ci-callback; it may be deleted\"}\n")

func createOnlyHeader() http.Header {
	return http.Header{"X-Cos-Forbid-Overwrite": {"true"}, "Content-Type": {"application/json"}}
}

func (r *records) write(ctx context.Context) finding {
	r.wrote = true
	answer, err := r.do(ctx, request{method: http.MethodPut, key: r.probe, header: createOnlyHeader(), body: probeBody})
	if err != nil {
		return trouble(err)
	}
	if answer.status != http.StatusOK {
		r.wrote = answer.status >= http.StatusInternalServerError // COS may have done it all the same
		return r.refused(answer, "name/cos:PutObject")
	}
	return well(r.probe)
}

// refused names what a policy names: not the probe, but all keys under the prefix.
func (r *records) refused(answer reply, action string) finding {
	return refused(answer, action, r.name, r.prefix+"*")
}

// refused makes a finding of an answer that is not the one hoped for.
func refused(r reply, action, bucket, keys string) finding {
	if f, bad := badCredentials(r); bad {
		return f
	}
	if r.status == http.StatusForbidden {
		return fail("COS answers "+r.String(), fmt.Sprintf("grant %s on %s/%s to this key, and to the function's role: see -policy", action, bucket, keys))
	}
	return fail("COS answers "+r.String(), "run it again; if it stays so, look the code up: https://cloud.tencent.com/document/product/436/7730")
}

// createOnly writes the probe again. Any 409 will do: the documents name two codes.
func (r *records) createOnly(ctx context.Context) finding {
	answer, err := r.do(ctx, request{method: http.MethodPut, key: r.probe, header: createOnlyHeader(), body: probeBody})
	switch {
	case err != nil:
		return trouble(err)
	case answer.status == http.StatusConflict:
		return well("the second write answers " + answer.String())
	case answer.status == http.StatusOK:
		return fail("the second write went through as well: the bucket has or had versioning", newBucket)
	}
	return r.refused(answer, "name/cos:PutObject")
}

// read gets the probe, and what is not there: the function must be able to tell.
func (r *records) read(ctx context.Context) finding {
	answer, err := r.do(ctx, request{method: http.MethodGet, key: r.probe})
	switch {
	case err != nil:
		return trouble(err)
	case answer.status != http.StatusOK:
		return r.refused(answer, "name/cos:GetObject")
	case !bytes.Equal(answer.body, probeBody):
		return fail("what was read is not what was written", "look for what stands between: COS_ENDPOINT, a proxy, a cache")
	case r.first.status != http.StatusNotFound:
		return warn("permitted, but a key that is not there answers "+r.first.String()+" instead of 404: a record that is deleted while it is compared would be taken for a missing permission",
			"grant name/cos:GetObject on the whole prefix; if it is granted, name/cos:GetBucket on the bucket may be what COS wants to say 404")
	}
	return well("what was written, and 404 for what is not there")
}

// remove deletes an object. The function has no such permission and needs none.
func (r *records) remove(ctx context.Context, key string) finding {
	answer, err := r.do(ctx, request{method: http.MethodDelete, key: key})
	remedy := fmt.Sprintf("delete %s/%s by hand, when you like; it does no harm", r.name, key)
	switch {
	case err != nil:
		return warn("left over: "+err.Error(), remedy)
	case answer.status == http.StatusForbidden:
		return warn("left over: this key may not delete (name/cos:DeleteObject), and the function's role need not", remedy)
	case answer.status >= 300:
		return warn("left over: COS answers "+answer.String(), remedy)
	}
	return well(key)
}
