package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// serve keeps the function running behind an HTTP gateway, with a timer, a CI that takes
// jobs, and the board, until ctx ends.
func (p *program) serve(ctx context.Context, at addresses) error {
	outputs, err := sampleOutputs(p.project)
	if err != nil {
		return err
	}
	chosen := shellSettings(p.environment)
	settings := defaultSettings(bucketsOf(outputs)...)
	maps.Copy(settings, chosen)
	pl, err := p.open("serve", settings, planOf)
	if err != nil {
		return err
	}
	defer pl.Close()
	callbacks, err := net.Listen("tcp", at.callbacks)
	if err != nil {
		return addressInUse("callbacks", "-listen", err)
	}
	defer callbacks.Close()
	pages, err := net.Listen("tcp", at.board)
	if err != nil {
		return addressInUse("the board", "-board", err)
	}
	defer pages.Close()
	if err := pl.start(ctx, p, at); err != nil {
		return err
	}
	if err := pl.putSamples(inBuckets(outputs, pl.cos.Buckets())); err != nil {
		return err
	}
	bucket, _ := pl.media()
	if err := pl.ci.SetCallback(bucket, pl.callbackURL(callbacks), "XML"); err != nil {
		return err
	}
	b, err := pl.newBoard(p.refreshEvery)
	if err != nil {
		return err
	}
	if err := p.explain(pl, callbacks, pages, chosen); err != nil {
		return err
	}
	showBoard := func(ctx context.Context) error { return b.Serve(ctx, pages) }
	if err := p.serveUntilEnd(ctx, pl, callbacks, showBoard, 5*time.Second); err != nil {
		return err
	}
	fmt.Fprintln(p.out, "Ended.")
	return nil
}

// callbackURL returns the URL to send callbacks to.
func (pl *platform) callbackURL(listener net.Listener) string {
	u := url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/"}
	if first, _, _ := strings.Cut(pl.setting("CALLBACK_TOKEN"), ","); pl.setting("CALLBACK_AUTH") != "none" {
		u.RawQuery = url.Values{"token": {strings.TrimSpace(first)}}.Encode()
	}
	return u.String()
}

// explain prints what one needs to send something to what is running.
func (p *program) explain(pl *platform, callbacks, pages net.Listener, chosen map[string]string) error {
	job, err := pl.curlJob(jobRequest{Type: "Transcode", Input: "input/demo.mp4", Output: "output/${JobId}.mp4", UserData: "3s"})
	if err != nil {
		return fmt.Errorf("sign a request: %w", err)
	}
	key := coslocal.DefaultCredential()
	fmt.Fprintf(p.out, "The function listens. Send it a callback, or submit a job to the local CI, which calls back:\n\n")
	fmt.Fprintf(p.out, "  curl --data-binary @testdata/callbacks/digitalwatermark.xml %s\n\n", shellQuote(pl.callbackURL(callbacks)))
	fmt.Fprintf(p.out, "  %s\n\n", job)
	fmt.Fprintf(p.out, "Words of the job's UserData choose how it goes: failed, lost, late, twice, or how long it takes, such as 3s.\n")
	fmt.Fprintf(p.out, "Every %v a timer compares CI's jobs with the records: a lost one is found five minutes after its end.\n\n", p.timerEvery)
	for _, line := range [][2]string{
		{"board", "http://" + pages.Addr().String() + "/"},
		{"COS", pl.setting("COS_ENDPOINT")},
		{"CI", pl.setting("CI_ENDPOINT")},
		{"keys", key.SecretID + "  " + key.SecretKey},
		{"buckets", pl.setting("RECORD_BUCKET") + " (records)  " + strings.Join(without(pl.cos.Buckets(), pl.setting("RECORD_BUCKET")), "  ")},
		{"region", pl.setting("RECORD_REGION")},
		{"objects", pl.objects()},
		{"log", pl.log()},
		{"settings", settingsFrom(chosen)},
	} {
		fmt.Fprintf(p.out, "  %-9s %s\n", line[0], printable(line[1]))
	}
	fmt.Fprintf(p.out, "\nThe board's command line, in another shell: this once, and go run ./scripts/records list.\n\n  %s\n", printable(pl.exportLine()))
	fmt.Fprintf(p.out, "\nCtrl-C ends it.\n\n")
	return nil
}

// exportLine returns the shell command that has scripts/records work with what is running.
func (pl *platform) exportLine() string {
	key := coslocal.DefaultCredential()
	line := "export"
	for _, name := range []string{"RECORD_BUCKET", "RECORD_REGION", "RECORD_PREFIX", "RECONCILE_BUCKETS", "RECONCILE_TYPES", "RECONCILE_WORKFLOWS", "TAG_MD5", "MD5_TAG_KEY", "TAG_BUCKETS", "COS_ENDPOINT", "CI_ENDPOINT"} {
		if value := pl.setting(name); value != "" {
			line += " " + name + "=" + shellQuote(value)
		}
	}
	return line + " TENCENTCLOUD_SECRETID=" + key.SecretID + " TENCENTCLOUD_SECRETKEY=" + key.SecretKey
}

