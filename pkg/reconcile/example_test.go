package reconcile_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// A job whose callback was lost has a record after a run. The local COS and CI stand for
// the real ones.
func Example() {
	cos, err := coslocal.New(coslocal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	local := cilocal.New(cilocal.Options{COS: cos})
	defer local.Close()
	_ = cos.CreateBucket("records-1250000000", "ap-guangzhou")
	_ = cos.CreateBucket("media-1250000000", "ap-guangzhou")
	_ = local.CreateBucket("media-1250000000", "ap-guangzhou")
	_, _ = local.AddJob("media-1250000000", cilocal.Job{ID: "j1", Tag: "Transcode"}, cilocal.Plan{Age: time.Hour, Lost: true})

	key := cosclient.Credentials{SecretID: coslocal.DefaultCredential().SecretID, SecretKey: coslocal.DefaultCredential().SecretKey}
	records, err := store.NewPool(cos).Open(store.Options{
		Credentials: key, Bucket: "records-1250000000", Region: "ap-guangzhou", Prefix: "ci/",
		Slots: make(chan struct{}, reconcile.MaxCOSRequests),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := reconcile.Run(context.Background(), reconcile.Options{
		Buckets:  []reconcile.Bucket{{Name: "media-1250000000", Region: "ap-guangzhou"}},
		Since:    72 * time.Hour,
		CI:       ci.NewClient(ci.Options{Transport: local, Credentials: key}),
		Store:    records,
		Receiver: &receive.Receiver{Store: records},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Repaired, "repaired;", result.Findings[0].ID, result.Findings[0].State)
	fmt.Println(cos.Keys("records-1250000000", ""))
	// Output:
	// 1 repaired; j1 Success
	// [ci/jobs/j1.json ci/reconcile/media-1250000000.json]
}
