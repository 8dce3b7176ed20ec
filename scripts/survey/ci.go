package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// errNoMedia is why nothing is asked of CI.
var errNoMedia = errors.New("not asked: no media bucket is named (-media)")

// maxPages is how many pages of a list are read, so that a bucket of many jobs is no
// burden.
const maxPages = 5

// jobs is what an answer about jobs says, as far as it is looked at here.
type jobs struct {
	XMLName        xml.Name `xml:"Response"` // any other root is an error
	JobsDetail     []job
	NonExistJobIDs []string `xml:"NonExistJobIds"`
	NextToken      *string  // nil: there is no such element
}

type job struct {
	ID                               string `xml:"JobId"`
	State, Code                      string
	CreationTime, StartTime, EndTime string

	Files []outputFile `xml:"Operation>MediaResult>OutputFile"`
	XML   string       `xml:",innerxml"`
}

// outputFile are objects that a job wrote, and their MD5s.
type outputFile struct {
	Bucket, ObjectPrefix string
	ObjectName           []string
	MD5s                 []struct{ ObjectName, Md5 string } `xml:"Md5Info"`
}

// get asks CI.
func (s *survey) get(ctx context.Context, path string, query url.Values) (wire.Answer, jobs, error) {
	if s.media == nil {
		return wire.Answer{}, jobs{}, errNoMedia
	}
	a, err := s.media.Do(ctx, wire.Request{Method: http.MethodGet, Path: path, Query: query.Encode()})
	var j jobs
	if err == nil && a.Status == http.StatusOK {
		err = xml.Unmarshal(a.Body, &j)
	}
	return a, j, err
}

// list asks for one page of jobs of the type Transcode.
func (s *survey) list(ctx context.Context, more url.Values) (wire.Answer, jobs, error) {
	query := url.Values{"tag": {"Transcode"}, "size": {"1"}}
	for name, values := range more {
		query[name] = values
	}
	return s.get(ctx, "jobs", query)
}

func askWithoutQueue(ctx context.Context, s *survey) (string, verdict, error) {
	a, j, err := s.list(ctx, nil)
	return fmt.Sprintf("%s, %d jobs", a, len(j.JobsDetail)), judge(a, a.Status == http.StatusOK), err
}

func askLastToken(ctx context.Context, s *survey) (string, verdict, error) {
	query := url.Values{"size": {"100"}, "startCreationTime": {ciTime(s.media, -time.Hour)}}
	for range maxPages {
		a, j, err := s.list(ctx, query)
		if err != nil || a.Status != http.StatusOK {
			return a.String(), judge(a, false), err
		}
		switch asked := query.Get("nextToken"); {
		case j.NextToken == nil:
			return "absent", same, nil
		case *j.NextToken == "":
			return "empty", same, nil
		case *j.NextToken == asked:
			return "the one that it was asked with", same, nil
		case len(j.JobsDetail) == 0:
			return "a new one, although the page is empty", different, nil
		}
		query.Set("nextToken", *j.NextToken)
	}
	return fmt.Sprintf("not seen: there are more than %d pages", maxPages), open, nil
}

// ciTime returns a time as CI's parameters have it, some time from now.
func ciTime(host *wire.Host, from time.Duration) string {
	now := time.Now()
	if host != nil {
		now = host.Now()
	}
	return now.Add(from).Format("2006-01-02T15:04:05-0700")
}

// askTokenHeader sends the session token in one header alone. A permanent key has none.
func askTokenHeader(header string) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		if s.media == nil {
			return "", "", errNoMedia
		}
		if s.media.Credentials.SessionToken == "" {
			return "not asked: it takes a temporary key, with TENCENTCLOUD_SESSIONTOKEN", open, nil
		}
		alone := *s
		host := *s.media
		host.Service.TokenHeaders = []string{header}
		alone.media = &host
		a, _, err := alone.list(ctx, nil)
		return a.String(), one(a.Status == http.StatusOK), err
	}
}

// unknownID returns the id of no job of a kind.
func unknownID(prefix string) string { return prefix + strings.Repeat("0", 32) }

