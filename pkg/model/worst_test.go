package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/model"
)

// worstBodies returns bodies of about size bytes that cost as much as a body can:
// limit is how many of something they hold at most. Whether they decode or are
// refused does not matter, only what it costs.
func worstBodies(size, limit int) map[string]func() string {
	many := func(head, unit, tail string) func() string {
		return func() string { return head + strings.Repeat(unit, min(limit, size/len(unit))) + tail }
	}
	each := func(head, format, tail string) func() string {
		return func() string {
			var b strings.Builder
			b.WriteString(head)
			for i := 0; i < limit && b.Len() < size; i++ {
				fmt.Fprintf(&b, format, i)
			}
			return b.String() + tail
		}
	}
	all := func(head, unit, tail string) func() string {
		return func() string { return head + strings.Repeat(unit, size/len(unit)) + tail }
	}
	const (
		job    = `{"JobsDetail":{"JobId":"j1",`
		list   = job + `"a":[`
		media  = job + `"State":"Success","Operation":{"MediaResult":{"OutputFile":{`
		xmlJob = `<Response><JobsDetail><JobId>j1</JobId>`
		xmlEnd = `</JobsDetail></Response>`
	)
	long := strings.Repeat("x", min(size/6, 1<<20))
	return map[string]func() string{
		"json_numbers":           many(list, `1,`, `1]}}`),
		"json_texts":             many(list, `"a",`, `1]}}`),
		"json_empty_objects":     many(list, `{},`, `1]}}`),
		"json_empty_arrays":      many(list, `[],`, `1]}}`),
		"json_objects":           many(list, `{"a":1},`, `1]}}`),
		"json_arrays":            many(list, `[1,1],`, `1]}}`),
		"json_array_in_array":    many(job+`"a":[[`, `1,`, `1],2]}}`),
		"json_objects_in_arrays": many(list, `[{"a":1},1],`, `1]}}`),
		"json_one_name":          many(job, `"a":1,`, `"a":1}}`),
		"json_one_name_arrays":   many(job, `"a":[1,1],`, `"a":1}}`),
		"json_distinct_names":    each(job, `"n%d":1,`, `"a":1}}`),
		"json_names_backwards":   each(job, `"%[1]c%[1]x":1,`, `"a":1}}`),
		"json_long_names":        each(job, `"`+long[:min(len(long), 1000)]+`%d":1,`, `"a":1}}`),
		"json_long_parent":       each(job+`"`+long+`":{`, `"n%d":{"a":1},`, `"a":1}}}`),
		"json_nested_names":      many(job, `"averagenameofanode":{"a":{"b":1}},`, `"a":1}}`),
		"json_text":              all(job+`"a":"`, `x`, `"}}`),
		"json_message":           all(job+`"Message":"`, `x`, `"}}`),
		"json_escapes":           all(job+`"a":"`, `\u00e9`, `"}}`),
		"json_line_ends":         all(job+`"Message":"`, `\n`, `"}}`),
		"json_controls":          all(job+`"Message":"`, `\u0001`, `"}}`),
		"json_number":            all(job+`"a":`, `1`, `}}`),
		"json_exponents":         many(list, `1e1,`, `1]}}`),
		"json_white_space":       all(job+`"a":`, ` `, `1}}`),
		"json_deep":              all(job+`"a":`, `[`, `}}`),
		"json_deep_objects":      all(job+`"a":`, `{"a":`, `}}`),
		"json_cut":               all(job+`"a":"`, `x`, ``),
		"json_jobs":              each(`{"JobsDetail":[`, `{"JobId":"j%d"},`, `{"JobId":"j"}]}`),
		"json_jobs_of_one_id":    all(`{"JobsDetail":[`+strings.Repeat(`{"JobId":"j"},`, 998)+`{"JobId":"j","a":"`, `x`, `"},{"JobId":"j"}]}`),
		"json_big_job_first":     all(`{"JobsDetail":[{"JobId":"j","Message":"`, `x`, `"}`+strings.Repeat(`,{"JobId":"j"}`, 999)+`]}`),
		"json_long_event":        all(`{"JobsDetail":[`+strings.Repeat(`{"JobId":"j"},`, 998)+`{"JobId":"j"}],"EventName":"`, `x`, `"}`),
		"json_review":            all(`{"code":0,"data":{"trace_id":"s","url":"`, `x`, `"}}`),
		"json_not_utf8":          all(job+`"a":"`, `x`, "\xff\"}}"),
		"json_outputs":           many(media+`"ObjectName":[`, `"a",`, `"b"]}}}}}`),
		"json_distinct_outputs":  each(media+`"Bucket":"b","ObjectName":[`, `"%d",`, `"b"]}}}}}`),
		"json_long_bucket":       each(media+`"Bucket":"`+long+`","ObjectName":[`, `"%d",`, `"b"]}}}}}`),
		"json_long_prefix":       each(media+`"ObjectPrefix":"`+long+`","ObjectName":[`, `"%d",`, `"b"]}}}}}`),
		"json_md5s":              each(media+`"ObjectPrefix":"`+long+`","Md5Info":[`, `{"Md5":"%032d","ObjectName":"a"},`, `{}]}}}}}`),
		"json_outputs_of_jobs": func() string { // the most that outputs can say
			var b strings.Builder
			for i := 0; i < min(limit, 20_000); i++ {
				fmt.Fprintf(&b, `,"%x"`, i)
			}
			names := b.String()[1:]
			job := `{"JobId":"j%d","Operation":{"MediaResult":{"OutputFile":{"Bucket":"` + strings.Repeat("b", 50) + `-125000000000","Region":"ap-` +
				strings.Repeat("r", 29) + `","ObjectPrefix":"` + strings.Repeat(`\"`, 840) + `","ObjectName":[` + names + `]}}}}`
			b.Reset()
			b.WriteString(`{"JobsDetail":[`)
			for i := 0; i < 3 && b.Len()+len(job) < size; i++ {
				fmt.Fprintf(&b, job+`,`, i)
			}
			return b.String() + `{}]}`
		},
		"json_live_segments":     each(`{"EventName":"ReviewVideo","JobsDetail":[`, `{"JobId":"j","State":"Auditing","CreationTime":"2026-03-08T20:00:00+08:00","Result":2,"n":"%d","a":"`+strings.Repeat("x", size/999)+`"},`, `{}]}`),
		"json_bad_ids":           each(`{"JobsDetail":[`, `{"JobId":"*%d"},`, `{}]}`),
		"json_files":             each(media+`"Bucket":"b","SpriteOutputFile":[`, `{"ObjectName":"%d"},`, `{}]}}}}}`),
		"json_media_results":     each(job+`"Operation":{"MediaResult":[`, `{"OutputFile":{"ObjectName":"%d"}},`, `{}]}}}`),
		"json_pages":             each(job+`"Operation":{"DocProcessResult":{"PageInfo":[`, `{"TgtUri":"%d"},`, `{}]}}}}`),
		"json_unzipped":          each(job+`"Operation":{"FileUncompressResult":{"Bucket":"b-1","FileList":{"Contents":[`, `{"Key":"%d"},`, `{}]}}}}}`),
		"json_picture_urls":      each(job+`"Operation":{"PicProcessResult":{"UploadResult":{"ProcessResults":{"Object":[`, `{"Key":"%d","Location":"b-1.cos.ap-a.myqcloud.com/"},`, `{}]}}}}}}`),
		"json_object_urls":       each(media+`"ObjectName":"a","ObjectUrl":[`, `"b-1.cos.ap-a.myqcloud.com/%d",`, `"x"]}}}}}`),
		"json_workflow_urls":     each(`{"WorkflowExecution":{"RunId":"i","Tasks":{"ResultInfo":{"ObjectInfo":[`, `{"ObjectName":"%d","ObjectUrl":"https://a-a-1.cos.a.myqcloud.com/"},`, `{}]}}}}`),
		"json_workflow_long_url": all(`{"WorkflowExecution":{"RunId":"i","Tasks":{"ResultInfo":{"ObjectInfo":{"ObjectName":"a","ObjectUrl":"https://`, `a-1-`, `"}}}}}`),
		"xml_elements":           many(xmlJob, `<a/>`, xmlEnd),
		"xml_elements_closed":    many(xmlJob, `<a></a>`, xmlEnd),
		"xml_numbers":            many(xmlJob, `<a>1</a>`, xmlEnd),
		"xml_distinct_names":     each(xmlJob, `<n%d>1</n%[1]d>`, xmlEnd),
		"xml_long_names":         many(xmlJob, `<`+long[:min(len(long), 1000)]+`/>`, xmlEnd),
		"xml_mixed":              many(xmlJob, `x<a/>`, xmlEnd),
		"xml_attributes_one_tag": many(xmlJob+`<a`, ` a=""`, `/>`+xmlEnd),
		"xml_attributes":         many(xmlJob, `<a b=""/>`, xmlEnd),
		"xml_attribute_names":    each(xmlJob+`<a`, ` n%d="x"`, `/>`+xmlEnd),
		"xml_attribute":          all(xmlJob+`<a b="`, `x`, `"/>`+xmlEnd),
		"xml_attribute_open":     all(xmlJob+`<a b="`, `x=`, ``),
		"xml_comments":           all(xmlJob, `<!---->`, xmlEnd),
		"xml_comment":            all(xmlJob+`<!--`, `x`, `-->`+xmlEnd),
		"xml_instructions":       all(xmlJob, `<?a?>`, xmlEnd),
		"xml_cdata":              all(xmlJob+`<a>`, `<![CDATA[x]]>`, `</a>`+xmlEnd),
		"xml_cdata_empty":        all(xmlJob+`<a>`, `<![CDATA[]]>`, `</a>`+xmlEnd),
		"xml_cdata_of_two":       all(xmlJob+`<a>`, `<![CDATA[x]]>y`, `</a>`+xmlEnd),
		"xml_directive":          all(xmlJob+`<!`, `x`, `>`+xmlEnd),
		"xml_entities":           all(xmlJob+`<a>`, `&lt;`, `</a>`+xmlEnd),
		"xml_ampersands":         all(xmlJob+`<a>`, `&`, `</a>`+xmlEnd),
		"xml_line_ends":          all(xmlJob+`<a>`, "\r", `</a>`+xmlEnd),
		"xml_brackets":           all(xmlJob+`<a>`, `]]`, `</a>`+xmlEnd),
		"xml_wide_letters":       all(xmlJob+`<a>`, "\uFF0C", `</a>`+xmlEnd),
		"xml_declaration":        all(`<?xml `, `encoding `, `?>`+xmlJob+xmlEnd),
		"xml_text":               all(xmlJob+`<a>`, `x`, `</a>`+xmlEnd),
		"xml_message":            all(xmlJob+`<Message>`, `"`, `</Message>`+xmlEnd),
		"xml_white_space":        all(xmlJob+`<a>`, ` `, `</a>`+xmlEnd),
		"xml_deep":               all(xmlJob, `<a>`, xmlEnd),
		"xml_jobs":               each(`<Response>`, `<JobsDetail><JobId>j%d</JobId></JobsDetail>`, `</Response>`),
		"xml_tag_open":           all(xmlJob+`<a`, ` `, ``),
	}
}

