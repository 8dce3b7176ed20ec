package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// The buckets of the simulated account, and one that is not its own.
const (
	simAppID    = "1250000000"
	simRecords  = "records-" + simAppID
	simMedia    = "media-" + simAppID
	simForeign  = "stranger-1999999999"
	simRegion   = "ap-guangzhou"
	simEndpoint = "https://{bucket}.cos.{region}.myqcloud.com"
	simToken    = "simulated-token-0001"

	maxGarbled = 3 // answers with no tag set, after which the store gives the tag up
)

// world is COS, the network, the clock and the platform in one synctest bubble. Nothing
// happens by itself: a request to COS waits until step lets one through, so that a
// schedule is a sequence of choices, and those come from a seed.
type world struct {
	t         *testing.T
	cos       *coslocal.Server
	instances []*instance
	mu        sync.Mutex
	flights   []*flight // requests that wait to be carried out
	late      []*flight // given up by the client, or doubled on the way, and still to be carried out
	serial    int       // of credentials
	accepted  []coslocal.Credential
	promised  map[string]*model.Record // versions that were answered 200, by their bytes
	raced     map[string]int           // by bucket and key, writes that only a compare-and-swap could have prevented
	wrong     []string
}

// instance is one instance of the function: a process with connections of its own.
type instance struct {
	*world
	n       int
	handler *Handler
	current *delivery // one event at a time
	dead    bool
}

// flight is a request on its way to COS.
type flight struct {
	instance *instance
	delivery *delivery
	request  *http.Request
	body     []byte
	reply    chan reply
}

// target returns the bucket and the key that a request is about.
func (f *flight) target() (bucket, key string) {
	bucket, _, _ = strings.Cut(f.request.URL.Host, ".")
	return bucket, strings.TrimPrefix(f.request.URL.Path, "/")
}

func (f *flight) isCreateOnly() bool { return f.request.Header.Get("x-cos-forbid-overwrite") != "" }

type reply struct {
	response *http.Response
	err      error
}

// delivery is one callback on its way to an answer.
type delivery struct {
	*callback
	secretID string
	cancel   context.CancelFunc
	deadline time.Time
	done     bool
	answer   *answeredWith
	garbled  int              // answers to it with tag sets that were none
	read     map[string]sight // what COS last read out to it, by bucket and key
}

type answeredWith struct {
	status int
	body   answerBody
}

type answerBody struct {
	Error   *errorDetail
	Results []result
}

// sight is an object as it is at one moment.
type sight struct {
	found bool
	body  string
	tags  map[string]string
}

// callback is a body that CI delivers, with what it must come to.
type callback struct {
	name    string
	body    string
	records []*model.Record   // what is to be the record of each id, if nothing newer comes
	older   []*model.Record   // other versions in the same body
	md5s    map[string]string // of the outputs that may be tagged, by key
}

func newWorld(t *testing.T, instances int) *world {
	w := &world{t: t, promised: map[string]*model.Record{}, raced: map[string]int{}}
	var err error
	if w.cos, err = coslocal.New(coslocal.Options{KeepRequests: -1}); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{simRecords, simMedia, simForeign} {
		if err := w.cos.CreateBucket(bucket, simRegion); err != nil {
			t.Fatal(err)
		}
	}
	for n := range instances {
		w.instances = append(w.instances, w.newInstance(n))
	}
	return w
}

func (w *world) newInstance(n int) *instance {
	i := &instance{world: w, n: n}
	i.handler = NewHandler(Options{
		Transport: i, Output: io.Discard, Environ: func() []string { return nil }, Version: "sim",
		Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) },
	})
	return i
}

