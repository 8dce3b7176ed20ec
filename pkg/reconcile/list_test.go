package reconcile_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
)

// meddler changes what the network does with a request; do carries it out.
type meddler = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error)

// isList reports whether a request asks for a list of jobs.
func isList(r *http.Request) bool { return toCI(r) && r.URL.Path == "/jobs" }

// isRecord reports whether a request is about the record of a job.
func isRecord(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Host, "records-") && strings.HasPrefix(r.URL.Path, "/ci/jobs/")
}

// isState reports whether a request is about the state.
func isState(r *http.Request) bool { return strings.Contains(r.URL.Path, "/reconcile/") }

// addMany adds n jobs that were created evenly within a time that ended an hour ago. They
// wrote nothing that would be tagged.
func (w *world) addMany(n int, within time.Duration) {
	w.addManyWith(n, within, func(j *cilocal.Job) { j.Output = cilocal.Object{} })
}

// addManyWith is addMany for jobs that are changed.
func (w *world) addManyWith(n int, within time.Duration, change ...func(*cilocal.Job)) {
	for i := range n {
		w.add(fmt.Sprintf("j%04d", i), time.Hour+within-time.Duration(i)*within/time.Duration(n), cilocal.Plan{}, change...)
	}
}

// checkAllRecorded looks at whether n jobs have records.
func (w *world) checkAllRecorded(n int) {
	w.t.Helper()
	if got := len(w.cos.Keys(records, "ci/jobs/")); got != n {
		w.t.Errorf("%d records, want %d", got, n)
	}
}

// hangFrom lets requests about the records of jobs hang, from one job on.
func hangFrom(id string) meddler {
	return func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		if isRecord(r) && r.URL.Path >= "/ci/jobs/"+id {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return do()
	}
}

// until returns how far the Transcode jobs have been compared.
func (w *world) until() time.Time { return w.state().Tags["Transcode"].Until }

// The state is in the form that is documented.
func TestStateFormat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("j1", time.Hour, cilocal.Plan{})
		w.add("j2", 0, cilocal.Plan{Run: time.Hour})
		time.Sleep(2*time.Second + time.Millisecond)
		w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1})
		const want = `{"version":1,"bucket":"media-1250000000","region":"ap-guangzhou","tags":{"Transcode":{"until":"1999-12-31T23:58:02Z","pending":["j2"]}},` +
			`"last":{"began":"2000-01-01T00:00:02Z","ended":"2000-01-01T00:00:02Z","complete":true,"checked":1,"recorded":0,"repaired":1,"replaced":0,"unknown":0,` +
			`"findings":[{"id":"j1","type":"Transcode","outcome":"repaired","state":"Success"}]}}` + "\n"
		o, _ := w.cos.Object(records, "ci/reconcile/media-1250000000.json")
		if diff := cmp.Diff(want, string(o.Body)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := reconcile.ParseState([]byte(`{"version":2}`)); err == nil {
			t.Error("a state of version 2 was read")
		}
	})
}

// A run that ends within a listing says where the next goes on, and that goes on there.
func TestHalfWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(250, 250*time.Second)
		w.net.meddle = hangFrom("j0200")
		if r, err := w.runFor(5 * time.Second); err != nil || r.Complete || r.Repaired != 200 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.net.meddle = nil
		first := *w.state().Tags["Transcode"]
		began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		lastCreated := began.Add(-time.Hour - 51*time.Second) // of the 200th job
		if !first.Until.Equal(lastCreated.Add(-time.Second)) || first.Next == "" || !first.Since.Equal(began.Add(-72*time.Hour)) || !first.Began.Equal(began) {
			t.Errorf("half-way: %+v", first)
		}
		time.Sleep(10 * time.Minute)
		before := w.net.count()
		w.mustRun(reconcile.Counts{Checked: 50, Repaired: 50})
		if list := w.net.since(before)[1]; !strings.Contains(list, "nextToken=") || !strings.Contains(list, "1999-12-29T08") {
			t.Errorf("the list was gone on with by %s", list)
		}
		want := reconcile.Listing{Until: began.Add(-2 * time.Minute)}
		if diff := cmp.Diff(want, *w.state().Tags["Transcode"]); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
	})
}

