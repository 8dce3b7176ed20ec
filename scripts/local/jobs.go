package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// runTime is how long a job runs that does not say otherwise.
const runTime = 3 * time.Second

// planOf returns how a job goes that was submitted to serve. Words of its UserData
// choose:
//
//	failed   it fails
//	lost     its callback never comes
//	late     its callback comes a minute after its end
//	twice    its callback comes twice
//	30s      it runs as long
func planOf(job cilocal.Job) cilocal.Plan {
	plan := cilocal.Plan{Run: runTime}
	for word := range strings.FieldsSeq(job.UserData) {
		switch word {
		case "failed":
			plan.Code, plan.Message = "ResourceDownloadFailed", "the input cannot be read"
		case "lost":
			plan.Lost = true
		case "late":
			plan.Callbacks = []time.Duration{time.Minute}
		case "twice":
			plan.Callbacks = []time.Duration{0, time.Second}
		}
		if d, err := time.ParseDuration(word); err == nil && d >= 0 {
			plan.Run = d
		}
	}
	return plan
}

// jobRequest is a job to submit.
type jobRequest struct {
	Type, Input, Output string
	UserData            string
	Format              string // of the callback, XML or JSON; "" leaves it to the queue
}

// requestXML is the body of POST /jobs:
// https://cloud.tencent.com/document/product/460/84790.
type requestXML struct {
	XMLName   xml.Name `xml:"Request"`
	Tag       string
	Input     struct{ Object string }
	Operation struct {
		Output   *outputXML
		UserData string `xml:",omitempty"`
	}
	CallBackFormat string `xml:",omitempty"`
}

// outputXML is where a job writes.
type outputXML struct{ Region, Bucket, Object string }

// body returns the body of a request that submits the job for a bucket in a region.
func (j jobRequest) body(bucket, region string) ([]byte, error) {
	r := requestXML{Tag: j.Type, CallBackFormat: j.Format}
	r.Input.Object = j.Input
	r.Operation.UserData = j.UserData
	if j.Output != "" {
		r.Operation.Output = &outputXML{region, bucket, j.Output}
	}
	return xml.Marshal(r)
}

// submit submits a job to CI with the user's keys, and returns its id.
func (pl *platform) submit(ctx context.Context, j jobRequest) (id string, err error) {
	body, err := j.body(pl.media())
	if err != nil {
		return "", fmt.Errorf("submit job: %w", err)
	}
	r, err := pl.signedRequest(string(body))
	if err != nil {
		return "", fmt.Errorf("submit job: %w", err)
	}
	response, err := pl.ci.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("submit job: %w", err)
	}
	defer response.Body.Close()
	var answer struct {
		JobsDetail    struct{ JobId string }
		Code, Message string // of an error
	}
	if err := xml.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("submit job: read answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("submit job: %d %s: %s", response.StatusCode, answer.Code, answer.Message)
	}
	return answer.JobsDetail.JobId, nil
}

// signedRequest returns a request that submits a job, signed with the user's keys for as
// long as anybody keeps this running.
func (pl *platform) signedRequest(body string) (*http.Request, error) {
	bucket, region := pl.media()
	address := strings.NewReplacer("{bucket}", bucket, "{region}", region).Replace(pl.setting("CI_ENDPOINT"))
	r, err := http.NewRequest(http.MethodPost, address+"/jobs", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	const tenYears = 10 * 365 * 24 * time.Hour
	key := coslocal.DefaultCredential()
	cos.AddAuthorizationHeader(key.SecretID, key.SecretKey, "", r, cos.NewAuthTime(tenYears))
	return r, nil
}

// curlJob returns the curl command that submits a job: its signature is in the URL, where
// CI takes it too.
func (pl *platform) curlJob(j jobRequest) (string, error) {
	body, err := j.body(pl.media())
	if err != nil {
		return "", err
	}
	r, err := pl.signedRequest("")
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawQuery: r.Header.Get("Authorization")}
	return "curl --data " + shellQuote(string(body)) + " " + shellQuote(u.String()), nil
}

// shellQuote returns text as one word of a shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
