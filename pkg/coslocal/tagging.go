package coslocal

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tag is one tag of an object or a bucket.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// How many tags an object and a bucket may have: https://cloud.tencent.com/document/product/436/35665 and 436/8281.
const (
	maxObjectTags = 10
	maxBucketTags = 50
)

// tagging is the body of GET and PUT ?tagging: https://cloud.tencent.com/document/product/436/42997. Pointers tell an
// element that is missing from one that is empty.
type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  *tagSet
}

type tagSet struct{ Tag []tagXML }

type tagXML struct{ Key, Value *string }

func taggingAnswer(tags []Tag) (*Answer, error) {
	set := &tagSet{}
	for i := range tags {
		set.Tag = append(set.Tag, tagXML{&tags[i].Key, &tags[i].Value})
	}
	return xmlAnswer(tagging{TagSet: set})
}

// readTags reads the body of PUT ?tagging.
func (c *call) readTags(most int) ([]Tag, error) {
	var t tagging
	if err := c.readXML(&t); err != nil {
		return nil, err
	}
	if t.TagSet == nil {
		return nil, errMalformedXML
	}
	tags := make([]Tag, len(t.TagSet.Tag))
	for i, tag := range t.TagSet.Tag {
		if tag.Key == nil || tag.Value == nil {
			return nil, errMalformedXML
		}
		tags[i] = Tag{*tag.Key, *tag.Value}
	}
	return tags, checkTags(tags, most)
}

// headerTags reads x-cos-tagging: key=value&key=value, URL-encoded.
func headerTags(header string) ([]Tag, error) {
	if header == "" {
		return nil, nil
	}
	var tags []Tag
	for pair := range strings.SplitSeq(header, "&") {
		key, value, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(key)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, invalidTag("x-cos-tagging is not URL-encoded.")
		}
		tags = append(tags, Tag{key, value})
	}
	return tags, checkTags(tags, maxObjectTags)
}

// checkTags applies the limits of https://cloud.tencent.com/document/product/436/35665.
func checkTags(tags []Tag, most int) error {
	if len(tags) > most {
		return invalidTag(fmt.Sprintf("There can be no more than %d tags.", most))
	}
	seen := make(map[string]bool, len(tags))
	for _, tag := range tags {
		if seen[tag.Key] {
			return invalidTag("Cannot provide multiple tags with the same key.")
		}
		seen[tag.Key] = true
		if !isTagText(tag.Key, 127) || !isTagText(tag.Value, 255) {
			return invalidTag("A tag key has 1 to 127 characters, a value 1 to 255: Chinese, letters, digits, space and + - _ = / . : @")
		}
	}
	return nil
}

func isTagText(text string, most int) bool {
	if n := utf8.RuneCountInString(text); n < 1 || n > most {
		return false
	}
	for _, r := range text {
		ascii := r < utf8.RuneSelf && (isUnreserved(byte(r)) && r != '~' || strings.ContainsRune(" +=/:@", r))
		if !ascii && !unicode.Is(unicode.Han, r) {
			return false
		}
	}
	return true
}

func (c *call) getObjectTagging() (*Answer, error) {
	o, err := c.findObject()
	if err != nil {
		return nil, err
	}
	a, err := taggingAnswer(o.tags)
	if err == nil {
		o.describeVersion(a)
	}
	return a, err
}

func (c *call) putObjectTagging() (*Answer, error) {
	tags, err := c.readTags(maxObjectTags)
	if err != nil {
		return nil, err
	}
	return c.retag(tags, http.StatusOK)
}

func (c *call) deleteObjectTagging() (*Answer, error) {
	return c.retag(nil, http.StatusNoContent)
}

func (c *call) retag(tags []Tag, status int) (*Answer, error) {
	o, err := c.bucket.retag(c.Request.Key, tags, c.checkVersion)
	if err != nil {
		return nil, err
	}
	a := newAnswer(status)
	o.describeVersion(a)
	return a, nil
}

// getBucketTagging answers 404 for a bucket without tags, unlike an object's: https://cloud.tencent.com/document/product/436/8277.
func (c *call) getBucketTagging() (*Answer, error) {
	tags := c.bucket.readSettings().Tags
	if len(tags) == 0 {
		return nil, &Error{http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist."}
	}
	return taggingAnswer(tags)
}

func (c *call) putBucketTagging() (*Answer, error) {
	tags, err := c.readTags(maxBucketTags)
	if err != nil {
		return nil, err
	}
	return newAnswer(http.StatusNoContent), c.bucket.changeSettings(func(s *bucketSettings) { s.Tags = tags })
}

func (c *call) deleteBucketTagging() (*Answer, error) {
	return newAnswer(http.StatusNoContent), c.bucket.changeSettings(func(s *bucketSettings) { s.Tags = nil })
}
