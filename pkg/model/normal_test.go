package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// TestNormalForm has in each case what stands beside the JobId in a JobsDetail, as XML or
// as JSON members, and the same in normal form.
func TestNormalForm(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ xml, json, want string }{
		"sorted":              {xml: `<b>1</b><a>2</a><B>3</B>`, json: `"b":"1","a":"2","B":"3"`, want: `"B":"3","JobId":"j1","a":"2","b":"1"`},
		"numbers_as_sent":     {xml: `<a>-0</a><b>1E+5</b><c>1.50</c>`, json: `"a":-0,"b":1E+5,"c":1.50`, want: `"JobId":"j1","a":"-0","b":"1E+5","c":"1.50"`},
		"long_number":         {xml: `<a>12345678901234567890.0000</a>`, json: `"a":12345678901234567890.0000`, want: `"JobId":"j1","a":"12345678901234567890.0000"`},
		"booleans":            {xml: `<a>true</a><b>false</b>`, json: `"a":true,"b":false`, want: `"JobId":"j1","a":"true","b":"false"`},
		"empties":             {xml: `<a/><b></b><c> </c><d><e/><f> </f></d>`, json: `"a":null,"b":"","c":" ","d":{"e":{},"f":[]},"g":[[],{},[{}]]`, want: `"JobId":"j1"`},
		"text_kept_whole":     {xml: "<a> x\n y </a>", json: `"a":" x\n y "`, want: `"JobId":"j1","a":" x\n y "`},
		"escapes":             {xml: "<a>&lt;&amp;&gt;\"\\\u2028\u2029\t\u007f</a>", json: `"a":"<&>\"\\\u2028\u2029\t\u007F"`, want: `"JobId":"j1","a":"<&>\"\\\u2028\u2029\t` + "\u007f" + `"`},
		"control_characters":  {json: `"a":"\b\f\n\r\t\u0000\u001F\/"`, want: `"JobId":"j1","a":"\b\f\n\r\t\u0000\u001f/"`},
		"surrogate_pair":      {xml: `<a>&#x1F600;</a>`, json: `"a":"\uD83D\ude00"`, want: `"JobId":"j1","a":"😀"`},
		"replacement_as_sent": {xml: "<a>\uFFFD</a>", json: `"a":"\ufffd"`, want: `"JobId":"j1","a":"` + "\uFFFD" + `"`},
		"references":          {xml: `<a>&#xD7FF;&#xE000;&#65533;</a><b><![CDATA[&#xD800;]]></b><c>&amp;#xD800;</c>`, json: `"a":"\uD7FF\uE000\uFFFD","b":"&#xD800;","c":"&#xD800;"`, want: `"JobId":"j1","a":"` + "\uD7FF\uE000\uFFFD" + `","b":"&#xD800;","c":"&#xD800;"`},
		"cdata_and_comments":  {xml: `<a>x<![CDATA[<y>]]><!-- no --><!----><?no?>&#122;</a>`, json: `"a":"x<y>z"`, want: `"JobId":"j1","a":"x<y>z"`},
		"cdata_alone":         {xml: `<a><![CDATA[]]></a><b><![CDATA[ ]]></b><c><![CDATA[x]]></c>`, json: `"c":"x"`, want: `"JobId":"j1","c":"x"`},
		"line_ends_of_xml":    {xml: "<a>x\r\ny\rz&#13;</a>", json: `"a":"x\ny\nz\r"`, want: `"JobId":"j1","a":"x\ny\nz\r"`},
		"attributes":          {xml: `<a b="c" d='e>'>x</a><f g="h"/>`, json: `"a":"x"`, want: `"JobId":"j1","a":"x"`},
		"text_beside":         {xml: `<a>x<b>1</b>y</a>`, json: `"a":{"#text":["x","y"],"b":1}`, want: `"JobId":"j1","a":{"#text":["x","y"],"b":"1"}`},
		"text_beside_empty":   {xml: `<a>x<b/></a>`, json: `"a":"x"`, want: `"JobId":"j1","a":"x"`},
		"text_behind":         {xml: `<a><b>1</b>y</a>`, json: `"a":{"#text":"y","b":1}`, want: `"JobId":"j1","a":{"#text":"y","b":"1"}`},
		"last_character":      {xml: `<a>&#x10FFFF;&#xFFFD;</a>`, json: `"a":"\udbff\udfff\ufffd"`, want: `"JobId":"j1","a":"` + "\U0010FFFF\uFFFD" + `"`},
		"names_of_letters":    {xml: "<é名𐀀·\u0300\u036f\u203f\u2040-.9_:>1</é名𐀀·\u0300\u036f\u203f\u2040-.9_: >", json: "\"é名𐀀·\u0300\u036f\u203f\u2040-.9_:\":1", want: "\"JobId\":\"j1\",\"é名𐀀·\u0300\u036f\u203f\u2040-.9_:\":\"1\""},
		"prefixed_names":      {xml: `<n:a>1</n:a>`, json: `"n:a":1`, want: `"JobId":"j1","n:a":"1"`},
		"odd_names":           {json: `"":1,"a\"\n":{"é":2}`, want: `"":"1","JobId":"j1","a\"\n":{"é":"2"}`},
		"repeated":            {xml: `<a>1</a><b>x</b><a>2</a>`, json: `"a":[1,"2"],"b":"x"`, want: `"JobId":"j1","a":["1","2"],"b":"x"`},
		"many_keep_their_order": {
			xml:  strings.Repeat(`<b/><a>1</a><a>2</a><c>3</c><a>0</a>`, 20),
			json: strings.Repeat(`"a":[1,2],"c":3,"a":0,`, 20) + `"b":[]`,
			want: `"JobId":"j1","a":["1","2","0"` + strings.Repeat(`,"1","2","0"`, 19) + `],"c":["3"` + strings.Repeat(`,"3"`, 19) + `]`,
		},
		"member_twice":       {json: `"a":1,"b":"x","a":[2,3]`, want: `"JobId":"j1","a":["1","2","3"],"b":"x"`},
		"array_of_one":       {xml: `<a>1</a>`, json: `"a":[1]`, want: `"JobId":"j1","a":"1"`},
		"array_of_one_left":  {xml: `<a/><a>1</a>`, json: `"a":[null,1,{}]`, want: `"JobId":"j1","a":"1"`},
		"nested_arrays":      {json: `"a":[[1,2],[3],[[4,5],6]]`, want: `"JobId":"j1","a":[["1","2"],"3",[["4","5"],"6"]]`},
		"nested_arrays_of_1": {json: `"a":[[[1,2]]],"b":[[[3]]]`, want: `"JobId":"j1","a":["1","2"],"b":"3"`},

		"output_file": {
			xml:  `<OutputFile><ObjectName>a</ObjectName><Md5Info><Md5>0</Md5><ObjectName>a</ObjectName></Md5Info></OutputFile>`,
			json: `"OutputFile":[{"ObjectName":"a","Md5Info":{"Md5":0,"ObjectName":["a"]}}]`,
			want: `"JobId":"j1","OutputFile":{"Md5Info":[{"Md5":"0","ObjectName":"a"}],"ObjectName":["a"]}`,
		},
		"output_file_in_nested_array": {
			json: `"OutputFile":[[{"ObjectName":"a"},"b"]]`,
			want: `"JobId":"j1","OutputFile":[{"ObjectName":["a"]},"b"]`,
		},
		"output_file_in_array_in_array": {
			json: `"OutputFile":[[{"ObjectName":"a"},"b"],"c"]`,
			want: `"JobId":"j1","OutputFile":[[{"ObjectName":["a"]},"b"],"c"]`,
		},
		"sprite": {
			xml:  `<SpriteOutputFile><ObjectName>a</ObjectName><Md5Info/></SpriteOutputFile>`,
			json: `"SpriteOutputFile":{"ObjectName":"a"}`,
			want: `"JobId":"j1","SpriteOutputFile":{"ObjectName":["a"]}`,
		},
		"streams": {
			xml:  `<Stream><Audio><Index>1</Index></Audio><Video><Index>0</Index></Video><Subtitle/></Stream>`,
			json: `"Stream":{"Audio":[{"Index":1}],"Video":{"Index":"0"}}`,
			want: `"JobId":"j1","Stream":{"Audio":[{"Index":"1"}],"Video":[{"Index":"0"}]}`,
		},
		"audio_elsewhere": {
			xml:  `<Transcode><Audio><Codec>aac</Codec></Audio></Transcode>`,
			json: `"Transcode":{"Audio":[{"Codec":"aac"}]}`,
			want: `"JobId":"j1","Transcode":{"Audio":{"Codec":"aac"}}`,
		},
		"headers_as_list": {
			xml:  `<CosHeaders><Key>k</Key><Value>v</Value></CosHeaders>`,
			json: `"CosHeaders":{"Key":"k","Value":"v"}`,
			want: `"CosHeaders":[{"Key":"k","Value":"v"}],"JobId":"j1"`,
		},
		"headers_as_map": {
			xml:  `<CosHeaders><x-cos-meta-id>1</x-cos-meta-id></CosHeaders>`,
			json: `"CosHeaders":{"x-cos-meta-id":1}`,
			want: `"CosHeaders":{"x-cos-meta-id":"1"},"JobId":"j1"`,
		},
		"verdicts": {
			xml:  `<PornInfo><OcrResults><Text>t</Text><Keywords>k</Keywords></OcrResults><Keywords>k</Keywords></PornInfo><Section><Url>u</Url></Section>`,
			json: `"PornInfo":{"OcrResults":[{"Text":"t","Keywords":["k"]}],"Keywords":["k"]},"Section":{"Url":"u"}`,
			want: `"JobId":"j1","PornInfo":{"Keywords":["k"],"OcrResults":[{"Keywords":["k"],"Text":"t"}]},"Section":[{"Url":"u"}]`,
		},
		"viruses": {
			xml:  `<DetectDetail><Result><FileName>f</FileName></Result></DetectDetail>`,
			json: `"DetectDetail":{"Result":{"FileName":"f"}}`,
			want: `"DetectDetail":[{"Result":[{"FileName":"f"}]}],"JobId":"j1"`,
		},
		"text_seen_in_a_picture": {
			xml:  `<Snapshot><OcrHitInfos><Text>t</Text><HitInfos><Type>Custom</Type><Positions><StartPos>0</StartPos></Positions></HitInfos></OcrHitInfos></Snapshot>`,
			json: `"Snapshot":{"OcrHitInfos":{"Text":"t","HitInfos":{"Type":"Custom","Positions":{"StartPos":0}}}}`,
			want: `"JobId":"j1","Snapshot":[{"OcrHitInfos":{"HitInfos":[{"Positions":[{"StartPos":"0"}],"Type":"Custom"}],"Text":"t"}}]`,
		},
		"verdicts_elsewhere": {
			xml:  `<Other><OcrResults>o</OcrResults><LibResults>l</LibResults></Other>`,
			json: `"Other":{"OcrResults":["o"],"LibResults":["l"]}`,
			want: `"JobId":"j1","Other":{"LibResults":"l","OcrResults":"o"}`,
		},
		"picture_result": {
			xml:  `<Operation><PicProcessResult><ObjectName>a</ObjectName></PicProcessResult></Operation>`,
			json: `"Operation":{"PicProcessResult":[{"ObjectName":"a"}]}`,
			want: `"JobId":"j1","Operation":{"PicProcessResult":{"ObjectName":"a"}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bodies := []string{
				`{"JobsDetail":{"JobId":"j1",` + test.json + `}}`,
				`{"Response":{"JobsDetail":[{` + test.json + `,"JobId":"j1"}]}}`,
			}
			if test.xml != "" {
				bodies = append(bodies, `<Response><JobsDetail><JobId>j1</JobId>`+test.xml+`</JobsDetail></Response>`)
			}
			for _, body := range bodies {
				if diff := cmp.Diff("{"+test.want+"}", string(decodeOne(t, body).Detail)); diff != "" {
					t.Errorf("%s, -want +got:\n%s", body, diff)
				}
			}
		})
	}
}

// TestRepeatables asserts that each row of the table makes an array of a node that occurs
// once, and in that parent alone.
func TestRepeatables(t *testing.T) {
	t.Parallel()
	for _, row := range model.Repeatables {
		parent := strings.Replace(row.Parent, "*", "Porn", 1)
		if _, isArray := childOf(t, parent, row.Name).([]any); !isArray {
			t.Errorf("%s in %s is no array", row.Name, row.Parent)
		}
		if got := childOf(t, "Elsewhere", row.Name); got != "x" {
			t.Errorf("%s in Elsewhere is %v", row.Name, got)
		}
		if row.Source == "" {
			t.Errorf("%s in %s has no source", row.Name, row.Parent)
		}
	}
	if !slices.IsSortedFunc(model.Repeatables, func(a, b model.Repeatable) int {
		return slices.Compare([]string{a.Parent, a.Name}, []string{b.Parent, b.Name})
	}) {
		t.Error("the table is not sorted, so that the search does not find every row")
	}
}

// childOf returns a child that occurs once in its parent, in normal form.
func childOf(t *testing.T, parent, child string) any {
	t.Helper()
	body := fmt.Sprintf(`{"JobsDetail":{"JobId":"j1","_":{%q:{%q:"x"}}}}`, parent, child)
	path := []string{"_", parent, child}
	switch parent {
	case "JobsDetail":
		body, path = fmt.Sprintf(`{"JobsDetail":{"JobId":"j1",%q:"x"}}`, child), path[2:]
	case "WorkflowExecution":
		body, path = fmt.Sprintf(`{"WorkflowExecution":{"RunId":"i1",%q:"x"}}`, child), path[2:]
	}
	var node any
	if err := json.Unmarshal(decodeOne(t, body).Detail, &node); err != nil {
		t.Fatal(err)
	}
	for _, name := range path {
		node = node.(map[string]any)[name]
	}
	return node
}

// TestDetailIsWhole asserts what detail is of, for each kind.
func TestDetailIsWhole(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"job":           {`{"EventName":"TaskFinish","Other":"o","JobsDetail":{"JobId":"j1"}}`, `{"JobId":"j1"}`},
		"workflow":      {`{"EventName":"WorkflowFinish","WorkflowExecution":{"RunId":"i1","Tasks":{"Type":"t"}}}`, `{"RunId":"i1","Tasks":[{"Type":"t"}]}`},
		"simple_review": {`{"code":0,"message":"m","data":{"trace_id":"s1","cos_headers":{"a":"b"}},"more":["x"]}`, `{"code":"0","data":{"cos_headers":{"a":"b"},"trace_id":"s1"},"message":"m","more":"x"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, string(decodeOne(t, test.body).Detail)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestEncode asserts the bytes of a record: the order of its fields, what is left
// out, <, > and & as themselves, and the newline.
func TestEncode(t *testing.T) {
	t.Parallel()
	full := model.Record{
		Version: 2, Kind: "job", ID: "i", Source: "q", Event: "e", State: "s", Verdict: "v", Label: "l", Code: "c", Message: "<&>\u2028", Tag: "t", SubTag: "st", QueueID: "q",
		CreationTime: "ct", StartTime: "bt", EndTime: "et",
		Input:    &model.Input{Object: model.Object{Bucket: "b", Region: "r", Key: "k"}, URL: "u"},
		Outputs:  []model.Output{{Object: model.Object{Bucket: "b", Region: "r", Key: "k"}, MD5: "m"}, {Object: model.Object{Key: "k2"}}},
		Workflow: &model.WorkflowRef{RunID: "r", WorkflowID: "w", WorkflowName: "n", Name: "x"},
		UserData: "u", Detail: json.RawMessage(`{"a":"<&>"}`),
	}
	tests := map[string]struct {
		record model.Record
		want   string
	}{
		"full": {full, `{"version":2,"kind":"job","id":"i","source":"q","event":"e","state":"s","verdict":"v","label":"l","code":"c","message":"<&>\u2028","tag":"t","subTag":"st","queueId":"q",` +
			`"creationTime":"ct","startTime":"bt","endTime":"et","input":{"bucket":"b","region":"r","object":"k","url":"u"},` +
			`"outputs":[{"bucket":"b","region":"r","object":"k","md5":"m"},{"object":"k2"}],` +
			`"workflow":{"runId":"r","workflowId":"w","workflowName":"n","name":"x"},"userData":"u","detail":{"a":"<&>"}}` + "\n"},
		"least": {model.Record{Version: 2, Kind: "job", ID: "i", State: "s", Detail: json.RawMessage(`{}`)},
			`{"version":2,"kind":"job","id":"i","state":"s","detail":{}}` + "\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.record.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for kind, want := range map[model.Kind]string{
		model.KindJob: "ci/jobs/x.json", model.KindWorkflow: "ci/workflows/x.json", model.KindReview: "ci/reviews/x.json",
	} {
		r := model.Record{Kind: kind, ID: "x"}
		if got := r.Key("ci/"); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}
