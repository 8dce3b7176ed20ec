package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// tree is a job as it is meant, before it is written as XML or JSON: a text, or
// members in the order that matters among those of one name.
type tree struct {
	name, text string
	kids       []tree
}

// names are those that the normal form treats on their own, and a few others.
var names = []string{
	"Input", "Operation", "MediaResult", "OutputFile", "SpriteOutputFile", "ObjectName", "ObjectPrefix", "Md5Info", "Md5",
	"Bucket", "BucketId", "Region", "Object", "Output", "StreamExtract", "Stream", "Audio", "Video", "Transcode", "Watermark",
	"CosHeaders", "Key", "Value", "Workflow", "RunId", "Name", "UserData", "State", "Code", "Message", "Tag", "EndTime",
	"PornInfo", "OcrResults", "Keywords", "Section", "Snapshot", "Results", "PageSegment", "DocProcessResult", "PageInfo", "TgtUri",
	"PicProcessResult", "SpeechRecognitionResult", "DetailObjectName", "Tasks", "ResultInfo", "ObjectInfo", "ObjectUrl",
	"a", "b", "x-cos-meta-id", "n.1", "_", "名",
}

func drawTree(depth int) *rapid.Generator[tree] {
	return rapid.Custom(func(t *rapid.T) tree {
		n := tree{name: rapid.SampledFrom(names).Draw(t, "name")}
		if depth > 0 && rapid.Bool().Draw(t, "object") {
			n.kids = rapid.SliceOfN(drawTree(depth-1), 1, 5).Draw(t, "kids")
		} else {
			n.text = drawText().Draw(t, "text")
		}
		return n
	})
}

// drawText returns a text that is not blank and that XML can hold.
func drawText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"0", "-1.50e+3", "1E5", "01", "true", "false", "null", "${Number}.jpg", "/out/a.mp4", "out/", "Success", "Failed",
			"2026-03-02T10:00:00+0800", "0123456789abcdef0123456789ABCDEF", "<&>\"'", "]]>", "\u2028\u2029\uFFFD", " x\n\ty ", "\r\n\r", "{}", "[]", "😀",
		}),
		rapid.StringMatching(`[ -~]{1,20}`),
		rapid.String().Filter(isXMLText),
	).Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
}

// drawJob returns the members of a JobsDetail, with an id of its own.
func drawJob() *rapid.Generator[tree] {
	return rapid.Custom(func(t *rapid.T) tree {
		kids := rapid.SliceOfN(drawTree(4), 0, 8).Draw(t, "members")
		id := tree{name: "JobId", text: rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "id")}
		return tree{name: "JobsDetail", kids: append(kids, id)}
	})
}

// leaves returns what must be in detail.
func (n tree) leaves(path string) []leaf {
	if n.kids == nil {
		return []leaf{{path, n.text}}
	}
	var all []leaf
	for _, k := range n.kids {
		all = append(all, k.leaves(path+"/"+k.name)...)
	}
	return all
}

// shuffled returns the members in another order, but those of one name in theirs.
func (n tree) shuffled(t *rapid.T) []tree {
	kids := rapid.Permutation(n.kids).Draw(t, "order")
	next := map[string]int{}
	for i, k := range kids {
		at := next[k.name]
		for n.kids[at].name != k.name {
			at++
		}
		kids[i] = n.kids[at]
		next[k.name] = at + 1
	}
	return kids
}

// oneOf draws one of several ways to write something.
func oneOf(t *rapid.T, ways ...string) string { return rapid.SampledFrom(ways).Draw(t, "way") }

