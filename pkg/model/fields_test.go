package model_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// TestInputs asserts what was processed, by how each kind of callback names it.
func TestInputs(t *testing.T) {
	t.Parallel()
	const url = "https://c-1250000000.cos.ap-c.myqcloud.com/a%20b.jpg?sign=x"
	cos := model.Object{Bucket: "c-1250000000", Region: "ap-c", Key: "a b.jpg"}
	tests := map[string]struct {
		body string
		want *model.Input
	}{
		"job":                       {`{"JobsDetail":{"JobId":"j1","Input":{"BucketId":"b","Region":"r","Object":"/k"}}}`, &model.Input{Object: model.Object{Bucket: "b", Region: "r", Key: "/k"}}},
		"job_url":                   {`{"JobsDetail":{"JobId":"j1","Input":{"Url":"https://example.com/a"}}}`, &model.Input{URL: "https://example.com/a"}},
		"job_url_of_cos":            {`{"JobsDetail":{"JobId":"j1","Input":{"Url":"` + url + `"}}}`, &model.Input{Object: cos}},
		"job_key_like_a_url":        {`{"JobsDetail":{"JobId":"j1","Input":{"Object":"http://x"}}}`, &model.Input{Object: model.Object{Key: "http://x"}}},
		"job_without":               {`{"JobsDetail":{"JobId":"j1","Tag":"Tts"}}`, nil},
		"review":                    {`{"JobsDetail":{"JobId":"s1","BucketId":"b","Region":"r","Object":"k"}}`, &model.Input{Object: model.Object{Bucket: "b", Region: "r", Key: "k"}}},
		"review_url":                {`{"JobsDetail":{"JobId":"s1","Url":"rtmp://example.com/a"}}`, &model.Input{URL: "rtmp://example.com/a"}},
		"review_url_of_cos":         {`{"JobsDetail":{"JobId":"s1","Url":"` + url + `"}}`, &model.Input{Object: cos}},
		"review_url_and_bucket":     {`{"JobsDetail":{"JobId":"s1","BucketId":"b","Region":"r","Url":"` + url + `"}}`, &model.Input{Object: cos}},
		"review_key_and_url":        {`{"JobsDetail":{"JobId":"s1","Object":"a b.jpg","Url":"` + url + `"}}`, &model.Input{Object: cos}},
		"review_key_url_and_bucket": {`{"JobsDetail":{"JobId":"s1","BucketId":"b","Object":"k","Url":"` + url + `"}}`, &model.Input{Object: model.Object{Bucket: "b", Key: "k"}}},
		"review_key_and_other_url":  {`{"JobsDetail":{"JobId":"s1","Object":"k","Url":"https://example.com/a"}}`, &model.Input{Object: model.Object{Key: "k"}}},
		"review_object_is_a_url":    {`{"JobsDetail":{"JobId":"s1","Object":"https://example.com/a"}}`, &model.Input{URL: "https://example.com/a"}},
		"review_url_without_scheme": {`{"JobsDetail":{"JobId":"s1","Url":"test_audio"}}`, &model.Input{URL: "test_audio"}},
		"review_accelerated":        {`{"JobsDetail":{"JobId":"s1","BucketId":"c-1","Region":"ap-c","Url":"https://c-1.cos.accelerate.myqcloud.com/a"}}`, &model.Input{Object: model.Object{Bucket: "c-1", Region: "ap-c", Key: "a"}}},
		"review_accelerated_else":   {`{"JobsDetail":{"JobId":"s1","BucketId":"b-1","Region":"ap-c","Url":"https://c-1.cos.accelerate.myqcloud.com/a"}}`, &model.Input{Object: model.Object{Bucket: "c-1", Key: "a"}}},
		"review_of_a_text":          {`{"JobsDetail":{"JobId":"s1","Content":"aGk="}}`, nil},
		"simple":                    {`{"code":0,"data":{"trace_id":"s1","url":"` + url + `"}}`, &model.Input{Object: cos}},
		"simple_elsewhere":          {`{"code":0,"data":{"trace_id":"s1","url":"https://example.com/a"}}`, &model.Input{URL: "https://example.com/a"}},
		"workflow":                  {`{"WorkflowExecution":{"RunId":"i1","BucketId":"b","Object":"k"}}`, &model.Input{Object: model.Object{Bucket: "b", Key: "k"}}},
		"workflow_url_of_cos":       {`{"WorkflowExecution":{"RunId":"i1","Object":"` + url + `"}}`, &model.Input{Object: cos}},
		"workflow_url":              {`{"WorkflowExecution":{"RunId":"i1","BucketId":"b","Object":"https://example.com/a"}}`, &model.Input{Object: model.Object{Bucket: "b"}, URL: "https://example.com/a"}},
		"workflow_no_scheme":        {`{"WorkflowExecution":{"RunId":"i1","Object":"a/b://c"}}`, &model.Input{Object: model.Object{Key: "a/b://c"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, decodeOne(t, test.body).Input); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestVerdicts asserts what a review came to, by its result.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body           string
		verdict, label string
	}{
		"normal":             {`{"JobsDetail":{"JobId":"s1","State":"Success","Result":0,"Label":"Normal"}}`, "normal", "Normal"},
		"violation":          {`{"JobsDetail":{"JobId":"s1","State":"Success","Result":1,"Label":"Porn"}}`, "violation", "Porn"},
		"suspected":          {`{"JobsDetail":{"JobId":"s1","State":"Success","Result":"2","Label":"Ads"}}`, "suspected", "Ads"},
		"suggestion":         {`{"JobsDetail":{"JobId":"s1","State":"Success","Suggestion":2}}`, "suspected", ""},
		"virus":              {`{"JobsDetail":{"JobId":"s1","State":"Success","Suggestion":"block"}}`, "violation", ""},
		"no_virus":           {`{"JobsDetail":{"JobId":"s1","State":"Success","Suggestion":"normal"}}`, "normal", ""},
		"result_first":       {`{"JobsDetail":{"JobId":"s1","State":"Success","Suggestion":0,"Result":1}}`, "violation", ""},
		"unknown":            {`{"JobsDetail":{"JobId":"s1","State":"Success","Result":3}}`, "", ""},
		"not_yet":            {`{"JobsDetail":{"JobId":"s1","State":"Auditing","Object":"a"}}`, "", ""},
		"under_way":          {`{"JobsDetail":{"JobId":"s1","State":"Auditing","Result":0}}`, "normal", ""},
		"failed":             {`{"JobsDetail":{"JobId":"s1","State":"Failed","Result":0}}`, "", ""},
		"failed_and_found":   {`{"JobsDetail":{"JobId":"s1","State":"Failed","Result":1}}`, "violation", ""},
		"simple":             {`{"code":0,"data":{"trace_id":"s1","result":2,"label":"Ads"}}`, "suspected", "Ads"},
		"simple_failed":      {`{"code":-1,"data":{"trace_id":"s1","result":0}}`, "", ""},
		"a_job_has_none":     {`{"JobsDetail":{"JobId":"j1","State":"Success","Tag":"New","Result":1,"Label":"x"}}`, "", ""},
		"a_workflow_neither": {`{"WorkflowExecution":{"RunId":"i1","State":"Success","Result":1,"Label":"x"}}`, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := decodeOne(t, test.body)
			if string(r.Verdict) != test.verdict || r.Label != test.label {
				t.Errorf("%q, %q", r.Verdict, r.Label)
			}
		})
	}
}

// TestWorkflowErrors asserts which error a workflow run has, by its own and its tasks'.
func TestWorkflowErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ run, want string }{
		"its_own":         {`"Code":"Own","Tasks":[{"State":"Failed","Code":"Task"}]`, "Own "},
		"its_own_message": {`"Message":"own","Tasks":[{"State":"Failed","Code":"Task"}]`, " own"},
		"first_task":      {`"Tasks":[{"State":"Success","Code":"Success"},{"State":"Failed","Code":"One","Message":"m"},{"State":"Failed","Code":"Two"}]`, "One m"},
		"message_alone":   {`"Tasks":{"State":"Failed","Message":"m"}`, " m"},
		"next_that_says":  {`"Tasks":[{"State":"Failed"},{"State":"Failed","Code":"Two"}]`, "Two "},
		"object":          {`"Tasks":[{"State":"Failed","ResultInfo":{"ObjectInfo":[{"Code":"Success"},{"Code":"Gone","Message":"m"}]}},{"State":"Failed","Code":"Two"}]`, "Gone m"},
		"object_of_good":  {`"Tasks":{"State":"Success","Code":"Success","ResultInfo":{"SpriteObjectInfo":{"Code":"Gone"}}}`, "Gone "},
		"code_alone":      {`"Tasks":{"Code":"InvalidArgument"}`, "InvalidArgument "},
		"cancelled":       {`"Tasks":{"State":"Cancel","Message":"m"}`, " "},
		"under_way":       {`"Tasks":[{"State":"Running","Code":"Success","Message":"success"}]`, " "},
		"none":            {`"Tasks":[{"State":"Success","Code":"OK"},{"State":"Success","Code":"0"}]`, " "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := decodeOne(t, `{"WorkflowExecution":{"RunId":"i1","State":"Failed",`+test.run+`}}`)
			if got := r.Code + " " + r.Message; got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
