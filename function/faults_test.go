package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// stage is what COS holds before a callback comes, and what must be there after.
type stage struct {
	name    string
	stored  *jobVersion // whose record is there already; nil for none
	deliver jobVersion
	wins    jobVersion    // whose record must be there in the end
	outcome store.Outcome // of the delivery, if nothing disturbs it
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
		{"first", nil, newer, newer, store.Created},
		{"again", &newer, newer, newer, store.Duplicate},
		{"newer", &running, newer, newer, store.Updated},
		{"older", &newer, older, newer, store.Stale},
	}
}

var onePairIn = flag.Int("one-pair-in", testsize.Pick(100, 20), "of the pairs of faults, TestEveryFault tries one in so many; 1 tries all")

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

// run delivers a callback while the n-th request meets the n-th fate, and returns how many
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
		also := s.outcome
		if s.outcome == store.Created { // its answer may have been lost
			also = store.Duplicate
		}
		w.checkAbsorbed(s, d, also)
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

// checkAbsorbed checks that a callback came to its right end in spite of the faults. Its
// outcome is that of the stage, or also.
func (w *world) checkAbsorbed(s stage, d *delivery, also store.Outcome) {
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
	if outcome := store.Outcome(d.answer.body.Results[0].Outcome); outcome != s.outcome && outcome != also {
		w.complain("the outcome is %q; want %q or %q", outcome, s.outcome, also)
	}
	w.checkPromises("in the end")
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
	also := s.outcome
	if s.outcome != store.Stale { // the first delivery may have written it
		also = store.Duplicate
	}
	w.checkAbsorbed(s, d, also)
	w.fail("killed")
}

// TestEveryInterleaving lets two instances write two versions of a job, over a third that
// is there, in every order that their requests can be carried out in; and in each of
// these orders again with one of the instances killed on the way. Small tests draw some of
// the orders.
func TestEveryInterleaving(t *testing.T) {
	t.Parallel()
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed_%t", kill), func(t *testing.T) {
			t.Parallel()
			orders, behind := 0, 0
			rng := rand.New(rand.NewPCG(1, 1))
			c := &choices{}
			for more := true; more && !t.Failed(); orders++ {
				synctest.Test(t, func(t *testing.T) {
					if !interleave(t, c, kill) {
						behind++
					}
				})
				if testsize.Full() && !kill {
					more = c.advance()
				} else {
					c, more = &choices{rng: rng}, orders < testsize.Pick(100, 2_000)
				}
			}
			t.Logf("%d orders, of which %d ended behind the newest version", orders, behind)
		})
	}
}

// interleave runs one order, and reports whether the record is the newest version then.
func interleave(t *testing.T, c *choices, kill bool) bool {
	w := newWorld(t, 2)
	version := func(state, second string) jobVersion {
		return jobVersion{id: "j1", state: state, end: "2000-01-01T00:00:0" + second + "+0000", note: second}
	}
	w.arrange(stage{stored: new(version("Running", "1"))})
	callbacks := []*callback{w.newCallback("second", version("Failed", "2")), w.newCallback("third", version("Failed", "3"))}
	killAt := -1
	if kill {
		killAt = c.choose(12)
	}
	for i, callback := range callbacks {
		w.instances[i].deliver(callback, 30*time.Second)
	}
	for step := 0; ; step++ {
		waiting := slices.CompactFunc(w.waiting(), func(a, b *flight) bool { return a.instance == b.instance })
		switch {
		case step == killAt:
			i := w.instances[c.choose(2)]
			w.kill(i, func() bool { return c.choose(2) == 1 })
			w.instances[i.n].deliver(callbacks[i.n], 30*time.Second) // nobody has answered, so it comes again
		case len(waiting) > 0:
			w.meet(waiting[c.choose(len(waiting))], answered)
		case w.instances[0].current != nil || w.instances[1].current != nil:
			time.Sleep(50 * time.Millisecond) // an instance waits before it tries again
		default:
			w.checkEnd(callbacks)
			w.fail(fmt.Sprintf("choices %v", c.made))
			return len(w.raced) == 0
		}
	}
}

// choices are what was chosen on the way through a test, so that it can be run again with
// the next ones.
type choices struct {
	made []choice
	next int
	rng  *rand.Rand // draws those that are not made yet; nil takes the first
}

type choice struct{ chosen, of int }

// choose returns a number from 0 to n-1.
func (c *choices) choose(n int) int {
	if c.next == len(c.made) {
		made := choice{of: n}
		if c.rng != nil {
			made.chosen = c.rng.IntN(n)
		}
		c.made = append(c.made, made)
	}
	c.next++
	return c.made[c.next-1].chosen
}

// advance goes on to the next choices, and reports whether there are any.
func (c *choices) advance() bool {
	c.next = 0
	for len(c.made) > 0 {
		last := &c.made[len(c.made)-1]
		if last.chosen++; last.chosen < last.of {
			return true
		}
		c.made = c.made[:len(c.made)-1]
	}
	return false
}