// asXML writes a body in XML, in one of many ways.
func asXML(t *rapid.T, event string, job tree) string {
	parts := []string{xmlNode(t, job)}
	if event != "" {
		parts = append(parts, xmlNode(t, tree{name: "EventName", text: event}))
	}
	parts = rapid.Permutation(parts).Draw(t, "top")
	body := strings.Join(parts, xmlNothing(t))
	if rapid.Bool().Draw(t, "root") {
		body = "<Response>" + body + xmlNothing(t) + "</Response>"
	}
	return oneOf(t, "", "\uFEFF", "\n", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") + body + oneOf(t, "", "\r\n", "<!-- end -->")
}

func xmlNode(t *rapid.T, n tree) string {
	var b strings.Builder
	b.WriteString("<" + n.name + oneOf(t, "", "", " a='b'", ` c:d="&lt;>" `) + ">")
	if n.kids == nil {
		b.WriteString(xmlText(t, n.text))
	} else {
		for _, k := range n.shuffled(t) {
			if rapid.IntRange(0, 4).Draw(t, "with empty") == 0 {
				b.WriteString(xmlEmpty(t))
			}
			b.WriteString(xmlNothing(t) + xmlNode(t, k))
		}
		b.WriteString(xmlNothing(t))
	}
	return b.String() + "</" + n.name + oneOf(t, "", " ") + ">"
}

// xmlNothing draws what may stand between two elements and says nothing.
func xmlNothing(t *rapid.T) string {
	return oneOf(t, "", "", "\n  ", "\t\r\n", "<!-- <x>1</x> -->", "<?a b?>")
}

// xmlEmpty draws an element that says nothing, of a name that occurs elsewhere.
func xmlEmpty(t *rapid.T) string {
	name := rapid.SampledFrom(names).Draw(t, "empty")
	return "<" + name + oneOf(t, "></"+name+">", "/>", "> </"+name+">", "><!-- --></"+name+">", "><a/><![CDATA[ ]]></"+name+">")
}

func xmlText(t *rapid.T, text string) string {
	var b strings.Builder
	for _, r := range text {
		s := string(r)
		ways := []string{fmt.Sprintf("&#%d;", r), fmt.Sprintf("&#x%x;", r)}
		if !strings.ContainsRune("<&>]\r", r) {
			ways = append(ways, s, s, s, s, "<!-- no -->"+s)
		}
		if r != '\r' && r != ']' {
			ways = append(ways, "<![CDATA["+s+"]]>")
		}
		if r == '<' {
			ways = append(ways, "&lt;")
		}
		b.WriteString(oneOf(t, ways...))
	}
	return b.String()
}

// asJSON writes a body in JSON, in one of many ways.
func asJSON(t *rapid.T, event string, job tree) string {
	root := tree{kids: []tree{job}}
	if event != "" {
		root.kids = append(root.kids, tree{name: "EventName", text: event})
	}
	body := jsonNode(t, root)
	return oneOf(t, "", "\uFEFF", "\n ") + oneOf(t, body, `{"Response":`+body+`}`, `{"Response":[`+body+`],"Other":{}}`) + oneOf(t, "", "\r\n")
}

func jsonNode(t *rapid.T, n tree) string {
	if n.kids == nil {
		return jsonText(t, n.text)
	}
	kids := n.shuffled(t)
	var members []string
	for i := 0; i < len(kids); {
		name := kids[i].name
		j := i + 1
		for j < len(kids) && kids[j].name == name {
			j++
		}
		members = append(members, jsonMembers(t, kids[i:j])...)
		i = j
	}
	for range rapid.IntRange(0, 2).Draw(t, "empties") {
		at := rapid.IntRange(0, len(members)).Draw(t, "at")
		members = slices.Insert(members, at, jsonName(t, rapid.SampledFrom(names).Draw(t, "empty"))+":"+jsonEmpty(t))
	}
	space := oneOf(t, "", " ", "\n\t")
	return "{" + space + strings.Join(members, space+",") + space + "}"
}

// jsonMembers writes neighbours of one name as one member or as several.
func jsonMembers(t *rapid.T, kids []tree) []string {
	var members, values []string
	name := kids[0].name
	for i, k := range kids {
		values = append(values, jsonNode(t, k))
		if i < len(kids)-1 && rapid.Bool().Draw(t, "together") {
			continue
		}
		value := values[0]
		if len(values) > 1 || rapid.Bool().Draw(t, "array") {
			if rapid.Bool().Draw(t, "with empties") {
				values = slices.Insert(values, rapid.IntRange(0, len(values)).Draw(t, "at"), jsonEmpty(t))
			}
			value = "[" + strings.Join(values, ", ") + "]"
			value = oneOf(t, value, value, "["+value+"]", "[[],"+value+"]")
		}
		members = append(members, jsonName(t, name)+" :"+value)
		values = nil
	}
	return members
}

func jsonEmpty(t *rapid.T) string {
	return oneOf(t, `null`, `""`, `" "`, `{}`, `[]`, `[null,{}]`, `{"a":[{"b":""}]}`, `"\n\u00a0"`)
}

func jsonName(t *rapid.T, name string) string {
	return oneOf(t, strconv.Quote(name), fmt.Sprintf(`"\u%04x`, []rune(name)[0])+string([]rune(name)[1:])+`"`)
}

// jsonText writes a text, bare where it is a number or a boolean to JSON.
func jsonText(t *rapid.T, text string) string {
	if text != "null" && strings.TrimSpace(text) == text && !strings.ContainsAny(text, "{[\"") && json.Valid([]byte(text)) && rapid.Bool().Draw(t, "bare") {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		short := quoteJSON(string(r))
		short = short[1 : len(short)-1]
		ways := []string{short, short, short}
		if r < 0x10000 {
			ways = append(ways, fmt.Sprintf(`\u%04x`, r), fmt.Sprintf(`\u%04X`, r))
		} else {
			high, low := (r-0x10000)>>10+0xD800, (r-0x10000)&0x3FF+0xDC00
			ways = append(ways, fmt.Sprintf(`\u%04x\u%04X`, high, low))
		}
		if r == '/' {
			ways = append(ways, `\/`)
		}
		b.WriteString(oneOf(t, ways...))
	}
	return `"` + b.String() + `"`
}

// TestAnyFormOfAJob writes a job in two ways in XML and in three ways in JSON: the
// record is the same, byte for byte, and its detail has the job's leaves.
func TestAnyFormOfAJob(t *testing.T) {
	t.Parallel()
	schema := recordSchema(t)
	rapid.Check(t, func(r *rapid.T) {
		job := drawJob().Draw(r, "job")
		event := rapid.SampledFrom([]string{"", "TaskFinish", "ReviewImage"}).Draw(r, "event")
		var first, from string
		for i := range 5 {
			body := asJSON
			if i < 2 {
				body = asXML
			}
			sent := body(r, event, job)
			c, _ := check(r, schema, []byte(sent))
			if c == nil {
				_, err := model.Decode([]byte(sent))
				r.Fatalf("%v: %s", err, sent)
			}
			got := string(encodeAll(r, c.Records))
			if i == 0 {
				first, from = got, sent
			}
			if got != first {
				r.Fatalf("-first +now:\n%s\n%s\n%s", cmp.Diff(first, got), from, sent)
			}
			want := sortLeaves(job.leaves(""))
			if diff := cmp.Diff(want, sortLeaves(leavesOfJSON(r, c.Records[0].Detail))); diff != "" {
				r.Fatalf("leaves, -job +detail:\n%s\n%s", diff, sent)
			}
		}
	})
}

// TestEncodeIsWhatEncodingJSONWrites compares the bytes of a record with those that
// encoding/json makes of its Go type.
func TestEncodeIsWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[\x00-\x7f"\\\x{2027}-\x{202a}é😀]*`), drawBytes()).Draw(r, name)
		}
		full := func(name string) string { return "x" + text(name) } // never left out
		object := func() model.Object {
			return model.Object{Bucket: text("bucket"), Region: text("region"), Key: text("key")}
		}
		record := model.Record{
			Version: rapid.IntRange(1, model.Version).Draw(r, "version"), Kind: model.Kind(full("kind")), ID: full("id"), Source: text("source"),
			Event: text("event"), State: full("state"), Verdict: model.Verdict(text("verdict")), Label: text("label"), Code: text("code"),
			Message: text("message"), Tag: text("tag"), SubTag: text("subTag"), QueueID: text("queue"), CreationTime: text("created"),
			StartTime: text("started"), EndTime: text("ended"), UserData: text("user"), Detail: json.RawMessage(`{"a":"<&>"}`),
		}
		if rapid.Bool().Draw(r, "input") {
			record.Input = &model.Input{Object: object(), URL: text("url")}
		}
		if rapid.Bool().Draw(r, "workflow") {
			record.Workflow = &model.WorkflowRef{RunID: text("run"), WorkflowID: text("id"), WorkflowName: text("name"), Name: text("node")}
		}
		for range rapid.IntRange(0, 3).Draw(r, "outputs") {
			record.Outputs = append(record.Outputs, model.Output{Object: object(), MD5: text("md5")})
		}
		var want strings.Builder
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(record); err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(encodeAll(r, []*model.Record{&record}))); diff != "" {
			r.Errorf("-encoding/json +Encode:\n%s", diff)
		}
	})
}

