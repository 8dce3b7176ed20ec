package ci_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/model"
)

// List the jobs of the last day, page by page. The local CI stands for the real one.
func Example() {
	local := cilocal.New(cilocal.Options{})
	defer local.Close()
	_ = local.CreateBucket("media-1250000000", "ap-guangzhou")
	for _, id := range []string{"j1", "j2"} {
		_, _ = local.AddJob("media-1250000000", cilocal.Job{ID: id, Tag: "Transcode"}, cilocal.Plan{Age: time.Hour, Run: time.Minute})
	}

	key := coslocal.DefaultCredential()
	client := ci.NewClient(ci.Options{
		Transport:   local,
		Credentials: cosclient.Credentials{SecretID: key.SecretID, SecretKey: key.SecretKey},
	})
	bucket, err := client.Bucket("media-1250000000", "ap-guangzhou")
	if err != nil {
		fmt.Println(err)
		return
	}
	query := ci.JobsQuery{Tag: "Transcode", OrderByTime: ci.Asc, StartCreationTime: time.Now().Add(-24 * time.Hour)}
	for {
		page, err := bucket.ListJobs(context.Background(), query)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, job := range page.JobsDetail {
			if record, err := model.DecodeQueried(job); err == nil {
				fmt.Println(record.ID, record.State)
			}
		}
		next := page.NextToken
		page.Close()
		if next == "" || next == query.NextToken {
			break
		}
		query.NextToken = next
	}
	// Output:
	// j1 Success
	// j2 Success
}
