package cilocal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

// TestSDK runs the calls of Tencent's Go SDK over a socket: a job is submitted, ends, and
// is asked for in each way that the SDK has.
func TestSDK(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	storage := coslocaltest.NewServer(t, bucket)
	s := cilocaltest.NewServerWith(t, cilocal.Options{COS: storage.Server}, bucket)
	client := sdkAt(t, strings.NewReplacer("{bucket}", bucket, "{region}", region).Replace(s.Endpoint), s.Client().Transport)

	options := cos.CreateMediaJobsOptions{
		Tag: "Transcode", Input: &cos.JobInput{Object: "in/a.mp4"},
		Operation: &cos.MediaProcessJobOperation{
			Output:     &cos.JobOutput{Region: region, Bucket: bucket, Object: "out/a.mp4"},
			TemplateId: "t1", UserData: "u",
		},
	}
	made, _, err := client.CI.CreateMediaJobs(ctx, &options)
	must(t, err)
	if j := made.JobsDetail; j.State != "Submitted" || len(j.JobId) != 33 || j.JobId[0] != 'j' || j.EndTime != "-" {
		t.Errorf("CreateMediaJobs: %+v", j)
	}
	general := cos.CreateJobsOptions(options)
	general.Operation = &cos.MediaProcessJobOperation{Output: &cos.JobOutput{Region: region, Bucket: bucket, Object: "out/b.mp4"}}
	if _, _, err := client.CI.CreateJob(ctx, &general); err != nil {
		t.Errorf("CreateJob: %v", err)
	}
	several, _, err := client.CI.CreateMultiMediaJobs(ctx, &cos.CreateMultiMediaJobsOptions{
		Tag: "Animation", Input: options.Input,
		Operation: []cos.MediaProcessJobOperation{
			{Output: &cos.JobOutput{Region: region, Bucket: bucket, Object: "out/1.gif"}},
			{Output: &cos.JobOutput{Region: region, Bucket: bucket, Object: "out/2.gif"}},
		},
	})
	must(t, err)
	if len(several.JobsDetail) != 2 || several.JobsDetail[0].JobId == several.JobsDetail[1].JobId {
		t.Errorf("CreateMultiMediaJobs: %+v", several)
	}

	one, _, err := client.CI.DescribeMediaJob(ctx, made.JobsDetail.JobId)
	must(t, err)
	object, found := storage.Object(bucket, "out/a.mp4")
	file := one.JobsDetail.Operation.MediaResult.OutputFile
	if one.JobsDetail.State != "Success" || !found || file.Md5Info[0].Md5 != strings.Trim(object.ETag, `"`) || file.ObjectName[0] != "out/a.mp4" {
		t.Errorf("DescribeMediaJob: %+v, object %+v", one.JobsDetail, object)
	}
	if d, _, err := client.CI.DescribeJob(ctx, made.JobsDetail.JobId); err != nil || len(d.JobsDetail) != 1 || d.JobsDetail[0].JobId != made.JobsDetail.JobId {
		t.Errorf("DescribeJob: %+v, %v", d, err)
	}
	multi, _, err := client.CI.DescribeMultiMediaJob(ctx, []string{made.JobsDetail.JobId, "junknown", several.JobsDetail[1].JobId})
	must(t, err)
	if len(multi.JobsDetail) != 2 || len(multi.NonExistJobIds) != 1 || multi.NonExistJobIds[0] != "junknown" {
		t.Errorf("DescribeMultiMediaJob: %+v", multi)
	}
	jobs, _, err := client.CI.DescribeMediaJobs(ctx, &cos.DescribeMediaJobsOptions{
		Tag: "Transcode", OrderByTime: "Asc", Size: 1, States: "Success",
		StartCreationTime: time.Now().Add(-time.Hour).Format("2006-01-02T15:04:05-0700"),
	})
	must(t, err)
	if len(jobs.JobsDetail) != 1 || jobs.NextToken == "" {
		t.Errorf("DescribeMediaJobs: %+v", jobs)
	}
	rest, _, err := client.CI.DescribeMediaJobs(ctx, &cos.DescribeMediaJobsOptions{
		Tag: "Transcode", OrderByTime: "Asc", Size: 1, NextToken: jobs.NextToken,
	})
	must(t, err)
	if len(rest.JobsDetail) != 1 || rest.NextToken != "" || rest.JobsDetail[0].JobId == jobs.JobsDetail[0].JobId {
		t.Errorf("DescribeMediaJobs, second page: %+v", rest)
	}
}

