// Package config reads the function's settings from environment variables.
//
// An [Environment] is read anew in every invocation: SCF hands variables over with each
// one, credentials among them, and they change while an instance lives. An error
// names the variable and says what it must be; it never shows a value that could be
// a secret. The package does no I/O and keeps nothing.
package config

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// Error says what is wrong with a variable.
type Error struct {
	Variable string
	Problem  string // what is wrong, and what to do
}

func (e *Error) Error() string { return e.Variable + " " + e.Problem }

// Config are the settings but for authentication. Each field's variable is in its tag.
type Config struct {
	RecordBucket string `env:"RECORD_BUCKET"` // <name>-<appid>
	RecordRegion string `env:"RECORD_REGION"` // default: the function's region
	RecordPrefix string `env:"RECORD_PREFIX" envDefault:"ci/"`

	TagMD5     bool     `env:"TAG_MD5" envDefault:"false"` // tag outputs with their MD5
	MD5TagKey  string   `env:"MD5_TAG_KEY" envDefault:"md5"`
	TagBuckets []string `env:"TAG_BUCKETS"` // default: all of AppID

	Endpoint     string     `env:"COS_ENDPOINT"` // default: COS's public one
	MaxBodyBytes int        `env:"MAX_BODY_BYTES" envDefault:"6291456"`
	LogLevel     slog.Level `env:"LOG_LEVEL" envDefault:"info"`

	Region      string      `env:"TENCENTCLOUD_REGION"` // the function's, set by the platform
	AppID       string      `env:"TENCENTCLOUD_APPID"`  // the account's, set by the platform
	Credentials Credentials // of the execution role
}

// Credentials are an API key of Tencent Cloud, temporary ones with a session token.
type Credentials struct {
	SecretID, SecretKey, SessionToken string
}

// Environment is what one invocation finds.
type Environment struct {
	Process    map[string]string // the process's variables, for settings alone
	Invocation map[string]string // what came with the invocation; goes before Process
	Region     string            // the function's region; "" where the platform does not say
	AppID      string            // the account's AppID; "" where the platform does not say
}

// settings gives the variables for settings. One that is set to nothing counts as not
// set: deploy files write those for what was left out.
func (e Environment) settings() map[string]string {
	all := maps.Clone(e.Process)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, e.Invocation)
	maps.DeleteFunc(all, func(_, value string) bool { return strings.TrimSpace(value) == "" })
	return all
}

// Load reads the settings. Its error is an [*Error], the first that is found.
//
// Credentials are taken from the invocation alone: scf-go-lib puts them into the
// process's environment as well, where those of an earlier invocation stay.
func Load(e Environment) (Config, error) {
	var c Config
	if err := env.ParseWithOptions(&c, env.Options{Environment: e.settings()}); err != nil {
		return Config{}, variableError(err)
	}
	c.Credentials = Credentials{
		SecretID:     e.Invocation["TENCENTCLOUD_SECRETID"],
		SecretKey:    e.Invocation["TENCENTCLOUD_SECRETKEY"],
		SessionToken: e.Invocation["TENCENTCLOUD_SESSIONTOKEN"],
	}
	c.Region = cmp.Or(e.Region, c.Region)
	c.RecordRegion = cmp.Or(c.RecordRegion, c.Region)
	c.AppID = cmp.Or(e.AppID, c.AppID, cosname.AppID(c.RecordBucket))
	c.Endpoint = cmp.Or(c.Endpoint, cosname.COSEndpoint)
	for i, bucket := range c.TagBuckets {
		c.TagBuckets[i] = strings.TrimSpace(bucket)
	}
	return c, c.check()
}

// check says what is wrong with the settings, as users would set them right: one by one.
func (c Config) check() error {
	switch {
	case c.RecordBucket == "":
		return &Error{"RECORD_BUCKET", "is not set: name the bucket that is to hold the records, <name>-<appid>"}
	case c.RecordRegion == "":
		return &Error{"RECORD_REGION", "is not set, and the platform names no region: set it, such as ap-guangzhou"}
	case c.MaxBodyBytes <= 0:
		return &Error{"MAX_BODY_BYTES", "must be more than 0"}
	}
	checks := []struct {
		variable string
		err      error
	}{
		{"RECORD_BUCKET", cosname.CheckBucket(c.RecordBucket)},
		{"RECORD_REGION", cosname.CheckRegion(c.RecordRegion)},
		{"RECORD_PREFIX", cosname.CheckKey(c.RecordPrefix + "workflows/" + strings.Repeat("x", 64) + ".json")},
		{"MD5_TAG_KEY", cosname.CheckTagKey(c.MD5TagKey)},
		{"COS_ENDPOINT", second(cosname.BucketURL(c.Endpoint, c.RecordBucket, c.RecordRegion))},
	}
	for _, check := range checks {
		if check.err != nil {
			return &Error{check.variable, "is wrong: " + check.err.Error()}
		}
	}
	for _, bucket := range c.TagBuckets {
		if err := cosname.CheckBucket(bucket); err != nil {
			return &Error{"TAG_BUCKETS", "is wrong: " + err.Error()}
		}
	}
	if c.Credentials.SecretID == "" || c.Credentials.SecretKey == "" {
		return &Error{"TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY", "did not come with the invocation: give the function an execution role (RoleName; trusted entity service-scf.qcloud.com)"}
	}
	return nil
}

func second[T any](_ T, err error) error { return err }

// variableError finds the variable that the library could not read. It does not show
// the value.
func variableError(err error) error {
	if parse, ok := errors.AsType[env.ParseError](err); ok {
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		wants := map[string]string{"TAG_MD5": "true or false", "MAX_BODY_BYTES": "a number of bytes", "LOG_LEVEL": "debug, info, warn or error"}
		variable := field.Tag.Get("env")
		return &Error{variable, "must be " + cmp.Or(wants[variable], "readable")}
	}
	return &Error{"The environment", "cannot be read"}
}
