package model_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// summary returns what stands at the top of a record, a field a line, and the objects as
// bucket/region/key.
func summary(r *model.Record) []string {
	var lines []string
	add := func(name string, values ...string) {
		if value := strings.Join(values, " "); strings.TrimSpace(value) != "" {
			lines = append(lines, name+" "+value)
		}
	}
	object := func(o model.Object) string { return o.Bucket + "/" + o.Region + "/" + o.Key }
	add(string(r.Kind), r.ID, r.State)
	add("verdict", string(r.Verdict), r.Label)
	add("error", r.Code, r.Message)
	add("type", r.Tag, r.QueueID)
	add("ended", r.EndTime)
	if r.Input != nil && r.Input.URL != "" {
		add("input", object(r.Input.Object), r.Input.URL)
	} else if r.Input != nil {
		add("input", object(r.Input.Object))
	}
	for _, o := range r.Outputs {
		add("output", object(o.Object), o.MD5)
	}
	add("user", r.UserData)
	return lines
}

// TestWhatCallbacksSay asserts the top of the records of callbacks that people met, or
// that the documentation or an SDK describes. Each is in testdata, as XML, JSON or both.
func TestWhatCallbacksSay(t *testing.T) {
	t.Parallel()
	const (
		bucket = "examplebucket-1250000000/ap-guangzhou/"
		queue  = "p00000000000000000000000000000f07"
	)
	tests := map[string][]string{
		"docprocess-nobucket": {
			"job d00000000000000000000000000000c01 Success", "error Success ", "type DocProcess " + queue, "ended 2026-03-06T09:00:02+08:00",
			"input //letters/offer.docx", "output " + bucket + "preview/offer/1.jpg ",
		},
		"docprocess-sheets": {
			"job d00000000000000000000000000000c02 Success", "error Success ", "type DocProcess " + queue, "ended 2026-03-06T09:10:09+08:00",
			"input ///tables/预算+草案 (2).xlsx", "output " + bucket + "preview/s1/pic-1.png ", "output " + bucket + "preview/s1/pic-2.png ", "user a workbook",
		},
		"fileuncompress-listing": {
			"job f00000000000000000000000000000c03 Success", "error Success ", "type FileUncompress " + queue, "ended 2026-03-06T09:20:05+08:00",
			"input " + bucket + "in/photos.zip", "output " + bucket + "out/photos/sea.jpg ", "user unpack",
		},
		"filecompress-template": {
			"job f00000000000000000000000000000c04 Success", "error Success ", "type FileCompress ", "ended 2026-03-06T09:30:20+08:00",
			"output archive-1250000000/ap-shanghai/zips/in.zip ",
		},
		"picprocess-batch": {
			"job b-7f3e-4c21-9a10-c05 Success", "error Success ", "type PicProcess " + queue, "ended 2026-03-06T01:09:00+08:00",
			"output " + bucket + "thumbs/sea.jpg ", "user every night",
		},
		"picprocess-rules": {
			"job c00000000000000000000000000000c06 Success", "error Success ", "type PicProcess ", "ended 2026-03-06T02:00:01+08:00",
			"input " + bucket + "in/stag.jpg", "output " + bucket + "out/stag-1.jpg ", "output copies-1250000000/ap-beijing/out/stag-2.jpg ", "user two rules",
		},
		"picprocess-output": {
			"job c00000000000000000000000000000c07 Success", "error Success ", "input //m/7/original.png", "output //m/7/small.png ", "user asset 7",
		},
		"picprocess-failed": {
			"job c00000000000000000000000000000c16 Success", "error Success ", "type PicProcess ", "ended 2026-03-06T02:10:01+08:00",
			"input " + bucket + "in/many.jpg", "output " + bucket + "out/many-1.jpg ",
		},
		"transcode-odd-key": {
			"job j00000000000000000000000000000c08 Success", "error Success ", "type Transcode " + queue, "ended 2026-03-06T10:00:31+08:00",
			"input " + bucket + "片/第2集 (原版)+花絮.mp4", "output " + bucket + "成片/第2集 +50%25 &#1?.mp4 e4d909c290d0fb1ca068ffaddf22cbd0", "user an odd key",
		},
		"transcode-two-operations": {
			"job j00000000000000000000000000000c10 Success", "error Success ", "type Transcode ", "ended 2026-03-06T12:00:31+08:00",
			"input " + bucket + "c.mp4", "output " + bucket + "c-low.mp4 ", "output " + bucket + "c-high.mp4 ",
		},
		"docaigcmetadata": {
			"job d00000000000000000000000000000c11 Success", "error Success ", "type DocAIGCMetadata ", "ended 2026-03-06T12:10:02+08:00",
			"input //report.pdf", "output marked-1250000000/ap-guangzhou/marked/report.pdf ",
		},
		"voiceseparate-output": {
			"job j00000000000000000000000000000c17 Success", "error Success ", "type VoiceSeparate ", "ended 2026-03-06T12:30:09+08:00",
			"input " + bucket + "in/song.mp3", "output " + bucket + "out/song-music.mp3 ", "output " + bucket + "out/song-voice.mp3 ",
		},
		"workflow-url": {
			"workflow 00000000000000000000000000000c21 Success", "input examplebucket-1250000000/ap-beijing/raw/a planet.mp4",
		},
		"workflow-object-failed": {
			"workflow i00000000000000000000000000000c22 Failed", "error ResourceDownloadFailed the object is gone", "ended 2026-03-07T09:00:30+08:00",
			"input examplebucket-1250000000//in/x.png", "output copies-1250000000/ap-beijing/out/x-small.png ",
		},
		"review-live-1": {
			"review av00000000000000000000000000000c31 Auditing", "verdict normal Normal",
			"input " + bucket + " rtmp://live.example.com/app/studio2", "user studio-2",
		},
		"review-live-3": {
			"review av00000000000000000000000000000c31 Success", "verdict violation Porn",
			"input " + bucket + " rtmp://live.example.com/app/studio2", "user studio-2",
		},
		"review-live-simple-hit": {
			"review av00000000000000000000000000000c32 Success", "verdict violation Porn", "error 0 success", "input // https://live.example.com/studio3.flv",
		},
		"review-live-simple-clean": {
			"review av00000000000000000000000000000c32 Success", "verdict normal Normal", "error 0 success", "input // https://live.example.com/studio3.flv",
		},
		"review-image-failed": {
			"review si00000000000000000000000000000c33 Failed", "error InvalidPicture the picture has no pixels", "input //posts/9/p.jpg", "user picture:9",
		},
		"review-video-masked": {
			"review av00000000000000000000000000000c34 Success", "verdict violation Porn", "input " + bucket + "up/show.mp4",
			"output masked-1250000000/ap-shanghai/masked/show.mp4 ",
		},
		"review-image-request-id": {
			"review ZmFrZS1yZXF1ZXN0K2lkLzAwMDE/Pz8+Pj4= Success", "verdict violation Porn", "error 0 success",
			"input " + bucket + "up/2026/图.jpg", "user picture:10",
		},
		"virusdetect-url": {
			"review ss00000000000000000000000000000c36 Success", "verdict violation ", "error Success Success",
			"input examplebucket-1250000000/ap-shanghai/up/setup.exe",
		},
		"review-image-simple-failed": { // its result is 0, but it failed
			"review si00000000000000000000000000000a02 Failed", "error -3006 file not found: <upload/gone.jpg>", "input " + bucket + "upload/gone.jpg",
		},
		"review-document-detail": {
			"review sd00000000000000000000000000000a01 Success", "verdict suspected Porn", "input " + bucket + " https://www.example.com/files/leaflet.doc?v=2&x=1",
		},
		"review-webpage-detail": {
			"review sh00000000000000000000000000000a01 Success", "verdict violation Ads", "input // https://www.example.com/index.html?a=1&b=2",
		},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join(callbacksDir, name+".*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%v, %v", files, err)
			}
			for _, file := range files {
				if diff := cmp.Diff(want, summary(decodeOne(t, string(readFile(t, file))))); diff != "" {
					t.Errorf("%s, -want +got:\n%s", file, diff)
				}
			}
		})
	}
}

