package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/parallel"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
)

// refuse answers requests that match with an error of their service.
func refuse(match func(*http.Request) bool, status int, code string) meddler {
	return func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		if match(r) {
			return errorOf(r, status, code), nil
		}
		return do()
	}
}

// count returns how many warnings begin like that.
func count(messages []string, beginning string) (n int) {
	for _, m := range messages {
		if strings.HasPrefix(m, beginning) {
			n++
		}
	}
	return n
}

// tooDeep is in a job that is not understood.
var tooDeep = strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)

// COS refuses one record: its job is asked for again, and the others are compared.
func TestOneRecordRefused(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusServiceUnavailable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.addMany(50, time.Hour)
				w.net.meddle = refuse(func(r *http.Request) bool { return isRecord(r) && strings.Contains(r.URL.Path, "j0007") }, status, "AccessDenied")
				r, err := w.run()
				if err != nil || r.Counts != (reconcile.Counts{Checked: 50, Repaired: 49}) || r.Pending != 1 || !r.Complete {
					t.Errorf("%+v, %v", r, err)
				}
				if n := count(w.messages(), "COS refuses the record of a job"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				w.net.meddle = nil
				time.Sleep(10 * time.Minute)
				w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
				w.checkAllRecorded(50)
			})
		})
	}
}

// COS refuses more than ten: the bucket is given up, and yet every run comes further.
func TestManyRecordsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(200, time.Hour)
		w.net.meddle = refuse(func(r *http.Request) bool {
			return isRecord(r) && (strings.Contains(r.URL.Path, "j000") || strings.Contains(r.URL.Path, "j001"))
		}, http.StatusForbidden, "AccessDenied")
		for range 5 {
			r, err := w.run()
			if err == nil || !errors.Is(err, cosclient.ErrMisconfigured) || !strings.Contains(err.Error(), media) || !strings.Contains(err.Error(), "name/cos:PutObject") || r.Complete {
				t.Errorf("%+v, %v", r, err)
			}
			time.Sleep(10 * time.Minute)
		}
		w.checkAllRecorded(180)
	})
}

// COS refuses to read a record and takes a create-only write: that decides.
func TestReadRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.add("j2", time.Hour, cilocal.Plan{})
		w.callback("j2")
		w.net.meddle = refuse(func(r *http.Request) bool { return r.Method == http.MethodGet && isRecord(r) }, http.StatusForbidden, "AccessDenied")
		r, err := w.run()
		if err != nil || r.Counts != (reconcile.Counts{Checked: 2, Repaired: 1}) || r.Pending != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if lines := fmt.Sprint(w.log.lines()); !strings.Contains(lines, "name/cos:GetObject") {
			t.Errorf("the permission is not named: %s", lines)
		}
	})
}

// COS is out of reach: the run says so, and what was known stays.
func TestCOSOutOfReach(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{2 * time.Second, time.Minute} {
		for name, match := range map[string]func(*http.Request) bool{
			"all":     func(r *http.Request) bool { return !toCI(r) },
			"records": isRecord,
		} {
			t.Run(fmt.Sprint(name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t, cilocal.Options{})
					before := time.Now().Add(-3 * time.Hour)
					w.put("ci/reconcile/"+media+".json", fmt.Sprintf(`{"version":1,"tags":{"Transcode":{"until":%q}}}`, before.Format(time.RFC3339)))
					w.addMany(150, time.Hour)
					w.net.meddle = refuse(match, http.StatusServiceUnavailable, "ServiceUnavailable")
					r, err := w.runFor(limit)
					if err == nil || !errors.Is(err, cosclient.ErrUnavailable) || !strings.Contains(err.Error(), "503") || r.Complete {
						t.Errorf("%+v, %v", r, err)
					}
					if w.net.meddle = nil; !w.until().Equal(before) {
						t.Errorf("until went from %v to %v", before, w.until())
					}
				})
			})
		}
	}
}

