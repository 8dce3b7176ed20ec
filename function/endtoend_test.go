package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/scf-go-lib/cloudfunction/messages"

	"github.com/ci-callback/ci-callback/internal/testprogram"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// invoke sends a callback to a running function.
func (p *process) invoke(t *testing.T, settings scflocal.Settings, body []byte) told {
	t.Helper()
	returned, err := p.Invoke(context.Background(), settings, event(t, []string{token}, body))
	return read(t, returned, err)
}

// TestMainJob delivers the two callbacks of CI's page to the built function over SCF's
// RPC: they end as one record, and as a tag beside those that were there.
func TestMainJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	s.putOutput(t, sampleFile, coslocal.Tag{Key: "project", Value: "demo"})
	p := start(t, buildFunction)
	golden, err := os.ReadFile(filepath.Join("..", "testdata", "records", "digitalwatermark.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, delivery := range []struct{ file, outcome, tag string }{
		{"digitalwatermark.xml", "created", "tagged"},
		{"digitalwatermark.xml", "duplicate", "unchanged"},
		{"digitalwatermark.json", "duplicate", "unchanged"},
	} {
		a := p.invoke(t, s.settings("TAG_MD5=true"), sample(t, delivery.file))
		if a.status != 200 || string(a.outcome()) != delivery.outcome || string(a.Results[0].Tags[0].Outcome) != delivery.tag {
			t.Errorf("%s: %d %s", delivery.file, a.status, a.body)
		}
	}
	record, _ := s.Object(recordsIn, sampleKey)
	if diff := cmp.Diff(string(golden), string(record.Body)); diff != "" || record.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q; record (-want +got):\n%s", record.Header.Get("Content-Type"), diff)
	}
	object, _ := s.Object(mediaIn, sampleFile)
	if diff := cmp.Diff([]coslocal.Tag{{Key: "project", Value: "demo"}, {Key: "md5", Value: sampleMD5}}, object.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if keys := s.Keys(recordsIn, ""); len(keys) != 1 {
		t.Errorf("keys %q", keys)
	}
	log := p.printed(t)
	if lines := logLines(t, log); len(lines) != 4 || lines[0]["msg"] != "started" || lines[0]["version"] != "test" {
		t.Errorf("log: %s", log)
	}
}

// TestSampleEvents hands trigger events of the documentation to the built function.
func TestSampleEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	p := start(t, buildFunction)
	files, err := filepath.Glob(filepath.Join("..", "testdata", "events", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d events: %v", len(files), err)
	}
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		returned, err := p.Invoke(context.Background(), s.settings("CALLBACK_AUTH=none"), payload)
		var event struct{ HTTPMethod, Type string }
		isHTTP := json.Unmarshal(payload, &event) == nil && event.HTTPMethod != ""
		if _, failed := errors.AsType[*scflocal.FunctionError](err); failed {
			if isHTTP {
				t.Errorf("%s: %v", file, err)
			}
			continue
		}
		if event.Type == "Timer" {
			readCounts(t, string(returned))
			continue
		}
		if a := read(t, returned, err); a.status != 200 && a.status != 400 && a.status != 405 {
			t.Errorf("%s: %d %s", file, a.status, a.body)
		}
	}
}

// TestCredentialsChange uses the credentials of each invocation, at once: those of the
// last one are refused.
func TestCredentialsChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	p := start(t, buildFunction)
	for i, name := range []string{"first", "second", "third"} {
		credential := coslocal.Credential{SecretID: name, SecretKey: "key-" + name, SessionToken: "session-" + name}
		s.SetCredentials(credential)
		settings := s.settings("TENCENTCLOUD_SECRETID="+credential.SecretID, "TENCENTCLOUD_SECRETKEY="+credential.SecretKey, "TENCENTCLOUD_SESSIONTOKEN="+credential.SessionToken)
		body := oneJob("j"+name, "Success", "", "o", sampleMD5)
		if a := p.invoke(t, settings, []byte(body)); a.status != 200 || a.outcome() != "created" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if n := s.RequestCount(); n != int64(i+1) {
			t.Errorf("%s: %d requests so far", name, n)
		}
	}
	// Now none come, and what scf-go-lib left in the process's environment is of no use.
	settings := s.settings("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN")
	if a := p.invoke(t, settings, []byte(oneJob("jnone", "Success", "", "o", sampleMD5))); a.status != 500 || !strings.Contains(a.body, "execution role") {
		t.Errorf("without credentials: %d %s", a.status, a.body)
	}
}

