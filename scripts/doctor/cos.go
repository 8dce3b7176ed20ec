package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// client returns what requests are sent and signed with.
func (d *doctor) client() wire.Client {
	return wire.Client{Transport: d.transport, Credentials: cosclient.Credentials(d.settings.config.Credentials), Now: d.now}
}

// bucketAt returns a bucket of COS.
func (d *doctor) bucketAt(name, region string) (wire.Host, error) {
	base, err := cosname.BucketURL(d.settings.config.Endpoint, name, region)
	if err != nil {
		return wire.Host{}, err
	}
	return wire.Host{Client: d.client(), Service: wire.COS(), Bucket: name, Base: base}, nil
}

// badCredentials returns the finding for an answer that is about the key itself, not
// about what the key may do, and reports whether it is such an answer.
// https://www.tencentcloud.com/document/product/436/40105
func badCredentials(a wire.Answer) (finding, bool) {
	detail := "COS answers " + a.String()
	if remedy, found := credentialRemedies[a.Code]; found {
		return fail(detail, remedy), true
	}
	switch {
	case a.Code == "AccessDenied" && strings.Contains(a.Message, "expired"): // the message alone tells this case from a missing permission
		return fail(fmt.Sprintf("%s: %.80q", detail, a.Message), setClock), true
	case a.Status == http.StatusPaymentRequired || a.Status == http.StatusUnavailableForLegalReasons:
		return fail(detail, "look at the account in the console: its balance and its state"), true
	}
	return finding{}, false
}

const (
	setClock   = "set the clock of this machine (NTP): COS refuses signatures whose time is off"
	renewToken = "the temporary key has expired, or TENCENTCLOUD_SESSIONTOKEN belongs to another: get a new one, all three values"
)

// credentialRemedies says by error code what to do about a key that COS does not take.
var credentialRemedies = map[string]string{
	"InvalidAccessKeyId": "TENCENTCLOUD_SECRETID is no key of COS, or a temporary one whose TENCENTCLOUD_SESSIONTOKEN is not set: " +
		"copy it again from where you got it",
	"SignatureDoesNotMatch": "TENCENTCLOUD_SECRETKEY does not belong to TENCENTCLOUD_SECRETID: copy both again",
	"ExpiredToken":          renewToken,
	"InvalidToken":          renewToken,
	"TokenRefreshRequired":  renewToken,
	"RequestTimeTooSkewed":  setClock,
}

// refused returns the finding for an answer that is not the one hoped for.
func refused(a wire.Answer, action, bucket, keys string) finding {
	if f, bad := badCredentials(a); bad {
		return f
	}
	if a.Status == http.StatusForbidden {
		return fail("COS answers "+a.String(), fmt.Sprintf("grant %s on %s/%s to this key, and to the function's role: see -policy", action, bucket, keys))
	}
	return fail("COS answers "+a.String(), "run it again; if it stays so, look the code up: https://cloud.tencent.com/document/product/436/7730")
}
