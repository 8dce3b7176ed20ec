package cilocal_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
)

// oneLine takes the line breaks and the indentation off an XML body that a test spreads
// over several lines.
func oneLine(body string) string {
	var b strings.Builder
	for line := range strings.Lines(body) {
		b.WriteString(strings.TrimSpace(line))
	}
	return b.String()
}

// wantWhole compares a whole answer of status 200, byte for byte. In want, the request's
// id is ID, and that of the bucket's first queue p1.
func wantWhole(t *testing.T, s *cilocal.Server, method, path, body, want string) {
	t.Helper()
	response, got := send(t, s, method, path, body)
	got = strings.NewReplacer(response.Header.Get("x-ci-request-id"), "ID", s.Queues(bucket)[0].ID, "p1").Replace(got)
	want = "<?xml version='1.0' encoding='utf-8' ?>\n<Response>" + oneLine(want) + "</Response>"
	if diff := cmp.Diff(want, got); diff != "" || response.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %d (-want +got):\n%s", method, path, response.StatusCode, diff)
	}
}

// wantCallback compares a whole callback, the JSON with what its elements say.
func wantCallback(t *testing.T, s *cilocal.Server, id, wantXML, wantJSON string) {
	t.Helper()
	queue := strings.NewReplacer(s.Queues(bucket)[0].ID, "p1")
	body, err := s.Callback(bucket, id, "XML")
	must(t, err)
	if diff := cmp.Diff("<Response>"+oneLine(wantXML)+"</Response>", queue.Replace(string(body))); diff != "" {
		t.Errorf("callback of %s (-want +got):\n%s", id, diff)
	}
	body, err = s.Callback(bucket, id, "JSON")
	must(t, err)
	var want, got any
	must(t, json.Unmarshal([]byte(wantJSON), &want))
	must(t, json.Unmarshal([]byte(queue.Replace(string(body))), &got))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON callback of %s (-want +got):\n%s", id, diff)
	}
}

