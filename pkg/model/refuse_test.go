package model_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// refusal returns the error of a body that must be refused.
func refusal(t testing.TB, body string) *model.MalformedError {
	t.Helper()
	c, err := model.Decode([]byte(body))
	malformed, ok := errors.AsType[*model.MalformedError](err)
	if !ok {
		t.Fatalf("%.200s: error %v and %+v, not a MalformedError", body, err, c)
	}
	if c != nil {
		t.Errorf("%.200s: refused, and %+v", body, c)
	}
	return malformed
}

// TestRefusals asserts how the message of each refusal begins, which is what a user gets
// to read: where the fault is, and what. The rest of a message may be reworded.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"no_callback":      {"\n  a=b", `line 2, column 3: neither XML nor a`},
		"json_array":       {`[{"JobsDetail":{}}]`, `line 1, column 1: neither XML nor a`},
		"no_break_space":   {"\u00a0{}", "line 1, column 1: neither XML nor a JSON object: it starts with \"\\u00a0\""},
		"two_boms":         {"\uFEFF\uFEFF{}", "line 1, column 1: neither XML nor a JSON object: it starts with \"\\ufeff\""},
		"utf16":            {"\xff\xfe<\x00R\x00", `line 1, column 1: not UTF-8, the only`},
		"not_utf8_in_xml":  {"<R>\n<a>é\xe9</a></R>", `line 2, column 5: not UTF-8, the only`},
		"not_utf8_in_json": {"\uFEFF{\"a\":\"\xc0\x80\"}", `line 1, column 7: not UTF-8, the only`},
		"surrogate_bytes":  {"{\"a\":\"\xed\xa0\x80\"}", `line 1, column 7: not UTF-8, the only`},

		"no_job":              {`{"EventName":"TaskFinish"}`, `no job in it:`},
		"no_job_xml":          {`<html><body>hi</body></html>`, `no job in it:`},
		"no_job_text":         {`<Response>hi</Response>`, `no job in it:`},
		"empty_job":           {`<Response><EventName>TaskFinish</EventName><JobsDetail/></Response>`, `no job in it:`},
		"empty_object":        {`{}`, `no job in it:`},
		"two_wrappers":        {`{"Response":[{"JobsDetail":{"JobId":"j1"}},{"JobsDetail":{"JobId":"j2"}}]}`, `no job in it:`},
		"two_simple_reviews":  {`{"code":0,"data":[{"trace_id":"a"},{"trace_id":"b"}]}`, `no job in it:`},
		"job_is_a_text":       {`{"JobsDetail":"j2"}`, `JobsDetail[0]: not an object with`},
		"job_is_an_array":     {`{"JobsDetail":[[{"JobId":"j1"},{"JobId":"j2"}],"j3"]}`, `JobsDetail[0]: not an object with`},
		"no_id":               {`{"JobsDetail":[{"State":"Success"},{"State":"Failed"}]}`, `JobsDetail[0]: no JobId, or not`},
		"two_ids":             {`<Response><JobsDetail><JobId>a</JobId><JobId>b</JobId></JobsDetail></Response>`, `JobsDetail[0]: no JobId, or not`},
		"id_is_an_object":     {`{"JobsDetail":{"JobId":{"a":"b"}}}`, `JobsDetail[0]: no JobId, or not`},
		"no_run_id":           {`{"WorkflowExecution":{"JobId":"j1"}}`, `WorkflowExecution[0]: no RunId, or not`},
		"no_trace_id":         {`{"code":0,"data":{"JobId":"j1"}}`, `data: no trace_id, or not`},
		"id_with_a_slash":     {`{"JobsDetail":{"JobId":"../../x"}}`, `JobsDetail[0].JobId: "../../x" is not an`},
		"id_with_a_line_end":  {`{"JobsDetail":{"JobId":"j1\n"}}`, `JobsDetail[0].JobId: "j1\n" is not an`},
		"id_too_long":         {`{"WorkflowExecution":{"RunId":"` + strings.Repeat("a", 65) + `"}}`, `WorkflowExecution[0].RunId: "` + strings.Repeat("a", 65) + `" is not an id: it must be 1 to 64 letters, digits, _ or -`},
		"id_quoted_in_part":   {`{"data":{"trace_id":"` + strings.Repeat("é", 1000) + `"}}`, `data.trace_id: "` + strings.Repeat("é", 40) + `…" is not an id: it must be 1 to 96 letters, digits or any of _ - + / =`},
		"id_in_an_array":      {`{"JobsDetail":[{"JobId":"*"}]}`, `JobsDetail[0].JobId: "*" is not an`},
		"event_name_too_long": {`{"EventName":"` + strings.Repeat("e", 257) + `","JobsDetail":{"JobId":"j1"}}`, `EventName: longer than 256 bytes`},

		"xml_doctype":         {"<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY e \"v\">]><Response/>", `line 2, column 1: a DOCTYPE or other`},
		"xml_doctype_within":  {"<R><!ELEMENT a></R>", `line 1, column 4: a DOCTYPE or other`},
		"xml_entity":          {"<R>\n&e;</R>", `line 2, column 1: not well-formed XML: "&e;" stands`},
		"xml_surrogates":      {"<R>\n<a>x&#55357;&#56832;</a></R>", `line 2, column 5: a reference to half`},
		"xml_surrogate_hex":   {"<R>&#65;<a>&#x41;&#xdC00;</a></R>", `line 1, column 18: a reference to half`},
		"xml_encoding_spaced": {`<?xml version="1.0" encoding = 'GBK' ?><R/>`, `line 1, column 1: the body declares encoding`},
		"xml_encoding":        {`<?xml version="1.0" encoding="GBK"?><R/>`, `line 1, column 1: the body declares encoding "GBK"`},
		"xml_version":         {`<?xml version="1.1"?><R/>`, `line 1, column 1: the body is XML "1.1"`},
		"xml_unclosed":        {"<R>\n<a>x</a>\n", `line 3, column 1: the body ends inside`},
		"xml_cut_in_a_tag":    {`<R><a`, `line 1, column 6: not well-formed XML: the body ends`},
		"xml_wrong_end":       {"<R>\n <a></b></R>", `line 2, column 5: an end tag of`},
		"xml_wrong_prefix":    {`<R><n:a></m:a></R>`, `line 1, column 9: an end tag of`},
		"xml_end_alone":       {`<R/></R>`, `line 1, column 5: an end tag of`},
		"xml_two_roots":       {`<R/><R/>`, `line 1, column 5: a second root element,`},
		"xml_root_after_bare": {`<EventName>e</EventName><Other/>`, `line 1, column 25: a second root element,`},
		"xml_bare_after_root": {`<R/><JobsDetail/>`, `line 1, column 5: a second root element,`},
		"xml_text_behind":     {"<R/>\n é x", `line 2, column 2: text outside of the`},
		"xml_cdata_behind":    {`<R/><![CDATA[ ]]>`, `line 1, column 5: text outside of the`},
		"xml_space_entity":    {`<R/>&#32;`, `line 1, column 5: text outside of the`},
		"xml_no_break_space":  {"<R/>\u00a0", `line 1, column 5: text outside of the`},
		"xml_text_in_bare":    {`<EventName>e</EventName>x<JobsDetail/>`, `line 1, column 25: text outside of the`},
		"xml_comment_alone":   {`<!-- x -->`, `the body holds no`},
		"xml_control_char":    {"<R>\x01</R>", `line 1, column 4: not well-formed XML: the character U+0001`},
		"xml_char_reference":  {"<R><a>x&#8;</a></R>", `line 1, column 8: not well-formed XML: a reference to`},
		"xml_char_too_large":  {"<R>&#x110000;</R>", `line 1, column 4: not well-formed XML: "&#x110000;" stands`},
		"xml_char_no_digits":  {"<R>&#;</R>", `line 1, column 4: not well-formed XML: "&#;" stands`},
		"xml_char_sign":       {"<R>&#+65;</R>", `line 1, column 4: not well-formed XML: "&#+65;" stands`},
		"xml_char_fffe":       {"<R>\uFFFE</R>", `line 1, column 4: not well-formed XML: the character U+FFFE`},
		"xml_ampersand":       {"<R>a & b</R>", `line 1, column 6: not well-formed XML: & without`},
		"xml_cdata_end":       {"<R>a]]>b</R>", `line 1, column 7: not well-formed XML: ]]> outside`},
		"xml_cdata_cut":       {"<R><![CDATA[a]]</R>", `line 1, column 20: not well-formed XML: the body ends`},
		"xml_comment_cut":     {"<R><!--a</R>", `line 1, column 13: not well-formed XML: the body ends`},
		"xml_comment_dashes":  {"<R><!-- a -- b --></R>", `line 1, column 13: not well-formed XML: > was expected`},
		"xml_instruction_cut": {"<R><?a </R>", `line 1, column 12: not well-formed XML: the body ends`},
		"xml_name":            {"<R><1/></R>", `line 1, column 5: not well-formed XML: a name was expected`},
		"xml_colons":          {"<R><a:b:c/></R>", `line 1, column 5: not well-formed XML: "a:b:c" has`},
		"xml_slash":           {"<R><a/ ></R>", `line 1, column 7: not well-formed XML: > was expected`},
		"xml_end_tag":         {"<R></R x>", `line 1, column 8: not well-formed XML: > was expected`},
		"xml_attribute_cut":   {"<R a='b></R>", `line 1, column 13: not well-formed XML: the body ends`},
		"xml_attribute_less":  {"<R a='<'></R>", `line 1, column 7: not well-formed XML: < in the value`},
		"xml_attribute_text":  {"<R a='&e;'></R>", `line 1, column 7: not well-formed XML: "&e;" stands`},
		"xml_attribute_equal": {"<R a></R>", `line 1, column 5: not well-formed XML: = was expected`},
		"xml_attribute":       {`<R a=b></R>`, `line 1, column 6: not well-formed XML: an attribute's value`},

		"json_cut":               {"{\"JobsDetail\":[{\"JobId\":\n", `line 2, column 1, JobsDetail[0].JobId: the body ends where`},
		"json_cut_in_a_text":     {`{"a":"b`, `line 1, column 8, a: the body ends where`},
		"json_cut_in_an_object":  {`{"a":1`, `line 1, column 7: the body ends where`},
		"json_cut_in_an_array":   {`{"a":[1`, `line 1, column 8, a: the body ends where`},
		"json_trailing":          {"{}\n {}", `line 2, column 2: something follows the JSON`},
		"json_trailing_comma":    {`{"a":1,}`, `line 1, column 8: a name in quotes`},
		"json_comma_in_array":    {"{\"a\":[1,\n]}", `line 2, column 1, a[1]: a value was expected,`},
		"json_no_colon":          {`{"a" 1}`, `line 1, column 6: a colon was expected,`},
		"json_no_comma":          {`{"a":{"b":1 "c":2}}`, `line 1, column 13, a: a comma or }`},
		"json_wrong_end":         {`{"a":[1}`, `line 1, column 8, a: a comma or ]`},
		"json_name_unquoted":     {`{a:1}`, `line 1, column 2: a name in quotes`},
		"json_quotes":            {`{"a":'1'}`, `line 1, column 6, a: a value was expected,`},
		"json_word":              {`{"a":[tru]}`, `line 1, column 7, a[0]: a value was expected,`},
		"json_word_and_more":     {`{"a":nulls}`, `line 1, column 10: a comma or }`},
		"json_leading_zero":      {`{"é":01}`, `line 1, column 7: a comma or }`},
		"json_number_cut":        {`{"a":-}`, `line 1, column 6, a: a value was expected,`},
		"json_fraction_cut":      {`{"a":1.}`, `line 1, column 7: a comma or }`},
		"json_exponent_cut":      {`{"a":1e+}`, `line 1, column 7: a comma or }`},
		"json_plus":              {`{"a":+1}`, `line 1, column 6, a: a value was expected,`},
		"json_control_character": {"{\"a\":\"\n\"}", `line 1, column 7, a: a control character in`},
		"json_control_last":      {"{\"a\":\"\x1f\"}", `line 1, column 7, a: a control character in`},
		"json_escape":            {`{"a":"\x"}`, `line 1, column 7, a: "\\x" is no escape`},
		"json_escape_digits":     {`{"a":"\u12g4"}`, `line 1, column 7, a: "\\u" is no escape`},
		"json_escape_cut":        {`{"a":"\u12`, `line 1, column 7, a: "\\u" is no escape`},
		"json_escape_at_end":     {`{"a":"\`, `line 1, column 7, a: "\\" is no escape`},
		"json_half_pair":         {`{"a":["x\ud83d"]}`, `line 1, column 9, a[0]: half a surrogate pair`},
		"json_low_half":          {`{"a":"\ude00"}`, `line 1, column 7, a: half a surrogate pair`},
		"json_halves_swapped":    {`{"a":"\ude00\ud83d"}`, `line 1, column 7, a: half a surrogate pair`},
		"json_half_in_a_name":    {`{"\ud83dx":1}`, `line 1, column 3: half a surrogate pair`},
		"json_half_of_an_empty":  {`{"JobsDetail":{"JobId":"j1","a":["\ud83d"]}}`, `line 1, column 35, JobsDetail.a[0]: half a surrogate pair`},
		"json_comment":           {`{/*x*/}`, `line 1, column 2: a name in quotes`},
		"json_odd_path":          {`{"a\"b":{"":{"` + strings.Repeat("n", 100) + `":x}}}`, `line 1, column 117, a\"b..` + strings.Repeat("n", 80) + `…: a value was expected, not "x"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := refusal(t, test.body).Error(); !strings.HasPrefix(got, test.want) {
				t.Errorf("%s\ndoes not begin with %s", got, test.want)
			}
		})
	}
}

