package reconcile_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// Given -seed, TestSimulation runs the course of that seed alone. What goes wrong with a
// request follows from the seed and from what the request is, not from when it is sent: of
// what happens at one moment, Go alone chooses the order.
var seed = flag.Uint64("seed", 0, "run this one course of TestSimulation alone")

// TestSimulation runs random courses of events: jobs that end well or not, at any time;
// callbacks lost, doubled, late, out of order and forged; timer events with any time limit,
// two of them at once; every kind of fault at any request; kills at any request. Whatever
// happened, two undisturbed timer events make it good.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) { newSimulation(t, *seed).course() })
		return
	}
	courses := testsize.Pick(25, 400)
	var totals simulationTotals
	t.Run("courses", func(t *testing.T) {
		const workers = 2
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for n := worker; n < courses && !t.Failed(); n += workers {
					synctest.Test(t, func(t *testing.T) {
						s := newSimulation(t, uint64(n+1))
						s.course()
						totals.add(s)
					})
				}
			})
		}
	})
	t.Logf("%d courses: %d jobs, %d timer events (%d killed), %d requests (%d broken); %d repaired, %d replaced; %d tags of callbacks given up; %d writes raced",
		courses, totals.jobs.Load(), totals.runs.Load(), totals.kills.Load(), totals.requests.Load(), totals.faults.Load(),
		totals.repaired.Load(), totals.replaced.Load(), totals.untagged.Load(), totals.raced.Load())
}

type simulationTotals struct {
	jobs, runs, kills, requests, faults, repaired, replaced, untagged, raced atomic.Int64
}

func (t *simulationTotals) add(s *simulation) {
	t.jobs.Add(int64(len(s.jobs)))
	t.runs.Add(int64(s.runs))
	t.kills.Add(int64(s.kills))
	t.requests.Add(int64(s.w.net.count()))
	t.faults.Add(int64(s.faults))
	t.repaired.Add(int64(s.repaired))
	t.replaced.Add(int64(s.replaced))
	t.untagged.Add(int64(s.untagged))
	t.raced.Add(int64(s.raced))
}

// A simulation is one random course of events.
type simulation struct {
	t         *testing.T
	w         *world
	seed      uint64
	rng       *rand.Rand
	jobs      []simulatedJob
	steps     []step  // what is to happen, by time
	instances int     // so far
	breaks    float64 // the share of requests that go wrong
	accepted  []accepted
	tagged    []string // outputs with a tag of somebody else's

	mu            sync.Mutex // over what requests of several goroutines change
	faults, raced int

	runs, kills, repaired, replaced, untagged int
}

// A simulatedJob is a job, or the run of a workflow.
type simulatedJob struct {
	kind  model.Kind
	id    string
	ended time.Time
}

// A step is something that happens at a time.
type step struct {
	at time.Time
	do func()
}

// An accepted version is one that was answered 200.
type accepted struct {
	kind    model.Kind
	id      string
	encoded []byte
	tags    []store.TagResult
}

const workflow = "w00000000000000000000000000000001"

var simulatedTypes = []string{"Transcode", "Snapshot", "Concat"}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1))}
	s.w = newWorld(t, cilocal.Options{
		LastToken: pick(s.rng, cilocal.LastTokenAbsent, cilocal.LastTokenEmpty, cilocal.LastTokenRepeated),
	})
	return s
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// course lets it all happen, and looks at the end.
func (s *simulation) course() {
	s.breaks = pick(s.rng, 0, 0.01, 0.05, 0.3)
	s.w.net.cosDelay, s.w.net.ciDelay = 10*time.Millisecond, 30*time.Millisecond
	began := time.Now()
	n := 1 + s.rng.IntN(30)
	if s.rng.IntN(8) == 0 {
		n = 100 + s.rng.IntN(150) // more than one page
	}
	within := pick(s.rng, time.Second, time.Minute, 90*time.Minute)
	for i := range n {
		s.arrangeJob(fmt.Sprintf("j%03d", i), began, within)
	}
	for i := range s.rng.IntN(4) {
		s.arrangeRun(fmt.Sprintf("i%03d", i), began)
	}
	for at := began; at.Before(began.Add(2 * time.Hour)); at = at.Add(10 * time.Minute) {
		s.arrangeTimer(at.Add(time.Duration(s.rng.IntN(60)) * time.Second))
	}
	slices.SortStableFunc(s.steps, func(a, b step) int { return a.at.Compare(b.at) })
	for _, step := range s.steps {
		time.Sleep(time.Until(step.at))
		step.do()
	}
	s.end()
}

