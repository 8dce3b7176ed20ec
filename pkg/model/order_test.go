package model_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// record returns the bytes of a record of one job.
func record(state, times string) string {
	return fmt.Sprintf(`{"version":2,"kind":"job","id":"j1","state":%q%s,"detail":{}}`, state, times)
}

// TestCompare lists records from the oldest to the newest.
func TestCompare(t *testing.T) {
	t.Parallel()
	const (
		ten    = `"2026-03-02T10:00:00+08:00"`
		later  = `"2026-03-02T10:00:00.001+08:00"`
		utc    = `"2026-03-02T02:00:01Z"` // a second after ten
		latest = `"2026-03-02T11:00:00+08:00"`
	)
	tests := map[string][]string{
		"not_a_record": {
			``, `null`, `{"id":"j1"}`, record("Running", ``),
		},
		"no_version":           {`{"version":0,"kind":"job","id":"j1","state":"Success","endTime":` + latest + `}`, record("Running", ``)},
		"other_kind":           {`{"version":2,"kind":"x","id":"j1","state":"Success"}`, record("Running", ``)},
		"no_id":                {`{"version":2,"kind":"job","state":"Success"}`, record("Running", ``)},
		"no_state":             {`{"version":2,"kind":"job","id":"j1"}`, record("Running", ``)},
		"more_behind":          {record("Success", ``) + `x`, record("Running", ``)},
		"success_over_running": {record("Running", `,"endTime":`+latest), record("Success", `,"endTime":`+ten), record("Success", `,"endTime":`+latest)},
		"failed_over_pause":    {record("Pause", `,"endTime":`+latest), record("Failed", ``)},
		"cancel_over_auditing": {record("Auditing", `,"endTime":`+latest), record("Cancel", ``)},
		"unknown_state":        {record("Unknown", `,"endTime":`+latest), record("Failed", ``)},
		"terminal_states_equal": {
			record("Success", `,"endTime":`+ten), record("Failed", `,"endTime":`+later), record("Cancel", `,"endTime":`+latest),
		},
		"time_over_none":      {record("Success", ``), record("Success", `,"endTime":"0000-01-01T00:00:00Z"`), record("Success", `,"endTime":`+ten)},
		"instants":            {record("Success", `,"endTime":`+ten), record("Success", `,"endTime":`+later), record("Success", `,"endTime":`+utc)},
		"end_decides":         {record("Success", `,"creationTime":`+latest+`,"startTime":`+latest+`,"endTime":`+ten), record("Success", `,"creationTime":`+ten+`,"endTime":`+later)},
		"else_start":          {record("Success", `,"creationTime":`+latest+`,"startTime":`+ten), record("Success", `,"startTime":`+later)},
		"else_creation":       {record("Success", `,"creationTime":`+ten), record("Success", `,"creationTime":`+later)},
		"end_unreadable":      {record("Success", `,"startTime":`+ten+`,"endTime":"soon"`), record("Success", `,"startTime":`+later+`,"endTime":"-"`)},
		"bytes":               {record("Success", `,"message":"a","endTime":`+ten), record("Success", `,"message":"b","endTime":`+ten)},
		"query_over_callback": {record("Success", `,"endTime":`+latest), record("Success", `,"source":"query","endTime":`+ten), record("Failed", `,"source":"query","endTime":`+latest)},
		"terminal_over_query": {record("Running", `,"source":"query","endTime":`+latest), record("Success", ``)},
		"other_source":        {record("Success", `,"source":"other"`), record("Success", `,"endTime":`+ten)},
		"verdicts": {
			record("Success", ``), record("Success", `,"verdict":"excellent"`), record("Success", `,"verdict":"normal"`),
			record("Success", `,"verdict":"suspected"`), record("Success", `,"verdict":"violation"`), record("Success", `,"verdict":"normal","endTime":`+ten),
		},
		"version_before_bytes":   {strings.Replace(record("Success", `,"userData":"z"`), `"version":2`, `"version":1`, 1), record("Success", `,"userData":"a"`)},
		"verdict_before_version": {record("Success", ``), strings.Replace(record("Success", `,"verdict":"normal"`), `"version":2`, `"version":1`, 1)},
		"later_format": {
			record("Success", `,"source":"query","verdict":"violation","endTime":`+latest), `{"version":3,"kind":"job","id":"j1","state":"Running"}`,
			`{"version":3,"kind":"job","id":"j1"}`, `{"version":4,"kind":"job","id":"j1","state":{"now":"odd"},"detail":[]}`,
		},
		"later_format_of_nothing": {`{"version":3,"kind":"job"}`, record("Running", ``)},
		"bytes_at_once":           {record("Failed", `,"endTime":`+ten), record("Success", `,"endTime":"2026-03-02T02:00:00Z"`)},
	}
	for name, records := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, a := range records {
				for j, b := range records {
					got := model.Compare([]byte(a), []byte(b))
					if want := sign(i - j); sign(got) != want {
						t.Errorf("%d, want %d\n a %s\n b %s", got, want, a, b)
					}
				}
			}
		})
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