// TestNewestOfTheField folds callbacks of one job in any order: the last is left.
func TestNewestOfTheField(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"live_stream":        {"review-live-1.json", "review-live-2.xml", "review-live-3.json"},
		"live_stream_simple": {"review-live-simple-clean.json", "review-live-simple-hit.json"},
		"workflow_run":       {"workflow-run-start.json", "workflow-run-end.xml"},
		"failed_again":       {"transcode-again-failed.xml", "transcode-again-later.json"},
		"succeeded_first":    {"transcode-again-success.xml", "transcode-again-later.json"},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var records [][]byte
			for _, file := range files {
				records = append(records, encode(t, readFile(t, filepath.Join(callbacksDir, file))))
			}
			checkOrder(t, records)
		})
	}
}

// TestSameSecond asserts that two ends of one job in the same second leave the same
// record in either order.
func TestSameSecond(t *testing.T) {
	t.Parallel()
	failed := encode(t, readFile(t, filepath.Join(callbacksDir, "transcode-again-failed.json")))
	success := encode(t, readFile(t, filepath.Join(callbacksDir, "transcode-again-success.json")))
	if a, b := model.Compare(failed, success), model.Compare(success, failed); a == 0 || a != -b {
		t.Errorf("%d and %d", a, b)
	}
}

