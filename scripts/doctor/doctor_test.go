package main

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// skippedFrom has one check fail and those that build on it skipped.
func skippedFrom(name string, media bool) map[string]verdict {
	order := []string{checkReached, checkClock, checkAccepted, checkBucket, checkVersioning, checkWrite, checkCreateOnly, checkRead}
	want := map[string]verdict{}
	found := false
	for _, check := range order {
		if found {
			want[check] = verdictSkipped
		}
		if check == name {
			found = true
			want[check] = verdictFailed
		}
	}
	if media {
		for _, check := range []string{"read tags", "head", "write tags"} {
			want[mediaBucket+": "+check] = verdictSkipped
		}
	}
	return want
}

// noBucket has no record bucket, where the credentials are not looked at either.
func noBucket() map[string]verdict {
	want := skippedFrom(checkBucket, false)
	want[checkAccepted] = verdictSkipped
	return want
}

func TestAllWell(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	r := c.report("-media", mediaBucket)
	c.wants(r, map[string]verdict{"CALLBACK_TOKEN": verdictWarning}) // the token's characters need encoding
	c.leavesNothing()
	if n := c.cos.RequestCount(); n > 10 {
		t.Errorf("it took %d requests", n)
	}
	for _, request := range c.cos.Requests() {
		if request.Bucket == mediaBucket && request.Status != http.StatusNotFound {
			t.Errorf("%s of a media bucket answers %d: something is there", request.Action(), request.Status)
		}
	}
}

// TestMediaElsewhere has the media bucket in another region than the records.
func TestMediaElsewhere(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	if err := c.cos.CreateBucket("more-1250000000", "ap-beijing"); err != nil {
		t.Fatal(err)
	}
	c.wants(c.report("-media", "more-1250000000@ap-beijing"), map[string]verdict{"CALLBACK_TOKEN": verdictWarning})
	for _, request := range c.cos.Requests() {
		if request.Bucket == "more-1250000000" && request.Region != "ap-beijing" {
			t.Errorf("%s asks in %s", request.Action(), request.Region)
		}
	}
}

func TestPlainOutput(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.env["CALLBACK_TOKEN"] = secondToken
	c.addCI(cilocal.Options{})
	c.run("-media", mediaBucket)
	if c.status != exitOK || c.err != "" {
		t.Errorf("status %d, and on standard error: %s", c.status, c.err)
	}
	findings.Compare(t, t.Name(), constant(c.out))
}

// TestPlainOutputOfWarnings has something of everything to say.
func TestPlainOutputOfWarnings(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	delete(c.env, "RECORD_REGION")
	findings.Compare(t, t.Name(), constant(c.run().out))
}