// The state: missing, refused and unreadable count as none; out of reach does not.
func TestStateNotRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meddle  meddler
		state   string
		message string
		fails   bool
	}{
		"refused":    {refuse(func(r *http.Request) bool { return isState(r) && r.Method == http.MethodGet }, http.StatusForbidden, "AccessDenied"), "", "the state of the reconciliation may not be read", false},
		"unreadable": {nil, "hello", "the state of the reconciliation cannot be read", false},
		"later":      {nil, `{"version":2}`, "the state of the reconciliation cannot be read", false},
		"null":       {nil, `{"version":1,"tags":{"Transcode":null},"workflows":null}`, "", false},
		"no_answer":  {refuse(func(r *http.Request) bool { return isState(r) && r.Method == http.MethodGet }, http.StatusServiceUnavailable, "ServiceUnavailable"), `{"version":1}`, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.add("j1", time.Hour, cilocal.Plan{})
				if test.state != "" {
					w.put("ci/reconcile/"+media+".json", test.state)
				}
				w.net.meddle = test.meddle
				r, err := w.run()
				if (err != nil) != test.fails || r.Complete == test.fails {
					t.Errorf("%+v, %v", r, err)
				}
				if o, _ := w.cos.Object(records, "ci/reconcile/"+media+".json"); test.fails && string(o.Body) != test.state {
					t.Errorf("it was written over with %s", o.Body)
				}
				if s := w.state(); !test.fails && (s.Bucket != media || s.Region != region) {
					t.Errorf("the state is of %s, %s", s.Bucket, s.Region)
				}
				if n := count(w.messages(), test.message); test.message != "" && n != 1 {
					t.Errorf("%d warnings", n)
				}
			})
		})
	}
}

// A state that cannot be written is an error; the records are mended all the same.
func TestStateNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(250, time.Hour)
		w.net.meddle = refuse(func(r *http.Request) bool { return isState(r) && r.Method == http.MethodPut }, http.StatusForbidden, "AccessDenied")
		before := w.net.count()
		r, err := w.run()
		if err == nil || !strings.Contains(err.Error(), "name/cos:PutObject") || r.Complete || r.Repaired != 250 {
			t.Errorf("%+v, %v", r, err)
		}
		puts := slices.DeleteFunc(w.net.since(before), func(r string) bool { return !strings.Contains(r, "PUT") || !strings.Contains(r, "/reconcile/") })
		if len(puts) != 2 { // one half-way, and the last
			t.Errorf("%v", puts)
		}
	})
}

// The last save may take all of the time that is left.
func TestSlowLastSave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if toCI(r) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			if isState(r) && r.Method == http.MethodPut {
				select {
				case <-time.After(290 * time.Millisecond):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return do()
		}
		_, err := w.runFor(2 * time.Second)
		if err == nil || strings.Contains(err.Error(), "reconcile/") {
			t.Errorf("error %v", err)
		}
		w.state()
	})
}

// The work ends a tenth of the time limit before the deadline, however little time is left.
// Where nobody says what the limit is, it is what is left.
func TestReserve(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ limit, left, want time.Duration }{
		"all_is_left":   {8 * time.Second, 8 * time.Second, 7200 * time.Millisecond},
		"half_is_left":  {8 * time.Second, 4 * time.Second, 3200 * time.Millisecond},
		"a_short_limit": {time.Second, time.Second, 650 * time.Millisecond},
		"not_told":      {0, 4 * time.Second, 3600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.add("j1", time.Hour, cilocal.Plan{})
				w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if isRecord(r) { // until the time is up
						return errorOf(r, http.StatusServiceUnavailable, "ServiceUnavailable"), nil
					}
					return do()
				}
				o := w.instance().options()
				o.TimeLimit = test.limit
				ctx, cancel := context.WithTimeout(t.Context(), test.left)
				defer cancel()
				started := time.Now()
				reconcile.Run(ctx, o)
				if took := time.Since(started); took != test.want {
					t.Errorf("it took %v, want %v", took, test.want)
				}
			})
		})
	}
}

// One bucket's fault, and one type's, does not keep the others back; the error names them.
func TestFaultsAreApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.add("s1", time.Hour, cilocal.Plan{}, func(j *cilocal.Job) { j.Tag = "Snapshot" })
		denied := func(r *http.Request) bool {
			return toCI(r) && strings.HasPrefix(r.URL.Host, media) && r.URL.Query().Get("tag") == "Snapshot"
		}
		w.net.meddle = refuse(denied, http.StatusForbidden, "AccessDenied")
		r, err := w.run(func(o *reconcile.Options) {
			o.Buckets = append([]reconcile.Bucket{{Name: "gone-1250000000", Region: region}, {Name: "bad name", Region: region}}, o.Buckets...)
			o.Types = []string{"Snapshot", "Nonsense", "Transcode", "Concat", "Tts"}
		})
		if err == nil || r.Repaired != 1 || r.Complete || w.record("j1") == nil {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, part := range []string{
			"bucket gone-1250000000: Snapshot, Nonsense, Transcode and 2 more: ", "NoSuchBucket", "bucket bad name: ",
			"bucket " + media + ": Snapshot: ", "grant ci:DescribeMediaJobs on bucket " + media,
		} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("no %q in %q", part, err)
			}
		}
		if strings.Contains(err.Error(), media+": Nonsense") || count(w.messages(), "CI does not know this type") != 1 {
			t.Errorf("an unknown type is an error: %v", err)
		}
	})
}

