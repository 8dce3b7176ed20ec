package ci_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// Against the local CI, which verifies signatures, in whichever header the token must come.
func TestLocalCI(t *testing.T) {
	t.Parallel()
	for _, header := range []string{cilocal.TokenHeaderCI, cilocal.TokenHeaderCOS} {
		synctest.Test(t, func(t *testing.T) {
			credential := coslocal.Credential{SecretID: "id", SecretKey: "key", SessionToken: "token"}
			local := cilocaltest.New(t, cilocal.Options{TokenHeader: header, Credentials: []coslocal.Credential{credential}, OldPathsOnly: true}, media)
			for id, tag := range map[string]string{"j1": "Transcode", "d1": "DocProcess"} {
				if _, err := local.AddJob(media, cilocal.Job{ID: id, Tag: tag, Input: cilocal.Object{Key: "in/a b+&.mp4"}}, cilocal.Plan{Age: time.Hour}); err != nil {
					t.Fatal(err)
				}
			}
			run, err := local.AddRun(media, cilocal.Run{WorkflowID: "w1"}, cilocal.Plan{Age: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			b := newBucket(t, local)
			ctx := t.Context()
			page, err := b.ListJobs(ctx, ci.JobsQuery{
				Tag: "Transcode", OrderByTime: ci.Asc, States: []string{"All"}, InputObject: "in/a b+&.mp4",
				StartCreationTime: time.Now().Add(-2 * time.Hour), EndCreationTime: time.Now(),
			})
			if err != nil || len(page.JobsDetail) != 1 || page.Date.IsZero() {
				t.Errorf("ListJobs = %+v, %v", page, err)
			}
			byID, err := b.Jobs(ctx, "j1", "d1", "j2")
			if err != nil || len(byID.JobsDetail) != 1 || strings.Join(byID.NonExistJobIDs, " ") != "d1 j2" {
				t.Errorf("Jobs = %+v, %v", byID, err)
			}
			for id, want := range map[string]int{"d1": 1, "d2": 0} {
				if old, err := b.OldJob(ctx, id); err != nil || len(old.JobsDetail) != want || len(old.NonExistJobIDs) != 1-want {
					t.Errorf("OldJob(%s) = %+v, %v", id, old, err)
				}
			}
			runs, err := b.ListRuns(ctx, ci.RunsQuery{WorkflowID: "w1", OrderByTime: ci.Asc})
			if err != nil || len(runs.WorkflowExecutionList) != 1 || runs.WorkflowExecutionList[0].RunID != run {
				t.Errorf("ListRuns = %+v, %v", runs, err)
			}
			if one, err := b.Run(ctx, run); err != nil || !strings.Contains(string(one.WorkflowExecution), run) {
				t.Errorf("Run = %+v, %v", one, err)
			}
			if _, err := b.Run(ctx, "i2"); !errors.Is(err, ci.ErrNotFound) {
				t.Errorf("Run: %v", err)
			}
			for _, path := range ci.QueuePaths() {
				if queues, err := b.Queues(ctx, path); err != nil || len(queues) == 0 || queues[0].QueueID == "" {
					t.Errorf("Queues(%s) = %+v, %v", path, queues, err)
				}
			}
			if _, err := b.ListJobs(ctx, ci.JobsQuery{Tag: "Nonsense"}); !errors.Is(err, ci.ErrBadRequest) {
				t.Errorf("an unknown type: %v", err)
			}
			if _, err := bucketOf(t, newClient(local), "gone-1250000000").Jobs(ctx, "j1"); !errors.Is(err, cosclient.ErrMisconfigured) || !strings.Contains(err.Error(), "RECONCILE_BUCKETS") {
				t.Errorf("no such bucket: %v", err)
			}
			local.Deny(func(r coslocal.Request) bool { return cilocal.Action(r) == "DescribeMediaQueues" })
			if _, err := b.Queues(ctx, "/queue"); !errors.Is(err, cosclient.ErrMisconfigured) || !strings.Contains(err.Error(), "grant ci:DescribeMediaQueues") {
				t.Errorf("denied: %v", err)
			}
		})
	}
}

// Tags has what the local CI lists, which goes by CI's pages.
func TestTags(t *testing.T) {
	t.Parallel()
	local := cilocaltest.New(t, cilocal.Options{}, media)
	c := coslocal.DefaultCredential()
	b := bucketOf(t, ci.NewClient(ci.Options{Transport: local, Credentials: cosclient.Credentials{SecretID: c.SecretID, SecretKey: c.SecretKey}}), media)
	for _, tag := range ci.Tags() {
		if _, err := b.ListJobs(t.Context(), ci.JobsQuery{Tag: tag}); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
	if n := len(ci.Tags()); n != 23 {
		t.Errorf("%d types", n)
	}
}