func TestRecordBucket(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(*clinic)
		want    map[string]verdict
		remedy  map[string]string // a word of the remedy
	}{
		"versioned": {
			func(c *clinic) { c.cos.SetVersioning(recordBucket, "Enabled") },
			skippedFrom(checkVersioning, false), map[string]string{checkVersioning: "new bucket"},
		},
		"versioning_suspended": {
			func(c *clinic) { c.cos.SetVersioning(recordBucket, "Suspended") },
			skippedFrom(checkVersioning, false), map[string]string{checkVersioning: "new bucket"},
		},
		"versioned_and_may_not_ask": {
			func(c *clinic) {
				c.cos.SetVersioning(recordBucket, "Suspended")
				c.cos.Deny(denyAll("GetBucketVersioning"))
			},
			map[string]verdict{checkVersioning: verdictWarning, checkCreateOnly: verdictFailed}, map[string]string{checkCreateOnly: "new bucket"},
		},
		"no_such_bucket": {
			func(c *clinic) { c.env["RECORD_BUCKET"] = "nothing-1250000000" },
			noBucket(), map[string]string{checkBucket: "RECORD_BUCKET"},
		},
		"wrong_region": {
			func(c *clinic) { c.env["RECORD_REGION"] = "ap-beijing" },
			func() map[string]verdict {
				want := noBucket()
				want[mediaBucket+": read tags"], want[mediaBucket+": head"], want[mediaBucket+": write tags"] = verdictFailed, verdictSkipped, verdictSkipped
				return want
			}(), map[string]string{checkBucket: "RECORD_REGION", mediaBucket + ": read tags": "@<region>"},
		},
		"may_not_write": {
			func(c *clinic) { c.cos.Deny(denyAll("PutObject")) },
			skippedFrom(checkWrite, false), map[string]string{checkWrite: "name/cos:PutObject on " + recordBucket + "/ci/* "},
		},
		"written_and_answered_500": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("PutObject"), AfterWork: true, Status: 500})
			},
			skippedFrom(checkWrite, false), nil,
		},
		"may_do_nothing": {
			func(c *clinic) { c.cos.Deny(func(r coslocal.Request) bool { return r.Bucket == recordBucket }) },
			func() map[string]verdict {
				want := skippedFrom(checkWrite, false)
				want[checkAccepted], want[checkBucket], want[checkVersioning] = verdictWarning, verdictWarning, verdictWarning
				return want
			}(), map[string]string{checkBucket: "RECORD_BUCKET"},
		},
		"may_not_read": {
			func(c *clinic) { c.cos.Deny(denyAll("GetObject")) },
			map[string]verdict{checkAccepted: verdictWarning, checkBucket: verdictWarning, checkRead: verdictFailed}, map[string]string{checkRead: "name/cos:GetObject on " + recordBucket + "/ci/* "},
		},
		"reads_something_else": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetObject"), Nth: 2, Body: []byte("cached"), Header: http.Header{"X-Cos-Request-Id": {"1"}}})
			},
			map[string]verdict{checkRead: verdictFailed}, map[string]string{checkRead: "cache"},
		},
		"may_not_see_what_is_missing": {
			func(c *clinic) {
				c.cos.Deny(func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "-missing") && r.Bucket == recordBucket })
			},
			map[string]verdict{checkAccepted: verdictWarning, checkBucket: verdictWarning, checkRead: verdictWarning}, map[string]string{checkRead: "name/cos:GetBucket"},
		},
		"may_not_ask_for_versioning": {
			func(c *clinic) { c.cos.Deny(denyAll("GetBucketVersioning")) },
			map[string]verdict{checkVersioning: verdictWarning}, nil,
		},
		"probe_left_over": {
			func(c *clinic) { c.cos.Deny(denyAll("DeleteObject")) },
			map[string]verdict{checkRemoved: verdictWarning}, map[string]string{checkRemoved: "by hand"},
		},
		"may_not_read_tags": {
			func(c *clinic) { c.cos.Deny(denyAll("GetObjectTagging")) },
			map[string]verdict{mediaBucket + ": read tags": verdictFailed, mediaBucket + ": head": verdictSkipped, mediaBucket + ": write tags": verdictSkipped},
			map[string]string{mediaBucket + ": read tags": "name/cos:GetObjectTagging"},
		},
		"may_not_head": {
			func(c *clinic) { c.cos.Deny(denyAll("HeadObject")) },
			map[string]verdict{mediaBucket + ": head": verdictFailed}, map[string]string{mediaBucket + ": head": "name/cos:HeadObject"},
		},
		"may_not_write_tags": {
			func(c *clinic) { c.cos.Deny(denyAll("PutObjectTagging")) },
			map[string]verdict{mediaBucket + ": write tags": verdictFailed}, map[string]string{mediaBucket + ": write tags": "name/cos:PutObjectTagging"},
		},
		"media_bucket_left_out": {
			func(c *clinic) { c.env["TAG_BUCKETS"] = "other-1250000000" },
			map[string]verdict{mediaBucket + ": read tags": verdictWarning}, map[string]string{mediaBucket + ": read tags": "TAG_BUCKETS"},
		},
		"media_bucket_of_another_account": { // whose AppID ends like the function's
			func(c *clinic) {
				c.env["RECORD_BUCKET"] = "records-250000000"
				for _, bucket := range []string{"records-250000000"} {
					if err := c.cos.CreateBucket(bucket, region); err != nil {
						c.t.Fatal(err)
					}
				}
			},
			map[string]verdict{mediaBucket + ": read tags": verdictWarning}, map[string]string{mediaBucket + ": read tags": "TAG_BUCKETS"},
		},
		"tagging_off": {
			func(c *clinic) { delete(c.env, "TAG_MD5") },
			map[string]verdict{"media buckets": verdictSkipped}, nil,
		},
		"wrong_secret_id": {
			func(c *clinic) { c.env["TENCENTCLOUD_SECRETID"] = "AKIDsomebody-else" },
			skippedFrom(checkAccepted, true), map[string]string{checkAccepted: "TENCENTCLOUD_SECRETID"},
		},
		"wrong_secret_key": {
			func(c *clinic) { c.env["TENCENTCLOUD_SECRETKEY"] = "not-the-key" },
			skippedFrom(checkAccepted, true), map[string]string{checkAccepted: "TENCENTCLOUD_SECRETKEY"},
		},
		"no_session_token": {
			func(c *clinic) { delete(c.env, "TENCENTCLOUD_SESSIONTOKEN") },
			skippedFrom(checkAccepted, true), map[string]string{checkAccepted: "TENCENTCLOUD_SESSIONTOKEN"},
		},
		"expired_token": {
			func(c *clinic) { c.env["TENCENTCLOUD_SESSIONTOKEN"] = "the-token-of-yesterday" },
			skippedFrom(checkAccepted, true), map[string]string{checkAccepted: "expired"},
		},
		"expired_signature": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Status: 403, Body: []byte("<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
					Header: http.Header{"X-Cos-Request-Id": {"1"}}})
			},
			skippedFrom(checkAccepted, true), map[string]string{checkAccepted: "clock"},
		},
		"account_in_arrears": {
			func(c *clinic) { c.cos.Inject(coslocal.Fault{Status: 402, Code: "PaymentRequired"}) },
			skippedFrom(checkAccepted, true), map[string]string{checkAccepted: "balance"},
		},
		"served_from_elsewhere": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetObject"), Status: 301, Code: "PermanentRedirect"})
			},
			skippedFrom(checkBucket, false), nil,
		},
		"wrong_request": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetObject"), Status: 400, Code: "InvalidURI"})
			},
			skippedFrom(checkBucket, false), nil,
		},
		"account_closed": {
			func(c *clinic) { c.cos.Inject(coslocal.Fault{Status: 451, Code: "Unavailable"}) },
			skippedFrom(checkAccepted, true), nil,
		},
		"versioning_does_not_tell": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetBucketVersioning"), Status: 405, Code: "MethodNotAllowed"})
			},
			map[string]verdict{checkVersioning: verdictWarning}, nil,
		},
		"no_answer_about_versioning": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetBucketVersioning"), Reset: true})
			},
			skippedFrom(checkVersioning, false), nil,
		},
		"second_write_refused": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("PutObject"), Nth: 2, Status: 403, Code: "AccessDenied"})
			},
			map[string]verdict{checkCreateOnly: verdictFailed}, nil,
		},
		"second_write_lost": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("PutObject"), Nth: 2, Reset: true})
			},
			map[string]verdict{checkCreateOnly: verdictFailed}, nil,
		},
		"read_answered_500": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetObject"), Nth: 2, Status: 500, Code: "InternalError"})
			},
			map[string]verdict{checkRead: verdictFailed}, nil,
		},
		"removal_lost": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("DeleteObject"), AfterWork: true, Reset: true})
			},
			map[string]verdict{checkRemoved: verdictWarning}, nil,
		},
		"removal_answered_500": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("DeleteObject"), AfterWork: true, Status: 500})
			},
			map[string]verdict{checkRemoved: verdictWarning}, nil,
		},
		"tags_of_nothing": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("GetObjectTagging"), Status: 200, Body: []byte("<Tagging/>"), Header: http.Header{"X-Cos-Request-Id": {"1"}}})
			},
			map[string]verdict{mediaBucket + ": read tags": verdictWarning}, nil,
		},
		"no_answer_about_tags": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("HeadObject"), Reset: true})
			},
			map[string]verdict{mediaBucket + ": head": verdictFailed}, nil,
		},
		"throttled": {
			func(c *clinic) { c.cos.Inject(coslocal.Fault{Status: 503, Code: "SlowDown"}) },
			skippedFrom(checkReached, true), map[string]string{checkReached: "later"},
		},
		"proxy_answers_html": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Body: []byte("<html>Log in</html>"), Header: http.Header{"Content-Type": {"text/html"}}})
			},
			skippedFrom(checkReached, true), map[string]string{checkReached: "proxy"},
		},
		"proxy_answers_later": {
			func(c *clinic) { c.cos.Inject(coslocal.Fault{Body: []byte("{}"), Match: denyAll("PutObject")}) },
			skippedFrom(checkWrite, false), map[string]string{checkWrite: "proxy"},
		},
		"refused_connection": {
			func(c *clinic) { c.env["COS_ENDPOINT"] = "http://{bucket}.cos.{region}.localhost:1" },
			skippedFrom(checkReached, true), map[string]string{checkReached: "COS_ENDPOINT"},
		},
		"dropped_connection": {
			func(c *clinic) { c.cos.Inject(coslocal.Fault{Reset: true}) },
			skippedFrom(checkReached, true), nil,
		},
		"not_tls": {
			func(c *clinic) { c.env["COS_ENDPOINT"] = strings.Replace(c.cos.Endpoint, "http://", "https://", 1) },
			skippedFrom(checkReached, true), nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.env["CALLBACK_TOKEN"] = secondToken
			test.prepare(c)
			r := c.report("-media", mediaBucket)
			for check, word := range test.remedy {
				if remedy := c.find(r, check).Remedy; !strings.Contains(remedy, word) {
					t.Errorf("the remedy of %s does not name %s: %s", check, word, remedy)
				}
			}
			c.wants(r, test.want)
			if name != "probe_left_over" {
				c.leavesNothing()
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ahead time.Duration // of COS
		want  verdict
	}{
		"right":              {0, verdictOK},
		"a_little_ahead":     {2 * time.Minute, verdictWarning},
		"a_little_behind":    {-2 * time.Minute, verdictWarning},
		"ahead":              {11 * time.Minute, verdictFailed},
		"behind":             {-11 * time.Minute, verdictFailed},
		"so_far_it_is_403":   {20 * time.Minute, verdictFailed},
		"so_far_it_is_ended": {-2 * time.Hour, verdictFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.now = func() time.Time { return time.Now().Add(test.ahead) }
			r := c.report("-timeout", "10s")
			check := c.find(r, checkClock)
			if check.Verdict != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
			if test.want == verdictFailed && c.find(r, checkWrite).Verdict != verdictSkipped {
				t.Error("it went on with a wrong clock")
			}
			c.leavesNothing()
		})
	}
}