// CI is out of reach: four tries a request, and an error.
func TestCIOutOfReach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.net.meddle = refuse(toCI, http.StatusServiceUnavailable, "ServiceUnavailable")
		before := w.net.count()
		r, err := w.run()
		if err == nil || !errors.Is(err, cosclient.ErrUnavailable) || r.Complete || w.net.count()-before != 4+2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Tags out of reach: the job is asked for again until they are there. After ten, no more
// tags are tried in that run; the records go on.
func TestTagsOutOfReach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addManyWith(100, time.Hour)
		tried := map[string]bool{}
		var mu sync.Mutex
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Host, "media-") && !toCI(r) {
				mu.Lock()
				tried[r.URL.Path] = true
				mu.Unlock()
				return errorOf(r, http.StatusServiceUnavailable, "ServiceUnavailable"), nil
			}
			return do()
		}
		r, err := w.run()
		if err != nil || r.Repaired != 100 || r.Pending != 100 || len(tried) > 10+reconcile.MaxCOSRequests || len(tried) < 10 {
			t.Errorf("%+v, %v; %d outputs were tried", r, err, len(tried))
		}
		w.checkAllRecorded(100)
		w.net.meddle = nil
		time.Sleep(10 * time.Minute)
		w.mustRun(reconcile.Counts{Checked: 100, Recorded: 100})
		for i := range 100 {
			if o, _ := w.cos.Object(media, fmt.Sprintf("out/j%04d.mp4", i)); len(o.Tags) != 1 {
				t.Errorf("output %d has the tags %v", i, o.Tags)
			}
		}
	})
}

// What comes for a tag set and is none is read three times in a run. Then the tag waits for
// the next run, and not for the operator, as one does that COS refuses.
func TestTagSetIsNone(t *testing.T) {
	t.Parallel()
	const untagged, refused = "outputs of a job could not be tagged", "COS refuses to tag an output of a job"
	portal := func(*http.Request) *http.Response { return proxyPage(http.StatusOK) }
	denied := func(r *http.Request) *http.Response { return errorOf(r, http.StatusForbidden, "AccessDenied") }
	for name, test := range map[string]struct {
		answer      func(*http.Request) *http.Response
		answers     int   // of those, before COS's own
		wantPending []int // after each run
		wantTagged  bool
		wantWarning map[string]int
	}{
		"twice":       {portal, 2, []int{0}, true, nil},
		"three_times": {portal, 3, []int{1, 0}, true, map[string]int{untagged: 1}},
		"seven_times": {portal, 7, []int{1, 1, 0}, true, map[string]int{untagged: 2}},
		"always":      {portal, 1000, []int{1, 1, 1, 1}, false, map[string]int{untagged: 4}},
		"refused":     {denied, 1, []int{0, 0}, false, map[string]int{refused: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.add("j1", time.Hour, cilocal.Plan{})
				w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if r.Method == http.MethodGet && r.URL.Query().Has("tagging") && test.answers > 0 {
						test.answers--
						return test.answer(r), nil
					}
					return do()
				}
				for run, want := range test.wantPending {
					if r, err := w.run(); err != nil || r.Pending != want || !r.Complete {
						t.Errorf("run %d: %+v, %v; want %d pending", run, r, err, want)
					}
					time.Sleep(10 * time.Minute)
				}
				messages := w.messages()
				for _, message := range []string{untagged, refused} {
					if n := count(messages, message); n != test.wantWarning[message] {
						t.Errorf("%d warnings that %s", n, message)
					}
				}
				w.checkAllRecorded(1)
				if o, _ := w.cos.Object(media, "out/j1.mp4"); (len(o.Tags) == 1) != test.wantTagged {
					t.Errorf("tags %v", o.Tags)
				}
			})
		})
	}
}

