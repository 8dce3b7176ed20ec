// Package sample is a record bucket in memory with a day of jobs in it, for the board's
// tests and for the pictures in the documentation. All of it is invented, and the same
// each time.
package sample

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// Prefix is what the keys of the sample begin with.
const Prefix = "ci/"

// The buckets that the sample is about.
const (
	RecordBucket = "records-1250000000"
	MediaBucket  = "media-1250000000"
	Region       = "ap-guangzhou"
)

// A Source is a bucket in memory. It implements catalog.Source, and counts what is asked
// of it.
type Source struct {
	// Delay is how long each request takes.
	Delay time.Duration

	mu      sync.Mutex
	objects map[string]catalog.Object
	keys    []string // sorted; nil where they are to be sorted again
	Reads   int
	Lists   int
}

// New returns an empty bucket.
func New() *Source { return &Source{objects: map[string]catalog.Object{}} }

// Put writes an object as if at a certain time.
func (s *Source) Put(key string, body []byte, modified time.Time) {
	sum := md5.Sum(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.objects[key]; !there {
		s.keys = nil
	}
	s.objects[key] = catalog.Object{
		Entry: catalog.Entry{Key: key, Size: int64(len(body)), ETag: hex.EncodeToString(sum[:]), LastModified: modified.Truncate(time.Second)},
		Body:  body,
	}
}

// Delete takes an object away.
func (s *Source) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	s.keys = nil
}

// Read implements catalog.Source.
func (s *Source) Read(ctx context.Context, key string, use func(catalog.Object) error) error {
	if err := wait(ctx, s.Delay); err != nil {
		return err
	}
	s.mu.Lock()
	s.Reads++
	o, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("get %s: %w", key, catalog.ErrNotFound)
	}
	return use(o)
}

