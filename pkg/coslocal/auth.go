package coslocal

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// defaultMaxClockSkew is how far in the future a signature may begin. COS does not
// document its own limit.
const defaultMaxClockSkew = 15 * time.Minute

// Verifier verifies the signatures, version 5, that COS and CI demand of every request:
// https://cloud.tencent.com/document/product/436/7778. The zero value knows no key and
// lets nobody in. It is safe for concurrent use.
type Verifier struct {
	// MaxClockSkew is how far in the future a signature may begin; 0 means 15 minutes. A
	// signature past its end is never accepted.
	MaxClockSkew time.Duration
	// TokenHeaders name the headers in which a session token may come, the first that a
	// request has counts. None means x-cos-security-token.
	TokenHeaders []string

	keys atomic.Pointer[map[string]Credential] // by SecretID
}

// SetCredentials replaces the API keys that are accepted. Without any, nobody gets in.
func (v *Verifier) SetCredentials(credentials ...Credential) {
	keys := make(map[string]Credential, len(credentials))
	for _, c := range credentials {
		keys[c.SecretID] = c
	}
	v.keys.Store(&keys)
}

// authorization is a signature and what it covers, as a request brings it.
type authorization struct {
	algorithm string
	secretID  string
	signTime  string
	keyTime   string
	headers   []string // names in lower case and URL-encoded, sorted, each once
	params    []string // the same
	signature string
}

// signedRequest is what a signature covers.
type signedRequest struct {
	*http.Request
	query url.Values
}

// Verify returns an [*Error], unless the request has a valid signature by an accepted
// key. The header names of r must be in canonical form. Key, time and signature are
// checked in the order of https://cloud.tencent.com/document/product/436/40105.
func (v *Verifier) Verify(r *http.Request, now time.Time) error {
	signed := signedRequest{r, parseQuery(r.URL.RawQuery)}
	auth, ok := signed.findAuthorization()
	if !ok {
		return errAccessDenied
	}
	if auth.algorithm != "sha1" {
		return InvalidArgument("q-sign-algorithm must be sha1.")
	}
	credential, ok := v.credential(auth.secretID)
	if !ok {
		return errInvalidAccessKeyID
	}
	if err := v.checkToken(credential, signed); err != nil {
		return err
	}
	for _, span := range []string{auth.signTime, auth.keyTime} {
		if err := v.checkTime(span, now); err != nil {
			return err
		}
	}
	if !auth.matches(credential.SecretKey, signed) {
		return &Error{http.StatusForbidden, "SignatureDoesNotMatch",
			"The Signature you specified is invalid: it does not match the one computed from the request and the SecretKey."}
	}
	return nil
}

// credential returns the key with an id.
func (v *Verifier) credential(secretID string) (Credential, bool) {
	keys := v.keys.Load()
	if keys == nil {
		return Credential{}, false
	}
	c, ok := (*keys)[secretID]
	return c, ok
}

var errInvalidAccessKeyID = &Error{http.StatusForbidden, "InvalidAccessKeyId",
	"The Access Key Id you provided does not exist in our records."}

// findAuthorization looks where COS looks: in the Authorization header, in URL parameters
// with the names of its fields, and in a parameter "sign" that holds all of them.
func (r signedRequest) findAuthorization() (authorization, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		return parseAuthorization(header)
	}
	if r.query.Has("q-signature") {
		return newAuthorization(r.query.Get)
	}
	return parseAuthorization(r.query.Get("sign"))
}

// parseAuthorization reads the fields in any order. They stay encoded: the names in the
// two lists are signed in that form.
func parseAuthorization(text string) (authorization, bool) {
	fields := make(map[string]string, 7)
	for pair := range strings.SplitSeq(strings.TrimSpace(text), "&") {
		name, value, _ := strings.Cut(pair, "=")
		fields[name] = value
	}
	return newAuthorization(func(name string) string { return fields[name] })
}

// newAuthorization reports false where there is no key or no signature.
func newAuthorization(field func(string) string) (authorization, bool) {
	a := authorization{
		algorithm: field("q-sign-algorithm"),
		secretID:  field("q-ak"),
		signTime:  field("q-sign-time"),
		keyTime:   field("q-key-time"),
		headers:   splitNames(field("q-header-list")),
		params:    splitNames(field("q-url-param-list")),
		signature: field("q-signature"),
	}
	return a, a.secretID != "" && a.signature != ""
}

// splitNames sorts the names and drops repetitions: SDKs name a header once for each of
// its values.
func splitNames(list string) []string {
	if list == "" {
		return nil
	}
	names := strings.Split(strings.ToLower(list), ";")
	slices.Sort(names)
	return slices.Compact(names)
}

