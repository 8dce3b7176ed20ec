package model

import (
	"cmp"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// outputs gathers the objects that a job wrote.
type outputs struct {
	bucket, region string // of an output that names none itself
	room           int    // what is left of MaxOutputBytes, negative once there is none
	list           []Output
	seen           map[Output]int // where in the list, by the output without its MD5
}

// job takes what a job's MediaResult names; where that names none, what the job
// type's own result names; where that names none either, and the job succeeded,
// Output.Object. Templates are never taken for keys.
func (o *outputs) job(d *node, succeeded bool) {
	in, op := d.child("Input"), d.child("Operation")
	o.bucket = cmp.Or(op.child("Output").value("Bucket"), in.first("BucketId", "Bucket"))
	o.region = cmp.Or(op.child("Output").value("Region"), in.value("Region"))
	for media := range op.all("MediaResult") {
		o.files(media, "OutputFile")
		o.files(media, "SpriteOutputFile")
	}
	if len(o.list) == 0 {
		o.results(op)
	}
	if len(o.list) == 0 && succeeded {
		for output := range op.all("Output") {
			bucket, region := o.at(output)
			o.add(bucket, region, unslash(output.value("Object")), "")
		}
	}
}

// workflow takes the objects that the tasks of a workflow run name. They come
// without MD5s, and with a bucket only in their URL.
// https://www.tencentcloud.com/document/product/1045/50341
func (o *outputs) workflow(w *node) {
	bucket, region := w.first("BucketId", "Bucket"), w.value("Region")
	for task := range w.all("Tasks") {
		for result := range task.all("ResultInfo") {
			for _, name := range []string{"ObjectInfo", "SpriteObjectInfo"} {
				for info := range result.all(name) {
					bucket, region := bucket, region
					if m := cosURL.FindStringSubmatch(info.value("ObjectUrl")); m != nil {
						bucket, region = m[1], m[2]
					}
					o.add(bucket, region, unslash(info.value("ObjectName")), "")
				}
			}
		}
	}
}

// cosURL is the address of an object in COS.
var cosURL = regexp.MustCompile(`^https?://([a-z0-9-]{1,64}-[0-9]{1,20})\.cos\.([a-z0-9-]{1,32})\.(?:myqcloud\.com|tencentcos\.cn)/`)

// files takes the outputs of the files of that name in a MediaResult, and of the
// sprites within them.
func (o *outputs) files(media *node, name string) {
	for file := range media.all(name) {
		o.file(file)
		for sprite := range file.all("SpriteOutputFile") {
			o.file(sprite)
		}
	}
}

func (o *outputs) file(file *node) {
	var names, summed, sums []string
	for n := range file.all("ObjectName") {
		if n.kind == scalar {
			names = append(names, n.text)
		}
	}
	for info := range file.all("Md5Info") {
		if name, sum := info.value("ObjectName"), md5Hex(info.value("Md5")); name != "" && sum != "" {
			summed, sums = append(summed, name), append(sums, sum)
		}
	}
	prefix := file.value("ObjectPrefix")
	bucket, region := o.at(file)
	md5s := make(map[string]*md5Sum, len(sums))
	inMD5s := naming{prefix, summed}.keys(nil)
	joined := 0 // bytes of keys that the body does not hold; they are spent when they are listed
	for i, name := range summed {
		key := inMD5s(name)
		if len(key) > len(name) {
			joined += len(key)
		}
		if joined > o.room {
			o.spend(joined)
			return
		}
		if summed[i] = key; key != "" {
			md5s[key] = &md5Sum{hex: sums[i]}
		}
	}
	inNames := naming{prefix, names}.keys(md5s)
	for _, name := range names {
		key := inNames(name)
		o.add(bucket, region, key, md5s[key].take())
	}
	for _, key := range summed {
		if sum := md5s[key]; sum != nil && !sum.taken {
			o.add(bucket, region, key, sum.take())
		}
	}
}

// md5Sum is the MD5 of a key, and whether an output has it.
type md5Sum struct {
	hex   string
	taken bool
}

// take gives the MD5, and "" where there is none.
func (m *md5Sum) take() string {
	if m == nil {
		return ""
	}
	m.taken = true
	return m.hex
}

// naming is how the objects of one file are named: by a prefix, and names that may be
// relative to it.
type naming struct {
	prefix string
	names  []string
}

// keys gives what turns one of the names into the key that it means. A key is prefix
// and name, but some callbacks have the whole key for a name already. Where a name
// could mean two keys, one that has an MD5 is right; else a name that begins with the
// prefix is a whole key, unless the prefix is too short to tell (1 and 10.jpg) and
// other names lack it. What no object can have for a key is "".
func (n naming) keys(md5s map[string]*md5Sum) func(name string) string {
	if n.prefix == "" {
		return unslash
	}
	prefixed := func(name string) bool { return strings.HasPrefix(unslash(name), unslash(n.prefix)) }
	unsure := !strings.Contains(n.prefix, "/") && !allOf(n.names, prefixed)
	return func(name string) string {
		whole, joined := unslash(name), ""
		if len(n.prefix)+len(name) <= len("/")+MaxKeyBytes {
			joined = unslash(n.prefix + name)
		}
		if md5s[joined] != nil || !prefixed(name) || md5s[whole] == nil && unsure {
			return joined
		}
		return whole
	}
}

// MaxKeyBytes is how long an object's key may be. What is longer stays in the detail
// alone. https://cloud.tencent.com/document/product/436/13324
const MaxKeyBytes = 850

func allOf(names []string, is func(string) bool) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !is(name) })
}

