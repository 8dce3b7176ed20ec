package coslocal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// A test with Tencent's SDK, in which the second PUT is lost on its way back.
func ExampleNewServer() {
	_ = func(t *testing.T) {
		server := coslocal.NewServer(t, coslocal.Options{}, "records-1250000000")
		server.Inject(coslocal.Fault{
			Match:     func(r coslocal.Request) bool { return r.Action() == "PutObject" },
			Nth:       2,
			AfterWork: true,
			Reset:     true,
		})

		endpoint := strings.NewReplacer("{bucket}", "records-1250000000", "{region}", "ap-beijing").Replace(server.Endpoint)
		base, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		credential := coslocal.DefaultCredential()
		client := server.Client()
		client.Transport = &cos.AuthorizationTransport{
			SecretID: credential.SecretID, SecretKey: credential.SecretKey, Transport: client.Transport,
		}
		sdk := cos.NewClient(&cos.BaseURL{BucketURL: base}, client)
		if _, err := sdk.Object.Put(context.Background(), "a/b.txt", strings.NewReader("hello"), nil); err != nil {
			t.Fatal(err)
		}
		if object, ok := server.Object("records-1250000000", "a/b.txt"); !ok || string(object.Body) != "hello" {
			t.Errorf("stored %+v", object)
		}
	}
}

// A server of its own, that keeps its objects in a folder.
func ExampleNew() {
	server, err := coslocal.New(coslocal.Options{Dir: "cos-data"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.CreateBucket("records-1250000000", "ap-beijing"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(http.ListenAndServe("127.0.0.1:9000", server))
}
