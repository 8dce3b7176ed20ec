package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
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
	maxRequests       int64  // to COS
}

// demo is the command without a name: it delivers the sample callbacks, each twice, and
// what must not get in, and lets a timer find a job whose callback was lost. It returns
// an error unless everything is as it should be.
func (p *program) demo(ctx context.Context) error {
	bodies := map[string]string{}
	for _, name := range []string{"digitalwatermark.xml", "digitalwatermark.json"} {
		b, err := os.ReadFile(filepath.Join(p.project, "testdata", "callbacks", name))
		if err != nil {
			return fmt.Errorf("read sample callback: %w", err)
		}
		bodies[name] = string(b)
	}
	// A job of the demo ended nine minutes ago, when there was nobody to call back.
	plan := func(cilocal.Job) cilocal.Plan {
		return cilocal.Plan{Age: 10 * time.Minute, Run: time.Minute, Lost: true}
	}
	pl, err := p.open("demo", defaultSettings(mediaBucket), plan)
	if err != nil {
		return err
	}
	defer pl.Close()
	if err := pl.clear(); err != nil {
		return err
	}
	if err := pl.start(ctx, p, addresses{cos: "127.0.0.1:0", ci: "127.0.0.1:0"}); err != nil {
		return err
	}
	if err := pl.putOutput(); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Tags of %s/%s before:  %s\n\n", mediaBucket, outputKey, pl.tags(outputKey))

	xmlBody, jsonBody := bodies["digitalwatermark.xml"], bodies["digitalwatermark.json"]
	problems := p.deliverAll(ctx, pl, []delivery{
		{"XML callback", token, xmlBody, 200, "created", "tagged", 4},
		{"the same again", token, xmlBody, 200, "duplicate", "unchanged", 4},
		{"JSON callback, same job", token, jsonBody, 200, "duplicate", "unchanged", 4},
		{"the same again", token, jsonBody, 200, "duplicate", "unchanged", 4},
		{"no callback at all", token, "hello", 400, "", "", 1},
		{"wrong token", "guessed-by-somebody", xmlBody, 401, "", "", 0},
	})
	fmt.Fprintf(p.out, "\nTags of %s/%s after:   %s\n", mediaBucket, outputKey, pl.tags(outputKey))
	problems = append(problems, p.checkStored(pl)...)
	problems = append(problems, p.findLostJob(ctx, pl)...)
	if len(problems) > 0 {
		return fmt.Errorf("not as it should be:\n  %s", strings.Join(problems, "\n  "))
	}
	fmt.Fprintf(p.out, "\nAll as it should be. The objects are in %s, the function's log is %s.\n", pl.objects(), pl.log())
	return nil
}

// clear deletes what the last run stored.
func (pl *platform) clear() error {
	for _, bucket := range pl.cos.Buckets() {
		for _, key := range pl.cos.Keys(bucket, "") {
			if err := pl.cos.DeleteObject(bucket, key); err != nil {
				return fmt.Errorf("clear what the last run stored: %w", err)
			}
		}
	}
	return nil
}

