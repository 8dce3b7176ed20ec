package ci

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The limits of CI's pages for asking about jobs.
// https://www.tencentcloud.com/document/product/1045/73113
// https://www.tencentcloud.com/document/product/1045/73114
const (
	MaxIDs  = 10  // in one request
	MaxSize = 100 // jobs, or runs, of one page
)

// timeLayout is how CI writes times, in the zone of its pages.
const timeLayout = "2006-01-02T15:04:05-0700"

var chinaTime = time.FixedZone("", 8*60*60)

// The values of orderByTime.
const (
	Asc  = "Asc"
	Desc = "Desc" // the default
)

// Tags are the job types that can be listed, by the names that CI's pages have for them.
// https://www.tencentcloud.com/document/product/1045/73114
// https://cloud.tencent.com/document/product/460/84766
func Tags() []string {
	return []string{
		"Transcode", "Animation", "Snapshot", "SmartCover", "Concat", "VoiceSeparate", "VideoMontage", "SDRtoHDR",
		"VideoProcess", "SuperResolution", "Segment", "DigitalWatermark", "ExtractDigitalWatermark", "VideoTag",
		"MediaInfo", "StreamExtract", "QualityEstimate", "Tts", "NoiseReduction", "Translation", "SpeechRecognition",
		"WordsGeneralize", "VideoEnhance",
	}
}

// A JobsQuery says which jobs are to be listed. What is left empty is not sent, and CI's
// default holds.
type JobsQuery struct {
	Tag               string    // the type, such as Transcode; required
	QueueID           string    // of one queue
	QueueType         string    // of the queues of one type, such as Transcoding or PicProcess
	OrderByTime       string    // Asc or Desc, by the time of creation
	NextToken         string    // of the page before, asked with otherwise the same query
	Size              int       // jobs a page, 1 to MaxSize; 0 means MaxSize
	States            []string  // All, Submitted, Running, Success, Failed, Pause, Cancel
	StartCreationTime time.Time // created later than that; CI compares whole seconds
	EndCreationTime   time.Time // created earlier than that
	InputObject       string    // whose input is that object
	WorkflowID        string    // of the runs of one workflow
}

func (q JobsQuery) values() url.Values {
	v := values{}
	v.set("tag", q.Tag)
	v.set("queueId", q.QueueID)
	v.set("queueType", q.QueueType)
	v.set("inputObject", q.InputObject)
	v.set("workflowId", q.WorkflowID)
	v.page(q.OrderByTime, q.NextToken, q.Size, q.States, q.StartCreationTime, q.EndCreationTime)
	return url.Values(v)
}

// values are parameters of a query; those that are empty are left out.
type values url.Values

func (v values) set(name, value string) {
	if value != "" {
		url.Values(v).Set(name, value)
	}
}

// page sets what lists of jobs and lists of runs have in common.
func (v values) page(order, token string, size int, states []string, start, end time.Time) {
	v.set("orderByTime", order)
	v.set("nextToken", token)
	v.set("size", strconv.Itoa(size))
	v.set("states", strings.Join(states, ","))
	v.set("startCreationTime", formatTime(start))
	v.set("endCreationTime", formatTime(end))
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(chinaTime).Format(timeLayout)
}

// Jobs are the jobs of one answer.
type Jobs struct {
	*Answer
	JobsDetail     [][]byte // one element each, as CI wrote it
	NonExistJobIDs []string // of those that were asked for by id
	Size           int      // how many a page may hold, as asked for in the end
}

func newJobs(a *Answer, size int) *Jobs {
	return &Jobs{Answer: a, JobsDetail: a.named("JobsDetail"), NonExistJobIDs: a.texts("NonExistJobIds"), Size: size}
}

// ListJobs returns one page of the jobs of a type. Where a page has more than
// [MaxAnswerBytes], it asks again for a fifth as many jobs, down to one. Its error wraps
// [ErrBadRequest] if CI does not know the type, or takes the token for none.
//
// On the last page NextToken is empty, or, on what CI's pages do not say, one that came
// before.
func (b *Bucket) ListJobs(ctx context.Context, q JobsQuery) (*Jobs, error) {
	if q.Size == 0 {
		q.Size = MaxSize
	}
	for {
		a, err := b.ask(ctx, question{"DescribeMediaJobs", "/jobs", q.values()})
		switch {
		case err == nil:
			return newJobs(a, q.Size), nil
		case !errors.Is(err, ErrTooLarge) || q.Size <= 1:
			return nil, err
		}
		q.Size = max(1, q.Size/5)
	}
}

// Jobs returns the jobs with these ids, at most [MaxIDs]. Ids that CI does not know are in
// NonExistJobIDs; [Bucket.OldJob] may know them.
func (b *Bucket) Jobs(ctx context.Context, ids ...string) (*Jobs, error) {
	if len(ids) == 0 || len(ids) > MaxIDs {
		return nil, fmt.Errorf("ask for 1 to %d jobs at a time, not %d", MaxIDs, len(ids))
	}
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return nil, err
		}
	}
	a, err := b.ask(ctx, question{"DescribeMediaJob", "/jobs/" + strings.Join(ids, ","), nil})
	if err != nil {
		return nil, err
	}
	return newJobs(a, len(ids)), nil
}

// oldPaths are where jobs were asked for before /jobs answered for all types, by the first
// letter of their ids. Whether /jobs knows all of them today is not documented, and the
// action of AI jobs is a guess. The one of file jobs is named on their own page alone.
// https://cloud.tencent.com/document/product/460/104297
// https://cloud.tencent.com/document/api/436/116004
var oldPaths = map[byte]question{
	'c': {action: "DescribePicProcessJobs", path: "/pic_jobs/"},
	'a': {action: "DescribeAiJobs", path: "/ai_jobs/"},
	's': {action: "DescribeAsrJobs", path: "/asr_jobs/"},
	'd': {action: "DescribeDocProcessJobs", path: "/doc_jobs/"},
	'f': {action: "DescribeFileProcessJob", path: "/file_jobs/"},
}

// HasOldPath reports whether a job that /jobs does not know may be known at its old path.
func HasOldPath(id string) bool {
	_, ok := oldPaths[firstByte(id)]
	return ok
}

func firstByte(id string) byte {
	if id == "" {
		return 0
	}
	return id[0]
}

// OldJob returns a job from the path where its kind of job was asked for before /jobs
// answered for all: c… at /pic_jobs, a… at /ai_jobs, s… at /asr_jobs, d… at /doc_jobs, f…
// at /file_jobs. An id that begins with another letter is in NonExistJobIDs, without a
// request, and so is one that the path does not know.
func (b *Bucket) OldJob(ctx context.Context, id string) (*Jobs, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	q, ok := oldPaths[firstByte(id)]
	if !ok {
		return &Jobs{Answer: new(Answer), NonExistJobIDs: []string{id}, Size: 1}, nil
	}
	q.path += id
	a, err := b.ask(ctx, q)
	if errors.Is(err, ErrNotFound) {
		return &Jobs{Answer: new(Answer), NonExistJobIDs: []string{id}, Size: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	return newJobs(a, 1), nil
}

// maxIDBytes is how long an id may be. CI documents no form; its ids are letters and digits.
const maxIDBytes = 64

// IsID reports whether a text can be the id of a job or a run: 1 to 64 letters, digits, _
// or -. Anything else never becomes part of a request's path.
func IsID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= maxIDBytes
}

// checkID returns an error for what cannot be an id.
func checkID(id string) error {
	if !IsID(id) {
		return fmt.Errorf("%.80q is not an id: it must be 1 to %d letters, digits, _ or -", id, maxIDBytes)
	}
	return nil
}
