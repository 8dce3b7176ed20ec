package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// Reconcile are the settings for comparing CI's jobs with the records.
type Reconcile struct {
	Buckets   []Bucket   // RECONCILE_BUCKETS: media buckets whose jobs are compared
	Types     []string   // RECONCILE_TYPES: job types, by CI's Tag
	Workflows []Workflow // RECONCILE_WORKFLOWS: workflows whose runs are compared too
	Days      int        // RECONCILE_DAYS: how far back the first run looks
	Endpoint  string     // CI_ENDPOINT
}

// A Bucket is a media bucket, and the region that it is in.
type Bucket struct{ Name, Region string }

// A Workflow is a workflow of one media bucket, or of each of them where Bucket is "".
type Workflow struct{ ID, Bucket string }

const (
	maxReconcileDays = 30 // CI keeps jobs for about a month
	maxTypeBytes     = 64
	maxWorkflowBytes = 64
)

// LoadReconcile reads the settings for comparing. Its error is [Errors], with all that is
// wrong; where there is none and no bucket either, nothing is to be compared.
func LoadReconcile(e Environment) (Reconcile, error) {
	r := &reader{environment: e}
	var c Reconcile
	c.Buckets = r.buckets("RECONCILE_BUCKETS", r.region())
	c.Types = distinct(r.list("RECONCILE_TYPES", checkType))
	c.Workflows = r.workflows("RECONCILE_WORKFLOWS", c.Buckets)
	c.Days = read(r, "RECONCILE_DAYS", "a number of days, 1 to 30", parseDays)
	c.Endpoint = r.text("CI_ENDPOINT", func(endpoint string) error {
		for _, b := range c.Buckets {
			if err := checkEndpoint(endpoint, b.Name, b.Region); err != nil {
				return err
			}
		}
		return checkEndpoint(endpoint, "", "")
	})
	return c, r.err()
}

// buckets reads a list of <bucket> or <bucket>@<region>.
func (r *reader) buckets(name, defaultRegion string) []Bucket {
	regions := map[string]string{}
	var buckets []Bucket
	for _, entry := range r.list(name, func(entry string) error {
		bucket, region := parseBucket(entry, defaultRegion)
		other, twice := regions[bucket]
		regions[bucket] = region
		switch {
		case cosname.CheckBucket(bucket) != nil:
			return cosname.CheckBucket(bucket)
		case region == "":
			return fmt.Errorf("the platform names no region: write %s@<region>", bucket)
		case cosname.CheckRegion(region) != nil:
			return cosname.CheckRegion(region)
		case twice && other != region:
			return fmt.Errorf("%s is there with two regions, %s and %s", bucket, other, region)
		}
		return nil
	}) {
		bucket, region := parseBucket(entry, defaultRegion)
		buckets = append(buckets, Bucket{bucket, region})
	}
	return distinct(buckets)
}

func parseBucket(entry, defaultRegion string) (bucket, region string) {
	bucket, region, found := strings.Cut(entry, "@")
	if !found {
		region = defaultRegion
	}
	return bucket, region
}

// workflows reads a list of <id> or <id>@<bucket>, where the bucket is one of those that
// are compared.
func (r *reader) workflows(name string, buckets []Bucket) []Workflow {
	var workflows []Workflow
	for _, entry := range r.list(name, func(entry string) error {
		id, bucket, found := strings.Cut(entry, "@")
		switch {
		case !isID(id):
			return fmt.Errorf("%.80q is not the id of a workflow", id)
		case found && !r.isWrong("RECONCILE_BUCKETS") && !slices.ContainsFunc(buckets, func(b Bucket) bool { return b.Name == bucket }):
			return fmt.Errorf("%.80q is not one of RECONCILE_BUCKETS", bucket)
		}
		return nil
	}) {
		id, bucket, _ := strings.Cut(entry, "@")
		workflows = append(workflows, Workflow{id, bucket})
	}
	return distinct(workflows)
}

// isID reports whether a text can be the id of a workflow.
func isID(s string) bool {
	return len(s) >= 1 && len(s) <= maxWorkflowBytes && !strings.ContainsFunc(s, func(r rune) bool {
		return !isLetter(r) && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

func checkType(s string) error {
	if len(s) < 1 || len(s) > maxTypeBytes || strings.ContainsFunc(s, func(r rune) bool { return !isLetter(r) && (r < '0' || r > '9') }) {
		return fmt.Errorf("%.80q is not a job type, such as Transcode", s)
	}
	return nil
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func parseDays(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > maxReconcileDays) {
		err = strconv.ErrRange
	}
	return n, err
}

// distinct returns a list without what is there before already.
func distinct[T comparable](list []T) []T {
	var kept []T
	for _, entry := range list {
		if !slices.Contains(kept, entry) {
			kept = append(kept, entry)
		}
	}
	return kept
}