// TestAnyOrderEndsTheSame folds callbacks of one job, workflow run or review, in
// any order and any number of times: always the same record is left.
func TestAnyOrderEndsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		records := rapid.SliceOfN(drawVersion(rapid.SampledFrom([]string{"job", "workflow", "review"}).Draw(r, "kind")), 1, 8).Draw(r, "versions")
		fold := func(order []string) string {
			var kept []byte
			for _, encoded := range order {
				if kept == nil || model.Compare([]byte(encoded), kept) > 0 {
					kept = []byte(encoded)
				}
			}
			return string(kept)
		}
		want := fold(records)
		again := rapid.SliceOf(rapid.SampledFrom(records)).Draw(r, "again")
		order := rapid.Permutation(append(again, records...)).Draw(r, "order")
		if diff := cmp.Diff(want, fold(order)); diff != "" {
			r.Fatalf("-want +got:\n%s", diff)
		}
		for _, other := range records {
			if other != want && terminal(other) && !terminal(want) && !isLaterFormat(want) {
				r.Fatalf("%s is left, and not %s", want, other)
			}
		}
	})
}

func isLaterFormat(encoded string) bool {
	r, err := model.ParseRecord([]byte(encoded))
	return err == nil && r.LaterFormat()
}

func terminal(encoded string) bool {
	r, err := model.ParseRecord([]byte(encoded))
	return err == nil && (r.State == "Success" || r.State == "Failed" || r.State == "Cancel")
}

