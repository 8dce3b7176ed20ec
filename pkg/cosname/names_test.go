package cosname_test

import (
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

const (
	records = "records-1250000000"
	media   = "media-1250000000"
	region  = "ap-guangzhou"
)

func TestCheckNames(t *testing.T) {
	t.Parallel()
	checks := []struct {
		name       string
		check      func(string) error
		good, fail []string
	}{
		{"bucket", cosname.CheckBucket,
			[]string{"a-1", "examplebucket-1250000000", "my-bucket-1-1250000000", "0a-1250000000", "a-123456789012", strings.Repeat("a", 50) + "-1250000000"},
			[]string{"", "-", "a", "a-", "-1250000000", "A-1", "a.b-1", "a_b-1", "a-1250000000\n", "a-1234567890123", strings.Repeat("a", 51) + "-1250000000", "a-x1", "a/b-1", "á-1"}},
		{"region", cosname.CheckRegion,
			[]string{"ap-guangzhou", "ap-beijing-1", "na-siliconvalley", "eu-frankfurt", "accelerate", "ap-shanghai-fsi", "abc", strings.Repeat("a", 32)},
			[]string{"", "ab", "-ap", "ap-", "1ap", "ap.guangzhou", "ap/guangzhou", "ap@guangzhou", "AP", "ap\n", strings.Repeat("a", 33)}},
		{"key", cosname.CheckKey,
			[]string{"a", "a/b", "a b", "...", "a..b", "..a", ".a/b.", "中文/键", strings.Repeat("k", 850), "%2e%2e", "a?b#c"},
			[]string{"", ".", "..", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "./a", "a/..", `\a`, "\x00", "a\tb", "a\x7f", "a\u009f", "\xff", "a\xc3", strings.Repeat("k", 851)}},
		{"tag_key", cosname.CheckTagKey,
			[]string{"md5", "MD5", "a b", "+-_=/.:@", "校验和", strings.Repeat("k", 127), strings.Repeat("键", 127)},
			[]string{"", "a,b", "a&b", "a<b", "é", "a\n", "\xff", strings.Repeat("k", 128)}},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range c.good {
				if err := c.check(s); err != nil {
					t.Errorf("%.40q: %v; want none", s, err)
				}
			}
			for _, s := range c.fail {
				err := c.check(s)
				if err == nil {
					t.Errorf("%.40q: no error", s)
					continue
				}
				if text := err.Error(); strings.ContainsAny(text, "\n\x00") || len(text) > 500 {
					t.Errorf("%.40q: error %q is not one short line", s, text)
				}
			}
		})
	}
}

func TestBucketURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, endpoint, bucket, region string
		want                           string // "": an error
	}{
		{"default", cosname.COSEndpoint, records, region, "https://records-1250000000.cos.ap-guangzhou.myqcloud.com"},
		{"internal", "https://{bucket}.cos-internal.{region}.tencentcos.cn", records, region, "https://records-1250000000.cos-internal.ap-guangzhou.tencentcos.cn"},
		{"local", "http://{bucket}.cos.{region}.localhost:9000", records, region, "http://records-1250000000.cos.ap-guangzhou.localhost:9000"},
		{"accelerated", "https://{bucket}.cos.accelerate.myqcloud.com", records, region, "https://records-1250000000.cos.accelerate.myqcloud.com"},
		{"trailing_slash", "https://{bucket}.cos.{region}.myqcloud.com/", records, region, "https://records-1250000000.cos.ap-guangzhou.myqcloud.com"},
		{"bucket_spelled_out", "https://records-1250000000.cos.ap-guangzhou.myqcloud.com", records, region, "https://records-1250000000.cos.ap-guangzhou.myqcloud.com"},

		{"another_bucket_spelled_out", "https://records-1250000000.cos.ap-guangzhou.myqcloud.com", media, region, ""},
		{"no_scheme", "{bucket}.cos.{region}.myqcloud.com", records, region, ""},
		{"other_scheme", "ftp://{bucket}.cos.{region}.myqcloud.com", records, region, ""},
		{"bucket_in_path", "http://127.0.0.1:9000/{bucket}", records, region, ""},
		{"no_bucket", "http://127.0.0.1:9000", records, region, ""},
		{"bucket_not_first", "http://x.{bucket}.cos.{region}.localhost", records, region, ""},
		{"bucket_alone", "http://{bucket}", records, region, ""},
		{"bucket_is_user", "http://{bucket}.@evil.example", records, region, ""},
		{"user", "http://user:password@{bucket}.cos.{region}.localhost", records, region, ""},
		{"path", "http://{bucket}.cos.{region}.localhost/x", records, region, ""},
		{"query", "http://{bucket}.cos.{region}.localhost?x", records, region, ""},
		{"fragment", "http://{bucket}.cos.{region}.localhost#x", records, region, ""},
		{"bad_port", "http://{bucket}.cos.{region}.localhost:x", records, region, ""},
		{"upper_case", "https://{bucket}.COS.{region}.myqcloud.com", records, region, ""},
		{"underscore", "https://{bucket}.cos_{region}.myqcloud.com", records, region, ""},
		{"region_last", "https://{bucket}.cos.{region}", records, region, ""},
		{"region_last_but_mark", "https://{bucket}.cos.{region}#", records, region, ""},
		{"region_last_but_port", "https://{bucket}.cos.{region}:443/", records, region, ""},
		{"control", "http://{bucket}.cos.{region}.localhost\n", records, region, ""},
		{"empty", "", records, region, ""},
		{"bad_bucket", cosname.COSEndpoint, "evil.example/x-1", region, ""},
		{"bad_region", cosname.COSEndpoint, records, "evil.example/", ""},
		{"template_in_bucket", cosname.COSEndpoint, "{region}-1", region, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, err := cosname.BucketURL(test.endpoint, test.bucket, test.region)
			if test.want == "" {
				if err == nil {
					t.Fatalf("BucketURL = %v; want an error", u)
				}
				if strings.Contains(err.Error(), "password") {
					t.Errorf("error shows the password: %v", err)
				}
				return
			}
			if err != nil || u.String() != test.want {
				t.Errorf("BucketURL = %v, %v; want %s", u, err, test.want)
			}
		})
	}
}

func TestAppID(t *testing.T) {
	t.Parallel()
	for bucket, want := range map[string]string{records: "1250000000", "my-bucket-1-125": "125", "125": "125", "": ""} {
		if got := cosname.AppID(bucket); got != want {
			t.Errorf("AppID(%q) = %q; want %q", bucket, got, want)
		}
	}
}

func TestIsLoopbackName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"b-1.cos.ap-guangzhou.localhost": true, "b-1.cos.LOCALHOST": true,
		"localhost": false, "notlocalhost": false, "b-1.localhost.evil.example": false, "127.0.0.1": false, "": false,
	} {
		if got := cosname.IsLoopbackName(host); got != want {
			t.Errorf("IsLoopbackName(%q) = %v; want %v", host, got, want)
		}
	}
}