// cost is what a body cost.
type cost struct {
	Outcome string
	Seconds float64
	// The most memory that the process had, garbage and the body included: until Decode
	// had returned, and until the records were encoded too. 0 where the system does not
	// tell.
	DecodeMiB, MiB float64
}

// TestWorstBodies bounds the time and the memory that the worst bodies cost. At full size
// each is decoded by a process of its own, with the memory limit of a function of 128 MB.
func TestWorstBodies(t *testing.T) {
	t.Parallel()
	if size := os.Getenv("WORST_BODY_SIZE"); size != "" {
		measureStdin(t, size)
		return
	}
	if underRace || !testsize.Full() {
		for name, body := range worstBodies(1<<16, 1<<16) {
			if _, err := decodeAndEncode([]byte(body()), func() {}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return
	}
	const size = 6 << 20
	full := map[string]int{}
	for _, limit := range []int{size, 99_000} { // too many of something, which mostly is refused, and fewer than the limits
		for name, body := range worstBodies(size, limit) {
			body := body()
			if len(body) == full[name] {
				continue // not made of many things
			}
			full[name] = len(body)
			checkCost(t, name, body)
		}
	}
}

// checkCost has a process decode a body, and bounds what that costs.
func checkCost(t *testing.T, name, body string) {
	t.Helper()
	const maxSeconds, maxDecodeMiB, maxMiB = 6, 90, 128 // on a busy machine; alone, none takes a tenth of the time
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestWorstBodies$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("WORST_BODY_SIZE=%d", len(body)), "GOMEMLIMIT=100MiB")
	cmd.Stdin = strings.NewReader(body)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v: %s", name, err, out)
		return
	}
	line, _, _ := strings.Cut(string(out), "\n")
	var c cost
	if err := json.Unmarshal([]byte(line), &c); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	t.Logf("%-24s %8d bytes %6.3f s %5.1f %5.1f MiB  %s", name, len(body), c.Seconds, c.DecodeMiB, c.MiB, c.Outcome)
	if c.Seconds > maxSeconds || c.DecodeMiB > maxDecodeMiB || c.MiB > maxMiB {
		t.Errorf("%s: %.1f s, %.0f MiB and %.0f MiB", name, c.Seconds, c.DecodeMiB, c.MiB)
	}
	if c.MiB == 0 && runtime.GOOS == "linux" {
		t.Errorf("%s: its memory was not measured", name)
	}
}