// The jobs of these tests are made at the first second of a bubble, 2000-01-01 in UTC.
func TestWholeJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := cilocaltest.New(t, cilocal.Options{}, bucket)
		output := cilocal.Object{Region: region, Key: "out/${InputName}-${Number}.mp4"}
		for id, plan := range map[string]cilocal.Plan{
			"jsubmitted": {Wait: time.Hour}, "jrunning": {Wait: time.Second, Run: time.Hour},
			"jdone": {Wait: time.Second, Run: time.Second, Content: []byte("hello")}, "jfailed": {Code: "X", Message: "no <video>"},
			"jwaiting": {Wait: time.Hour}, "jworking": {Wait: time.Second, Run: time.Hour},
		} {
			_, err := s.AddJob(bucket, cilocal.Job{
				ID: id, Tag: "Segment", Input: cilocal.Object{Region: region, Key: "in/a.mp4"}, Output: output, UserData: "u & me",
				Operation: "<TemplateId>t1</TemplateId>",
				Workflow:  &cilocal.JobWorkflow{RunID: "i1", WorkflowID: "w1", WorkflowName: "mine", Name: "Segment_1"},
			}, plan)
			must(t, err)
		}
		time.Sleep(3 * time.Second)
		for _, id := range []string{"jwaiting", "jworking"} {
			wantWhole(t, s, http.MethodPut, "/jobs/"+id+"?cancel", "", "<RequestId>ID</RequestId>")
		}
		const input = `<Input><BucketId>` + bucket + `</BucketId><Object>in/a.mp4</Object><Region>` + region + `</Region>`
		const operation = `<Operation>
			<Output><Bucket>` + bucket + `</Bucket><Object>out/${InputName}-${Number}.mp4</Object><Region>` + region + `</Region></Output>
			<UserData>u &amp; me</UserData><TemplateId>t1</TemplateId>`
		job := func(code, message, id, state, start, end, result string) string {
			return `<JobsDetail><Code>` + code + `</Code>` + message + `<JobId>` + id + `</JobId>` + state +
				`<CreationTime>2000-01-01T08:00:00+0800</CreationTime><StartTime>` + start + `</StartTime><EndTime>` + end + `</EndTime>
				<QueueId>p1</QueueId><Tag>Segment</Tag>` + input + `</Input>` + operation + result + `</Operation></JobsDetail>`
		}
		const first, second, third = "2000-01-01T08:00:01+0800", "2000-01-01T08:00:02+0800", "2000-01-01T08:00:03+0800"
		wantWhole(t, s, http.MethodGet, "/jobs/jdone,jno,jsubmitted,jrunning,jfailed,jwaiting,jworking,jneither", "",
			job("Success", "<Message/>", "jdone", "<State>Success</State><Progress>100</Progress>", first, second,
				`<MediaResult><OutputFile><Bucket>`+bucket+`</Bucket>
				<Md5Info><Md5>5d41402abc4b2a76b9719d911017c592</Md5><ObjectName>out/a-0.mp4</ObjectName></Md5Info>
				<ObjectName>out/a-0.mp4</ObjectName><Region>`+region+`</Region></OutputFile></MediaResult>`)+
				job("Success", "<Message/>", "jsubmitted", "<State>Submitted</State>", "-", "-", "")+
				job("Success", "<Message/>", "jrunning", "<State>Running</State>", first, "-", "")+
				job("X", "<Message>no &lt;video&gt;</Message>", "jfailed", "<State>Failed</State>", "2000-01-01T08:00:00+0800", "2000-01-01T08:00:00+0800", "")+
				job("Success", "<Message/>", "jwaiting", "<State>Cancel</State>", "-", third, "")+
				job("Success", "<Message/>", "jworking", "<State>Cancel</State>", first, third, "")+
				`<NonExistJobIds>jno</NonExistJobIds><NonExistJobIds>jneither</NonExistJobIds>`)
		const headers = `<CosHeaders><Key>Content-Type</Key><Value>video/mp4</Value></CosHeaders>
			<CosHeaders><Key>EventName</Key><Value>cos:ObjectCreated:Put</Value></CosHeaders>`
		wantCallback(t, s, "jdone", `<EventName>TaskFinish</EventName><JobsDetail><Code>Success</Code><Message>success</Message>
			<JobId>jdone</JobId><State>Success</State><Progress>100</Progress><CreationTime>2000-01-01T08:00:00+0800</CreationTime>
			<StartTime>`+first+`</StartTime><EndTime>`+second+`</EndTime><QueueId>p1</QueueId><Tag>Segment</Tag>`+input+headers+`</Input>`+operation+
			`<MediaResult><OutputFile><Bucket>`+bucket+`</Bucket>
			<Md5Info><Md5>5d41402abc4b2a76b9719d911017c592</Md5><ObjectName>out/a-0.mp4</ObjectName></Md5Info>
			<ObjectName>0.mp4</ObjectName><ObjectPrefix>out/a-</ObjectPrefix><Region>`+region+`</Region></OutputFile></MediaResult></Operation>
			<Workflow><RunId>i1</RunId><WorkflowId>w1</WorkflowId><WorkflowName>mine</WorkflowName><Name>Segment_1</Name></Workflow></JobsDetail>`,
			`{"EventName":"TaskFinish","JobsDetail":[{"Code":"Success","Message":"success","JobId":"jdone","State":"Success","Progress":"100",
			"CreationTime":"2000-01-01T08:00:00+0800","StartTime":"`+first+`","EndTime":"`+second+`","QueueId":"p1","Tag":"Segment",
			"Input":{"BucketId":"`+bucket+`","Object":"in/a.mp4","Region":"`+region+`","CosHeaders":[{"Key":"Content-Type","Value":"video/mp4"},
			{"Key":"EventName","Value":"cos:ObjectCreated:Put"}]},"Operation":{"Output":{"Bucket":"`+bucket+`","Object":"out/${InputName}-${Number}.mp4",
			"Region":"`+region+`"},"UserData":"u & me","TemplateId":"t1","MediaResult":{"OutputFile":{"Bucket":"`+bucket+`",
			"Md5Info":[{"Md5":"5d41402abc4b2a76b9719d911017c592","ObjectName":"out/a-0.mp4"}],"ObjectName":["0.mp4"],"ObjectPrefix":"out/a-",
			"Region":"`+region+`"}}},"Workflow":{"RunId":"i1","WorkflowId":"w1","WorkflowName":"mine","Name":"Segment_1"}}]}`)
		for _, id := range []string{"jsubmitted", "jrunning", "jno"} {
			if body, err := s.Callback(bucket, id, "XML"); err == nil {
				t.Errorf("%s is called back: %s", id, body)
			}
		}
	})
}