// A pending job that CI does not know in two runs, one after the other, is dropped.
func TestUnknownID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", 0, cilocal.Plan{Run: 2 * time.Hour})
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"Transcode":{"until":"2000-01-01T00:00:00Z","pending":["jgone","j1"],"missed":["j1"]}}}`)
		for run, want := range []struct {
			pending, missed []string
			unknown         int
		}{
			{[]string{"jgone", "j1"}, []string{"jgone"}, 0},
			{[]string{"j1"}, nil, 1},
		} {
			time.Sleep(10 * time.Minute)
			r, err := w.run()
			l := w.state().Tags["Transcode"]
			slices.Sort(l.Pending)
			slices.Sort(want.pending)
			if err != nil || r.Unknown != want.unknown || w.state().Last.Unknown != want.unknown || !slices.Equal(l.Pending, want.pending) || !slices.Equal(l.Missed, want.missed) {
				t.Errorf("run %d: %+v, %v; state %+v", run, r, err, l)
			}
			if n := count(w.messages(), "CI does not know a job any more"); n != want.unknown || len(r.Findings) != want.unknown {
				t.Errorf("%d warnings, findings %v", n, r.Findings)
			}
		}
	})
}

// What cannot be understood is kept, and passed.
func TestNotUnderstood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(3, time.Hour)
		w.add("deep", time.Hour, cilocal.Plan{}, func(j *cilocal.Job) { j.Operation = tooDeep })
		r, err := w.run()
		if err != nil || !r.Complete || r.Repaired != 3 || r.Pending != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		keys := w.cos.Keys(records, "ci/rejected/")
		if len(keys) != 1 {
			t.Fatalf("kept %v", keys)
		}
		kept, _ := w.cos.Object(records, keys[0])
		if !strings.HasPrefix(string(kept.Body), "<JobsDetail>") || !strings.HasSuffix(string(kept.Body), "</JobsDetail>") || kept.Header.Get("x-cos-meta-source") != "query" {
			t.Errorf("kept %s with %v", kept.Body, kept.Header)
		}
		want := []reconcile.Finding{{Bucket: media, ID: "deep", Type: "Transcode", Outcome: reconcile.Rejected}}
		if diff := cmp.Diff(want, slices.DeleteFunc(r.Findings, func(f reconcile.Finding) bool { return f.Outcome == reconcile.Repaired })); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

// So is a job that is longer than any callback.
func TestLongJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.add("long", time.Hour, cilocal.Plan{}, func(j *cilocal.Job) { j.Operation = "<Text>" + strings.Repeat(" ", 6<<20) + "</Text>" })
		r := w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
		keys := w.cos.Keys(records, "ci/rejected/")
		want := reconcile.Finding{Bucket: media, ID: "long", Type: "Transcode", Outcome: reconcile.Rejected}
		if r.Pending != 0 || len(keys) != 1 || !slices.Contains(r.Findings, want) {
			t.Errorf("%+v; kept %v", r, keys)
		}
	})
}

// A pending job of which CI says more than is read is passed over, and holds up no others.
func TestLongPendingJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		for _, id := range []string{"j1", "long", "j2"} {
			w.add(id, time.Hour, cilocal.Plan{})
		}
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"Transcode":{"until":"2000-01-01T00:00:00Z","pending":["j1","long","j2"]}}}`)
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			response, err := do()
			if err == nil && strings.Contains(r.URL.Path, "long") {
				response.ContentLength = ci.MaxAnswerBytes + 1
			}
			return response, err
		}
		r := w.mustRun(reconcile.Counts{Checked: 2, Repaired: 2})
		want := reconcile.Finding{Bucket: media, ID: "long", Type: "Transcode", Outcome: reconcile.Rejected}
		if r.Pending != 0 || r.Unknown != 0 || !slices.Contains(r.Findings, want) || count(w.messages(), "what CI says of a job is too long") != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// What CI says of pending jobs may name another job, or none. A job without an id that is
// not understood is taken for the one that was asked for.
func TestOddAnswersAboutPending(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		asked    string // the pending ids
		answer   string
		pending  []int // after each run
		unknown  int
		rejected int
	}{
		"without_an_id":      {`"j1"`, "<JobsDetail><State>Success</State></JobsDetail>", []int{0, 0}, 0, 1},
		"nothing":            {`"j1"`, "", []int{1, 1}, 0, 0},
		"another":            {`"j1"`, "<JobsDetail><JobId>other</JobId><State>Running</State></JobsDetail>", []int{1, 1}, 0, 0},
		"another_unknown":    {`"j1"`, "<NonExistJobIds>other</NonExistJobIds>", []int{1, 1}, 0, 0},
		"one_of_two_unknown": {`"j1","j2"`, "<NonExistJobIds>j1</NonExistJobIds><JobsDetail><State>Success</State></JobsDetail>", []int{1, 0}, 1, 1},
		"one_of_two_unread":  {`"j1","j2"`, "<JobsDetail><State>Success</State></JobsDetail>", []int{2, 2}, 0, 1},
		"unknown":            {`"j1"`, "<NonExistJobIds>j1</NonExistJobIds>", []int{1, 0}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"Transcode":{"until":"2000-01-01T00:00:00Z","pending":[`+test.asked+`]}}}`)
				w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if toCI(r) && !isList(r) {
						page := errorOf(r, http.StatusOK, "")
						page.Body, page.ContentLength = io.NopCloser(strings.NewReader("<Response>"+test.answer+"</Response>")), -1
						return page, nil
					}
					return do()
				}
				unknown := 0
				for run, want := range test.pending {
					r, err := w.run()
					if err != nil || r.Pending != want || r.Checked != 0 || !r.Complete {
						t.Errorf("run %d: %+v, %v; want %d pending", run, r, err, want)
					}
					unknown += r.Unknown
				}
				if n := len(w.cos.Keys(records, "ci/rejected/")); n != test.rejected || unknown != test.unknown {
					t.Errorf("%d were rejected, %d unknown", n, unknown)
				}
			})
		})
	}
}

// A pending job that the list names too is compared once in a run: a record that is out of
// reach is not tried twice.
func TestPendingAndListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.add("j2", time.Hour, cilocal.Plan{})
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"Transcode":{"until":"1999-12-31T00:00:00Z","pending":["j1"]}}}`)
		w.net.meddle = refuse(func(r *http.Request) bool { return isRecord(r) && strings.Contains(r.URL.Path, "j1") }, http.StatusForbidden, "AccessDenied")
		if r := w.mustRun(reconcile.Counts{Checked: 2, Repaired: 1}); r.Pending != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// Where it cannot be kept, Until stays before it.
func TestNotUnderstoodNorKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.mustRun(reconcile.Counts{})
		before := w.until()
		w.add("deep", time.Hour, cilocal.Plan{}, func(j *cilocal.Job) {
			j.Operation = tooDeep
			j.Created = time.Now()
		})
		w.net.meddle = refuse(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/rejected/") }, http.StatusForbidden, "AccessDenied")
		time.Sleep(10 * time.Minute)
		if r, err := w.run(); err != nil || !w.until().Equal(before) {
			t.Errorf("%+v, %v; until went from %v to %v", r, err, before, w.until())
		}
		w.net.meddle = nil
		w.mustRun(reconcile.Counts{})
		if len(w.cos.Keys(records, "ci/rejected/")) != 1 || !w.until().After(before) {
			t.Errorf("until %v", w.until())
		}
	})
}

// No more than a hundred warnings, and one that counts the others.
func TestWarnings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(150, time.Hour)
		r, err := w.run()
		lines := w.log.lines()
		if err != nil || len(lines) != 101 || !strings.HasPrefix(fmt.Sprint(lines[100]["msg"]), "50 more warnings") {
			t.Errorf("%d lines, the last %v", len(lines), lines[len(lines)-1])
		}
		if len(r.Findings) != 100 || len(w.state().Last.Findings) != 100 || w.state().Last.Repaired != 150 {
			t.Errorf("%d findings", len(r.Findings))
		}
	})
}

// Jobs that /jobs does not know are asked for at the path of their kind.
func TestOldPath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{OldPathsOnly: true, MoreTags: []string{"DocProcess"}})
		w.add("d1", 0, cilocal.Plan{Run: time.Minute}, func(j *cilocal.Job) { j.Tag = "DocProcess" })
		docs := func(o *reconcile.Options) { o.Types = []string{"DocProcess"} }
		time.Sleep(2 * time.Second)
		if r := w.mustRun(reconcile.Counts{}, docs); r.Pending != 1 {
			t.Errorf("%+v", r)
		}
		time.Sleep(10 * time.Minute)
		if r := w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1}, docs); r.Pending != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// Where the role may not ask at the path of its kind, a job counts as one that CI does not
// know, and the run goes on.
func TestOldPathDenied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{OldPathsOnly: true, MoreTags: []string{"DocProcess"}})
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"DocProcess":{"until":"2000-01-01T00:00:00Z","pending":["d1","d2"]}}}`)
		w.net.meddle = refuse(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/doc_jobs/") }, http.StatusForbidden, "AccessDenied")
		docs := func(o *reconcile.Options) { o.Types = []string{"DocProcess"} }
		if r := w.mustRun(reconcile.Counts{}, docs); r.Pending != 2 || r.Unknown != 0 {
			t.Errorf("%+v", r)
		}
		if r := w.mustRun(reconcile.Counts{}, docs); r.Pending != 0 || r.Unknown != 2 {
			t.Errorf("the second time: %+v", r)
		}
	})
}

// A job that is out of reach at the path of its kind holds up the others for one run only.
func TestOldPathOutOfReach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{OldPathsOnly: true, MoreTags: []string{"DocProcess"}})
		for _, id := range []string{"d1", "d2"} {
			w.add(id, time.Hour, cilocal.Plan{}, func(j *cilocal.Job) { j.Tag = "DocProcess" })
		}
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"DocProcess":{"until":"2000-01-01T00:00:00Z","pending":["d1","d2"]}}}`)
		w.net.meddle = refuse(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/d1") && r.URL.Path != "/jobs/d1" }, http.StatusServiceUnavailable, "ServiceUnavailable")
		docs := func(o *reconcile.Options) { o.Types = []string{"DocProcess"} }
		for _, want := range []int{0, 1} {
			r, err := w.run(docs)
			if !errors.Is(err, cosclient.ErrUnavailable) || r.Repaired != want || r.Pending != 2-want {
				t.Errorf("%+v, %v; want %d repaired", r, err, want)
			}
		}
	})
}