// TestCOSClock has a COS that finds the time wrong although its Date is right.
func TestCOSClock(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.cos.Inject(coslocal.Fault{Status: http.StatusForbidden, Code: "RequestTimeTooSkewed"})
	if check := c.find(c.report(), checkAccepted); check.Verdict != verdictFailed || !strings.Contains(check.Remedy, "clock") {
		t.Errorf("%+v", check)
	}
}

func TestStalled(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.cos.Inject(coslocal.Fault{Delay: time.Minute})
	began := time.Now()
	if check := c.find(c.report("-timeout", "50ms"), checkReached); check.Verdict != verdictFailed || check.Detail != "no answer in time" {
		t.Errorf("%+v", check)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestStalledInTheMiddle loses the answer to the write: the probe is there, and goes.
func TestStalledInTheMiddle(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.cos.Inject(coslocal.Fault{Match: denyAll("PutObject"), AfterWork: true, Delay: time.Minute})
	r := c.report("-timeout", "1s")
	if c.find(r, checkWrite).Verdict != verdictFailed || c.find(r, checkRemoved).Verdict != verdictOK {
		t.Errorf("%+v", r.Checks)
	}
	c.leavesNothing()
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.transport = transportFunc(func(r *http.Request) (*http.Response, error) {
		return nil, &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}
	})
	check := c.find(c.report(), checkReached)
	if name := recordBucket + ".cos." + region + ".localhost"; check.Verdict != verdictFailed || check.Detail != fmt.Sprintf("the name %q is not known", name) {
		t.Errorf("%+v", check)
	}
}

// TestTimeLimitOfARequest has a COS that never answers: one request must not use up the
// time of all of them.
func TestTimeLimitOfARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &clinic{t: t, ctx: t.Context(), now: time.Now, env: environmentFor("http://{bucket}.cos.{region}.localhost:9000")}
		c.transport = transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		began := time.Now()
		if check := c.find(c.report("-timeout", "1h"), checkReached); check.Verdict != verdictFailed || check.Detail != "no answer in time" {
			t.Errorf("%+v", check)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v, want 10 s", took)
		}
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.env = map[string]string{
		"CALLBACK_TOKEN": "short", "RECORD_BUCKET": "records", "RECORD_PREFIX": "/a", "TAG_MD5": "perhaps", "MD5_TAG_KEY": "a*b",
		"TAG_BUCKETS": "a,b", "COS_ENDPOINT": "https://user:doctor-secret@example.com", "MAX_BODY_BYTES": "-1", "LOG_LEVEL": "loud",
	}
	r := c.report("-url", serve(t, http.NotFound))
	for _, name := range []string{"CALLBACK_TOKEN", "RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "TAG_MD5", "MD5_TAG_KEY",
		"TAG_BUCKETS", "COS_ENDPOINT", "MAX_BODY_BYTES", "LOG_LEVEL", checkCredentials, checkAnswers} {
		if check := c.find(r, name); check.Verdict != verdictFailed {
			t.Errorf("%s is not named: %+v", name, check)
		}
	}
	if c.find(r, checkReached).Verdict != verdictSkipped || c.cos.RequestCount() != 0 {
		t.Error("COS was asked all the same")
	}
	c.env = nil
	if c.run(); strings.Contains(c.out, "1250000000") {
		t.Errorf("it shows an AppID that nobody set:\n%s", c.out)
	}
}

