package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
)

// worstBodies returns bodies of about that many bytes which cost as much as a body can.
// Some are refused and some are stored; either is an answer.
func worstBodies(size int) map[string]func() string {
	const (
		xmlHead, xmlTail   = `<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>j1</JobId><State>Success</State><UserData>`, `</UserData></JobsDetail></Response>`
		jsonHead, jsonTail = `{"EventName":"TaskFinish","JobsDetail":[{"JobId":"j1","State":"Success","UserData":`, `}]}`
	)
	fill := func(head, unit, tail string) func() string {
		return func() string { return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail }
	}
	atMost := func(n int, head, unit, tail string) func() string {
		return func() string {
			return head + strings.Repeat(unit, min(n, (size-len(head)-len(tail))/len(unit))) + tail
		}
	}
	count := func(n int, head, format, tail string) func() string {
		return func() string {
			b := []byte(head)
			for i := 0; i < n && len(b) < size-len(tail)-64; i++ {
				b = fmt.Appendf(b, format, i)
			}
			return string(b) + tail
		}
	}
	const maxElements = 199_000 // elements that have a value each, within what a body may have
	return map[string]func() string{
		"xml_tiny_elements":      fill(xmlHead, `<a/>`, xmlTail),
		"xml_elements":           atMost(maxElements, xmlHead, `<a>1</a>`, xmlTail),
		"xml_distinct_names":     count(maxElements, xmlHead, `<n%d>1</n%[1]d>`, xmlTail),
		"xml_attributes":         fill(xmlHead+`<a`, ` b=""`, `/>`+xmlTail),
		"xml_distinct_attribute": count(1<<30, xmlHead+`<a`, ` n%d="x"`, `/>`+xmlTail),
		"xml_quotes":             fill(xmlHead, `"`, xmlTail),
		"xml_quotes_message":     fill(`<Response><JobsDetail><JobId>j1</JobId><Message>`, `"`, `</Message></JobsDetail></Response>`),
		"xml_quotes_outputs": fill(`<Response><JobsDetail><JobId>j1</JobId><State>Success</State><Operation><MediaResult><OutputFile><Bucket>`+strings.Repeat(`"`, 3000)+
			`</Bucket>`+objectNames(515)+`</OutputFile></MediaResult><UserData>`, `"`, `</UserData></Operation></JobsDetail></Response>`),
		"xml_control_text":  fill(xmlHead, "\t", xmlTail),
		"xml_entities":      fill(xmlHead, `&#34;`, xmlTail),
		"xml_deep":          fill(xmlHead, `<a>`, ``),
		"xml_comments":      fill(xmlHead, `<!---->`, xmlTail),
		"xml_cdata":         fill(xmlHead, `<![CDATA[x]]>`, xmlTail),
		"xml_tiny_jobs":     count(999, `<Response>`, `<JobsDetail><JobId>j%d</JobId></JobsDetail>`, `</Response>`),
		"xml_too_many_jobs": count(1<<30, `<Response>`, `<JobsDetail><JobId>j%d</JobId></JobsDetail>`, `</Response>`),
		"xml_large_jobs": func() string {
			var b strings.Builder
			b.WriteString(`<Response>`)
			for i := range 999 {
				fmt.Fprintf(&b, `<JobsDetail><JobId>j%d</JobId><State>Success</State><Message>%s</Message></JobsDetail>`, i, strings.Repeat(`"`, size/999-120))
			}
			return b.String() + `</Response>`
		},
		"json_numbers":        fill(jsonHead+`[`, `1,`, `1]`+jsonTail),
		"json_numbers_stored": atMost(maxElements, jsonHead+`[`, `1,`, `1]`+jsonTail),
		"json_objects":        atMost(maxElements, jsonHead+`[`, `{"a":1},`, `1]`+jsonTail),
		"json_distinct_names": count(maxElements, jsonHead+`{`, `"n%d":1,`, `"a":1}`+jsonTail),
		"json_quotes":         fill(jsonHead+`"`, `\"`, `"`+jsonTail),
		"json_controls":       fill(jsonHead+`"`, `\u0001`, `"`+jsonTail),
		"json_unicode":        fill(jsonHead+`"`, `é`, `"`+jsonTail),
		"json_deep":           fill(jsonHead, `[`, ``),
		"json_tiny_jobs":      count(999, `{"JobsDetail":[`, `{"JobId":"j%d"},`, `{"JobId":"j"}]}`),
		"json_same_job":       fill(`{"JobsDetail":[`+strings.Repeat(`{"JobId":"j"},`, 998)+`{"JobId":"j","a":"`, `x`, `"}]}`),
		"json_outputs":        count(maxElements, jsonHead+`"u","Operation":{"MediaResult":{"OutputFile":{"Bucket":"`+mediaIn+`","Region":"`+region+`","ObjectName":[`, `"o%d",`, `"o"]}}}`+jsonTail),
		"json_md5s":           count(maxElements, jsonHead+`"u","Operation":{"MediaResult":{"OutputFile":{"Bucket":"other-1999999999","Region":"`+region+`","Md5Info":[`, `{"ObjectName":"o%d","Md5":"043221daee3f4e15ff13f42329f15eb1"},`, `{}]}}}`+jsonTail),
		"json_odd_outputs":    count(6_000, jsonHead+`"u","Operation":{"MediaResult":{"OutputFile":{"Bucket":"`+strings.Repeat("b", 100)+`","Region":"`+region+`","Md5Info":[`, `{"ObjectName":"\"\"\"\"\"\"\"\"%d","Md5":"043221daee3f4e15ff13f42329f15eb1"},`, `{}]}}}`+jsonTail),
		"no_callback":         fill(``, `x`, ``),
		"no_callback_quotes":  fill(``, `"`, ``),
		"white_space":         fill(``, "\n", ``),
		"not_utf8":            fill(``, "\xff", ``),
	}
}

