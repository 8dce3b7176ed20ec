package store

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// ErrNotFound means that there is no such object.
var ErrNotFound = errors.New("there is no such object")

// action is a kind of request to COS: the CAM action that a role needs for it, and what it
// does, for messages.
type action struct{ cam, verb string }

// The requests that a store makes.
// https://cloud.tencent.com/document/product/436/31923
var (
	putObject    = action{"PutObject", "put"}
	getObject    = action{"GetObject", "get"}
	headObject   = action{"HeadObject", "head"}
	deleteObject = action{"DeleteObject", "delete"}
	listBucket   = action{"GetBucket", "list"}
	getTags      = action{"GetObjectTagging", "get tags of"}
	putTags      = action{"PutObjectTagging", "put tags of"}
)

// rules say what COS's errors mean; {action} stands for the CAM action. The first that
// matches holds.
// https://cloud.tencent.com/document/product/436/7730
var rules = []cosclient.Rule{
	// Broken on the way, or the clock of an instance that was frozen: whoever sent the
	// callback may send it again.
	{Status: http.StatusTooManyRequests, Kind: cosclient.ErrUnavailable},
	{Status: http.StatusConflict, Kind: cosclient.ErrUnavailable},
	{Status: http.StatusRequestTimeout, Kind: cosclient.ErrUnavailable},
	{Code: "RequestTimeout", Kind: cosclient.ErrUnavailable},
	{Code: "UserNetworkTooSlow", Kind: cosclient.ErrUnavailable},
	{Code: "BadDigest", Kind: cosclient.ErrUnavailable},
	{Code: "IncompleteBody", Kind: cosclient.ErrUnavailable},
	{Code: "RequestTimeTooSkewed", Kind: cosclient.ErrUnavailable},

	{Code: "NoSuchBucket", Kind: cosclient.ErrMisconfigured, Remedy: "there is no such bucket in that region: check RECORD_BUCKET and RECORD_REGION"},
	{Code: "AccessDenied", Kind: cosclient.ErrMisconfigured, Remedy: grantRemedy},
	{Code: "AccessForbidden", Kind: cosclient.ErrMisconfigured, Remedy: grantRemedy},
	{Status: http.StatusForbidden, Code: cosclient.NoCode, Kind: cosclient.ErrMisconfigured, Remedy: grantRemedy},
	{Status: http.StatusForbidden, Kind: cosclient.ErrMisconfigured, Remedy: credentialsRemedy},
	{Code: "ExpiredToken", Kind: cosclient.ErrMisconfigured, Remedy: credentialsRemedy},
	{Code: "InvalidTag", Kind: cosclient.ErrMisconfigured, Remedy: "COS does not take the tag set: check MD5_TAG_KEY and the object's other tags"},
	{Status: http.StatusPaymentRequired, Kind: cosclient.ErrMisconfigured, Remedy: accountRemedy},
	{Status: http.StatusUnavailableForLegalReasons, Kind: cosclient.ErrMisconfigured, Remedy: accountRemedy},
	{Kind: cosclient.ErrMisconfigured, Remedy: "COS does not take this request: check COS_ENDPOINT, RECORD_BUCKET and RECORD_REGION"},
}

// What to do about errors that come in several forms.
const (
	grantRemedy       = "grant name/cos:{action} on this object to the function's execution role"
	credentialsRemedy = "COS does not accept the credentials: check the function's execution role"
	accountRemedy     = "COS refuses the account: check its balance and state"
)

// newError turns an error of the SDK into a *cosclient.Error.
func newError(a action, bucket, key string, err error) *cosclient.Error {
	e := cosclient.NewError(a.verb, bucket+"/"+key, rules, err)
	e.Remedy = strings.ReplaceAll(e.Remedy, "{action}", a.cam)
	return e
}

// isMissing reports whether an error is COS's answer for an object that is not there, or
// its bucket. The answer to a HEAD has no code, so that the two look alike.
func isMissing(err error) bool {
	e, ok := errors.AsType[*cosclient.Error](err)
	return ok && e.Status == http.StatusNotFound &&
		(e.Code == "NoSuchKey" || e.Code == "NoSuchBucket" || e.Verb == headObject.verb)
}