// TestPartial reads bodies of which some jobs are understood and others are not.
func TestPartial(t *testing.T) {
	t.Parallel()
	many := `{"JobsDetail":[{"JobId":"j1"}` + strings.Repeat(`,{"State":"Success"}`, 3) + `]}`
	outputs := strings.Repeat(`"a",`, model.MaxOutputs) + `"a"`
	tests := map[string]struct {
		body, message   string
		records, faults int
	}{
		"one_without_id": {
			`{"EventName":"ReviewImage","JobsDetail":[{"JobId":"si1","State":"Success","DataId":"picture:1","Object":"a.jpg","Label":"Porn","Result":1},` +
				`{"Code":"InvalidArgument","Message":"MaxFrames","DataId":"picture:2","State":"Failed"}]}`,
			"JobsDetail[1]: no JobId, or not a single one", 1, 1,
		},
		"bad_id_first": {
			`<Response><JobsDetail><JobId>a/b</JobId></JobsDetail><JobsDetail><JobId>j1</JobId></JobsDetail></Response>`,
			`JobsDetail[0].JobId: "a/b" is not an id: it must be 1 to 64 letters, digits, _ or -`, 1, 1,
		},
		"text":         {`{"JobsDetail":["x",{"JobId":"j1"}]}`, "JobsDetail[0]: not an object with the fields of a job", 1, 1},
		"many":         {many, "JobsDetail[1]: no JobId, or not a single one (and 2 other jobs of this callback)", 1, 3},
		"run_and_job":  {`{"JobsDetail":{"JobId":"j1"},"WorkflowExecution":{"State":"Failed"}}`, "WorkflowExecution[0]: no RunId, or not a single one", 1, 1},
		"same_id":      {`{"JobsDetail":[{"JobId":"j1","State":"Running"},{},{"JobId":"j1","State":"Failed"},"x"]}`, "JobsDetail[2]: not an object with the fields of a job", 1, 1},
		"many_outputs": {`{"JobsDetail":[{"JobId":"j1","Operation":{"MediaResult":{"OutputFile":{"ObjectName":[` + outputs + `]}}}},{"JobId":"j2"}]}`, "JobsDetail[0]: more than 20000 outputs of one job", 1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := model.Decode([]byte(test.body))
			partial, ok := errors.AsType[*model.PartialError](err)
			if !ok || c == nil {
				t.Fatalf("%T %v, %+v", err, err, c)
			}
			if len(c.Records) != test.records || len(partial.Faults) != test.faults {
				t.Errorf("%d records and %d faults", len(c.Records), len(partial.Faults))
			}
			if diff := cmp.Diff(test.message, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if first, ok := errors.AsType[*model.MalformedError](err); !ok || first != partial.Faults[0] {
				t.Errorf("the first fault is %v", first)
			}
		})
	}
}

