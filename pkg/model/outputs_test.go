package model_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOutputs has in each case what stands in Operation, and the outputs as
// bucket/region/key=md5. Every job has in-1 and ap-in for Input.
func TestOutputs(t *testing.T) {
	t.Parallel()
	const (
		md5a   = "0123456789abcdef0123456789abcdef"
		md5b   = "00000000000000000000000000000000"
		output = `"Output":{"Bucket":"out-1","Region":"ap-out","Object":"out/${Number}.jpg"},`
	)
	media := func(file string) string { return output + `"MediaResult":{"OutputFile":{` + file + `}}` }
	tests := map[string]struct {
		operation string
		state     string // Success unless given
		want      []string
	}{
		"one": {operation: media(`"Bucket":"b-1","Region":"ap-1","ObjectName":"a","Md5Info":{"Md5":"` + md5a + `","ObjectName":"a"}`), want: []string{"b-1/ap-1/a=" + md5a}},
		"by_key_not_by_position": {
			operation: media(`"ObjectName":["a","b"],"Md5Info":[{"Md5":"` + md5b + `","ObjectName":"b"},{"Md5":"` + md5a + `","ObjectName":"a"}]`),
			want:      []string{"out-1/ap-out/a=" + md5a, "out-1/ap-out/b=" + md5b},
		},
		"segment_relative_names_full_md5s": {
			operation: media(`"ObjectPrefix":"out/seg-","ObjectName":["0","1"],"Md5Info":[{"Md5":"` + md5a + `","ObjectName":"out/seg-0"},{"Md5":"` + md5b + `","ObjectName":"out/seg-1"}]`),
			want:      []string{"out-1/ap-out/out/seg-0=" + md5a, "out-1/ap-out/out/seg-1=" + md5b},
		},
		"segment_all_relative": {
			operation: media(`"ObjectPrefix":"out/seg-","ObjectName":"0","Md5Info":{"Md5":"` + md5a + `","ObjectName":"0"}`),
			want:      []string{"out-1/ap-out/out/seg-0=" + md5a},
		},
		"full_key_already": {
			operation: media(`"ObjectPrefix":"out/seg-","ObjectName":"out/seg-0","Md5Info":{"Md5":"` + md5a + `","ObjectName":"out/seg-0"}`),
			want:      []string{"out-1/ap-out/out/seg-0=" + md5a},
		},
		"name_that_begins_with_its_prefix": {
			operation: media(`"ObjectPrefix":"a/","ObjectName":"a/b","Md5Info":{"Md5":"` + md5a + `","ObjectName":"a/a/b"}`),
			want:      []string{"out-1/ap-out/a/a/b=" + md5a},
		},
		"short_prefix": {
			operation: media(`"ObjectPrefix":"1","ObjectName":["0.jpg","1.jpg","10.jpg"]`),
			want:      []string{"out-1/ap-out/10.jpg", "out-1/ap-out/11.jpg", "out-1/ap-out/110.jpg"},
		},
		"short_prefix_md5_knows": {
			operation: media(`"ObjectPrefix":"1","ObjectName":["1.jpg"],"Md5Info":[{"Md5":"` + md5a + `","ObjectName":"11.jpg"}]`),
			want:      []string{"out-1/ap-out/11.jpg=" + md5a},
		},
		"longest_key": {
			operation: media(`"ObjectName":["` + strings.Repeat("k", 850) + `","` + strings.Repeat("l", 851) + `"]`),
			want:      []string{"out-1/ap-out/" + strings.Repeat("k", 850)},
		},
		"longest_prefix_and_key": {
			operation: media(`"ObjectPrefix":"/` + strings.Repeat("p", 848) + `/","ObjectName":["1","22"]`),
			want:      []string{"out-1/ap-out/" + strings.Repeat("p", 848) + "/1"},
		},
		"md5_of_too_long_a_key": {
			operation: media(`"ObjectPrefix":"` + strings.Repeat("p", 850) + `","ObjectName":["` + strings.Repeat("p", 850) + `"],"Md5Info":{"Md5":"` + md5a + `","ObjectName":"x"}`),
			want:      []string{"out-1/ap-out/" + strings.Repeat("p", 850)},
		},
		"longest_whole_key": {
			operation: media(`"ObjectPrefix":"` + strings.Repeat("p/", 200) + `","ObjectName":["` + strings.Repeat("p/", 424) + `kk"]`),
			want:      []string{"out-1/ap-out/" + strings.Repeat("p/", 424) + "kk"},
		},
		"leading_slash": {
			operation: media(`"ObjectName":"/out/a.mp3","Md5Info":{"Md5":"` + md5a + `","ObjectName":"/out/a.mp3"}`),
			want:      []string{"out-1/ap-out/out/a.mp3=" + md5a},
		},
		"leading_slash_in_prefix": {
			operation: media(`"ObjectPrefix":"/out/","ObjectName":["a.mp3"],"Md5Info":{"Md5":"` + md5a + `","ObjectName":"out/a.mp3"}`),
			want:      []string{"out-1/ap-out/out/a.mp3=" + md5a},
		},
		"one_slash_only":       {operation: media(`"ObjectName":"//a"`), want: []string{"out-1/ap-out//a"}},
		"md5_in_capitals":      {operation: media(`"ObjectName":"a","Md5Info":{"Md5":"` + strings.ToUpper(md5a) + `","ObjectName":"a"}`), want: []string{"out-1/ap-out/a=" + md5a}},
		"md5_too_short":        {operation: media(`"ObjectName":"a","Md5Info":{"Md5":"` + md5a[1:] + `","ObjectName":"a"}`), want: []string{"out-1/ap-out/a"}},
		"md5_not_hex":          {operation: media(`"ObjectName":"a","Md5Info":{"Md5":"` + md5a[1:] + `g","ObjectName":"a"}`), want: []string{"out-1/ap-out/a"}},
		"md5_in_quotes":        {operation: media(`"ObjectName":"a","Md5Info":{"Md5":"\"` + md5a + `\"","ObjectName":"a"}`), want: []string{"out-1/ap-out/a"}},
		"md5_without_name":     {operation: media(`"ObjectName":"a","Md5Info":{"Md5":"` + md5a + `"}`), want: []string{"out-1/ap-out/a"}},
		"md5_of_another":       {operation: media(`"ObjectName":"a","Md5Info":{"Md5":"` + md5a + `","ObjectName":"b"}`), want: []string{"out-1/ap-out/a", "out-1/ap-out/b=" + md5a}},
		"md5_empty":            {operation: media(`"ObjectName":["a","b"],"Md5Info":[{},""]`), want: []string{"out-1/ap-out/a", "out-1/ap-out/b"}},
		"named_twice":          {operation: media(`"ObjectName":["a","/a"]`), want: []string{"out-1/ap-out/a"}},
		"template_as_name":     {operation: media(`"ObjectName":["a-${Number}","b"]`), want: []string{"out-1/ap-out/b"}},
		"bucket_of_the_input":  {operation: `"MediaResult":{"OutputFile":{"ObjectName":"a"}}`, want: []string{"in-1/ap-in/a"}},
		"region_of_the_output": {operation: `"Output":{"Region":"ap-out"},"MediaResult":{"OutputFile":{"Bucket":"b-1","ObjectName":"a"}}`, want: []string{"b-1/ap-out/a"}},
		"sprite_beside": {
			operation: output + `"MediaResult":{"OutputFile":{"ObjectName":"0","ObjectPrefix":"s/"},"SpriteOutputFile":{"Bucket":"b-2","ObjectName":"sprite","ObjectPrefix":"s/"}}`,
			want:      []string{"out-1/ap-out/s/0", "b-2/ap-out/s/sprite"},
		},
		"sprite_within": {
			operation: media(`"ObjectName":"0","SpriteOutputFile":{"ObjectName":["1","2"],"ObjectPrefix":"s/"}`),
			want:      []string{"out-1/ap-out/0", "out-1/ap-out/s/1", "out-1/ap-out/s/2"},
		},
		"media_result_twice": {
			operation: output + `"MediaResult":[{"OutputFile":{"ObjectName":"a"}},{"OutputFile":[{"ObjectName":"b"},{"ObjectName":"c"}]}]`,
			want:      []string{"out-1/ap-out/a", "out-1/ap-out/b", "out-1/ap-out/c"},
		},

		"media_result_in_nested_array": {
			operation: output + `"MediaResult":[[{"OutputFile":{"ObjectName":"a"}},{"OutputFile":{"ObjectName":"b"}}]]`,
			want:      []string{"out-1/ap-out/a", "out-1/ap-out/b"},
		},

		"output_object":            {operation: `"Output":{"Bucket":"out-1","Region":"ap-out","Object":"/out/a.mp4"}`, want: []string{"out-1/ap-out/out/a.mp4"}},
		"output_object_failed":     {operation: `"Output":{"Object":"a.mp4"}`, state: "Failed"},
		"output_object_template":   {operation: output + `"MediaResult":{"OutputFile":{}}`},
		"output_not_beside_media":  {operation: `"Output":{"Object":"a.mp4"},"MediaResult":{"OutputFile":{"ObjectName":"b"}}`, want: []string{"in-1/ap-in/b"}},
		"media_result_of_a_failed": {operation: `"MediaResult":{"OutputFile":{"ObjectName":"b"}}`, state: "Failed", want: []string{"in-1/ap-in/b"}},
		"picture":                  {operation: output + `"PicProcessResult":[{"ObjectName":"/p.png"},{"ObjectName":"q.png"}]`, want: []string{"out-1/ap-out/p.png", "out-1/ap-out/q.png"}},
		"speech": {
			operation: output + `"SpeechRecognitionResult":{"ObjectName":"a.txt","DetailObjectName":"a.detail"}`,
			want:      []string{"out-1/ap-out/a.txt", "out-1/ap-out/a.detail"},
		},
		"document": {
			operation: output + `"DocProcessResult":{"PageInfo":[{"TgtUri":"p/1.jpg"},{"TgtUri":"p/2.jpg"},{"PageNo":"3"}]}`,
			want:      []string{"out-1/ap-out/p/1.jpg", "out-1/ap-out/p/2.jpg"},
		},
		"result_beside_output_object": {operation: `"Output":{"Object":"o"},"PicProcessResult":{"ObjectName":"p"}`, want: []string{"in-1/ap-in/p"}},
		"picture_failed":              {operation: `"Output":{"Object":"o"},"PicProcessResult":[{"ObjectName":"p","State":"Failed"}]`},
		"picture_failed_by_code":      {operation: `"Output":{"Object":"o"},"PicProcessResult":[{"ObjectName":"p","Code":"InvalidPicture"},{"ObjectName":"q","Code":"Success"}]`, want: []string{"in-1/ap-in/q"}},
		"picture_under_way":           {operation: `"PicProcessResult":[{"ObjectName":"p","State":"Running"},{"ObjectName":"q","State":"SUCCESS"}]`, want: []string{"in-1/ap-in/q"}},
		"picture_rule_failed":         {operation: `"Output":{"Object":"o"},"PicProcessResult":{"UploadResult":{"ProcessResults":{"Object":[{"Key":"p","Code":"x"}]}}}`},
		"picture_of_another_bucket":   {operation: `"PicProcessResult":{"UploadResult":{"ProcessResults":{"Object":{"Key":"/p","Location":"c-1.cos.ap-c.myqcloud.com/p","Md5":"` + strings.ToUpper(md5a) + `"}}}}`, want: []string{"c-1/ap-c/p=" + md5a}},
		"picture_accelerated":         {operation: `"PicProcessResult":{"UploadResult":{"ProcessResults":{"Object":{"Key":"p","Location":"c-1.cos.accelerate.myqcloud.com/p"}}}}`, want: []string{"c-1/ap-in/p"}},
		"operation_failed":            {operation: `"State":"Failed","MediaResult":{"OutputFile":{"ObjectName":"a"}}`},
		"file_failed":                 {operation: `"Output":{"Object":"o"},"MediaResult":{"OutputFile":[{"ObjectName":"a","State":"Failed"},{"ObjectName":"b"}]}`, want: []string{"in-1/ap-in/b"}},
		"same_file_twice":             {operation: `"Output":{"Object":"o"},"MediaResult":[{"OutputFile":{"ObjectName":"a"}},{"OutputFile":{"ObjectName":"a"}}]`, want: []string{"in-1/ap-in/a"}},
		"document_page_url":           {operation: `"DocProcessResult":{"PageInfo":[{"TgtUri":"https://c-1.cos.ap-c.myqcloud.com/p%201.jpg"},{"TgtUri":"https://example.com/p"}]}`, want: []string{"c-1/ap-c/p 1.jpg"}},
		"compressed":                  {operation: `"Output":{"Object":"a.zip"},"FileCompressResult":{"Bucket":"c-1","Region":"ap-c","Object":"b.zip"}`, want: []string{"c-1/ap-c/b.zip"}},
		"unzipped":                    {operation: `"FileUncompressResult":{"Bucket":"c-1","FileList":{"Contents":[{"Key":"a"},{"Key":"b/"},{"Key":""}]}}`, want: []string{"c-1/ap-in/a", "c-1/ap-in/b/"}},
		"unzipped_not_listed":         {operation: `"FileUncompressResult":{"Bucket":"c-1","FileCount":"7"},"Output":{"Bucket":"c-1"}`},
		"batch":                       {operation: `"Output":{"Object":"o/${InputName}"},"JobParam":{"MediaResult":{"OutputFile":{"ObjectName":"a"}}}`, want: []string{"in-1/ap-in/a"}},
		"batch_document":              {operation: `"JobParam":{"DocProcessResult":{"PageInfo":{"TgtUri":"p"}}}`, want: []string{"in-1/ap-in/p"}},
		"voices":                      {operation: `"Output":{"Object":"m","AuObject":"v","BassObject":"b","DrumObject":"d"}`, want: []string{"in-1/ap-in/m", "in-1/ap-in/v", "in-1/ap-in/b", "in-1/ap-in/d"}},
		"streams":                     {operation: `"Output":{"StreamExtract":[{"Index":"0","Object":"s0"},{"Index":"1","Object":"s1"}]}`, want: []string{"in-1/ap-in/s0", "in-1/ap-in/s1"}},
		"sprite_object":               {operation: `"Output":{"Object":"a-${Number}.jpg","SpriteObject":"sprite.jpg"}`, want: []string{"in-1/ap-in/sprite.jpg"}},
		"object_url":                  {operation: `"MediaResult":{"OutputFile":{"ObjectName":["a","b"],"ObjectUrl":["https://c-1.cos.ap-c.myqcloud.com/b","https://example.com/a"]}}`, want: []string{"in-1/ap-in/a", "c-1/ap-c/b"}},
		"object_url_beside_a_bucket":  {operation: `"MediaResult":{"OutputFile":{"Bucket":"d-1","ObjectName":"a","ObjectUrl":"https://c-1.cos.ap-c.myqcloud.com/a"}}`, want: []string{"d-1/ap-in/a"}},
		"object_url_in_the_bucket":    {operation: `"MediaResult":{"OutputFile":{"Bucket":"c-1","ObjectName":"a","ObjectUrl":"https://c-1.cos.ap-c.myqcloud.com/a"}}`, want: []string{"c-1/ap-c/a"}},
		"object_url_beside_a_region":  {operation: `"MediaResult":{"OutputFile":{"Bucket":"c-1","Region":"ap-d","ObjectName":"a","ObjectUrl":"https://c-1.cos.ap-c.myqcloud.com/a"}}`, want: []string{"c-1/ap-d/a"}},
		"object_url_of_an_md5":        {operation: `"MediaResult":{"OutputFile":{"Md5Info":{"ObjectName":"a","Md5":"` + md5a + `"},"ObjectUrl":"https://c-1.cos.ap-c.myqcloud.com/a"}}`, want: []string{"c-1/ap-c/a=" + md5a}},
		"no_such_bucket":              {operation: `"MediaResult":{"OutputFile":{"Bucket":"B_1","Region":"ap-c","ObjectName":"a"}}`, want: []string{"/ap-c/a"}},
		"no_such_region":              {operation: `"MediaResult":{"OutputFile":{"Bucket":"c-1","Region":"x/..","ObjectName":"a"}}`, want: []string{"c-1//a"}},
		"control_character":           {operation: `"MediaResult":{"OutputFile":{"ObjectName":["a\u0001","b\u007f","c"]}}`, want: []string{"in-1/ap-in/c"}},
		"blank":                       {operation: `"MediaResult":{"OutputFile":{"ObjectPrefix":"/","ObjectName":["/","/a"]}}`, want: []string{"in-1/ap-in/a"}},
		"masked_video":                {operation: `"Output":{"Object":"m.mp4"},"VideoTargetRec":{"Face":"true","ProcessType":"Mosaic"},"VideoTargetRecResult":{"FaceRecognition":[{"Url":"https://in-1.cos.ap-in.myqcloud.com/in-1/a/1.jpg"}]}`, want: []string{"in-1/ap-in/m.mp4"}},
		"frames_of_a_video":           {operation: `"VideoTargetRecResult":{"BodyRecognition":[{"Url":"https://in-1.cos.ap-in.myqcloud.com/in-1/a/1.jpg"}]}`},
		"watermark_failed":            {operation: `"DigitalWatermark":{"IgnoreError":"true","State":"Failed"},"MediaResult":{"OutputFile":{"ObjectName":"a"}}`, want: []string{"in-1/ap-in/a"}},
		"not_all_compressed":          {operation: `"FileCompressResult":{"Object":"b.zip","ErrorDetail":{"ErrorCount":"1","ErrorFile":["a"]}}`, want: []string{"in-1/ap-in/b.zip"}},
		"play_list":                   {operation: `"Output":{"Object":"a.m3u8"},"MediaResult":{"OutputFile":{"ObjectName":"a.m3u8","Md5Info":[{"ObjectName":"a.m3u8","Md5":"` + md5a + `"}]}}`, want: []string{"in-1/ap-in/a.m3u8=" + md5a}},
		"text_seen":                   {operation: `"Detection":{"InputObjectName":"a.jpg","TextDetections":[{"DetectedText":"t"}]}`},
		"none":                        {operation: `"MediaInfo":{"Format":{"Size":1}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.state == "" {
				test.state = "Success"
			}
			body := fmt.Sprintf(`{"JobsDetail":{"JobId":"j1","State":%q,"Input":{"BucketId":"in-1","Region":"ap-in"},"Operation":{%s}}}`, test.state, test.operation)
			if diff := cmp.Diff(test.want, outputsOf(t, body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestTranslationOutputs has in each case the Type of what was translated, and what is asked
// for beside an Output.
func TestTranslationOutputs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		inputType, asked string
		want             []string
	}{
		"picture":                {"png", ``, []string{"b-1/ap-1/o.txt"}},
		"picture_text_alone":     {"png", `"NoNeedOutput":true,`, nil},
		"photograph_text_alone":  {"JPG", `"NoNeedOutput":"True",`, nil},
		"picture_text_and_file":  {"webp", `"NoNeedOutput":"false",`, []string{"b-1/ap-1/o.txt"}},
		"document_needs_no_file": {"pdf", `"NoNeedOutput":"true",`, []string{"b-1/ap-1/o.txt"}},
		"unknown_text_alone":     {"", `"NoNeedOutput":"true",`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := fmt.Sprintf(`{"JobsDetail":{"JobId":"j1","State":"Success","Tag":"Translation","Input":{"Object":"in","Type":%q},`+
				`"Operation":{%s"AITranslateResult":{"Result":"t"},"Output":{"Bucket":"b-1","Region":"ap-1","Object":"o.txt"}}}}`, test.inputType, test.asked)
			if diff := cmp.Diff(test.want, outputsOf(t, body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestManyOutputs takes what a snapshot or a segment job of the largest size says: 10,000
// relative names below a prefix, and the MD5s of whole or of relative keys.
func TestManyOutputs(t *testing.T) {
	t.Parallel()
	const pictures = 10_000
	prefix := strings.Repeat("folder/", 26) + "snapshot-"
	var names, whole, relative []string
	for i := range pictures {
		names = append(names, fmt.Sprintf(`"%d.jpg"`, i))
		whole = append(whole, fmt.Sprintf(`{"ObjectName":"%s%d.jpg","Md5":"%032d"}`, prefix, i, i))
		relative = append(relative, fmt.Sprintf(`{"ObjectName":"%d.jpg","Md5":"%032d"}`, i, i))
	}
	for name, md5s := range map[string]string{"without_md5s": "", "whole_md5s": strings.Join(whole, ","), "relative_md5s": strings.Join(relative, ",")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := outputsOf(t, fmt.Sprintf(`{"JobsDetail":{"JobId":"j1","State":"Success","Operation":{"MediaResult":{"OutputFile":{"Bucket":"examplebucket-1250000000","Region":"ap-chongqing",`+
				`"ObjectPrefix":%q,"ObjectName":[%s],"Md5Info":[%s]}}}}}`, prefix, strings.Join(names, ","), md5s))
			last := "examplebucket-1250000000/ap-chongqing/" + prefix + "9999.jpg"
			if md5s != "" {
				last += fmt.Sprintf("=%032d", pictures-1)
			}
			if len(got) != pictures || got[pictures-1] != last {
				t.Errorf("%d outputs, the last %s", len(got), got[len(got)-1])
			}
		})
	}
}

func outputsOf(t *testing.T, body string) []string {
	t.Helper()
	var got []string
	for _, o := range decodeOne(t, body).Outputs {
		s := o.Bucket + "/" + o.Region + "/" + o.Key
		if o.MD5 != "" {
			s += "=" + o.MD5
		}
		got = append(got, s)
	}
	return got
}

func TestWorkflowOutputs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tasks string
		want  []string
	}{
		"bucket_of_the_url": {
			tasks: `[{"ResultInfo":{"ObjectInfo":[{"ObjectName":"/a","ObjectUrl":"https://b-2-1250000000.cos.ap-beijing.myqcloud.com/a"}]}}]`,
			want:  []string{"b-2-1250000000/ap-beijing/a"},
		},
		"bucket_of_the_run": {
			tasks: `{"ResultInfo":{"ObjectInfo":{"ObjectName":"a","ObjectUrl":"https://cdn.example.com/a"}}}`,
			want:  []string{"b-1/ap-in/a"},
		},
		"not_a_cos_host": {
			tasks: `{"ResultInfo":{"ObjectInfo":{"ObjectName":"a","ObjectUrl":"https://b-1250000000.cos.ap-beijing.myqcloud.com.example.com/a"}}}`,
			want:  []string{"b-1/ap-in/a"},
		},
		"several": {
			tasks: `[{"ResultInfo":{"ObjectInfo":[{"ObjectName":"a"},{"ObjectName":"b"},{"Code":"x"}],"SpriteObjectInfo":{"ObjectName":"s"}}},{"Type":"t"},{"ResultInfo":{"ObjectInfo":{"ObjectName":"c"}}}]`,
			want:  []string{"b-1/ap-in/a", "b-1/ap-in/b", "b-1/ap-in/s", "b-1/ap-in/c"},
		},
		"failed_object": {
			tasks: `{"State":"Failed","ResultInfo":{"ObjectInfo":[{"ObjectName":"a","Code":"Success"},{"ObjectName":"b","Code":"ResourceDownloadFailed"},{"ObjectName":"c"}]}}`,
			want:  []string{"b-1/ap-in/a", "b-1/ap-in/c"},
		},
		"url_alone": {
			tasks: `{"ResultInfo":{"ObjectInfo":{"ObjectUrl":"https://c-1.cos.ap-c.myqcloud.com/a"}}}`,
			want:  []string{"c-1/ap-c/a"},
		},
		"judged_and_read": {
			tasks: `[{"JudgementInfo":{"ObjectCount":"1","JudgementResult":[{"ObjectName":"a","State":"Success"}]},"FileInfo":[{"BasicInfo":{"Object":"a"}}]},{"ResultInfo":{"ObjectInfo":{"InputObjectName":"a","ImageOcrResult":{"InputObjectName":"a"}}}}]`,
		},
		"none": {tasks: `[{"Type":"Transcode","State":"Success"}]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"WorkflowExecution":{"RunId":"i1","State":"Success","BucketId":"b-1","Region":"ap-in","Tasks":` + test.tasks + `}}`
			if diff := cmp.Diff(test.want, outputsOf(t, body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestReviewOutputs has in each case the MaskInfo of a review of a video.
func TestReviewOutputs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mask string
		want []string
	}{
		"masked_copy":   {`{"RecordInfo":{"Code":"Success","Output":{"Bucket":"c-1","Region":"ap-c","Object":"a"}}}`, []string{"c-1/ap-c/a"}},
		"its_bucket":    {`{"RecordInfo":{"Output":{"Object":"/a"}}}`, []string{"b-1/ap-in/a"}},
		"failed":        {`{"RecordInfo":{"Code":"InternalError","Output":{"Object":"a"}}}`, nil},
		"live_url":      {`{"LiveInfo":{"StartTime":"1","Output":"https://c-1.cos.ap-c.myqcloud.com/a"}}`, []string{"c-1/ap-c/a"}},
		"live_segments": {`{"LiveInfo":[{"Output":"a"},{"Output":"rtmp://live.example.com/b"},{"Output":"c"}]}`, []string{"b-1/ap-in/a", "b-1/ap-in/c"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"EventName":"ReviewVideo","JobsDetail":{"JobId":"av1","State":"Success","BucketId":"b-1","Region":"ap-in","Object":"in.mp4","MaskInfo":` + test.mask + `}}`
			if diff := cmp.Diff(test.want, outputsOf(t, body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
