package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

func TestSurvey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(*clinic)
		want    map[int]string // verdicts that are not "same"
	}{
		"as_assumed": {func(*clinic) {}, map[int]string{9: open, 10: open}},
		"other_conflict_code": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "/conflict") }, Nth: 2, Status: 412, Code: "PreconditionFailed"})
			}, map[int]string{1: different, 9: open, 10: open},
		},
		"conditions_honoured": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Header.Get("If-Match") != "" }, Status: 412, Code: "PreconditionFailed"})
			}, map[int]string{2: different, 9: open, 10: open},
		},
		"no_such_tag_set": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "/untagged") }, Nth: 2, Status: 404, Code: "NoSuchTagSet"})
			}, map[int]string{9: open, 10: open},
		},
		"tags_stay": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return strings.HasSuffix(r.Key, "/overwritten") }, Nth: 4,
					Body: []byte(taggingBody), Header: http.Header{"X-Cos-Request-Id": {"1"}}})
			}, map[int]string{4: different, 9: open, 10: open},
		},
		"tagging_touches": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: denyAll("HeadObject"), Nth: 2, Header: http.Header{"Etag": {`"other"`}}})
			}, map[int]string{5: different, 9: open, 10: open},
		},
		"tag_on_nothing": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
					return strings.HasSuffix(r.Key, "/missing") && r.Method == http.MethodPut
				}, Status: 200, Header: http.Header{"X-Cos-Request-Id": {"1"}}})
			}, map[int]string{6: different, 9: open, 10: open},
		},
		"stale_reads": {
			func(c *clinic) {
				c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool {
					return strings.HasSuffix(r.Key, "/stale") && r.Method == http.MethodGet
				}, Nth: 7, Body: []byte("round 5"), Header: http.Header{"X-Cos-Request-Id": {"1"}}})
			}, map[int]string{7: different, 9: open, 10: open},
		},
		"may_not_tag": {
			func(c *clinic) { c.cos.Deny(denyAll("PutObjectTagging")) },
			map[int]string{4: open, 5: open, 6: open, 10: open},
		},
		"one_answer_lost": {
			func(c *clinic) { c.cos.Inject(coslocal.Fault{Match: denyAll("GetObjectTagging"), Reset: true}) },
			map[int]string{3: open, 4: open, 9: open, 10: open},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			test.prepare(c)
			r := c.report("-survey", "-yes")
			if len(r.Survey) != 10 || !r.OK {
				t.Fatalf("%d questions, ok %v: %+v", len(r.Survey), r.OK, r.Checks)
			}
			for i, o := range r.Survey {
				want := test.want[o.Number]
				if want == "" {
					want = same
				}
				if o.Number != i+1 || o.Verdict != want || o.Observed == "" {
					t.Errorf("%+v, want %s", o, want)
				}
			}
			c.leavesNothing()
		})
	}
}

// TestSurveySkew has a COS that goes by another tolerance than the assumed one.
func TestSurveySkew(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{MaxClockSkew: 5 * time.Minute})
	r := c.report("-survey", "-yes")
	if o := r.Survey[7]; o.Verdict != different || !strings.HasPrefix(o.Observed, "5 minutes are accepted, 10 answer 403") {
		t.Errorf("%+v", o)
	}
}

func TestSurveyNeedsABucketInOrder(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	if err := c.cos.SetVersioning(recordBucket, "Enabled"); err != nil {
		t.Fatal(err)
	}
	r := c.report("-survey", "-yes")
	if len(r.Survey) != 0 || c.find(r, "survey").Verdict != skipped || r.OK {
		t.Errorf("%+v", r)
	}
	for _, request := range c.cos.Requests() {
		if request.Method != http.MethodGet && request.Method != http.MethodHead {
			t.Errorf("it wrote: %s %s", request.Method, request.Key)
		}
	}
}

// TestSurveyInterrupted is interrupted before, and in the middle; then it still removes
// what it wrote.
func TestSurveyInterrupted(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(coslocal.Request) bool{
		"in_the_middle": func(r coslocal.Request) bool { return r.Header.Get("If-None-Match") != "" },
		"before":        func(r coslocal.Request) bool { return r.Method == http.MethodDelete },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.cos.Inject(coslocal.Fault{AfterWork: true, Match: func(r coslocal.Request) bool {
				if at(r) {
					c.cancel()
				}
				return at(r)
			}})
			r := c.report("-survey", "-yes")
			if len(r.Survey) != 10 || r.Survey[2].Verdict != open || c.find(r, "survey").Verdict != failed || r.OK {
				t.Errorf("%+v", r)
			}
			c.leavesNothing()
		})
	}
}

func TestSurveyPlainAndLeftOver(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.cos.Deny(denyAll("DeleteObject"))
	c.run("-survey", "-yes")
	for _, want := range []string{"\n 1  What does create-only answer", `    observed  409 "FileAlreadyExists"`, "warning  survey removed"} {
		if !strings.Contains(c.out, want) {
			t.Errorf("%q is not in the output:\n%s", want, c.out)
		}
	}
	for _, key := range c.cos.Keys(recordBucket, "") {
		if !strings.HasPrefix(key, "ci/doctor/") {
			t.Errorf("it wrote %s", key)
		}
	}
	for _, request := range c.cos.Requests() {
		if request.Key == "" && request.Action() != "GetBucketVersioning" {
			t.Errorf("it asked for %s", request.Action())
		}
	}
}
