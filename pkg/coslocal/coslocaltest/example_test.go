package coslocaltest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
)

// A test over a socket: the client connects to the server, whatever the host of the URL.
func ExampleNewServer() {
	_ = func(t *testing.T) {
		server := coslocaltest.NewServer(t, "records-1250000000")
		endpoint := strings.NewReplacer("{bucket}", "records-1250000000", "{region}", "ap-beijing").Replace(server.Endpoint)
		response, err := server.Client().Get(endpoint + "/a.txt")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		fmt.Println(response.Status) // 403 Forbidden: it is not signed
	}
}