// RoundTrip is the instance's connection to COS.
func (i *instance) RoundTrip(r *http.Request) (*http.Response, error) {
	f := &flight{instance: i, request: r, reply: make(chan reply, 1)}
	if r.Body != nil {
		f.body, _ = io.ReadAll(r.Body)
	}
	i.mu.Lock()
	if i.dead || i.current == nil {
		i.mu.Unlock()
		return nil, errors.New("the instance was killed")
	}
	f.delivery = i.current
	i.flights = append(i.flights, f)
	i.mu.Unlock()
	select {
	case a := <-f.reply:
		return a.response, a.err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// deliver starts a delivery to an idle instance.
func (i *instance) deliver(c *callback, limit time.Duration) *delivery {
	i.serial++
	d := &delivery{callback: c, read: map[string]sight{}, deadline: time.Now().Add(limit), secretID: fmt.Sprintf("secret-id-%d", i.serial)}
	credential := coslocal.Credential{SecretID: d.secretID, SecretKey: "secret-key-" + d.secretID, SessionToken: "token-" + d.secretID}
	i.accepted = append(i.accepted, credential) // the old ones stay good, as temporary keys do; each delivery must use its own
	i.cos.SetCredentials(i.accepted...)
	ctx, cancel := context.WithDeadline(context.Background(), d.deadline)
	d.cancel = cancel
	ctx = functioncontext.NewContext(ctx, &functioncontext.FunctionContext{
		RequestID: d.secretID, TimeLimitInMs: int32(limit.Milliseconds()), TencentcloudRegion: simRegion, TencentcloudAppID: simAppID,
		Environment: map[string]string{
			"RECORD_BUCKET": simRecords, "CALLBACK_TOKEN": simToken, "TAG_MD5": "true", "COS_ENDPOINT": simEndpoint,
			"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey,
			"TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
		},
	})
	i.tell("%s is delivered to instance %d, time limit %v", c.name, i.n, limit)
	payload, err := scflocal.Event(http.MethodPost, &url.URL{Path: "/", RawQuery: "token=" + simToken}, nil, "192.0.2.1", []byte(c.body))
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	i.current = d
	i.mu.Unlock()
	go func() {
		defer cancel()
		returned, err := i.handler.Invoke(ctx, payload)
		i.finish(d, returned, err)
	}()
	return d
}

// ended reports whether a delivery has its answer.
func (w *world) ended(d *delivery) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return d.done
}

// finish takes the answer, and checks that it is true.
func (i *instance) finish(d *delivery, returned []byte, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	d.done = true
	if i.dead {
		return
	}
	i.current = nil
	response, parseErr := scflocal.ParseResponse(returned)
	if err != nil || parseErr != nil {
		i.complain("%s: Invoke returned %v, %v", d.name, err, parseErr)
		return
	}
	if !time.Now().Before(d.deadline) {
		i.complain("%s: answered after its deadline", d.name)
	}
	d.answer = &answeredWith{status: response.StatusCode}
	if err := json.Unmarshal([]byte(response.Body), &d.answer.body); err != nil {
		i.complain("%s: the answer is no JSON: %v", d.name, err)
	}
	i.tell("%s is answered %d %s", d.name, d.answer.status, response.Body)
	if d.answer.status == http.StatusOK {
		i.checkTrue(d)
	} else if d.answer.status != http.StatusServiceUnavailable {
		i.complain("%s: answered %d %s", d.name, d.answer.status, response.Body)
	}
}

// checkTrue checks what a 200 says: that each record is stored, or a newer one, that every
// version is kept, and that the output is tagged.
func (w *world) checkTrue(d *delivery) {
	for _, r := range d.records {
		key := r.Key("ci/")
		stored, found := w.cos.Object(simRecords, key)
		if !found || model.Compare(stored.Body, encode(r)) < 0 && w.raced[simRecords+"/"+key] == 0 {
			w.complain("%s: 200, and what is stored of %s is older", d.name, r.ID)
		}
	}
	for _, r := range slices.Concat(d.records, d.older) {
		w.promised[string(encode(r))] = r
	}
	w.checkPromises(d.name)
	for _, r := range d.answer.body.Results {
		for _, tag := range r.Tags {
			if tag.Outcome == store.Failed && d.garbled < maxGarbled {
				w.complain("%s: 200, and tag failed: %s", d.name, tag.Reason)
			}
			if (tag.Outcome == store.Tagged || tag.Outcome == store.Unchanged) && w.tags(simMedia, tag.Object)["md5"] != d.md5s[tag.Object] && w.raced[simMedia+"/"+tag.Object] == 0 {
				w.complain("%s: %s is said to be %s and is not", d.name, tag.Object, tag.Outcome)
			}
		}
	}
}

// checkPromises checks that every version that was answered 200 is the record, or in the
// history.
func (w *world) checkPromises(when string) {
	for encoded, r := range w.promised {
		record, _ := w.cos.Object(simRecords, r.Key("ci/"))
		older, _ := w.cos.Object(simRecords, model.HistoryKey("ci/", r.Kind, r.ID, []byte(encoded)))
		if string(record.Body) != encoded && string(older.Body) != encoded {
			w.complain("%s: a version of %s that was answered 200 is gone: %s", when, r.ID, encoded)
			delete(w.promised, encoded) // once is enough
		}
	}
}

// encode returns the bytes of a record.
func encode(r *model.Record) []byte {
	encoded, err := r.Encode()
	if err != nil {
		panic(err)
	}
	return encoded
}

// tell follows a schedule that is run alone.
func (w *world) tell(format string, args ...any) {
	if *seed != 0 {
		w.t.Logf("%v "+format, append([]any{time.Now().Format("04:05.000")}, args...)...)
	}
}

func (w *world) complain(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *world) tags(bucket, key string) map[string]string {
	object, _ := w.cos.Object(bucket, key)
	tags := map[string]string{}
	for _, t := range object.Tags {
		tags[t.Key] = t.Value
	}
	return tags
}

// waiting returns the requests that wait, in an order that does not depend on goroutines.
func (w *world) waiting() []*flight {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flights = slices.DeleteFunc(w.flights, func(f *flight) bool { return f.request.Context().Err() != nil })
	slices.SortStableFunc(w.flights, func(a, b *flight) int {
		return cmp.Or(a.instance.n-b.instance.n, strings.Compare(a.request.URL.Path, b.request.URL.Path), strings.Compare(a.request.Method+a.request.URL.RawQuery, b.request.Method+b.request.URL.RawQuery))
	})
	return slices.Clone(w.flights)
}

// take removes a request from those that wait.
func (w *world) take(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flights = slices.DeleteFunc(w.flights, func(g *flight) bool { return f == g })
}

// work lets COS carry a request out, judges what that changed, and remembers what the
// delivery gets to know.
func (w *world) work(f *flight) *http.Response {
	bucket, key := f.target()
	w.checkAllowed(f, bucket, key)
	before := w.look(bucket, key)
	response := w.carryOut(f)
	w.judge(f, before, w.look(bucket, key), f.delivery.read[bucket+"/"+key])
	if f.request.Method == http.MethodGet {
		f.delivery.read[bucket+"/"+key] = before
	}
	return response
}

func (w *world) look(bucket, key string) sight {
	object, found := w.cos.Object(bucket, key)
	return sight{found, string(object.Body), w.tags(bucket, key)}
}

// carryOut hands a request to COS, whether its client still waits or not.
func (w *world) carryOut(f *flight) *http.Response {
	r := f.request.Clone(context.Background())
	if r.Body != nil {
		r.Body = io.NopCloser(bytes.NewReader(f.body))
	}
	response, err := w.cos.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	response.Request = f.request
	return response
}

// checkAllowed checks that a request is one that may be made, with the credentials of
// the invocation that makes it.
func (w *world) checkAllowed(f *flight, bucket, key string) {
	record := bucket == simRecords && (strings.HasPrefix(key, "ci/jobs/") || strings.HasPrefix(key, "ci/history/jobs/")) && !strings.Contains(key, "..")
	output := bucket == simMedia && f.delivery.md5s[key] != ""
	if !record && !output {
		w.complain("%s: a request left for %s %s", f.delivery.name, f.request.Method, f.request.URL)
	}
	if !strings.Contains(f.request.Header.Get("Authorization"), "q-ak="+f.delivery.secretID+"&") {
		w.complain("%s: a request is signed with other credentials than the invocation's", f.delivery.name)
	}
}

// judge says whether a change was right. No version may be lost, what is in the history
// stays as it is, and a record does not go backwards, nor is another's tag lost, but
// where what was written over is not what the delivery had read: to prevent that takes a
// compare-and-swap.
func (w *world) judge(f *flight, before, after, read sight) {
	bucket, key := f.target()
	w.checkPromises(f.delivery.name)
	if before.found && before.body != after.body {
		switch {
		case f.isCreateOnly() || bucket != simRecords || !strings.HasPrefix(key, "ci/jobs/"):
			w.complain("%s: %s was overwritten", f.delivery.name, key)
		case model.Compare([]byte(after.body), []byte(before.body)) > 0:
		case before.body == read.body:
			w.complain("%s: %s went backwards", f.delivery.name, key)
		default:
			w.race(bucket, key)
		}
	}
	for name, value := range before.tags {
		switch {
		case name == "md5" || after.tags[name] == value:
		case read.tags[name] == value:
			w.complain("%s: tag %s of %s was lost", f.delivery.name, name, key)
		default:
			w.race(bucket, key)
		}
	}
}

// race counts a write that only a compare-and-swap could have prevented.
func (w *world) race(bucket, key string) {
	w.tell("a race for %s", key)
	w.raced[bucket+"/"+key]++
}

// A fate is what becomes of a request.
type fate string

const (
	answered     fate = "answered"
	refused500   fate = "500 undone"
	refused502   fate = "502 undone"
	refused503   fate = "503 undone"
	refused504   fate = "504 undone"
	refused429   fate = "429 undone"
	done500      fate = "500 though done"
	done503      fate = "503 though done"
	reset        fate = "reset undone"
	doneReset    fate = "reset though done"
	stalled      fate = "stalled undone"
	doneStalled  fate = "stalled though done"
	doneLate     fate = "stalled and done later"
	doneTwice    fate = "done twice"
	truncated    fate = "answer cut short"
	emptyAnswer  fate = "empty answer"
	jsonAnswer   fate = "JSON answer"
	markupAnswer fate = "HTML answer"
)

// faults are the fates that any request may meet but for being answered.
func faults() []fate {
	return []fate{refused500, refused502, refused503, refused504, refused429, done500, done503, reset, doneReset,
		stalled, doneStalled, doneLate, doneTwice, truncated, emptyAnswer, jsonAnswer, markupAnswer}
}

// meet lets a request meet its fate.
func (w *world) meet(f *flight, what fate) {
	w.take(f)
	w.tell("%s, %s %s: %s", f.delivery.name, f.request.Method, f.request.URL.RequestURI(), what)
	read := f.request.Method == http.MethodGet
	switch what {
	case answered:
		f.reply <- reply{response: w.work(f)}
	case doneTwice:
		w.work(f)
		f.reply <- reply{response: w.work(f)}
	case refused500, refused502, refused503, refused504, refused429:
		f.answer(map[fate]int{refused500: 500, refused502: 502, refused503: 503, refused504: 504, refused429: 429}[what], "<Error><Code>SlowDown</Code></Error>")
	case done500, done503:
		w.work(f)
		f.answer(map[fate]int{done500: 500, done503: 503}[what], "")
	case reset, doneReset:
		if what == doneReset {
			w.work(f)
		}
		f.reply <- reply{err: &url.Error{Op: f.request.Method, URL: f.request.URL.String(), Err: syscall.ECONNRESET}}
	case stalled, doneStalled, doneLate:
		switch what {
		case doneStalled:
			w.work(f)
		case doneLate:
			w.late = append(w.late, f)
		}
	case truncated:
		response := w.work(f)
		if read {
			body, _ := io.ReadAll(response.Body)
			response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		}
		f.reply <- reply{response: response}
	case emptyAnswer, jsonAnswer, markupAnswer: // of a proxy, which does what it was asked for, or not
		if what == emptyAnswer && !read {
			w.work(f)
		}
		if read && f.request.URL.Query().Has("tagging") {
			f.delivery.garbled++
		}
		f.answer(http.StatusOK, map[fate]string{jsonAnswer: `{"ok":true}`, markupAnswer: "<html><body>Welcome</body></html>"}[what])
	}
}

// answer replies with a status and a body that are not COS's, though they look like it.
func (f *flight) answer(status int, body string) {
	f.reply <- reply{response: &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Etag": {`"0"`}, "Last-Modified": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: f.request,
	}}
}

