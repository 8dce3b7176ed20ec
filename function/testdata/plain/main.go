// Command plain is the handler that one would write in an afternoon: the two libraries
// with their own types and settings, one PUT of the record and one blind PUT of the
// tags. It checks no token, retries nothing but what the SDK does, and loses data in
// all the ways that the function does not. It is what the function's costs are
// measured against, and nothing else.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/tencentyun/cos-go-sdk-v5"
	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/events"
)

// callback is a callback in the SDK's own type of a job.
type callback struct {
	EventName  string
	JobsDetail cos.MediaProcessJobDetail
}

// listed is the JSON form, where the jobs are a list.
type listed struct {
	EventName  string
	JobsDetail []cos.MediaProcessJobDetail
}

var (
	mu      sync.Mutex
	clients = map[string]*cos.Client{}
)

// client gives the client of a bucket, one for the life of the process.
func client(bucket, region string) *cos.Client {
	mu.Lock()
	defer mu.Unlock()
	c := clients[bucket]
	if c == nil {
		u, err := url.Parse(strings.NewReplacer("{bucket}", bucket, "{region}", region).Replace(os.Getenv("COS_ENDPOINT")))
		if err != nil {
			panic(err)
		}
		c = cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{
			SecretID: os.Getenv("TENCENTCLOUD_SECRETID"), SecretKey: os.Getenv("TENCENTCLOUD_SECRETKEY"),
			SessionToken: os.Getenv("TENCENTCLOUD_SESSIONTOKEN"), Transport: transport,
		}})
		clients[bucket] = c
	}
	return c
}

// transport is the default one, but that the local COS has no DNS.
var transport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	}
	return t
}()

func handle(ctx context.Context, e events.APIGatewayRequest) (events.APIGatewayResponse, error) {
	var c callback
	if strings.HasPrefix(e.Body, "{") {
		var l listed
		if err := json.Unmarshal([]byte(e.Body), &l); err != nil {
			return events.APIGatewayResponse{}, err
		}
		c = callback{l.EventName, l.JobsDetail[0]}
	} else if err := xml.Unmarshal([]byte(e.Body), &c); err != nil {
		return events.APIGatewayResponse{}, err
	}
	record, err := json.Marshal(c)
	if err != nil {
		return events.APIGatewayResponse{}, err
	}
	key := "ci/jobs/" + c.JobsDetail.JobId + ".json"
	if _, err := client(os.Getenv("RECORD_BUCKET"), os.Getenv("RECORD_REGION")).Object.Put(ctx, key, bytes.NewReader(record), nil); err != nil {
		return events.APIGatewayResponse{}, err
	}
	if os.Getenv("TAG_MD5") == "true" {
		if err := tag(ctx, c.JobsDetail.Operation.MediaResult); err != nil {
			return events.APIGatewayResponse{}, err
		}
	}
	fmt.Println("stored", key)
	return events.APIGatewayResponse{StatusCode: http.StatusOK, Headers: map[string]string{"Content-Type": "application/json"}, Body: "{}"}, nil
}

func tag(ctx context.Context, result *cos.MediaResult) error {
	f := result.OutputFile
	for _, m := range f.Md5Info {
		options := &cos.ObjectPutTaggingOptions{TagSet: []cos.ObjectTaggingTag{{Key: "md5", Value: m.Md5}}}
		if _, err := client(f.Bucket, f.Region).Object.PutTagging(ctx, m.ObjectName, options); err != nil {
			return err
		}
	}
	return nil
}

func main() { cloudfunction.Start(handle) }