// TestSDKQueues lets the SDK list queues and enter a callback URL.
func TestSDKQueues(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	now := time.Now()
	s := cilocaltest.New(t, cilocal.Options{Clock: func() time.Time { return now }}, bucket)
	client := sdk(t, s)
	all, _, err := client.CI.DescribeMediaProcessQueues(ctx, &cos.DescribeMediaProcessQueuesOptions{Category: "CateAll", PageNumber: 1, PageSize: 5})
	must(t, err)
	if all.TotalCount != 7 || len(all.QueueList) != 5 || all.QueueList[0].Name != "queue-1" || all.QueueList[0].NotifyConfig.State != "Off" {
		t.Errorf("DescribeMediaProcessQueues: %+v", all)
	}
	media, _, err := client.CI.DescribeMediaProcessQueues(ctx, nil)
	must(t, err)
	if media.TotalCount != 2 || media.PageSize != 10 {
		t.Errorf("queues of media: %+v", media)
	}
	pictures, _, err := client.CI.DescribePicProcessQueues(ctx, &cos.DescribePicProcessQueuesOptions{QueueIds: "A"})
	must(t, err)
	if pictures.TotalCount != 0 || len(pictures.NonExistPIDs) != 1 {
		t.Errorf("DescribePicProcessQueues: %+v", pictures)
	}
	created := jobTime(now)
	now = now.Add(time.Minute)
	notify := &cos.MediaProcessQueueNotifyConfig{State: "On", Type: "Url", Event: "TaskFinish", Url: "http://x.localhost/", ResultFormat: "JSON"}
	changed, _, err := client.CI.UpdateMediaProcessQueue(ctx, &cos.UpdateMediaProcessQueueOptions{
		QueueID: all.QueueList[0].QueueId, State: "Paused", Name: "mine", NotifyConfig: notify,
	})
	must(t, err)
	want := &cos.MediaProcessQueue{
		QueueId: all.QueueList[0].QueueId, Name: "mine", State: "Paused", MaxSize: 10000, MaxConcurrent: 10, NotifyConfig: notify,
		CreateTime: created, UpdateTime: jobTime(now),
	}
	if diff := cmp.Diff(want, changed.Queue); diff != "" {
		t.Errorf("UpdateMediaProcessQueue (-want +got):\n%s", diff)
	}
}

// jobTime writes a time as CI does.
func jobTime(t time.Time) string {
	return t.In(time.FixedZone("", 8*60*60)).Format("2006-01-02T15:04:05-0700")
}

// TestSDKWorkflows lets the SDK start a run of a workflow and ask for it.
func TestSDKWorkflows(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	client := sdk(t, s)
	triggered, _, err := client.CI.TriggerWorkflow(ctx, &cos.TriggerWorkflowOptions{WorkflowId: "w1", Object: "in/a.mp4", Name: "mine"})
	must(t, err)
	_, err = s.AddRun(bucket, cilocal.Run{WorkflowID: "w2"}, cilocal.Plan{})
	must(t, err)
	runs, _, err := client.CI.DescribeWorkflowExecutions(ctx, &cos.DescribeWorkflowExecutionsOptions{WorkflowId: "w1", States: "Success"})
	must(t, err)
	if len(runs.WorkflowExecutionList) != 1 || runs.WorkflowExecutionList[0].RunId != triggered.InstanceId {
		t.Errorf("DescribeWorkflowExecutions: %+v", runs)
	}
	one, _, err := client.CI.DescribeWorkflowExecution(ctx, triggered.InstanceId)
	must(t, err)
	if len(one.WorkflowExecution) != 1 || one.WorkflowExecution[0].State != "Success" || one.WorkflowExecution[0].Object != "in/a.mp4" {
		t.Errorf("DescribeWorkflowExecution: %+v", one)
	}
	unnamed, err := s.AddRun(bucket, cilocal.Run{}, cilocal.Plan{})
	must(t, err)
	one, _, err = client.CI.DescribeWorkflowExecution(ctx, unnamed)
	must(t, err)
	if len(one.WorkflowExecution) != 1 || !strings.HasPrefix(one.WorkflowExecution[0].WorkflowId, "w") {
		t.Errorf("a run of no workflow in particular: %+v", one)
	}
}

// TestSDKCancel cancels a job that runs.
func TestSDKCancel(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := cilocaltest.New(t, cilocal.Options{COS: newCOS(t), Plan: always(cilocal.Plan{Run: time.Hour})}, bucket)
	client := sdk(t, s)
	made, _, err := client.CI.CreateJob(ctx, &cos.CreateJobsOptions{
		Tag: "Transcode", Input: &cos.JobInput{Object: "a"},
		Operation: &cos.MediaProcessJobOperation{Output: &cos.JobOutput{Region: region, Bucket: bucket, Object: "b"}},
	})
	must(t, err)
	_, err = client.CI.CancelJob(ctx, made.JobsDetail.JobId)
	must(t, err)
	if j, _ := s.Job(bucket, made.JobsDetail.JobId); j.State != cilocal.Cancel || j.Ended.IsZero() {
		t.Errorf("after CancelJob: %+v", j)
	}
	if _, err = client.CI.CancelJob(ctx, made.JobsDetail.JobId); err == nil {
		t.Error("a job was cancelled twice")
	}
}

// newCOS returns a COS with the bucket of the tests.
func newCOS(t testing.TB) *coslocal.Server {
	t.Helper()
	s, err := coslocal.New(coslocal.Options{})
	must(t, err)
	must(t, s.CreateBucket(bucket, ""))
	return s
}
