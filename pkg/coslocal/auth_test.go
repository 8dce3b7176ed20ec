package coslocal_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

// documented is the key of the examples in
// https://cloud.tencent.com/document/product/436/7778.
var documented = coslocal.Credential{
	SecretID:  "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q",
	SecretKey: "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz",
}

const documentedHost = bucket + ".cos." + region + ".myqcloud.com"

// documentedPUT is the upload example, whole, as the page has it.
func documentedPUT(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, "http://"+documentedHost+"/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)",
		strings.NewReader("ObjectContent"))
	must(t, err)
	for name, value := range map[string]string{
		"Date":             "Thu, 16 May 2019 06:45:51 GMT",
		"Content-Type":     "text/plain",
		"Content-Length":   "13",
		"Content-MD5":      "mQ/fVh815F3k6TAUm8m0eg==",
		"x-cos-acl":        "private",
		"x-cos-grant-read": `uin="100000000011"`,
		"Authorization": "q-sign-algorithm=sha1&q-ak=AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q" +
			"&q-sign-time=1557989151;1557996351&q-key-time=1557989151;1557996351" +
			"&q-header-list=content-length;content-md5;content-type;date;host;x-cos-acl;x-cos-grant-read" +
			"&q-url-param-list=&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172",
	} {
		r.Header.Set(name, value)
	}
	return r
}

const documentedGETSignature = "q-sign-algorithm=sha1&q-ak=AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q" +
	"&q-sign-time=1557989753;1557996953&q-key-time=1557989753;1557996953" +
	"&q-header-list=date;host&q-url-param-list=response-cache-control;response-content-type" +
	"&q-signature=01681b8c9d798a678e43b685a9f1bba0f6c0e012"

// documentedGET is the download example.
func documentedGET(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+documentedHost+"/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)"+
		"?response-content-type=application%2Foctet-stream&response-cache-control=max-age%3D600", nil)
	must(t, err)
	r.Header.Set("Date", "Thu, 16 May 2019 06:55:53 GMT")
	r.Header.Set("Authorization", documentedGETSignature)
	return r
}

func documentedServer(t *testing.T, now int64) *coslocal.Server {
	return newMemory(t, coslocal.Options{
		Credentials: []coslocal.Credential{documented},
		Clock:       func() time.Time { return time.Unix(now, 0) },
	})
}

func TestDocumentedSignatures(t *testing.T) {
	t.Parallel()
	s := documentedServer(t, 1557989760)
	wantAnswer(t, do(s, documentedPUT(t)), http.StatusOK, "")
	w := do(s, documentedGET(t))
	wantAnswer(t, w, http.StatusOK, "")
	if w.Body.String() != "ObjectContent" {
		t.Errorf("body = %q", w.Body)
	}
	if got := w.Header().Get("Content-Type") + " " + w.Header().Get("Cache-Control"); got != "application/octet-stream max-age=600" {
		t.Errorf("response-* gave %q", got)
	}
}

// TestDocumentedSignatureInURL sends the download example's signature as parameters,
// encoded and not, and as one parameter.
func TestDocumentedSignatureInURL(t *testing.T) {
	t.Parallel()
	for name, parameters := range map[string]string{
		"encoded": strings.ReplaceAll(documentedGETSignature, ";", "%3B"),
		"plain":   documentedGETSignature,
		"merged":  "sign=" + url.QueryEscape(documentedGETSignature),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := documentedServer(t, 1557989760)
			must(t, s.PutObject(bucket, "exampleobject(腾讯云)", coslocal.Object{}))
			r := documentedGET(t)
			r.Header.Del("Authorization")
			r.URL.RawQuery += "&" + parameters
			wantAnswer(t, do(s, r), http.StatusOK, "")
		})
	}
}