// No more than 10,000 jobs of a type wait to be asked for; beyond that, Until stays.
func TestManyPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.mustRun(reconcile.Counts{})
		before := w.until()
		var ids []string
		for i := range 10_000 {
			ids = append(ids, fmt.Sprintf(`"p%d"`, i))
		}
		w.put("ci/reconcile/"+media+".json", fmt.Sprintf(`{"version":1,"tags":{"Transcode":{"until":%q,"pending":[%s]}}}`, before.Format(time.RFC3339), strings.Join(ids, ",")))
		time.Sleep(time.Minute)
		w.add("j1", 0, cilocal.Plan{Run: 20 * time.Minute})
		w.add("j2", 0, cilocal.Plan{})
		time.Sleep(6 * time.Minute)
		r, err := w.run()
		if err != nil || r.Repaired != 1 || r.Pending != 10_000 || !w.until().Equal(before) || len(w.state().Tags["Transcode"].Missed) != 1000 {
			t.Errorf("%+v, %v; until went from %v to %v", r, err, before, w.until())
		}
	})
}

// The runs of a workflow are fetched only where their record is missing or differs.
func TestWorkflows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		for _, id := range []string{"i1", "i2", "i3"} {
			run := cilocal.Run{ID: id, WorkflowID: workflow, Name: "n", Object: "in/1", Created: time.Now().Add(-time.Hour), Tasks: []cilocal.Task{{Type: "Transcode", Name: "T_1"}}}
			if _, err := w.ci.AddRun(media, run, cilocal.Plan{Lost: true}); err != nil {
				t.Fatal(err)
			}
		}
		w.callback("i1")
		w.receive([]byte(`{"EventName":"WorkflowFinish","WorkflowExecution":{"RunId":"i2","WorkflowId":"` + workflow + `","State":"Failed"}}`))
		flows := func(o *reconcile.Options) {
			o.Types, o.Workflows = []string{}, []reconcile.Workflow{{ID: workflow}, {ID: "wother", Bucket: "other-1250000000"}}
		}
		before := w.net.count()
		w.mustRun(reconcile.Counts{Checked: 3, Recorded: 1, Repaired: 1, Replaced: 1}, flows)
		asked := slices.DeleteFunc(w.net.since(before), func(r string) bool { return !strings.Contains(r, ".ci.") })
		if len(asked) != 3 || strings.Contains(fmt.Sprint(asked), "i1") || strings.Contains(fmt.Sprint(asked), "wother") {
			t.Errorf("asked %v", asked)
		}
		for _, id := range []string{"i2", "i3"} {
			o, _ := w.cos.Object(records, "ci/workflows/"+id+".json")
			r, err := model.ParseRecord(o.Body)
			if err != nil || r.State != "Success" || r.Source != model.SourceQuery || !strings.Contains(string(r.Detail), "T_1") {
				t.Errorf("record %+v, %v", r, err)
			}
		}
		if s := w.state(); s.Workflows[workflow] == nil || len(s.Workflows) != 1 {
			t.Errorf("state %+v", s)
		}
		before = w.net.count()
		w.mustRun(reconcile.Counts{}, flows)
		if n := w.net.count() - before; n != 3 {
			t.Errorf("an idle run took %d requests", n)
		}
	})
}

// Runs that CI does not know, or whose ids are none, hold up no others.
func TestOddRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		for _, id := range []string{"i1", "bad/id"} {
			run := cilocal.Run{ID: id, WorkflowID: workflow, Created: time.Now().Add(-time.Hour), Tasks: []cilocal.Task{{Type: "Transcode", Name: "T_1"}}}
			if _, err := w.ci.AddRun(media, run, cilocal.Plan{Lost: true}); err != nil {
				t.Fatal(err)
			}
		}
		w.put("ci/reconcile/"+media+".json", fmt.Sprintf(`{"version":1,"workflows":{%q:{"until":"1999-12-31T00:00:00Z","pending":["igone"]}}}`, workflow))
		flows := func(o *reconcile.Options) { o.Types, o.Workflows = []string{}, []reconcile.Workflow{{ID: workflow}} }
		if r := w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1}, flows); r.Pending != 1 {
			t.Errorf("%+v", r)
		}
		kept := w.cos.Keys(records, "ci/rejected/")
		if len(kept) != 1 {
			t.Fatalf("kept %v", kept)
		}
		if o, _ := w.cos.Object(records, kept[0]); !strings.HasPrefix(string(o.Body), "<WorkflowExecutionList>") {
			t.Errorf("kept %s", o.Body)
		}
		if r := w.mustRun(reconcile.Counts{}, flows); r.Pending != 0 || r.Unknown != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// A run that CI lists and does not give is asked for again, and holds up no others.
