package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal/coslocaltest"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// The account of the sample callbacks, and the job of digitalwatermark.xml.
const (
	appID       = "123456789"
	region      = "ap-chongqing"
	recordsIn   = "records-" + appID
	mediaIn     = "test-" + appID
	token       = "a-token-of-this-test"
	secretKey   = "secret-key-of-this-test"
	sampleJob   = "ja8de3b46f86011ec9452c1c27f56a659"
	sampleKey   = "ci/jobs/" + sampleJob + ".json"
	sampleFile  = "output/digital.mp4"
	sampleMD5   = "043221daee3f4e15ff13f42329f15eb1"
	timeLimit   = 30 * time.Second
	sessionText = "session-token-of-this-test"
)

// site is a local COS on a socket, and what the platform hands over to a function there.
type site struct {
	*coslocaltest.Server
	environment map[string]string
}

func newSite(t testing.TB, keepRequests int) *site {
	t.Helper()
	credential := coslocal.Credential{SecretID: "secret-id-of-this-test", SecretKey: secretKey, SessionToken: sessionText}
	s := &site{Server: coslocaltest.NewServerWith(t, coslocal.Options{Credentials: []coslocal.Credential{credential}, KeepRequests: keepRequests}, recordsIn, mediaIn)}
	s.environment = map[string]string{
		"RECORD_BUCKET": recordsIn, "RECORD_REGION": region, "CALLBACK_TOKEN": token, "COS_ENDPOINT": s.Endpoint,
		"TENCENTCLOUD_SECRETID": credential.SecretID, "TENCENTCLOUD_SECRETKEY": credential.SecretKey,
		"TENCENTCLOUD_SESSIONTOKEN": credential.SessionToken,
	}
	return s
}

// with returns the environment with variables changed, given as NAME=value; one without
// a value is taken away.
func (s *site) with(variables ...string) map[string]string {
	environment := maps.Clone(s.environment)
	for _, v := range variables {
		name, value, set := strings.Cut(v, "=")
		environment[name] = value
		if !set {
			delete(environment, name)
		}
	}
	return environment
}

// putOutput puts the object that the sample job wrote where it wrote it.
func (s *site) putOutput(t testing.TB, key string, tags ...coslocal.Tag) {
	t.Helper()
	err := s.PutObject(mediaIn, key, coslocal.Object{
		Body: []byte("a video"), ETag: sampleMD5, LastModified: time.Date(2022, 6, 30, 10, 39, 7, 0, time.UTC), Tags: tags,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// settings are what the platform hands over with each invocation of a binary.
func (s *site) settings(variables ...string) scflocal.Settings {
	return scflocal.Settings{Environment: s.with(variables...), Region: region, AppID: appID, TimeLimit: timeLimit}
}

// receiver is a handler in this process.
type receiver struct {
	*site
	*Handler
	output *textBuffer
}

// newReceiver makes a handler with connections of its own; transport nil means real ones.
func (s *site) newReceiver(t testing.TB, transport http.RoundTripper) *receiver {
	if transport == nil {
		real := cosclient.NewTransport()
		t.Cleanup(real.CloseIdleConnections)
		transport = real
	}
	output := new(textBuffer)
	return &receiver{s, NewHandler(Options{
		Transport: transport, Output: output, Environ: func() []string { return nil }, Version: "v1.2.3",
		Backoff: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) },
	}), output}
}

// invoked returns the context of an invocation.
func invoked(environment map[string]string, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	return functioncontext.NewContext(ctx, &functioncontext.FunctionContext{
		RequestID: "request-id-of-this-test", TimeLimitInMs: int32(limit.Milliseconds()),
		TencentcloudRegion: region, TencentcloudAppID: appID, Environment: environment,
	}), cancel
}

// event makes the trigger event of a POST.
func event(t testing.TB, tokens []string, body []byte) []byte {
	t.Helper()
	payload, err := scflocal.Event(http.MethodPost, &url.URL{Path: "/", RawQuery: url.Values{"token": tokens}.Encode()}, nil, "192.0.2.1", body)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// sample reads a sample callback.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "callbacks", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneJob writes a callback of one job that wrote one object.
func oneJob(id, state, end, object, md5 string) string {
	return fmt.Sprintf(`{"EventName":"TaskFinish","JobsDetail":[{"JobId":%q,"State":%q,"CreationTime":"2000-01-01T08:00:00+0800","EndTime":%q,`+
		`"Operation":{"MediaResult":{"OutputFile":{"Bucket":%q,"Region":%q,"ObjectName":[%q],"Md5Info":[{"ObjectName":%[6]q,"Md5":%q}]}}}}]}`,
		id, state, end, mediaIn, region, object, md5)
}

// told is an answer as a client of the function gets it.
type told struct {
	status  int
	headers map[string]string
	body    string

	Error    *errorDetail
	Rejected string
	Results  []result
}

func (a told) outcome() store.Outcome {
	if len(a.Results) == 0 {
		return ""
	}
	return a.Results[0].Outcome
}

// read reads what a function returned.
func read(t testing.TB, returned []byte, err error) told {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	response, err := scflocal.ParseResponse(returned)
	if err != nil {
		t.Fatal(err)
	}
	a := told{status: response.StatusCode, headers: response.Headers, body: response.Body}
	if err := json.Unmarshal([]byte(response.Body), &a); err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, response.Body)
	}
	return a
}