func askUnknownID(ctx context.Context, s *survey) (string, verdict, error) {
	return s.askUnknown(ctx, unknownID("j"))
}

// askTenIDs asks for as many jobs as one request may ask for.
func askTenIDs(ctx context.Context, s *survey) (string, verdict, error) {
	var ids []string
	for digit := range 10 {
		ids = append(ids, fmt.Sprint("j", strings.Repeat("0", 31), digit))
	}
	return s.askUnknown(ctx, ids...)
}

// askUnknown asks for jobs that are not there.
func (s *survey) askUnknown(ctx context.Context, ids ...string) (string, verdict, error) {
	a, j, err := s.get(ctx, "jobs/"+strings.Join(ids, ","), nil)
	return fmt.Sprintf("%s, %d in NonExistJobIds", a, len(j.NonExistJobIDs)),
		judge(a, a.Status == http.StatusOK && slices.Equal(j.NonExistJobIDs, ids)), err
}

// kinds are the old paths of jobs, by what their ids begin with, and a type of such jobs.
var kinds = []struct{ prefix, path, tag string }{
	{"c", "pic_jobs", "PicProcess"}, {"a", "ai_jobs", "Translation"}, {"s", "asr_jobs", "SpeechRecognition"},
	{"d", "doc_jobs", "DocProcess"}, {"f", "file_jobs", "FileUncompress"},
}

// askEveryPrefix asks for a job of each kind that is there, by the records or by a list at
// the old path. One that the old path alone knows settles it; a kind without any job
// leaves it open.
func askEveryPrefix(ctx context.Context, s *survey) (string, verdict, error) {
	var observed []string
	v := same
	for _, kind := range kinds {
		text, found := "no job to ask for", open
		id, err := s.jobOfKind(ctx, kind.prefix, kind.path, kind.tag)
		if err == nil && id != "" {
			text, found, err = s.askBothPaths(ctx, kind.path, id)
		}
		if err != nil {
			return "", "", err
		}
		observed = append(observed, kind.prefix+": "+text)
		v = worse(v, found)
	}
	return strings.Join(observed, "; "), v, nil
}

// jobOfKind returns the id of a job that begins with a letter, "" where none is known.
func (s *survey) jobOfKind(ctx context.Context, prefix, path, tag string) (string, error) {
	_, j, err := s.get(ctx, path, url.Values{"tag": {tag}, "size": {"1"}})
	if err != nil || len(j.JobsDetail) > 0 && strings.HasPrefix(j.JobsDetail[0].ID, prefix) {
		return append(j.JobsDetail, job{})[0].ID, err
	}
	_, objects, err := s.listRecords(ctx, "jobs/"+prefix, 1)
	if err != nil || len(objects) == 0 {
		return "", err
	}
	_, id, _ := model.ParseKey(s.recordPrefix, objects[0].Key)
	return id, nil
}

// askBothPaths asks for a job at /jobs and, where that does not know it, at its old path.
func (s *survey) askBothPaths(ctx context.Context, path, id string) (string, verdict, error) {
	a, j, err := s.get(ctx, "jobs/"+id, nil)
	if err != nil || len(j.JobsDetail) > 0 {
		return "known", same, err
	}
	old, j, err := s.get(ctx, path+"/"+id, nil)
	if len(j.JobsDetail) > 0 {
		return fmt.Sprintf("/jobs answers %s, and /%s knows it", a, path), judge(a, false), err
	}
	return fmt.Sprintf("/jobs answers %s, /%s %s, and neither knows it", a, path, old), open, err
}

func askOldPaths(ctx context.Context, s *survey) (string, verdict, error) {
	var observed []string
	v := same
	for _, kind := range kinds {
		a, j, err := s.get(ctx, kind.path+"/"+unknownID(kind.prefix), nil)
		if err != nil {
			return "", "", err
		}
		observed = append(observed, "/"+kind.path+": "+a.String())
		v = worse(v, judge(a, a.Status == http.StatusNotFound || a.Status == http.StatusOK && len(j.JobsDetail) == 0))
	}
	return strings.Join(observed, "; "), v, nil
}