// landLate carries out a request that its client gave up long ago. What that does to an
// object that was written since is a race that only a compare-and-swap prevents.
func (w *world) landLate(f *flight) {
	w.tell("%s, %s %s: done now", f.delivery.name, f.request.Method, f.request.URL.RequestURI())
	bucket, key := f.target()
	before := w.look(bucket, key)
	w.carryOut(f)
	w.judge(f, before, w.look(bucket, key), sight{})
}

// kill ends an instance at once: what it has under way is carried out or not, and
// nobody hears of it. A new instance takes its place.
func (w *world) kill(i *instance, carriedOut func() bool) {
	w.tell("instance %d is killed", i.n)
	for _, f := range w.waiting() {
		if f.instance == i {
			w.take(f)
			if carriedOut() {
				w.work(f)
			}
		}
	}
	w.mu.Lock()
	i.dead = true
	d := i.current
	w.instances[i.n] = w.newInstance(i.n)
	w.mu.Unlock()
	if d != nil {
		d.cancel()
		synctest.Wait()
	}
}

// jobVersion is what a callback says of a job.
type jobVersion struct {
	id, state string
	end       string // "" for none
	object    string // its output
	md5       string
	note      string // makes versions differ that nothing else distinguishes
	forged    bool   // it names outputs too that no request may ever be made about
}