// The listing that has waited longest has the first turn; those that have waited as long
// have theirs in the order of the settings.
func TestOldestListingFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.put("ci/reconcile/"+media+".json", `{"version":1,"tags":{"Transcode":{"until":"1999-12-31T12:00:00Z"},"Tts":{"until":"1999-12-31T13:00:00Z"},`+
			`"Snapshot":{"until":"1999-12-31T11:00:00Z"},"Concat":{"until":"1999-12-31T12:00:00Z"}}}`)
		w.mustRun(reconcile.Counts{}, func(o *reconcile.Options) { o.Types = []string{"Tts", "Transcode", "Concat", "Snapshot"} })
		var asked []string
		for _, r := range w.net.since(0) {
			if _, tag, ok := strings.Cut(r, "&tag="); ok {
				asked = append(asked, tag)
			}
		}
		if want := []string{"Snapshot", "Transcode", "Concat", "Tts"}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q, want %q", asked, want)
		}
	})
}

// A kill at any request loses nothing.
func TestKilledAnywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for kill := 1; ; kill++ {
			s := newSimulation(t, 1)
			s.w.addManyWith(3, time.Minute)
			s.w.callback("j0001")
			s.timer(time.Minute, atRequest(kill))
			if s.kills == 0 {
				break
			}
			s.w.run(func(o *reconcile.Options) { o.Types = simulatedTypes })
			s.w.checkAllRecorded(3)
		}
	})
}

// Whatever the last page says of its end, all pages are compared, once.
func TestEndOfList(t *testing.T) {
	t.Parallel()
	for _, lastToken := range []string{cilocal.LastTokenAbsent, cilocal.LastTokenEmpty, cilocal.LastTokenRepeated} {
		for _, jobs := range []int{0, 99, 100, 101, 200} {
			t.Run(fmt.Sprint(lastToken, jobs), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t, cilocal.Options{LastToken: lastToken})
					w.addMany(jobs, time.Hour)
					r, err := w.run()
					if err != nil || !r.Complete || r.Repaired != jobs || len(w.log.lines()) > 101 {
						t.Errorf("%+v, %v", r, err)
					}
				})
			})
		}
	}
}

// A full page without a token is gone on behind by time, whatever the run's time.
func TestNoTokens(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{time.Second, time.Minute} {
		t.Run(limit.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{LastToken: cilocal.LastTokenNever})
				w.addMany(450, 250*time.Second)
				w.net.ciDelay = 100 * time.Millisecond
				for range 10 {
					if _, err := w.runFor(limit); err != nil {
						t.Fatal(err)
					}
				}
				w.checkAllRecorded(450)
				if n := w.until(); n.Before(time.Now().Add(-3 * time.Minute)) {
					t.Errorf("it came to %v", n)
				}
			})
		})
	}
}

// Where a whole page is of one second, and has no token, the list goes on behind that
// second, with a warning.
func TestNoTokensWithinASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{LastToken: cilocal.LastTokenNever})
		w.addMany(250, time.Millisecond)
		w.add("later", 50*time.Minute, cilocal.Plan{})
		r, err := w.run()
		if err != nil || !r.Complete || w.record("later") == nil {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A token that CI does not take any more loses nothing, be the run within a second or not.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	for _, within := range []time.Duration{time.Millisecond, 300 * time.Second} {
		t.Run(within.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				created := time.Now().Add(-time.Hour - within)
				w.addMany(300, within)
				for _, id := range []string{"j0100", "j0200"} { // the second run goes into the same second
					w.net.meddle = hangFrom(id)
					if r, err := w.runFor(5 * time.Second); err != nil || r.Complete || r.Repaired != 100 {
						t.Fatalf("%+v, %v", r, err)
					}
				}
				if second := created.Truncate(time.Second); within < time.Second && !w.until().Equal(second) {
					t.Errorf("within a second, it came to %v, want %v", w.until(), second)
				}
				refused := 0
				w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if r.URL.Query().Has("nextToken") && refused == 0 {
						refused++
						return errorOf(r, http.StatusBadRequest, "InvalidArgument"), nil
					}
					return do()
				}
				r, err := w.run()
				if err != nil || !r.Complete || refused != 1 {
					t.Errorf("%+v, %v; %d refused", r, err, refused)
				}
				w.checkAllRecorded(300)
			})
		})
	}
}

