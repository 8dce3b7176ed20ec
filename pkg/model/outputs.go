package model

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// jobOutputs gives the objects a job wrote: what its MediaResult names; where that
// names none, what the job type's own result names; where that names none either,
// and the job succeeded, Output.Object. Templates are never taken for keys.
func jobOutputs(d *node, succeeded bool) []Output {
	op := d.child("Operation")
	var o outputs
	o.bucket = op.child("Output").value("Bucket")
	o.region = op.child("Output").value("Region")
	if o.bucket == "" {
		o.bucket = d.child("Input").first("BucketId", "Bucket")
	}
	if o.region == "" {
		o.region = d.child("Input").value("Region")
	}
	for media := range op.all("MediaResult") {
		o.files(media, "OutputFile")
		o.files(media, "SpriteOutputFile")
	}
	if len(o.list) == 0 {
		o.results(op)
	}
	if len(o.list) == 0 && succeeded {
		for output := range op.all("Output") {
			o.add(output, output.value("Object"), "")
		}
	}
	return o.list
}

// workflowOutputs gives the objects that the tasks of a workflow run name. They
// come without MD5s, and with a bucket only in their URL.
// https://www.tencentcloud.com/document/product/1045/50341
func workflowOutputs(w *node) []Output {
	o := outputs{bucket: w.first("BucketId", "Bucket"), region: w.value("Region")}
	for task := range w.all("Tasks") {
		for result := range task.all("ResultInfo") {
			for _, name := range []string{"ObjectInfo", "SpriteObjectInfo"} {
				for info := range result.all(name) {
					o.addURL(info.value("ObjectUrl"), info.value("ObjectName"))
				}
			}
		}
	}
	return o.list
}

// outputs gathers outputs. Its bucket and region are those of an output that
// names none itself.
type outputs struct {
	bucket, region string
	list           []Output
	seen           map[Output]bool // without the MD5
}

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
	md5s := make(map[string]string, len(sums))
	summed = keys(prefix, summed, nil)
	for i, key := range summed {
		md5s[key] = sums[i]
	}
	for _, key := range append(keys(prefix, names, md5s), summed...) {
		o.add(file, key, md5s[key])
	}
}

// keys gives the keys that the object names of one file mean. A key is prefix and
// name, but some callbacks have the whole key for a name already. Where a name
// could mean two keys, one that Md5Info knows is right; else a name that begins
// with the prefix is a whole key, unless the prefix is too short to tell (1 and
// 10.jpg) and other names lack it.
func keys(prefix string, names []string, md5s map[string]string) []string {
	prefixed := func(name string) bool { return strings.HasPrefix(unslash(name), unslash(prefix)) }
	unsure := !strings.Contains(prefix, "/") && !allOf(names, prefixed)
	full := make([]string, len(names))
	for i, name := range names {
		whole, joined := unslash(name), unslash(prefix+name)
		switch {
		case md5s[joined] != "" || !prefixed(name):
			full[i] = joined
		case md5s[whole] == "" && unsure:
			full[i] = joined
		default:
			full[i] = whole
		}
	}
	return full
}

func allOf(names []string, is func(string) bool) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !is(name) })
}

// unslash drops one leading slash: CI writes one before some keys, and COS has
// no key that begins with one.
func unslash(key string) string { return strings.TrimPrefix(key, "/") }

// md5Hex gives an MD5 in lower case, or "" for what is not 32 hex digits.
func md5Hex(s string) string {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 16 {
		return ""
	}
	return strings.ToLower(s)
}

// results takes the object names that a job type has in a result of its own.
// https://www.tencentcloud.com/document/product/1045/49942
func (o *outputs) results(op *node) {
	for result := range op.all("PicProcessResult") {
		o.add(nil, result.value("ObjectName"), "")
	}
	for result := range op.all("SpeechRecognitionResult") {
		o.add(nil, result.value("ObjectName"), "")
		o.add(nil, result.value("DetailObjectName"), "")
	}
	for result := range op.all("DocProcessResult") {
		for page := range result.all("PageInfo") {
			o.add(nil, page.value("TgtUri"), "")
		}
	}
}

// add takes an object once, unless its key is no real one. from is the node that
// may name its bucket and region.
func (o *outputs) add(from *node, key, md5 string) {
	out := Output{Object: Object{Bucket: from.value("Bucket"), Region: from.value("Region"), Key: unslash(key)}}
	if out.Bucket == "" {
		out.Bucket = o.bucket
	}
	if out.Region == "" {
		out.Region = o.region
	}
	if isBlank(out.Key) || strings.Contains(out.Key, "${") || o.seen[out] {
		return
	}
	if o.seen == nil {
		o.seen = map[Output]bool{}
	}
	o.seen[out] = true
	out.MD5 = md5
	o.list = append(o.list, out)
}

// cosURL is the address of an object in COS.
var cosURL = regexp.MustCompile(`^https?://([a-z0-9-]+-[0-9]+)\.cos\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)/`)

// addURL takes an object whose bucket and region are in its URL, if anywhere.
func (o *outputs) addURL(url, key string) {
	at := *o
	if m := cosURL.FindStringSubmatch(url); m != nil {
		at.bucket, at.region = m[1], m[2]
	}
	at.add(nil, key, "")
	o.list, o.seen = at.list, at.seen
}