func TestSettingsSaid(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		variable, value string
		check           string
		want            verdict
	}{
		"default":            {"RECORD_PREFIX", " ", "RECORD_PREFIX", verdictOK},
		"prefix_no_slash":    {"RECORD_PREFIX", "ci", "RECORD_PREFIX", verdictWarning},
		"everybody":          {"CALLBACK_AUTH", "none", "CALLBACK_TOKEN", verdictWarning},
		"auth_misspelt":      {"CALLBACK_AUTH", "off", "CALLBACK_TOKEN", verdictFailed},
		"no_token":           {"CALLBACK_TOKEN", "", "CALLBACK_TOKEN", verdictFailed},
		"one_token_is_short": {"CALLBACK_TOKEN", firstToken + ",short", "CALLBACK_TOKEN", verdictFailed},
		"secret_key_missing": {"TENCENTCLOUD_SECRETKEY", "", checkCredentials, verdictFailed},
		"buckets_for_naught": {"TAG_MD5", "false", "TAG_BUCKETS", verdictWarning},
		"nothing_compared":   {"RECONCILE_BUCKETS", "", "RECONCILE_BUCKETS", verdictWarning},
		"days":               {"RECONCILE_DAYS", "31", "RECONCILE_DAYS", verdictFailed},
		"body_too_large":     {"MAX_BODY_BYTES", "6291457", "MAX_BODY_BYTES", verdictFailed},
		"placeholder_bucket": {"RECORD_BUCKET", "examplebucket-1250000000", "RECORD_BUCKET", verdictFailed},
		"placeholder_media":  {"TAG_BUCKETS", "examplebucket-1250000000", "TAG_BUCKETS", verdictFailed},
		"placeholder_token":  {"CALLBACK_TOKEN", "<a token of at least 16 characters>", "CALLBACK_TOKEN", verdictFailed},
		"placeholder_key":    {"TENCENTCLOUD_SECRETID", "…", checkCredentials, verdictFailed},
		"misspelt_region":    {"RECORD_REGION", "ap-guangzho", "RECORD_REGION", verdictWarning},
		"misspelt_of_media":  {"RECONCILE_BUCKETS", mediaBucket + "@ap-gaungzhou", "RECONCILE_BUCKETS", verdictWarning},
		"region_of_function": {"FUNCTION_REGION", region, "RECORD_REGION", verdictOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.env["TAG_BUCKETS"] = mediaBucket
			if test.variable == "FUNCTION_REGION" {
				delete(c.env, "RECORD_REGION")
			}
			c.env[test.variable] = test.value
			if check := c.find(c.report(), test.check); check.Verdict != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
		})
	}
}

