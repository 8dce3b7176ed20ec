package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// The job of the sample callbacks.
const (
	outputKey = "output/digital.mp4"
	outputMD5 = "043221daee3f4e15ff13f42329f15eb1"
	recordKey = "ci/jobs/ja8de3b46f86011ec9452c1c27f56a659.json"
)

// delivery is one request to the function, and what must come of it.
type delivery struct {
	name, token, body string
	status            int
	outcome, tag      string // of the record and of the output's tag
	most              int64  // requests to COS, at the most
}

// deliver runs the main job: the sample callbacks, each twice, and what must not get in.
// It returns an error unless everything is as it should be.
func deliver(ctx context.Context, out io.Writer) error {
	bodies := map[string]string{}
	for _, name := range []string{"digitalwatermark.xml", "digitalwatermark.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", "callbacks", name))
		if err != nil {
			return fmt.Errorf("read sample callback: %w", err)
		}
		bodies[name] = string(b)
	}
	p, err := open("demo")
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.clear(); err != nil {
		return err
	}
	if err := p.start(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	if err := p.putOutput(); err != nil {
		return err
	}
	fmt.Fprintf(out, "Tags of %s/%s before:  %s\n\n", mediaBucket, outputKey, p.tags())

	xmlBody, jsonBody := bodies["digitalwatermark.xml"], bodies["digitalwatermark.json"]
	problems := p.deliverAll(ctx, out, []delivery{
		{"XML callback", token, xmlBody, 200, "created", "tagged", 4},
		{"the same again", token, xmlBody, 200, "duplicate", "unchanged", 4},
		{"JSON callback, same job", token, jsonBody, 200, "duplicate", "unchanged", 4},
		{"the same again", token, jsonBody, 200, "duplicate", "unchanged", 4},
		{"no callback at all", token, "hello", 400, "", "", 1},
		{"wrong token", "guessed-by-somebody", xmlBody, 401, "", "", 0},
	})
	fmt.Fprintf(out, "\nTags of %s/%s after:   %s\n", mediaBucket, outputKey, p.tags())
	problems = append(problems, p.checkStored(out)...)
	if len(problems) > 0 {
		return fmt.Errorf("not as it should be:\n  %s", strings.Join(problems, "\n  "))
	}
	fmt.Fprintf(out, "\nAll as it should be. The objects are in %s, the function's log is %s.\n", p.objects(), p.log())
	return nil
}

// clear deletes what the last run stored.
func (p *platform) clear() error {
	for _, bucket := range p.cos.Buckets() {
		for _, key := range p.cos.Keys(bucket, "") {
			if err := p.cos.DeleteObject(bucket, key); err != nil {
				return fmt.Errorf("clear what the last run stored: %w", err)
			}
		}
	}
	return nil
}

// putOutput puts the object that the sample job wrote where it wrote it, with a tag
// that somebody else set.
func (p *platform) putOutput() error {
	err := p.cos.PutObject(mediaBucket, outputKey, coslocal.Object{
		Body:         []byte("a video with a watermark"),
		ETag:         `"` + outputMD5 + `"`,
		LastModified: time.Date(2022, 6, 30, 10, 39, 7, 0, time.UTC),
		Tags:         []coslocal.Tag{{Key: "project", Value: "demo"}},
	})
	if err != nil {
		return fmt.Errorf("put the output object: %w", err)
	}
	return nil
}

func (p *platform) tags() string {
	object, _ := p.cos.Object(mediaBucket, outputKey)
	var list []string
	for _, t := range object.Tags {
		list = append(list, t.Key+"="+t.Value)
	}
	return strings.Join(list, "  ")
}

