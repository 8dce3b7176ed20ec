package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// https://www.tencentcloud.com/document/product/436/14518
var (
	validBucket = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,49}-[0-9]{1,12}$`)
	validRegion = regexp.MustCompile(`^[a-z][a-z0-9-]{1,30}[a-z0-9]$`)
	validHost   = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*$`)
	validTagKey = regexp.MustCompile(`^[\p{Han}a-zA-Z0-9 +\-_=/.:@]{1,127}$`)
)

// CheckBucket says what is wrong with a bucket name. It must be <name>-<appid>, since
// it becomes part of a host name.
func CheckBucket(bucket string) error {
	if !validBucket.MatchString(bucket) {
		return fmt.Errorf("%.80q is not a bucket name, <name>-<appid> of lower-case letters, digits and hyphens", bucket)
	}
	return nil
}

// CheckRegion says what is wrong with the name of a region, such as ap-guangzhou. It
// becomes part of a host name too.
func CheckRegion(region string) error {
	if !validRegion.MatchString(region) {
		return fmt.Errorf("%.80q is not a region, such as ap-guangzhou", region)
	}
	return nil
}

// CheckKey says what is wrong with an object's key. COS's own rules are few
// (https://cloud.tencent.com/document/product/436/13324); the rest keeps a key from
// meaning something else on the way: with an empty key or "..", the SDK would make a
// request on an object one on the bucket.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > model.MaxKeyBytes:
		return fmt.Errorf("the key is %d bytes long, and COS takes %d", len(key), model.MaxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %.80q is not UTF-8", key)
	case strings.HasPrefix(key, `\`):
		return fmt.Errorf("the key %.80q begins with a backslash", key)
	case strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("the key %.80q has a control character", key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("the key %.80q has the segment %q", key, segment)
		}
	}
	return nil
}

// CheckTagKey says what is wrong with the key of a tag.
// https://www.tencentcloud.com/document/product/436/35665
func CheckTagKey(key string) error {
	if !validTagKey.MatchString(key) {
		return fmt.Errorf("%.80q is not a tag key, 1 to 127 letters, digits, spaces or any of + - _ = / . : @", key)
	}
	return nil
}
