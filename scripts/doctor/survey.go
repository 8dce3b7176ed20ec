package main

import (
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// observation is what COS was seen to do, beside what this project takes it to do.
type observation struct {
	Number   int    `json:"number"`
	Question string `json:"question"`
	Observed string `json:"observed"`
	Assumed  string `json:"assumed"`
	Verdict  string `json:"verdict"`
}

// Verdicts of the survey.
const (
	same      = "same"
	different = "different"
	open      = "open" // could not be asked from here, or with this key
)

// question is one that COS's documents leave open.
type question struct {
	text    string
	assumed string
	ask     func(context.Context, *survey) (observed, verdict string, err error)
}

var questions = []question{
	{"What does create-only answer where the key exists?", "409; the code does not matter", askConflict},
	{"Are If-None-Match and If-Match ignored on PUT?", "they are; nothing relies on them", askConditions},
	{"What does GET ?tagging answer for an object that never had tags?", "200 and an empty set, or 404 NoSuchTagSet; both are understood", askUntagged},
	{"What becomes of the tags when the object is overwritten?", "they are gone; nothing relies on it", askOverwrite},
	{"Does tagging change ETag or Last-Modified?", "neither", askTouched},
	{"What does PUT ?tagging answer for a key that is not there?", "404 NoSuchKey", askTagMissing},
	{"Does a GET right after an overwrite show the old object?", "never", askStale},
	{"How far in the future may a signature begin?", "15 minutes", askSkew},
	{"Does x-cos-tagging on PUT take PutObjectTagging?", "it is not used: tags are set by PUT ?tagging alone", askTagHeader},
	{"Does SCF without a VPC reach cos-internal?", "it is not relied on: the public endpoint is the default", askInternal},
}

// survey is one run of the questions.
type survey struct {
	*bucket
	prefix string
	keys   []string // to be removed
	pause  func(context.Context, time.Duration)
}

// survey asks the questions, unless the bucket was found unfit.
func (d *doctor) survey(ctx context.Context) {
	_, unfit := d.missing([]string{checkReached, checkClock, checkAccepted, checkBucket, checkVersioning, checkWrite, checkRead})
	if unfit {
		d.check(ctx, "survey", nil, func(context.Context) finding { return skip("because the record bucket has to be in order first") })
		return
	}
	b, err := d.bucket(d.settings.config.RecordBucket, d.settings.config.RecordRegion)
	if err != nil {
		d.check(ctx, "survey", nil, func(context.Context) finding { return trouble(err) })
		return
	}
	s := &survey{bucket: b, prefix: d.probePrefix() + "survey-" + d.random + "/", pause: d.pause}
	cut := false
	for i, q := range questions {
		observed, verdict, err := q.ask(ctx, s)
		if err != nil {
			observed, verdict = err.Error(), open
			cut = cut || ctx.Err() != nil
		}
		d.report.Survey = append(d.report.Survey, observation{i + 1, q.text, d.hide(observed), q.assumed, verdict})
	}
	if cut {
		d.check(ctx, "survey", nil, func(context.Context) finding {
			return fail("cut short: what is open here may have an answer", "run it again, with more time: -timeout 2m")
		})
	}
	d.check(context.WithoutCancel(ctx), "survey removed", nil, s.clean)
}

// clean removes all that was written.
func (s *survey) clean(ctx context.Context) finding {
	r := &records{bucket: s.bucket}
	for _, key := range s.keys {
		if f := r.remove(ctx, key); f.Verdict != ok {
			f.Remedy = fmt.Sprintf("delete what is under %s/%s by hand, when you like; it does no harm", s.name, s.prefix)
			return f
		}
	}
	return wellf("%d objects", len(s.keys))
}

// put writes an object of a name of its own; it is removed at the end.
func (s *survey) put(ctx context.Context, name, body string, header http.Header) (reply, error) {
	key := s.prefix + name
	if len(s.keys) == 0 || s.keys[len(s.keys)-1] != key {
		s.keys = append(s.keys, key)
	}
	return s.do(ctx, request{method: http.MethodPut, key: key, body: []byte(body), header: header})
}

func (s *survey) get(ctx context.Context, name, query string) (reply, error) {
	return s.do(ctx, request{method: http.MethodGet, key: s.prefix + name, query: query})
}

func (s *survey) tag(ctx context.Context, name string) (reply, error) {
	return s.do(ctx, request{method: http.MethodPut, key: s.prefix + name, query: "tagging", header: taggingHeader(), body: []byte(taggingBody)})
}

// all gives the last of several answers, and the first error. Where one of them but the
// last is no success, it is that one.
func all(steps ...func() (reply, error)) (r reply, err error) {
	for _, step := range steps {
		if r, err = step(); err != nil || r.status >= 300 {
			return r, err
		}
	}
	return r, nil
}

// agree gives same or different. A refused request settles nothing.
func agree(r reply, agrees bool) string {
	switch {
	case agrees:
		return same
	case r.status == http.StatusForbidden || r.status >= 500:
		return open
	default:
		return different
	}
}

func askConflict(ctx context.Context, s *survey) (string, string, error) {
	r, err := all(
		func() (reply, error) { return s.put(ctx, "conflict", "1", createOnlyHeader()) },
		func() (reply, error) { return s.put(ctx, "conflict", "2", createOnlyHeader()) })
	return r.String(), agree(r, r.status == http.StatusConflict), err
}

func askConditions(ctx context.Context, s *survey) (string, string, error) {
	none, err := all(
		func() (reply, error) { return s.put(ctx, "conditions", "1", nil) },
		func() (reply, error) {
			return s.put(ctx, "conditions", "2", http.Header{"If-None-Match": {"*"}})
		})
	if err != nil {
		return "", "", err
	}
	match, err := s.put(ctx, "conditions", "3", http.Header{"If-Match": {`"00000000000000000000000000000000"`}})
	observed := fmt.Sprintf("If-None-Match: * answers %s, If-Match of another ETag %s", none, match)
	return observed, agree(match, none.status == http.StatusOK && match.status == http.StatusOK), err
}

func askUntagged(ctx context.Context, s *survey) (string, string, error) {
	r, err := all(
		func() (reply, error) { return s.put(ctx, "untagged", "1", nil) },
		func() (reply, error) { return s.get(ctx, "untagged", "tagging") })
	if err != nil {
		return "", "", err
	}
	n, isSet := countTags(r.body)
	empty := r.status == http.StatusOK && isSet && n == 0
	return fmt.Sprintf("%s, %s", r, tagsIn(r)), agree(r, empty || r.code == "NoSuchTagSet"), nil
}

// countTags counts the tags of a tag set; false for what is none.
func countTags(body []byte) (int, bool) {
	var t struct {
		XMLName xml.Name   `xml:"Tagging"`
		Tags    []struct{} `xml:"TagSet>Tag"`
	}
	err := xml.Unmarshal(body, &t)
	return len(t.Tags), err == nil
}

func tagsIn(r reply) string {
	if n, isSet := countTags(r.body); isSet {
		return fmt.Sprintf("%d tags", n)
	}
	return "no tag set"
}

func askOverwrite(ctx context.Context, s *survey) (string, string, error) {
	r, err := all(
		func() (reply, error) { return s.put(ctx, "overwritten", "1", nil) },
		func() (reply, error) { return s.tag(ctx, "overwritten") },
		func() (reply, error) { return s.put(ctx, "overwritten", "2", nil) },
		func() (reply, error) { return s.get(ctx, "overwritten", "tagging") })
	if err != nil {
		return "", "", err
	}
	n, isSet := countTags(r.body)
	return fmt.Sprintf("%s, %s", r, tagsIn(r)), agree(r, isSet && n == 0 || r.code == "NoSuchTagSet"), nil
}

func askTouched(ctx context.Context, s *survey) (string, string, error) {
	head := func() (reply, error) {
		return s.do(ctx, request{method: http.MethodHead, key: s.prefix + "touched"})
	}
	before, err := all(func() (reply, error) { return s.put(ctx, "touched", "1", nil) }, head)
	if err != nil || before.status >= 300 {
		return before.String(), open, err
	}
	s.pause(ctx, 2*time.Second) // Last-Modified has whole seconds
	after, err := all(func() (reply, error) { return s.tag(ctx, "touched") }, head)
	if err != nil || after.status >= 300 {
		return after.String(), open, err
	}
	var changed []string
	for _, name := range []string{"ETag", "Last-Modified"} {
		if before.header.Get(name) != after.header.Get(name) {
			changed = append(changed, name)
		}
	}
	return cmp.Or(strings.Join(changed, " and "), "neither"), agree(after, len(changed) == 0), nil
}

func askTagMissing(ctx context.Context, s *survey) (string, string, error) {
	r, err := s.tag(ctx, "missing")
	return r.String(), agree(r, r.status == http.StatusNotFound && r.code == "NoSuchKey"), err
}

// rounds is how often a GET follows an overwrite.
const rounds = 20

func askStale(ctx context.Context, s *survey) (string, string, error) {
	stale := 0
	for i := range rounds {
		body := fmt.Sprint("round ", i)
		r, err := all(
			func() (reply, error) { return s.put(ctx, "stale", body, nil) },
			func() (reply, error) { return s.get(ctx, "stale", "") })
		if err != nil || r.status != http.StatusOK {
			return r.String(), open, err
		}
		if string(r.body) != body {
			stale++
		}
	}
	return fmt.Sprintf("in %d of %d rounds", stale, rounds), agree(reply{}, stale == 0), nil
}

// skews are the minutes that are tried.
var skews = []int{1, 5, 10, 14, 16, 20, 30, 60, 120}

func askSkew(ctx context.Context, s *survey) (string, string, error) {
	accepted := 0
	for _, minutes := range skews {
		r, err := s.do(ctx, request{method: http.MethodGet, key: s.prefix + "missing", ahead: time.Duration(minutes) * time.Minute})
		switch {
		case err != nil:
			return "", "", err
		case r.status == http.StatusForbidden:
			return fmt.Sprintf("%d minutes are accepted, %d answer %s", accepted, minutes, r), agree(reply{}, accepted == 14), nil
		}
		accepted = minutes
	}
	return fmt.Sprintf("%d minutes and perhaps any number", accepted), different, nil
}

func askTagHeader(ctx context.Context, s *survey) (string, string, error) {
	withHeader, err := s.put(ctx, "tagheader", "1", http.Header{"X-Cos-Tagging": {"doctor=probe"}})
	if err != nil {
		return "", "", err
	}
	apart, err := s.tag(ctx, "tagheader")
	if err != nil {
		return "", "", err
	}
	observed := fmt.Sprintf("with the header %s, PUT ?tagging %s", withHeader, apart)
	switch {
	case apart.status != http.StatusForbidden:
		return observed + ": a key without name/cos:PutObjectTagging is needed to tell", open, nil
	case withHeader.status == http.StatusOK:
		return observed + ": no", same, nil
	default:
		return observed + ": yes", same, nil
	}
}

func askInternal(context.Context, *survey) (string, string, error) {
	return "cannot be asked from here: deploy with COS_ENDPOINT=https://{bucket}.cos-internal.{region}.tencentcos.cn, then -url … -role", open, nil
}

// printSurvey prints the observations, each as four lines.
func (d *doctor) printSurvey() {
	for _, o := range d.report.Survey {
		fmt.Fprintf(d.out, "\n%2d  %s\n    observed  %s\n    assumed   %s\n    %s\n", o.Number, o.Question, o.Observed, o.Assumed, o.Verdict)
	}
}
