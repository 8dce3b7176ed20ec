package main

import (
	"cmp"
	"fmt"
	"strings"
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

// What package store asks of COS, and nothing else.
var (
	recordActions = []string{"name/cos:PutObject", "name/cos:GetObject"}
	tagActions    = []string{"name/cos:HeadObject", "name/cos:GetObjectTagging", "name/cos:PutObjectTagging"}
)

// rolePolicy is what the execution role needs, and no more.
func (d *doctor) rolePolicy() policy {
	c := d.settings.config
	p := policy{Version: "2.0", Statement: []statement{{
		Effect: "allow", Action: recordActions, Resource: []string{resource(c.RecordBucket, c.RecordRegion, c.RecordPrefix)},
	}}}
	if c.TagMD5 || len(d.media) > 0 {
		s := statement{Effect: "allow", Action: tagActions}
		for _, t := range d.targets() {
			s.Resource = append(s.Resource, resource(t.bucket, cmp.Or(t.region, c.RecordRegion), t.prefix))
		}
		p.Statement = append(p.Statement, s)
	}
	return p
}

// resource names the objects of a bucket whose keys begin with prefix.
func resource(bucket, region, prefix string) string {
	appID := bucket[strings.LastIndexByte(bucket, '-')+1:]
	return fmt.Sprintf("qcs::cos:%s:uid/%s:%s/%s*", region, appID, bucket, prefix)
}

// printPolicy prints the policy. It needs neither the token nor credentials.
func (d *doctor) printPolicy() int {
	for _, name := range []string{"RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "TAG_MD5", "TAG_BUCKETS"} {
		if problem, wrong := d.settings.problems[name]; wrong {
			fmt.Fprintf(d.err, "doctor: %s %s\n", name, problem)
			return exitFailed
		}
	}
	if d.settings.config.TagMD5 && len(d.targets()) == 0 {
		fmt.Fprintln(d.err, "doctor: TAG_MD5 is true: name the buckets whose objects are tagged, -media <bucket>[@<region>][/<prefix>],… or TAG_BUCKETS")
		return exitUsage
	}
	printJSON(d.out, d.rolePolicy())
	return exitOK
}