// TestWhereARefusalIs asserts the fields of the error that say where.
func TestWhereARefusalIs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want model.MalformedError
	}{
		"text": {"<R>\n</S>", model.MalformedError{Line: 2, Column: 1, Reason: `an end tag of "S" that closes nothing`}},
		"both": {"{\n\"a\":[0,x]}", model.MalformedError{Line: 2, Column: 8, Path: "a[1]", Reason: `a value was expected, not "x"`}},
		"path": {`{"JobsDetail":{"JobId":"?"}}`, model.MalformedError{Path: "JobsDetail[0].JobId", Reason: `"?" is not an id: it must be 1 to 64 letters, digits, _ or -`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(&test.want, refusal(t, test.body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestLimits reads bodies that are as large as they may be, which must decode, and
// larger by one, which must not.
func TestLimits(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	jobs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"JobId":"j%d"}`, i)
		}
		return `{"JobsDetail":[` + b.String()[1:] + `]}`
	}
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d"`, i)
		}
		return "[" + strings.TrimPrefix(b.String(), ",") + "]"
	}
	outputs := func(files string) string {
		return `{"JobsDetail":[{"JobId":"j1","Operation":{"MediaResult":{"OutputFile":[` + files + `]}}}]}`
	}
	tests := map[string]struct {
		body  func(n int) string
		limit int
		want  string // of the refusal of one more
	}{
		"id": {
			func(n int) string { return `{"JobsDetail":{"JobId":"` + repeat("a", n) + `"}}` }, 64,
			`JobsDetail[0].JobId: "` + repeat("a", 65) + `" is not an id: it must be 1 to 64 letters, digits, _ or -`,
		},
		"event": {
			func(n int) string {
				return `<R><EventName>` + repeat("e", n) + `</EventName><JobsDetail><JobId>j1</JobId></JobsDetail></R>`
			}, model.MaxEventBytes, `EventName: longer than 256 bytes`,
		},
		"depth_xml": {
			func(n int) string {
				return `<JobsDetail><JobId>j1</JobId>` + repeat("<a>", n-1) + "x" + repeat("</a>", n-1) + `</JobsDetail>`
			}, model.MaxDepth, `line 1, column 219: elements nest deeper than 64`,
		},
		"depth_objects": {
			func(n int) string {
				return `{"JobsDetail":{"JobId":"j1"` + repeat(`,"a":{"b":1`, n-2) + repeat("}", n)
			}, model.MaxDepth, `line 1, column 715, JobsDetail` + repeat(".a", 63) + `: objects and arrays nest deeper than 64`,
		},
		"depth_arrays": {
			func(n int) string {
				return `{"JobsDetail":{"JobId":"j1","a":` + repeat("[", n-2) + repeat("]", n-2) + `}}`
			},
			model.MaxDepth, `line 1, column 95, JobsDetail.a` + repeat("[0]", 62) + `: objects and arrays nest deeper than 64`,
		},
		"jobs": {jobs, model.MaxJobs, `JobsDetail[1000]: more than 1000 jobs in one callback`},
		"jobs_of_one_id": {
			func(n int) string { return `{"JobsDetail":[` + repeat(`{"JobId":"j1"},`, n-1) + `{"JobId":"j1"}]}` },
			model.MaxJobs, `JobsDetail[1000]: more than 1000 jobs in one callback`,
		},
		"jobs_and_runs": {
			func(n int) string {
				return `{"WorkflowExecution":{"RunId":"i1"},` + jobs(n - 1)[1:]
			}, model.MaxJobs, `JobsDetail[999]: more than 1000 jobs in one callback`,
		},
		"nodes_numbers": {
			func(n int) string {
				return `{"JobsDetail":{"JobId":"j1","a":[` + repeat("1,", n-5) + `1]}}` // 4 more: two objects, an array, an id
			}, model.MaxNodes, fmt.Sprintf(`line 1, column %d, JobsDetail.a[399996]: more than 400000 values`, 34+2*399996),
		},
		"nodes_empty": {
			func(n int) string { return `{"JobsDetail":{"JobId":"j1","a":[` + repeat("{},", n-5) + `[]]}}` },
			model.MaxNodes, fmt.Sprintf(`line 1, column %d, JobsDetail.a[399996]: more than 400000 values`, 34+3*399996),
		},
		"nodes_member_arrays": {
			func(n int) string { return `{"JobsDetail":{"JobId":"j1"` + repeat(`,"":[]`, n-3) + `}}` },
			model.MaxNodes, fmt.Sprintf(`line 1, column %d, JobsDetail.: more than 400000 values`, 32+6*399997),
		},
		"nodes_elements": {
			func(n int) string { return `<JobsDetail><JobId>j1</JobId>` + repeat("<a/>", n-2) + `</JobsDetail>` },
			model.MaxNodes, fmt.Sprintf(`line 1, column %d: more than 400000 elements and attributes`, 30+4*399998),
		},
		"nodes_attributes_in_many_tags": {
			func(n int) string {
				return `<JobsDetail><JobId>j1</JobId>` + repeat(`<a b=""/>`, (n-2)/2) + repeat(`<c/>`, n%2) + `</JobsDetail>`
			}, model.MaxNodes, fmt.Sprintf(`line 1, column %d: more than 400000 elements and attributes`, 30+9*199999),
		},
		"outputs": {
			func(n int) string { return outputs(`{"ObjectName":` + names(n) + `}`) }, model.MaxOutputs,
			`JobsDetail[0]: more than 20000 outputs of one job`,
		},
		"outputs_of_two_files": {
			func(n int) string { return outputs(`{"ObjectName":"x"},{"ObjectName":` + names(n-1) + `}`) }, model.MaxOutputs,
			`JobsDetail[0]: more than 20000 outputs of one job`,
		},
		"nodes_attributes": {
			func(n int) string {
				return `<JobsDetail><JobId>j1</JobId><a` + repeat(` b='>"='`, n-4) + ` c="/>"/>=</JobsDetail>` // 3 more: the elements
			}, model.MaxNodes, `line 1, column 30: more than 400000 elements and attributes`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := model.Decode([]byte(test.body(test.limit))); err != nil {
				t.Errorf("%d: %v", test.limit, err)
			}
			if diff := cmp.Diff(test.want, refusal(t, test.body(test.limit+1)).Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
