package model

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// Where a callback names the objects that a job wrote. Every Operation of a job is read
// on its own, and the first of the three that names anything is taken:
//
//  1. its MediaResult: OutputFile and SpriteOutputFile, and the sprites within a file,
//     with an ObjectPrefix, ObjectName and Md5Info;
//  2. the result of its own that a type has, see below, which a batch job has in JobParam;
//  3. Output, if the job succeeded: Object, and what else is to be written.
//
// By type of job (Tag), where real keys stand, and what can fail on its own there:
//
//	Animation, Concat, DigitalWatermark, FillConcat, GeneratePlayList, SDRtoHDR, Segment,
//	SegmentVideoBody, SmartCover, Snapshot, StreamExtract, SuperResolution, Transcode,
//	TranscodePro, Tts, VideoEnhance, VideoMontage, VideoProcess, VideoSynthesis,
//	VoiceSeparate
//	                      MediaResult.OutputFile; Snapshot: SpriteOutputFile too
//	PicProcess            PicProcessResult[].ObjectName, with a State; of several rules,
//	                      UploadResult.ProcessResults.Object[].Key there, with a Location
//	SpeechRecognition     SpeechRecognitionResult.ObjectName and DetailObjectName
//	DocProcess            DocProcessResult.PageInfo[].TgtUri; a failed page is not listed
//	FileCompress          FileCompressResult.Object, with a Bucket and a Region
//	FileUncompress        FileUncompressResult.FileList.Contents[].Key, with a Bucket and a
//	                      Region of FileUncompressResult, where a listing was asked for
//	NoiseReduction, Translation, DocAIGCMetadata, DocWatermark, PosterProduction, and types
//	that nobody knows yet
//	                      Output.Object; Translation: none with NoNeedOutput, of a picture
//	VideoTargetRec        Output.Object, a masked copy, where a ProcessType asks for one
//	VoiceSeparate, StreamExtract without a MediaResult
//	                      Output.AuObject, BassObject, DrumObject, StreamExtract[].Object
//	MediaInfo, ExtractDigitalWatermark, VideoTag, QualityEstimate, WordsGeneralize,
//	SoundHound, VocalScore, SplitVideoParts, DnaJob, ImageInspect, ImageOCR, FileHashCode,
//	virus detection
//	                      none: what they find is in the detail
//	reviews of video      MaskInfo.RecordInfo.Output.Object, a masked copy, with a Code;
//	                      MaskInfo.LiveInfo.Output of a live stream, a URL or a key
//	workflow runs         Tasks[].ResultInfo.ObjectInfo[] and SpriteObjectInfo[], with an
//	                      ObjectUrl and a Code
//
// An entry that says by a State or a Code of its own that it did not succeed is no output,
// and where an operation has such an entry, Output is not taken for what it wrote. No
// output is made of a template such as ${Number}.
//
// These are no outputs, though they are keys or URLs of COS: InputObjectName and a
// workflow's JudgementInfo and FileInfo name what was read; ErrorDetail.ErrorFile what could
// not be packed; the URLs in VideoTargetRecResult and in a review's Snapshot, AudioSection,
// Section and Results what CI looked at, and no page says that it stays there. The State of
// a DigitalWatermark is that of the mark: with IgnoreError the file is written without it.
//
// The pages of the results: below https://www.tencentcloud.com/document/product/1045/49942
// for jobs, https://www.tencentcloud.com/document/product/1045/50341 for workflows; the
// types of cos-go-sdk-v5 (MediaResult, PicProcessResult, ImageProcessResult,
// SpeechRecognitionResult, DocProcessJobDocProcessResult, FileCompressResult, JobOutput,
// AuditingMaskInfo, WorkflowExecutionNotifyBody), of cos-php-sdk-v5 for FileList and
// GeneratePlayList (GetFileUncompressResultOutput, GeneratePlayListOutput), and of
// qcloud-sdk-android for NoNeedOutput (PostTranslation). The answers of the other SDKs that
// repeat.go names have no key that is not in one of these.

// outputs gathers the objects that one job wrote.
type outputs struct {
	// What an output that names no bucket or region of its own has.
	inherited Object

	list     []Output
	indices  map[Object]int // in the list
	named    bool           // whether the operation has named an object
	failed   bool           // whether an entry of the operation did not succeed
	keyBytes int            // how long the keys of all outputs of the body are
	excess   string         // what there is too much of
}