// A list that begins again and again is given up, be it that CI takes none of its tokens
// and does not list the oldest jobs first, or that it overlooks startCreationTime.
func TestListThatDoesNotGoOn(t *testing.T) {
	t.Parallel()
	refuseTokens := refuse(func(r *http.Request) bool { return r.URL.Query().Has("nextToken") }, http.StatusBadRequest, "InvalidArgument")
	var firstPage []byte
	for name, test := range map[string]struct {
		options cilocal.Options
		meddle  meddler
		says    string
	}{
		"tokens": {cilocal.Options{}, func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			return newestFirst(r, func() (*http.Response, error) { return refuseTokens(r, do) })
		}, "CI refuses the tokens of its own list"},
		"time": {cilocal.Options{LastToken: cilocal.LastTokenNever}, func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			response, err := do()
			if err == nil && isList(r) {
				if firstPage == nil {
					firstPage, _ = io.ReadAll(response.Body)
				}
				response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(firstPage)), int64(len(firstPage))
			}
			return response, err
		}, "CI's list of Transcode does not go on behind"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, test.options)
				w.addMany(150, time.Hour)
				w.net.meddle = test.meddle
				r, err := w.run()
				if err == nil || !strings.Contains(err.Error(), test.says) || r.Complete || r.Repaired < 100 || w.net.count() > 1000 {
					t.Errorf("%+v, %v", r, err)
				}
				if w.until().After(time.Now().Add(-time.Hour)) {
					t.Errorf("it came to %v", w.until())
				}
			})
		})
	}
}

// Tokens that are never taken end in an error, or in all jobs, and never in a loop.
func TestTokensAlwaysRefused(t *testing.T) {
	t.Parallel()
	for _, within := range []time.Duration{time.Millisecond, 300 * time.Second} {
		t.Run(within.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				w.addMany(300, within)
				w.add("later", 50*time.Minute, cilocal.Plan{})
				w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
					if r.URL.Query().Has("nextToken") {
						return errorOf(r, http.StatusBadRequest, "InvalidArgument"), nil
					}
					return do()
				}
				w.net.ciDelay = 30 * time.Millisecond
				_, err := w.run()
				if n := w.net.count(); n > 2500 {
					t.Errorf("%d requests", n)
				}
				if within > time.Minute {
					w.checkAllRecorded(301)
				}
				if w.record("later") == nil {
					t.Errorf("it does not go on: %v", err)
				}
			})
		})
	}
}

// newestFirst answers lists as a CI would that ignores orderByTime.
func newestFirst(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
	response, err := do()
	if err != nil || !isList(r) {
		return response, err
	}
	body, _ := io.ReadAll(response.Body)
	text := string(body)
	if head, rest, ok := strings.Cut(text, "<JobsDetail>"); ok {
		jobs := strings.SplitAfter("<JobsDetail>"+rest, "</JobsDetail>")
		slices.Reverse(jobs[:len(jobs)-1])
		text = head + strings.Join(jobs, "")
	}
	response.Body, response.ContentLength = io.NopCloser(strings.NewReader(text)), -1
	return response, nil
}

// Where jobs do not come in order, Until stays until the listing has ended.
func TestOutOfOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(250, 250*time.Second)
		hang := hangFrom("j0100")
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			return newestFirst(r, func() (*http.Response, error) { return hang(r, do) })
		}
		if r, err := w.runFor(5 * time.Second); err != nil || r.Complete || r.Repaired == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if want := time.Now().Add(-73 * time.Hour); w.until().After(want.Add(2 * time.Hour)) {
			t.Errorf("half-way, it came to %v", w.until())
		}
		w.net.meddle = newestFirst
		if r, err := w.run(); err != nil || !r.Complete || w.until().Before(time.Now().Add(-3*time.Minute)) {
			t.Errorf("%+v, %v; it came to %v", r, err, w.until())
		}
		w.checkAllRecorded(250)
	})
}

