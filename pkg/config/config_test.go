package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// deployed is the environment of an invocation that sets no more than it must.
func deployed() config.Environment {
	return config.Environment{
		Process: map[string]string{"PATH": "/bin"},
		Invocation: map[string]string{
			"RECORD_BUCKET":             "records-1250000000",
			"TENCENTCLOUD_SECRETID":     "AKIDsecret",
			"TENCENTCLOUD_SECRETKEY":    "the-secret-key",
			"TENCENTCLOUD_SESSIONTOKEN": "the-session-token",
		},
		Region: "ap-guangzhou",
		AppID:  "1250000000",
	}
}

// defaults are the settings of deployed.
func defaults() config.Config {
	return config.Config{
		RecordBucket: "records-1250000000", RecordRegion: "ap-guangzhou", RecordPrefix: "ci/",
		MD5TagKey: "md5",
		Endpoint:  "https://{bucket}.cos.{region}.myqcloud.com", MaxBodyBytes: 6291456, LogLevel: slog.LevelInfo,
		Region: "ap-guangzhou", AppID: "1250000000",
		Credentials: config.Credentials{SecretID: "AKIDsecret", SecretKey: "the-secret-key", SessionToken: "the-session-token"},
	}
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Load(deployed())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// longestPrefix leaves room for the longest key: a version of a review whose id is base64.
var longestPrefix = strings.Repeat("p", 850-len("history/reviews/")-3*96-len("/")-64-len(".json"))

// Every setting: set, set to nothing or to white space, and set wrong.
func TestLoadEachVariable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		variable string
		value    string
		want     func(*config.Config)
		bad      []string
		required bool
	}{
		{"RECORD_BUCKET", "other-1250000000", func(c *config.Config) { c.RecordBucket = "other-1250000000" },
			[]string{"other", "Other-1250000000", "evil.example/x-1250000000", " other-1250000000", "other-1250000000,b-1"}, true},
		{"RECORD_REGION", "ap-beijing", func(c *config.Config) { c.RecordRegion = "ap-beijing" },
			[]string{"ap.beijing", "AP", "ap-beijing/", "x@y"}, false},
		{"RECORD_PREFIX", "a/b-", func(c *config.Config) { c.RecordPrefix = "a/b-" },
			[]string{"/", "/ci/", "ci//", "../", "./", "a\tb/", "\xff/", strings.Repeat("p", 800)}, false},
		{"RECORD_PREFIX", longestPrefix, func(c *config.Config) { c.RecordPrefix = longestPrefix }, []string{longestPrefix + "p"}, false},
		{"TAG_MD5", "true", func(c *config.Config) { c.TagMD5 = true }, []string{"yes", "on", "2", "truthy"}, false},
		{"MD5_TAG_KEY", "校验-md5", func(c *config.Config) { c.MD5TagKey = "校验-md5" }, []string{"a,b", "a&b", strings.Repeat("k", 128)}, false},
		{"TAG_BUCKETS", "a-1, b-2 ,c-3", func(c *config.Config) { c.TagBuckets = []string{"a-1", "b-2", "c-3"} },
			[]string{"a", "a-1,", ",", "a-1;b-2", "a-1,*"}, false},
		{"COS_ENDPOINT", "http://{bucket}.cos.{region}.localhost:9000", func(c *config.Config) { c.Endpoint = "http://{bucket}.cos.{region}.localhost:9000" },
			[]string{"localhost:9000", "http://localhost:9000/{bucket}", "https://{bucket}.cos.{region}.myqcloud.com/x", "ftp://{bucket}.x"}, false},
		{"MAX_BODY_BYTES", "1048576", func(c *config.Config) { c.MaxBodyBytes = 1048576 }, []string{"0", "-1", "6MB", "1e6", "1.5", "6291457", "99999999999999999999"}, false},
		{"MAX_BODY_BYTES", "1", func(c *config.Config) { c.MaxBodyBytes = 1 }, nil, false},
		{"LOG_LEVEL", "debug", func(c *config.Config) { c.LogLevel = slog.LevelDebug }, []string{"verbose", "trace", "7"}, false},
	}
	var tested []string
	for _, test := range tests {
		tested = append(tested, test.variable)
		t.Run(test.variable, func(t *testing.T) {
			t.Parallel()
			e := deployed()
			e.Invocation[test.variable] = test.value
			want := defaults()
			test.want(&want)
			if got, err := config.Load(e); err != nil {
				t.Error(err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}

			// The process's environment will do for settings.
			delete(e.Invocation, test.variable)
			e.Process[test.variable] = test.value
			if got, err := config.Load(e); err != nil {
				t.Error(err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("set for the process (-want +got):\n%s", diff)
			}

			for _, nothing := range []string{"", " ", "\t\n"} {
				e := deployed()
				e.Invocation[test.variable] = nothing
				got, err := config.Load(e)
				if test.required {
					wantVariable(t, err, test.variable)
				} else if err != nil {
					t.Errorf("set to %q: %v", nothing, err)
				} else if diff := cmp.Diff(defaults(), got); diff != "" {
					t.Errorf("set to %q (-want +got):\n%s", nothing, diff)
				}
			}
			for _, bad := range test.bad {
				e := deployed()
				e.Invocation[test.variable] = bad
				if got, err := config.Load(e); err == nil {
					t.Errorf("set to %.40q: %+v; want an error", bad, got)
				} else {
					wantVariable(t, err, test.variable)
				}
			}
		})
	}

	// None is forgotten.
	var all []string
	for _, v := range config.Variables() {
		if !v.Reconcile && !strings.HasPrefix(v.Name, "CALLBACK_") { // these are LoadAuth's
			all = append(all, v.Name)
		}
	}
	slices.Sort(all)
	slices.Sort(tested)
	if diff := cmp.Diff(all, slices.Compact(tested)); diff != "" {
		t.Errorf("variables tested (-want +got):\n%s", diff)
	}
}

// Whatever is wrong is said at once, and the settings that come with it are usable where
// there is a default.
func TestLoadAllThatIsWrong(t *testing.T) {
	t.Parallel()
	e := config.Environment{Process: map[string]string{
		"RECORD_BUCKET": "records", "RECORD_REGION": "a.b", "RECORD_PREFIX": "/", "TAG_MD5": "perhaps", "MD5_TAG_KEY": "?", "TAG_BUCKETS": "a-1,b",
		"COS_ENDPOINT": "cos", "MAX_BODY_BYTES": "much", "LOG_LEVEL": "loud",
	}}
	got, err := config.Load(e)
	wantVariables(t, err, "RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "TAG_MD5", "MD5_TAG_KEY", "TAG_BUCKETS",
		"COS_ENDPOINT", "MAX_BODY_BYTES", "LOG_LEVEL", "TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY")
	want := defaults()
	want.RecordBucket, want.RecordRegion, want.Region, want.AppID, want.Credentials = "", "", "", "", config.Credentials{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}

	_, err = config.Load(config.Environment{})
	wantVariables(t, err, "RECORD_BUCKET", "RECORD_REGION", "TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY")
}

// An endpoint is not blamed for a bucket or a region that is wrong.
func TestLoadEndpointOfWrongBucket(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"http://{bucket}.cos.{region}.localhost:9000", "https://records-1250000000.cos.ap-guangzhou.myqcloud.com", "https://{bucket}.cos.accelerate.myqcloud.com",
	} {
		e := deployed()
		e.Invocation["COS_ENDPOINT"] = endpoint
		e.Invocation["RECORD_BUCKET"] = ""
		_, err := config.Load(e)
		wantVariable(t, err, "RECORD_BUCKET")
		e = deployed()
		e.Invocation["COS_ENDPOINT"] = endpoint
		e.Invocation["RECORD_REGION"] = "a.b"
		_, err = config.Load(e)
		wantVariable(t, err, "RECORD_REGION")
	}
	e := deployed()
	e.Region = "not a region"
	_, err := config.Load(e)
	wantVariable(t, err, "RECORD_REGION")
}

