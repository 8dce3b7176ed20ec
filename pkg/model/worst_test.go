package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// worstBodies gives bodies of about size bytes that cost as much as a body can:
// most is how many of something they hold at the most. Whether they decode or are
// refused does not matter, only what it costs.
func worstBodies(size, most int) map[string]func() string {
	many := func(head, unit, tail string) func() string {
		return func() string { return head + strings.Repeat(unit, min(most, size/len(unit))) + tail }
	}
	each := func(head, format, tail string) func() string {
		return func() string {
			var b strings.Builder
			b.WriteString(head)
			for i := 0; i < most && b.Len() < size; i++ {
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
		"json_files":             each(media+`"Bucket":"b","SpriteOutputFile":[`, `{"ObjectName":"%d"},`, `{}]}}}}}`),
		"json_media_results":     each(job+`"Operation":{"MediaResult":[`, `{"OutputFile":{"ObjectName":"%d"}},`, `{}]}}}`),
		"json_pages":             each(job+`"Operation":{"DocProcessResult":{"PageInfo":[`, `{"TgtUri":"%d"},`, `{}]}}}}`),
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
	Name    string
	Bytes   int
	Seconds float64
	Outcome string
	// The most memory at once, garbage included, beyond what stood before: of Decode,
	// and of Decode and Encode. 0 where that cannot be measured.
	Decode, MiB float64
}

// TestWorstBodies bounds the time and the memory of the worst bodies of 6 MiB. A
// process of its own decodes them, one after the other, with the memory limit of a
// function of 128 MB.
func TestWorstBodies(t *testing.T) {
	t.Parallel()
	if os.Getenv("WORST_BODIES") != "" {
		measure(t)
		return
	}
	if underRace || testing.Short() {
		for name, body := range worstBodies(1<<18, 1<<18) {
			if _, err := spend([]byte(body()), func() {}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestWorstBodies$")
	cmd.Env = append(os.Environ(), "WORST_BODIES=1", "GOMEMLIMIT=100MiB")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var costs []cost
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var c cost
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		costs = append(costs, c)
	}
	if least := len(worstBodies(1, 1)); len(costs) < least {
		t.Fatalf("%d bodies measured of %d: %s", len(costs), least, out)
	}
	const seconds, decode, mib = 6, 70, 110 // on a busy machine; alone, none takes a tenth of the time
	for _, c := range costs {
		t.Logf("%-24s %8d bytes %6.3f s %5.1f %5.1f MiB  %s", c.Name, c.Bytes, c.Seconds, c.Decode, c.MiB, c.Outcome)
		if c.Seconds > seconds || c.Decode > decode || c.MiB > mib {
			t.Errorf("%s: %.1f s, %.0f MiB and %.0f MiB", c.Name, c.Seconds, c.Decode, c.MiB)
		}
	}
}

// measure prints the cost of each body: with as many things as fit into the size,
// which mostly is refused, and with fewer than the limit, which mostly decodes.
func measure(t *testing.T) {
	const size = 6 << 20
	go exitAbove(1 << 30)
	full := map[string]int{}
	for _, most := range []int{size, 99_000} {
		bodies := worstBodies(size, most)
		names := make([]string, 0, len(bodies))
		for name := range bodies {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			body := []byte(bodies[name]())
			if len(body) == full[name] {
				continue // not made of many things
			}
			full[name] = len(body)
			c := cost{Name: name, Bytes: len(body)}
			before := resetPeak()
			peak := func() float64 { return float64(status("VmHWM:")-before) / 1024 }
			start := time.Now()
			var err error
			c.Outcome, err = spend(body, func() { c.Decode = peak() })
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			c.Seconds = time.Since(start).Seconds()
			if c.MiB = peak(); before == 0 {
				c.Decode, c.MiB = 0, 0
			}
			line, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("%s\n", line)
		}
	}
}

// exitAbove ends this process when its heap has outgrown a size, for a body that is
// not bounded takes all the memory of the machine.
func exitAbove(size uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for range time.Tick(10 * time.Millisecond) {
		if metrics.Read(sample); sample[0].Value.Uint64() > size {
			fmt.Fprintf(os.Stderr, "the heap has outgrown %d bytes\n", size)
			os.Exit(1)
		}
	}
}

// spend decodes a body, encodes its records one by one, and says how that ended.
func spend(body []byte, decoded func()) (string, error) {
	c, err := model.Decode(body)
	decoded()
	if _, ok := errors.AsType[*model.MalformedError](err); ok {
		if len(err.Error()) > 10_000 {
			return "", fmt.Errorf("a message of %d bytes", len(err.Error()))
		}
		return fmt.Sprintf("refused: %.60s", err), nil
	}
	if err != nil {
		return "", err
	}
	bytes := 0
	for _, r := range c.Records {
		encoded, err := r.Encode()
		if err != nil {
			return "", err
		}
		bytes += len(encoded)
	}
	return fmt.Sprintf("%d records, %d bytes", len(c.Records), bytes), nil
}

// resetPeak makes the memory in use the peak, and gives it in KiB: 0 where the
// system has no such thing.
func resetPeak() int {
	debug.FreeOSMemory()
	if os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) != nil {
		return 0
	}
	return status("VmRSS:")
}

// status gives a number of /proc/self/status.
func status(name string) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), name)
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return 0
	}
	return n
}