// unslash drops one leading slash: CI writes one before some keys, and COS has
// no key that begins with one.
func unslash(key string) string { return strings.TrimPrefix(key, "/") }

// md5Hex gives an MD5 in lower case, or "" for what is not 32 hex digits.
func md5Hex(s string) string {
	if len(s) != 32 {
		return ""
	}
	if _, err := hex.DecodeString(s); err != nil {
		return ""
	}
	return strings.ToLower(s)
}

// results takes the object names that a job type has in a result of its own.
// https://www.tencentcloud.com/document/product/1045/49942
func (o *outputs) results(op *node) {
	for result := range op.all("PicProcessResult") {
		o.result(result.value("ObjectName"))
	}
	for result := range op.all("SpeechRecognitionResult") {
		o.result(result.value("ObjectName"))
		o.result(result.value("DetailObjectName"))
	}
	for result := range op.all("DocProcessResult") {
		for page := range result.all("PageInfo") {
			o.result(page.value("TgtUri"))
		}
	}
}

func (o *outputs) result(name string) { o.add(o.bucket, o.region, unslash(name), "") }

// at gives the bucket and the region that a node names, or those of an output
// that names none.
func (o *outputs) at(n *node) (bucket, region string) {
	return cmp.Or(n.value("Bucket"), o.bucket), cmp.Or(n.value("Region"), o.region)
}

// add takes an object once, unless its key is no real one.
func (o *outputs) add(bucket, region, key, md5 string) {
	out := Output{Object: Object{Bucket: bucket, Region: region, Key: key}}
	if o.room < 0 || isBlank(key) || len(key) > MaxKeyBytes || strings.Contains(key, "${") || !o.spend(encodedLen(bucket)+encodedLen(region)+encodedLen(key)+64) {
		return
	}
	if i, again := o.seen[out]; again {
		o.list[i].MD5 = cmp.Or(o.list[i].MD5, md5)
		return
	}
	if o.seen == nil {
		o.seen = map[Output]int{}
	}
	o.seen[out] = len(o.list)
	out.MD5 = md5
	o.list = append(o.list, out)
}

// encodedLen is about how long a text is in a record.
func encodedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			n++
		case c < ' ':
			n += 5
		case c == 0xe2: // U+2028 and U+2029 begin with it
			n += 3
		}
	}
	return n
}

// spend takes bytes from the room, and tells whether they were there.
func (o *outputs) spend(n int) bool {
	o.room -= n
	return o.room >= 0
}