// TestTampering changes one thing at a time in a request that is signed well.
func TestTampering(t *testing.T) {
	t.Parallel()
	replaceAuth := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	tests := map[string]struct {
		change func(*http.Request)
		status int
		code   string
	}{
		"nothing":          {func(*http.Request) {}, 200, ""},
		"method":           {func(r *http.Request) { r.Method = http.MethodGet }, 403, "SignatureDoesNotMatch"},
		"path":             {func(r *http.Request) { r.URL.Path += "x" }, 403, "SignatureDoesNotMatch"},
		"header":           {func(r *http.Request) { r.Header.Set("x-cos-acl", "public-read") }, 403, "SignatureDoesNotMatch"},
		"second header":    {func(r *http.Request) { r.Header.Add("x-cos-acl", "private") }, 403, "SignatureDoesNotMatch"},
		"header taken":     {func(r *http.Request) { r.Header.Del("Content-MD5") }, 403, "SignatureDoesNotMatch"},
		"length":           {func(r *http.Request) { r.ContentLength = 12 }, 403, "SignatureDoesNotMatch"},
		"unsigned header":  {func(r *http.Request) { r.Header.Set("x-cos-meta-a", "1") }, 200, ""},
		"body":             {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("objectContent")) }, 400, "BadDigest"},
		"no authorization": {func(r *http.Request) { r.Header.Del("Authorization") }, 403, "AccessDenied"},
		"not a signature":  {func(r *http.Request) { r.Header.Set("Authorization", "Bearer xyz") }, 403, "AccessDenied"},
		"algorithm":        {replaceAuth("=sha1", "=sha256"), 400, "InvalidArgument"},
		"secret id":        {replaceAuth("=AKID", "=BKID"), 403, "InvalidAccessKeyId"},
		"signature":        {replaceAuth("6935172", "6935173"), 403, "SignatureDoesNotMatch"},
		"signature cut":    {replaceAuth("6935172", ""), 403, "SignatureDoesNotMatch"},
		"longer validity":  {replaceAuth("q-key-time=1557989151;1557996351", "q-key-time=1557989151;1657996351"), 403, "SignatureDoesNotMatch"},
		"times not times":  {replaceAuth("q-key-time=1557989151", "q-key-time=now"), 400, "InvalidArgument"},
		"fewer headers":    {replaceAuth("x-cos-acl;", ""), 403, "SignatureDoesNotMatch"},
		"token nobody has": {func(r *http.Request) { r.Header.Set("x-cos-security-token", "t") }, 400, "ExpiredToken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := documentedPUT(t)
			test.change(r)
			wantAnswer(t, do(documentedServer(t, 1557989760), r), test.status, test.code)
		})
	}
}

func TestValidity(t *testing.T) {
	t.Parallel()
	const start, end = 1557989151, 1557996351
	tests := map[string]struct {
		now     int64
		status  int
		message string
	}{
		"first second":      {start, 200, ""},
		"last second":       {end, 200, ""},
		"past the end":      {end + 1, 403, "<Message>Request has expired</Message>"},
		"within the skew":   {start - 900, 200, ""},
		"beyond the skew":   {start - 901, 403, "<Code>RequestTimeTooSkewed</Code>"},
		"long after expiry": {end + 1e6, 403, "<Code>AccessDenied</Code>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := do(documentedServer(t, test.now), documentedPUT(t))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.message) {
				t.Errorf("answer = %d %s; want %d %s", w.Code, w.Body, test.status, test.message)
			}
		})
	}
}

func TestSessionToken(t *testing.T) {
	t.Parallel()
	temporary := coslocal.Credential{SecretID: "temporary", SecretKey: "key", SessionToken: "token/with+odd=characters"}
	s, sdk := start(t, coslocal.Options{Credentials: []coslocal.Credential{temporary}})
	must(t, s.PutObject(bucket, "a", coslocal.Object{Body: []byte("a")}))
	_, err := sdk.Object.Head(context.Background(), "a", nil)
	must(t, err)

	without, other := temporary, temporary
	without.SessionToken, other.SessionToken = "", "yesterday's"
	_, _, err = client(t, s, without).Object.GetTagging(context.Background(), "a")
	wantCode(t, err, "InvalidAccessKeyId", 403)
	_, _, err = client(t, s, other).Object.GetTagging(context.Background(), "a")
	wantCode(t, err, "ExpiredToken", 400)

	renewed := coslocal.Credential{SecretID: "temporary2", SecretKey: "key2", SessionToken: "token2"}
	s.SetCredentials(renewed)
	_, _, err = sdk.Object.GetTagging(context.Background(), "a")
	wantCode(t, err, "InvalidAccessKeyId", 403)
	_, err = client(t, s, renewed).Object.Head(context.Background(), "a", nil)
	must(t, err)
}

func TestPresignedURL(t *testing.T) {
	t.Parallel()
	temporary := coslocal.Credential{SecretID: "temporary", SecretKey: "key", SessionToken: "to+ken"}
	s, sdk := start(t, coslocal.Options{Credentials: []coslocal.Credential{temporary}})
	for _, merged := range []bool{false, true} {
		u, err := sdk.Object.GetPresignedURL2(context.Background(), http.MethodPut, "目录/a b+c(1).txt", time.Hour,
			&cos.PresignedURLOptions{Query: &url.Values{"x": {"1 2"}}, Header: &http.Header{}, SignMerged: merged})
		must(t, err)
		r, err := http.NewRequest(http.MethodPut, u.String(), strings.NewReader("body"))
		must(t, err)
		response, err := s.Client().Do(r)
		must(t, err)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("merged=%t: status %d", merged, response.StatusCode)
		}
	}
	// The Node SDK puts the token into the URL as it is.
	u, err := sdk.Object.GetPresignedURL(context.Background(), http.MethodGet, "目录/a b+c(1).txt", temporary.SecretID,
		temporary.SecretKey, time.Hour, nil)
	must(t, err)
	r, err := http.NewRequest(http.MethodGet, u.String()+"&x-cos-security-token="+temporary.SessionToken, nil)
	must(t, err)
	wantAnswer(t, do(s, r), http.StatusOK, "")
	if o, ok := s.Object(bucket, "目录/a b+c(1).txt"); !ok || string(o.Body) != "body" {
		t.Errorf("object = %+v", o)
	}
}

