package cosname_test

import (
	"testing"
	"unicode/utf8"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	const bucket = "b-1250000000"
	tests := map[string]struct {
		raw            string
		bucket, region string
		key            string
	}{
		"default":              {"https://b-1250000000.cos.ap-beijing.myqcloud.com/a/b.mp4", bucket, "ap-beijing", "a/b.mp4"},
		"http":                 {"http://b-1250000000.cos.ap-beijing.myqcloud.com/a.mp4", bucket, "ap-beijing", "a.mp4"},
		"other_domain":         {"https://b-1250000000.cos.ap-beijing.tencentcos.cn/a.mp4", bucket, "ap-beijing", "a.mp4"},
		"internal":             {"https://b-1250000000.cos-internal.ap-beijing.tencentcos.cn/a.mp4", bucket, "ap-beijing", "a.mp4"},
		"website":              {"https://b-1250000000.cos-website.ap-beijing.myqcloud.com/a.html", bucket, "ap-beijing", "a.html"},
		"ci":                   {"https://b-1250000000.ci.ap-beijing.myqcloud.com/a.mp4", bucket, "ap-beijing", "a.mp4"},
		"pictures":             {"https://b-1250000000.pic.ap-beijing.myqcloud.com/a.jpg", bucket, "ap-beijing", "a.jpg"},
		"acceleration":         {"https://b-1250000000.cos.accelerate.myqcloud.com/a.mp4", bucket, "", "a.mp4"},
		"acceleration_abroad":  {"https://b-1250000000.cos.accelerate-overseas.myqcloud.com/a.mp4", bucket, "", "a.mp4"},
		"internal_accelerated": {"https://b-1250000000.cos-internal.accelerate.tencentcos.cn/a.mp4", bucket, "", "a.mp4"},
		"bucket_in_the_path":   {"https://cos.ap-beijing.myqcloud.com/b-1250000000/a/b.mp4", bucket, "ap-beijing", "a/b.mp4"},
		"location":             {"b-1250000000.cos.ap-beijing.myqcloud.com/a.mp4", bucket, "ap-beijing", "a.mp4"},
		"region_of_one_word":   {"https://b-1250000000.cos.na-siliconvalley.myqcloud.com/a", bucket, "na-siliconvalley", "a"},
		"hyphens":              {"https://a-2-b-1250000000.cos.ap-beijing.myqcloud.com/a", "a-2-b-1250000000", "ap-beijing", "a"},
		"upper_case_host":      {"HTTPS://B-1250000000.COS.AP-Beijing.myqcloud.COM/A", bucket, "ap-beijing", "A"},
		"port":                 {"https://b-1250000000.cos.ap-beijing.myqcloud.com:443/a", bucket, "ap-beijing", "a"},
		"port_of_http":         {"http://b-1250000000.cos.ap-beijing.myqcloud.com:80/a", bucket, "ap-beijing", "a"},
		"query":                {"https://b-1250000000.cos.ap-beijing.myqcloud.com/a.jpg?q-sign-algorithm=sha1&x=a/b#c", bucket, "ap-beijing", "a.jpg"},
		"fragment":             {"https://b-1250000000.cos.ap-beijing.myqcloud.com/a.jpg#b", bucket, "ap-beijing", "a.jpg"},
		"escaped":              {"https://b-1250000000.cos.ap-beijing.myqcloud.com/%E4%B8%AD%20a%2Bb%2525%3F%23.jpg", bucket, "ap-beijing", "中 a+b%25?#.jpg"},
		"not_escaped":          {"https://b-1250000000.cos.ap-beijing.myqcloud.com/中 a+b 100%.jpg", bucket, "ap-beijing", "中 a+b 100%.jpg"},
		"escaped_no_utf8":      {"https://b-1250000000.cos.ap-beijing.myqcloud.com/%80%20", bucket, "ap-beijing", "%80%20"},
		"plus":                 {"https://b-1250000000.cos.ap-beijing.myqcloud.com/a+b", bucket, "ap-beijing", "a+b"},
		"second_slash":         {"https://b-1250000000.cos.ap-beijing.myqcloud.com//a", bucket, "ap-beijing", "/a"},
		"bucket_alone":         {"https://b-1250000000.cos.ap-beijing.myqcloud.com", bucket, "ap-beijing", ""},
		"bucket_and_slash":     {"https://b-1250000000.cos.ap-beijing.myqcloud.com/", bucket, "ap-beijing", ""},
		"scheme_in_the_query":  {"b-1250000000.cos.ap-beijing.myqcloud.com/a?from=http://x", bucket, "ap-beijing", "a"},

		"empty":               {raw: ""},
		"key":                 {raw: "a/b.mp4"},
		"elsewhere":           {raw: "https://www.example.com/a.mp4"},
		"domain_alone":        {raw: "https://myqcloud.com/a"},
		"ends_like_it":        {raw: "https://b-1250000000.cos.ap-beijing.notmyqcloud.com/a"},
		"goes_on":             {raw: "https://b-1250000000.cos.ap-beijing.myqcloud.com.example.com/a"},
		"more_before":         {raw: "https://x.b-1250000000.cos.ap-beijing.myqcloud.com/a"},
		"no_app_id":           {raw: "https://b.cos.ap-beijing.myqcloud.com/a"},
		"no_region":           {raw: "https://b-1250000000.cos.myqcloud.com/a"},
		"other_service":       {raw: "https://b-1250000000.file.ap-beijing.myqcloud.com/a"},
		"service_alone":       {raw: "https://cos.ap-beijing.myqcloud.com/"},
		"no_bucket_in_path":   {raw: "https://cos.ap-beijing.myqcloud.com/a/b.mp4"},
		"bad_region":          {raw: "https://b-1250000000.cos.-a.myqcloud.com/a"},
		"user":                {raw: "https://u@b-1250000000.cos.ap-beijing.myqcloud.com/a"},
		"other_port":          {raw: "https://b-1250000000.cos.ap-beijing.myqcloud.com:8080/a"},
		"other_scheme":        {raw: "rtmp://b-1250000000.cos.ap-beijing.myqcloud.com/a"},
		"host_in_the_query":   {raw: "https://example.com/?a=b-1250000000.cos.ap-beijing.myqcloud.com/a"},
		"escaped_in_the_host": {raw: "https://b-1250000000.cos.ap-beijing.myqcloud.com%2f.example.com/a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket, region, key, ok := cosname.ParseURL(test.raw)
			if bucket != test.bucket || region != test.region || key != test.key || ok != (test.bucket != "") {
				t.Errorf("%q, %q, %q, %v", bucket, region, key, ok)
			}
		})
	}
}

// FuzzParseURL asserts that what ParseURL returns could be in COS.
func FuzzParseURL(f *testing.F) {
	f.Add("https://b-1250000000.cos.ap-beijing.myqcloud.com/a%20b?c#d")
	f.Add("cos.accelerate.tencentcos.cn/b-1/a")
	f.Fuzz(func(t *testing.T, raw string) {
		bucket, region, key, ok := cosname.ParseURL(raw)
		if !ok {
			if bucket+region+key != "" {
				t.Errorf("%q: %q, %q, %q beside false", raw, bucket, region, key)
			}
			return
		}
		if utf8.ValidString(raw) && !utf8.ValidString(key) {
			t.Errorf("%q: the key %q is not UTF-8", raw, key)
		}
		if cosname.CheckBucket(bucket) != nil || region != "" && cosname.CheckRegion(region) != nil {
			t.Errorf("%q: %q, %q", raw, bucket, region)
		}
	})
}
