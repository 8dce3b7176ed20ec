package cilocal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// A job is submitted with Tencent's Go SDK, runs for a minute of a clock that the program
// holds, and is called back as JSON.
func Example() {
	const bucket = "media-1250000000"
	now := time.Now()
	function := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("called back: %.40s…\n", body)
	})
	server := cilocal.New(cilocal.Options{
		Clock:     func() time.Time { return now },
		Transport: coslocal.HandlerTransport{Handler: function},
		Plan:      func(cilocal.Job) cilocal.Plan { return cilocal.Plan{Run: time.Minute} },
	})
	defer server.Close()
	if err := server.CreateBucket(bucket, "ap-beijing"); err != nil {
		fmt.Println(err)
		return
	}
	if err := server.SetCallback(bucket, "http://function.localhost/?token=secret", "JSON"); err != nil {
		fmt.Println(err)
		return
	}

	credential := coslocal.DefaultCredential()
	sdk := cos.NewClient(
		&cos.BaseURL{CIURL: &url.URL{Scheme: "https", Host: bucket + ".ci.ap-beijing.myqcloud.com"}},
		&http.Client{Transport: &cos.AuthorizationTransport{
			SecretID: credential.SecretID, SecretKey: credential.SecretKey, Transport: server,
		}})
	made, _, err := sdk.CI.CreateJob(context.Background(), &cos.CreateJobsOptions{
		Tag:   "Transcode",
		Input: &cos.JobInput{Object: "in/a.mp4"},
		Operation: &cos.MediaProcessJobOperation{
			Output: &cos.JobOutput{Region: "ap-beijing", Bucket: bucket, Object: "out/a.mp4"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		asked, _, err := sdk.CI.DescribeJob(context.Background(), made.JobsDetail.JobId)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(asked.JobsDetail[0].State)
		now = now.Add(time.Minute)
		server.RunDue()
	}
	// Output:
	// Running
	// called back: {"EventName":"TaskFinish","JobsDetail":[…
	// Success
}

// Thousands of jobs that ended some minutes ago and were never called back: what a
// program finds that was away.
func ExampleServer_AddJob() {
	server := cilocal.New(cilocal.Options{})
	defer server.Close()
	if err := server.CreateBucket("media-1250000000", ""); err != nil {
		fmt.Println(err)
		return
	}
	for range 4000 {
		_, err := server.AddJob("media-1250000000", cilocal.Job{
			Input:  cilocal.Object{Key: "in/a.mp4"},
			Output: cilocal.Object{Key: "out/${JobId}.mp4", Region: "ap-beijing"},
		}, cilocal.Plan{Age: 10 * time.Minute, Run: time.Minute, Lost: true})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	jobs := server.Jobs("media-1250000000")
	fmt.Println(len(jobs), jobs[0].State, jobs[0].Ended.Sub(jobs[0].Created))
	// Output: 4000 Success 1m0s
}
