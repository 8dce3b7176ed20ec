package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// readPolicy parses what -policy prints, strictly.
func (c *clinic) readPolicy(args ...string) policy {
	c.t.Helper()
	c.run(append(args, "-policy")...)
	if c.status != exitOK || c.err != "" {
		c.t.Fatalf("status %d: %s", c.status, c.err)
	}
	var p policy
	d := json.NewDecoder(strings.NewReader(c.out))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || d.More() {
		c.t.Fatalf("not one JSON document: %v\n%s", err, c.out)
	}
	return p
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.env = map[string]string{"RECORD_BUCKET": recordBucket, "RECORD_REGION": region} // it needs no more
	records := statement{"allow", []string{"name/cos:PutObject", "name/cos:GetObject"}, []string{"qcs::cos:ap-guangzhou:uid/1250000000:records-1250000000/ci/*"}}
	if diff := cmp.Diff(policy{"2.0", []statement{records}}, c.readPolicy()); diff != "" {
		t.Error(diff)
	}
	want := policy{"2.0", []statement{records, {
		"allow", []string{"name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"},
		[]string{"qcs::cos:ap-guangzhou:uid/1250000000:media-1250000000/*", "qcs::cos:ap-beijing:uid/1250000000:more-1250000000/output/*"},
	}}}
	if diff := cmp.Diff(want, c.readPolicy("-media", mediaBucket+",more-1250000000@ap-beijing/output/")); diff != "" {
		t.Error(diff)
	}
	c.env["TAG_MD5"] = "true"
	if c.run("-policy"); c.status != exitUsage || c.out != "" {
		t.Errorf("without media buckets: status %d\n%s", c.status, c.out)
	}
	c.env["TAG_BUCKETS"] = mediaBucket
	if p := c.readPolicy(); len(p.Statement) != 2 || len(p.Statement[1].Resource) != 1 {
		t.Errorf("with TAG_BUCKETS: %+v", p)
	}
	c.env["RECORD_BUCKET"] = "Records"
	if c.run("-policy"); c.status != exitFailed || c.out != "" || !strings.Contains(c.err, "RECORD_BUCKET") {
		t.Errorf("wrong bucket: status %d\n%s%s", c.status, c.out, c.err)
	}
}

// TestPolicyRefused has what the function takes for a name, and what would grant nothing
// or more than is meant.
func TestPolicyRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variable, value string
		media           string
		says            string
	}{
		"placeholder":         {"RECORD_BUCKET", "examplebucket-1250000000", "", "RECORD_BUCKET \"examplebucket-1250000000\" is a placeholder"},
		"placeholder_of_CI":   {"RECONCILE_BUCKETS", "media-examplebucket-1250000000", "", "RECONCILE_BUCKETS \"media-examplebucket-1250000000\" is a placeholder"},
		"any_prefix":          {"RECORD_PREFIX", "*", "", "RECORD_PREFIX \"*\" has a * or ?"},
		"prefix_of_a_letter":  {"RECORD_PREFIX", "c?/", "", "RECORD_PREFIX \"c?/\" has a * or ?"},
		"placeholder_media":   {"", "", "examplebucket-1250000000", "-media \"examplebucket-1250000000/\" is a placeholder"},
		"any_prefix_of_media": {"", "", mediaBucket + "/*/output/", "-media \"" + mediaBucket + "/*/output/\" has a * or ?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, coslocal.Options{})
			c.env = map[string]string{"RECORD_BUCKET": recordBucket, "RECORD_REGION": region}
			if test.variable != "" {
				c.env[test.variable] = test.value
			}
			c.run("-policy", "-media", test.media)
			if c.status != exitFailed || c.out != "" || !strings.HasPrefix(c.err, "doctor: "+test.says) {
				t.Errorf("status %d\n%s%s", c.status, c.out, c.err)
			}
		})
	}
}