func TestListedRunNotGiven(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status  int
		code    string
		warning int
	}{
		"unknown": {http.StatusNotFound, "NoSuchKey", 0},
		"denied":  {http.StatusForbidden, "AccessDenied", 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				for _, id := range []string{"i1", "i2", "i3"} {
					w.addRunOf(id, cilocal.Plan{Age: time.Hour})
				}
				w.net.meddle = refuse(func(r *http.Request) bool { return toCI(r) && strings.HasSuffix(r.URL.Path, "/i2") }, test.status, test.code)
				flows := func(o *reconcile.Options) { o.Types, o.Workflows = []string{}, []reconcile.Workflow{{ID: workflow}} }
				if r := w.mustRun(reconcile.Counts{Checked: 2, Repaired: 2}, flows); r.Pending != 1 || r.Unknown != 0 {
					t.Errorf("%+v", r)
				}
				if n := count(w.messages(), "CI does not give a run of a workflow"); n != test.warning {
					t.Errorf("%d warnings", n)
				}
				w.net.meddle = nil
				if r := w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1}, flows); r.Pending != 0 {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// A run that CI answers with another one is asked for again.
func TestListedRunGivenAsAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addRunOf("i1", cilocal.Plan{Age: time.Hour})
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			response, err := do()
			if err == nil && toCI(r) && strings.HasSuffix(r.URL.Path, "/i1") {
				body, err := io.ReadAll(response.Body)
				if err != nil {
					t.Error(err)
				}
				body = bytes.ReplaceAll(body, []byte("i1"), []byte("i2"))
				response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			}
			return response, err
		}
		flows := func(o *reconcile.Options) { o.Types, o.Workflows = []string{}, []reconcile.Workflow{{ID: workflow}} }
		if r := w.mustRun(reconcile.Counts{}, flows); r.Pending != 1 {
			t.Errorf("%+v", r)
		}
		if keys := w.cos.Keys(records, "ci/workflows/"); len(keys) != 0 {
			t.Errorf("recorded %v", keys)
		}
		w.net.meddle = nil
		if r := w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1}, flows); r.Pending != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// Without a state, nothing of it is read or written.
func TestStateless(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(150, time.Hour)
		var progress []reconcile.Progress
		w.mustRun(reconcile.Counts{Checked: 150, Repaired: 150}, func(o *reconcile.Options) {
			o.Stateless, o.Log = true, nil
			o.Progress = func(p reconcile.Progress) { progress = append(progress, p) }
		})
		for _, r := range w.net.since(0) {
			if strings.Contains(r, "/reconcile/") {
				t.Errorf("it sent %s", r)
			}
		}
		want := []reconcile.Progress{
			{Bucket: media, Type: "Transcode", Counts: reconcile.Counts{Checked: 100, Repaired: 100}},
			{Bucket: media, Type: "Transcode", Counts: reconcile.Counts{Checked: 150, Repaired: 150}},
		}
		if diff := cmp.Diff(want, progress); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
}

// Two runs at once do no harm.
func TestTwoRunsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addManyWith(250, time.Hour)
		w.add("running", 0, cilocal.Plan{Run: time.Hour})
		w.net.cosDelay, w.net.ciDelay = 10*time.Millisecond, 30*time.Millisecond
		var both sync.WaitGroup
		var results [2]reconcile.Result
		for i := range results {
			both.Go(func() {
				var err error
				if results[i], err = w.run(); err != nil || !results[i].Complete {
					t.Errorf("%+v, %v", results[i], err)
				}
			})
		}
		both.Wait()
		if a, b := results[0].Counts, results[1].Counts; a.Repaired+b.Repaired != 250 || a.Recorded+b.Recorded != 250 {
			t.Errorf("%+v and %+v", a, b)
		}
		w.checkAllRecorded(250)
		time.Sleep(2 * time.Hour)
		w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
		if n := len(w.cos.Keys(records, "ci/history/")); n != 0 {
			t.Errorf("%d versions in the history", n)
		}
	})
}