// signLikeNode signs as cos-nodejs-sdk-v5 does, by the page and not by any code of this
// package: all of host, content-length, content-md5 and x-cos-*, but neither Content-Type
// nor the token, which is added afterwards.
func signLikeNode(r *http.Request, c coslocal.Credential, now time.Time) {
	headers := map[string]string{"host": r.URL.Host}
	if r.ContentLength > 0 {
		headers["content-length"] = fmt.Sprint(r.ContentLength)
	}
	for name, values := range r.Header {
		if name = strings.ToLower(name); name == "content-md5" || strings.HasPrefix(name, "x-cos-") {
			headers[name] = values[0]
		}
	}
	params := map[string]string{}
	for name, values := range r.URL.Query() {
		params[name] = values[0]
	}
	headerList, headerText := nodeList(headers)
	paramList, paramText := nodeList(params)
	keyTime := fmt.Sprintf("%d;%d", now.Unix()-1, now.Unix()+900)
	digest := sha1.Sum([]byte(strings.ToLower(r.Method) + "\n" + r.URL.Path + "\n" + paramText + "\n" + headerText + "\n"))
	signature := nodeHMAC(nodeHMAC(c.SecretKey, keyTime), "sha1\n"+keyTime+"\n"+hex.EncodeToString(digest[:])+"\n")
	r.Header["Authorization"] = []string{"q-sign-algorithm=sha1&q-ak=" + c.SecretID + "&q-sign-time=" + keyTime +
		"&q-key-time=" + keyTime + "&q-header-list=" + headerList + "&q-url-param-list=" + paramList +
		"&q-signature=" + signature}
	if c.SessionToken != "" {
		r.Header["X-Cos-Security-Token"] = []string{c.SessionToken}
	}
}

func nodeHMAC(key, text string) string {
	mac := hmac.New(sha1.New, []byte(key))
	_, _ = io.WriteString(mac, text)
	return hex.EncodeToString(mac.Sum(nil))
}

// nodeEncode is encodeURIComponent and the five characters more that COS wants escaped.
func nodeEncode(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A").Replace(url.QueryEscape(s))
}

func nodeList(fields map[string]string) (list, text string) {
	var names, pairs []string
	for name, value := range fields {
		name = strings.ToLower(nodeEncode(name))
		names = append(names, name)
		pairs = append(pairs, name+"="+nodeEncode(value))
	}
	slices.Sort(names)
	slices.Sort(pairs)
	return strings.Join(names, ";"), strings.Join(pairs, "&")
}

func TestSignerOfNodeSDK(t *testing.T) {
	t.Parallel()
	c := coslocal.Credential{SecretID: "temporary", SecretKey: "key", SessionToken: "token"}
	s := coslocaltest.NewServerWith(t, coslocal.Options{Credentials: []coslocal.Credential{c}}, bucket)
	const key = "目录/a b+c&d=e(1)!'*~.txt"
	base := strings.NewReplacer("{bucket}", bucket, "{region}", region).Replace(s.Endpoint)
	send := func(method, query, body string, header ...string) (int, string) {
		t.Helper()
		target := base + (&url.URL{Path: "/" + key}).EscapedPath() + query // keeps the slashes
		r, err := http.NewRequest(method, target, strings.NewReader(body))
		must(t, err)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		signLikeNode(r, c, time.Now())
		response, err := s.Client().Do(r)
		must(t, err)
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode, string(text)
	}

	sum := md5.Sum([]byte("hello"))
	put := []string{"Content-Type", "text/plain", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]),
		"x-cos-meta-a", "b c;d", "x-cos-forbid-overwrite", "true"}
	if status, body := send(http.MethodPut, "", "hello", put...); status != 200 {
		t.Fatalf("PUT: %d %s", status, body)
	}
	if status, body := send(http.MethodPut, "", "hello", put...); status != 409 || !strings.Contains(body, "FileAlreadyExists") {
		t.Errorf("second PUT: %d %s", status, body)
	}
	if status, body := send(http.MethodGet, "?response-content-type=text%2Fcsv", ""); status != 200 || body != "hello" {
		t.Errorf("GET: %d %s", status, body)
	}
	const tags = "<Tagging><TagSet><Tag><Key>md5</Key><Value>5d41</Value></Tag></TagSet></Tagging>"
	if status, body := send(http.MethodPut, "?tagging", tags); status != 200 {
		t.Errorf("PUT ?tagging: %d %s", status, body)
	}
	if status, body := send(http.MethodGet, "?tagging=", ""); status != 200 || !strings.Contains(body, tags) {
		t.Errorf("GET ?tagging: %d %s", status, body)
	}
	if status, _ := send(http.MethodDelete, "", ""); status != 204 {
		t.Errorf("DELETE: %d", status)
	}
}