// putOutput puts the object of the sample job where the job wrote it, with a tag of
// somebody else's.
func (pl *platform) putOutput() error {
	err := pl.cos.PutObject(mediaBucket, outputKey, coslocal.Object{
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

// tags returns the tags of an object as text.
func (pl *platform) tags(key string) string {
	object, _ := pl.cos.Object(mediaBucket, key)
	var list []string
	for _, t := range object.Tags {
		list = append(list, t.Key+"="+t.Value)
	}
	return strings.Join(list, "  ")
}

// deliverAll makes the deliveries, prints a line of each, and returns what is wrong.
func (p *program) deliverAll(ctx context.Context, pl *platform, deliveries []delivery) (problems []string) {
	table := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "DELIVERY\tSTATUS\tRECORD\tTAG\tCOS REQUESTS\tMILLISECONDS")
	for _, d := range deliveries {
		before, started := pl.cosRequests.Load(), time.Now()
		answer, status, err := pl.post(ctx, d.token, d.body)
		took := time.Since(started)
		requests := pl.cosRequests.Load() - before
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", d.name, err))
			continue
		}
		outcome, tag := answer.outcomes()
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%.1f\n", d.name, status, orDash(outcome), orDash(tag), requests, milliseconds(took))
		if status != d.status || outcome != d.outcome || tag != d.tag || requests > d.maxRequests {
			problems = append(problems, fmt.Sprintf("%s: got %d %q %q and %d COS requests, want %d %q %q and at most %d",
				d.name, status, outcome, tag, requests, d.status, d.outcome, d.tag, d.maxRequests))
		}
	}
	table.Flush()
	return problems
}

// milliseconds returns a duration as a number for people.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// orDash returns a dash in the place of nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// answered is what the demo looks at in an answer.
type answered struct {
	Results []struct {
		Outcome string
		Tags    []struct{ Outcome string }
	}
}

// outcomes returns those of the first job and of its first tag.
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
func (pl *platform) post(ctx context.Context, token, body string) (answered, int, error) {
	u := &url.URL{Path: "/", RawQuery: url.Values{"token": {token}}.Encode()}
	event, err := scflocal.Event(http.MethodPost, u, nil, "127.0.0.1", []byte(body))
	if err != nil {
		return answered{}, 0, err
	}
	returned, err := pl.invoke(ctx, event)
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

// checkStored shows the record and returns what is wrong with what is in COS.
func (p *program) checkStored(pl *platform) (problems []string) {
	if tags := pl.tags(outputKey); tags != "project=demo  md5="+outputMD5 {
		problems = append(problems, "the tags are "+tags)
	}
	record, found := pl.cos.Object(recordBucket, recordKey)
	if !found {
		return append(problems, "there is no record "+recordKey)
	}
	fmt.Fprintf(p.out, "Record %s/%s:\n%s\n", recordBucket, recordKey, shorten(record.Body))
	if rejected := pl.cos.Keys(recordBucket, "ci/rejected/"); len(rejected) != 1 {
		problems = append(problems, fmt.Sprintf("%d bodies were kept as rejected, want 1", len(rejected)))
	} else {
		fmt.Fprintf(p.out, "The body that is no callback is kept as %s\n", rejected[0])
	}
	if err := checkRecord(record.Body); err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}

// checkRecord returns what is wrong with something that readers of the record rely on.
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

// compared is what the function returns for a timer's event.
type compared struct {
	Checked, Recorded, Repaired, Replaced, Pending int
	Complete                                       bool
}

// runTimer hands a timer's event to the function.
func (pl *platform) runTimer(ctx context.Context) (c compared, err error) {
	event, err := scflocal.TimerEvent("reconcile", time.Now())
	if err != nil {
		return c, err
	}
	returned, err := pl.invoke(ctx, event)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(returned, &c); err != nil {
		return c, fmt.Errorf("read what the function returned to the timer: %w", err)
	}
	return c, nil
}

// findLostJob submits a job whose callback never comes, runs the timer twice, and returns
// what is wrong with what it found.
func (p *program) findLostJob(ctx context.Context, pl *platform) (problems []string) {
	id, err := pl.submit(ctx, jobRequest{Type: "Transcode", Input: "input/demo.mp4", Output: "output/lost.mp4"})
	if err != nil {
		return []string{err.Error()}
	}
	fmt.Fprintf(p.out, "\nJob %s ended nine minutes ago, and its callback was lost.\n", id)
	table := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "TIMER\tCHECKED\tREPAIRED\tREPLACED\tCI REQUESTS\tCOS REQUESTS\tMILLISECONDS")
	for _, run := range []struct {
		name string
		want compared
	}{
		{"asks CI", compared{Checked: 1, Repaired: 1, Complete: true}},
		{"the same again", compared{Complete: true}},
	} {
		cos, ci, started := pl.cosRequests.Load(), pl.ciRequests.Load(), time.Now()
		got, err := pl.runTimer(ctx)
		took := time.Since(started)
		if err != nil {
			problems = append(problems, fmt.Sprintf("timer, %s: %v", run.name, err))
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%.1f\n", run.name, got.Checked, got.Repaired, got.Replaced,
			pl.ciRequests.Load()-ci, pl.cosRequests.Load()-cos, milliseconds(took))
		if got != run.want {
			problems = append(problems, fmt.Sprintf("timer, %s: got %+v, want %+v", run.name, got, run.want))
		}
	}
	table.Flush()
	return append(problems, p.checkFound(pl, id)...)
}

// checkFound returns what is wrong with the record that the timer wrote, and with the tag
// of its output.
func (p *program) checkFound(pl *platform, id string) (problems []string) {
	record, _ := pl.cos.Object(recordBucket, "ci/jobs/"+id+".json")
	var r struct{ ID, Source, State string }
	if err := json.Unmarshal(record.Body, &r); err != nil || r.ID != id || r.Source != "query" || r.State != cilocal.Success {
		problems = append(problems, fmt.Sprintf("the record that the timer wrote is %.200q", record.Body))
	}
	job, _ := pl.ci.Job(mediaBucket, id)
	if tags := pl.tags("output/lost.mp4"); tags != "md5="+job.MD5 {
		problems = append(problems, "the tags of the lost job's output are "+tags)
	}
	fmt.Fprintf(p.out, "Its record says \"source\": %q, \"state\": %q; tags of its output:  %s\n", r.Source, r.State, pl.tags("output/lost.mp4"))
	return problems
}