// What is not CI's does not move Until, and says so.
func TestProxy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.mustRun(reconcile.Counts{})
		before := w.until()
		w.add("j1", time.Hour, cilocal.Plan{})
		time.Sleep(10 * time.Minute)
		empty := &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1}
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if toCI(r) {
				page := *empty
				page.Body = io.NopCloser(strings.NewReader("<Response/>"))
				return &page, nil
			}
			return do()
		}
		r, err := w.run()
		if err == nil || !strings.Contains(err.Error(), media) || !strings.Contains(err.Error(), "Transcode") || r.Complete || !w.until().Equal(before) {
			t.Errorf("%+v, %v; until %v, was %v", r, err, w.until(), before)
		}
	})
}

// An Until in the future, which a clock wrote that was ahead, counts as now.
func TestUntilInTheFuture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		for _, state := range []string{
			`{"version":1,"tags":{"Transcode":{"until":"2030-01-01T00:00:00Z"}}}`,
			`{"version":1,"tags":{"Transcode":{"until":"2030-01-01T00:00:00Z","began":"2030-01-01T00:00:00Z","next":"x","since":"2030-01-01T00:00:00Z"}}}`,
		} {
			w.put("ci/reconcile/"+media+".json", state)
			before := w.net.count()
			w.run()
			if list := w.net.since(before)[1]; strings.Contains(state, "began") == strings.Contains(list, "startCreationTime=2000") {
				t.Errorf("of %s, it asked %s", state, list)
			}
			time.Sleep(time.Minute)
			w.run()
			if got := time.Since(w.until()); got < 2*time.Minute || got > 4*time.Minute {
				t.Errorf("of %s, it came to %v before now", state, got)
			}
		}
	})
}

// A clock that is ahead of CI's does not make Until pass over what CI still creates.
func TestClockAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{Clock: func() time.Time { return time.Now().Add(-10 * time.Minute) }})
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			response, err := do()
			if err == nil && toCI(r) {
				response.Header.Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
			}
			return response, err
		}
		w.mustRun(reconcile.Counts{})
		if got := time.Since(w.until()); got != 12*time.Minute {
			t.Errorf("it came to %v before now", got)
		}
	})
}

// A list that never ends, and has no jobs, is given up.
func TestEmptyPages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		n := 0
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if !isList(r) {
				return do()
			}
			n++
			page := errorOf(r, http.StatusOK, "")
			page.Body = io.NopCloser(strings.NewReader(fmt.Sprintf("<Response><NextToken>%d</NextToken></Response>", n)))
			page.ContentLength = -1
			return page, nil
		}
		if r, err := w.run(); err == nil || r.Complete || n > 200 {
			t.Errorf("%+v, %v after %d pages", r, err, n)
		}
	})
}

// A run that does not even get to the end of one page comes further all the same.
func TestPageLongerThanARun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(100, time.Hour)
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if isRecord(r) {
				time.Sleep(100 * time.Millisecond)
			}
			return do()
		}
		for runs := 0; len(w.cos.Keys(records, "ci/jobs/")) < 100; runs++ {
			if runs > 20 {
				t.Fatalf("after %d runs, %d records; %+v", runs, len(w.cos.Keys(records, "ci/jobs/")), w.state().Tags["Transcode"])
			}
			if _, err := w.runFor(time.Second); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// So does a list that goes on, in another run, with jobs from before Until.
func TestOutOfOrderInAnotherRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.addMany(250, time.Hour)
		b, err := w.instance().options().CI.Bucket(media, region)
		if err != nil {
			t.Fatal(err)
		}
		page, err := b.ListJobs(t.Context(), ci.JobsQuery{Tag: "Transcode", OrderByTime: ci.Asc, Size: 10})
		if err != nil {
			t.Fatal(err)
		}
		at := func(ago time.Duration) string { return time.Now().Add(-ago).Format(time.RFC3339) }
		w.put("ci/reconcile/"+media+".json", fmt.Sprintf(`{"version":1,"tags":{"Transcode":{"until":%q,"next":%q,"since":%q,"began":%q}}}`,
			at(30*time.Minute), page.NextToken, at(3*time.Hour), at(10*time.Minute)))
		w.net.meddle = hangFrom("j0110")
		if r, err := w.runFor(5 * time.Second); err != nil || r.Complete || r.Repaired != 100 {
			t.Fatalf("%+v, %v", r, err)
		}
		if want := at(3*time.Hour + 5*time.Second); w.until().After(time.Now().Add(-3*time.Hour)) || w.state().Tags["Transcode"].Next == "" {
			t.Errorf("it came to %v, want about %s", w.until(), want)
		}
	})
}

