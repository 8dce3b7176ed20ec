package board_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

// TestAskWith returns what CI says of a job, a large one again and again, and says which
// it does not know.
func TestAskWith(t *testing.T) {
	t.Parallel()
	local := cilocaltest.New(t, cilocal.Options{}, mediaBucket)
	key := coslocal.DefaultCredential()
	ask := board.AskWith(ci.NewClient(ci.Options{
		Transport: local.WithCOS(), Credentials: cosclient.Credentials{SecretID: key.SecretID, SecretKey: key.SecretKey},
	}), mediaBucket, region)
	for id, operation := range map[string]string{"j1": "", "jlarge": cilocaltest.LargeOperation(80_000)} {
		if _, err := local.AddJob(mediaBucket, cilocal.Job{ID: id, Operation: operation}, cilocal.Plan{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, id := range []string{"j1", "jlarge", "jlarge"} {
		if record, err := ask(ctx, id); err != nil || record.ID != id || record.State != "Success" {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := ask(ctx, "j2"); !errors.Is(err, catalog.ErrNotFound) || !strings.Contains(err.Error(), "j2") {
		t.Errorf("an unknown job: %v", err)
	}
	local.Deny(func(coslocal.Request) bool { return true })
	if _, err := ask(ctx, "j1"); err == nil {
		t.Error("no error where CI refuses")
	}
}

// TestPlanSaysWhatIsTagged holds that a comparison promises tags where it tags.
func TestPlanSaysWhatIsTagged(t *testing.T) {
	t.Parallel()
	for _, tags := range []bool{true, false} {
		m := mend.New(mend.Options{TagMD5: tags, Buckets: []reconcile.Bucket{{Name: mediaBucket, Region: region}}})
		lines, useful, err := board.MendWith(m).PlanReconcile()
		if says := strings.Contains(strings.Join(lines, "\n"), "its outputs are tagged"); says != tags || !useful || err != nil {
			t.Errorf("TAG_MD5=%v: %v, %v:\n%q", tags, useful, err, lines)
		}
	}
}
