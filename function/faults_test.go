package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// stage is what COS holds before a callback comes, and what must be there after.
type stage struct {
	name    string
	stored  *jobVersion // whose record is there already; nil for none
	deliver jobVersion
	wins    jobVersion // whose record must be there in the end
}

const (
	faultObject = "out/1.mp4"
	faultMD5    = "11111111111111111111111111111111"
)

func stages() []stage {
	running := jobVersion{id: "j1", state: "Running", end: "2000-01-01T00:00:09+0000"} // an odd time, which a final state beats
	older := jobVersion{id: "j1", state: "Success", end: "2000-01-01T00:00:01+0000", object: faultObject, md5: faultMD5}
	newer := older
	newer.end = "2000-01-01T00:00:02+0000"
	return []stage{
		{"first", nil, newer, newer},
		{"again", &newer, newer, newer},
		{"newer", &running, newer, newer},
		{"older", &newer, older, newer},
	}
}

var onePairIn = flag.Int("one-pair-in", 20, "of the pairs of faults, TestEveryFault tries one in so many; 1 tries all")

// TestEveryFault lets every single fault happen to every request of a callback, and
// pairs of faults to every pair of requests. Each is absorbed in the same invocation,
// which has 30 seconds.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	for _, s := range stages() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			undisturbed := s.run(t, nil)
			singles, pairs, skipped := 0, 0, 0
			for first := range undisturbed {
				for _, a := range faults() {
					requests := s.run(t, map[int]fate{first: a})
					singles++
					for second := first + 1; second < requests; second++ {
						for _, b := range faults() {
							if skipped++; skipped < *onePairIn {
								continue
							}
							skipped = 0
							s.run(t, map[int]fate{first: a, second: b})
							pairs++
						}
					}
					if t.Failed() {
						return
					}
				}
			}
			t.Logf("%d requests undisturbed; %d single faults and %d pairs of faults absorbed", undisturbed, singles, pairs)
		})
	}
}

// run delivers a callback while the n-th request meets the n-th fate, and gives how many
// requests it took.
func (s stage) run(t *testing.T, fates map[int]fate) (requests int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.arrange(s)
		d := w.instances[0].deliver(w.newCallback(s.name, s.deliver), 30*time.Second)
		for !w.ended(d) {
			waiting := w.waiting()
			if len(waiting) == 0 {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			what := answered
			if f, ok := fates[requests]; ok {
				what = f
			}
			requests++
			w.meet(waiting[0], what)
			synctest.Wait()
		}
		w.checkAbsorbed(s, d)
		for _, f := range w.late {
			w.landLate(f)
		}
		w.fail(fmt.Sprintf("faults %v", fates))
	})
	return requests
}

func (w *world) arrange(s stage) {
	object := coslocal.Object{Body: []byte("x"), LastModified: time.Now(), Tags: []coslocal.Tag{{Key: "owner", Value: "x"}}}
	if err := w.cos.PutObject(simMedia, faultObject, object); err != nil {
		w.t.Fatal(err)
	}
	if s.stored != nil {
		r := w.newCallback("", *s.stored).records[0]
		if err := w.cos.PutObject(simRecords, r.Key("ci/"), coslocal.Object{Body: encode(r)}); err != nil {
			w.t.Fatal(err)
		}
		w.promised[string(encode(r))] = r
	}
}

// checkAbsorbed checks that a callback came to its right end in spite of the faults.
func (w *world) checkAbsorbed(s stage, d *delivery) {
	if d.answer == nil || d.answer.status != 200 {
		w.complain("it was not absorbed: %+v", d.answer)
		return
	}
	want := encode(w.newCallback("", s.wins).records[0])
	stored, _ := w.cos.Object(simRecords, "ci/jobs/j1.json")
	if !bytes.Equal(stored.Body, want) {
		w.complain("the record is %s", stored.Body)
	}
	if tags := w.tags(simMedia, faultObject); !maps.Equal(tags, map[string]string{"owner": "x", "md5": faultMD5}) {
		w.complain("the tags are %v", tags)
	}
	if outcome := string(d.answer.body.Results[0].Outcome); !strings.Contains("created duplicate updated stale", outcome) || outcome == "" {
		w.complain("the outcome is %q", outcome)
	}
}

// TestKilledAnywhere kills the instance before or after every request of a callback; the
// next delivery of it ends right.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, s := range stages() {
		undisturbed := s.run(t, nil)
		for at := range undisturbed {
			for _, carriedOut := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", s.name, at, carriedOut), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { s.killAt(t, at, carriedOut) })
				})
			}
		}
	}
}

func (s stage) killAt(t *testing.T, at int, carriedOut bool) {
	w := newWorld(t, 1)
	w.arrange(s)
	c := w.newCallback(s.name, s.deliver)
	w.instances[0].deliver(c, 30*time.Second)
	for range at {
		w.meet(w.waiting()[0], answered)
	}
	w.kill(w.instances[0], func() bool { return carriedOut })
	d := w.instances[0].deliver(c, 30*time.Second)
	for !w.ended(d) {
		if waiting := w.waiting(); len(waiting) > 0 {
			w.meet(waiting[0], answered)
		}
		synctest.Wait()
	}
	w.checkAbsorbed(s, d)
	w.fail("killed")
}