// worse returns the verdict that says more: different, then open, then same.
func worse(a, b verdict) verdict {
	for _, v := range []verdict{different, open} {
		if a == v || b == v {
			return v
		}
	}
	return same
}

func askUnlistedTypes(ctx context.Context, s *survey) (string, verdict, error) {
	var observed []string
	v := same
	for _, tag := range []string{"PicProcess", "DocProcess", "FileUncompress", "FileCompress", "FileHashCode"} {
		a, j, err := s.list(ctx, url.Values{"tag": {tag}})
		if err != nil {
			return "", "", err
		}
		observed = append(observed, fmt.Sprintf("%s: %s, %d jobs", tag, a, len(j.JobsDetail)))
		v = worse(v, judge(a, a.Status == http.StatusBadRequest || len(j.JobsDetail) == 0))
	}
	return strings.Join(observed, "; "), v, nil
}

// someJob returns the newest job, or that there is none.
func (s *survey) someJob(ctx context.Context) (id string, created time.Time, err error) {
	a, j, err := s.list(ctx, nil)
	switch {
	case err != nil:
		return "", created, err
	case a.Status != http.StatusOK:
		return "", created, fmt.Errorf("CI answers %s", a)
	case len(j.JobsDetail) == 0:
		return "", created, errors.New("not asked: the bucket has no job of the type Transcode")
	}
	created, err = parseCreation(j.JobsDetail[0].CreationTime)
	return j.JobsDetail[0].ID, created, err
}

func parseCreation(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("the creation time %.40q cannot be read", text)
}

func askStartTime(ctx context.Context, s *survey) (string, verdict, error) {
	id, created, err := s.someJob(ctx)
	if err != nil {
		return "", "", err
	}
	var found [2]bool
	for i, start := range []time.Time{created, created.Add(-time.Second)} {
		a, j, err := s.list(ctx, url.Values{"size": {"100"}, "startCreationTime": {start.Format("2006-01-02T15:04:05-0700")}})
		if err != nil || a.Status != http.StatusOK {
			return a.String(), open, err
		}
		found[i] = slices.ContainsFunc(j.JobsDetail, func(j job) bool { return j.ID == id })
	}
	observed := fmt.Sprintf("from its own second: listed %t; from a second before: listed %t", found[0], found[1])
	return observed, one(!found[0] && found[1]), nil
}

// askRetention also asks from as long ago as RECONCILE_DAYS may say. A bucket whose oldest
// job is younger settles nothing.
func askRetention(ctx context.Context, s *survey) (string, verdict, error) {
	a, j, err := s.list(ctx, url.Values{"orderByTime": {"Asc"}})
	if err != nil || a.Status != http.StatusOK || len(j.JobsDetail) == 0 {
		return a.String() + ", no job", open, err
	}
	a, _, err = s.list(ctx, url.Values{"orderByTime": {"Asc"}, "startCreationTime": {ciTime(s.media, -30*24*time.Hour)}})
	if err != nil || a.Status != http.StatusOK {
		return "a list from 30 days ago answers " + a.String(), judge(a, false), err
	}
	created, err := parseCreation(j.JobsDetail[0].CreationTime)
	if err != nil {
		return "", "", err
	}
	days := int(s.media.Now().Sub(created).Hours() / 24)
	if days < 25 {
		return fmt.Sprintf("the oldest job is %d days old: the bucket may be younger", days), open, nil
	}
	return fmt.Sprintf("the oldest job is %d days old", days), same, nil
}

// askAnswerKnown is answered by package wire and by the root of the answer, without
// either of which there is an error.
func askAnswerKnown(ctx context.Context, s *survey) (string, verdict, error) {
	a, _, err := s.list(ctx, nil)
	switch {
	case errors.Is(err, errNoMedia):
		return "", "", err
	case err != nil && a.Status != 0:
		return err.Error(), different, nil
	}
	return a.String(), judge(a, a.Status == http.StatusOK), err
}

