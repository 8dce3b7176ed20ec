package model_test

import (
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/model"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	const traceID = "NTg3/zRj+TRfOA=="
	tests := map[string]struct {
		kind         model.Kind
		id           string
		key, history string
	}{
		"job":      {model.KindJob, "j1", "ci/jobs/j1.json", "ci/history/jobs/j1/"},
		"workflow": {model.KindWorkflow, "i-1_A", "ci/workflows/i-1_A.json", "ci/history/workflows/i-1_A/"},
		"review":   {model.KindReview, "si1", "ci/reviews/si1.json", "ci/history/reviews/si1/"},
		"base64":   {model.KindReview, traceID, "ci/reviews/NTg3~2FzRj~2BTRfOA~3D~3D.json", "ci/history/reviews/NTg3~2FzRj~2BTRfOA~3D~3D/"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := model.Record{Kind: test.kind, ID: test.id}
			if got := r.Key("ci/"); got != test.key {
				t.Errorf("%s, want %s", got, test.key)
			}
			if got := model.HistoryPrefix("ci/", test.kind, test.id); got != test.history {
				t.Errorf("%s, want %s", got, test.history)
			}
			// The SHA-256 of abc is that of FIPS 180-2.
			want := test.history + "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.json"
			if got := model.HistoryKey("ci/", test.kind, test.id, []byte("abc")); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if kind, id, ok := model.ParseKey("ci/", test.key); kind != test.kind || id != test.id || !ok {
				t.Errorf("%q, %q, %v", kind, id, ok)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"history":       "ci/history/jobs/j1/ba78.json",
		"other_prefix":  "jobs/j1.json",
		"other_folder":  "ci/rejected/ba78.json",
		"no_json":       "ci/jobs/j1",
		"no_id":         "ci/jobs/.json",
		"bad_id":        "ci/jobs/a b.json",
		"deeper":        "ci/jobs/j1/x.json",
		"not_a_review":  "ci/jobs/a~2Bb.json",
		"not_escaped":   "ci/reviews/a+b.json",
		"escaped_other": "ci/reviews/a~41b.json",
		"too_long":      "ci/jobs/" + strings.Repeat("a", 65) + ".json",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if kind, id, ok := model.ParseKey("ci/", key); ok || kind != "" || id != "" {
				t.Errorf("%q, %q, %v", kind, id, ok)
			}
		})
	}
}

// TestIDs asserts which ids a record may have, by what decodes.
func TestIDs(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	tests := map[string]struct {
		id         string
		job, trace bool // whether it may be a JobId, or a trace_id
	}{
		"letters":          {"abcXYZ019_-", true, true},
		"longest_job":      {repeat("a", 64), true, true},
		"longer":           {repeat("a", 65), false, true},
		"longest_trace_id": {repeat("a", 96), false, true},
		"too_long":         {repeat("a", 97), false, false},
		"base64":           {"a+/=", false, true},
		"dot":              {"a.b", false, false},
		"tilde":            {"a~2B", false, false},
		"space":            {"a b", false, false},
		"letter_beyond":    {"é", false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := model.Decode([]byte(`{"JobsDetail":{"JobId":"` + test.id + `"}}`))
			if got := err == nil; got != test.job {
				t.Errorf("JobId: %v", err)
			}
			_, err = model.Decode([]byte(`{"EventName":"ReviewImage","JobsDetail":{"JobId":"` + test.id + `"}}`))
			if got := err == nil; got != test.job {
				t.Errorf("JobId of a review: %v", err)
			}
			_, err = model.Decode([]byte(`{"code":0,"data":{"trace_id":"` + test.id + `"}}`))
			if got := err == nil; got != test.trace {
				t.Errorf("trace_id: %v", err)
			}
		})
	}
}
