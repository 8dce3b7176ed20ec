package model_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// record gives the bytes of a record of one job.
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
		"other_version":        {`{"version":0,"kind":"job","id":"j1","state":"Success","endTime":` + latest + `}`, record("Running", ``)},
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
		"time_over_none": {record("Success", ``), record("Success", `,"endTime":"0000-01-01T00:00:00Z"`), record("Success", `,"endTime":`+ten)},
		"instants":       {record("Success", `,"endTime":`+ten), record("Success", `,"endTime":`+later), record("Success", `,"endTime":`+utc)},
		"end_decides":    {record("Success", `,"creationTime":`+latest+`,"startTime":`+latest+`,"endTime":`+ten), record("Success", `,"creationTime":`+ten+`,"endTime":`+later)},
		"else_start":     {record("Success", `,"creationTime":`+latest+`,"startTime":`+ten), record("Success", `,"startTime":`+later)},
		"else_creation":  {record("Success", `,"creationTime":`+ten), record("Success", `,"creationTime":`+later)},
		"end_unreadable": {record("Success", `,"startTime":`+ten+`,"endTime":"soon"`), record("Success", `,"startTime":`+later+`,"endTime":"-"`)},
		"bytes":          {record("Success", `,"message":"a","endTime":`+ten), record("Success", `,"message":"b","endTime":`+ten)},
		"bytes_at_once":  {record("Failed", `,"endTime":`+ten), record("Success", `,"endTime":"2026-03-02T02:00:00Z"`)},
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

// TestNewestCallback gives callbacks of one job from the oldest to the newest, in
// all kinds, and folds each permutation of them.
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
			if !slices.IsSortedFunc(records, model.Compare) {
				t.Errorf("not in order: %s", records)
			}
			for _, order := range permutations(len(records)) {
				var kept []byte
				for _, i := range order {
					if kept == nil || model.Compare(records[i], kept) > 0 {
						kept = records[i]
					}
				}
				if string(kept) != string(records[len(records)-1]) {
					t.Errorf("order %v ends in %s", order, kept)
				}
			}
		})
	}
}

// permutations gives all orders of the numbers below n.
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