// TestNewestCallback has in each case callbacks of one job from the oldest to the newest,
// in all kinds, and folds each permutation of them.
func TestNewestCallback(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"job": {
			`{"JobsDetail":{"JobId":"x","State":"Submitted","CreationTime":"2026-03-02T10:00:00+0800","EndTime":"-"}}`,
			`{"JobsDetail":{"JobId":"x","State":"Running","CreationTime":"2026-03-02T10:00:00+0800","StartTime":"2026-03-02T10:00:05+0800"}}`,
			`{"JobsDetail":{"JobId":"x","State":"Failed","EndTime":"2026-03-02T10:00:06+0800"}}`,
			`<JobsDetail><JobId>x</JobId><State>Success</State><EndTime>2026-03-02T10:00:07+0800</EndTime></JobsDetail>`,
		},
		"workflow": {
			`{"WorkflowExecution":{"RunId":"x","CreateTime":"2026-03-02 10:00:00+0800"}}`,
			`{"WorkflowExecution":{"RunId":"x","State":"Running","CreateTime":"2026-03-02 10:00:01+0800"}}`,
			`{"WorkflowExecution":{"RunId":"x","State":"Success","CreateTime":"2026-03-02 10:00:00+0800"}}`,
			`{"WorkflowExecution":{"RunId":"x","State":"Success","CreateTime":"2026-03-02 10:00:00+0800","EndTime":"2026-03-02 10:00:01+0800"}}`,
		},
		"review": {
			`{"EventName":"ReviewVideo","JobsDetail":{"JobId":"x","State":"Snapshoting","CreationTime":"2026-03-02T10:00:00+08:00"}}`,
			`{"EventName":"ReviewVideo","JobsDetail":{"JobId":"x","State":"Auditing","CreationTime":"2026-03-02T10:00:01+08:00"}}`,
			`{"code":0,"data":{"trace_id":"x"}}`,
			`{"EventName":"ReviewVideo","JobsDetail":{"JobId":"x","State":"Success","CreationTime":"2026-03-02T10:00:00+08:00"}}`,
		},
	}
	for name, bodies := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var records [][]byte
			for _, body := range bodies {
				records = append(records, encode(t, []byte(body)))
			}
			checkOrder(t, records)
		})
	}
}

