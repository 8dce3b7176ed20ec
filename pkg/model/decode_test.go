package model_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// decodeOne returns the one record of a body.
func decodeOne(t testing.TB, body string) *model.Record {
	t.Helper()
	c, err := model.Decode([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if len(c.Records) != 1 {
		t.Fatalf("%s: %d records, not 1", body, len(c.Records))
	}
	return c.Records[0]
}

// TestShapes reads one job in every shape of a body. Key, event and state say
// which fields were found where.
func TestShapes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"xml":                 {`<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>j1</JobId><State>Success</State></JobsDetail></Response>`, "jobs/j1.json TaskFinish Success"},
		"xml_without_event":   {`<Response><JobsDetail><JobId>j1</JobId><State>Failed</State></JobsDetail></Response>`, "jobs/j1.json  Failed"},
		"xml_without_root":    {`<EventName>TaskFinish</EventName><JobsDetail><JobId>j1</JobId></JobsDetail>`, "jobs/j1.json TaskFinish Unknown"},
		"xml_any_root":        {`<Callback><JobsDetail><JobId>j1</JobId></JobsDetail></Callback>`, "jobs/j1.json  Unknown"},
		"xml_declared":        {"\uFEFF\r\n<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- CI --><Response><JobsDetail><JobId>j1</JobId></JobsDetail></Response>\n<!-- end -->\n", "jobs/j1.json  Unknown"},
		"xml_namespace":       {`<Response xmlns="http://www.qcloud.com/document/product/436/7751"><JobsDetail a="b"><JobId>j1</JobId></JobsDetail></Response>`, "jobs/j1.json  Unknown"},
		"json_array":          {`{"EventName":"TaskFinish","JobsDetail":[{"JobId":"j1","State":"Success"}]}`, "jobs/j1.json TaskFinish Success"},
		"json_object":         {`{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1","State":"Success"}}`, "jobs/j1.json TaskFinish Success"},
		"json_wrapped":        {`{"Response":{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1","State":"Success"}}}`, "jobs/j1.json TaskFinish Success"},
		"json_after_bom":      {"\uFEFF \n{\"JobsDetail\":{\"JobId\":\"j1\"}} \r\n\t", "jobs/j1.json  Unknown"},
		"json_nested_array":   {`{"JobsDetail":[[{"JobId":"j1"}]]}`, "jobs/j1.json  Unknown"},
		"json_empty_siblings": {`{"JobsDetail":[{},null,{"JobId":"j1"},[],""],"WorkflowExecution":{}}`, "jobs/j1.json  Unknown"},
		"json_number_id":      {`{"JobsDetail":{"JobId":123,"State":true}}`, "jobs/123.json  true"},
		"unknown_state":       {`{"JobsDetail":{"JobId":"j1","State":"Pondering"}}`, "jobs/j1.json  Pondering"},
		"workflow":            {`<Response><EventName>WorkflowFinish</EventName><WorkflowExecution><RunId>i1</RunId><State>Success</State></WorkflowExecution></Response>`, "workflows/i1.json WorkflowFinish Success"},
		"workflow_bare":       {`<EventName>WorkflowFinish</EventName> <WorkflowExecution><RunId>i1</RunId><State>Success</State></WorkflowExecution>`, "workflows/i1.json WorkflowFinish Success"},
		"workflow_old":        {`<Response><WorkflowExecution><RunId>i1</RunId></WorkflowExecution></Response>`, "workflows/i1.json  Unknown"},
		"workflow_json":       {`{"EventName":"WorkflowFinish","WorkflowExecution":{"RunId":"i1","State":"Failed"}}`, "workflows/i1.json WorkflowFinish Failed"},
		"workflow_array":      {`{"WorkflowExecution":[{"RunId":"i1"}]}`, "workflows/i1.json  Unknown"},
		"review_verdict":      {`{"JobsDetail":{"JobId":"si1","State":"Success","Result":0}}`, "reviews/si1.json  Success"},
		"review_event":        {`{"EventName":"ReviewImage","JobsDetail":{"JobId":"si1","State":"Failed"}}`, "reviews/si1.json ReviewImage Failed"},
		"review_under_way":    {`{"EventName":"TaskFinish","JobsDetail":{"JobId":"ss1","State":"Auditing","Object":"a.zip","BucketId":"b-1"}}`, "reviews/ss1.json TaskFinish Auditing"},
		"review_fails":        {`{"JobsDetail":{"JobId":"st1","State":"Failed","Code":"x","Content":"aGk="}}`, "reviews/st1.json  Failed"},
		"review_of_a_url":     {`{"JobsDetail":{"JobId":"sv1","State":"Auditing","Url":"https://example.com/a.flv"}}`, "reviews/sv1.json  Auditing"},
		"review_by_data_id":   {`{"JobsDetail":{"JobId":"sv1","State":"Failed","DataId":"7"}}`, "reviews/sv1.json  Failed"},
		"review_by_bucket":    {`{"JobsDetail":{"JobId":"sd1","State":"Failed","BucketId":"b-1"}}`, "reviews/sd1.json  Failed"},
		"review_forbidden":    {`{"JobsDetail":{"JobId":"si1","ForbidState":1}}`, "reviews/si1.json  Unknown"},
		"review_suggestion":   {`{"JobsDetail":{"JobId":"si1","Suggestion":0}}`, "reviews/si1.json  Unknown"},
		"review_label":        {`{"JobsDetail":{"JobId":"si1","Label":"Normal"}}`, "reviews/si1.json  Unknown"},
		"job_with_tag":        {`{"JobsDetail":{"JobId":"j1","Tag":"New","Object":"a"}}`, "jobs/j1.json  Unknown"},
		"job_in_a_queue":      {`{"JobsDetail":{"JobId":"j1","QueueId":"p1","Label":"x"}}`, "jobs/j1.json  Unknown"},
		"event_beside":        {`{"EventName":"TaskFinish","Response":{"JobsDetail":{"JobId":"j1"}}}`, "jobs/j1.json TaskFinish Unknown"},
		"event_within_first":  {`{"EventName":"Other","Response":{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1"}}}`, "jobs/j1.json TaskFinish Unknown"},
		"job_with_verdict":    {`{"EventName":"ReviewImage","JobsDetail":{"JobId":"j1","Result":1,"Input":{"Object":"a"}}}`, "jobs/j1.json ReviewImage Unknown"},
		"job_with_operation":  {`{"JobsDetail":{"JobId":"j1","Label":"x","Operation":{"JobLevel":0}}}`, "jobs/j1.json  Unknown"},
		"simple_review":       {`{"code":0,"message":"success","data":{"event":"ReviewText","trace_id":"st1","result":0}}`, "reviews/st1.json ReviewText Success"},
		"simple_review_text":  {`{"code":"0","data":{"trace_id":"st1"}}`, "reviews/st1.json  Success"},
		"simple_review_fails": {`{"code":-3006,"message":"gone","data":{"trace_id":"st1"}}`, "reviews/st1.json  Failed"},
		"simple_review_xml":   {`<Response><code>0</code><data><trace_id>st1</trace_id></data></Response>`, "reviews/st1.json  Success"},
		"simple_without_code": {`{"data":{"trace_id":"st1"}}`, "reviews/st1.json  Failed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := decodeOne(t, test.body)
			got := r.Key("") + " " + r.Event + " " + r.State
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestFields reads every field but detail and outputs, which have their own tests.
func TestFields(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want model.Record
	}{
		"job": {
			body: `{"EventName":"TaskFinish","Other":"lost","JobsDetail":[{
				"Code":"InvalidArgument","CreationTime":"2026-03-02T10:00:00+0800","StartTime":"2026-03-02T10:00:01+0800",
				"EndTime":"2026-03-02T10:00:31+0800","JobId":"j1","Message":"it & failed","QueueId":"p1","State":"Failed",
				"SubTag":"DigitalWatermark","Tag":"SuperResolution",
				"Input":{"BucketId":"b-1","Region":"ap-beijing","Object":"/in.mp4"},
				"Operation":{"UserData":"mine"},
				"Workflow":{"RunId":"i1","WorkflowId":"w1","WorkflowName":"night","Name":"Transcode_1"}}]}`,
			want: model.Record{
				Version: 2, Kind: model.KindJob, ID: "j1", Event: "TaskFinish", State: "Failed",
				Code: "InvalidArgument", Message: "it & failed", Tag: "SuperResolution", SubTag: "DigitalWatermark", QueueID: "p1",
				CreationTime: "2026-03-02T10:00:00+08:00", StartTime: "2026-03-02T10:00:01+08:00", EndTime: "2026-03-02T10:00:31+08:00",
				Input:    &model.Input{Object: model.Object{Bucket: "b-1", Region: "ap-beijing", Key: "/in.mp4"}},
				Workflow: &model.WorkflowRef{RunID: "i1", WorkflowID: "w1", WorkflowName: "night", Name: "Transcode_1"},
				UserData: "mine",
			},
		},
		"job_says_little": {
			body: `{"JobsDetail":{"JobId":"j1","Message":["a","b"],"Tag":{"x":"y"},"UserData":"top","Input":{"Bucket":"b-2"},"Workflow":{"Other":"o"}}}`,
			want: model.Record{
				Version: 2, Kind: model.KindJob, ID: "j1", State: "Unknown",
				Input: &model.Input{Object: model.Object{Bucket: "b-2"}}, UserData: "top",
			},
		},
		"nested_names_are_not_the_jobs": {
			body: `{"JobsDetail":{"JobId":"j1","Operation":{"DigitalWatermark":{"State":"Failed","Message":"m"},
				"PicProcessResult":[{"State":"Failed","Code":"c","JobId":"j2"}]},
				"Input":{"CosHeaders":[{"Key":"EventName","Value":"cos:ObjectCreated:Put"}]}}}`,
			want: model.Record{Version: 2, Kind: model.KindJob, ID: "j1", State: "Unknown"},
		},
		"review": {
			body: `{"EventName":"ReviewVideo","JobsDetail":{"BucketId":"b-1","Region":"ap-beijing","Object":"v.mp4","JobId":"av1",
				"Code":"c","Message":"m","State":"Success","ForbidState":0,"CreationTime":"2021-08-10T21:01:08+08:00","UserData":"u"}}`,
			want: model.Record{
				Version: 2, Kind: model.KindReview, ID: "av1", Event: "ReviewVideo", State: "Success", Code: "c", Message: "m",
				CreationTime: "2021-08-10T21:01:08+08:00",
				Input:        &model.Input{Object: model.Object{Bucket: "b-1", Region: "ap-beijing", Key: "v.mp4"}}, UserData: "u",
			},
		},
		"simple_review": {
			body: `{"code":0,"message":"success","data":{"event":"ReviewImage","trace_id":"si1"}}`,
			want: model.Record{
				Version: 2, Kind: model.KindReview, ID: "si1", Event: "ReviewImage", State: "Success", Code: "0", Message: "success",
			},
		},
		"workflow": {
			body: `{"EventName":"WorkflowFinish","WorkflowExecution":{"WorkflowId":"w1","WorkflowName":"night","RunId":"i1","State":"Success",
				"BucketId":"b-1","Object":"in.mp4","CreateTime":"2026-03-02 10:00:00+0800","EndTime":"2026-03-02 10:00:05+0800"}}`,
			want: model.Record{
				Version: 2, Kind: model.KindWorkflow, ID: "i1", Event: "WorkflowFinish", State: "Success",
				CreationTime: "2026-03-02T10:00:00+08:00", EndTime: "2026-03-02T10:00:05+08:00",
				Input:    &model.Input{Object: model.Object{Bucket: "b-1", Key: "in.mp4"}},
				Workflow: &model.WorkflowRef{RunID: "i1", WorkflowID: "w1", WorkflowName: "night"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decodeOne(t, test.body)
			got.Detail = nil
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	const message = `"message":"Test request when setting callback url"`
	tests := map[string]struct {
		body  string
		probe bool
	}{
		"console":       {`{"code":0,"data":{"trace_id":"test_trace_id","result":0},` + message + `}`, true},
		"without_id":    {`{` + message + `}`, true},
		"other_id":      {`{"code":0,"data":{"trace_id":"st1"},` + message + `}`, false},
		"other_message": {`{"code":0,"data":{"trace_id":"test_trace_id"},"message":"success"}`, false},
		"with_a_job":    {`{"JobsDetail":{"JobId":"j1"},` + message + `}`, false},
		"with_a_run":    {`{"WorkflowExecution":{"RunId":"i1"},` + message + `}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := model.Decode([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Probe != ""; got != test.probe {
				t.Errorf("probe: %v, want %v", got, test.probe)
			}
			if got := len(c.Records) == 0; got != test.probe {
				t.Errorf("%d records beside probe %q", len(c.Records), c.Probe)
			}
		})
	}
}

// TestSeveral reads bodies of more than one job: all are there, in the callback's
// order, and an id that occurs twice is the newer at the place of the first.
func TestSeveral(t *testing.T) {
	t.Parallel()
	const job = `{"JobId":%q,"State":%q,"EndTime":%q}`
	early, late := "2026-03-02T10:00:00+0800", "2026-03-02T10:00:01+0800"
	tests := map[string]struct {
		body string
		want []string
	}{
		"in_order": {
			`{"JobsDetail":[` + fmt.Sprintf(job, "j2", "Success", early) + `,` + fmt.Sprintf(job, "j1", "Failed", late) + `]}`,
			[]string{"jobs/j2.json Success", "jobs/j1.json Failed"},
		},
		"member_twice": {
			`{"JobsDetail":` + fmt.Sprintf(job, "j1", "Success", early) + `,"JobsDetail":` + fmt.Sprintf(job, "j2", "Success", early) + `}`,
			[]string{"jobs/j1.json Success", "jobs/j2.json Success"},
		},
		"later_wins": {
			`{"JobsDetail":[` + fmt.Sprintf(job, "j1", "Success", late) + `,` + fmt.Sprintf(job, "j2", "Success", early) + `,` + fmt.Sprintf(job, "j1", "Failed", early) + `]}`,
			[]string{"jobs/j1.json Success", "jobs/j2.json Success"},
		},
		"later_wins_from_behind": {
			`{"JobsDetail":[` + fmt.Sprintf(job, "j1", "Failed", early) + `,` + fmt.Sprintf(job, "j2", "Success", early) + `,` + fmt.Sprintf(job, "j1", "Success", late) + `]}`,
			[]string{"jobs/j1.json Success", "jobs/j2.json Success"},
		},
		"three_of_one_id": {
			`{"JobsDetail":[` + fmt.Sprintf(job, "j1", "Running", late) + `,` + fmt.Sprintf(job, "j1", "Success", late) + `,` + fmt.Sprintf(job, "j1", "Failed", early) + `]}`,
			[]string{"jobs/j1.json Success"},
		},
		"greater_bytes_of_three": {
			`{"JobsDetail":[{"JobId":"j1","State":"Success","Message":"c"},{"JobId":"j1","State":"Failed","Message":"a"},{"JobId":"j1","State":"Failed","Message":"b"}]}`,
			[]string{"jobs/j1.json Success"},
		},
		"one_id_of_two_kinds": {
			`{"WorkflowExecution":{"RunId":"j1"},"JobsDetail":` + fmt.Sprintf(job, "j1", "Success", early) + `}`,
			[]string{"workflows/j1.json Unknown", "jobs/j1.json Success"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := model.Decode([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range c.Records {
				got = append(got, r.Key("")+" "+r.State)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ sent, want string }{
		"jobs":              {"2022-06-30T18:37:37+0800", "2022-06-30T18:37:37+08:00"},
		"workflows":         {"2022-08-09 14:54:17+0800", "2022-08-09T14:54:17+08:00"},
		"reviews":           {"2021-08-10T21:01:08+08:00", "2021-08-10T21:01:08+08:00"},
		"file_list":         {"2022-08-09T14:54:17+0000", "2022-08-09T14:54:17+00:00"},
		"west":              {"2022-08-09T14:54:17-0330", "2022-08-09T14:54:17-03:30"},
		"zulu":              {"2022-08-09T14:54:17Z", "2022-08-09T14:54:17Z"},
		"fraction":          {"2022-08-09T14:54:17.120+0800", "2022-08-09T14:54:17.120+08:00"},
		"unset":             {"-", ""},
		"no_offset":         {"2022-08-09T14:54:17", ""},
		"no_offset_space":   {"2022-08-09 14:54:17", ""},
		"fraction_comma":    {"2022-08-09T14:54:17,5+0800", ""},
		"fraction_empty":    {"2022-08-09T14:54:17.+0800", ""},
		"hours_alone":       {"2022-08-09T14:54:17+08", ""},
		"no_such_day":       {"2022-02-30T14:54:17+0800", ""},
		"one_digit_hour":    {"2022-08-09T4:54:170+0800", ""},
		"offset_a_day":      {"2022-08-09T14:54:17+2400", ""},
		"offset_60_minutes": {"2022-08-09T14:54:17+0860", ""},
		"lower_case":        {"2022-08-09t14:54:17z", ""},
		"spaces":            {" 2022-08-09T14:54:17+0800", ""},
		"epoch":             {"1660028057", ""},
		"words":             {"two minutes past noon", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, field := range []string{"CreationTime", "StartTime", "EndTime"} {
				r := decodeOne(t, fmt.Sprintf(`{"JobsDetail":{"JobId":"j1",%q:%q}}`, field, test.sent))
				got := r.CreationTime + r.StartTime + r.EndTime
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s, -want +got:\n%s", field, diff)
				}
				if !strings.Contains(string(r.Detail), test.sent) {
					t.Errorf("%s is not in detail as sent: %s", field, r.Detail)
				}
			}
		})
	}
}
