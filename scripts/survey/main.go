// Command survey asks COS, CI and SCF whether they do what this project assumes of them
// where their documents are silent. Each assumption is a case of one table, in
// assumptions.go: what is assumed, what depends on it, how it is asked.
//
//	go run ./scripts/survey                       print the assumptions, ask nobody
//	go run ./scripts/survey -yes                  ask COS, with the settings of the function
//	go run ./scripts/survey -yes -media BUCKET    and CI, about the jobs of that bucket
//	go run ./scripts/survey -yes -echo URL        and SCF: the address of scripts/survey/echo
//
// It reads the function's own variables and the credentials of the shell, as the doctor
// does: run that first. It writes objects under <RECORD_PREFIX>survey/ and removes them,
// reads some records, makes about 350 small requests and two of 5 and 7 MB, submits no
// job, changes no setting, and prints no key and no token.
//
// Some things no program can find out by itself: what CI does where nobody answers a
// callback, say. These are cases too, so that nobody takes them for known. Nothing is
// asked then; the case says how a person can find out.
//
// The tests ask the local COS, CI and SCF the same questions. So what those three do, and
// what the project relies on, is the same list.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
	"github.com/ci-callback/ci-callback/scripts/internal/shell"
	"github.com/ci-callback/ci-callback/scripts/internal/wire"
)

const usage = `usage: go run ./scripts/survey
       go run ./scripts/survey -yes [-media BUCKET@REGION] [-echo URL] [-json FILE] [-timeout 5m]

  -yes              ask; without it the assumptions are printed, and nobody is asked
  -media BUCKET     a media bucket with jobs of the last days, <name>-<appid>[@<region>];
                    the first of RECONCILE_BUCKETS, unless named
  -echo URL         the address of the function scripts/survey/echo, deployed for the time of this
  -json FILE        write what was found to a file as well, as JSON
  -timeout 5m       for everything together

The variables are the function's own, and TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY and
TENCENTCLOUD_SESSIONTOKEN. Exit status: 0 everything that could be asked is as assumed, 1 something is
different, or the survey could not be made, 2 usage.
`

// Exit statuses.
const (
	exitOK        = 0
	exitDifferent = 1
	exitUsage     = 2
)

// world is what the survey finds around it. Tests have one of their own.
type world struct {
	environ   []string // NAME=value
	transport http.RoundTripper
	now       func() time.Time
	pause     func(context.Context, time.Duration)
	rounds    int // how often what could go wrong now and then is tried
	out, err  io.Writer
}

// options is what the command line says.
type options struct {
	yes     bool
	media   string
	echo    *url.URL
	json    string
	timeout time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], world{
		environ: os.Environ(), transport: cosclient.NewTransport(), now: time.Now, pause: pause, rounds: 20, out: os.Stdout, err: os.Stderr,
	})
	stop()
	os.Exit(status)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// run does what the command line asks for, and returns the exit status.
func run(ctx context.Context, args []string, w world) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(w.out, usage)
		return exitOK
	case err != nil:
		fmt.Fprintf(w.err, "survey: %v\n\n%s", err, usage)
		return exitUsage
	case !o.yes:
		printAssumptions(w.out)
		return exitOK
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	s, err := newSurvey(o, w)
	if err == nil {
		err = s.checkRecordBucket(ctx)
	}
	if err != nil {
		fmt.Fprintf(w.err, "survey: %v\n", err)
		return exitDifferent
	}
	return report(s.ask(ctx), s.clean(context.WithoutCancel(ctx)), o, w)
}

// parse reads the command line.
func parse(args []string) (options, error) {
	var o options
	var echo string
	flags := flag.NewFlagSet("survey", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.yes, "yes", false, "")
	flags.StringVar(&o.media, "media", "", "")
	flags.StringVar(&echo, "echo", "", "")
	flags.StringVar(&o.json, "json", "", "")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "")
	err := flags.Parse(args)
	switch {
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		return o, errors.New("there is an argument too many; options begin with -")
	case o.timeout <= 0:
		return o, errors.New("-timeout must be more than 0, such as 5m")
	case echo == "":
		return o, nil
	}
	o.echo, err = url.Parse(echo)
	if err != nil || o.echo.Host == "" || o.echo.Scheme != "https" && o.echo.Scheme != "http" {
		return o, errors.New("-echo must be the address of a function, such as https://1250000000-abcdefghij.ap-guangzhou.tencentscf.com/")
	}
	return o, nil
}

// survey is one run.
type survey struct {
	records      wire.Host
	recordPrefix string     // of the keys of records
	media        *wire.Host // nil: no media bucket is known
	mediaCOS     *wire.Host // the same bucket at COS
	echo         *url.URL   // nil: no function to ask
	prefix       string     // of the keys of everything that is written
	written      []string   // keys to be removed
	secrets      []string
	pause        func(context.Context, time.Duration)
	rounds       int

	samples  []sample // what CI lists, once it was asked
	received []received
}

// newSurvey reads the settings. Its error names all that is wrong.
func newSurvey(o options, w world) (*survey, error) {
	e := shell.Environment(w.environ)
	c, err := config.Load(e)
	if err != nil {
		return nil, err
	}
	client := wire.Client{Transport: w.transport, Credentials: cosclient.Credentials(c.Credentials), Now: w.now}
	base, err := cosname.BucketURL(c.Endpoint, c.RecordBucket, c.RecordRegion)
	if err != nil {
		return nil, err
	}
	s := &survey{
		records:      wire.Host{Client: client, Service: wire.COS(), Bucket: c.RecordBucket, Base: base},
		recordPrefix: c.RecordPrefix,
		prefix:       c.RecordPrefix + "survey/" + strings.ToLower(rand.Text()) + "/",
		secrets:      []string{c.Credentials.SecretID, c.Credentials.SecretKey, c.Credentials.SessionToken},
		echo:         o.echo, pause: w.pause, rounds: w.rounds,
	}
	return s, s.findMedia(o, e, c.Endpoint)
}