// wantVariable checks that an error is about one variable, and shows nothing that is secret.
func wantVariable(t *testing.T, err error, variable string) {
	t.Helper()
	wantVariables(t, err, variable)
}

// wantVariables checks that an error is about these variables, in this order, and shows
// nothing that is secret.
func wantVariables(t *testing.T, err error, want ...string) {
	t.Helper()
	all, _ := errors.AsType[config.Errors](err)
	var got []string
	for _, e := range all {
		got = append(got, e.Variable)
		if !strings.Contains(err.Error(), e.Variable+" "+e.Problem) || e.Problem == "" {
			t.Errorf("err = %v; does not say %v", err, e)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("err = %v; variables (-want +got):\n%s", err, diff)
		return
	}
	if first, ok := errors.AsType[*config.Error](err); !ok || first != all[0] {
		t.Errorf("the first of the errors is %v; want %v", first, all[0])
	}
	for _, secret := range []string{"AKIDsecret", "the-secret-key", "the-session-token"} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("err = %v; shows %s", err, secret)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\t\x00") || len(err.Error()) > 1000+300*len(want) {
		t.Errorf("err = %q; want one line", err)
	}
}

func TestLoadHidesWhatMayBeSecret(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"COS_ENDPOINT":   "https://user:the-secret-key@{bucket}.cos.{region}.myqcloud.com",
		"MAX_BODY_BYTES": "the-secret-key",
		"TAG_MD5":        "the-secret-key",
		"LOG_LEVEL":      "the-secret-key",
	} {
		e := deployed()
		e.Invocation[variable] = value
		_, err := config.Load(e)
		wantVariable(t, err, variable)
	}
	if c, err := config.Load(config.Environment{}); err == nil {
		t.Errorf("Load of nothing = %+v; want an error", c)
	}
}