// A page that is too long is asked for again with fewer jobs, and all of them are compared.
// At full size its jobs are as long as that takes; else it only says that it is.
func TestLongPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		text := "<Text>" + strings.Repeat(" ", testsize.Pick(0, 300_000)) + "</Text>"
		for i := range 120 {
			w.add(fmt.Sprintf("j%04d", i), 2*time.Hour-time.Duration(i)*time.Second, cilocal.Plan{}, func(j *cilocal.Job) { j.Operation, j.Output = text, cilocal.Object{} })
		}
		var pages []string // sizes, as they were asked for
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if !isList(r) {
				return do()
			}
			pages = append(pages, r.URL.Query().Get("size"))
			response, err := do()
			if err != nil || testsize.Full() {
				return response, err
			}
			body, err := io.ReadAll(response.Body)
			response.Body = io.NopCloser(bytes.NewReader(body))
			if jobs := bytes.Count(body, []byte("<JobsDetail>")); jobs*300_000 > ci.MaxAnswerBytes {
				response.ContentLength = int64(jobs) * 300_000
			}
			return response, err
		}
		w.mustRun(reconcile.Counts{Checked: 120, Repaired: 120})
		if want := []string{"100", "20", "100", "20", "100"}; !slices.Equal(pages, want) {
			t.Errorf("pages of %q, want %q", pages, want)
		}
	})
}

// A panic is an error of its bucket, wherever it happens.
func TestPanic(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(*http.Request) bool{
		"list":   isList,
		"record": func(r *http.Request) bool { return isRecord(r) && r.Method == http.MethodGet },
		"write":  func(r *http.Request) bool { return isRecord(r) && r.Method == http.MethodPut },
		"state":  func(r *http.Request) bool { return isState(r) && r.Method == http.MethodPut },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.addMany(150, time.Hour)
				w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if match(r) {
						panic("a bug")
					}
					return do()
				}
				r, err := w.run()
				if _, bug := errors.AsType[*parallel.PanicError](err); !bug || !strings.Contains(err.Error(), "a bug") || r.Complete {
					t.Errorf("%+v, %v", r.Counts, err)
				}
			})
		})
	}
}

// Pending ids that are none, or that CI takes for wrong ones, do not hold up the others.
func TestWrongPendingIDs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"Transcode":{"until":"2000-01-01T00:00:00Z","pending":["../x","","jwrong","j1"]}}}`)
		w.net.meddle = refuse(func(r *http.Request) bool { return toCI(r) && strings.Contains(r.URL.Path, "jwrong") }, http.StatusBadRequest, "InvalidArgument")
		w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
		time.Sleep(10 * time.Minute)
		if r := w.mustRun(reconcile.Counts{}); r.Pending != 0 || r.Unknown != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// What the settings name twice is looked at once.
func TestNamedTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", 0, cilocal.Plan{Run: time.Hour})
		time.Sleep(2 * time.Second)
		r := w.mustRun(reconcile.Counts{}, func(o *reconcile.Options) {
			o.Buckets = append(o.Buckets, o.Buckets...)
			o.Types = append(o.Types, o.Types...)
			o.Workflows = []reconcile.Workflow{{ID: workflow}, {ID: workflow, Bucket: media}}
		})
		if got := w.state(); r.Pending != 1 || len(got.Tags["Transcode"].Pending) != 1 || w.net.count() != 4 {
			t.Errorf("%+v, %d requests; state %+v", r, w.net.count(), got)
		}
	})
}

// Large answers wait for one another, and not for what waits for them.
func TestLargeAnswersOfTwoBuckets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		const other = "other-1250000000"
		if err := errors.Join(w.ci.CreateBucket(other, region), w.cos.CreateBucket(other, region)); err != nil {
			t.Fatal(err)
		}
		// What is white space alone is left out of a record: the answers are large, and what is
		// written of them is not. More jobs than can be compared at a time wait for their turns.
		const jobs, runs = 40, 20
		text := "<Text>" + strings.Repeat(" ", 30_000) + "</Text>"
		task := cilocal.Task{Type: "Transcode", Name: "T_1", Code: "x", Message: strings.Repeat(" ", 1<<20)}
		for i := range jobs {
			w.add(fmt.Sprintf("j%04d", i), time.Hour-time.Duration(i)*time.Second, cilocal.Plan{}, func(j *cilocal.Job) { j.Operation = text })
		}
		for i := range runs {
			run := cilocal.Run{ID: fmt.Sprint("i", i), WorkflowID: workflow, Created: time.Now().Add(-time.Hour), Tasks: []cilocal.Task{task}}
			if _, err := w.ci.AddRun(other, run, cilocal.Plan{Lost: true}); err != nil {
				t.Fatal(err)
			}
		}
		w.net.cosDelay, w.net.ciDelay = 10*time.Millisecond, 30*time.Millisecond
		w.mustRun(reconcile.Counts{Checked: jobs + runs, Repaired: jobs + runs}, func(o *reconcile.Options) {
			o.Buckets = append(o.Buckets, reconcile.Bucket{Name: other, Region: region})
			o.Workflows = []reconcile.Workflow{{ID: workflow, Bucket: other}}
		})
	})
}