// TestDeployment has the settings that scripts/deploy.sh would deploy checked. Nobody is
// asked, so that credentials are not needed.
func TestDeployment(t *testing.T) {
	t.Parallel()
	const sizeWithoutToken = len("RECORD_BUCKET"+recordBucket) + len("CALLBACK_TOKEN")
	tests := map[string]struct {
		env  map[string]string // on top of what will do
		want map[string]verdict
	}{
		"well":                  {nil, nil},
		"region_of_the_records": {map[string]string{"FUNCTION_REGION": "", "RECORD_REGION": region}, nil},
		"no_role":               {map[string]string{"FUNCTION_ROLE": ""}, map[string]verdict{checkExecution: verdictFailed}},
		"role_of_another_form":  {map[string]string{"FUNCTION_ROLE": "qcs::cam::uin/1:roleName/ci-callback"}, map[string]verdict{checkExecution: verdictFailed}},
		"role_with_a_space":     {map[string]string{"FUNCTION_ROLE": "ci callback"}, map[string]verdict{checkExecution: verdictFailed}},
		"role_and_CR":           {map[string]string{"FUNCTION_ROLE": "ci-callback\r"}, map[string]verdict{checkExecution: verdictFailed}},
		"region_and_CR":         {map[string]string{"FUNCTION_REGION": region + "\r", "RECORD_REGION": region}, map[string]verdict{"FUNCTION_REGION": verdictFailed}},
		"region_and_CR_of_both": {map[string]string{"FUNCTION_REGION": "", "RECORD_REGION": region + "\r"}, map[string]verdict{"FUNCTION_REGION": verdictFailed, "RECORD_REGION": verdictFailed}},
		"role_of_128":           {map[string]string{"FUNCTION_ROLE": strings.Repeat("r", 128)}, nil},
		"role_of_129":           {map[string]string{"FUNCTION_ROLE": strings.Repeat("r", 129)}, map[string]verdict{checkExecution: verdictFailed}},
		"role_of_SCF":           {map[string]string{"FUNCTION_ROLE": "SCF_QcsRole"}, map[string]verdict{checkExecution: verdictWarning}},
		"misspelt_region":       {map[string]string{"FUNCTION_REGION": "ap-gaungzhou"}, map[string]verdict{"FUNCTION_REGION": verdictWarning, "RECORD_REGION": verdictWarning}},
		"CI_in_clear":           {map[string]string{"CI_ENDPOINT": "http://{bucket}.ci.{region}.myqcloud.com"}, map[string]verdict{"CI_ENDPOINT": verdictFailed}},
		"both_regions":          {map[string]string{"RECORD_REGION": "ap-shanghai"}, nil},
		"no_region":             {map[string]string{"FUNCTION_REGION": "", "TENCENTCLOUD_REGION": region}, map[string]verdict{"FUNCTION_REGION": verdictFailed}},
		"wrong_region":          {map[string]string{"FUNCTION_REGION": "Guangzhou", "RECORD_REGION": region}, map[string]verdict{"FUNCTION_REGION": verdictFailed}},
		"wrong_region_of_both":  {map[string]string{"FUNCTION_REGION": "Guangzhou"}, map[string]verdict{"FUNCTION_REGION": verdictFailed, "RECORD_REGION": verdictFailed}},
		"this_machine":          {map[string]string{"COS_ENDPOINT": "https://{bucket}.cos.{region}.localhost:9000"}, map[string]verdict{"COS_ENDPOINT": verdictFailed}},
		"not_secure":            {map[string]string{"COS_ENDPOINT": "http://{bucket}.cos.{region}.myqcloud.com"}, map[string]verdict{"COS_ENDPOINT": verdictFailed}},
		"not_secure_one_bucket": {map[string]string{"COS_ENDPOINT": "http://" + recordBucket + ".cos.{region}.myqcloud.com"}, map[string]verdict{"COS_ENDPOINT": verdictFailed}},
		"CI_in_clear_one_bucket": {map[string]string{"CI_ENDPOINT": "http://" + mediaBucket + ".ci." + region + ".myqcloud.com", "RECONCILE_BUCKETS": mediaBucket},
			map[string]verdict{"CI_ENDPOINT": verdictFailed}},
		"secure_one_bucket":   {map[string]string{"COS_ENDPOINT": "https://" + recordBucket + ".cos." + region + ".myqcloud.com"}, nil},
		"internal":            {map[string]string{"COS_ENDPOINT": "https://{bucket}.cos-internal.{region}.tencentcos.cn"}, nil},
		"largest_of_all":      {map[string]string{"CALLBACK_TOKEN": strings.Repeat("x", maxVariablesBytes-1-sizeWithoutToken)}, nil},
		"one_byte_too_large":  {map[string]string{"CALLBACK_TOKEN": strings.Repeat("x", maxVariablesBytes-sizeWithoutToken)}, map[string]verdict{checkSize: verdictFailed}},
		"two_byte_characters": {map[string]string{"CALLBACK_TOKEN": strings.Repeat("é", 2030)}, map[string]verdict{checkSize: verdictFailed, checkToken: verdictWarning}},
		"fifteen_characters":  {map[string]string{"CALLBACK_TOKEN": strings.Repeat("é", 15)}, map[string]verdict{checkToken: verdictFailed}},
		"everything_wrong": {
			map[string]string{"RECORD_BUCKET": "My_Bucket-12", "TAG_MD5": "yes", "MAX_BODY_BYTES": "6MB", "LOG_LEVEL": "loud", "COS_ENDPOINT": "foo", "CALLBACK_AUTH": "None"},
			map[string]verdict{"RECORD_BUCKET": verdictFailed, "TAG_MD5": verdictFailed, "MAX_BODY_BYTES": verdictFailed, "LOG_LEVEL": verdictFailed, "COS_ENDPOINT": verdictFailed, checkToken: verdictFailed},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.env = map[string]string{
				"RECORD_BUCKET": recordBucket, "FUNCTION_REGION": region, "CALLBACK_TOKEN": secondToken, "FUNCTION_ROLE": "ci-callback",
			}
			maps.Copy(c.env, test.env)
			c.wants(c.report("-settings"), test.want)
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	const secret = "https://example.com/?token=" + secondToken
	for name, args := range map[string][]string{
		"unknown_option":        {"-nonsense"},
		"argument":              {"check"},
		"no_time":               {"-timeout", "0s"},
		"role_without_url":      {"-role"},
		"url_without_host":      {"-url", "example.com?token=" + secondToken},
		"url_not_secure":        {"-url", strings.Replace(secret, "https", "http", 1)},
		"url_not_secure_127":    {"-url", "http://127.evil.example/?token=" + secondToken},
		"url_not_secure_suffix": {"-url", "http://127.0.0.1.evil.example/?token=" + secondToken},
		"url_with_user":         {"-url", strings.Replace(secret, "//", "//user:"+secondToken+"@", 1)},
		"bad_bucket":            {"-media", "Media"},
		"bad_region":            {"-media", mediaBucket + "@Gz!"},
		"bad_prefix":            {"-media", mediaBucket + "//a"},
		"for_nobody":            {"-policy", "-for", "nobody"},
		"for_without":           {"-for", "records"},
		"settings_url":          {"-settings", "-url", "https://example.com"},
		"policy_url":            {"-policy", "-media", mediaBucket, "-url", "https://example.com"},
		"policy_deployed":       {"-policy", "-deployed", "v1.2.3", "-url", "https://example.com"},
		"deployed_role":         {"-deployed", "v1.2.3", "-url", "https://example.com", "-role"},
		"deployed_media":        {"-deployed", "v1.2.3", "-url", "https://example.com", "-media", mediaBucket},
		"deployed_nothing":      {"-deployed", "", "-url", "https://example.com"},
		"url_of_nothing":        {"-url", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{}).run(args...)
			if c.status != exitUsage || c.out != "" || !strings.HasPrefix(c.err, "doctor: ") {
				t.Errorf("status %d\n%s\n%s", c.status, c.out, c.err)
			}
			if c.cos.RequestCount() != 0 {
				t.Error("COS was asked all the same")
			}
		})
	}
	if c := newClinic(t, coslocal.Options{}).run("-help"); c.status != exitOK || c.out != usage {
		t.Errorf("-help: status %d\n%s", c.status, c.out)
	}
}