// deliverAll makes the deliveries, prints a line of each, and gives what is wrong.
func (p *platform) deliverAll(ctx context.Context, out io.Writer, deliveries []delivery) (problems []string) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "DELIVERY\tSTATUS\tRECORD\tTAG\tCOS REQUESTS\tMILLISECONDS")
	for _, d := range deliveries {
		before, started := p.cos.RequestCount(), time.Now()
		answer, status, err := p.post(ctx, d.token, d.body)
		took := time.Since(started)
		requests := p.cos.RequestCount() - before
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", d.name, err))
			continue
		}
		outcome, tag := answer.outcomes()
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%.1f\n", d.name, status, orDash(outcome), orDash(tag), requests, float64(took.Microseconds())/1000)
		if status != d.status || outcome != d.outcome || tag != d.tag || requests > d.most {
			problems = append(problems, fmt.Sprintf("%s: got %d %q %q and %d COS requests, want %d %q %q and at most %d",
				d.name, status, outcome, tag, requests, d.status, d.outcome, d.tag, d.most))
		}
	}
	table.Flush()
	return problems
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// answered is what is looked at in an answer.
type answered struct {
	Results []struct {
		Outcome string
		Tags    []struct{ Outcome string }
	}
}

func (a answered) outcomes() (record, tag string) {
	if len(a.Results) > 0 {
		record = a.Results[0].Outcome
		if len(a.Results[0].Tags) > 0 {
			tag = a.Results[0].Tags[0].Outcome
		}
	}
	return record, tag
}

// post sends a body to the function as a function URL does.
func (p *platform) post(ctx context.Context, token, body string) (answered, int, error) {
	u := &url.URL{Path: "/", RawQuery: url.Values{"token": {token}}.Encode()}
	payload, err := scflocal.Event(http.MethodPost, u, nil, "127.0.0.1", []byte(body))
	if err != nil {
		return answered{}, 0, err
	}
	returned, err := p.function.Invoke(ctx, p.settings, payload)
	if err != nil {
		return answered{}, 0, err
	}
	response, err := scflocal.ParseResponse(returned)
	if err != nil {
		return answered{}, 0, err
	}
	var a answered
	if err := json.Unmarshal([]byte(response.Body), &a); err != nil {
		return a, response.StatusCode, fmt.Errorf("read answer: %w", err)
	}
	return a, response.StatusCode, nil
}

// checkStored shows the record and gives what is wrong with what is in COS.
func (p *platform) checkStored(out io.Writer) (problems []string) {
	if tags := p.tags(); tags != "project=demo  md5="+outputMD5 {
		problems = append(problems, "the tags are "+tags)
	}
	record, found := p.cos.Object(recordBucket, recordKey)
	if !found {
		return append(problems, "there is no record "+recordKey)
	}
	fmt.Fprintf(out, "Record %s/%s:\n%s\n", recordBucket, recordKey, shorten(record.Body))
	if rejected := p.cos.Keys(recordBucket, "ci/rejected/"); len(rejected) != 1 {
		problems = append(problems, fmt.Sprintf("%d bodies were kept as rejected, want 1", len(rejected)))
	} else {
		fmt.Fprintf(out, "What was no callback is kept as %s\n", rejected[0])
	}
	if err := checkRecord(record.Body); err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}

// checkRecord looks at what a reader of the record relies on.
func checkRecord(b []byte) error {
	var r struct {
		State   string
		Outputs []struct{ Object, MD5 string }
		Detail  struct{ JobId string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("the record is not JSON: %w", err)
	}
	if r.State != "Success" || len(r.Outputs) != 1 || r.Outputs[0].Object != outputKey || r.Outputs[0].MD5 != outputMD5 || r.Detail.JobId == "" {
		return errors.New("the record does not say what the callback says")
	}
	return nil
}

// shorten indents a record and leaves out most of its detail.
func shorten(record []byte) string {
	var fields map[string]json.RawMessage
	var b bytes.Buffer
	if json.Unmarshal(record, &fields) != nil {
		return string(record)
	}
	detail := fields["detail"]
	rest := strings.Replace(string(record), string(detail), `""`, 1)
	if json.Indent(&b, []byte(rest), "", "  ") != nil {
		return string(record)
	}
	whole := fmt.Sprintf("… %d bytes: the whole JobsDetail in normal form", len(detail))
	return strings.Replace(strings.TrimSpace(b.String()), `"detail": ""`, `"detail": `+whole, 1)
}