func askFour(ctx context.Context, s *survey) (string, verdict, error) {
	if s.media == nil {
		return "", "", errNoMedia
	}
	answers := make([]wire.Answer, s.rounds)
	for _, err := range parallel.ForEach(s.rounds, 4, func(i int) (err error) {
		answers[i], _, err = s.list(ctx, nil)
		return err
	}) {
		if err != nil {
			return "", "", err
		}
	}
	throttled := 0
	for _, a := range answers {
		if a.Status != http.StatusOK {
			throttled++
		}
	}
	return fmt.Sprintf("%d of %d were refused", throttled, s.rounds), one(throttled == 0), nil
}

// askUnknownToken sends a token that CI never gave. Where it is taken for the end of the
// list, a listing that goes on with a token of yesterday ends early.
func askUnknownToken(ctx context.Context, s *survey) (string, verdict, error) {
	all, there, err := s.list(ctx, nil)
	if err != nil || all.Status != http.StatusOK || len(there.JobsDetail) == 0 {
		return all.String() + ", no job to list", open, err
	}
	a, j, err := s.list(ctx, url.Values{"nextToken": {"survey"}})
	return fmt.Sprintf("%s, %d jobs", a, len(j.JobsDetail)), judge(a, a.Status == http.StatusBadRequest || len(j.JobsDetail) > 0), err
}

func askReviews(ctx context.Context, s *survey) (string, verdict, error) {
	a, _, err := s.get(ctx, "image/auditing", url.Values{"size": {"1"}})
	refused := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}
	return a.String(), judge(a, slices.Contains(refused, a.Status)), err
}

// sample is what CI lists of a type of jobs.
type sample struct {
	tag    string
	answer wire.Answer
	jobs   []job
}

// sampleJobs lists the newest jobs of each type, and some that failed. It asks once.
func (s *survey) sampleJobs(ctx context.Context) ([]sample, error) {
	if s.samples != nil {
		return s.samples, nil
	}
	queries := []url.Values{{"tag": {"Transcode"}, "states": {"Failed"}}}
	for _, tag := range ci.Tags() {
		queries = append(queries, url.Values{"tag": {tag}})
	}
	var samples []sample
	for _, query := range queries {
		query.Set("size", "10")
		a, j, err := s.get(ctx, "jobs", query)
		if tooLong := len(a.Body) == wire.MaxAnswerBytes; err != nil && !tooLong {
			return nil, err
		}
		samples = append(samples, sample{query.Get("tag"), a, j.JobsDetail})
	}
	s.samples = samples
	return samples, nil
}

func askTypes(ctx context.Context, s *survey) (string, verdict, error) {
	samples, err := s.sampleJobs(ctx)
	var refused []string
	v := same
	for _, sample := range samples {
		if sample.answer.Status != http.StatusOK {
			refused = append(refused, sample.tag+": "+sample.answer.String())
			v = worse(v, judge(sample.answer, false))
		}
	}
	if len(refused) > 0 && len(refused) == len(samples) {
		return "all are refused, such as " + refused[0], open, nil
	}
	return cmp.Or(strings.Join(refused, "; "), "none is refused"), v, err
}

// askJobs looks at every job of the sample that a check applies to. The check says what
// is not as assumed of one, or "".
func askJobs(check func(job) (applies bool, odd string)) asker {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		samples, err := s.sampleJobs(ctx)
		looked := 0
		var odd []string
		for _, sample := range samples {
			for _, j := range sample.jobs {
				applies, what := check(j)
				if applies {
					looked++
				}
				if what != "" {
					odd = append(odd, fmt.Sprintf("%.64q (%s): %.120s", j.ID, sample.tag, what))
				}
			}
		}
		switch {
		case looked == 0:
			return "no such job is listed", open, err
		case len(odd) > 0:
			return fmt.Sprintf("%d of %d, such as %s", len(odd), looked, odd[0]), different, err
		}
		return fmt.Sprintf("so it is in %d jobs", looked), same, err
	}
}

func oddID(j job) (bool, string) {
	if ci.IsID(j.ID) {
		return true, ""
	}
	return true, "the id is another"
}