func TestUnknownRegion(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"ap-gaungzhou": "did you mean ap-guangzhou?", "ap-guangzho": "did you mean ap-guangzhou?", "guangzhou": "did you mean ap-guangzhou?",
		"ap-beijing1": "did you mean ap-beijing-1?", "zz": "is no region that is known here",
	} {
		if f := unknownRegion(region); f.Verdict != verdictWarning || !strings.HasSuffix(f.Detail, want) {
			t.Errorf("%s: %+v, want %q", region, f, want)
		}
	}
	if d := editDistance("kitten", "sitting"); d != 3 {
		t.Errorf("editDistance = %d, want 3", d)
	}
}

func TestPrintJSON(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	printJSON(&b, finding{Detail: "<your token> & more"})
	if !strings.Contains(b.String(), `"<your token> & more"`) || !strings.HasPrefix(b.String(), "{\n  ") {
		t.Errorf("%s", b.String())
	}
}

func TestFunctionURL(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://f.example":                        "https://f.example/",
		"https://f.example/":                       "https://f.example/",
		"https://f.example/release/?token=abc#top": "https://f.example/release/",
		"http://127.0.0.1:9000":                    "http://127.0.0.1:9000/",
		"http://f.example/":                        "",
		"ftp://127.0.0.1/":                         "",
		"https://user@f.example/":                  "",
		"https:///path":                            "",
		"f.example":                                "",
		"https://f.example/%zz":                    "",
	} {
		u, err := functionURL(address)
		if want == "" && err == nil || want != "" && (err != nil || u.String() != want) {
			t.Errorf("functionURL(%q) = %v, %v, want %q", address, u, err, want)
		}
	}
}

func TestIsThisMachine(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.255.255.254": true, "::1": true, "::ffff:127.0.0.1": true,
		"localhost": true, "LocalHost": true, "records-1250000000.cos.ap-guangzhou.localhost": true,
		"127.evil.example": false, "127.0.0.1.evil.example": false, "127.1": false, "126.0.0.1": false, "::2": false,
		"localhost.evil.example": false, "notlocalhost": false, "evil.notlocalhost": false, "localhost.": false, "": false,
	} {
		if got := isThisMachine(host); got != want {
			t.Errorf("isThisMachine(%q) = %t, want %t", host, got, want)
		}
	}
}
