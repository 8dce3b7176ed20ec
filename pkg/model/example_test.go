package model_test

import (
	"fmt"
	"os"

	"github.com/ci-callback/ci-callback/pkg/model"
)

func ExampleDecode() {
	callback, err := model.Decode([]byte(`
		<Response>
			<EventName>TaskFinish</EventName>
			<JobsDetail>
				<JobId>ja8de3b46f86011ec9452c1c27f56a659</JobId>
				<State>Success</State>
				<Tag>Transcode</Tag>
				<EndTime>2026-03-02T10:00:31+0800</EndTime>
				<Operation>
					<MediaResult>
						<OutputFile>
							<Bucket>examplebucket-1250000000</Bucket>
							<Region>ap-guangzhou</Region>
							<ObjectName>out/intro.mp4</ObjectName>
							<Md5Info>
								<ObjectName>out/intro.mp4</ObjectName>
								<Md5>c26ed6d0a911794ef9f94b27f90bbb20</Md5>
							</Md5Info>
						</OutputFile>
					</MediaResult>
				</Operation>
			</JobsDetail>
		</Response>`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range callback.Records {
		fmt.Println(r.Key("ci/"), r.State, r.EndTime)
		for _, o := range r.Outputs {
			fmt.Println(o.Bucket, o.Key, o.MD5)
		}
		fmt.Printf("%s\n", r.Detail)
	}
	// Output:
	// ci/jobs/ja8de3b46f86011ec9452c1c27f56a659.json Success 2026-03-02T10:00:31+08:00
	// examplebucket-1250000000 out/intro.mp4 c26ed6d0a911794ef9f94b27f90bbb20
	// {"EndTime":"2026-03-02T10:00:31+0800","JobId":"ja8de3b46f86011ec9452c1c27f56a659","Operation":{"MediaResult":{"OutputFile":{"Bucket":"examplebucket-1250000000","Md5Info":[{"Md5":"c26ed6d0a911794ef9f94b27f90bbb20","ObjectName":"out/intro.mp4"}],"ObjectName":["out/intro.mp4"],"Region":"ap-guangzhou"}}},"State":"Success","Tag":"Transcode"}
}

func ExampleDecode_malformed() {
	_, err := model.Decode([]byte(`{"JobsDetail":[{"JobId":"j1","Input":{"Object":a.mp4}}]}`))
	fmt.Println(err)
	// Output:
	// line 1, column 48, JobsDetail[0].Input.Object: a value was expected, not "a"
}

func ExampleRecord_Encode() {
	callback, err := model.Decode([]byte(`{"JobsDetail":{"State":"Success","JobId":"j1","Progress":100,"Message":null}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	encoded, err := callback.Records[0].Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(encoded)
	// Output:
	// {"version":2,"kind":"job","id":"j1","state":"Success","detail":{"JobId":"j1","Progress":"100","State":"Success"}}
}

// The callback of a job's end is newer than that of its start, whichever comes first.
func ExampleCompare() {
	encoded := func(body string) []byte {
		callback, err := model.Decode([]byte(body))
		if err != nil {
			fmt.Println(err)
			return nil
		}
		b, err := callback.Records[0].Encode()
		if err != nil {
			fmt.Println(err)
		}
		return b
	}
	start := encoded(`{"JobsDetail":{"JobId":"j1","State":"Running","StartTime":"2026-03-02T10:00:01+0800"}}`)
	end := encoded(`{"JobsDetail":{"JobId":"j1","State":"Success","EndTime":"2026-03-02T10:00:31+0800"}}`)
	fmt.Println(model.Compare(end, start), model.Compare(start, end), model.Compare(end, end))
	// Output:
	// 1 -1 0
}
