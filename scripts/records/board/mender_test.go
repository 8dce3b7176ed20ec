package board_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
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

// TestReconcileSaysAll says on the board too what was not shown, and what could not be done.
func TestReconcileSaysAll(t *testing.T) {
	t.Parallel()
	cos := newCOS(t)
	local := cilocaltest.New(t, cilocal.Options{COS: cos}, mediaBucket)
	for i := range 102 {
		job := cilocal.Job{ID: fmt.Sprintf("j%d", i), Tag: "Transcode"}
		if _, err := local.AddJob(mediaBucket, job, cilocal.Plan{Age: 20 * time.Minute, Lost: true}); err != nil {
			t.Fatal(err)
		}
	}
	cos.Deny(func(r coslocal.Request) bool { return r.Key == "ci/jobs/j7.json" })
	keys := coslocal.DefaultCredential()
	o := store.Options{Credentials: cosclient.Credentials{SecretID: keys.SecretID, SecretKey: keys.SecretKey}, Bucket: recordBucket, Region: region, Prefix: "ci/", AppID: "1250000000"}
	s, err := store.NewPool(local.WithCOS()).Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m := mend.New(mend.Options{
		Store: s, StoreOptions: o, Types: []string{"Transcode"}, Buckets: []reconcile.Bucket{{Name: mediaBucket, Region: region}},
		CI: ci.NewClient(ci.Options{Transport: local.WithCOS(), Credentials: o.Credentials}),
	})
	lines, err := board.MendWith(m).Reconcile(t.Context(), time.Hour, func(string) {})
	text := strings.Join(lines, "\n")
	for _, words := range []string{"101 repaired", "\nand 1 more that are not shown\n", "COS refuses the record of a job", "id j7, "} {
		if !strings.Contains(text, words) || err != nil {
			t.Errorf("%q is not in\n%.300s … %.300s\n%v", words, text, text[max(0, len(text)-300):], err)
		}
	}
}