// TestWholeRuns has a run that has ended, with a task that failed, and one that has not.
func TestWholeRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := cilocaltest.New(t, cilocal.Options{}, bucket)
		for _, run := range []struct {
			id, workflow string
			plan         cilocal.Plan
		}{
			{"iended", "w1", cilocal.Plan{Wait: time.Second, Run: time.Second}}, {"iother", "w2", cilocal.Plan{}}, {"irunning", "w1", cilocal.Plan{Run: time.Hour}},
		} {
			_, err := s.AddRun(bucket, cilocal.Run{ID: run.id, WorkflowID: run.workflow, Name: "mine", Object: "in/a.mp4", Tasks: []cilocal.Task{
				{Type: "Start", JobID: "j0"}, {Type: "Transcode", Name: "Transcode_1", JobID: "j1", Code: "X", Message: "no"},
			}}, run.plan)
			must(t, err)
		}
		time.Sleep(3 * time.Second)
		const created, ended = "2000-01-01T08:00:00+08:00", "2000-01-01T08:00:02+08:00"
		task := func(kind, id, created, name, state, end, code string) string {
			return `<Tasks><Type>` + kind + `</Type><JobId>` + id + `</JobId><CreateTime>` + created + `</CreateTime>` + name +
				`<State>` + state + `</State><StartTime>` + created + `</StartTime>` + end + code + `</Tasks>`
		}
		const success = "<Code>Success</Code><Message/>"
		const failure = "<Code>X</Code><Message>no</Message>"
		run := func(id, state, tasks string) string {
			return `<RequestId>ID</RequestId><WorkflowExecution><WorkflowId>w1</WorkflowId><Name>mine</Name><RunId>` + id + `</RunId>
				<CreateTime>` + created + `</CreateTime><Object>in/a.mp4</Object><State>` + state + `</State>
				<Topology><Nodes><Transcode_1><Type>Transcode</Type></Transcode_1></Nodes></Topology>` + tasks + `</WorkflowExecution>`
		}
		wantWhole(t, s, http.MethodGet, "/workflowexecution/irunning", "", run("irunning", "Running",
			task("Start", "j0", created, "<Name/>", "Running", "<EndTime/>", success)+
				task("Transcode", "j1", created, "<Name>Transcode_1</Name>", "Running", "<EndTime/>", success)))
		wantWhole(t, s, http.MethodGet, "/workflowexecution/iended", "", run("iended", "Failed",
			task("Start", "j0", created, "<Name/>", "Success", "<EndTime>"+ended+"</EndTime>", success)+
				task("Transcode", "j1", created, "<Name>Transcode_1</Name>", "Failed", "<EndTime>"+ended+"</EndTime>", failure)))
		listed := func(id, state string) string {
			return `<WorkflowExecutionList><RunId>` + id + `</RunId><WorkflowId>w1</WorkflowId><Object>in/a.mp4</Object>
				<CreateTime>` + created + `</CreateTime><State>` + state + `</State></WorkflowExecutionList>`
		}
		wantWhole(t, s, http.MethodGet, "/workflowexecution?workflowId=w1", "",
			"<RequestId>ID</RequestId>"+listed("irunning", "Running")+listed("iended", "Failed"))
		const calledCreated, calledEnded = "2000-01-01 08:00:00+0800", "2000-01-01 08:00:02+0800"
		wantCallback(t, s, "iended", `<EventName>WorkflowFinish</EventName><WorkflowExecution><WorkflowId>w1</WorkflowId>
			<WorkflowName>mine</WorkflowName><RunId>iended</RunId><State>Failed</State><BucketId>`+bucket+`</BucketId><Object>in/a.mp4</Object>
			<CreateTime>`+calledCreated+`</CreateTime><EndTime>`+calledEnded+`</EndTime>
			<CosHeaders><Key>Content-Type</Key><Value>video/mp4</Value></CosHeaders>
			<CosHeaders><Key>EventName</Key><Value>cos:ObjectCreated:Put</Value></CosHeaders>`+
			task("Start", "j0", calledCreated, "<Name/>", "Success", "<EndTime>"+calledEnded+"</EndTime>", success)+
			task("Transcode", "j1", calledCreated, "<Name>Transcode_1</Name>", "Failed", "<EndTime>"+calledEnded+"</EndTime>", failure)+`</WorkflowExecution>`,
			`{"EventName":"WorkflowFinish","WorkflowExecution":{"WorkflowId":"w1","WorkflowName":"mine","RunId":"iended","State":"Failed",
			"BucketId":"`+bucket+`","Object":"in/a.mp4","CreateTime":"`+calledCreated+`","EndTime":"`+calledEnded+`",
			"CosHeaders":[{"Key":"Content-Type","Value":"video/mp4"},{"Key":"EventName","Value":"cos:ObjectCreated:Put"}],"Tasks":[
			{"Type":"Start","JobId":"j0","CreateTime":"`+calledCreated+`","State":"Success","StartTime":"`+calledCreated+`","EndTime":"`+calledEnded+`","Code":"Success"},
			{"Type":"Transcode","JobId":"j1","CreateTime":"`+calledCreated+`","Name":"Transcode_1","State":"Failed","StartTime":"`+calledCreated+`",
			"EndTime":"`+calledEnded+`","Code":"X","Message":"no"}]}}`)
	})
}

