package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// An error says what to do to the person who must act on it.
func TestErrorNamesTheRemedy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault coslocal.Fault
		kind  error
		want  []string // in the message
	}{
		{"no_bucket", coslocal.Fault{Status: 404, Code: "NoSuchBucket"}, cosclient.ErrMisconfigured, []string{"404 NoSuchBucket", "RECORD_BUCKET", "RECORD_REGION"}},
		{"denied", coslocal.Fault{Status: 403, Code: "AccessDenied"}, cosclient.ErrMisconfigured, []string{"grant name/cos:PutObject", "execution role"}},
		{"forbidden", coslocal.Fault{Status: 403, Code: "AccessForbidden"}, cosclient.ErrMisconfigured, []string{"grant name/cos:PutObject"}},
		{"forbidden_by_a_page", coslocal.Fault{Status: 403, Body: page}, cosclient.ErrMisconfigured, []string{"grant name/cos:PutObject"}},
		{"token_expired", coslocal.Fault{Status: 400, Code: "ExpiredToken"}, cosclient.ErrMisconfigured, []string{"ExpiredToken", "credentials"}},
		{"bad_signature", coslocal.Fault{Status: 403, Code: "SignatureDoesNotMatch"}, cosclient.ErrMisconfigured, []string{"credentials", "execution role"}},
		{"bad_key_id", coslocal.Fault{Status: 403, Code: "InvalidAccessKeyId"}, cosclient.ErrMisconfigured, []string{"credentials"}},
		{"redirect", coslocal.Fault{Status: 301, Header: http.Header{"Location": {"https://evil.example/"}}}, cosclient.ErrMisconfigured, []string{"301", "COS_ENDPOINT", "RECORD_REGION"}},
		{"redirect_307", coslocal.Fault{Status: 307, Header: http.Header{"Location": {"/x"}}}, cosclient.ErrMisconfigured, []string{"307", "COS_ENDPOINT"}},
		{"tag_set", coslocal.Fault{Status: 400, Code: "InvalidTag"}, cosclient.ErrMisconfigured, []string{"InvalidTag", "MD5_TAG_KEY"}},
		{"unpaid", coslocal.Fault{Status: 402, Code: "PaymentRequired"}, cosclient.ErrMisconfigured, []string{"account", "balance"}},
		{"blocked", coslocal.Fault{Status: 451}, cosclient.ErrMisconfigured, []string{"account"}},
		{"proxy", coslocal.Fault{Status: 405, Body: page}, cosclient.ErrMisconfigured, []string{"405", "COS_ENDPOINT"}},
		{"odd", coslocal.Fault{Status: 520, Body: page}, cosclient.ErrUnavailable, []string{"520"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Inject(test.fault)
			_, _, err := w.open(t, options()).PutRecord(t.Context(), first())
			if !errors.Is(err, test.kind) {
				t.Fatalf("err = %v; want %v", err, test.kind)
			}
			for _, part := range append(test.want, "put", records+"/"+jobKey) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("err = %q; want it to say %q", err, part)
				}
			}
			if other := map[error]error{cosclient.ErrMisconfigured: cosclient.ErrUnavailable, cosclient.ErrUnavailable: cosclient.ErrMisconfigured}[test.kind]; errors.Is(err, other) {
				t.Errorf("err = %v; is %v as well", err, other)
			}
		})
	}
}

func TestErrorNamesTheAction(t *testing.T) {
	t.Parallel()
	for step, action := range map[string]string{putNew: "PutObject", get: "GetObject", put: "PutObject"} {
		w := newWorld(t)
		w.put(t, records, jobKey, coslocal.Object{Body: encode(t, first())})
		w.Deny(at(step))
		_, _, err := w.open(t, options()).PutRecord(t.Context(), second())
		if !errors.Is(err, cosclient.ErrMisconfigured) || !strings.Contains(err.Error(), "grant name/cos:"+action+" ") {
			t.Errorf("%s: err = %v; want ErrMisconfigured that names %s", step, err, action)
		}
	}
}

// No error shows what is secret, even where COS or what stands for it sends it back.
func TestErrorShowsNoSecret(t *testing.T) {
	t.Parallel()
	const key, token = "the-secret-key", "the-session-token"
	echo := func(code string) []byte {
		return fmt.Appendf(nil, "<Error><Code>%s</Code><Message>%s %s q-signature=x</Message><StringToSign>%s</StringToSign></Error>", code, key, token, key)
	}
	faults := map[string]coslocal.Fault{
		"reset":       {Reset: true},
		"refused":     {Status: 403, Code: "AccessDenied"},
		"echoed":      {Status: 403, Body: echo("SignatureDoesNotMatch")},
		"echoed_503":  {Status: 503, Body: echo("SlowDown")},
		"echoed_400":  {Status: 400, Body: echo("InvalidArgument")},
		"garbled":     {Body: []byte(key + token)},
		"redirected":  {Status: 302, Header: http.Header{"Location": {"https://evil.example/?" + token}}},
		"long_code":   {Status: 400, Body: echo(strings.Repeat("长", 100_000))},
		"code_breaks": {Status: 400, Body: echo("a\nb")},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, coslocal.Credential{SecretID: "AKIDsecret", SecretKey: key, SessionToken: token})
			w.putOutput(t, theirs)
			w.Inject(fault)
			o := options()
			o.Credentials = cosclient.Credentials{SecretID: "AKIDsecret", SecretKey: key, SessionToken: token}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.Inject(coslocal.Fault{Match: func(coslocal.Request) bool {
				if w.RequestCount() > 10 {
					cancel()
				}
				return false
			}})
			s := w.open(t, o)
			_, _, record := s.PutRecord(ctx, first())
			_, rejected := s.PutRejected(ctx, page, "")
			tag, tagged := s.TagOutput(ctx, output(), ended)
			for _, err := range []error{record, rejected, tagged, errors.New(tag.Reason)} {
				if err == nil {
					t.Error("no error")
					continue
				}
				for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
					for _, secret := range []string{key, token, "AKIDsecret", "q-sign"} {
						if strings.Contains(text, secret) {
							t.Errorf("%q shows %q", text, secret)
						}
					}
				}
				if len(err.Error()) > 1000 {
					t.Errorf("%d bytes long: %.100q", len(err.Error()), err)
				}
			}
		})
	}
}