// List implements catalog.Source: 1,000 keys a page, as COS does.
func (s *Source) List(ctx context.Context, prefix, marker string) (entries []catalog.Entry, next string, err error) {
	if err := wait(ctx, s.Delay); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Lists++
	if s.keys == nil {
		for key := range s.objects {
			s.keys = append(s.keys, key)
		}
		slices.Sort(s.keys)
	}
	i, _ := slices.BinarySearch(s.keys, max(prefix, marker))
	for ; i < len(s.keys) && strings.HasPrefix(s.keys[i], prefix); i++ {
		if s.keys[i] <= marker {
			continue
		}
		if len(entries) == 1000 {
			return entries, entries[len(entries)-1].Key, nil
		}
		entries = append(entries, s.objects[s.keys[i]].Entry)
	}
	return entries, "", nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// A jobType is what the jobs of a type have in common.
type jobType struct {
	tag      string
	share    int           // of a hundred jobs
	median   time.Duration // that one takes
	in, out  string        // endings of input and output
	failures []failure
}

type failure struct{ code, message string }

func jobTypes() []jobType {
	return []jobType{
		{"Transcode", 42, 48 * time.Second, ".mov", "-720p.mp4", []failure{
			{"InvalidArgument", `the input "%s" has no video stream`},
			{"InputDownloadFailed", "download of %s ended after %d bytes"},
		}},
		{"Snapshot", 24, 6 * time.Second, ".mp4", "-0.jpg", []failure{{"InvalidArgument", "time %d is behind the end of the input"}}},
		{"SmartCover", 10, 14 * time.Second, ".mp4", "-cover.jpg", nil},
		{"DigitalWatermark", 8, 95 * time.Second, ".mp4", "-marked.mp4", []failure{{"WatermarkTooLarge", "the watermark has %d pixels, more than the picture"}}},
		{"VoiceSeparate", 7, 31 * time.Second, ".mp3", "-voice.mp3", nil},
		{"SpeechRecognition", 6, 73 * time.Second, ".wav", ".txt", []failure{{"AudioFormatUnsupported", "codec of %s is not supported"}}},
		{"VideoMontage", 3, 140 * time.Second, ".mp4", "-montage.mp4", nil},
	}
}

// Fill puts a day of n jobs before now into a bucket, with a history, bodies that were not
// understood and what a reconciliation said.
func Fill(s *Source, now time.Time, n int) {
	r := rand.New(rand.NewPCG(20261127, 19))
	for i := range n {
		ended := now.Add(-dayTime(r))
		record := job(r, i, ended)
		if i == repaired {
			record.Source = model.SourceQuery
		}
		s.put(record, ended.Add(time.Duration(200+r.IntN(2600))*time.Millisecond))
	}
	fillSpecial(s, now)
	fillRejected(s, now)
	fillState(s, now)
}

// dayTime returns how long ago a job ended: more of them by day than by night, as seen
// from the newest.
func dayTime(r *rand.Rand) time.Duration {
	for {
		hours := r.Float64() * 24
		busy := 0.35 + 0.65*math.Pow(math.Sin((hours+4)*math.Pi/24), 2)
		if r.Float64() < busy {
			return time.Duration(hours * float64(time.Hour))
		}
	}
}

func job(r *rand.Rand, i int, ended time.Time) *model.Record {
	kind := pick(r)
	took := time.Duration(float64(kind.median) * math.Exp(r.NormFloat64()*0.55))
	started := ended.Add(-took)
	created := started.Add(-time.Duration(300+r.IntN(9000)) * time.Millisecond)
	name := fmt.Sprintf("2026/11/clip-%05d", i)
	state, code, message := "Success", "Success", "success"
	if len(kind.failures) > 0 && r.IntN(100) < 5 {
		f := kind.failures[r.IntN(len(kind.failures))]
		state, code, message = "Failed", f.code, fill(f.message, name+kind.in, r.IntN(90_000))
	}
	d := detail{
		JobID: fmt.Sprintf("j%s", hash(i)[:32]), Tag: kind.tag, State: state, Code: code, Message: message,
		Queue: "p" + hash(7)[:32], Created: created, Started: started, Ended: ended,
		Input: name + kind.in, Output: "out/" + name + kind.out, MD5: hash(i + 1_000_000)[:32],
	}
	return d.record()
}

func pick(r *rand.Rand) jobType {
	n := r.IntN(100)
	types := jobTypes()
	for _, t := range types {
		if n -= t.share; n < 0 {
			return t
		}
	}
	return types[0]
}

// fill puts a name or a number where a message has room for it.
func fill(message, name string, number int) string {
	message = strings.Replace(message, "%s", name, 1)
	return strings.Replace(message, "%d", fmt.Sprint(number), 1)
}

func hash(i int) string {
	sum := sha256.Sum256([]byte(fmt.Sprint("sample ", i)))
	return hex.EncodeToString(sum[:])
}

// detail is what a sample's callback says.
type detail struct {
	JobID, Tag, State, Code, Message, Queue string
	Created, Started, Ended                 time.Time
	Input, Output, MD5                      string
}

func shanghai(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(time.FixedZone("", 8*3600)).Format("2006-01-02T15:04:05-0700")
}

// record decodes the callback, as the function would.
func (d detail) record() *model.Record {
	operation := map[string]any{
		"TemplateId":   "t" + hash(9)[:32],
		"TemplateName": strings.ToLower(d.Tag) + "-standard",
		"UserData":     "order 4711",
		"Output":       map[string]any{"Bucket": MediaBucket, "Region": Region, "Object": d.Output},
	}
	if d.State == "Success" {
		operation["MediaResult"] = map[string]any{"OutputFile": map[string]any{
			"Bucket": MediaBucket, "Region": Region, "ObjectName": []string{d.Output},
			"Md5Info": []any{map[string]any{"ObjectName": d.Output, "Md5": d.MD5}},
		}}
		operation["MediaInfo"] = map[string]any{
			"Format": map[string]any{"Bitrate": "1184.250000", "Duration": "20.480000", "FormatName": "mov,mp4,m4a,3gp,3g2,mj2", "Size": "3031680"},
			"Stream": map[string]any{
				"Video": []any{map[string]any{"CodecName": "h264", "Height": "720", "Width": "1280", "AvgFps": "25.000000"}},
				"Audio": []any{map[string]any{"CodecName": "aac", "Channel": "2", "SampleRate": "48000"}},
			},
		}
	}
	body, err := json.Marshal(map[string]any{"EventName": "TaskFinish", "JobsDetail": []any{map[string]any{
		"JobId": d.JobID, "Tag": d.Tag, "State": d.State, "Code": d.Code, "Message": d.Message, "QueueId": d.Queue,
		"CreationTime": shanghai(d.Created), "StartTime": shanghai(d.Started), "EndTime": shanghai(d.Ended),
		"Input":     map[string]any{"BucketId": MediaBucket, "Region": Region, "Object": d.Input},
		"Operation": operation,
	}}})
	if err != nil {
		panic(err) // maps and strings can be written as JSON
	}
	callback, err := model.Decode(body)
	if err != nil {
		panic(fmt.Sprintf("the sample is no callback: %v", err))
	}
	return callback.Records[0]
}

func (s *Source) put(record *model.Record, at time.Time) {
	body, err := record.Encode()
	if err != nil {
		panic(err) // it was just decoded
	}
	s.Put(record.Key(Prefix), body, at)
}

// repaired is the number of the job that a reconciliation made a record of.
const repaired = 12

// The jobs that have something to show beside their state.
const (
	// Replaced is a job whose record a reconciliation replaced.
	Replaced = "j7c2e05d91ab34f6e8a10c4d2b39f5e71"
	// Broken is a job that failed just now.
	Broken = "j1f9a3c77e0d24b5f9b62d8e4a0c15f38"
)

func fillSpecial(s *Source, now time.Time) {
	replaced := detail{
		JobID: Replaced, Tag: "Transcode", State: "Success", Code: "Success", Message: "success", Queue: "p" + hash(7)[:32],
		Created: now.Add(-31 * time.Minute), Started: now.Add(-30*time.Minute - 52*time.Second), Ended: now.Add(-28 * time.Minute),
		Input: "2026/11/interview.mov", Output: "out/2026/11/interview-720p.mp4", MD5: hash(3)[:32],
	}
	forged := replaced
	forged.State, forged.Code, forged.Message = "Failed", "InternalError", "worker 17 was lost"
	forged.Ended = now.Add(-27 * time.Minute)
	was := forged.record()
	body, _ := was.Encode()
	sum := sha256.Sum256(body)
	s.Put(Prefix+"history/jobs/"+Replaced+"/"+hex.EncodeToString(sum[:])+".json", body, now.Add(-12*time.Minute))
	mended := replaced.record()
	mended.Source = model.SourceQuery
	s.put(mended, now.Add(-12*time.Minute))

	broken := detail{
		JobID: Broken, Tag: "Transcode", State: "Failed", Code: "InvalidArgument", Queue: "p" + hash(7)[:32],
		Message: `the input "2026/11/broken.mov" has no video stream`,
		Created: now.Add(-4*time.Minute - 40*time.Second), Started: now.Add(-4*time.Minute - 31*time.Second), Ended: now.Add(-4*time.Minute - 22*time.Second),
		Input: "2026/11/broken.mov", Output: "out/2026/11/broken-720p.mp4",
	}
	s.put(broken.record(), now.Add(-4*time.Minute-20*time.Second))
}

func fillRejected(s *Source, now time.Time) {
	bodies := []string{
		`{"EventName":"TaskFinish","JobsDetail":[{"Tag":"Transcode","State":"Success"}]}`,
		`<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>j1</JobId>`,
		`{"hello":"is this thing on?"}`,
	}
	for i, body := range bodies {
		sum := sha256.Sum256([]byte(body))
		s.Put(Prefix+"rejected/"+hex.EncodeToString(sum[:]), []byte(body), now.Add(-time.Duration(i*i*70+9)*time.Minute))
	}
}

func fillState(s *Source, now time.Time) {
	at := func(d time.Duration) string { return now.Add(-d).UTC().Format(time.RFC3339) }
	state := map[string]any{
		"version": 1, "bucket": MediaBucket, "region": Region,
		"tags": map[string]any{
			"Transcode":  map[string]any{"until": at(14 * time.Minute), "pending": []string{"j" + hash(4)[:32], "j" + hash(5)[:32]}},
			"Snapshot":   map[string]any{"until": at(14 * time.Minute)},
			"SmartCover": map[string]any{"until": at(14 * time.Minute)},
		},
		"last": map[string]any{
			"began": at(12*time.Minute + 7*time.Second), "ended": at(12 * time.Minute), "complete": true,
			"checked": 412, "recorded": 410, "repaired": 1, "replaced": 1, "unknown": 0,
			"findings": []any{
				map[string]any{"id": "j" + hash(repaired)[:32], "type": "Snapshot", "outcome": "repaired", "state": "Success"},
				map[string]any{"id": Replaced, "type": "Transcode", "outcome": "replaced", "state": "Success", "was": "Failed"},
			},
		},
	}
	body, err := json.Marshal(state)
	if err != nil {
		panic(err) // maps, strings and numbers
	}
	s.Put(Prefix+"reconcile/"+MediaBucket+".json", body, now.Add(-12*time.Minute))
}