// drawVersion returns the bytes of a record of one and the same job.
func drawVersion(kind string) *rapid.Generator[string] {
	times := []string{"", "-", "2026-03-02T10:00:00+0800", "2026-03-02 02:00:00.000+0000", "2026-03-02T10:00:01+08:00", "2026-03-02T02:00:01.5Z", "soon"}
	states := []string{"", "Success", "Failed", "Cancel", "Running", "Submitted", "Pause", "Auditing", "Pondering"}
	return rapid.Custom(func(t *rapid.T) string {
		body := fmt.Sprintf(`{"JobId":"x","RunId":"x","State":%q,"CreationTime":%q,"CreateTime":%q,"StartTime":%q,"EndTime":%q,"Message":%q}`,
			rapid.SampledFrom(states).Draw(t, "state"),
			rapid.SampledFrom(times).Draw(t, "created"), rapid.SampledFrom(times).Draw(t, "created"),
			rapid.SampledFrom(times).Draw(t, "started"), rapid.SampledFrom(times).Draw(t, "ended"),
			rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "message"))
		switch {
		case kind == "workflow":
			body = `{"WorkflowExecution":` + body + `}`
		case kind == "review" && rapid.Bool().Draw(t, "simple"):
			body = fmt.Sprintf(`{"code":%d,"data":{"trace_id":"x","result":%d}}`, rapid.IntRange(0, 1).Draw(t, "code"), rapid.IntRange(0, 2).Draw(t, "result"))
		case kind == "review":
			body = strings.Replace(body, "{", fmt.Sprintf(`{"Result":%d,`, rapid.IntRange(0, 3).Draw(t, "result")), 1)
			body = `{"EventName":"ReviewImage","JobsDetail":` + body + `}`
		default:
			body = `{"JobsDetail":` + body + `}`
		}
		return drawProvenance(t, encode(t, []byte(body)))
	})
}

