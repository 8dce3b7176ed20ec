package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/scripts/records/board"
)

// unreachable is a network that nothing answers on.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
}

// TestUnreachable has no COS: each command says so after some seconds.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"list": {"list"}, "show": {"show", "j1"}, "rejected": {"rejected"}, "audit": {"audit"}, "retag": {"retag", "j1"},
		"replay": {"replay", "--yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCloud(t)
				c.transport = unreachable{}
				began := time.Now()
				got := c.run(args...)
				if got.Exit != exitFindings || got.Out != "" || !strings.Contains(got.Err, "no route to host") {
					t.Errorf("%+v", got)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A silentListener is one to which nobody connects.
type silentListener struct{ closed chan struct{} }

func (l silentListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l silentListener) Close() error {
	close(l.closed)
	return nil
}

func (l silentListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9090} }

// TestBoardUnreachable has no COS: the board's pages say so.
func TestBoardUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		w, err := (&tool{environ: c.environ, transport: unreachable{}}).open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := board.New(board.Options{Catalog: w.catalog, Bucket: recordBucket, Region: region})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Serve(ctx, silentListener{make(chan struct{})}) }()
		time.Sleep(20 * time.Second)
		request := httptest.NewRequestWithContext(ctx, "GET", "/records", nil)
		request.Host = "127.0.0.1:9090"
		page := httptest.NewRecorder()
		b.Handler(9090).ServeHTTP(page, request)
		if !strings.Contains(page.Body.String(), "The record bucket did not answer") {
			t.Errorf("the page does not say that COS did not answer: %s", page.Body)
		}
		stop()
		<-ended
	})
}

// TestOneRefused has one record that COS does not give: it is named, the others are shown.
func TestOneRefused(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	known := c.ended("Transcode")
	c.receive(job("jrefused", "Failed", "2026-11-27T10:00:35+0800"))
	c.cos.Deny(func(r coslocal.Request) bool { return r.Key == "ci/jobs/jrefused.json" })
	list := c.run("list", "--json")
	var rows []struct{ State, Kind, ID, Problem string }
	if err := json.Unmarshal([]byte(list.Out), &rows); err != nil || len(rows) != 2 || list.Exit != exitFindings {
		t.Fatalf("%v, %+v", err, list)
	}
	for _, row := range rows {
		if isRefused := row.ID == "jrefused"; row.Kind != "job" || isRefused != strings.Contains(row.Problem, "AccessDenied") || isRefused != (row.State == "") {
			t.Errorf("%+v", row)
		}
	}
	const says = "1 of the records looked at could not be read, the first because: "
	for args, want := range map[string]string{"list": "Success\t" + known, "list --state Success": "Success\t" + known, "list --state Failed": ""} {
		if got := c.run(strings.Fields(args)...); got.Exit != exitFindings || !strings.Contains(got.Err, says) || !strings.Contains(got.Out, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	audit := c.run("audit", "--all")
	if audit.Exit != exitFindings || !strings.Contains(audit.Out, "cannot be asked\tjrefused\t") || !strings.Contains(audit.Out, "confirmed\t"+known) {
		t.Errorf("audit: %+v", audit)
	}
	if !strings.Contains(audit.Err, "1 confirmed, 1 cannot be asked.") {
		t.Errorf("audit says %q", audit.Err)
	}
}

// TestOneVersionRefused has a version of a history that COS does not give: the record and
// the other versions are shown.
func TestOneVersionRefused(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for _, state := range []string{"Failed", "Success", "Running"} {
		key := "ci/history/jobs/j1/" + state + ".json"
		if state == "Success" {
			key = "ci/jobs/j1.json"
		}
		c.putObject(recordBucket, key, `{"version":2,"kind":"job","id":"j1","state":"`+state+`","detail":{}}`)
	}
	c.cos.Deny(func(r coslocal.Request) bool { return r.Key == "ci/history/jobs/j1/Running.json" })
	got := c.run("show", "j1", "--json")
	var shown shown
	if err := json.Unmarshal([]byte(got.Out), &shown); err != nil || len(shown.History) != 2 || shown.VersionsNotShown != 1 || got.Exit != exitFindings {
		t.Errorf("%v, %+v", err, got)
	}
	if !strings.Contains(got.Err, "Not shown: 1 of 3 versions.\nA version could not be read: ") || !strings.Contains(got.Err, "ci/history/jobs/j1/Running.json") {
		t.Errorf("it says %q", got.Err)
	}
}

// TestOneBodyRefused has one rejected body that COS does not give: the others are listed.
func TestOneBodyRefused(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.receive("no callback")
	c.receive("another")
	key := c.rejectedKey("another")
	c.cos.Deny(func(r coslocal.Request) bool { return r.Key == key })
	got := c.run("rejected")
	if got.Exit != exitFindings || strings.Count(got.Out, "\n") != 1 || !strings.Contains(got.Err, key) || !strings.Contains(got.Err, "AccessDenied") {
		t.Errorf("%+v", got)
	}
}

// TestReplayRefused has a body that COS does not give, and one whose record it does not
// give: they are named, and the others are received.
func TestReplayRefused(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	bodies := map[string]string{}
	for _, id := range []string{"jgood", "jrefused", "jbody"} {
		bodies[id] = job(id, "Success", "2026-11-27T10:00:35+0800")
		if _, err := c.receiver.Store.PutRejected(t.Context(), []byte(bodies[id]), ""); err != nil {
			t.Fatal(err)
		}
	}
	unread, unplanned := c.rejectedKey(bodies["jbody"]), c.rejectedKey(bodies["jrefused"])
	c.cos.Deny(func(r coslocal.Request) bool { return r.Key == unread || r.Key == "ci/jobs/jrefused.json" })
	var shown []shownBody
	listed := c.run("rejected", "--json")
	if err := json.Unmarshal([]byte(listed.Out), &shown); err != nil || len(shown) != 2 || listed.Exit != exitFindings {
		t.Fatalf("rejected: %v, %+v", err, listed)
	}
	for _, b := range shown {
		isUnplanned := b.Key == unplanned
		if b.Reason != "" || len(b.Jobs) != 1 || isUnplanned != (b.Jobs[0].Outcome == "") || isUnplanned != strings.Contains(b.Error, "AccessDenied") {
			t.Errorf("rejected: %+v", b)
		}
	}
	for _, flag := range []string{"--dry-run", "--yes"} {
		got := c.run("replay", flag)
		if got.Exit != exitFindings || strings.Count(got.Out, "\n") != 1 || !strings.Contains(got.Out, "\tjgood\tSuccess\tcreated\t") {
			t.Errorf("%s: %+v", flag, got)
		}
		if !strings.Contains(got.Err, unread) || !strings.Contains(got.Err, unplanned) {
			t.Errorf("%s does not name what it leaves out: %s", flag, got.Err)
		}
	}
	if got := c.cos.Keys(recordBucket, "ci/jobs/"); len(got) != 1 {
		t.Errorf("there is %v", got)
	}
}

// TestNoRecords says that there are none only where it is known.
func TestNoRecords(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	if got := c.run("audit"); got.Exit != exitFine || got.Err != "no records.\n" {
		t.Errorf("%+v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.ended("Transcode")
		c.cos.Inject(coslocal.Fault{Match: func(r coslocal.Request) bool { return r.Action() == "GetObject" }, Status: http.StatusServiceUnavailable})
		if got := c.run("audit"); got.Exit != exitFindings || strings.Contains(got.Err, "no records") {
			t.Errorf("%+v", got)
		}
	})
}
