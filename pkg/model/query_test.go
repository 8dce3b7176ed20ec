package model_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// TestQueried reads elements of CI's answers to queries. What a query says otherwise than
// a callback is in the names of the cases.
func TestQueried(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		element string
		want    []string
	}{
		"job": {
			`<JobsDetail><Code>Success</Code><Message></Message><JobId>j1</JobId><State>Success</State><CreationTime>2026-03-02T10:00:00+0800</CreationTime>` +
				`<StartTime>2026-03-02T10:00:01+0800</StartTime><EndTime>2026-03-02T10:00:31+0800</EndTime><QueueId>p1</QueueId><Tag>Transcode</Tag>` +
				`<Input><BucketId>b-1250000000</BucketId><Object>a.mp4</Object><Region>ap-beijing</Region></Input><Operation><MediaResult><OutputFile>` +
				`<Bucket>b-1250000000</Bucket><Region>ap-beijing</Region><ObjectName>b.mp4</ObjectName>` +
				`<Md5Info><ObjectName>b.mp4</ObjectName><Md5>0123456789abcdef0123456789abcdef</Md5></Md5Info></OutputFile></MediaResult></Operation></JobsDetail>`,
			[]string{
				"job j1 Success", "error Success ", "type Transcode p1", "ended 2026-03-02T10:00:31+08:00",
				"input b-1250000000/ap-beijing/a.mp4", "output b-1250000000/ap-beijing/b.mp4 0123456789abcdef0123456789abcdef",
			},
		},
		"times_that_are_not_set": {
			`<Response><JobsDetail><JobId>j1</JobId><State>Submitted</State><Tag>Transcode</Tag><CreationTime>2026-03-02T10:00:00+0800</CreationTime>` +
				`<StartTime>-</StartTime><EndTime/></JobsDetail></Response>`,
			[]string{"job j1 Submitted", "type Transcode "},
		},
		"review_in_xml_without_a_bucket": {
			`<JobsDetail><JobId>si1</JobId><State>Success</State><DataId>picture:1</DataId><CreationTime>2026-03-02T10:00:00+08:00</CreationTime>` +
				`<Object>a.jpg</Object><Label>Porn</Label><Result>1</Result></JobsDetail>`,
			[]string{"review si1 Success", "verdict violation Porn", "input //a.jpg", "user picture:1"},
		},
		"virus_detection": {
			`<JobsDetail><JobId>ss1</JobId><State>Success</State><Suggestion>normal</Suggestion><Object>a.zip</Object></JobsDetail>`,
			[]string{"review ss1 Success", "verdict normal ", "input //a.zip"},
		},
		"workflow_run_with_a_name": {
			`<Response><WorkflowExecution><RunId>i1</RunId><WorkflowId>w1</WorkflowId><Name>nightly</Name><State>Failed</State>` +
				`<CreateTime>2026-03-02T10:00:00+08:00</CreateTime><EndTime>2026-03-02T10:00:31+08:00</EndTime><Object>in/a.mp4</Object>` +
				`<Tasks><Type>Transcode</Type><State>Failed</State><Code>InvalidArgument</Code><Message>no video</Message></Tasks></WorkflowExecution></Response>`,
			[]string{"workflow i1 Failed", "error InvalidArgument no video", "ended 2026-03-02T10:00:31+08:00", "input //in/a.mp4"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := model.DecodeQueried([]byte(test.element))
			if err != nil {
				t.Fatal(err)
			}
			if r.Source != model.SourceQuery || r.Event != "" || r.Version != model.Version {
				t.Errorf("source %q, event %q, version %d", r.Source, r.Event, r.Version)
			}
			if diff := cmp.Diff(test.want, summary(r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if r.Kind == model.KindWorkflow && r.Workflow.WorkflowName != "nightly" {
				t.Errorf("workflow %+v", r.Workflow)
			}
			if got := string(encodeAll(t, []*model.Record{r})); !strings.Contains(got, `"source":"query",`) {
				t.Errorf("no source in %s", got)
			}
		})
	}
}

// TestQueriedIsTheCallback asserts that CI's answer makes the same record as the
// callback, where it says the same, but for the source and the event.
func TestQueriedIsTheCallback(t *testing.T) {
	t.Parallel()
	for name, files := range callbacks(t) {
		for _, file := range files {
			body := readFile(t, file)
			c, err := model.Decode(body)
			if err != nil || len(c.Records)+len(c.Older) != 1 || isSimple(c.Records[0]) {
				continue
			}
			want := c.Records[0]
			got, err := model.DecodeQueried(body)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if isUnmarked(want) {
				continue // it is a review by its event alone
			}
			want.Source, want.Event = model.SourceQuery, ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, -callback +queried:\n%s", file, diff)
			}
		}
	}
}

