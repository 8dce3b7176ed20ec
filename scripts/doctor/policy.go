package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// policy is a CAM policy, without comments: CAM refuses them.
// https://cloud.tencent.com/document/product/436/31923
type policy struct {
	Version   string      `json:"version"`
	Statement []statement `json:"statement"`
}

type statement struct {
	Effect   string   `json:"effect"`
	Action   []string `json:"action"`
	Resource []string `json:"resource"`
}

// grants is what one user of the buckets needs, and no more.
type grants struct {
	records  []string // on the objects below RECORD_PREFIX: records, history, rejected bodies, the state of comparing
	list     []string // on the record bucket
	media    []string // on the objects of media buckets
	jobs     []string // at CI, on media buckets whose jobs are compared
	runs     []string // the same, where workflows are compared
	tagsOnly bool     // media is of use with TAG_MD5 alone
}

// grantsFor is whom -policy knows, by the value of -for.
var grantsFor = map[string]grants{
	"function": {
		records: []string{"name/cos:PutObject", "name/cos:GetObject"},
		media:   []string{"name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"}, tagsOnly: true,
		jobs: []string{"ci:DescribeMediaJob", "ci:DescribeMediaJobs"},
		runs: []string{"ci:DescribeMediaWorkflowExecutions"},
	},
	"records": {
		records: []string{"name/cos:PutObject", "name/cos:GetObject", "name/cos:DeleteObject"},
		list:    []string{"name/cos:GetBucket"},
		media:   []string{"name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"},
		jobs: []string{"ci:DescribeMediaJob", "ci:DescribeMediaJobs",
			// Jobs that /jobs does not know are asked for at their old paths. For /ai_jobs, no
			// page says what that takes.
			"ci:DescribePicProcessJobs", "ci:DescribeAsrJobs", "ci:DescribeDocProcessJobs", "ci:DescribeFileProcessJob",
			"ci:DescribeMediaWorkflowExecutions"}, // an audit asks about every run that has a record
	},
	"doctor": {
		records: []string{"name/cos:PutObject", "name/cos:GetObject", "name/cos:DeleteObject"},
		list:    []string{"name/cos:GetBucketVersioning"},
		media:   []string{"name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"}, tagsOnly: true,
		jobs: []string{"ci:DescribeMediaJob", "ci:DescribeMediaJobs", "ci:DescribeMediaQueues"},
		runs: []string{"ci:DescribeMediaWorkflowExecutions"},
	},
}

// policyFor returns what a user of -for needs with these settings.
func (d *doctor) policyFor(g grants) policy {
	c := d.settings.config
	p := policy{Version: "2.0", Statement: []statement{allow(g.records, objects(c.RecordBucket, c.RecordRegion, c.RecordPrefix))}}
	if len(g.list) > 0 {
		p.Statement = append(p.Statement, allow(g.list, objects(c.RecordBucket, c.RecordRegion, "")))
	}
	var media []string
	if c.TagMD5 || len(d.media) > 0 || !g.tagsOnly {
		for _, t := range d.targets() {
			media = append(media, objects(t.bucket, cmp.Or(t.region, c.RecordRegion), t.prefix))
		}
	}
	if len(media) > 0 {
		p.Statement = append(p.Statement, allow(g.media, media...))
	}
	return d.allowComparing(p, g)
}

// allowComparing adds what it takes to ask CI about the jobs of RECONCILE_BUCKETS.
func (d *doctor) allowComparing(p policy, g grants) policy {
	var jobs, runs []string
	for _, b := range d.settings.reconcile.Buckets {
		jobs = append(jobs, mediaBucketOfCI(b))
		if len(d.workflowsOf(b)) > 0 {
			runs = append(runs, mediaBucketOfCI(b))
		}
	}
	if len(jobs) > 0 {
		p.Statement = append(p.Statement, allow(g.jobs, jobs...))
	}
	if len(runs) > 0 {
		p.Statement = append(p.Statement, allow(g.runs, runs...))
	}
	return p
}

// workflowsOf returns the ids of the workflows whose runs in a bucket are compared.
func (d *doctor) workflowsOf(b config.Bucket) []string {
	var ids []string
	for _, w := range d.settings.reconcile.Workflows {
		if w.Bucket == "" || w.Bucket == b.Name {
			ids = append(ids, w.ID)
		}
	}
	return ids
}

func allow(actions []string, resources ...string) statement {
	return statement{Effect: "allow", Action: slices.Clone(actions), Resource: resources}
}

// objects names the objects of a bucket whose keys begin with prefix.
func objects(bucket, region, prefix string) string {
	return fmt.Sprintf("qcs::cos:%s:uid/%s:%s/%s*", region, cosname.AppID(bucket), bucket, prefix)
}

// mediaBucketOfCI names what CI keeps about the jobs of a bucket.
// https://cloud.tencent.com/document/product/460/104297
func mediaBucketOfCI(b config.Bucket) string {
	return fmt.Sprintf("qcs::ci:%s:uid/%s:bucket/%s/*", b.Region, cosname.AppID(b.Name), b.Name)
}

// policySettings are the variables that the policy is made of.
var policySettings = []string{
	"RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "TAG_MD5", "TAG_BUCKETS", "RECONCILE_BUCKETS", "RECONCILE_WORKFLOWS",
}

// unfitForPolicy says why a value that the function takes must not stand in a policy, and
// reports whether that is so.
func unfitForPolicy(value string) (problem string, unfit bool) {
	switch {
	case isPlaceholder(value):
		return fmt.Sprintf("%.100q is a placeholder of the documentation: set the name of your own", value), true
	case strings.ContainsAny(value, "*?"):
		return fmt.Sprintf("%.100q has a * or ?, which in a policy stands for other names too: take another prefix", value), true
	}
	return "", false
}

// printPolicy prints a policy. It needs neither the token nor credentials.
func (d *doctor) printPolicy() int {
	for _, name := range policySettings {
		problem, wrong := d.settings.problems[name]
		if !wrong {
			problem, wrong = unfitForPolicy(d.valueOf(name))
		}
		if wrong {
			fmt.Fprintf(d.err, "doctor: %s %s\n", name, problem)
			return exitFailed
		}
	}
	for _, t := range d.media {
		if problem, wrong := unfitForPolicy(t.bucket + "/" + t.prefix); wrong {
			fmt.Fprintf(d.err, "doctor: -media %s\n", problem)
			return exitFailed
		}
	}
	if d.settings.config.TagMD5 && len(d.targets()) == 0 {
		fmt.Fprintln(d.err, "doctor: TAG_MD5 is true: name the buckets whose objects are tagged, -media <bucket>[@<region>][/<prefix>],… or TAG_BUCKETS")
		return exitUsage
	}
	printJSON(d.out, d.policyFor(grantsFor[d.policyUser]))
	return exitOK
}
