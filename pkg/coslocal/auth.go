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
	"time"
)

// authorization is a signature and what it covers, as a request brings it:
// https://cloud.tencent.com/document/product/436/7778.
type authorization struct {
	algorithm string
	secretID  string
	signTime  string
	keyTime   string
	headers   []string // lower-cased and URL-encoded, sorted, each once
	params    []string // the same
	signature string
}

// authenticate lets a request through only with a valid signature by an accepted key. The order of the checks is the one
// of https://cloud.tencent.com/document/product/436/40105: key, time, signature.
func (s *Server) authenticate(c *call) error {
	auth, ok := findAuthorization(c.seen)
	if !ok {
		return errAccessDenied
	}
	if auth.algorithm != "sha1" {
		return invalidArgument("q-sign-algorithm must be sha1.")
	}
	credential, ok := (*s.keys.Load())[auth.secretID]
	if !ok {
		return errInvalidAccessKeyID
	}
	if err := checkToken(credential, c.seen); err != nil {
		return err
	}
	for _, span := range []string{auth.signTime, auth.keyTime} {
		if err := s.checkTime(span, c.now); err != nil {
			return err
		}
	}
	if !auth.matches(credential.SecretKey, c) {
		return &cosError{http.StatusForbidden, "SignatureDoesNotMatch",
			"The Signature you specified is invalid: it does not match the one computed from the request and the SecretKey."}
	}
	return nil
}

var errInvalidAccessKeyID = &cosError{http.StatusForbidden, "InvalidAccessKeyId",
	"The Access Key Id you provided does not exist in our records."}

// findAuthorization looks where COS looks: the Authorization header, the same fields as URL parameters, or all of them in
// one parameter named sign.
func findAuthorization(r *Request) (authorization, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		return parseAuthorization(header)
	}
	if r.Query.Has("q-signature") {
		return newAuthorization(r.Query.Get)
	}
	return parseAuthorization(r.Query.Get("sign"))
}

// parseAuthorization takes the fields in any order. They are not decoded: the names in the lists are signed encoded.
func parseAuthorization(text string) (authorization, bool) {
	fields := make(map[string]string, 7)
	for pair := range strings.SplitSeq(strings.TrimSpace(text), "&") {
		name, value, _ := strings.Cut(pair, "=")
		fields[name] = value
	}
	return newAuthorization(func(name string) string { return fields[name] })
}

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

// splitNames sorts, and drops repetitions: SDKs name a header once for each of its values.
func splitNames(list string) []string {
	if list == "" {
		return nil
	}
	names := strings.Split(strings.ToLower(list), ";")
	slices.Sort(names)
	return slices.Compact(names)
}

// checkToken compares the session token. Which codes COS answers is not documented: a temporary key does not exist without
// its token, and a token that is not the key's own is taken for one of the past.
func checkToken(c Credential, r *Request) error {
	token := r.Header.Get("X-Cos-Security-Token")
	if token == "" {
		// Some SDKs leave a plus of the token as it is; it was then read as a space, which no token has.
		token = strings.ReplaceAll(r.Query.Get("x-cos-security-token"), " ", "+")
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(token), []byte(c.SessionToken)) == 1:
		return nil
	case token == "":
		return errInvalidAccessKeyID
	}
	return &cosError{http.StatusBadRequest, "ExpiredToken", "The provided token has expired or is not the key's."}
}

// checkTime reads "start;end" in Unix seconds.
func (s *Server) checkTime(span string, now time.Time) error {
	first, last, _ := strings.Cut(span, ";")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	switch {
	case err1 != nil || err2 != nil || start > end:
		return invalidArgument("q-sign-time and q-key-time must be two Unix times in seconds, start;end.")
	case now.Unix() > end:
		return &cosError{http.StatusForbidden, "AccessDenied", "Request has expired"}
	case start > now.Add(s.skew).Unix():
		return &cosError{http.StatusForbidden, "RequestTimeTooSkewed",
			"The difference between the request time and the server's time is too large."}
	}
	return nil
}

// matches computes the signature anew. The token and Content-Type need not be among what is signed: SDKs differ.
func (a authorization) matches(secretKey string, c *call) bool {
	signKey := hmacHex(secretKey, a.keyTime)
	digest := sha1.Sum(a.httpString(c))
	want := hmacHex(string(signKey), "sha1\n"+a.keyTime+"\n"+hex.EncodeToString(digest[:])+"\n")
	return hmac.Equal(want, []byte(a.signature))
}

func hmacHex(key, message string) []byte {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(message))
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// httpString holds the decoded path: clients that escape a key differently sign the same.
func (a authorization) httpString(c *call) []byte {
	text := make([]byte, 0, 512)
	text = append(text, strings.ToLower(c.http.Method)...)
	text = append(text, '\n')
	text = append(text, cmp.Or(c.http.URL.Path, "/")...)
	text = append(text, '\n')
	text = appendPairs(text, a.params, signedParams(a.params, c.seen.Query))
	text = append(text, '\n')
	text = appendPairs(text, a.headers, c.signedHeader)
	return append(text, '\n')
}

// signedParams looks a parameter up by its lower-cased, encoded name.
func signedParams(names []string, query url.Values) func(string) []string {
	if len(names) == 0 {
		return nil
	}
	byName := make(map[string][]string, len(query))
	for name, values := range query {
		name = strings.ToLower(string(appendEncoded(nil, name)))
		byName[name] = append(byName[name], values...)
	}
	return func(name string) []string { return byName[name] }
}

// signedHeader looks a header up. net/http keeps Host apart, and a request that came without a connection has its length
// in a field only.
func (c *call) signedHeader(name string) []string {
	switch name {
	case "host":
		return []string{c.seen.Host}
	case "content-length":
		if c.http.ContentLength >= 0 {
			return []string{strconv.FormatInt(c.http.ContentLength, 10)}
		}
	case "transfer-encoding":
		return c.http.TransferEncoding
	}
	return c.seen.Header[http.CanonicalHeaderKey(unescape(name))]
}

// appendPairs writes name=value&name=value; several values of a name are sorted, one that is missing is empty.
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

// appendEncoded is COS's UrlEncode: every byte but A-Z a-z 0-9 - _ . ~ is escaped.
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

func isUnreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		b == '-' || b == '_' || b == '.' || b == '~'
}