// findMedia sets the media bucket, at CI and at COS: that of -media, else the first of
// RECONCILE_BUCKETS, else none.
func (s *survey) findMedia(o options, e config.Environment, cosEndpoint string) error {
	if o.media != "" {
		e.Process["RECONCILE_BUCKETS"] = o.media
	}
	reconcile, err := config.LoadReconcile(e)
	if err != nil || len(reconcile.Buckets) == 0 {
		return err
	}
	b := reconcile.Buckets[0]
	base, err := cosname.BucketURL(reconcile.Endpoint, b.Name, b.Region)
	if err != nil {
		return err
	}
	s.media = &wire.Host{Client: s.records.Client, Service: wire.CI(), Bucket: b.Name, Base: base}
	if base, err = cosname.BucketURL(cosEndpoint, b.Name, b.Region); err != nil {
		return err
	}
	s.mediaCOS = &wire.Host{Client: s.records.Client, Service: wire.COS(), Bucket: b.Name, Base: base}
	return nil
}

// checkRecordBucket refuses a bucket in which the survey could not clean up after itself,
// or which is not there at all.
func (s *survey) checkRecordBucket(ctx context.Context) error {
	a, err := s.records.Do(ctx, wire.Request{Method: http.MethodGet, Query: "versioning"})
	switch {
	case err != nil:
		return fmt.Errorf("ask for the record bucket: %w; run the doctor first", err)
	case a.Status != http.StatusOK && a.Code != "AccessDenied":
		return fmt.Errorf("the record bucket answers %s; run the doctor first", a)
	case strings.Contains(string(a.Body), "<Status>"):
		return errors.New("the record bucket has, or had, versioning; run the doctor first")
	}
	return nil
}

// ask puts every assumption to the test.
func (s *survey) ask(ctx context.Context) []observation {
	var found []observation
	for _, a := range assumptions {
		observed, verdict := "no program can tell", notAsked
		if a.ask != nil {
			var err error
			if observed, verdict, err = a.ask(ctx, s); err != nil {
				observed, verdict = err.Error(), open
			}
		}
		for _, secret := range s.secrets {
			if secret != "" {
				observed = strings.ReplaceAll(observed, secret, "***")
			}
		}
		found = append(found, observation{a.ID, a.Assumed, a.DependsOnIt, a.Asked, observed, verdict})
	}
	return found
}

// clean removes all that was written, and returns the keys that are left over.
func (s *survey) clean(ctx context.Context) (left []string) {
	for _, key := range s.written {
		a, err := s.records.Do(ctx, wire.Request{Method: http.MethodDelete, Path: key})
		if err != nil || a.Status >= 300 && a.Status != http.StatusNotFound {
			left = append(left, key)
		}
	}
	return left
}

// observation is what was found about one assumption.
type observation struct {
	ID          string  `json:"id"`
	Assumed     string  `json:"assumed"`
	DependsOnIt string  `json:"dependsOnIt"`
	Asked       string  `json:"asked"`
	Observed    string  `json:"observed"`
	Verdict     verdict `json:"verdict"`
}

// report prints what was found, writes it as JSON where that is asked for, and returns
// the exit status.
func report(found []observation, left []string, o options, w world) int {
	count := map[verdict]int{}
	for _, f := range found {
		count[f.Verdict]++
		label, text := "observed", f.Observed
		if f.Verdict == notAsked {
			label, text = "by hand", f.Asked
		}
		fmt.Fprintf(w.out, "%-10s %s\n           assumed   %s\n           %-9s %s\n", f.Verdict, f.ID, f.Assumed, label, text)
		if f.Verdict == different {
			fmt.Fprintf(w.out, "           depends   %s\n", f.DependsOnIt)
		}
	}
	fmt.Fprintf(w.out, "\n%d as assumed, %d different, %d open, %d not asked\n", count[same], count[different], count[open], count[notAsked])
	for _, key := range left {
		fmt.Fprintf(w.out, "left over, to be deleted by hand when you like: %s\n", key)
	}
	if o.json != "" {
		if err := writeJSON(o.json, found); err != nil {
			fmt.Fprintf(w.err, "survey: %v\n", err)
			return exitDifferent
		}
	}
	if count[different] > 0 {
		return exitDifferent
	}
	return exitOK
}

func writeJSON(path string, found []observation) error {
	encoded, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what was found: %w", err)
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o644)
}

// printAssumptions prints the table, for those who want to know before they ask.
func printAssumptions(out io.Writer) {
	byHand := 0
	for _, a := range assumptions {
		asked := "asked"
		if a.ask == nil {
			asked = "by hand"
			byHand++
		}
		fmt.Fprintf(out, "%s\n  assumed  %s\n  depends  %s\n  %-8s %s\n", a.ID, a.Assumed, a.DependsOnIt, asked, a.Asked)
	}
	fmt.Fprintf(out, "\n%d assumptions, of which only a person can ask %d. To ask the others, with an account: "+
		"go run ./scripts/survey -yes -media BUCKET -echo URL (see -help)\n", len(assumptions), byHand)
}
