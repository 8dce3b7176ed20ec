package receive_test

import (
	"context"
	"fmt"
	"log"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/receive"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// A callback comes twice. Here COS is a local one, which needs no socket.
func ExampleReceiver_Callback() {
	cos, err := coslocal.New(coslocal.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := cos.CreateBucket("records-1250000000", "ap-guangzhou"); err != nil {
		log.Fatal(err)
	}
	key := coslocal.DefaultCredential()
	records, err := store.NewPool(cos).Open(store.Options{
		Credentials: cosclient.Credentials{SecretID: key.SecretID, SecretKey: key.SecretKey},
		Bucket:      "records-1250000000", Region: "ap-guangzhou", Prefix: "ci/",
	})
	if err != nil {
		log.Fatal(err)
	}

	r := &receive.Receiver{Store: records}
	callback := []byte(`{"EventName":"TaskFinish","JobsDetail":[{"JobId":"j1","State":"Success","Tag":"Transcode"}]}`)
	for range 2 {
		results, err := r.Callback(context.Background(), callback)
		if err != nil {
			log.Fatal(err)
		}
		for _, job := range results.Jobs {
			fmt.Println(job.ID, job.State, job.Outcome, job.Key)
		}
	}
	// Output:
	// j1 Success created ci/jobs/j1.json
	// j1 Success duplicate ci/jobs/j1.json
}