// TestOutputKeyBytes asserts that the longest keys of one job are taken, as are short
// ones of several, but not the longest of more than one.
func TestOutputKeyBytes(t *testing.T) {
	t.Parallel()
	const bound = "the keys of all outputs of one callback have more than 17000000 bytes"
	job := func(id string, keyBytes int) string {
		names := make([]string, model.MaxOutputs)
		for i := range names {
			names[i] = fmt.Sprintf(`"%05d"`, i)
		}
		return `{"JobId":"` + id + `","Operation":{"MediaResult":{"OutputFile":{"ObjectPrefix":"` + strings.Repeat("p", keyBytes-5) +
			`","ObjectName":[` + strings.Join(names, ",") + `]}}}}`
	}
	tests := map[string]struct {
		jobs    []string
		records string
		err     string
	}{
		"longest":       {[]string{job("j1", 850)}, "j1", ""},
		"several_jobs":  {[]string{job("j1", 100), job("j2", 100), job("j3", 100)}, "j1 j2 j3", ""},
		"two_too_long":  {[]string{job("j1", 430), job("j2", 430), job("j3", 20)}, "j1 j3", "JobsDetail[1]: " + bound},
		"one_more_byte": {[]string{job("j1", 850), `{"JobId":"j2","State":"Success","Operation":{"Output":{"Object":"x"}}}`}, "j1", "JobsDetail[1]: " + bound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := model.Decode([]byte(`{"JobsDetail":[` + strings.Join(test.jobs, ",") + `]}`))
			if c == nil || err != nil && err.Error() != test.err || (err == nil) != (test.err == "") {
				t.Fatalf("%v", err)
			}
			var ids []string
			for _, r := range c.Records {
				ids = append(ids, r.ID)
			}
			if diff := cmp.Diff(test.records, strings.Join(ids, " ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEmptyBodyIsAProbe(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", " \r\n\t", "\uFEFF", "\uFEFF\n"} {
		c, err := model.Decode([]byte(body))
		if err != nil || c.Probe != model.ProbeEmpty || c.Records != nil {
			t.Errorf("%q: %+v, %v", body, c, err)
		}
	}
}

// TestControlCharacter asserts that a message that XML cannot hold is refused where it
// is.
func TestControlCharacter(t *testing.T) {
	t.Parallel()
	body := "<Response>\n<JobsDetail><Code>ResourceDownloadFailed</Code><Message>bad title: \b</Message><JobId>j1</JobId></JobsDetail></Response>"
	if got, want := refusal(t, body).Error(), "line 2, column 68: not well-formed XML: the character U+0008"; !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestVersionsOfOneBody asserts which version of an id is the newest of a body, and which
// are older, without those that say the same.
func TestVersionsOfOneBody(t *testing.T) {
	t.Parallel()
	body := `{"JobsDetail":[{"JobId":"j1","State":"Running"},{"JobId":"j2","State":"Failed"},{"JobId":"j1","State":"Success","Message":"b"},` +
		`{"JobId":"j2","State":"Running"},{"State":"Running","JobId":"j1"},{"JobId":"j1","State":"Success","Message":"a"},{"JobId":"j2","State":"Failed"}]}`
	c, err := model.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	names := func(records []*model.Record) (all []string) {
		for _, r := range records {
			all = append(all, r.ID+" "+r.State+r.Message)
		}
		return all
	}
	if diff := cmp.Diff([]string{"j1 Successb", "j2 Failed"}, names(c.Records)); diff != "" {
		t.Errorf("newest, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"j1 Running", "j2 Running", "j1 Successa"}, names(c.Older)); diff != "" {
		t.Errorf("older, -want +got:\n%s", diff)
	}
}

// TestUpgrade folds records of version 1, as they were written before, with callbacks
// that come again, in every order: what is left is what the callbacks alone would have
// left.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/records-1/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			olds := strings.SplitAfter(strings.TrimSuffix(string(readFile(t, file)), "\n"), "\n")
			news := strings.SplitAfter(strings.TrimSuffix(string(readFile(t, filepath.Join(recordsDir, name+".json"))), "\n"), "\n")
			for i := range olds {
				old, err := model.ParseRecord([]byte(olds[i]))
				if err != nil || old.Version != 1 {
					t.Fatalf("%+v, %v", old, err)
				}
				checkOrder(t, [][]byte{[]byte(olds[i]), []byte(news[i])})
				if !model.Supersedes([]byte(news[i]), []byte(olds[i])) {
					t.Errorf("%s stays beside %s", olds[i], news[i])
				}
			}
		})
	}
}

// TestUpgradeOfALiveStream folds the records of version 1 of a live stream's callbacks
// with the callbacks again.
func TestUpgradeOfALiveStream(t *testing.T) {
	t.Parallel()
	var records [][]byte
	for _, file := range []string{"review-live-1.json", "review-live-2.json", "review-live-3.json"} {
		now := encode(t, readFile(t, filepath.Join(callbacksDir, file)))
		r, err := model.ParseRecord(now)
		if err != nil {
			t.Fatal(err)
		}
		r.Version, r.Verdict, r.Label, r.UserData, r.Input = 1, "", "", "", nil
		before, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, before, now)
	}
	last := records[len(records)-1]
	for _, order := range permutations(len(records)) {
		if got := fold(records, order); string(got) != string(last) {
			t.Fatalf("order %v ends in %s", order, got)
		}
	}
}

// checkOrder asserts that encoded records of one job are sorted, and that each order of
// them ends in the last.
func checkOrder(t *testing.T, records [][]byte) {
	t.Helper()
	for i := 1; i < len(records); i++ {
		if model.Compare(records[i-1], records[i]) >= 0 {
			t.Errorf("not older: %s\n than %s", records[i-1], records[i])
		}
	}
	for _, order := range permutations(len(records)) {
		if kept := fold(records, order); string(kept) != string(records[len(records)-1]) {
			t.Errorf("order %v ends in %s", order, kept)
		}
	}
}

// fold returns the record that is left of records that come in an order.
func fold(records [][]byte, order []int) (kept []byte) {
	for _, i := range order {
		if kept == nil || model.Compare(records[i], kept) > 0 {
			kept = records[i]
		}
	}
	return kept
}
