package model_test

import (
	"encoding/xml"
	"os"
	"testing"

	cos "github.com/tencentyun/cos-go-sdk-v5"

	"github.com/ci-callback/ci-callback/pkg/model"
)

// The body of CI's page "Callback Information", 3 KB, in both forms.
const (
	pageXML  = callbacksDir + "/digitalwatermark.xml"
	pageJSON = callbacksDir + "/digitalwatermark.json"
)

func BenchmarkDecodeXML(b *testing.B)  { benchmarkDecode(b, pageXML) }
func BenchmarkDecodeJSON(b *testing.B) { benchmarkDecode(b, pageJSON) }

// benchmarkDecode goes from a body to the bytes of its record.
func benchmarkDecode(b *testing.B, file string) {
	body, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := model.Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Records[0].Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	r := decodeOne(b, string(readFile(b, pageJSON)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	older := encode(b, readFile(b, pageXML))
	newer := append([]byte(nil), older...)
	newer[len(newer)-10] ^= 1
	b.ReportAllocs()
	for b.Loop() {
		model.Compare(older, newer)
	}
}

// BenchmarkSDKType is for comparison: the same body into the SDK's callback type,
// without a record of it, and without what that type has no field for.
func BenchmarkSDKType(b *testing.B) {
	body := readFile(b, pageXML)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var callback cos.JobsNotifyBody
		if err := xml.Unmarshal(body, &callback); err != nil {
			b.Fatal(err)
		}
	}
}
