package cosname

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxKeyBytes is how long the key of an object may be.
// https://cloud.tencent.com/document/product/436/13324
const MaxKeyBytes = 850

// The longest names that COS takes.
// https://www.tencentcloud.com/document/product/436/14518
const (
	maxBucketNameBytes = 50 // without the AppID
	maxAppIDBytes      = 12
	minRegionBytes     = 3
	maxRegionBytes     = 32
	maxTagKeyRunes     = 127 // https://www.tencentcloud.com/document/product/436/35665
)

// CheckBucket returns an error that says what is wrong with the name of a bucket. It
// must be <name>-<appid>, since it becomes part of a host name.
func CheckBucket(bucket string) error {
	name, appID, _ := cutLast(bucket, '-')
	if len(name) < 1 || len(name) > maxBucketNameBytes || name[0] == '-' || !consistsOf(name, isHostByte) ||
		len(appID) < 1 || len(appID) > maxAppIDBytes || !consistsOf(appID, isDigit) {
		return fmt.Errorf("%.80q is not a bucket name, <name>-<appid> of lower-case letters, digits and hyphens", bucket)
	}
	return nil
}

// AppID returns the AppID that a bucket's name ends with: what follows its last hyphen,
// or the whole name where it has none.
func AppID(bucket string) string { return bucket[strings.LastIndexByte(bucket, '-')+1:] }

// CheckRegion returns an error that says what is wrong with the name of a region, such
// as ap-guangzhou. It becomes part of a host name too.
func CheckRegion(region string) error {
	if len(region) < minRegionBytes || len(region) > maxRegionBytes || !consistsOf(region, isHostByte) ||
		!isLower(region[0]) || region[len(region)-1] == '-' {
		return fmt.Errorf("%.80q is not a region, such as ap-guangzhou", region)
	}
	return nil
}

// CheckKey returns an error that says what is wrong with an object's key. COS's own
// rules are few (https://cloud.tencent.com/document/product/436/13324). The rest keeps a
// key from meaning something else on the way: of an empty key, or of "..", the SDK would
// make a request on the bucket instead of one on an object.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("the key is %d bytes long, and COS takes %d", len(key), MaxKeyBytes)
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

// CheckTagKey returns an error that says what is wrong with the key of a tag.
// https://www.tencentcloud.com/document/product/436/35665
func CheckTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > maxTagKeyRunes || strings.ContainsFunc(key, isForbiddenInTagKey) {
		return fmt.Errorf("%.80q is not a tag key, 1 to 127 letters, digits, spaces or any of + - _ = / . : @", key)
	}
	return nil
}

// isForbiddenInTagKey reports whether COS does not take a character in a tag's key. Of
// the letters beyond ASCII it takes Chinese ones alone.
func isForbiddenInTagKey(r rune) bool {
	if r < utf8.RuneSelf {
		b := byte(r)
		return !isLower(b) && !(b >= 'A' && b <= 'Z') && !isDigit(b) && strings.IndexByte(" +-_=/.:@", b) < 0
	}
	return !unicode.Is(unicode.Han, r)
}

// cutLast splits a string at the last place where it has a byte.
func cutLast(s string, separator byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}

// consistsOf reports whether every byte of a string is as asked.
func consistsOf(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// isLower reports whether a byte is a lower-case letter of ASCII.
func isLower(b byte) bool { return b >= 'a' && b <= 'z' }

// isDigit reports whether a byte is a digit of ASCII.
func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// isHostByte reports whether a byte may stand in a label of the host names used here.
func isHostByte(b byte) bool { return isLower(b) || isDigit(b) || b == '-' }
