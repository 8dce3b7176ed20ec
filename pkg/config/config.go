package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// MaxBodyBytes is the most that MAX_BODY_BYTES may be: SCF's own limit of an event.
// https://cloud.tencent.com/document/product/583/11637
const MaxBodyBytes = 6291456

// Config are the settings for callbacks, but for authentication.
type Config struct {
	RecordBucket string // RECORD_BUCKET, <name>-<appid>
	RecordRegion string // RECORD_REGION
	RecordPrefix string // RECORD_PREFIX

	TagMD5     bool     // TAG_MD5: tag outputs with their MD5
	MD5TagKey  string   // MD5_TAG_KEY
	TagBuckets []string // TAG_BUCKETS; empty means all buckets of AppID

	Endpoint     string     // COS_ENDPOINT
	MaxBodyBytes int        // MAX_BODY_BYTES
	LogLevel     slog.Level // LOG_LEVEL

	Region      string      // the function's, as the platform says; may be empty
	AppID       string      // the account's, as the platform says, else that of RecordBucket
	Credentials Credentials // of the execution role
}

// Credentials are an API key of Tencent Cloud, temporary ones with a session token.
type Credentials struct {
	SecretID, SecretKey, SessionToken string
}

// Load reads the settings for callbacks. Its error is [Errors], with all that is wrong; the
// settings that come with it have the default in the place of each that is wrong, or
// nothing where there is no default.
//
// Credentials are taken from the invocation alone: scf-go-lib puts them into the
// process's environment as well, where those of an earlier invocation stay.
func Load(e Environment) (Config, error) {
	r := &reader{environment: e}
	c := Config{Region: r.region()}
	c.RecordBucket = r.text("RECORD_BUCKET", cosname.CheckBucket)
	if c.RecordBucket == "" && !r.isWrong("RECORD_BUCKET") {
		r.complain("RECORD_BUCKET", "is not set: name the bucket that is to hold the records, <name>-<appid>")
	}
	c.RecordRegion = r.recordRegion(c.Region)
	c.RecordPrefix = r.text("RECORD_PREFIX", checkPrefix)
	c.TagMD5 = read(r, "TAG_MD5", "true or false", strconv.ParseBool)
	c.MD5TagKey = r.text("MD5_TAG_KEY", cosname.CheckTagKey)
	c.TagBuckets = r.list("TAG_BUCKETS", cosname.CheckBucket)
	c.Endpoint = r.text("COS_ENDPOINT", func(endpoint string) error {
		return checkEndpoint(endpoint, c.RecordBucket, c.RecordRegion)
	})
	c.MaxBodyBytes = read(r, "MAX_BODY_BYTES", "a number of bytes, at most 6291456, which is as much as SCF takes", parseMaxBodyBytes)
	c.LogLevel = read(r, "LOG_LEVEL", "debug, info, warn or error", parseLevel)
	c.AppID = cmp.Or(e.AppID, strings.TrimSpace(r.value("TENCENTCLOUD_APPID")), cosname.AppID(c.RecordBucket))
	c.Credentials = r.credentials()
	return c, r.err()
}

// recordRegion returns the region of the records: that which is set, else the function's.
func (r *reader) recordRegion(own string) string {
	region := cmp.Or(r.text("RECORD_REGION", cosname.CheckRegion), own)
	switch {
	case r.isWrong("RECORD_REGION"):
		return ""
	case region == "":
		r.complain("RECORD_REGION", "is not set, and the platform names no region: set it, such as ap-guangzhou")
	case cosname.CheckRegion(region) != nil:
		r.complain("RECORD_REGION", "is not set, and for the function's own region "+cosname.CheckRegion(region).Error())
		return ""
	}
	return region
}

// credentials returns the credentials that came with the invocation.
func (r *reader) credentials() Credentials {
	c := Credentials{
		SecretID:     r.environment.Invocation["TENCENTCLOUD_SECRETID"],
		SecretKey:    r.environment.Invocation["TENCENTCLOUD_SECRETKEY"],
		SessionToken: r.environment.Invocation["TENCENTCLOUD_SESSIONTOKEN"],
	}
	if c.SecretID == "" || c.SecretKey == "" {
		r.complain("TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY",
			"did not come with the invocation: give the function an execution role (RoleName; its trusted entity is the product service scf.qcloud.com)")
	}
	return c
}

// maxPrefixBytes leaves room for the longest key of an object: a version of a review whose
// id has 96 bytes, each of which stands as three.
const maxPrefixBytes = cosname.MaxKeyBytes - len("history/reviews/") - 3*96 - len("/") - 64 - len(".json")

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefixBytes {
		return fmt.Errorf("it has %d bytes, and the keys of records leave room for %d", len(prefix), maxPrefixBytes)
	}
	return cosname.CheckKey(prefix + "x")
}

func parseMaxBodyBytes(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > MaxBodyBytes) {
		err = strconv.ErrRange
	}
	return n, err
}

func parseLevel(s string) (level slog.Level, err error) {
	return level, level.UnmarshalText([]byte(s))
}

// checkEndpoint checks an endpoint template with a bucket and a region, and where these are
// wrong themselves, with stand-ins.
func checkEndpoint(endpoint, bucket, region string) error {
	if bucket == "" {
		bucket = standInBucket(endpoint)
	}
	_, err := cosname.BucketURL(endpoint, bucket, cmp.Or(region, "ap-guangzhou"))
	return err
}

// standInBucket returns the bucket that an endpoint spells out, or some other.
func standInBucket(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil {
		if label, _, _ := strings.Cut(u.Hostname(), "."); cosname.CheckBucket(label) == nil {
			return label
		}
	}
	return "bucket-1250000000"
}
