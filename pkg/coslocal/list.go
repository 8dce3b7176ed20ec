package coslocal

import (
	"encoding/xml"
	"sort"
	"strconv"
	"strings"
)

// listResult has the elements of https://cloud.tencent.com/document/product/436/7734, in
// that order and without a namespace.
type listResult struct {
	XMLName        xml.Name `xml:"ListBucketResult"`
	Name           string
	EncodingType   string `xml:",omitempty"`
	Prefix         string
	Marker         string
	MaxKeys        int
	Delimiter      string `xml:",omitempty"`
	IsTruncated    bool
	NextMarker     string `xml:",omitempty"`
	CommonPrefixes []commonPrefix
	Contents       []listEntry
}

// commonPrefix stands for all keys that begin with it.
type commonPrefix struct{ Prefix string }

// listEntry is an object in a list.
type listEntry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	Owner        struct{ ID, DisplayName string }
	StorageClass string
}

// listObjects is GET of a bucket.
func (c *call) listObjects() (*Answer, error) {
	q := c.Request.Query
	result := listResult{
		Name:         c.Request.Bucket,
		EncodingType: q.Get("encoding-type"),
		Prefix:       q.Get("prefix"),
		Marker:       q.Get("marker"),
		Delimiter:    q.Get("delimiter"),
		MaxKeys:      1000,
	}
	if result.EncodingType != "" && result.EncodingType != "url" {
		return nil, InvalidArgument("encoding-type must be url.")
	}
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, InvalidArgument("max-keys must be a number from 0 to 1000.")
		}
		result.MaxKeys = min(n, 1000)
	}
	result.fill(c.bucket)
	if result.EncodingType == "url" {
		result.encode()
	}
	return xmlAnswer(result)
}

// fill lists what comes after the marker. A page is full when it has MaxKeys entries,
// keys and common prefixes together.
func (l *listResult) fill(b *bucket) {
	keys := b.keys()
	for i := sort.SearchStrings(keys, max(l.Prefix, l.Marker)); i < len(keys) && strings.HasPrefix(keys[i], l.Prefix); {
		name, next := l.group(keys, i)
		if name <= l.Marker {
			i = next
			continue
		}
		if len(l.Contents)+len(l.CommonPrefixes) == l.MaxKeys {
			l.IsTruncated = l.MaxKeys > 0
			break
		}
		i = next
		l.add(b, name)
	}
	if !l.IsTruncated {
		l.NextMarker = ""
	}
}

// group returns what the list shows for keys[i], the key itself or the common prefix that
// it belongs to, and the index of the first key after it that is not shown by that.
func (l *listResult) group(keys []string, i int) (name string, next int) {
	key := keys[i]
	if l.Delimiter == "" {
		return key, i + 1
	}
	head, _, found := strings.Cut(key[len(l.Prefix):], l.Delimiter)
	if !found {
		return key, i + 1
	}
	name = l.Prefix + head + l.Delimiter
	rest := keys[i:]
	return name, i + sort.Search(len(rest), func(j int) bool { return !strings.HasPrefix(rest[j], name) })
}

// isPrefix reports whether an entry of the list is a common prefix: it has the delimiter
// behind the prefix that was asked for.
func (l *listResult) isPrefix(name string) bool {
	return l.Delimiter != "" && strings.Contains(name[len(l.Prefix):], l.Delimiter)
}

// add appends a common prefix or an object.
func (l *listResult) add(b *bucket, name string) {
	if l.isPrefix(name) {
		l.CommonPrefixes = append(l.CommonPrefixes, commonPrefix{name})
		l.NextMarker = name
		return
	}
	o, ok := b.get(name)
	if !ok { // deleted since the keys were read
		return
	}
	l.NextMarker = name
	l.Contents = append(l.Contents, o.listEntry())
}

// listEntry returns the object as lists show it.
func (o *object) listEntry() listEntry {
	e := listEntry{
		Key:          o.key,
		LastModified: o.modified.Format("2006-01-02T15:04:05.000Z"),
		ETag:         o.etag,
		Size:         o.size,
		StorageClass: "STANDARD",
	}
	if class := o.header.Get("X-Cos-Storage-Class"); class != "" {
		e.StorageClass = class
	}
	e.Owner.ID, e.Owner.DisplayName = "1250000000", "1250000000"
	return e
}

// encode applies encoding-type=url, for keys that XML cannot hold.
func (l *listResult) encode() {
	for _, text := range []*string{&l.Prefix, &l.Marker, &l.Delimiter, &l.NextMarker} {
		*text = string(appendEncoded(nil, *text))
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = string(appendEncoded(nil, l.CommonPrefixes[i].Prefix))
	}
	for i := range l.Contents {
		l.Contents[i].Key = string(appendEncoded(nil, l.Contents[i].Key))
	}
}
