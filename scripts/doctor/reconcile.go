package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

// unknownJob is the id of no job. It begins with j, as those of media jobs do.
const unknownJob = "j00000000000000000000000000000000"

// maxSilence is how long ago the last comparison may have ended. The timer of the deploy
// files comes every ten minutes.
const maxSilence = time.Hour

// checkReconcile checks, for each of RECONCILE_BUCKETS, what it takes to compare CI's
// jobs with the records, and whether CI calls back here.
func (d *doctor) checkReconcile(ctx context.Context) {
	settings := d.settings.reconcile
	client := ci.NewClient(ci.Options{
		Transport: d.transport, Endpoint: settings.Endpoint, Credentials: cosclient.Credentials(d.settings.config.Credentials),
		Backoff: func() backoff.BackOff { return &backoff.StopBackOff{} }, // one try: what stands in the way is to be seen
	})
	for _, b := range settings.Buckets {
		d.checkBucketOfCI(ctx, client, b)
		d.check(ctx, b.Name+": last comparison", append(slices.Clone(cosSettings), "RECONCILE_BUCKETS", checkReached, checkBucket),
			func(ctx context.Context) finding { return d.readLastComparison(ctx, b) })
	}
}

// checkBucketOfCI asks CI what the function asks it, and which queues there are.
func (d *doctor) checkBucketOfCI(ctx context.Context, client *ci.Client, b config.Bucket) {
	needs := []string{"RECONCILE_BUCKETS", "RECONCILE_TYPES", "RECONCILE_WORKFLOWS", "CI_ENDPOINT", checkCredentials, checkClock}
	list := b.Name + ": list jobs"
	var bucket *ci.Bucket
	d.check(ctx, list, needs, func(ctx context.Context) finding {
		var err error
		if bucket, err = client.Bucket(b.Name, b.Region); err == nil {
			err = d.within(ctx, func(ctx context.Context) error {
				jobs, err := bucket.ListJobs(ctx, ci.JobsQuery{Tag: d.settings.reconcile.Types[0], Size: 1})
				if err == nil {
					jobs.Close()
				}
				return err
			})
		}
		if errors.Is(err, ci.ErrBadRequest) {
			return warn(err.Error(), "check RECONCILE_TYPES: the first of them was asked for")
		}
		return ciFinding(err, "permitted, and it is CI that answers")
	})
	d.check(ctx, b.Name+": ask for a job", append(needs, list), func(ctx context.Context) finding {
		return ciFinding(d.within(ctx, func(ctx context.Context) error {
			jobs, err := bucket.Jobs(ctx, unknownJob)
			if err == nil {
				jobs.Close()
			}
			return err
		}), "permitted")
	})
	for _, id := range d.workflowsOf(b) {
		d.check(ctx, b.Name+": runs of "+id, append(needs, list), func(ctx context.Context) finding {
			return ciFinding(d.within(ctx, func(ctx context.Context) error {
				runs, err := bucket.ListRuns(ctx, ci.RunsQuery{WorkflowID: id, Size: 1})
				if err == nil {
					runs.Close()
				}
				return err
			}), "permitted")
		})
	}
	d.checkQueues(ctx, bucket, b.Name, append(needs, list))
}

// within gives a request no more time than a single one may take.
func (d *doctor) within(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, wire.MaxDuration)
	defer cancel()
	return ask(ctx)
}

// ciFinding returns the finding for the error of a request to CI, or a good one.
func ciFinding(err error, good string) finding {
	if err == nil {
		return pass(good)
	}
	e, known := errors.AsType[*cosclient.Error](err)
	if known && credentialRemedies[e.Code] != "" { // e's own remedy is the function's, whose key is its role's
		refused := *e
		refused.Remedy = ""
		return fail(refused.Error(), credentialRemedies[e.Code])
	}
	switch {
	case known && e.Remedy != "":
		return fail(err.Error(), e.Remedy)
	case errors.Is(err, cosclient.ErrUnavailable):
		return fail(err.Error(), "run it again a little later; check CI_ENDPOINT and the network between")
	}
	return fail(err.Error(), "check CI_ENDPOINT, and what this key may do: see -policy -for doctor")
}

// checkQueues checks the callback URL of every queue of a bucket. To see the queues takes
// a permission that the function does not need, so that it is no failure to lack it.
func (d *doctor) checkQueues(ctx context.Context, bucket *ci.Bucket, name string, needs []string) {
	var queues []ci.Queue
	d.check(ctx, name+": queues", needs, func(ctx context.Context) finding {
		var problem error
		for _, path := range ci.QueuePaths() {
			err := d.within(ctx, func(ctx context.Context) error {
				found, err := bucket.Queues(ctx, path)
				for _, q := range found { // a path may have those of the others too
					if !slices.ContainsFunc(queues, func(known ci.Queue) bool { return known.QueueID == q.QueueID }) {
						queues = append(queues, q)
					}
				}
				return err
			})
			if problem == nil {
				problem = err
			}
		}
		switch {
		case len(queues) == 0 && problem != nil:
			return warn("not seen: "+problem.Error(), "grant ci:DescribeMediaQueues to this key (-policy -for doctor), or look in the console")
		case len(queues) == 0:
			return warn("there are none", "CI makes a queue of each service that is switched on for the bucket: see the console")
		}
		return passf("%d", len(queues))
	})
	d.reportQueues(ctx, name, queues)
}