// TestSettingsChange takes settings of each invocation too.
func TestSettingsChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	p := start(t, buildFunction)
	body := []byte(oneJob("j1", "Success", "", "o", sampleMD5))
	for _, prefix := range []string{"a/", "b/"} {
		if a := p.invoke(t, s.settings("RECORD_PREFIX="+prefix), body); a.status != 200 || a.Results[0].Record != prefix+"jobs/j1.json" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// TestSettingsAreNotKept lets nobody in on the word of an invocation before.
func TestSettingsAreNotKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	p := start(t, buildFunction)
	open, closed := s.settings("CALLBACK_AUTH=none", "CALLBACK_TOKEN"), s.settings("CALLBACK_TOKEN")
	if a := p.invoke(t, open, []byte(oneJob("j1", "Success", "", "o", sampleMD5))); a.status != 200 {
		t.Errorf("open: %d %s", a.status, a.body)
	}
	a := p.invoke(t, closed, []byte(oneJob("j2", "Success", "", "o", sampleMD5)))
	if a.status != 500 || !strings.Contains(a.body, "CALLBACK_TOKEN") || s.RequestCount() != 1 {
		t.Errorf("closed again: %d %s, %d requests", a.status, a.body, s.RequestCount())
	}
}

// TestKilledFunction kills the instance while a callback is on its way. A new one takes
// the redelivery.
func TestKilledFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	s.putOutput(t, sampleFile)
	arrived := make(chan bool, 10)
	remove := s.Inject(coslocal.Fault{Delay: time.Minute, AfterWork: true, Match: func(r coslocal.Request) bool { arrived <- true; return true }})
	p := start(t, buildFunction)
	go func() {
		<-arrived
		if process, err := os.FindProcess(p.Pid()); err == nil {
			process.Kill()
		}
	}()
	if returned, err := p.Invoke(context.Background(), s.settings("TAG_MD5=true"), event(t, []string{token}, sample(t, "digitalwatermark.xml"))); err == nil {
		t.Fatalf("the killed function answered %s", returned)
	}
	<-p.Exited()
	remove()
	a := start(t, buildFunction).invoke(t, s.settings("TAG_MD5=true"), sample(t, "digitalwatermark.xml"))
	if a.status != 200 || a.Results[0].Tags[0].Outcome != "tagged" || a.outcome() != "created" && a.outcome() != "duplicate" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestFrozenFunction lets COS drop the connections while the instance is not invoked, as
// it is frozen; the next callback does not notice.
func TestFrozenFunction(t *testing.T) {
	t.Parallel()
	s := newSite(t, 100)
	s.putOutput(t, sampleFile)
	server := httptest.NewServer(s.Server)
	t.Cleanup(server.Close)
	endpoint := "COS_ENDPOINT=http://{bucket}.cos.{region}.localhost:" + server.URL[strings.LastIndex(server.URL, ":")+1:]
	p := start(t, buildFunction)
	for i, id := range []string{"ja", "jb", "jc"} {
		server.CloseClientConnections()
		a := p.invoke(t, s.settings(endpoint, "TAG_MD5=true"), []byte(strings.ReplaceAll(string(sample(t, "digitalwatermark.xml")), sampleJob, id)))
		if a.status != 200 || a.outcome() != "created" && a.outcome() != "duplicate" {
			t.Errorf("delivery %d: %d %s", i, a.status, a.body)
		}
	}
}

// TestPing asks the function what the platform asks before it sends anything.
func TestPing(t *testing.T) {
	t.Parallel()
	p := start(t, buildFunction)
	client, err := rpc.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Call("Function.Ping", messages.PingRequest{}, new(messages.PingResponse)); err != nil {
		t.Error(err)
	}
	returned, err := p.Invoke(context.Background(), scflocal.Settings{}, []byte(`{"httpMethod":"GET","path":"/"}`))
	if a := read(t, returned, err); a.status != http.StatusOK || a.body != `{"service":"ci-callback","version":"test"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestEventsThatAreNone returns an error for what is no HTTP request, and goes on.
func TestEventsThatAreNone(t *testing.T) {
	t.Parallel()
	p := start(t, buildFunction)
	for _, payload := range []string{`{"Records":[{"cos":{}}]}`, `[]`, `"text"`, `1`, `null`, ``, `{`, `hello`} {
		returned, err := p.Invoke(context.Background(), scflocal.Settings{}, []byte(payload))
		if failed, ok := errors.AsType[*scflocal.FunctionError](err); !ok || failed.Message == "" {
			t.Errorf("%q: %q, %v", payload, returned, err)
		}
	}
	for line := range strings.Lines(p.printed(t)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log: %s", line)
		}
	}
}

// TestBinarySize keeps what is uploaded small, for cold starts too.
func TestBinarySize(t *testing.T) {
	t.Parallel()
	binary := testprogram.Path(t, buildFunction)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > 9_500_000 {
		t.Errorf("the stripped binary has %d bytes", info.Size())
	}
}
