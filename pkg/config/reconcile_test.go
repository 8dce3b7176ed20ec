package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/config"
)

// The job types that CI's page of the list says can be listed.
// https://cloud.tencent.com/document/product/1045/73114
const listedTypes = "Transcode Animation Snapshot SmartCover Concat VoiceSeparate VideoMontage SDRtoHDR VideoProcess SuperResolution Segment " +
	"DigitalWatermark ExtractDigitalWatermark VideoTag MediaInfo StreamExtract QualityEstimate Tts NoiseReduction Translation SpeechRecognition " +
	"WordsGeneralize VideoEnhance"

func TestLoadReconcile(t *testing.T) {
	t.Parallel()
	defaults := func(change func(*config.Reconcile)) config.Reconcile {
		c := config.Reconcile{Types: strings.Fields(listedTypes), Days: 3, Endpoint: "https://{bucket}.ci.{region}.myqcloud.com"}
		change(&c)
		return c
	}
	tests := []struct {
		name, variables string // NAME=value, one a line
		want            config.Reconcile
		wrong           []string // the variables that are wrong, instead
	}{
		{name: "nothing", want: defaults(func(*config.Reconcile) {})},
		{name: "blank", variables: "RECONCILE_BUCKETS= \nRECONCILE_TYPES=\nRECONCILE_DAYS=\t", want: defaults(func(*config.Reconcile) {})},
		{name: "bucket", variables: "RECONCILE_BUCKETS=media-1250000000", want: defaults(func(c *config.Reconcile) {
			c.Buckets = []config.Bucket{{"media-1250000000", "ap-guangzhou"}}
		})},
		{name: "buckets", variables: "RECONCILE_BUCKETS=a-1, b-2@ap-beijing ,a-1,a-1@ap-guangzhou", want: defaults(func(c *config.Reconcile) {
			c.Buckets = []config.Bucket{{"a-1", "ap-guangzhou"}, {"b-2", "ap-beijing"}}
		})},
		{name: "types", variables: "RECONCILE_TYPES=Transcode, PicProcess,Transcode", want: defaults(func(c *config.Reconcile) {
			c.Types = []string{"Transcode", "PicProcess"}
		})},
		{name: "workflows", variables: "RECONCILE_BUCKETS=a-1,b-1\nRECONCILE_WORKFLOWS=w1,w-2_x@b-1, w1", want: defaults(func(c *config.Reconcile) {
			c.Buckets = []config.Bucket{{"a-1", "ap-guangzhou"}, {"b-1", "ap-guangzhou"}}
			c.Workflows = []config.Workflow{{"w1", ""}, {"w-2_x", "b-1"}}
		})},
		{name: "days", variables: "RECONCILE_DAYS=30", want: defaults(func(c *config.Reconcile) { c.Days = 30 })},
		{name: "one_day", variables: "RECONCILE_DAYS=1", want: defaults(func(c *config.Reconcile) { c.Days = 1 })},
		{name: "endpoint", variables: "CI_ENDPOINT=http://{bucket}.ci.{region}.localhost:9000", want: defaults(func(c *config.Reconcile) {
			c.Endpoint = "http://{bucket}.ci.{region}.localhost:9000"
		})},

		{name: "no_bucket", variables: "RECONCILE_BUCKETS=media", wrong: []string{"RECONCILE_BUCKETS"}},
		{name: "bucket_and_comma", variables: "RECONCILE_BUCKETS=a-1,", wrong: []string{"RECONCILE_BUCKETS"}},
		{name: "bucket_without_region", variables: "RECONCILE_BUCKETS=a-1@", wrong: []string{"RECONCILE_BUCKETS"}},
		{name: "bucket_of_no_region", variables: "RECONCILE_BUCKETS=a-1@evil.example", wrong: []string{"RECONCILE_BUCKETS"}},
		{name: "bucket_of_two_regions", variables: "RECONCILE_BUCKETS=a-1,a-1@ap-beijing", wrong: []string{"RECONCILE_BUCKETS"}},
		{name: "no_type", variables: "RECONCILE_TYPES=Transcode,", wrong: []string{"RECONCILE_TYPES"}},
		{name: "odd_type", variables: "RECONCILE_TYPES=a&states=All", wrong: []string{"RECONCILE_TYPES"}},
		{name: "long_type", variables: "RECONCILE_TYPES=" + strings.Repeat("T", 65), wrong: []string{"RECONCILE_TYPES"}},
		{name: "odd_workflow", variables: "RECONCILE_WORKFLOWS=w/1", wrong: []string{"RECONCILE_WORKFLOWS"}},
		{name: "long_workflow", variables: "RECONCILE_WORKFLOWS=" + strings.Repeat("w", 65), wrong: []string{"RECONCILE_WORKFLOWS"}},
		{name: "no_workflow", variables: "RECONCILE_BUCKETS=a-1\nRECONCILE_WORKFLOWS=@a-1", wrong: []string{"RECONCILE_WORKFLOWS"}},
		{name: "workflow_of_other_bucket", variables: "RECONCILE_BUCKETS=a-1\nRECONCILE_WORKFLOWS=w1@b-1", wrong: []string{"RECONCILE_WORKFLOWS"}},
		{name: "workflow_of_wrong_bucket", variables: "RECONCILE_BUCKETS=a\nRECONCILE_WORKFLOWS=w1@a-1", wrong: []string{"RECONCILE_BUCKETS"}},
		{name: "no_days", variables: "RECONCILE_DAYS=0", wrong: []string{"RECONCILE_DAYS"}},
		{name: "too_many_days", variables: "RECONCILE_DAYS=31", wrong: []string{"RECONCILE_DAYS"}},
		{name: "odd_days", variables: "RECONCILE_DAYS=a week", wrong: []string{"RECONCILE_DAYS"}},
		{name: "odd_endpoint", variables: "CI_ENDPOINT=ci", wrong: []string{"CI_ENDPOINT"}},
		{name: "endpoint_of_one_bucket", variables: "RECONCILE_BUCKETS=a-1,b-1\nCI_ENDPOINT=https://a-1.ci.ap-guangzhou.myqcloud.com", wrong: []string{"CI_ENDPOINT"}},
		{name: "all", variables: "RECONCILE_BUCKETS=a\nRECONCILE_TYPES=?\nRECONCILE_WORKFLOWS=?\nRECONCILE_DAYS=?\nCI_ENDPOINT=?",
			wrong: []string{"RECONCILE_BUCKETS", "RECONCILE_TYPES", "RECONCILE_WORKFLOWS", "RECONCILE_DAYS", "CI_ENDPOINT"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := config.Environment{Region: "ap-guangzhou", Process: map[string]string{}}
			for line := range strings.SplitSeq(test.variables, "\n") {
				name, value, _ := strings.Cut(line, "=")
				e.Process[name] = value
			}
			got, err := config.LoadReconcile(e)
			if test.wrong != nil {
				wantVariables(t, err, test.wrong...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

// Where the platform names no region, each bucket must.
func TestLoadReconcileWithoutRegion(t *testing.T) {
	t.Parallel()
	e := config.Environment{Process: map[string]string{"RECONCILE_BUCKETS": "a-1"}}
	_, err := config.LoadReconcile(e)
	wantVariables(t, err, "RECONCILE_BUCKETS")
	e.Process["TENCENTCLOUD_REGION"] = "ap-tokyo"
	got, err := config.LoadReconcile(e)
	if err != nil || len(got.Buckets) != 1 || got.Buckets[0].Region != "ap-tokyo" {
		t.Errorf("LoadReconcile = %+v, %v", got, err)
	}
}

// A wrong setting for comparing costs no callback, and the other way round.
func TestLoadReconcileIsApart(t *testing.T) {
	t.Parallel()
	e := deployed()
	e.Invocation["RECONCILE_DAYS"], e.Invocation["RECONCILE_BUCKETS"], e.Invocation["CI_ENDPOINT"] = "x", "x", "x"
	if _, err := config.Load(e); err != nil {
		t.Error(err)
	}
	e = deployed()
	e.Invocation["RECORD_BUCKET"] = "x"
	if _, err := config.LoadReconcile(e); err != nil {
		t.Error(err)
	}
}