// settingsFrom names the settings that the shell chose. Values are not shown: one of them
// may be a token.
func settingsFrom(chosen map[string]string) string {
	if len(chosen) == 0 {
		return "none from the shell"
	}
	return strings.Join(slices.Sorted(maps.Keys(chosen)), ", ") + " from the shell"
}

// without returns a list without one of its entries.
func without(list []string, entry string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == entry })
}

// serveUntilEnd sends callbacks to the function, runs its timer and shows the board,
// until ctx ends or one of them fails. Callbacks that came before are answered, if that
// takes no longer than patience.
func (p *program) serveUntilEnd(ctx context.Context, pl *platform, callbacks net.Listener, showBoard func(context.Context) error, patience time.Duration) error {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{Handler: scflocal.Gateway{Invoke: func(r *http.Request, event []byte) ([]byte, error) {
		return p.forward(pl, r, event)
	}}}
	failed := make(chan error, 2)
	go func() { failed <- fmt.Errorf("listen for callbacks: %w", server.Serve(callbacks)) }()
	boardEnded, timerEnded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(boardEnded)
		if err := showBoard(running); err != nil && running.Err() == nil {
			failed <- fmt.Errorf("serve the board: %w", err)
		}
	}()
	go func() {
		defer close(timerEnded)
		p.runTimers(running, pl)
	}()
	var err error
	select {
	case <-ctx.Done():
	case <-pl.function.Exited():
		err = fmt.Errorf("the function has ended: its last words are in %s", pl.log())
	case err = <-failed:
	}
	cancel()
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	server.Shutdown(closing) // who takes longer than that has been waited for
	<-boardEnded
	<-timerEnded
	return err
}

// runTimers runs the function's timer again and again until ctx ends, and prints what it
// found.
func (p *program) runTimers(ctx context.Context, pl *platform) {
	ticker := time.NewTicker(p.timerEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		started := time.Now()
		found, err := pl.runTimer(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			fmt.Fprintf(p.out, "%s  timer  %s\n", started.Format(time.TimeOnly), printable(err.Error()))
		case found.Checked > 0:
			fmt.Fprintf(p.out, "%s  timer  checked %d: recorded %d, repaired %d, replaced %d, pending %d\n",
				started.Format(time.TimeOnly), found.Checked, found.Recorded, found.Repaired, found.Replaced, found.Pending)
		}
	}
}

// forward hands an event to the function and prints what came of it.
func (p *program) forward(pl *platform, r *http.Request, event []byte) ([]byte, error) {
	pl.invoking.Lock()
	defer pl.invoking.Unlock()
	before, started := pl.cosRequests.Load(), time.Now()
	// The function must answer even if the client is gone.
	returned, err := pl.function.Invoke(context.WithoutCancel(r.Context()), pl.settings, event)
	took := time.Since(started)
	if err != nil {
		fmt.Fprintf(p.out, "%s  %s\n", started.Format(time.TimeOnly), printable(err.Error()))
		return nil, err
	}
	response, err := scflocal.ParseResponse(returned)
	if err != nil {
		return nil, err
	}
	lines := summary(response.Body)
	fmt.Fprintf(p.out, "%s  %s %d  %s  %d COS requests, %.1f ms\n", started.Format(time.TimeOnly), r.Method, response.StatusCode,
		printable(lines[0]), pl.cosRequests.Load()-before, milliseconds(took))
	for _, line := range lines[1:] {
		fmt.Fprintf(p.out, "          %s\n", printable(line))
	}
	return returned, nil
}

// printable removes what a terminal would obey instead of showing it: a callback was
// written by others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, s)
}

// answer is what is printed of the function's answer.
type answer struct {
	Service  string
	Error    struct{ Code, Message string }
	Rejected string
	Results  []answerResult
}

// answerResult is what is printed of one job.
type answerResult struct {
	Kind, ID, State, Outcome string
	Tags                     []struct{ Object, Outcome, Reason string }
}

// summary returns an answer in a few words and, of several jobs, a line for each.
func summary(body string) []string {
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return []string{"(no JSON)"}
	}
	var jobs []string
	for _, r := range a.Results {
		jobs = append(jobs, r.summary())
	}
	first := a.Service
	switch {
	case a.Error.Code != "":
		first = a.Error.Code + ": " + a.Error.Message
		if a.Rejected != "" {
			first += "; the body is kept as " + a.Rejected
		}
	case len(jobs) == 1:
		return jobs
	case len(jobs) > 1:
		first = fmt.Sprintf("%d jobs", len(jobs))
	}
	return append([]string{first}, jobs...)
}

// summary returns what came of one job.
func (r answerResult) summary() string {
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Kind, r.ID, r.State))
	if r.Outcome == "" {
		s += ": not stored"
	} else {
		s = strings.TrimSpace(s) + ": " + r.Outcome
	}
	for _, t := range r.Tags {
		s += strings.TrimRight(fmt.Sprintf(", %s %s %s", t.Object, t.Outcome, t.Reason), " ")
	}
	return s
}
