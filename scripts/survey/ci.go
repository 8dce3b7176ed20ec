package main

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

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
	ID           string `xml:"JobId"`
	CreationTime string
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
func askTokenHeader(header string) func(context.Context, *survey) (string, verdict, error) {
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
		return a.String(), judge(wire.Answer{}, a.Status == http.StatusOK), err
	}
}

// unknownID returns the id of no job of a kind.
func unknownID(prefix string) string { return prefix + strings.Repeat("0", 32) }

func askUnknownID(prefix, path string) func(context.Context, *survey) (string, verdict, error) {
	return func(ctx context.Context, s *survey) (string, verdict, error) {
		id := unknownID(prefix)
		a, j, err := s.get(ctx, path+"/"+id, nil)
		return fmt.Sprintf("%s, %d in NonExistJobIds", a, len(j.NonExistJobIDs)),
			judge(a, a.Status == http.StatusOK && slices.Contains(j.NonExistJobIDs, id)), err
	}
}

// kinds are the old paths of jobs, by what their ids begin with.
var kinds = []struct{ prefix, path string }{
	{"c", "pic_jobs"}, {"a", "ai_jobs"}, {"s", "asr_jobs"}, {"d", "doc_jobs"}, {"f", "file_jobs"},
}

// askEveryPrefix can tell from unknown ids alone whether /jobs takes them: that it knows
// the jobs is not said.
func askEveryPrefix(ctx context.Context, s *survey) (string, verdict, error) {
	var observed []string
	v := same
	for _, kind := range kinds {
		text, found, err := askUnknownID(kind.prefix, "jobs")(ctx, s)
		if err != nil {
			return "", "", err
		}
		observed = append(observed, kind.prefix+": "+text)
		v = worse(v, found)
	}
	return strings.Join(observed, "; "), v, nil
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
	return observed, judge(wire.Answer{}, !found[0] && found[1]), nil
}

func askRetention(ctx context.Context, s *survey) (string, verdict, error) {
	a, j, err := s.list(ctx, url.Values{"orderByTime": {"Asc"}})
	if err != nil || a.Status != http.StatusOK || len(j.JobsDetail) == 0 {
		return cmp.Or(a.String()+", no job", "no job"), open, err
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
	answers := make([]wire.Answer, rounds)
	for _, err := range parallel.ForEach(rounds, 4, func(i int) (err error) {
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
	return fmt.Sprintf("%d of %d were refused", throttled, rounds), judge(wire.Answer{}, throttled == 0), nil
}