// TestWholeSubmit answers what was submitted, though the jobs end at once.
func TestWholeSubmit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := cilocaltest.New(t, cilocal.Options{}, bucket)
		_, body := send(t, s, http.MethodPost, "/jobs", transcode(""))
		j := s.Jobs(bucket)[0]
		want := "<?xml version='1.0' encoding='utf-8' ?>\n" + oneLine(`<Response><JobsDetail><Code>Success</Code><Message/><JobId>`+j.ID+`</JobId>
			<State>Submitted</State><CreationTime>2000-01-01T08:00:00+0800</CreationTime><StartTime>-</StartTime><EndTime>-</EndTime>
			<QueueId>`+j.QueueID+`</QueueId><Tag>Transcode</Tag>
			<Input><BucketId>`+bucket+`</BucketId><Object>in/a.mp4</Object><Region>`+region+`</Region></Input>
			<Operation><TemplateId>t1</TemplateId><Output><Region>`+region+`</Region><Bucket>`+bucket+`</Bucket><Object>out/a.mp4</Object></Output>
			<UserData>mine &amp; yours</UserData></Operation></JobsDetail></Response>`)
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("POST /jobs (-want +got):\n%s", diff)
		}
		began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		whole := cilocal.Job{
			ID: j.ID, Tag: "Transcode", State: "Success", Created: began, Started: began, Ended: began, QueueID: s.Queues(bucket)[0].ID, QueueType: "Transcoding",
			Input: cilocal.Object{Bucket: bucket, Region: region, Key: "in/a.mp4"}, Output: cilocal.Object{Bucket: bucket, Region: region, Key: "out/a.mp4"},
			MD5: j.MD5, UserData: "mine & yours", Operation: j.Operation,
		}
		if diff := cmp.Diff(whole, j); diff != "" || len(j.MD5) != 32 {
			t.Errorf("the job (-want +got):\n%s", diff)
		}
	})
}

func TestWholeQueues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := cilocaltest.New(t, cilocal.Options{}, bucket)
		must(t, s.SetCallback(bucket, "http://a.localhost/?b&c", "JSON"))
		queue := func(id, name, category string) string {
			return `<QueueList><QueueId>` + id + `</QueueId><Name>` + name + `</Name><State>Active</State><NotifyConfig>
				<Url>http://a.localhost/?b&amp;c</Url><Event>TaskFinish,WorkflowFinish</Event><Type>Url</Type><State>On</State>
				<ResultFormat>JSON</ResultFormat></NotifyConfig><MaxSize>10000</MaxSize><MaxConcurrent>10</MaxConcurrent>
				<UpdateTime>2000-01-01T08:00:00+0800</UpdateTime><CreateTime>2000-01-01T08:00:00+0800</CreateTime>
				<Category>` + category + `</Category></QueueList>`
		}
		queues := s.Queues(bucket)
		time.Sleep(time.Second) // by which the queues do not change
		for path, want := range map[string]string{
			"queue":      queue("p1", "queue-1", "Transcoding") + queue(queues[1].ID, "queue-speed-transcoding-process-1", "SpeedTranscoding"),
			"picqueue":   queue(queues[2].ID, "queue-pic-process-1", "PicProcessing"),
			"asrqueue":   queue(queues[3].ID, "queue-smart-audio-1", "Speeching"),
			"docqueue":   queue(queues[4].ID, "queue-doc-process-1", "DocProcessing"),
			"file_queue": queue(queues[5].ID, "queue-file-process-1", "FileProcessing"),
			"ai_queue":   queue(queues[6].ID, "queue-ai-process-1", "AIProcess"),
		} {
			count := string('0' + rune(strings.Count(want, "<QueueList>")))
			wantWhole(t, s, http.MethodGet, "/"+path, "",
				"<RequestId>ID</RequestId><TotalCount>"+count+"</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize>"+want)
		}
	})
}