// objectNames writes the names of that many outputs.
func objectNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<ObjectName>o%d</ObjectName>", i)
	}
	return b.String()
}

// TestWorstBodies delivers the worst bodies to one instance, of 6 MB at full size. Each is
// answered in 3 seconds, and all that time the process stays below the memory of the
// smallest instance. How far below says little where the bodies are small: that is up to
// the garbage collector, which has until memoryLimit.
func TestWorstBodies(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("measures a process of Linux")
	}
	const maxTime, maxKiB = 3 * time.Second, 128_000 // a little less than 128 MB
	size := 160 << 10
	if testsize.Full() {
		size = 6<<20 - 64 // a little less than 6 MB
	}
	s := newSite(t, -1)
	p := start(t, buildFunction)
	bodies := worstBodies(size)
	highest := 0
	deliver := func(name string, payload []byte) {
		p.resetPeak(t)
		took, a := time.Duration(1<<62), told{}
		for range 3 { // the best of three: the machine may be busy with other things
			started := time.Now()
			returned, err := p.Invoke(context.Background(), s.settings("TAG_MD5=true"), payload)
			took = min(took, time.Since(started))
			if a = read(t, returned, err); took < maxTime {
				break
			}
		}
		peak := p.status("VmHWM")
		highest = max(highest, peak)
		t.Logf("%-32s %8d bytes  %4d ms  %3d MB  %d %.90s", name, len(payload), took.Milliseconds(), peak>>10, a.status, a.body)
		if took > maxTime {
			t.Errorf("%s: answered after %v", name, took)
		}
		if a.status != 200 && a.status != 400 {
			t.Errorf("%s: %d %.300s", name, a.status, a.body)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		body := bodies[name]()
		s.clear(t)
		deliver(name, worstEvent(t, body, "text"))
		if name != "xml_quotes" && name != "xml_quotes_outputs" && name != "json_quotes" && name != "json_controls" && name != "not_utf8" {
			continue
		}
		// The largest records, which are compared with what is there.
		deliver(name+" again", worstEvent(t, body, "base64"))
		deliver(name+" newer", worstEvent(t, strings.Replace(body, "Success", "Cancel", 1), "text"))
		deliver(name+" older", worstEvent(t, strings.Replace(body, "Success", "Running", 1), "text"))
		s.clear(t)
		deliver(name+" base64", worstEvent(t, body, "base64"))
	}
	// As many records at once as there are jobs at a time, each the largest.
	s.clear(t)
	var eight []string
	for i := range 8 {
		id := fmt.Sprintf("<JobId>j%d<", i)
		deliver("one of eight large records", worstEvent(t, strings.Replace(bodies["xml_quotes"](), "<JobId>j1<", id, 1), "base64"))
		eight = append(eight, fmt.Sprintf(`{"JobId":"j%d","State":"Running"}`, i))
	}
	small := `{"JobsDetail":[` + strings.Join(eight, ",") + `]}`
	deliver("eight older than large records", worstEvent(t, small, "text"))
	deliver("eight newer than large records", worstEvent(t, strings.ReplaceAll(small, "Running", "Success\",\"EndTime\":\"2030-01-01T00:00:00+0800"), "text"))
	if highest == 0 || highest >= maxKiB {
		t.Errorf("the process took up to %d KiB, want less than %d", highest, maxKiB)
	}
	logLines(t, p.printed(t))
}

// worstEvent makes the trigger event of a body. Text is not escaped more than need be,
// so that as much of it as possible fits into an event.
func worstEvent(t *testing.T, body, form string) []byte {
	if form == "base64" {
		return fmt.Appendf(nil, `{"httpMethod":"POST","queryString":{"token":%q},"isBase64Encoded":"true","body":%q}`, token, base64.StdEncoding.EncodeToString([]byte(body)))
	}
	return event(t, []string{token}, []byte(body))
}

// clear empties the local COS, which would otherwise hold hundreds of megabytes.
func (s *site) clear(t testing.TB) {
	for _, key := range s.Keys(recordsIn, "") {
		if err := s.DeleteObject(recordsIn, key); err != nil {
			t.Fatal(err)
		}
	}
}

// resetPeak makes the memory in use now the most that ever was. Where the system does not
// allow that, the peak that is measured is that of all bodies so far.
func (p *process) resetPeak(t *testing.T) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0); err != nil {
		t.Logf("the peak is not reset: %v", err)
	}
}