// The invocation goes before the process, whose variables may be an earlier invocation's.
func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		change        func(*config.Environment)
		region, appID string
		recordRegion  string
		err           string
	}{
		{"invocation", func(*config.Environment) {}, "ap-guangzhou", "1250000000", "ap-guangzhou", ""},
		{"invocation_over_variables", func(e *config.Environment) {
			e.Invocation["TENCENTCLOUD_REGION"], e.Invocation["TENCENTCLOUD_APPID"] = "ap-x", "1"
			e.Process["TENCENTCLOUD_REGION"], e.Process["TENCENTCLOUD_APPID"] = "ap-y", "2"
		}, "ap-guangzhou", "1250000000", "ap-guangzhou", ""},
		{"variables_of_the_invocation", func(e *config.Environment) {
			e.Region, e.AppID = "", ""
			e.Invocation["TENCENTCLOUD_REGION"], e.Invocation["TENCENTCLOUD_APPID"] = "ap-x", "1"
			e.Process["TENCENTCLOUD_REGION"], e.Process["TENCENTCLOUD_APPID"] = "ap-y", "2"
		}, "ap-x", "1", "ap-x", ""},
		{"variables_of_the_process", func(e *config.Environment) {
			e.Region, e.AppID = "", ""
			e.Process["TENCENTCLOUD_REGION"], e.Process["TENCENTCLOUD_APPID"] = "ap-y", "2"
		}, "ap-y", "2", "ap-y", ""},
		{"appid_of_the_bucket", func(e *config.Environment) {
			e.AppID = ""
			e.Invocation["RECORD_BUCKET"] = "my-records-1300000000"
		}, "ap-guangzhou", "1300000000", "ap-guangzhou", ""},
		{"record_region_set", func(e *config.Environment) { e.Invocation["RECORD_REGION"] = "ap-z" }, "ap-guangzhou", "1250000000", "ap-z", ""},
		{"record_region_set_and_none_else", func(e *config.Environment) {
			e.Region = ""
			e.Invocation["RECORD_REGION"] = "ap-z"
		}, "", "1250000000", "ap-z", ""},
		{"no_region", func(e *config.Environment) { e.Region = "" }, "", "", "", "RECORD_REGION"},
		{"setting_of_the_invocation", func(e *config.Environment) {
			e.Process["RECORD_REGION"], e.Invocation["RECORD_REGION"] = "ap-old", "ap-now"
		}, "ap-guangzhou", "1250000000", "ap-now", ""},
		{"no_bucket", func(e *config.Environment) { delete(e.Invocation, "RECORD_BUCKET") }, "", "", "", "RECORD_BUCKET"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := deployed()
			test.change(&e)
			c, err := config.Load(e)
			if test.err != "" {
				wantVariable(t, err, test.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{c.Region, c.AppID, c.RecordRegion}
			if diff := cmp.Diff([]string{test.region, test.appID, test.recordRegion}, got); diff != "" {
				t.Errorf("region, AppID, record region (-want +got):\n%s", diff)
			}
		})
	}
}

// Credentials that an earlier invocation left in the process are never used.
func TestLoadCredentials(t *testing.T) {
	t.Parallel()
	leftover := map[string]string{
		"TENCENTCLOUD_SECRETID": "leftover", "TENCENTCLOUD_SECRETKEY": "leftover", "TENCENTCLOUD_SESSIONTOKEN": "leftover",
	}
	tests := []struct {
		name string
		drop []string
		ok   bool
		want config.Credentials
	}{
		{"all", nil, true, config.Credentials{SecretID: "AKIDsecret", SecretKey: "the-secret-key", SessionToken: "the-session-token"}},
		{"no_token", []string{"TENCENTCLOUD_SESSIONTOKEN"}, true, config.Credentials{SecretID: "AKIDsecret", SecretKey: "the-secret-key"}},
		{"no_id", []string{"TENCENTCLOUD_SECRETID"}, false, config.Credentials{}},
		{"no_key", []string{"TENCENTCLOUD_SECRETKEY"}, false, config.Credentials{}},
		{"none", slices.Collect(maps.Keys(leftover)), false, config.Credentials{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := deployed()
			maps.Copy(e.Process, leftover)
			for _, name := range test.drop {
				delete(e.Invocation, name)
			}
			c, err := config.Load(e)
			if !test.ok {
				wantVariable(t, err, "TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Credentials); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
		})
	}
}
