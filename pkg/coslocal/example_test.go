package coslocal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// A PUT whose answer is lost on its way back: COS did it, and the next try must not take
// the conflict for another's.
func Example() {
	const bucket, key = "records-1250000000", "ci/jobs/j1.json"
	server, err := coslocal.New(coslocal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.CreateBucket(bucket, "ap-beijing"); err != nil {
		fmt.Println(err)
		return
	}
	server.Inject(coslocal.Fault{
		Match:     func(r coslocal.Request) bool { return r.Action() == "PutObject" },
		Nth:       1,
		AfterWork: true,
		Reset:     true,
	})

	credential := coslocal.DefaultCredential()
	sdk := cos.NewClient(
		&cos.BaseURL{BucketURL: &url.URL{Scheme: "https", Host: bucket + ".cos.ap-beijing.myqcloud.com"}},
		&http.Client{Transport: &cos.AuthorizationTransport{
			SecretID: credential.SecretID, SecretKey: credential.SecretKey, Transport: server,
		}})
	sdk.Conf.RetryOpt.Count = 1
	create := func() error {
		_, err := sdk.Object.Put(context.Background(), key, strings.NewReader("{}"), &cos.ObjectPutOptions{
			ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
				XOptionHeader: &http.Header{"X-Cos-Forbid-Overwrite": {"true"}},
			},
		})
		return err
	}

	fmt.Println("first try lost:", errors.Is(create(), syscall.ECONNRESET))
	if e, ok := cos.IsCOSError(create()); ok {
		fmt.Println("second try:", e.Response.StatusCode, e.Code)
	}
	object, _ := server.Object(bucket, key)
	fmt.Printf("stored: %s\n", object.Body)
	// Output:
	// first try lost: true
	// second try: 409 FileAlreadyExists
	// stored: {}
}

// A server of its own, that keeps its objects in a folder.
func ExampleNew() {
	server, err := coslocal.New(coslocal.Options{Dir: "cos-data"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	if err := server.CreateBucket("records-1250000000", "ap-beijing"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(http.ListenAndServe("127.0.0.1:9000", server))
}

// A client and a COS with no socket between. In a testing/synctest bubble the delay of
// the fault would take no time at all.
func ExampleServer_RoundTrip() {
	server, err := coslocal.New(coslocal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Inject(coslocal.Fault{Delay: time.Hour})
	client := &http.Client{Transport: server, Timeout: 5 * time.Millisecond}
	_, err = client.Get("https://records-1250000000.cos.ap-beijing.myqcloud.com/a.txt")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}