// TestPolicyOfCI has the jobs of media buckets compared, and the runs of workflows in
// one.
func TestPolicyOfCI(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.env = map[string]string{
		"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "RECONCILE_BUCKETS": mediaBucket + "@ap-beijing,more-1250000000",
	}
	jobs := statement{"allow", []string{"ci:DescribeMediaJob", "ci:DescribeMediaJobs"},
		[]string{"qcs::ci:ap-beijing:uid/1250000000:bucket/media-1250000000/*", "qcs::ci:ap-guangzhou:uid/1250000000:bucket/more-1250000000/*"}}
	if diff := cmp.Diff([]statement{jobs}, c.readPolicy().Statement[1:]); diff != "" {
		t.Error(diff)
	}
	runs := statement{"allow", []string{"ci:DescribeMediaWorkflowExecutions"}, jobs.Resource[1:]}
	c.env["RECONCILE_WORKFLOWS"] = "w1@more-1250000000"
	if diff := cmp.Diff([]statement{jobs, runs}, c.readPolicy().Statement[1:]); diff != "" {
		t.Error(diff)
	}
	c.env["RECONCILE_WORKFLOWS"] = "w1"
	runs.Resource = jobs.Resource
	if diff := cmp.Diff([]statement{jobs, runs}, c.readPolicy().Statement[1:]); diff != "" {
		t.Error(diff)
	}
	c.env["RECONCILE_BUCKETS"] = "Media"
	if c.run("-policy"); c.status != exitFailed || !strings.Contains(c.err, "RECONCILE_BUCKETS") {
		t.Errorf("wrong bucket: status %d\n%s%s", c.status, c.out, c.err)
	}
}

func TestPolicyForOthers(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.env = map[string]string{
		"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "TAG_BUCKETS": mediaBucket, "RECONCILE_BUCKETS": mediaBucket + "@" + region,
	}
	media := statement{"allow", []string{"name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"},
		[]string{"qcs::cos:ap-guangzhou:uid/1250000000:media-1250000000/*"}}
	ofCI := []string{"qcs::ci:ap-guangzhou:uid/1250000000:bucket/media-1250000000/*"}
	below, whole := []string{"qcs::cos:ap-guangzhou:uid/1250000000:records-1250000000/ci/*"}, []string{"qcs::cos:ap-guangzhou:uid/1250000000:records-1250000000/*"}
	want := policy{"2.0", []statement{
		{"allow", []string{"name/cos:PutObject", "name/cos:GetObject", "name/cos:DeleteObject"}, below},
		{"allow", []string{"name/cos:GetBucket"}, whole}, media,
		{"allow", []string{"ci:DescribeMediaJob", "ci:DescribeMediaJobs", "ci:DescribePicProcessJobs", "ci:DescribeAsrJobs", "ci:DescribeDocProcessJobs",
			"ci:DescribeFileProcessJob", "ci:DescribeMediaWorkflowExecutions"}, ofCI},
	}}
	if diff := cmp.Diff(want, c.readPolicy("-for", "records")); diff != "" {
		t.Errorf("records:\n%s", diff)
	}
	want = policy{"2.0", []statement{
		{"allow", []string{"name/cos:PutObject", "name/cos:GetObject", "name/cos:DeleteObject"}, below},
		{"allow", []string{"name/cos:GetBucketVersioning"}, whole},
		{"allow", []string{"ci:DescribeMediaJob", "ci:DescribeMediaJobs", "ci:DescribeMediaQueues"}, ofCI},
	}}
	if diff := cmp.Diff(want, c.readPolicy("-for", "doctor")); diff != "" { // without TAG_MD5 it asks no media bucket
		t.Errorf("doctor:\n%s", diff)
	}
}

// TestPolicyForTheDoctor has the doctor do all it can with nothing but its own policy.
func TestPolicyForTheDoctor(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	c.env["CALLBACK_TOKEN"], c.env["RECONCILE_WORKFLOWS"], c.env["TAG_BUCKETS"] = secondToken, "w1", mediaBucket
	ci := c.addCI(cilocal.Options{})
	p := c.readPolicy("-for", "doctor")
	c.cos.Deny(func(r coslocal.Request) bool { return !p.allows(r) })
	ci.Deny(func(r coslocal.Request) bool { return !p.allowsCI(r) })
	c.wants(c.report(), map[string]verdict{})
}

// allowsCI reports whether a policy lets a request to CI through.
func (p policy) allowsCI(r coslocal.Request) bool {
	resource := "qcs::ci:" + r.Region + ":uid/1250000000:bucket/" + r.Bucket + "/*"
	return slices.ContainsFunc(p.Statement, func(s statement) bool {
		return slices.Contains(s.Action, "ci:"+cilocal.Action(r)) && slices.Contains(s.Resource, resource)
	})
}

