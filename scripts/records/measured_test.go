package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ci-callback/ci-callback/internal/testsize"
	"github.com/ci-callback/ci-callback/pkg/cilocal"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// putRecords puts n records without a callback, and without what a callback costs.
func (c *cloud) putRecords(name string, n int) {
	c.t.Helper()
	for i := range n {
		id := fmt.Sprintf("j%s%06d", name, i)
		body := fmt.Sprintf(`{"version":2,"kind":"job","id":%q,"event":"TaskFinish","state":"Success","tag":"Transcode",`+
			`"startTime":"2026-11-27T10:00:00+08:00","endTime":"2026-11-27T10:00:31+08:00",`+
			`"input":{"bucket":%q,"region":%q,"object":"in/%s.mov"},"detail":{"JobId":%q,"State":"Success","Tag":"Transcode"}}`+"\n",
			id, mediaBucket, region, id, id)
		if err := c.cos.PutObject(recordBucket, "ci/jobs/"+id+".json", coslocal.Object{Body: []byte(body)}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestListTakesSeconds lists what is recent among 100,000 records, where COS takes 20 ms
// for each request, by the bubble's clock.
func TestListTakesSeconds(t *testing.T) {
	t.Parallel()
	recent, all, limit := testsize.Pick(100, 1000), testsize.Pick(10_000, 100_000), testsize.Pick(600*time.Millisecond, 4*time.Second)
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.putRecords("old", all-recent)
		time.Sleep(48 * time.Hour)
		c.putRecords("new", recent)
		c.cos.Inject(coslocal.Fault{Delay: 20 * time.Millisecond})
		began, before := time.Now(), c.cos.RequestCount()
		got := c.run("list", "--since", "24h", "--limit", "0")
		took := time.Since(began)
		if n := strings.Count(got.Out, "\n"); n != recent || got.Exit != 0 {
			t.Errorf("%d rows, exit %d: %.300s", n, got.Exit, got.Err)
		}
		if requests := int(c.cos.RequestCount() - before); requests > recent+all/1000+5 {
			t.Errorf("%d requests", requests)
		}
		if took > limit {
			t.Errorf("it took %s, more than %s", took, limit)
		}
		t.Logf("%d of %d records in %s", recent, all, took)
	})
}

// TestAuditTakesSeconds asks CI about 10,000 records, where CI takes 30 ms for each
// request and COS 20.
func TestAuditTakesSeconds(t *testing.T) {
	t.Parallel()
	n, limit := testsize.Pick(400, 10_000), testsize.Pick(2*time.Second, 20*time.Second)
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		for range n {
			c.ended("")
		}
		c.cos.Inject(coslocal.Fault{Delay: 20 * time.Millisecond})
		c.ci.Inject(coslocal.Fault{Delay: 30 * time.Millisecond})
		began, before := time.Now(), c.ci.RequestCount()
		got := c.run("audit", "--since", "24h")
		took := time.Since(began)
		if got.Exit != 0 || !strings.Contains(strings.ReplaceAll(got.Err, ",", ""), fmt.Sprintf("%d confirmed", n)) {
			t.Errorf("exit %d: %s%s", got.Exit, got.Out, got.Err)
		}
		if requests := int(c.ci.RequestCount() - before); requests != (n+9)/10 {
			t.Errorf("%d requests to CI, not %d", requests, (n+9)/10)
		}
		if took > limit {
			t.Errorf("it took %s, more than %s", took, limit)
		}
		t.Logf("%d records in %s", n, took)
	})
}

// ended makes a job that CI has ended, and receives its callback. It returns the id.
func (c *cloud) ended(tag string) string {
	c.t.Helper()
	id, err := c.ci.AddJob(mediaBucket, cilocal.Job{
		Tag: tag, Input: cilocal.Object{Key: "in/a.mov"}, Output: cilocal.Object{Key: "out/${JobId}.mp4"},
	}, cilocal.Plan{Age: 10 * time.Minute, Run: time.Minute, Lost: true})
	if err != nil {
		c.t.Fatal(err)
	}
	c.ci.RunDue()
	body, err := c.ci.Callback(mediaBucket, id, "JSON")
	if err != nil {
		c.t.Fatal(err)
	}
	c.receive(string(body))
	return id
}
