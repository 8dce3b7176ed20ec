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

// How many tags an object and a bucket may have:
// https://cloud.tencent.com/document/product/436/35665 and 436/8281.
const (
	maxObjectTags = 10
	maxBucketTags = 50
)

// tagging is the body of GET and PUT ?tagging:
// https://cloud.tencent.com/document/product/436/42997. It has pointers because an
// element that is missing differs from one that is empty.
type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  *tagSet
}

// tagSet is the list in a tagging.
type tagSet struct{ Tag []tagXML }

// tagXML is one tag of it.
type tagXML struct{ Key, Value *string }

// taggingAnswer returns an answer that lists tags.
func taggingAnswer(tags []Tag) (*Answer, error) {
	set := &tagSet{}
	for i := range tags {
		set.Tag = append(set.Tag, tagXML{&tags[i].Key, &tags[i].Value})
	}
	return xmlAnswer(tagging{TagSet: set})
}

// readTags reads the body of PUT ?tagging, with at most maxTags tags.
func (c *call) readTags(maxTags int) ([]Tag, error) {
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
	return tags, checkTags(tags, maxTags)
}

// headerTags reads the header x-cos-tagging: key=value&key=value, URL-encoded.
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

// checkTags checks tags against the limits of
// https://cloud.tencent.com/document/product/436/35665.
func checkTags(tags []Tag, maxTags int) error {
	if len(tags) > maxTags {
		return invalidTag(fmt.Sprintf("There can be no more than %d tags.", maxTags))
	}
	keys := make(map[string]bool, len(tags))
	for _, tag := range tags {
		if keys[tag.Key] {
			return invalidTag("Cannot provide multiple tags with the same key.")
		}
		keys[tag.Key] = true
		if !isTagText(tag.Key, 127) || !isTagText(tag.Value, 255) {
			return invalidTag("A tag key has 1 to 127 characters, a value 1 to 255: Chinese, letters, digits, space and + - _ = / . : @")
		}
	}
	return nil
}

// isTagText reports whether a tag can have text as its key or value.
func isTagText(text string, maxRunes int) bool {
	if n := utf8.RuneCountInString(text); n < 1 || n > maxRunes {
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

// getObjectTagging is GET ?tagging of an object, with an empty set for one without tags:
// https://cloud.tencent.com/document/product/436/42998.
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

// putObjectTagging is PUT ?tagging of an object, which replaces all its tags.
func (c *call) putObjectTagging() (*Answer, error) {
	tags, err := c.readTags(maxObjectTags)
	if err != nil {
		return nil, err
	}
	return c.retag(tags, http.StatusOK)
}

// deleteObjectTagging is DELETE ?tagging of an object.
func (c *call) deleteObjectTagging() (*Answer, error) {
	return c.retag(nil, http.StatusNoContent)
}

// retag replaces the tags of the object that the request names.
func (c *call) retag(tags []Tag, status int) (*Answer, error) {
	o, err := c.bucket.retag(c.Request.Key, tags, c.checkVersion)
	if err != nil {
		return nil, err
	}
	a := newAnswer(status)
	o.describeVersion(a)
	return a, nil
}

// getBucketTagging is GET ?tagging of a bucket. Unlike an object's, it answers 404 where
// there are no tags: https://cloud.tencent.com/document/product/436/8277.
func (c *call) getBucketTagging() (*Answer, error) {
	tags := c.bucket.readSettings().Tags
	if len(tags) == 0 {
		return nil, &Error{http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist."}
	}
	return taggingAnswer(tags)
}

// putBucketTagging is PUT ?tagging of a bucket, the request of a client that means an
// object and sends no key.
func (c *call) putBucketTagging() (*Answer, error) {
	tags, err := c.readTags(maxBucketTags)
	if err != nil {
		return nil, err
	}
	return newAnswer(http.StatusNoContent), c.bucket.changeSettings(func(s *bucketSettings) { s.Tags = tags })
}

// deleteBucketTagging is DELETE ?tagging of a bucket.
func (c *call) deleteBucketTagging() (*Answer, error) {
	return newAnswer(http.StatusNoContent), c.bucket.changeSettings(func(s *bucketSettings) { s.Tags = nil })
}