// TestSignatureOfNoPath: a URL without a path is sent, and so signed, as one with a
// slash.
func TestSignatureOfNoPath(t *testing.T) {
	t.Parallel()
	r := newRequest(t, http.MethodHead, "/", "")
	signLikeNode(r, coslocal.DefaultCredential(), time.Now())
	r.URL.Path = ""
	wantAnswer(t, do(newMemory(t, coslocal.Options{}), r), http.StatusOK, "")
}

// TestSignatureOfRepeatedFields signs with the Go SDK, which sorts the values of a field
// that comes several times.
func TestSignatureOfRepeatedFields(t *testing.T) {
	t.Parallel()
	key := coslocal.DefaultCredential()
	for _, values := range [][]string{{"a", "b"}, {"b", "a"}, {"c", "a", "b"}} {
		r := newRequest(t, http.MethodHead, "/?"+url.Values{"x": values}.Encode(), "")
		r.Header["X-Cos-Meta-Y"] = values
		cos.AddAuthorizationHeader(key.SecretID, key.SecretKey, key.SessionToken, r, cos.NewAuthTime(time.Hour))
		if answer := do(newMemory(t, coslocal.Options{}), r); answer.Code != http.StatusOK {
			t.Errorf("%v: status %d", values, answer.Code)
		}
	}
}

// TestSignTimeAlone: the key is good for longer than the signature, which is over.
func TestSignTimeAlone(t *testing.T) {
	t.Parallel()
	r := documentedPUT(t)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"),
		"q-sign-time=1557989151;1557996351", "q-sign-time=1557989151;1557989700", 1))
	wantAnswer(t, do(documentedServer(t, 1557989760), r), http.StatusForbidden, "AccessDenied")
}

// FuzzAuthorization looks for an authorization that makes the server panic, or that it
// takes without knowing the key.
func FuzzAuthorization(f *testing.F) {
	f.Add(documentedGETSignature, "response-content-type=a", "/a")
	f.Add("", documentedGETSignature, "/exampleobject(腾讯云)")
	f.Add("q-ak=coslocal-secret-id&q-signature=%", "sign=%3D%26&q-sign-time=;", "//")
	f.Add("q-ak=coslocal-secret-id&q-sign-algorithm=sha1&q-key-time=1;9999999999&q-sign-time=1;9999999999"+
		"&q-header-list=;;host;x%&q-url-param-list=a;;&q-signature=0", "a&a=1&&=", "/%")
	s := newMemory(f, coslocal.Options{KeepRequests: -1})
	f.Fuzz(func(t *testing.T, header, query, path string) {
		r := &http.Request{
			Method: http.MethodGet,
			Host:   documentedHost,
			URL:    &url.URL{Path: path, RawQuery: query},
			Header: http.Header{"Authorization": {header}},
		}
		if w := do(s, r); w.Code != http.StatusForbidden && w.Code != http.StatusBadRequest {
			t.Errorf("answer = %d %s", w.Code, w.Body)
		}
	})
}

// TestSignedNamesInAnyOrder takes lists of names that are not sorted, or name one twice.
func TestSignedNamesInAnyOrder(t *testing.T) {
	t.Parallel()
	r := newRequest(t, http.MethodGet, "/", "")
	r.Header.Set("x-cos-a", "1")
	r.Header.Set("x-cos-b", "2")
	header := signed(r).Header.Get("Authorization")
	_, rest, _ := strings.Cut(header, "q-header-list=")
	list, _, _ := strings.Cut(rest, "&")
	names := strings.Split(list, ";")
	slices.Reverse(names)
	if len(names) < 2 {
		t.Fatalf("signed are %q", names)
	}
	r.Header.Set("Authorization", strings.Replace(header, list, strings.Join(append(names, names[0]), ";"), 1))
	wantAnswer(t, do(newMemory(t, coslocal.Options{}), r), http.StatusOK, "")
}