// body writes the callback of some jobs.
func body(versions ...jobVersion) string {
	var jobs []string
	for _, v := range versions {
		job := fmt.Sprintf(`{"JobId":%q,"State":%q,"CreationTime":"2000-01-01T08:00:00+0800","EndTime":%q,"Operation":{"UserData":%q`, v.id, v.state, v.end, v.note)
		if v.state == "Success" {
			job += `,"MediaResult":{"OutputFile":[` + v.outputs() + "]}"
		}
		jobs = append(jobs, job+"}}")
	}
	return `{"EventName":"TaskFinish","JobsDetail":[` + strings.Join(jobs, ",") + "]}"
}

// outputs writes the files of a job, and what a stranger could have put beside them.
func (v jobVersion) outputs() string {
	file := func(bucket, region, name string) string {
		return fmt.Sprintf(`{"Bucket":%q,"Region":%q,"ObjectName":[%q],"Md5Info":[{"ObjectName":%q,"Md5":%q}]}`, bucket, region, name, name, v.md5)
	}
	files := file(simMedia, simRegion, v.object)
	if v.forged {
		for _, f := range []string{
			file(simForeign, simRegion, "x"), file(simMedia, "a.example.com/", "x"), file(simMedia+".example.com", simRegion, "x"),
			file(simMedia, simRegion, ".."), file(simMedia, simRegion, "a/../../ci/jobs/j0.json"), file(simMedia, simRegion, "a//b"),
		} {
			files += "," + f
		}
	}
	return files
}

