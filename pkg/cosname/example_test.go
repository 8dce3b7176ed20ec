package cosname_test

import (
	"fmt"

	"github.com/ci-callback/ci-callback/pkg/cosname"
)

// Bucket and region are checked before they go into a host name.
func ExampleBucketURL() {
	for _, bucket := range []string{"records-1250000000", "records", "evil.example/-1"} {
		address, err := cosname.BucketURL(cosname.COSEndpoint, bucket, "ap-guangzhou")
		fmt.Println(address, err != nil)
	}
	// Output:
	// https://records-1250000000.cos.ap-guangzhou.myqcloud.com false
	// <nil> true
	// <nil> true
}

func ExampleParseURL() {
	bucket, region, key, ok := cosname.ParseURL("https://media-1250000000.cos.ap-guangzhou.myqcloud.com/output/a%20b.mp4?sign=x")
	fmt.Println(bucket, region, key, ok)
	// Output: media-1250000000 ap-guangzhou output/a b.mp4 true
}