// measureStdin prints the cost of the body on standard input.
func measureStdin(t *testing.T, size string) {
	go exitAbove(1 << 30)
	n, err := strconv.Atoi(size)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(os.Stdin, body); err != nil {
		t.Fatal(err)
	}
	var c cost
	start := time.Now()
	if c.Outcome, err = decodeAndEncode(body, func() { c.DecodeMiB = peakMiB() }); err != nil {
		t.Fatal(err)
	}
	c.Seconds, c.MiB = time.Since(start).Seconds(), peakMiB()
	line, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", line)
}

// exitAbove ends this process when its heap has outgrown a size, since a body that is not
// bounded would take all the memory of the machine.
func exitAbove(size uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for range time.Tick(10 * time.Millisecond) {
		if metrics.Read(sample); sample[0].Value.Uint64() > size {
			fmt.Fprintf(os.Stderr, "the heap has outgrown %d bytes\n", size)
			os.Exit(1)
		}
	}
}

// decodeAndEncode decodes a body and encodes its records one by one, and returns how that
// ended.
func decodeAndEncode(body []byte, decoded func()) (string, error) {
	c, err := model.Decode(body)
	decoded()
	if _, ok := errors.AsType[*model.MalformedError](err); err != nil && !ok {
		return "", err
	}
	if err != nil && len(err.Error()) > 10_000 {
		return "", fmt.Errorf("a message of %d bytes", len(err.Error()))
	}
	if c == nil {
		return fmt.Sprintf("refused: %.60s", err), nil
	}
	bytes := 0
	for _, r := range slices.Concat(c.Records, c.Older) {
		encoded, err := r.Encode()
		if err != nil {
			return "", err
		}
		bytes += len(encoded)
	}
	return fmt.Sprintf("%d records, %d older, %d bytes, error %.60v", len(c.Records), len(c.Older), bytes, err), nil
}

// peakMiB returns the most memory that this process has had, and 0 where the system does
// not tell.
func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib / 1024
}