func oddTime(j job) (bool, string) {
	for i, text := range []string{j.CreationTime, j.StartTime, j.EndTime} {
		if unset := text == "" || text == "-"; unset && i > 0 {
			continue
		}
		if _, err := parseCreation(text); err != nil {
			return true, err.Error()
		}
	}
	return true, ""
}

func oddState(j job) (bool, string) {
	if slices.Contains([]string{"Submitted", "Running", "Success", "Failed", "Pause", "Cancel"}, j.State) {
		return true, ""
	}
	return true, "the state is " + cmp.Or(j.State, "empty")
}

func withoutCode(j job) (bool, string) {
	if j.State == "Failed" && (j.Code == "" || j.Code == "Success") {
		return true, fmt.Sprintf("Code is %q", j.Code)
	}
	return j.State == "Failed", ""
}

func notUnderstood(j job) (bool, string) {
	if _, err := model.DecodeQueried([]byte("<JobsDetail>" + j.XML + "</JobsDetail>")); err != nil {
		return true, err.Error()
	}
	return true, ""
}

// sum is what CI says of the MD5 of an object that a job wrote.
type sum struct {
	bucket, object, md5 string
	isNamed             bool // the object is one of the OutputFile
}

// sums are all that CI says of MD5s. Of a snapshot, say, Md5Info is empty.
func (j job) sums() (sums []sum) {
	for _, file := range j.Files {
		var names []string
		for _, name := range file.ObjectName {
			names = append(names, strings.TrimPrefix(name, "/"), strings.TrimPrefix(file.ObjectPrefix+name, "/"))
		}
		for _, m := range file.MD5s {
			if object := strings.TrimPrefix(m.ObjectName, "/"); m.Md5 != "" {
				sums = append(sums, sum{file.Bucket, object, m.Md5, slices.Contains(names, object)})
			}
		}
	}
	return sums
}

func oddMD5(j job) (applies bool, odd string) {
	for _, sum := range j.sums() {
		switch _, err := hex.DecodeString(sum.md5); {
		case err != nil || len(sum.md5) != 32:
			odd = fmt.Sprintf("the MD5 is %.40q", sum.md5)
		case !sum.isNamed:
			odd = fmt.Sprintf("the MD5 is that of %.80q, which is no object of the job", sum.object)
		}
	}
	return len(j.sums()) > 0, odd
}

// askMD5 compares the MD5s of outputs with their ETags, until one tells. One that is gone,
// was uploaded in parts, or overwritten since, does not.
func askMD5(ctx context.Context, s *survey) (string, verdict, error) {
	samples, err := s.sampleJobs(ctx)
	if err != nil {
		return "", "", err
	}
	observed := "no job with an MD5 is listed"
	for _, sample := range samples {
		for _, j := range sample.jobs {
			for _, sum := range j.sums() {
				if sum.bucket != s.mediaCOS.Bucket {
					continue
				}
				var v verdict
				if observed, v, err = s.compareMD5(ctx, j, sum); err != nil || v != open {
					return observed, v, err
				}
			}
		}
	}
	return observed, open, nil
}

// compareMD5 compares the MD5 of an output with its ETag.
func (s *survey) compareMD5(ctx context.Context, j job, sum sum) (string, verdict, error) {
	a, err := s.mediaCOS.Do(ctx, wire.Request{Method: http.MethodHead, Path: sum.object})
	etag := strings.Trim(a.Header.Get("ETag"), `"`)
	ended, _ := parseCreation(j.EndTime)
	modified, _ := http.ParseTime(a.Header.Get("Last-Modified"))
	observed := fmt.Sprintf("the output of %.64q: %s, ETag %.80q, MD5 %.80q", j.ID, a, etag, sum.md5)
	switch {
	case strings.EqualFold(etag, sum.md5):
		return observed, same, err
	case a.Status == http.StatusOK && !strings.Contains(etag, "-") && modified.Sub(ended) < lateCallback:
		return observed, different, err
	}
	return observed, open, err
}