// drawProvenance returns the bytes of a record as they are, or as version 1 had them, or
// as if CI had said so when it was asked, or as a later version may have them.
func drawProvenance(t *rapid.T, encoded []byte) string {
	r, err := model.ParseRecord(encoded)
	if err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 5).Draw(t, "provenance") {
	case 0:
		r.Version, r.Verdict, r.Label = 1, "", ""
	case 1:
		r.Source = model.SourceQuery
	case 2:
		return strings.Replace(string(encoded), `"version":2`, fmt.Sprintf(`"version":%d`, rapid.IntRange(3, 4).Draw(t, "version")), 1)
	}
	return string(encodeAll(t, []*model.Record{r}))
}

// TestCompareIsATotalOrder takes records, broken records and any other bytes.
func TestCompareIsATotalOrder(t *testing.T) {
	t.Parallel()
	bodies := allCallbacks(t)
	rapid.Check(t, func(r *rapid.T) {
		draw := rapid.OneOf(
			drawVersion("job"), drawVersion("review"),
			drawMutation(bodies),
			rapid.Map(drawVersion("job"), func(s string) string { return s[:len(s)-2] }),
			drawBytes(),
		)
		a, b, c := draw.Draw(r, "a"), draw.Draw(r, "b"), draw.Draw(r, "c")
		compare := func(a, b string) int { return sign(model.Compare([]byte(a), []byte(b))) }
		if compare(a, b) != -compare(b, a) {
			r.Errorf("not antisymmetric: %q and %q", a, b)
		}
		if (compare(a, b) == 0) != (a == b) {
			r.Errorf("equal, or not: %q and %q", a, b)
		}
		if compare(a, b) <= 0 && compare(b, c) <= 0 && compare(a, c) > 0 {
			r.Errorf("not transitive: %q, %q and %q", a, b, c)
		}
	})
}

// TestAnyBytes decodes anything, and testdata after a few changes.
func TestAnyBytes(t *testing.T) {
	t.Parallel()
	schema, bodies := recordSchema(t), allCallbacks(t)
	rapid.Check(t, func(r *rapid.T) {
		body := []byte(rapid.OneOf(drawMutation(bodies), drawBytes()).Draw(r, "body"))
		if hasNewerName(body) {
			return
		}
		check(r, schema, body)
		checkXMLSyntax(r, body)
	})
}

// allCallbacks returns every callback of testdata.
func allCallbacks(t testing.TB) []string {
	t.Helper()
	var bodies []string
	for _, files := range callbacks(t) {
		for _, file := range files {
			bodies = append(bodies, string(readFile(t, file)))
		}
	}
	slices.Sort(bodies)
	return bodies
}

func drawBytes() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
}

// drawMutation returns a callback of testdata after a few changes of its text.
func drawMutation(bodies []string) *rapid.Generator[string] {
	pieces := []string{
		"<", ">", "/>", "</a>", "<a>", "<a/>", "&lt;", "&#13;", "<![CDATA[", "]]>", "<!--", "-->", "<?a?>", "{", "}", "[", "]", ",", ":", `"`,
		`\`, `\u00e9`, `\ud83d`, "null", `"a":`, `"JobsDetail":`, "0", " ", "\n", "\x00", "\xff", "\uFEFF", "JobId", "JobsDetail", "Response", "data",
	}
	return rapid.Custom(func(t *rapid.T) string {
		body := rapid.SampledFrom(bodies).Draw(t, "body")
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			at := rapid.IntRange(0, len(body)).Draw(t, "at")
			to := min(len(body), at+rapid.IntRange(0, 200).Draw(t, "length"))
			var with string
			switch rapid.IntRange(0, 3).Draw(t, "change") {
			case 0: // cut
			case 1:
				with = strings.Repeat(body[at:to], 2)
			case 2:
				with, to = rapid.SampledFrom(pieces).Draw(t, "piece"), min(len(body), at+rapid.IntRange(0, 1).Draw(t, "instead"))
			default:
				other := rapid.SampledFrom(bodies).Draw(t, "other")
				from := rapid.IntRange(0, len(other)).Draw(t, "from")
				with = other[from:min(len(other), from+200)]
			}
			body = body[:at] + with + body[to:]
		}
		return body
	})
}
