package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// What CI posts can be seen by what the function has made of it.

// maxRecords is how many records are read.
const maxRecords = 20

// lateCallback is what a job waits for its callback before it is compared with CI.
const lateCallback = 5 * time.Minute

// listed is an object in a list.
type listed struct {
	Key          string
	LastModified time.Time
}

// listRecords lists what is kept under a folder of the function's prefix.
func (s *survey) listRecords(ctx context.Context, folder string, most int) (wire.Answer, []listed, error) {
	query := url.Values{"prefix": {s.recordPrefix + folder}, "max-keys": {fmt.Sprint(most)}}
	a, err := s.records.Do(ctx, wire.Request{Method: http.MethodGet, Query: query.Encode()})
	var list struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []listed
	}
	if err == nil && a.Status == http.StatusOK {
		err = xml.Unmarshal(a.Body, &list)
	}
	return a, list.Contents, err
}

// received is a record of a job, and when it was written.
type received struct {
	*model.Record
	at time.Time
}

// receivedJobs reads the newest records of those that a list begins with. It asks once.
func (s *survey) receivedJobs(ctx context.Context) (wire.Answer, []received, error) {
	if s.received != nil {
		return wire.Answer{Status: http.StatusOK}, s.received, nil
	}
	a, objects, err := s.listRecords(ctx, "jobs/", 1000)
	slices.SortFunc(objects, func(a, b listed) int { return b.LastModified.Compare(a.LastModified) })
	var jobs []received
	for _, object := range objects[:min(len(objects), maxRecords)] {
		got, err := s.records.Do(ctx, wire.Request{Method: http.MethodGet, Path: object.Key})
		if err != nil || got.Status != http.StatusOK {
			return got, nil, err
		}
		if r, err := model.ParseRecord(got.Body); err == nil {
			jobs = append(jobs, received{r, object.LastModified})
		}
	}
	s.received = jobs
	return a, jobs, err
}

// askArrived looks for records that were made of callbacks. Where all are made of answers
// to queries, none came.
func askArrived(ctx context.Context, s *survey) (string, verdict, error) {
	a, jobs, err := s.receivedJobs(ctx)
	if err != nil || len(jobs) == 0 {
		return a.String() + ", no record of a job", open, err
	}
	queried := 0
	for _, j := range jobs {
		if j.Source == model.SourceQuery {
			queried++
		}
	}
	return fmt.Sprintf("%d of the last %d records are made of callbacks", len(jobs)-queried, len(jobs)), one(queried < len(jobs)), nil
}

// askDelay compares the time of records that were made of callbacks with the end of their
// jobs.
func askDelay(ctx context.Context, s *survey) (string, verdict, error) {
	a, jobs, err := s.receivedJobs(ctx)
	looked, late, slowest := 0, 0, time.Duration(0)
	for _, j := range jobs {
		ended, err := time.Parse(time.RFC3339, j.EndTime)
		if err != nil || j.Source == model.SourceQuery {
			continue
		}
		looked++
		delay := j.at.Sub(ended)
		slowest = max(slowest, delay)
		if delay > lateCallback {
			late++
		}
	}
	if err != nil || looked == 0 {
		return a.String() + ", no record of a callback", open, err
	}
	return fmt.Sprintf("%d of %d came later, the slowest after %s", late, looked, slowest.Round(time.Second)), one(late == 0), nil
}

// askRejected reads bodies that were not understood, and tries again.
func askRejected(ctx context.Context, s *survey) (string, verdict, error) {
	a, objects, err := s.listRecords(ctx, "rejected/", maxRecords)
	if err != nil || a.Status != http.StatusOK {
		return a.String(), open, err
	}
	for _, object := range objects {
		got, err := s.records.Do(ctx, wire.Request{Method: http.MethodGet, Path: object.Key})
		if err != nil || got.Status != http.StatusOK {
			return got.String(), open, err
		}
		if _, err := model.Decode(got.Body); err != nil && len(got.Body) < wire.MaxAnswerBytes {
			return fmt.Sprintf("%.200q: %.200s", object.Key, err), different, nil
		}
	}
	_, jobs, err := s.receivedJobs(ctx)
	if len(jobs) == 0 {
		return "no record of a job, and none rejected", open, err
	}
	return fmt.Sprintf("%d are kept in rejected/, and all of them would be understood now", len(objects)), same, err
}