// ofJob takes the outputs of a job.
func (o *outputs) ofJob(d *node, succeeded bool) {
	in := d.first("Input")
	for operation := range o.succeeded(d, "Operation") {
		output := operation.first("Output")
		o.inherited = Object{
			Bucket: cmp.Or(output.text("Bucket"), in.text("BucketId", "Bucket")),
			Region: cmp.Or(output.text("Region"), in.text("Region")),
		}
		o.ofOperation(operation, succeeded && !isTextAlone(in, operation))
	}
}

// isTextAlone reports whether a translation writes no object but has its text in the
// result. A picture's can be asked for that; a document's is written all the same.
func isTextAlone(in, operation *node) bool {
	switch strings.ToLower(in.text("Type")) {
	case "", "jpg", "jpeg", "png", "webp":
		return strings.EqualFold(operation.text("NoNeedOutput"), "true")
	default:
		return false
	}
}

// ofOperation takes the outputs of one operation of a job, and what it was asked to write
// only where that was written.
func (o *outputs) ofOperation(operation *node, written bool) {
	o.named, o.failed = false, false
	o.ofMediaResults(operation)
	if !o.named {
		o.ofResults(operation)
		for param := range operation.named("JobParam") {
			o.ofMediaResults(param)
			o.ofResults(param)
		}
	}
	if !o.named && !o.failed && written {
		o.ofOutput(operation)
	}
}

// ofMediaResults takes the outputs of the files in MediaResult.
func (o *outputs) ofMediaResults(operation *node) {
	for media := range operation.named("MediaResult") {
		for _, name := range []string{"OutputFile", "SpriteOutputFile"} {
			for file := range o.succeeded(media, name) {
				o.ofFile(file)
				for sprite := range o.succeeded(file, "SpriteOutputFile") {
					o.ofFile(sprite)
				}
			}
		}
	}
}

// ofResults takes the outputs that a type of job has in a result of its own.
func (o *outputs) ofResults(operation *node) {
	for result := range o.succeeded(operation, "PicProcessResult") {
		o.add(o.location(result), "", result.text("ObjectName"), "")
		for upload := range result.named("UploadResult") {
			for processed := range upload.named("ProcessResults") {
				for picture := range o.succeeded(processed, "Object") {
					o.add(o.location(picture), picture.text("Location"), picture.text("Key"), md5Hex(picture.text("Md5")))
				}
			}
		}
	}
	for result := range o.succeeded(operation, "SpeechRecognitionResult") {
		o.add(o.location(result), "", result.text("ObjectName"), "")
		o.add(o.location(result), "", result.text("DetailObjectName"), "")
	}
	for result := range o.succeeded(operation, "DocProcessResult") {
		for page := range o.succeeded(result, "PageInfo") {
			o.add(o.location(page), "", page.text("TgtUri"), "")
		}
	}
	for result := range o.succeeded(operation, "FileCompressResult") {
		o.add(o.location(result), "", result.text("Object"), "")
	}
	for result := range o.succeeded(operation, "FileUncompressResult") {
		for files := range result.named("FileList") {
			for file := range o.succeeded(files, "Contents") {
				o.add(o.location(result), "", file.text("Key"), "")
			}
		}
	}
}

// ofOutput takes what an operation was asked to write.
func (o *outputs) ofOutput(operation *node) {
	for output := range operation.named("Output") {
		location := o.location(output)
		for _, name := range []string{"Object", "AuObject", "BassObject", "DrumObject", "SpriteObject"} {
			o.add(location, "", output.text(name), "")
		}
		for stream := range output.named("StreamExtract") {
			o.add(location, "", stream.text("Object"), "")
		}
	}
}

// ofReview takes the masked copies that a review of a video wrote.
func (o *outputs) ofReview(d *node) {
	o.inherited = Object{Bucket: d.text("BucketId", "Bucket"), Region: d.text("Region")}
	for mask := range d.named("MaskInfo") {
		for record := range o.succeeded(mask, "RecordInfo") {
			for output := range record.named("Output") {
				o.add(o.location(output), "", output.text("Object"), "")
			}
		}
		for live := range o.succeeded(mask, "LiveInfo") {
			o.add(o.inherited, "", live.text("Output"), "")
		}
	}
}