// TestSupersedes asserts which stored bytes keep a record of ours from being written.
func TestSupersedes(t *testing.T) {
	t.Parallel()
	ours := record("Success", `,"endTime":"2026-03-02T10:00:00+08:00"`)
	tests := map[string]struct {
		stored string
		want   bool
	}{
		"newer":           {record("Success", `,"endTime":"2026-03-02T10:00:01+08:00"`), true},
		"older":           {record("Running", ``), false},
		"same":            {ours, false},
		"nothing":         {``, false},
		"other_job":       {strings.Replace(record("Success", `,"endTime":"2026-03-02T10:00:01+08:00"`), `"j1"`, `"j2"`, 1), false},
		"other_kind":      {strings.Replace(record("Success", `,"endTime":"2026-03-02T10:00:01+08:00"`), `"job"`, `"review"`, 1), false},
		"later_format":    {`{"version":3,"kind":"job","id":"j1","state":"Running"}`, true},
		"later_other_job": {`{"version":3,"kind":"job","id":"j2","state":"Running"}`, false},
		"later_odd":       {`{"version":3,"kind":"job","id":"j1","state":7,"detail":"none"}`, true},
		"fraction":        {`{"version":2.5,"kind":"job","id":"j1","state":"Success"}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := model.Supersedes([]byte(test.stored), []byte(ours)); got != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestLaterFormat asserts that a record of a later format is read as far as it goes, and
// that it cannot be written again, which would lose what is not known of it.
func TestLaterFormat(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"more":  `{"version":3,"kind":"job","id":"j1","state":"Success","priority":7,"detail":{"a":"b"}}`,
		"other": `{"version":9,"kind":"job","id":"j1","state":"Success","outputs":{"a":1},"detail":["a"]}`,
		"less":  `{"version":3,"kind":"job","id":"j1","state":"Success"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := model.ParseRecord([]byte(body))
			if err != nil || !r.LaterFormat() || r.ID != "j1" || r.State != "Success" {
				t.Fatalf("%+v, %v", r, err)
			}
			if encoded, err := r.Encode(); err == nil {
				t.Errorf("encoded as %s", encoded)
			}
		})
	}
	for _, version := range []int{1, 2} {
		r, err := model.ParseRecord(fmt.Appendf(nil, `{"version":%d,"kind":"job","id":"j1","state":"Success","detail":{}}`, version))
		if err != nil || r.LaterFormat() {
			t.Errorf("version %d: %+v, %v", version, r, err)
		}
	}
}

// TestTime asserts which time a record goes by.
func TestTime(t *testing.T) {
	t.Parallel()
	const a, b, c = "2026-03-02T10:00:01Z", "2026-03-02T10:00:02Z", "2026-03-02T10:00:03Z"
	tests := map[string]struct {
		record model.Record
		want   string
	}{
		"end":      {model.Record{CreationTime: a, StartTime: b, EndTime: c}, c},
		"start":    {model.Record{CreationTime: a, StartTime: b, EndTime: "-"}, b},
		"creation": {model.Record{CreationTime: a}, a},
		"none":     {model.Record{}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := test.record.Time()
			if ok != (test.want != "") || ok && got.Format(time.RFC3339) != test.want {
				t.Errorf("%v, %v", got, ok)
			}
		})
	}
}

// permutations returns all orders of the numbers below n.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			all = append(all, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return all
}

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for name, lines := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, line := range lines {
				r, err := model.ParseRecord(line)
				if err != nil {
					t.Fatal(err)
				}
				again, err := r.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if string(again) != string(line) {
					t.Errorf("%s\nbecame %s", line, again)
				}
			}
		})
	}
}

func TestParseRecordRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"empty":            ``,
		"not_json":         `<Error><Code>NoSuchKey</Code></Error>`,
		"array":            `[]`,
		"null":             `null`,
		"no_version":       `{"kind":"job","id":"j1","state":"Success","detail":{}}`,
		"no_known_version": `{"version":0,"kind":"job","id":"j1","state":"Success","detail":{}}`,
		"no_kind":          `{"version":2,"id":"j1","state":"Success","detail":{}}`,
		"bad_id":           `{"version":2,"kind":"job","id":"j/1","state":"Success","detail":{}}`,
		"no_state":         `{"version":2,"kind":"job","id":"j1","detail":{}}`,
		"no_detail":        `{"version":2,"kind":"job","id":"j1","state":"Success"}`,
		"null_detail":      `{"version":2,"kind":"job","id":"j1","state":"Success","detail":null}`,
		"cut":              `{"version":2,"kind":"job","id":"j1","state":"Success","detail":{}`,
		"two":              record("Success", "") + record("Success", ""),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r, err := model.ParseRecord([]byte(body)); !errors.Is(err, model.ErrNotRecord) || r != nil {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}
