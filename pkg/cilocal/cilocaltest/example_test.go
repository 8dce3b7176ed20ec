package cilocaltest_test

import (
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/cilocal/cilocaltest"
)

// A test over a socket: the client connects to the server, whatever the host of the URL.
func ExampleNewServer() {
	_ = func(t *testing.T) {
		server := cilocaltest.NewServer(t, "media-1250000000")
		endpoint := strings.NewReplacer("{bucket}", "media-1250000000", "{region}", "ap-beijing").Replace(server.Endpoint)
		response, err := server.Client().Get(endpoint + "/jobs/j1")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		t.Log(response.Status) // 403 Forbidden: it is not signed
	}
}