// ofWorkflow takes the objects that the tasks of a workflow run wrote. They come without
// MD5s, and with a bucket only in their URL.
func (o *outputs) ofWorkflow(w *node) {
	o.inherited = Object{Bucket: w.text("BucketId", "Bucket"), Region: w.text("Region")}
	for task := range w.named("Tasks") {
		for info := range taskObjects(task) {
			if !isUnsuccessful(info) {
				o.add(o.inherited, info.text("ObjectUrl"), info.text("ObjectName"), "")
			}
		}
	}
}

// taskObjects yields what a task of a workflow run says of each object that it was to
// write.
func taskObjects(task *node) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for result := range task.named("ResultInfo") {
			for _, name := range []string{"ObjectInfo", "SpriteObjectInfo"} {
				for info := range result.named(name) {
					if !yield(info) {
						return
					}
				}
			}
		}
	}
}

// succeeded yields the children of that name that did not fail on their own.
func (o *outputs) succeeded(n *node, name string) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for child := range n.named(name) {
			if isUnsuccessful(child) {
				o.failed = true
			} else if !yield(child) {
				return
			}
		}
	}
}

// ofFile takes the objects of one OutputFile or SpriteOutputFile, with their MD5s, which
// are matched by key and never by position.
func (o *outputs) ofFile(file *node) {
	var names, md5Names, md5s []string
	for name := range file.named("ObjectName") {
		if name.kind == scalar {
			names = append(names, name.scalar)
		}
	}
	for info := range file.named("Md5Info") {
		if name, md5 := info.text("ObjectName"), md5Hex(info.text("Md5")); name != "" && md5 != "" {
			md5Names, md5s = append(md5Names, name), append(md5s, md5)
		}
	}
	if len(names) > MaxOutputs || len(md5Names) > MaxOutputs {
		o.excess = fmt.Sprintf("more than %d outputs of one job", MaxOutputs)
		return
	}
	prefix := file.text("ObjectPrefix")
	md5Of := make(map[string]string, len(md5s))
	resolver := newKeyResolver(prefix, md5Names, nil)
	for i, name := range md5Names {
		if md5Names[i] = resolver.resolve(name); md5Names[i] != "" {
			md5Of[md5Names[i]] = md5s[i]
		}
	}
	resolver = newKeyResolver(prefix, names, md5Of)
	location, urls := o.location(file), objectURLs(file)
	for _, name := range names {
		key := resolver.resolve(name)
		o.addKey(locationByURL(urls[key], location), key, md5Of[key])
	}
	for _, key := range md5Names { // those that no ObjectName stands for
		o.addKey(locationByURL(urls[key], location), key, md5Of[key])
	}
}

// objectURLs returns the URLs of the objects of a file, by key, as far as they say more of
// the place than the file itself: of a file that names its bucket alone, those in it.
func objectURLs(file *node) map[string]string {
	urls := map[string]string{}
	named := file.text("Bucket")
	if named != "" && file.text("Region") != "" {
		return urls
	}
	for url := range file.named("ObjectUrl") {
		if bucket, _, key, ok := cosname.ParseURL(url.scalar); ok && (named == "" || named == bucket) {
			urls[key] = url.scalar
		}
	}
	return urls
}

// keyResolver turns the names of the objects of one file into keys. A name is relative to
// the file's ObjectPrefix, or the whole key already: both are seen.
//
//	prefix     name        key         because
//	out/seg-   0           out/seg-0   it does not begin with the prefix
//	out/seg-   out/seg-0   out/seg-0   it does, so that it is the whole key
//	a/         a/b         a/a/b       that is the key of an Md5Info
//	1          10          110         there are names without the prefix, which is too short
//	1          10          10          all names begin with the prefix
type keyResolver struct {
	prefix string
	md5Of  map[string]string // by key
	unsure bool              // whether a name that begins with the prefix is a whole key
}