// newCallback makes the callback of some jobs, and works out what must come of it.
func (w *world) newCallback(name string, versions ...jobVersion) *callback {
	c := &callback{name: name, body: body(versions...), md5s: map[string]string{}}
	decoded, err := model.Decode([]byte(c.body))
	if err != nil {
		w.t.Fatalf("%s: %v", c.body, err)
	}
	c.records, c.older = decoded.Records, decoded.Older
	for _, v := range versions {
		if v.state == "Success" {
			c.md5s[v.object] = v.md5
		}
	}
	return c
}

// checkEnd checks what is stored at the end against all that was delivered. Where a race
// was counted, the newest may have lost it. A job of one version has no history.
func (w *world) checkEnd(callbacks []*callback) {
	newest, versions := map[string][]byte{}, map[string]map[string]bool{}
	for _, c := range callbacks {
		for _, r := range slices.Concat(c.records, c.older) {
			key, encoded := r.Key("ci/"), encode(r)
			if versions[key] == nil {
				versions[key] = map[string]bool{}
			}
			versions[key][string(encoded)] = true
			if newest[key] == nil || model.Compare(encoded, newest[key]) > 0 {
				newest[key] = encoded
			}
		}
	}
	for key, want := range newest {
		stored, found := w.cos.Object(simRecords, key)
		if !found {
			w.complain("record %s is missing", key)
		} else if !bytes.Equal(stored.Body, want) && w.raced[simRecords+"/"+key] == 0 {
			w.complain("record %s is not the newest version:\n got %s\nwant %s", key, stored.Body, want)
		}
		history := w.cos.Keys(simRecords, strings.TrimSuffix("ci/history/"+strings.TrimPrefix(key, "ci/"), ".json"))
		if len(versions[key]) == 1 && len(history) > 0 {
			w.complain("%s has one version, and a history: %v", key, history)
		}
	}
	w.checkPromises("at the end")
}

// fail reports what went wrong.
func (w *world) fail(what string) bool {
	if len(w.wrong) == 0 {
		return false
	}
	w.t.Errorf("%s:\n  %s", what, strings.Join(w.wrong, "\n  "))
	return true
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }
