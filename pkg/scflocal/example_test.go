package scflocal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// The event that a function URL makes of a callback.
func ExampleEvent() {
	u := &url.URL{Path: "/", RawQuery: "token=secret"}
	event, err := scflocal.Event(http.MethodPost, u, http.Header{"Content-Type": {"application/xml"}}, "192.0.2.1", []byte("<Response/>"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", event)
	// Output:
	// {"body":"<Response/>","headers":{"content-type":"application/xml","x-scf-remote-addr":"192.0.2.1"},"httpMethod":"POST","path":"/","queryString":{"token":"secret"}}
}

// The event of a timer.
func ExampleTimerEvent() {
	event, err := scflocal.TimerEvent("reconcile", time.Date(2026, 1, 2, 3, 10, 0, 0, time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", event)
	// Output:
	// {"Message":"","Time":"2026-01-02T03:10:00Z","TriggerName":"reconcile","Type":"Timer"}
}

// A gateway before a function: here one that is a Go function, elsewhere Function.Invoke.
func ExampleGateway() {
	gateway := scflocal.Gateway{Invoke: func(r *http.Request, event []byte) ([]byte, error) {
		return []byte(`{"statusCode":200,"headers":{"Content-Type":"text/plain"},"body":"received"}`), nil
	}}
	answer := httptest.NewRecorder()
	gateway.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/?token=secret", strings.NewReader("<Response/>")))
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 received
}
