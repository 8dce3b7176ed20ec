package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
)

// now is the time of the tests.
var now = time.Date(2026, 11, 27, 19, 12, 30, 0, time.UTC)

func putRecord(s *sample.Source, key, state string, at time.Time) {
	s.Put(key, fmt.Appendf(nil, `{"version":2,"kind":"job","id":"x","state":%q,"detail":{}}`, state), at)
}

func keysOf(entries []catalog.Entry) []string {
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}

// TestListNewestFirst lists several pages and kinds, leaves out what is older, and what is
// no record by its name.
func TestListNewestFirst(t *testing.T) {
	t.Parallel()
	s := sample.New()
	var want []string
	for i := range 2500 {
		key := fmt.Sprintf("ci/jobs/j%04d.json", (i*7919)%2500)
		putRecord(s, key, "Success", now.Add(-time.Duration(i)*time.Second))
		want = append(want, key)
	}
	putRecord(s, "ci/workflows/i1.json", "Success", now.Add(time.Second))
	putRecord(s, "ci/jobs/old.json", "Success", now.Add(-48*time.Hour))
	putRecord(s, "ci/jobs/other.txt", "Success", now)
	putRecord(s, "ci/history/jobs/j0001/x.json", "Success", now)
	c := catalog.New(s, "ci/")
	listed := 0
	entries, err := c.List(t.Context(), model.Kinds(), now.Add(-24*time.Hour), func(n int) { listed = max(listed, n) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{"ci/workflows/i1.json"}, want...), keysOf(entries)); diff != "" {
		t.Errorf("-want +got:\n%.2000s", diff)
	}
	if listed != 2503 || s.Lists != 5 {
		t.Errorf("%d keys listed, by %d requests", listed, s.Lists)
	}
	jobs, err := c.List(t.Context(), []model.Kind{model.KindWorkflow}, time.Time{}, nil)
	if err != nil || len(jobs) != 1 {
		t.Errorf("workflows: %d, %v", len(jobs), err)
	}
}

// stuck is a bucket whose listing does not go on.
type stuck struct{ *sample.Source }

func (stuck) List(context.Context, string, string) ([]catalog.Entry, string, error) {
	return []catalog.Entry{{Key: "ci/jobs/a.json"}}, "ci/jobs/a.json", nil
}

func TestListThatDoesNotGoOn(t *testing.T) {
	t.Parallel()
	if _, err := catalog.New(stuck{sample.New()}, "ci/").List(t.Context(), model.Kinds(), time.Time{}, nil); err == nil {
		t.Error("no error")
	}
}

// counting counts how many reads are under way at a time.
type counting struct {
	*sample.Source
	now, most atomic.Int64
	fail      func(key string) error
}

func (c *counting) Read(ctx context.Context, key string, use func(catalog.Object) error) error {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
	}
	time.Sleep(20 * time.Millisecond)
	if c.fail != nil {
		if err := c.fail(key); err != nil {
			return err
		}
	}
	return c.Source.Read(ctx, key, use)
}

// TestSummaries reads 1,000 records, 64 at a time and each once, also where two ask.
func TestSummaries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &counting{Source: sample.New()}
		for i := range 1000 {
			putRecord(s.Source, fmt.Sprintf("ci/jobs/j%04d.json", i), "Success", now)
		}
		c := catalog.New(s, "ci/")
		entries, err := c.List(t.Context(), model.Kinds(), time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		other := make(chan error, 1)
		go func() {
			_, err := c.Summaries(t.Context(), entries[500:600])
			other <- err
		}()
		summaries, err := c.Summaries(t.Context(), entries)
		if err := errors.Join(err, <-other); err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(summaries, func(s *catalog.Summary) bool { return s == nil || s.State != "Success" }); i >= 0 {
			t.Errorf("the summary of %s is %+v", entries[i].Key, summaries[i])
		}
		if most := s.most.Load(); most != 64 {
			t.Errorf("%d reads at a time, not 64", most)
		}
		if took := time.Since(began); took > 400*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

// TestSummariesAfterAnError stops reading, and returns the error.
func TestSummariesAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		s := &counting{Source: sample.New(), fail: func(key string) error {
			if key == "ci/jobs/j0100.json" {
				return broken
			}
			return nil
		}}
		for i := range 1000 {
			putRecord(s.Source, fmt.Sprintf("ci/jobs/j%04d.json", i), "Success", now)
		}
		c := catalog.New(s, "ci/")
		entries, _ := c.List(t.Context(), model.Kinds(), time.Time{}, nil)
		if _, err := c.Summaries(t.Context(), entries); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		if s.Reads > 300 {
			t.Errorf("%d reads after one of the first 128 had failed", s.Reads)
		}
	})
}