// reportQueues makes one check of all queues of which the same is to be said: a bucket
// can have dozens.
func (d *doctor) reportQueues(ctx context.Context, bucket string, queues []ci.Queue) {
	var findings []finding
	names := map[finding][]string{}
	for _, q := range queues {
		f := d.judgeQueue(q)
		if names[f] == nil {
			findings = append(findings, f)
		}
		names[f] = append(names[f], q.Name)
	}
	for _, f := range findings {
		name := bucket + ": callback of " + names[f][0]
		if more := len(names[f]) - 1; more > 0 {
			name += fmt.Sprintf(" and %d more", more)
			f.Detail += ": " + strings.Join(names[f], ", ")
		}
		d.check(ctx, name, nil, func(context.Context) finding { return f })
	}
}

// judgeQueue says whether the jobs of a queue are called back here. The URL of a queue
// holds a token, so that no more than its host is shown.
func (d *doctor) judgeQueue(q ci.Queue) finding {
	const enter = "enter the callback URL at the queue, in the console or by PUT /queue: docs/deploying.md"
	n := q.NotifyConfig
	u, err := url.Parse(strings.TrimSpace(n.URL))
	switch {
	case n.URL == "":
		return warn("no URL is entered: its jobs are called back only where a job or a workflow names one", enter)
	case err != nil || u.Host == "":
		return warn("what is entered is no URL", enter)
	case !strings.EqualFold(n.State, "On"):
		return warn(u.Host+" is entered, and switched off", "switch the queue's callback on")
	case !strings.Contains(n.Event, "TaskFinish"):
		return warn(u.Host+" is entered, without the event TaskFinish", "add the event")
	case d.url != nil && !strings.EqualFold(u.Host, d.url.Host):
		return warn("calls back "+u.Host+", which is not the address of -url", enter)
	case !d.takesToken(u.Query().Get("token")):
		return warn("calls back "+u.Host+" with a token that is none of CALLBACK_TOKEN", enter)
	case d.url == nil:
		return passf("on, %s, with a right token; name the function with -url to see that it is this one", u.Host)
	}
	return pass("on, this function, with a right token")
}

// takesToken reports whether the function would take a token.
func (d *doctor) takesToken(token string) bool {
	return d.settings.auth.Open() || slices.Contains(d.settings.tokens, token)
}

// readLastComparison reads what the function wrote at the end of its last comparison.
func (d *doctor) readLastComparison(ctx context.Context, b config.Bucket) finding {
	const timer = "check the timer trigger and RECONCILE_BUCKETS of the deployed function, and its log"
	host, err := d.bucketAt(d.settings.config.RecordBucket, d.settings.config.RecordRegion)
	if err != nil {
		return fail(err.Error(), "check COS_ENDPOINT")
	}
	key := reconcile.StateKey(d.settings.config.RecordPrefix, b.Name)
	a, err := host.Do(ctx, wire.Request{Method: http.MethodGet, Path: key})
	switch {
	case err != nil:
		return noAnswer(err)
	case a.Status == http.StatusNotFound:
		return warn("there was none yet", timer)
	case a.Status != http.StatusOK:
		return refused(a, "name/cos:GetObject", host.Bucket, d.settings.config.RecordPrefix+"*")
	}
	state, err := reconcile.ParseState(a.Body)
	if err != nil {
		return warn(err.Error()+": the next run begins anew", "nothing, unless it stays so")
	}
	return judgeLastComparison(state.Last, d.now(), timer)
}

// judgeLastComparison says when the last comparison ended, and what it found.
func judgeLastComparison(last *reconcile.LastRun, now time.Time, timer string) finding {
	if last == nil || last.Ended.IsZero() {
		return warn("none has ended yet", timer)
	}
	ago := now.Sub(last.Ended).Round(time.Second)
	detail := fmt.Sprintf("ended %v ago: %d compared, %d repaired, %d replaced", ago, last.Checked, last.Repaired, last.Replaced)
	switch {
	case ago > maxSilence:
		return warn(detail, timer)
	case !last.Complete:
		return warn(detail+"; it did not come to the end", "the next one goes on; if it stays so, give the function more time or fewer types and buckets")
	}
	return pass(detail)
}