// TestJobTypes holds what is documented of each type of jobs: the first letter of its ids,
// its queue, whether GET /jobs lists it, and whether a job tells its file and that one's MD5.
func TestJobTypes(t *testing.T) {
	t.Parallel()
	for want, tags := range map[string]string{
		"j Transcoding listed, a file with MD5":    "Transcode Animation Concat VoiceSeparate VideoMontage SDRtoHDR VideoProcess VideoEnhance SuperResolution Segment DigitalWatermark StreamExtract Tts",
		"j Transcoding listed, a file without MD5": "Snapshot SmartCover",
		"j Transcoding listed, no file":            "ExtractDigitalWatermark VideoTag MediaInfo QualityEstimate NoiseReduction",
		"j Transcoding unlisted, a file with MD5":  "Watermark SegmentVideoBody",
		"j Transcoding unlisted, no file":          "SplitVideoParts",
		"a AIProcess listed, no file":              "Translation WordsGeneralize",
		"a AIProcess unlisted, no file":            "VideoTargetRec",
		"s Speeching listed, no file":              "SpeechRecognition",
		"s Speeching unlisted, no file":            "SoundHound",
		"c PicProcess unlisted, no file":           "PicProcess",
		"d DocProcess unlisted, no file":           "DocProcess",
		"f FileProcess unlisted, no file":          "FileUncompress FileCompress FileHashCode",
	} {
		for tag := range strings.FieldsSeq(tags) {
			s := cilocaltest.New(t, cilocal.Options{}, bucket)
			id, err := s.AddJob(bucket, cilocal.Job{Tag: tag, Output: cilocal.Object{Key: "out/x"}}, cilocal.Plan{})
			must(t, err)
			j, _ := s.Job(bucket, id)
			got := id[:1] + " " + j.QueueType + " unlisted, no file"
			if response, body := get(t, s, "/jobs?tag="+tag); response.StatusCode == http.StatusOK && strings.Contains(body, id) {
				got = strings.Replace(got, "unlisted", "listed", 1)
			}
			if file := list(t, s, "/jobs/"+id).JobsDetail[0].Operation.MediaResult.OutputFile; file.Md5Info.Md5 != "" {
				got = strings.Replace(got, "no file", "a file with MD5", 1)
			} else if file.ObjectName != "" {
				got = strings.Replace(got, "no file", "a file without MD5", 1)
			}
			if got != want {
				t.Errorf("%s: %s, want %s", tag, got, want)
			}
		}
	}
}

// TestActions names the CAM action of each request.
func TestActions(t *testing.T) {
	t.Parallel()
	s := cilocaltest.New(t, cilocal.Options{}, bucket)
	for request, want := range map[string]string{
		"POST /jobs": "CreateMediaJobs", "GET /jobs/j1": "DescribeMediaJob", "GET /jobs?tag=x": "DescribeMediaJobs", "PUT /jobs/j1?cancel": "CancelMediaJob",
		"POST /triggerworkflow": "TriggerWorkflow", "GET /workflowexecution/i1": "DescribeMediaWorkflowExecutions",
		"GET /workflowexecution": "DescribeMediaWorkflowExecutions",
		"POST /pic_jobs":         "CreatePicProcessJobs", "GET /pic_jobs/c1": "DescribePicProcessJobs", "GET /pic_jobs": "DescribePicProcessJobs",
		"POST /ai_jobs": "CreateAIJobs", "GET /ai_jobs/a1": "DescribeAIJobs", "GET /ai_jobs": "DescribeAIJobs",
		"POST /asr_jobs": "CreateAsrJobs", "GET /asr_jobs/s1": "DescribeAsrJobs", "GET /asr_jobs": "DescribeAsrJobs",
		"POST /doc_jobs": "CreateDocProcessJobs", "GET /doc_jobs/d1": "DescribeDocProcessJobs", "GET /doc_jobs": "DescribeDocProcessJobs",
		"POST /file_jobs": "CreateFileProcessJobs", "GET /file_jobs/f1": "DescribeFileProcessJob", "GET /file_jobs": "DescribeFileProcessJob",
		"GET /queue": "DescribeMediaQueues", "PUT /queue/p1": "UpdateMediaQueue", "GET /ai_queue": "DescribeMediaQueues", "PUT /ai_queue/p1": "UpdateMediaQueue",
		"PUT /jobs/j1": "", "PUT /jobs?cancel": "", "DELETE /jobs/j1": "", "GET /triggerworkflow": "", "PUT /queue": "", "GET /queue/p1": "",
	} {
		s.ResetRequests()
		method, path, _ := strings.Cut(request, " ")
		send(t, s, method, path, "")
		if got := cilocal.Action(s.Requests()[0]); got != want {
			t.Errorf("%s: action %q, want %q", request, got, want)
		}
	}
}