// at notes what happens at a time.
func (s *simulation) at(t time.Time, do func()) { s.steps = append(s.steps, step{t, do}) }

// arrangeJob arranges a job, its callbacks, and forged ones.
func (s *simulation) arrangeJob(id string, began time.Time, within time.Duration) {
	created := began.Add(-2 * time.Hour).Add(time.Duration(s.rng.Int64N(int64(within))))
	if s.rng.IntN(3) == 0 {
		created = began.Add(time.Duration(s.rng.IntN(90)) * time.Minute)
	}
	plan := cilocal.Plan{Lost: true, Wait: time.Duration(s.rng.IntN(60)) * time.Second, Run: time.Duration(s.rng.IntN(20*60)) * time.Second}
	if s.rng.IntN(4) == 0 {
		plan.Code, plan.Message = "InvalidInput", "cannot be read"
	}
	job := cilocal.Job{
		ID: id, Tag: pick(s.rng, simulatedTypes...), Created: created,
		Input: cilocal.Object{Key: "in/" + id}, Output: cilocal.Object{Key: "out/" + id},
	}
	ended := created.Add(plan.Wait + plan.Run)
	s.jobs = append(s.jobs, simulatedJob{model.KindJob, id, ended})
	s.at(laterOf(began, created), func() {
		if _, err := s.w.ci.AddJob(media, job, plan); err != nil {
			s.t.Fatal(err)
		}
	})
	s.at(laterOf(began, ended).Add(time.Second), func() { s.tagByAnother("out/" + id) })
	s.arrangeCallbacks(id, laterOf(began, ended))
	if s.rng.IntN(5) == 0 { // before the comparison, which is five minutes after the end
		forgedAt := laterOf(began, ended.Add(time.Duration(s.rng.IntN(4*60))*time.Second))
		if s.rng.IntN(2) == 0 {
			forgedAt = laterOf(began, created)
		}
		s.at(forgedAt, func() { s.receive(s.forgery(id, ended)) })
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// arrangeRun arranges a run of the workflow.
func (s *simulation) arrangeRun(id string, began time.Time) {
	created := began.Add(time.Duration(s.rng.IntN(180)-90) * time.Minute)
	plan := cilocal.Plan{Lost: true, Run: time.Duration(s.rng.IntN(600)) * time.Second}
	if s.rng.IntN(3) == 0 {
		plan.Code = "InvalidInput"
	}
	ended := created.Add(plan.Run)
	s.jobs = append(s.jobs, simulatedJob{model.KindWorkflow, id, ended})
	s.at(laterOf(began, created), func() {
		run := cilocal.Run{ID: id, WorkflowID: workflow, Name: "simulated", Object: "in/" + id, Created: created, Tasks: []cilocal.Task{{Type: "Transcode", Name: "Transcode_1"}}}
		if _, err := s.w.ci.AddRun(media, run, plan); err != nil {
			s.t.Fatal(err)
		}
	})
	s.arrangeCallbacks(id, laterOf(began, ended))
}

// arrangeCallbacks lets a callback come or not, once or more often, at once or hours later.
func (s *simulation) arrangeCallbacks(id string, ended time.Time) {
	for range pick(s.rng, 0, 0, 1, 1, 1, 2, 3) {
		delay := pick(s.rng, 0, 20*time.Second, 6*time.Minute, 70*time.Minute)
		format := pick(s.rng, "XML", "JSON")
		s.at(ended.Add(delay), func() {
			body, err := s.w.ci.Callback(media, id, format)
			if err != nil {
				s.t.Fatal(err)
			}
			s.receive(body)
		})
	}
}

// forgery returns a callback that CI never sent, but could have.
func (s *simulation) forgery(id string, ended time.Time) []byte {
	return fmt.Appendf(nil, `{"EventName":"TaskFinish","JobsDetail":{"JobId":%q,"State":%q,"Tag":"Transcode","EndTime":%q}}`,
		id, pick(s.rng, "Success", "Failed", "Running", "Cancel"), ended.Add(time.Duration(s.rng.IntN(5)-2)*time.Hour).Format("2006-01-02T15:04:05-0700"))
}

// receive lets the function receive a callback, and notes what it promises with a 200.
func (s *simulation) receive(body []byte) {
	callback, err := model.Decode(body)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
	defer cancel()
	i := s.instance(never)
	results, err := i.receiver(nil).Callback(ctx, body)
	if err != nil {
		return // CI does not try again
	}
	for n, r := range callback.Records {
		encoded, err := r.Encode()
		if err != nil {
			s.t.Fatal(err)
		}
		tags := results.Jobs[n].Tags
		s.accepted = append(s.accepted, accepted{r.Kind, r.ID, encoded, tags})
		s.checkTagsOfCallback(i, tags)
	}
}

// maxGarbled is after how many answers that are no tag set the store gives a tag up.
const maxGarbled = 3

// checkTagsOfCallback looks at what a callback that was answered 200 says of its tags:
// that they are there or, if the answers with the tag set were none, that they are not.
func (s *simulation) checkTagsOfCallback(i *instance, tags []store.TagResult) {
	for _, tag := range tags {
		switch tag.Outcome {
		case store.Tagged, store.Unchanged:
			continue
		case store.Failed:
			if i.transport.(*mortal).garbled[tag.Object] >= maxGarbled {
				continue
			}
		}
		s.t.Errorf("seed %d: a callback was answered 200, and its output is not tagged: %+v", s.seed, tag)
	}
}

// tagByAnother lets somebody else tag an output, if the job wrote one.
func (s *simulation) tagByAnother(key string) {
	o, ok := s.w.cos.Object(media, key)
	if !ok {
		return
	}
	o.Tags = append(o.Tags, coslocal.Tag{Key: "owner", Value: "somebody"})
	if err := s.w.cos.PutObject(media, key, o); err != nil {
		s.t.Fatal(err)
	}
	s.tagged = append(s.tagged, key)
}

// arrangeTimer arranges a timer event, or two at once.
func (s *simulation) arrangeTimer(at time.Time) {
	s.at(at, func() {
		var all sync.WaitGroup
		for range pick(s.rng, 1, 1, 1, 2) {
			limit := pick(s.rng, time.Second, 3*time.Second, time.Minute)
			death := never
			if s.rng.IntN(3) == 0 {
				death = oneIn(pick(s.rng, 3, 25, 150))
			}
			i := s.instance(death)
			all.Go(func() { s.reconcile(i, limit) })
		}
		all.Wait()
	})
}

// timer is one timer event.
func (s *simulation) timer(limit time.Duration, death death) { s.reconcile(s.instance(death), limit) }

// reconcile runs an instance's reconciliation.
func (s *simulation) reconcile(i *instance, limit time.Duration) {
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	m := i.transport.(*mortal)
	m.kill = cancel
	o := i.options()
	o.Types, o.TimeLimit, o.Workflows = simulatedTypes, limit, []reconcile.Workflow{{ID: workflow}}
	result, _ := reconcile.Run(ctx, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs++
	s.repaired += result.Repaired
	s.replaced += result.Replaced
	if m.dead.Load() {
		s.kills++
	} else if ctx.Err() != nil {
		s.t.Errorf("seed %d: a run did not end before its deadline, %v", s.seed, limit)
	}
}

// A death reports whether an instance is killed at a request: its nth, with a throw of dice
// from 0 to 1.
type death func(nth int, dice float64) bool

func never(int, float64) bool { return false }

func atRequest(n int) death { return func(nth int, _ float64) bool { return nth == n } }

func oneIn(n int) death { return func(_ int, dice float64) bool { return dice*float64(n) < 1 } }

// A mortal is the transport of an instance, which dies with it. It watches that no record
// goes backwards by what the instance knew.
type mortal struct {
	s       *simulation
	number  int // of the instance
	death   death
	kill    context.CancelFunc
	dead    atomic.Bool
	started int               // requests
	same    map[string]int    // how often each request was sent
	garbled map[string]int    // how often what is no tag set came for the tags of each output
	read    map[string][]byte // what the instance last read of each key
}

func (s *simulation) instance(death death) *instance {
	s.instances++
	return &instance{s.w, &mortal{
		s: s, number: s.instances, death: death, kill: func() {},
		same: map[string]int{}, garbled: map[string]int{}, read: map[string][]byte{},
	}}
}

// dice returns what decides about a request: the seed, the instance, and what the request
// is. The name of a version in a history is left out: it is a hash of, among others, the
// ids of CI's queues, which are made up anew for each course.
func (m *mortal) dice(r *http.Request) *rand.Rand {
	name := r.URL.Path
	if strings.Contains(name, "/history/") {
		name = path.Dir(name)
	}
	request := fmt.Sprint(m.number, r.Method, r.URL.Host, name, r.URL.RawQuery)
	m.same[request]++
	h := fnv.New64a()
	fmt.Fprint(h, request, m.same[request])
	return rand.New(rand.NewPCG(m.s.seed, h.Sum64()))
}

// garble makes many of the faults of a tag set such an answer that is none, so that it comes
// several times in a row.
func (m *mortal) garble(dice *rand.Rand, fault simulatedFault, output string) simulatedFault {
	if fault != fine && dice.IntN(3) > 0 {
		fault = proxied
	}
	if fault == proxied {
		m.garbled[output]++
	}
	return fault
}

// RoundTrip implements [http.RoundTripper].
func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.dead.Load() {
		return nil, errReset
	}
	s := m.s
	s.mu.Lock()
	m.started++
	dice := m.dice(r)
	fault := fine
	if dice.Float64() < s.breaks {
		fault = pick(dice, reset, lostAnswer, unavailable, proxied, truncated, slow)
		s.faults++
	}
	if r.Method == http.MethodGet && r.URL.Query().Has("tagging") {
		fault = m.garble(dice, fault, strings.TrimPrefix(r.URL.Path, "/"))
	}
	last := m.death(m.started, dice.Float64())
	if last {
		fault = pick(dice, reset, lostAnswer)
	}
	s.mu.Unlock()
	response, err := m.send(r, fault)
	if last {
		m.dead.Store(true)
		m.kill()
		return nil, errReset
	}
	return response, err
}

// A simulatedFault is what goes wrong with a request.
type simulatedFault int

const (
	fine        simulatedFault = iota
	reset                      // it does not arrive
	lostAnswer                 // it is carried out, and the answer does not arrive
	unavailable                // 503
	proxied                    // something on the way answers 200
	truncated                  // half the answer arrives
	slow                       // it takes seconds
)

func (m *mortal) send(r *http.Request, fault simulatedFault) (*http.Response, error) {
	switch fault {
	case reset:
		return nil, errReset
	case unavailable:
		return errorOf(r, http.StatusServiceUnavailable, "ServiceUnavailable"), nil
	case proxied:
		return proxyPage(http.StatusOK), nil
	case slow:
		select {
		case <-time.After(7 * time.Second):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	response, err := m.watched(r)
	switch {
	case err != nil:
		return nil, err
	case fault == lostAnswer:
		return nil, errReset
	case fault == truncated:
		response.ContentLength = -1
		response.Body = http.MaxBytesReader(nil, response.Body, 20)
	}
	return response, nil
}

// watched carries a request out, and looks at what it does to a record.
func (m *mortal) watched(r *http.Request) (*http.Response, error) {
	key := strings.TrimPrefix(r.URL.Path, "/")
	isRecord := !toCI(r) && strings.HasPrefix(r.URL.Host, "records-") && (strings.HasPrefix(key, "ci/jobs/") || strings.HasPrefix(key, "ci/workflows/"))
	if !isRecord {
		return m.s.w.net.RoundTrip(r)
	}
	select {
	case <-time.After(m.s.w.net.cosDelay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.w.net.mu.Lock()
	m.s.w.net.requests = append(m.s.w.net.requests, r.Method+" "+r.URL.Host+" "+r.URL.Path+"?"+r.URL.RawQuery)
	m.s.w.net.mu.Unlock()
	before, was := m.s.w.cos.Object(records, key)
	response, err := m.s.w.cos.RoundTrip(r)
	after, _ := m.s.w.cos.Object(records, key)
	switch {
	case r.Method == http.MethodGet:
		m.read[key] = before.Body
	case was && model.Supersedes(before.Body, after.Body) && bytes.Equal(m.read[key], before.Body):
		m.s.t.Errorf("seed %d: %s went backwards, from\n%s to\n%s", m.s.seed, key, before.Body, after.Body)
	case was && model.Supersedes(before.Body, after.Body):
		m.s.raced++ // what only a compare-and-swap could prevent
	}
	return response, err
}

// end lets two timer events go undisturbed, and then looks at everything.
func (s *simulation) end() {
	s.breaks = 0
	for _, j := range s.jobs {
		time.Sleep(time.Until(j.ended.Add(5*time.Minute + time.Second)))
	}
	for range 2 {
		s.timer(time.Minute, never)
		time.Sleep(10 * time.Minute)
	}
	for _, a := range s.accepted {
		if !s.isKept(a) {
			s.t.Errorf("seed %d: a version of %s that was answered 200 is lost: %s", s.seed, a.id, a.encoded)
		}
		s.checkTagsStayed(a)
	}
	asked := s.ask()
	for _, j := range s.jobs {
		s.checkRecord(j, asked[j.id])
	}
	for _, key := range s.tagged {
		o, _ := s.w.cos.Object(media, key)
		if !slices.Contains(o.Tags, coslocal.Tag{Key: "owner", Value: "somebody"}) {
			s.t.Errorf("seed %d: a foreign tag of %s is lost", s.seed, key)
		}
	}
	before := s.w.net.count()
	s.timer(time.Minute, never)
	for _, r := range s.w.net.since(before) {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") && !strings.HasSuffix(r, " /ci/reconcile/"+media+".json?") {
			s.t.Errorf("seed %d: the third event sent %s", s.seed, r)
		}
	}
	if s.t.Failed() {
		s.t.Logf("go test ./pkg/reconcile -run TestSimulation -seed %d", s.seed)
	}
}

// checkRecord looks at whether a job has a record that CI agrees with.
func (s *simulation) checkRecord(j simulatedJob, asked *model.Record) {
	o, ok := s.w.cos.Object(records, model.RecordKey("ci/", j.kind, j.id))
	if !ok {
		s.t.Errorf("seed %d: %s has no record", s.seed, j.id)
		return
	}
	recorded, err := model.ParseRecord(o.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if asked == nil || !model.IsTerminal(recorded.State) || !model.Agrees(recorded, asked) {
		s.t.Errorf("seed %d: the record of %s is %+v, and CI says %+v", s.seed, j.id, recorded, asked)
	}
	if recorded.Source != model.SourceQuery && len(s.untaggedOutputs(recorded)) > 0 {
		s.retag(recorded) // the timer tags its own records only
	}
	for _, key := range s.untaggedOutputs(recorded) {
		s.t.Errorf("seed %d: the output %s of %s is not tagged", s.seed, key, j.id)
	}
}

// untaggedOutputs returns those outputs of a record that are to be tagged, and are not.
func (s *simulation) untaggedOutputs(r *model.Record) (keys []string) {
	for _, o := range r.Outputs {
		stored, _ := s.w.cos.Object(media, o.Key)
		if r.Succeeded() && o.MD5 != "" && !slices.Contains(stored.Tags, coslocal.Tag{Key: "md5", Value: o.MD5}) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// retag tags the outputs of a record, as `records retag` does.
func (s *simulation) retag(recorded *model.Record) {
	if _, refused, err := s.instance(never).receiver(nil).Tag(s.t.Context(), recorded); refused != nil || err != nil {
		s.t.Errorf("seed %d: the outputs of %s cannot be tagged: refused %v, error %v", s.seed, recorded.ID, refused, err)
	}
}

// checkTagsStayed looks at whether the outputs of a callback that were tagged still are.
func (s *simulation) checkTagsStayed(a accepted) {
	for _, tag := range a.tags {
		o, _ := s.w.cos.Object(tag.Bucket, tag.Object)
		hasMD5 := slices.ContainsFunc(o.Tags, func(t coslocal.Tag) bool { return t.Key == "md5" })
		if tag.Outcome == store.Failed {
			s.untagged++
		} else if !hasMD5 {
			s.t.Errorf("seed %d: %s was tagged, and has the tags %v", s.seed, tag.Object, o.Tags)
		}
	}
}

// ask returns what CI says of all jobs, by their ids.
func (s *simulation) ask() map[string]*model.Record {
	b, err := s.instance(never).options().CI.Bucket(media, region)
	if err != nil {
		s.t.Fatal(err)
	}
	var ids []string // of jobs, not of runs
	var elements [][]byte
	for _, j := range s.jobs {
		if j.kind != model.KindWorkflow {
			ids = append(ids, j.id)
			continue
		}
		run, err := b.Run(s.t.Context(), j.id)
		if err != nil {
			s.t.Fatal(err)
		}
		elements = append(elements, run.WorkflowExecution)
	}
	for some := range slices.Chunk(ids, ci.MaxIDs) {
		jobs, err := b.Jobs(s.t.Context(), some...)
		if err != nil {
			s.t.Fatal(err)
		}
		elements = append(elements, jobs.JobsDetail...)
	}
	asked := map[string]*model.Record{}
	for _, element := range elements {
		r, err := model.DecodeQueried(element)
		if err != nil {
			s.t.Fatal(err)
		}
		asked[r.ID] = r
	}
	return asked
}

// isKept reports whether a version is the record, or in the history.
func (s *simulation) isKept(a accepted) bool {
	for _, key := range []string{model.RecordKey("ci/", a.kind, a.id), model.HistoryKey("ci/", a.kind, a.id, a.encoded)} {
		if o, ok := s.w.cos.Object(records, key); ok && bytes.Equal(o.Body, a.encoded) {
			return true
		}
	}
	return false
}