// A listing that had to leave a job behind is begun again, however far it came.
func TestHeldHalfWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cilocal.Options{})
		w.add("deep", 3*time.Hour, cilocal.Plan{}, func(j *cilocal.Job) {
			j.Operation = tooDeep
		})
		w.addMany(250, time.Hour)
		hang := hangFrom("j0200")
		w.net.meddle = func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "/rejected/") {
				return errorOf(r, http.StatusForbidden, "AccessDenied"), nil
			}
			return hang(r, do)
		}
		if r, err := w.runFor(5 * time.Second); err != nil || r.Complete || r.Repaired < 150 {
			t.Fatalf("%+v, %v", r, err)
		}
		if l := w.state().Tags["Transcode"]; l.Next != "" || l.Until.After(time.Now().Add(-72*time.Hour)) {
			t.Errorf("it came to %+v", l)
		}
		w.net.meddle = nil
		w.run()
		if len(w.cos.Keys(records, "ci/rejected/")) != 1 {
			t.Error("the job that was left is not kept")
		}
	})
}

// A run asks for a hundred of the pending runs of a workflow. Whatever keeps those pending,
// the next run begins with the others.
func TestPendingTakeTurns(t *testing.T) {
	t.Parallel()
	running := func(w *world, id string) { w.addRunOf(id, cilocal.Plan{Run: 10 * time.Hour}) }
	for name, test := range map[string]struct {
		arrange func(w *world, id string) // one of the hundred
		meddle  meddler
	}{
		"still_running":  {running, nil},
		"unknown":        {func(*world, string) {}, nil},
		"another_answer": {running, answerAbout("other")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cilocal.Options{})
				pending := ""
				for i := range 100 {
					id := fmt.Sprintf("i%02d", i)
					test.arrange(w, id)
					pending += fmt.Sprintf("%q,", id)
				}
				w.addRunOf("other", cilocal.Plan{Run: 10 * time.Hour})
				w.addRunOf("ilast", cilocal.Plan{})
				w.put("ci/reconcile/"+media+".json", fmt.Sprintf(`{"version":1,"workflows":{%q:{"until":%q,"pending":[%s"ilast"]}}}`,
					workflow, time.Now().Format(time.RFC3339), pending))
				flows := func(o *reconcile.Options) { o.Types, o.Workflows = []string{}, []reconcile.Workflow{{ID: workflow}} }
				w.net.meddle = test.meddle
				w.mustRun(reconcile.Counts{}, flows)
				w.mustRun(reconcile.Counts{Checked: 1, Repaired: 1}, flows)
			})
		})
	}
}

// answerAbout answers what is asked about the hundred runs as if it were about another.
func answerAbout(other string) meddler {
	return func(r *http.Request, do func() (*http.Response, error)) (*http.Response, error) {
		response, err := do()
		if id := path.Base(r.URL.Path); err == nil && toCI(r) && len(id) == len("i00") {
			body, _ := io.ReadAll(response.Body)
			text := strings.ReplaceAll(string(body), id, other)
			response.Body, response.ContentLength = io.NopCloser(strings.NewReader(text)), -1
		}
		return response, err
	}
}