// isUnmarked reports whether nothing but its event says that a record is of a review.
func isUnmarked(r *model.Record) bool {
	return r.Kind == model.KindReview && r.Input == nil && r.UserData == "" && r.Verdict == "" && r.Label == ""
}

func TestQueriedRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ element, says string }{
		"empty":            {"", "the body is empty"},
		"no_job":           {"<Response><NonExistJobIds>j1</NonExistJobIds></Response>", "no job in it"},
		"two":              {"<Response><JobsDetail><JobId>j1</JobId></JobsDetail><JobsDetail><JobId>j2</JobId></JobsDetail></Response>", "2 jobs, where one was expected"},
		"same_twice":       {"<Response><JobsDetail><JobId>j1</JobId></JobsDetail><JobsDetail><JobId>j1</JobId></JobsDetail></Response>", "2 jobs"},
		"simple_review":    {`{"code":0,"data":{"trace_id":"s1"}}`, "no job in it"},
		"no_id":            {"<JobsDetail><State>Success</State></JobsDetail>", "no JobId"},
		"one_without_id":   {"<Response><JobsDetail><JobId>j1</JobId></JobsDetail><JobsDetail><State>Success</State></JobsDetail></Response>", "no JobId"},
		"not_well_formed":  {"<JobsDetail><JobId>j1</JobId>", "ends inside of element"},
		"too_many":         {"<Response>" + strings.Repeat("<JobsDetail><JobId>j1</JobId></JobsDetail>", model.MaxJobs+1) + "</Response>", "more than 1000 jobs"},
		"error_of_the_api": {"<Error><Code>AccessDenied</Code></Error>", "no job in it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := model.DecodeQueried([]byte(test.element))
			if _, ok := errors.AsType[*model.MalformedError](err); !ok || r != nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestAgrees compares the record of a callback with what CI answers.
func TestAgrees(t *testing.T) {
	t.Parallel()
	const end = "2026-03-02T10:00:31+08:00"
	one := model.Object{Bucket: "b-1", Region: "ap-beijing", Key: "a"}
	two := model.Object{Bucket: "b-1", Region: "ap-beijing", Key: "b"}
	output := func(o model.Object, md5 string) []model.Output { return []model.Output{{Object: o, MD5: md5}} }
	tests := map[string]struct {
		recorded, asked model.Record
		want            bool
	}{
		"same":                {model.Record{State: "Success", EndTime: end}, model.Record{State: "Success", EndTime: end}, true},
		"other_state":         {model.Record{State: "Success", EndTime: end}, model.Record{State: "Failed", EndTime: end}, false},
		"a_minute":            {model.Record{EndTime: end}, model.Record{EndTime: "2026-03-02T02:01:31Z"}, true},
		"a_minute_before":     {model.Record{EndTime: end}, model.Record{EndTime: "2026-03-02T01:59:31Z"}, true},
		"more_than_a_minute":  {model.Record{EndTime: end}, model.Record{EndTime: "2026-03-02T02:01:31.001Z"}, false},
		"none_recorded":       {model.Record{}, model.Record{EndTime: end}, true},
		"none_asked":          {model.Record{EndTime: end}, model.Record{}, true},
		"same_md5":            {model.Record{Outputs: output(one, "m")}, model.Record{Outputs: output(one, "m")}, true},
		"other_md5":           {model.Record{Outputs: output(one, "m")}, model.Record{Outputs: output(one, "n")}, false},
		"other_md5_of_second": {model.Record{Outputs: append(output(two, "x"), output(one, "m")...)}, model.Record{Outputs: append(output(one, "n"), output(two, "x")...)}, false},
		"md5_in_one":          {model.Record{Outputs: output(one, "m")}, model.Record{Outputs: output(one, "")}, true},
		"md5_in_the_other":    {model.Record{Outputs: output(one, "")}, model.Record{Outputs: output(one, "n")}, true},
		"other_object":        {model.Record{Outputs: output(one, "m")}, model.Record{Outputs: output(two, "n")}, true},
		"other_message":       {model.Record{State: "Success", Message: "done"}, model.Record{State: "Success"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := model.Agrees(&test.recorded, &test.asked); got != test.want {
				t.Errorf("%v", got)
			}
			if got := model.Agrees(&test.asked, &test.recorded); got != test.want {
				t.Errorf("the other way round %v", got)
			}
		})
	}
}