// TestGone passes over what was deleted since it was listed, and reads again what was
// written since.
func TestGone(t *testing.T) {
	t.Parallel()
	s := sample.New()
	putRecord(s, "ci/jobs/a.json", "Running", now)
	putRecord(s, "ci/jobs/b.json", "Running", now)
	c := catalog.New(s, "ci/")
	entries, _ := c.List(t.Context(), model.Kinds(), time.Time{}, nil)
	s.Delete("ci/jobs/a.json")
	summaries, err := c.Summaries(t.Context(), entries)
	if err != nil || summaries[0] != nil || summaries[1].State != "Running" {
		t.Fatalf("%+v, %v", summaries, err)
	}
	putRecord(s, "ci/jobs/b.json", "Success", now.Add(time.Second))
	entries, _ = c.List(t.Context(), model.Kinds(), time.Time{}, nil)
	if summaries, err = c.Summaries(t.Context(), entries); err != nil || summaries[0].State != "Success" {
		t.Errorf("%+v, %v", summaries[0], err)
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	body := `{"version":2,"kind":"job","id":"j1","source":"query","event":"TaskFinish","state":"Failed","code":"C","message":"` + strings.Repeat("ä", 200) + `",
		"tag":"Transcode","queueId":"p1","creationTime":"2026-11-27T10:00:00+08:00","startTime":"2026-11-27T10:00:01+08:00","endTime":"2026-11-27T10:00:31.5+08:00",
		"input":{"bucket":"b-1","object":"/in/a.mov"},"detail":{}}`
	got := catalog.Summarize("ci/", catalog.Object{Entry: catalog.Entry{Key: "ci/jobs/j1.json", Size: 7, ETag: "e", LastModified: now}, Body: []byte(body)})
	want := &catalog.Summary{
		Key: "ci/jobs/j1.json", ETag: "e", Size: 7, Recorded: now, Kind: model.KindJob, ID: "j1", Source: "query", State: "Failed", Code: "C",
		Message: strings.Repeat("ä", 150) + "…", Type: "Transcode", Queue: "p1", Input: "b-1/in/a.mov",
		Created: time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC), Started: time.Date(2026, 11, 27, 2, 0, 1, 0, time.UTC),
		Ended: time.Date(2026, 11, 27, 2, 0, 31, 5e8, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if took, ok := got.Took(); !ok || took != 30*time.Second+500*time.Millisecond {
		t.Errorf("it took %s, %v", took, ok)
	}
	tests := map[string]struct{ body, want string }{
		"not_json":  {"<Response/>", "not JSON"},
		"no_record": {`{"hello":"you"}`, "not a record"},
	}
	for name, test := range tests {
		s := catalog.Summarize("ci/", catalog.Object{Entry: catalog.Entry{Key: "ci/reviews/a~2Bb.json"}, Body: []byte(test.body)})
		if !strings.Contains(s.Problem, test.want) || s.ID != "a~2Bb" || s.Kind != model.KindReview {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestSummarizeParts has the type and the input of records that are no plain jobs.
func TestSummarizeParts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ fields, want string }{ // the type and the input
		"job_without_tag":   {`"kind":"job"`, " of "},
		"event_of_a_job":    {`"kind":"job","event":"TaskFinish"`, " of "},
		"review_by_event":   {`"kind":"review","event":"ReviewImage"`, "ReviewImage of "},
		"review":            {`"kind":"review"`, "Review of "},
		"run":               {`"kind":"workflow","event":"WorkflowFinish"`, "Workflow of "},
		"url_without_query": {`"kind":"review","input":{"url":"https://a.example/b?sign=secret"}`, "Review of https://a.example/b"},
		"key_before_url":    {`"kind":"job","input":{"object":"a","url":"https://a.example/b"}`, " of a"},
		"bucket_alone":      {`"kind":"job","input":{"bucket":"b-1"}`, " of b-1/"},
		"longest_key":       {`"kind":"job","input":{"object":"` + strings.Repeat("k", 900) + `"}`, " of " + strings.Repeat("k", 900)},
		"too_long":          {`"kind":"job","input":{"object":"` + strings.Repeat("k", 901) + `"}`, " of " + strings.Repeat("k", 900) + "…"},
	}
	for name, test := range tests {
		s := catalog.Summarize("ci/", catalog.Object{Body: []byte(`{"version":1,"id":"x","state":"Success",` + test.fields + `}`)})
		if got := s.Type + " of " + s.Input; got != test.want || s.Problem != "" {
			t.Errorf("%s: %q, not %q: %s", name, got, test.want, s.Problem)
		}
	}
	for _, missing := range []string{`"version":1`, `"id":"x"`, `"state":"Success"`} {
		body := strings.Replace(`{"version":1,"id":"x","state":"Success"}`, missing, `"other":1`, 1)
		if s := catalog.Summarize("ci/", catalog.Object{Body: []byte(body)}); !strings.HasPrefix(s.Problem, "not a record") {
			t.Errorf("without %s: %+v", missing, s)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		prefix, key string
		want        model.Kind
	}{
		{"ci/", "ci/jobs/j1.json", model.KindJob}, {"", "workflows/i1.json", model.KindWorkflow}, {"a/b/", "a/b/reviews/r.json", model.KindReview},
		{"x", "xjobs/j1.json", model.KindJob}, {"jobs/", "jobs/reviews/r.json", model.KindReview},
		{"", "jobs", ""}, {"", "", ""}, {"ci/", "ci/rejected/1", ""}, {"ci/", "ci/history/jobs/j1/x.json", ""},
	} {
		if got := catalog.KindOfKey(test.prefix, test.key); got != test.want {
			t.Errorf("below %q the kind of %q is %q, not %q", test.prefix, test.key, got, test.want)
		}
	}
	hash := strings.Repeat("0123456789abcdef", 4)
	for text, want := range map[string]bool{hash: true, hash[1:]: false, hash + "0": false, "g" + hash[1:]: false, strings.ToUpper(hash): false} {
		if catalog.IsHash(text) != want {
			t.Errorf("%s is a hash: %t", text, !want)
		}
	}
	for key, want := range map[string]string{"ci/rejected/" + hash: "0123456789ab", "ci/history/jobs/j1/" + hash + ".json": "0123456789ab", "short": "short"} {
		if got := catalog.ShortHash(key); got != want {
			t.Errorf("the short hash of %q is %q", key, got)
		}
	}
}

// TestCSV makes each cell safe that a spreadsheet would take for a formula.
func TestCSV(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := catalog.WriteCells(&out, [][]string{{"=a", "+a", "-a", "@a", "\ta", "\ra", "a=", "", "a,b"}}); err != nil {
		t.Fatal(err)
	}
	if want := "'=a,'+a,'-a,'@a,'\ta,\"'\ra\",a=,,\"a,b\"\n"; out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
}

// TestFind finds a record by the id as CI has it, and as it stands in its key.
func TestFind(t *testing.T) {
	t.Parallel()
	s := sample.New()
	s.Put("ci/reviews/a~2Bb~3D.json", []byte(`{"version":2,"kind":"review","id":"a+b=","state":"Success","detail":{}}`), now)
	c := catalog.New(s, "ci/")
	for _, id := range []string{"a+b=", "a~2Bb~3D"} {
		if view, err := c.Find(t.Context(), id, model.Kinds()); err != nil || view.Summary.ID != "a+b=" {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := c.Find(t.Context(), "j404", model.Kinds()); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// TestHistory puts versions in order, whatever order they were written in, and names what
// changed.
func TestHistory(t *testing.T) {
	t.Parallel()
	s := sample.New()
	version := func(state, end string) []byte {
		return fmt.Appendf(nil, `{"version":2,"kind":"job","id":"j1","state":%q,"endTime":%q,"detail":{"State":%[1]q,"Input":{"Object":"a"}}}`+"\n", state, end)
	}
	first, second, third := version("Running", "2026-11-27T10:00:00Z"), version("Failed", "2026-11-27T10:00:05Z"), version("Success", "2026-11-27T10:00:09Z")
	s.Put("ci/jobs/j1.json", third, now)
	s.Put("ci/history/jobs/j1/a.json", second, now)
	s.Put("ci/history/jobs/j1/b.json", third, now)
	s.Put("ci/history/jobs/j1/c.json", first, now)
	view, err := catalog.New(s, "ci/").Open(t.Context(), model.KindJob, "j1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range view.Versions {
		got = append(got, fmt.Sprint(v.Summary.State, " ", v.Current, " ", len(v.OwnChanges()), " ", len(v.DetailChanges())))
	}
	if diff := cmp.Diff([]string{"Success true 2 1", "Failed false 2 1", "Running false 0 0"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if change := view.Versions[0].Changes[0]; change != (catalog.Change{Path: "state", Was: "Failed", Now: "Success"}) {
		t.Errorf("the first change is %+v", change)
	}
}

// TestHistoryInParts has more versions than are read, one of which is gone, and then one
// that cannot be read.
func TestHistoryInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, readHistoryInParts)
}

func readHistoryInParts(t *testing.T) {
	s := &counting{Source: sample.New()}
	body := func(n int) []byte {
		end := now.Add(-time.Duration(n) * time.Minute).Format(time.RFC3339)
		return fmt.Appendf(nil, `{"version":2,"kind":"job","id":"j1","state":"Success","message":"%d","endTime":%q,"detail":{}}`, n, end)
	}
	s.Put("ci/jobs/j1.json", body(0), now)
	for i := range catalog.MaxVersions + 2 {
		s.Put(fmt.Sprintf("ci/history/jobs/j1/%03d.json", 99-i), body(i+1), now.Add(-time.Duration(i)*time.Second))
	}
	gone := "ci/history/jobs/j1/098.json"
	s.fail = func(key string) error {
		if key == gone {
			return fmt.Errorf("%s: %w", key, catalog.ErrNotFound)
		}
		return nil
	}
	c := catalog.New(s, "ci/")
	view, err := c.Open(t.Context(), model.KindJob, "j1")
	if err != nil || view.Omitted != 2 || len(view.Versions) != catalog.MaxVersions {
		t.Fatalf("%d versions and %d omitted: %v", len(view.Versions), view.Omitted, err)
	}
	for i, version := range view.Versions {
		want := fmt.Sprint(i)
		if i >= 2 {
			want = fmt.Sprint(i + 1) // the one between is gone
		}
		if version.Summary.Message != want {
			t.Errorf("version %d is that of %s, not of %s", i, version.Summary.Message, want)
		}
	}
	broken := errors.New("broken")
	s.fail = func(key string) error {
		if key == gone {
			return broken
		}
		return nil
	}
	if _, err := c.Open(t.Context(), model.KindJob, "j1"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Find(t.Context(), "j1", model.Kinds()); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestManyChanges names no more than it is of use to read.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	list := func(n int) []byte { return []byte("[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]") }
	for n, wantMore := range map[int]int{500: 0, 501: 1, 777: 277} {
		changes, more := catalog.Changes([]byte("[]"), list(n))
		if len(changes) != 500 || more != wantMore {
			t.Errorf("of %d: %d and %d more", n, len(changes), more)
		}
	}
}

// TestReadAll reads all that is there still, and stops at an error or at its end.
func TestReadAll(t *testing.T) {
	t.Parallel()
	s := sample.New()
	for i := range 3 {
		s.Put(fmt.Sprintf("ci/rejected/%d", i), []byte{byte('a' + i)}, now.Add(time.Duration(i)*time.Second))
	}
	c := catalog.New(s, "ci/")
	entries, err := c.ListAll(t.Context(), "rejected/")
	if diff := cmp.Diff([]string{"ci/rejected/2", "ci/rejected/1", "ci/rejected/0"}, keysOf(entries)); diff != "" || err != nil {
		t.Fatalf("%v, -want +got:\n%s", err, diff)
	}
	s.Delete("ci/rejected/1")
	got := make([]string, len(entries))
	err = c.ReadAll(t.Context(), entries, func(i int, o catalog.Object) error {
		got[i] = string(o.Body)
		return nil
	}, nil)
	if diff := cmp.Diff([]string{"c", "", "a"}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	broken := errors.New("broken")
	if err := c.ReadAll(t.Context(), entries, func(int, catalog.Object) error { return broken }, nil); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if err := c.ReadAll(ctx, entries, func(int, catalog.Object) error { return nil }, nil); !errors.Is(err, broken) {
		t.Errorf("after the end: error %v", err)
	}
}

// TestCached returns what was read of an entry, until that changes.
func TestCached(t *testing.T) {
	t.Parallel()
	s := sample.New()
	putRecord(s, "ci/jobs/a.json", "Success", now)
	putRecord(s, "ci/jobs/b.json", "Success", now)
	c := catalog.New(s, "ci/")
	entries, _ := c.List(t.Context(), model.Kinds(), time.Time{}, nil)
	if c.Cached(entries[0]) != nil {
		t.Error("it was not read yet")
	}
	for range 2 {
		if _, err := c.Summaries(t.Context(), entries[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if all := c.CachedAll(entries); all[0] == nil || all[0].Key != "ci/jobs/a.json" || all[1] != nil || c.Cached(entries[0]) != all[0] || s.Reads != 1 {
		t.Errorf("%+v, after %d reads", all, s.Reads)
	}
	other, later := entries[0], entries[0]
	other.ETag, later.LastModified = "other", now.Add(time.Second)
	if c.Cached(other) != nil || c.Cached(later) != nil {
		t.Error("what was written since is taken for what was read")
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		was, now string
		want     []catalog.Change
	}{
		"same":        {`{"a":1}`, `{"a":1}`, nil},
		"number_kept": {`{"a":1970670598291982290}`, `{"a":1970670598291982291}`, []catalog.Change{{Path: "a", Was: "1970670598291982290", Now: "1970670598291982291"}}},
		"added":       {`{}`, `{"a":{"b":["x"]}}`, []catalog.Change{{Path: "a.b[0]", Now: "x"}}},
		"removed":     {`{"a":["x","y"]}`, `{"a":["x"]}`, []catalog.Change{{Path: "a[1]", Was: "y"}}},
		"what_says_most_first": {
			`{"a":"1","endTime":"1","message":"1","code":"1","verdict":"1","state":"1","detail":"1"}`,
			`{"a":"2","endTime":"2","message":"2","code":"2","verdict":"2","state":"2","detail":"2"}`, []catalog.Change{
				{Path: "state", Was: "1", Now: "2"}, {Path: "verdict", Was: "1", Now: "2"}, {Path: "code", Was: "1", Now: "2"}, {Path: "message", Was: "1", Now: "2"},
				{Path: "endTime", Was: "1", Now: "2"}, {Path: "a", Was: "1", Now: "2"}, {Path: "detail", Was: "1", Now: "2"}}},
		"detail_last": {`{"detail":{"a":"1"},"z":"1"}`, `{"detail":{"a":"2"},"z":"2"}`, []catalog.Change{{Path: "z", Was: "1", Now: "2"}, {Path: "detail.a", Was: "1", Now: "2"}}},
		"not_json":    {`{"a":1}`, `<a/>`, []catalog.Change{{Path: "", Now: "<a/>"}, {Path: "a", Was: "1"}}},
	}
	for name, test := range tests {
		got, more := catalog.Changes([]byte(test.was), []byte(test.now))
		if diff := cmp.Diff(test.want, got); diff != "" || more != 0 {
			t.Errorf("%s: %d more, -want +got:\n%s", name, more, diff)
		}
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	shanghai := now.In(time.FixedZone("", 8*3600))
	tests := map[string]time.Time{
		"24h":                       now.Add(-24 * time.Hour),
		"90m":                       now.Add(-90 * time.Minute),
		"7d":                        now.Add(-7 * 24 * time.Hour),
		"all":                       {},
		"":                          {},
		"2026-11-27T10:00:00+08:00": time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC),
		"2026-11-27":                time.Date(2026, 11, 26, 16, 0, 0, 0, time.UTC),
	}
	for text, want := range tests {
		got, err := catalog.ParseMoment(text, shanghai)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, not %s: %v", text, got, want, err)
		}
	}
	for _, text := range []string{"yesterday", "-3h", "-1d", "99999d", "d", "24", "2026-13-01"} {
		if _, err := catalog.ParseMoment(text, now); err == nil {
			t.Errorf("%q has no error", text)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	s := &catalog.Summary{State: "Failed", Type: "Transcode", Verdict: "violation", Code: "C", Input: "b-1/in/a.mov"}
	tests := map[string]struct {
		filter catalog.Filter
		want   bool
	}{
		"nothing":       {catalog.Filter{}, true},
		"any_case":      {catalog.Filter{State: "failed", Type: "TRANSCODE", Verdict: "Violation"}, true},
		"other_state":   {catalog.Filter{State: "Success"}, false},
		"other_type":    {catalog.Filter{Type: "Snapshot"}, false},
		"other_verdict": {catalog.Filter{Verdict: "normal"}, false},
		"code_in_case":  {catalog.Filter{Code: "c"}, false},
		"bucket":        {catalog.Filter{Input: "b-1/in"}, true},
		"key":           {catalog.Filter{Input: "in/a"}, true},
		"slash_key":     {catalog.Filter{Input: "/in/a"}, true},
		"other_key":     {catalog.Filter{Input: "a.mov"}, false},
	}
	for name, test := range tests {
		if got := test.filter.Match(s); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for filter, want := range map[catalog.Filter]bool{
		{}: false, {Kind: "job", Since: "1h", Until: "2h"}: false, {State: "a"}: true, {Type: "a"}: true, {Verdict: "a"}: true, {Code: "a"}: true, {Input: "a"}: true,
	} {
		if filter.ByContent() != want {
			t.Errorf("%+v has to be read: %t", filter, !want)
		}
	}
	for kind, want := range map[string][]model.Kind{"": model.Kinds(), "JOB": {model.KindJob}, "review": {model.KindReview}, "task": nil} {
		got, err := catalog.Filter{Kind: kind}.Kinds()
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%q: %v, -want +got:\n%s", kind, err, diff)
		}
	}
	since, until, err := catalog.Filter{Since: "2h", Until: "1h"}.Window(now)
	if err != nil || !since.Equal(now.Add(-2*time.Hour)) || !until.Equal(now.Add(-time.Hour)) {
		t.Errorf("%s to %s: %v", since, until, err)
	}
	for want, filter := range map[string]catalog.Filter{"since: ": {Since: "x"}, "until: ": {Until: "x"}} {
		if _, _, err := filter.Window(now); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v", err)
		}
	}
}

func TestMessageShape(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"download of in/a.mov ended after 4711 bytes": "download of … ended after … bytes",
		"download of in/b.mov ended after 1 bytes":    "download of … ended after … bytes",
		`the input "my own file.mov" has no video`:    "the input … has no video",
		`the input "x" has no video`:                  "the input … has no video",
		"no such bucket":                              "no such bucket",
		"":                                            "",
	}
	for message, want := range tests {
		if got := catalog.MessageShape(message); got != want {
			t.Errorf("%q: %q, not %q", message, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	failed := func(code, message, kind string, ago time.Duration) *catalog.Summary {
		return &catalog.Summary{State: "Failed", Code: code, Message: message, Type: kind, Recorded: now.Add(-ago)}
	}
	groups := catalog.Groups([]*catalog.Summary{
		failed("A", "at 1", "Transcode", 1), nil, {State: "Success", Code: "A"}, failed("B", "at 1", "Snapshot", 2),
		failed("B", "at 2", "Concat", 3), failed("B", "at 3", "Snapshot", 4),
	})
	var got []string
	for _, g := range groups {
		got = append(got, fmt.Sprint(g.Code, " ", g.Message, " ", g.Count, " ", g.Types, " ", now.Sub(g.Newest.Recorded), " ", now.Sub(g.First)))
	}
	if diff := cmp.Diff([]string{"B at … 3 [Concat Snapshot] 2ns 4ns", "A at … 1 [Transcode] 1ns 1ns"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	entry := func(ago time.Duration) catalog.Entry { return catalog.Entry{LastModified: now.Add(-ago)} }
	entries := []catalog.Entry{entry(0), entry(12 * time.Minute), entry(13 * time.Minute), entry(3 * time.Hour), entry(30 * time.Hour)}
	summaries := []*catalog.Summary{{State: "Failed"}, {State: "Success"}, nil, {State: "Success"}, {State: "Success"}}
	bins := catalog.Histogram(entries, summaries, now.Add(-4*time.Hour), now, time.Hour)
	var got []string
	for _, b := range bins {
		got = append(got, fmt.Sprint(b.From.Format("15:04"), " ", b.States))
	}
	want := []string{"15:00 map[]", "16:00 map[Success:1]", "17:00 map[]", "18:00 map[:1]", "19:00 map[Failed:1 Success:1]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestHistogramOfDays begins its bins at midnight of the zone that is looked at.
func TestHistogramOfDays(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("", 8*3600)
	at := func(day, hour int) catalog.Entry {
		return catalog.Entry{LastModified: time.Date(2026, 11, day, hour, 0, 0, 0, shanghai)}
	}
	entries := []catalog.Entry{at(28, 4), at(28, 0), at(27, 23), at(26, 3), at(26, 1), at(29, 0)} // the last two are outside
	summaries := []*catalog.Summary{{State: "Failed"}, {}, nil, {State: "Failed"}, {State: "Failed"}, {State: "Failed"}}
	var got []string
	for _, b := range catalog.Histogram(entries, summaries, at(26, 2).LastModified, at(28, 5).LastModified, 24*time.Hour) {
		got = append(got, fmt.Sprint(b.From, " ", b.To.Sub(b.From), " ", b.States, " ", b.Total()))
	}
	want := []string{
		"2026-11-26 00:00:00 +0800 +0800 24h0m0s map[Failed:1] 1", "2026-11-27 00:00:00 +0800 +0800 24h0m0s map[:1] 1", "2026-11-28 00:00:00 +0800 +0800 24h0m0s map[Failed:1 Unreadable:1] 2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWidth(t *testing.T) {
	t.Parallel()
	for window, want := range map[time.Duration]time.Duration{
		6 * time.Hour: 15 * time.Minute, 12 * time.Hour: 15 * time.Minute, 12*time.Hour + 1: time.Hour, 48 * time.Hour: time.Hour,
		6 * 24 * time.Hour: 3 * time.Hour, 12 * 24 * time.Hour: 6 * time.Hour, 48 * 24 * time.Hour: 24 * time.Hour, 24 * time.Hour: time.Hour, 7 * 24 * time.Hour: 6 * time.Hour, 30 * 24 * time.Hour: 24 * time.Hour, 365 * 24 * time.Hour: 7 * 24 * time.Hour,
	} {
		if got := catalog.Width(window); got != want {
			t.Errorf("%s: %s, not %s", window, got, want)
		}
	}
}

func TestDurationsByType(t *testing.T) {
	t.Parallel()
	var summaries []*catalog.Summary
	for i := range 100 {
		summaries = append(summaries, &catalog.Summary{Type: "Transcode", Started: now, Ended: now.Add(time.Duration(i+1) * time.Second)})
	}
	summaries = append(summaries, nil, &catalog.Summary{Type: "Snapshot", Started: now, Ended: now.Add(time.Second)},
		&catalog.Summary{Type: "Concat", Started: now}, &catalog.Summary{Type: "Concat", Started: now, Ended: now.Add(-time.Second)})
	want := []catalog.Durations{
		{Type: "Transcode", Count: 100, Median: 50 * time.Second, P95: 95 * time.Second, Max: 100 * time.Second},
		{Type: "Snapshot", Count: 1, Median: time.Second, P95: time.Second, Max: time.Second},
	}
	if diff := cmp.Diff(want, catalog.DurationsByType(summaries)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		catalog.Duration(0):                             "0 s",
		catalog.Duration(400 * time.Millisecond):        "0.4 s",
		catalog.Duration(31 * time.Second):              "31 s",
		catalog.Duration(9900 * time.Millisecond):       "9.9 s",
		catalog.Duration(10500 * time.Millisecond):      "10 s",
		catalog.Duration(3 * time.Second):               "3 s",
		catalog.Duration(time.Minute):                   "1 m 00 s",
		catalog.Duration(time.Hour):                     "1 h 00 m",
		catalog.Duration(48*time.Hour - 1):              "47 h 59 m",
		catalog.Duration(48 * time.Hour):                "2 d 00 h",
		catalog.Duration(-90 * time.Second):             "-1 m 30 s",
		catalog.Duration(125 * time.Second):             "2 m 05 s",
		catalog.Duration(3*time.Hour + 7*time.Minute):   "3 h 07 m",
		catalog.Duration(52 * time.Hour):                "2 d 04 h",
		catalog.Age(30 * time.Second):                   "now",
		catalog.Age(time.Minute):                        "1 min",
		catalog.Age(59 * time.Minute):                   "59 min",
		catalog.Age(time.Hour):                          "1 h",
		catalog.Age(48 * time.Hour):                     "2 d",
		catalog.Age(47 * time.Hour):                     "47 h",
		catalog.Age(12 * 24 * time.Hour):                "12 d",
		catalog.Bytes(999):                              "999 B",
		catalog.Bytes(1000):                             "1.0 kB",
		catalog.Bytes(1000):                             "1.0 kB",
		catalog.Bytes(4712):                             "4.7 kB",
		catalog.Bytes(9949):                             "9.9 kB",
		catalog.Bytes(9950):                             "10 kB",
		catalog.Bytes(999_499):                          "999 kB",
		catalog.Bytes(999_500):                          "1.0 MB",
		catalog.Bytes(2e18):                             "2000 PB",
		catalog.Bytes(999_950):                          "1.0 MB",
		catalog.Bytes(25_000_000):                       "25 MB",
		catalog.Count(1_234_567):                        "1,234,567",
		catalog.Count(999):                              "999",
		catalog.Count(1000):                             "1,000",
		catalog.Count(-999):                             "-999",
		catalog.Count(-1234):                            "-1,234",
		catalog.Middle("j8d121820f5e411ec926ef19d", 12): "j8d12…6ef19d",
		catalog.Middle("ab", 1):                         "…",
		catalog.Middle("j8d121820f5e411ec926ef19d", 11): "j8d12…ef19d",
		catalog.Middle("短い名前", 4):                       "短い名前",
		catalog.Middle("a", 1):                          "a",
	}
	for got, want := range tests {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestTookOfRow tells a job that took no time from one whose record has no times.
func TestTookOfRow(t *testing.T) {
	t.Parallel()
	var rows []catalog.Row
	for _, times := range []string{`"startTime":"2026-11-27T10:00:00Z","endTime":"2026-11-27T10:00:00Z"`, `"startTime":"2026-11-27T10:00:00Z"`} {
		body := `{"version":2,"kind":"job","id":"j1","state":"Success",` + times + `}`
		rows = append(rows, catalog.RowOf(catalog.Summarize("ci/", catalog.Object{Body: []byte(body)})))
	}
	cells := catalog.Cells(rows)
	column := slices.Index(cells[0], "tookSeconds")
	if cells[1][column] != "0" || cells[2][column] != "" {
		t.Errorf("the cells are %q and %q", cells[1][column], cells[2][column])
	}
	for i, want := range []bool{true, false} {
		encoded, err := json.Marshal(rows[i])
		if got := strings.Contains(string(encoded), `"tookSeconds":0`); err != nil || got != want {
			t.Errorf("%s, %v", encoded, err)
		}
	}
}