// newKeyResolver returns the resolver of a file's names. md5Of may be nil.
func newKeyResolver(prefix string, names []string, md5Of map[string]string) keyResolver {
	r := keyResolver{prefix: trimSlash(prefix), md5Of: md5Of}
	r.unsure = !strings.Contains(r.prefix, "/") && slices.ContainsFunc(names, func(name string) bool { return !r.isPrefixed(name) })
	return r
}

// resolve returns the key that a name stands for, and "" where COS could not have it.
func (r keyResolver) resolve(name string) string {
	whole := trimSlash(name)
	if r.prefix == "" {
		return whole
	}
	joined := ""
	if len(r.prefix)+len(name) <= cosname.MaxKeyBytes {
		joined = r.prefix + name
	}
	_, joinedHasMD5 := r.md5Of[joined]
	_, wholeHasMD5 := r.md5Of[whole]
	if joinedHasMD5 || !r.isPrefixed(name) || r.unsure && !wholeHasMD5 {
		return joined
	}
	return whole
}

func (r keyResolver) isPrefixed(name string) bool {
	return strings.HasPrefix(trimSlash(name), r.prefix)
}

// trimSlash drops one leading slash: CI writes one before some keys, and COS has no key
// that begins with one.
func trimSlash(key string) string { return strings.TrimPrefix(key, "/") }

// md5Hex returns an MD5 in lower case, or "" for what is not 32 hex digits.
func md5Hex(s string) string {
	if len(s) != 32 {
		return ""
	}
	if _, err := hex.DecodeString(s); err != nil {
		return ""
	}
	return strings.ToLower(s)
}

// location returns the bucket and the region that a node names, or else those that an
// output has which names none.
func (o *outputs) location(n *node) Object {
	return Object{
		Bucket: cmp.Or(n.text("Bucket"), o.inherited.Bucket),
		Region: cmp.Or(n.text("Region"), o.inherited.Region),
	}
}

// locationByURL returns the bucket and the region that an object's URL names, where it is
// one of COS, and else the location.
func locationByURL(url string, location Object) Object {
	if bucket, region, _, ok := cosname.ParseURL(url); ok {
		return Object{Bucket: bucket, Region: cmp.Or(region, location.Region)}
	}
	return location
}

// add takes an object by its name, by its URL, or by both, of which the URL says in which
// bucket and region it is. Some names are URLs.
func (o *outputs) add(location Object, url, name, md5 string) {
	if isURL(name) {
		url, name = name, ""
	}
	key := trimSlash(name)
	if _, _, keyOfURL, ok := cosname.ParseURL(url); ok && key == "" {
		key = keyOfURL
	}
	o.addKey(locationByURL(url, location), key, md5)
}

// addKey takes an object once, unless its key is none that COS could have. A bucket or a
// region that COS could not have is left out, and nothing takes its place: with another
// one it would be the wrong object.
func (o *outputs) addKey(location Object, key, md5 string) {
	if o.excess != "" || !isRealKey(key) {
		return
	}
	o.named = true
	if cosname.CheckBucket(location.Bucket) != nil {
		location.Bucket = ""
	}
	if cosname.CheckRegion(location.Region) != nil {
		location.Region = ""
	}
	object := Object{Bucket: location.Bucket, Region: location.Region, Key: key}
	if i, again := o.indices[object]; again {
		o.list[i].MD5 = cmp.Or(o.list[i].MD5, md5)
		return
	}
	if o.keyBytes += len(key); o.keyBytes > MaxOutputKeyBytes {
		o.excess = fmt.Sprintf("the keys of all outputs of one callback have more than %d bytes", MaxOutputKeyBytes)
	}
	if len(o.list) == MaxOutputs {
		o.excess = fmt.Sprintf("more than %d outputs of one job", MaxOutputs)
	}
	if o.excess != "" {
		return
	}
	if o.indices == nil {
		o.indices = map[Object]int{}
	}
	o.indices[object] = len(o.list)
	o.list = append(o.list, Output{Object: object, MD5: md5})
}

// isRealKey reports whether COS could have a key: it is not blank, not too long, without
// control characters, and no template. What is none stays in the detail alone.
func isRealKey(key string) bool {
	return !isBlank(key) && len(key) <= cosname.MaxKeyBytes && !strings.Contains(key, "${") && !strings.ContainsFunc(key, unicode.IsControl)
}