// TestPolicyOfTheDocuments holds the policy in docs/security.md against the one printed.
func TestPolicyOfTheDocuments(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "\n```json\n")
	block, _, _ = strings.Cut(block, "\n```\n")
	var documented policy
	if err := json.Unmarshal([]byte(block), &documented); err != nil {
		t.Fatal(err)
	}
	c := newClinic(t, coslocal.Options{})
	c.env = map[string]string{"RECORD_BUCKET": recordBucket, "RECORD_REGION": region, "RECONCILE_BUCKETS": mediaBucket + "@" + region}
	if diff := cmp.Diff(c.readPolicy("-media", mediaBucket+"/output/"), documented); diff != "" {
		t.Errorf("in the document (-want +got):\n%s", diff)
	}
}

// allows reports whether a policy lets a request through, as CAM would.
func (p policy) allows(r coslocal.Request) bool {
	resource := "qcs::cos:" + r.Region + ":uid/" + r.Bucket[strings.LastIndexByte(r.Bucket, '-')+1:] + ":" + r.Bucket + "/" + r.Key
	return slices.ContainsFunc(p.Statement, func(s statement) bool {
		return slices.Contains(s.Action, "name/cos:"+r.Action()) && slices.ContainsFunc(s.Resource, func(pattern string) bool {
			return strings.HasPrefix(resource, strings.TrimSuffix(pattern, "*"))
		})
	})
}

// TestPolicyIsEnoughAndNoMore has the store do all that it can do with nothing but the
// policy, and holds the policy against what was asked for.
func TestPolicyIsEnoughAndNoMore(t *testing.T) {
	t.Parallel()
	c := newClinic(t, coslocal.Options{})
	p := c.readPolicy("-media", mediaBucket)
	c.cos.Deny(func(r coslocal.Request) bool { return !p.allows(r) })
	c.storeEverything()
	if err := c.cos.SetVersioning(recordBucket, "Enabled"); err != nil {
		t.Fatal(err)
	}
	c.storeEverything()

	asked := map[string]bool{}
	for _, r := range c.cos.Requests() {
		if r.Status == 403 {
			t.Errorf("refused: %s %s/%s", r.Action(), r.Bucket, r.Key)
		}
		asked["name/cos:"+r.Action()+" "+r.Bucket] = true
	}
	granted := map[string]bool{}
	for _, action := range grantsFor["function"].records {
		granted[action+" "+recordBucket] = true
	}
	for _, action := range grantsFor["function"].media {
		granted[action+" "+mediaBucket] = true
	}
	if diff := cmp.Diff(granted, asked); diff != "" {
		t.Errorf("granted, and asked for:\n%s", diff)
	}
}

// storeEverything has a store write a record in every way, keep a rejected body, and tag.
func (c *clinic) storeEverything() {
	c.t.Helper()
	transport := cosclient.NewTransport()
	c.t.Cleanup(transport.CloseIdleConnections)
	s, err := store.NewPool(transport).Open(store.Options{
		Credentials: cosclient.Credentials(credential), Endpoint: c.cos.Endpoint,
		Bucket: recordBucket, Region: region, Prefix: "ci/", TagKey: "md5", AppID: "1250000000",
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cos.PutObject(mediaBucket, "output.mp4", coslocal.Object{Body: []byte("a video")}); err != nil {
		c.t.Fatal(err)
	}
	for _, state := range []string{"Running", "Success", "Success", "Running"} { // created, updated, duplicate, stale
		callback, err := model.Decode([]byte(`{"EventName":"TaskFinish","JobsDetail":[{"JobId":"j1","State":"` + state + `","Tag":"Transcode"}]}`))
		if err != nil {
			c.t.Fatal(err)
		}
		if _, _, err := s.PutRecord(c.t.Context(), callback.Records[0]); err != nil {
			c.t.Error(err)
		}
	}
	for range 2 {
		if _, err := s.PutRejected(c.t.Context(), []byte("no callback"), ""); err != nil {
			c.t.Error(err)
		}
		for _, key := range []string{"output.mp4", "missing.mp4"} {
			output := model.Output{Object: model.Object{Bucket: mediaBucket, Region: region, Key: key}, MD5: "043221daee3f4e15ff13f42329f15eb1"}
			if _, err := s.TagOutput(c.t.Context(), output, time.Time{}); err != nil {
				c.t.Error(err)
			}
		}
	}
}
