package scflocal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

var built = testprogram.New("./testdata/echo")

func TestMain(m *testing.M) { testprogram.Main(m) }

// output keeps what a function prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts the function of testdata/echo and stops it when the test ends.
func start(t *testing.T, env ...string) (*scflocal.Function, *output) {
	t.Helper()
	binary := testprogram.Path(t, built)
	printed := new(output)
	f, err := scflocal.Start(t.Context(), binary, env, printed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f, printed
}

// echoed is what the function of testdata/echo returns of an invocation.
type echoed struct {
	Payload     string
	Context     map[string]string // what came with the invocation, beside variables
	Invocation  map[string]string // variables that came with it
	Environment []string          // of the process
	Limit, Left time.Duration
}

// invoke sends an event and returns what the function saw of it.
func invoke(t *testing.T, f *scflocal.Function, s scflocal.Settings, payload string) echoed {
	t.Helper()
	returned, err := f.Invoke(t.Context(), s, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	var told echoed
	if err := json.Unmarshal(returned, &told); err != nil {
		t.Fatal(err)
	}
	return told
}

func TestInvocation(t *testing.T) {
	t.Parallel()
	f, _ := start(t, "OF_THE_PROCESS=1")
	settings := scflocal.Settings{Environment: map[string]string{"A": "1", "SECRET": "x"}, Region: "ap-guangzhou", AppID: "1250000000", TimeLimit: 5 * time.Second, MemoryLimit: 64}
	told := invoke(t, f, settings, `{"a":"<&>"}`)
	if diff := cmp.Diff(`{"a":"<&>"}`, told.Payload); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	want := map[string]string{"region": "ap-guangzhou", "appid": "1250000000", "memory": "64", "namespace": "default", "name": "ci-callback", "version": "$LATEST"}
	id := told.Context["id"]
	delete(told.Context, "id")
	if diff := cmp.Diff(want, told.Context); diff != "" || !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("id %q; context (-want +got):\n%s", id, diff)
	}
	if diff := cmp.Diff(settings.Environment, told.Invocation); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if told.Limit != 5*time.Second || told.Left > 5*time.Second || told.Left < time.Second {
		t.Errorf("limit %v, left %v", told.Limit, told.Left)
	}
	wantEnvironment := []string{ // with the variables of the invocation, which scf-go-lib sets
		"A=1", "LANG=en_US.UTF8", "OF_THE_PROCESS=1", "PATH=/usr/local/bin:/usr/bin:/bin", "SECRET=x", "TENCENTCLOUD_RUNENV=SCF", "TENCENTCLOUD_TZ=UTC",
		"_LAMBDA_SERVER_PORT=" + f.Address()[strings.LastIndex(f.Address(), ":")+1:],
	}
	if diff := cmp.Diff(wantEnvironment, slices.Sorted(slices.Values(told.Environment))); diff != "" {
		t.Errorf("the process's environment (-want +got):\n%s", diff)
	}
	if again := invoke(t, f, scflocal.Settings{}, `{}`); again.Context["id"] == id || again.Context["memory"] != "128" || again.Limit != 30*time.Second {
		t.Errorf("defaults: %+v", again)
	}
}

func TestFunctionError(t *testing.T) {
	t.Parallel()
	f, _ := start(t)
	for payload, want := range map[string]string{`"fail"`: "it failed", `"panic"`: "it panicked"} {
		_, err := f.Invoke(t.Context(), scflocal.Settings{}, []byte(payload))
		failed, ok := errors.AsType[*scflocal.FunctionError](err)
		if !ok || !strings.Contains(failed.Message, want) || failed.Type == "" || err.Error() != "the function failed: "+failed.Message {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	f, printed := start(t)
	invoke(t, f, scflocal.Settings{}, `"a payload"`)
	if err := f.Stop(); err != nil { // after which all of it is there
		t.Error(err)
	}
	if !strings.Contains(printed.String(), "a payload") {
		t.Errorf("printed %q", printed)
	}
}

// TestExit ends the invocation where the function ends.
func TestExit(t *testing.T) {
	t.Parallel()
	f, _ := start(t)
	if _, err := f.Invoke(t.Context(), scflocal.Settings{}, []byte(`"exit"`)); err == nil {
		t.Error("no error of a function that ended")
	}
	select {
	case <-f.Exited():
	case <-time.After(10 * time.Second):
		t.Fatal("it has not ended")
	}
	if _, err := f.Invoke(t.Context(), scflocal.Settings{}, []byte(`{}`)); err == nil {
		t.Error("no error after the end")
	}
}

// TestCancel lets go of an invocation that takes too long.
func TestCancel(t *testing.T) {
	t.Parallel()
	f, _ := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.Invoke(ctx, scflocal.Settings{}, []byte(`"sleep"`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	invoke(t, f, scflocal.Settings{}, `{}`)
}

// TestOutlivesContext: only the start is bound to the context.
func TestOutlivesContext(t *testing.T) {
	t.Parallel()
	binary := testprogram.Path(t, built)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := scflocal.Start(ctx, binary, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 2 { // an answer, long after the end of a process that a context kills
		invoke(t, f, scflocal.Settings{}, `"sleep"`)
	}
	for range 2 { // the second has nothing to stop, and is fine too
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	}
	kept, given, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if _, err := scflocal.Start(ctx, binary, nil, given); err == nil {
		t.Error("started, though the context had ended")
	}
	given.Close()
	kept.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(kept); err != nil { // its output has no end as long as it runs
		t.Errorf("the process is left: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	binary := testprogram.Path(t, built)
	if _, err := scflocal.Start(t.Context(), filepath.Join(t.TempDir(), "nothing"), nil, io.Discard); err == nil {
		t.Error("no error of a missing binary")
	}
	if _, err := scflocal.Start(t.Context(), binary, []string{"END_AT_ONCE=1"}, io.Discard); err == nil || !strings.Contains(err.Error(), "before it listened") {
		t.Errorf("a function that ends at once: %v", err)
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {"text/xml"}, "X-A": {"1", "2"}, "X-Scf-Remote-Addr": {"198.51.100.1"}}
	u := &url.URL{Path: "/a b", RawQuery: "token=x&a=1&a=2&b"}
	for _, test := range []struct{ name, body, want string }{
		{"text", "<a>é</a>", `"body":"<a>é</a>"`},
		{"binary", "\xff\x00", `"body":"/wA=","isBase64Encoded":true`},
		{"empty", "", `"body":""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			payload, err := scflocal.Event("POST", u, header, "192.0.2.1", []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			want := `{` + test.want + `,"headers":{"content-type":"text/xml","x-a":"1, 2","x-scf-remote-addr":"192.0.2.1"},"httpMethod":"POST","path":"/a b","queryString":{"a":["1","2"],"b":"","token":"x"}}`
			if diff := cmp.Diff(asAny(t, want), asAny(t, string(payload))); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// asAny decodes JSON, for comparing.
func asAny(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return v
}

func TestTimerEvent(t *testing.T) {
	t.Parallel()
	payload, err := scflocal.TimerEvent("EveryDay", time.Date(2019, 2, 21, 19, 49, 0, 0, time.FixedZone("", 8*60*60)))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Type":"Timer","TriggerName":"EveryDay","Time":"2019-02-21T11:49:00Z","Message":""}`
	if diff := cmp.Diff(asAny(t, want), asAny(t, string(payload))); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// TestManyAtOnce starts instances side by side: each has a port of its own.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	binary := testprogram.Path(t, built)
	var starting sync.WaitGroup
	for i := range 8 {
		starting.Go(func() {
			name := fmt.Sprint("INSTANCE=", i)
			f, err := scflocal.Start(t.Context(), binary, []string{name}, io.Discard)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Stop()
			returned, err := f.Invoke(t.Context(), scflocal.Settings{}, []byte(`{}`))
			if err != nil || !strings.Contains(string(returned), `"`+name+`"`) {
				t.Errorf("instance %d: %s, %v", i, returned, err)
			}
		})
	}
	starting.Wait()
}

func TestGateway(t *testing.T) {
	t.Parallel()
	var event []byte
	var answer string
	var fail error
	server := httptest.NewServer(scflocal.Gateway{Invoke: func(_ *http.Request, payload []byte) ([]byte, error) {
		event = payload
		return []byte(answer), fail
	}})
	t.Cleanup(server.Close)
	for _, test := range []struct {
		name, answer string
		fail         error
		status       int
		body         string
	}{
		{"answer", `{"isBase64Encoded":false,"statusCode":503,"headers":{"Retry-After":"30","Content-Type":"application/json"},"body":"{}"}`, nil, 503, "{}"},
		{"base64", `{"isBase64Encoded":true,"statusCode":200,"body":"/wA="}`, nil, 200, "\xff\x00"},
		{"no_base64", `{"isBase64Encoded":true,"statusCode":200,"body":"?"}`, nil, 403, "is no integrated response"},
		{"no_integrated_response", `{"a":1}`, nil, 403, "is no integrated response"},
		{"no_json", `hello`, nil, 403, "is no integrated response"},
		{"odd_status", `{"statusCode":20}`, nil, 403, "is no integrated response"},
		{"failed", ``, errors.New("the function failed"), 502, "the function failed"},
	} {
		answer, fail = test.answer, test.fail
		response, err := http.Post(server.URL+"/path?token=x", "text/xml", strings.NewReader("<a/>"))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != test.status || !strings.Contains(string(body), test.body) {
			t.Errorf("%s: %d %q, %v", test.name, response.StatusCode, body, err)
		}
		if test.name == "answer" && (response.Header.Get("Retry-After") != "30" || response.Header.Get("Content-Type") != "application/json") {
			t.Errorf("headers %v", response.Header)
		}
	}
	got, _ := asAny(t, string(event)).(map[string]any)
	headers, _ := got["headers"].(map[string]any)
	if got["httpMethod"] != "POST" || got["path"] != "/path" || got["body"] != "<a/>" || headers["x-scf-remote-addr"] != "127.0.0.1" {
		t.Errorf("event %s", event)
	}
}

// TestParseResponse compares what is read, and refuses what the platform would.
func TestParseResponse(t *testing.T) {
	t.Parallel()
	for returned, want := range map[string]*scflocal.Response{
		`{"statusCode":200}`: {StatusCode: 200}, `{"statusCode":599,"isBase64Encoded":false}`: {StatusCode: 599},
		`{"statusCode":201,"headers":{"A":"1","B":"2"},"body":"/wA="}`: {StatusCode: 201, Headers: map[string]string{"A": "1", "B": "2"}, Body: "/wA="},
		`{"statusCode":200,"isBase64Encoded":true,"body":"/wA="}`:      {StatusCode: 200, Body: "\xff\x00"},
		`{"statusCode":199}`: nil, `{"statusCode":600}`: nil, `{"statusCode":"200"}`: nil, `{"statusCode":200,"headers":{"A":1}}`: nil, `{"body":"a"}`: nil,
	} {
		got, err := scflocal.ParseResponse([]byte(returned))
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", returned, err, diff)
		}
	}
}

// TestGatewayLimit takes 16 MB and not a byte more.
func TestGatewayLimit(t *testing.T) {
	t.Parallel()
	invoked := 0
	g := scflocal.Gateway{Invoke: func(*http.Request, []byte) ([]byte, error) {
		invoked++
		return []byte(`{"statusCode":200}`), nil
	}}
	for length, status := range map[int]int{16 << 20: http.StatusOK, 16<<20 + 1: http.StatusRequestEntityTooLarge} {
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", length))))
		if recorder.Code != status {
			t.Errorf("%d bytes: status %d, want %d", length, recorder.Code, status)
		}
	}
	if invoked != 1 {
		t.Errorf("invoked %d times", invoked)
	}
}

// TestGatewayAddress takes the port off the client's address, of IPv6 too, where it has one.
func TestGatewayAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"192.0.2.1:1234": "192.0.2.1", "[2001:db8::1]:1234": "2001:db8::1", "a-pipe": "a-pipe"} {
		var event []byte
		g := scflocal.Gateway{Invoke: func(_ *http.Request, payload []byte) ([]byte, error) {
			event = payload
			return []byte(`{"statusCode":200}`), nil
		}}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = address
		g.ServeHTTP(httptest.NewRecorder(), r)
		if !strings.Contains(string(event), `"x-scf-remote-addr":"`+want+`"`) {
			t.Errorf("%s: %s", address, event)
		}
	}
}