// checkToken compares the session token. Which codes COS answers is not documented. Here
// a temporary key without its token does not exist, and a token that is not the key's own
// is taken for one that has expired.
func (v *Verifier) checkToken(c Credential, r signedRequest) error {
	token := v.token(r)
	switch {
	case subtle.ConstantTimeCompare([]byte(token), []byte(c.SessionToken)) == 1:
		return nil
	case token == "":
		return errInvalidAccessKeyID
	}
	return &Error{http.StatusBadRequest, "ExpiredToken", "The provided token has expired or is not the key's."}
}

// token returns the session token of a request, "" where it has none.
func (v *Verifier) token(r signedRequest) string {
	headers := v.TokenHeaders
	if len(headers) == 0 {
		headers = []string{"X-Cos-Security-Token"}
	}
	for _, name := range headers {
		if token := r.Header.Get(name); token != "" {
			return token
		}
	}
	for _, name := range headers {
		if token := r.query.Get(strings.ToLower(name)); token != "" {
			// Some SDKs do not escape the plus of a token. It was then read as a space,
			// which no token has.
			return strings.ReplaceAll(token, " ", "+")
		}
	}
	return ""
}

// checkTime checks a span of validity, "start;end" in Unix seconds.
func (v *Verifier) checkTime(span string, now time.Time) error {
	first, last, _ := strings.Cut(span, ";")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	switch {
	case err1 != nil || err2 != nil || start > end:
		return InvalidArgument("q-sign-time and q-key-time must be two Unix times in seconds, start;end.")
	case now.Unix() > end:
		return &Error{http.StatusForbidden, "AccessDenied", "Request has expired"}
	case start > now.Add(cmp.Or(v.MaxClockSkew, defaultMaxClockSkew)).Unix():
		return &Error{http.StatusForbidden, "RequestTimeTooSkewed",
			"The difference between the request time and the server's time is too large."}
	}
	return nil
}

// matches computes the signature and compares. Token and Content-Type need not be signed:
// SDKs differ in that.
func (a authorization) matches(secretKey string, r signedRequest) bool {
	signKey := hmacHex(secretKey, a.keyTime)
	digest := sha1.Sum(a.httpString(r))
	want := hmacHex(string(signKey), "sha1\n"+a.keyTime+"\n"+hex.EncodeToString(digest[:])+"\n")
	return hmac.Equal(want, []byte(a.signature))
}

// hmacHex returns an HMAC-SHA1 in lower-case hexadecimal digits.
func hmacHex(key, message string) []byte {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(message))
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// httpString returns the text that is hashed and signed. It holds the decoded path:
// clients that escape a key differently sign the same.
func (a authorization) httpString(r signedRequest) []byte {
	text := make([]byte, 0, 512)
	text = append(text, strings.ToLower(r.Method)...)
	text = append(text, '\n')
	text = append(text, cmp.Or(r.URL.Path, "/")...)
	text = append(text, '\n')
	text = appendPairs(text, a.params, r.paramsByName(a.params))
	text = append(text, '\n')
	text = appendPairs(text, a.headers, r.signedHeader)
	return append(text, '\n')
}

// paramsByName returns a function that looks a parameter up by its lower-case, encoded
// name. Without names it returns nil.
func (r signedRequest) paramsByName(names []string) func(string) []string {
	if len(names) == 0 {
		return nil
	}
	byName := make(map[string][]string, len(r.query))
	for name, values := range r.query {
		name = strings.ToLower(string(appendEncoded(nil, name)))
		byName[name] = append(byName[name], values...)
	}
	return func(name string) []string { return byName[name] }
}

// signedHeader looks a header up by its lower-case, encoded name. net/http keeps Host
// apart, and of a request that came without a connection only a field holds the length.
func (r signedRequest) signedHeader(name string) []string {
	switch name {
	case "host":
		return []string{requestHost(r.Request)}
	case "content-length":
		if r.ContentLength >= 0 {
			return []string{strconv.FormatInt(r.ContentLength, 10)}
		}
	case "transfer-encoding":
		return r.TransferEncoding
	}
	return r.Header[http.CanonicalHeaderKey(unescape(name))]
}

// appendPairs appends name=value&name=value. Several values of one name are sorted, and
// one that is missing is empty.
func appendPairs(text []byte, names []string, lookup func(string) []string) []byte {
	for i, name := range names {
		values := lookup(name)
		switch len(values) {
		case 0:
			values = []string{""}
		case 1:
		default:
			values = slices.Sorted(slices.Values(values))
		}
		for j, value := range values {
			if i+j > 0 {
				text = append(text, '&')
			}
			text = append(append(text, name...), '=')
			text = appendEncoded(text, value)
		}
	}
	return text
}

// appendEncoded appends s with every byte escaped but A-Z a-z 0-9 - _ . ~, which is COS's
// UrlEncode.
func appendEncoded(text []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		b := s[i]
		if isUnreserved(b) {
			text = append(text, b)
		} else {
			text = append(text, '%', digits[b>>4], digits[b&15])
		}
	}
	return text
}

// isUnreserved reports whether COS's UrlEncode leaves a byte as it is.
func isUnreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		b == '-' || b == '_' || b == '.' || b == '~'
}
