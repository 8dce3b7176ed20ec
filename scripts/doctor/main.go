// Command doctor checks, before and after deploying, that the function can do its work:
// its settings, the credentials, the record bucket, the media buckets, and with -url the
// deployed function itself. Each check has a verdict and, where there is one, a remedy.
//
//	go run ./scripts/doctor                                   settings, credentials, record bucket
//	go run ./scripts/doctor -media video-1250000000           and the tags of media buckets
//	go run ./scripts/doctor -url https://….tencentscf.com     and the deployed function
//	go run ./scripts/doctor -url … -deployed v1.2.3           whether that version answers there, and takes every token
//	go run ./scripts/doctor -settings                         the variables of a deployment alone, asking nobody
//	go run ./scripts/doctor -policy                           the CAM policy of the execution role
//
// Where RECONCILE_BUCKETS is set it also asks CI: whether the jobs may be listed, where
// each queue calls back, and when the function last compared jobs and records.
//
// It reads the function's own environment variables. The credentials are the shell's
// (TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY, TENCENTCLOUD_SESSIONTOKEN), so that
// what it finds out about permissions holds for them; -role asks the function about its
// own.
//
// It writes nothing but objects under <RECORD_PREFIX>doctor/ and, with -role, one under
// <RECORD_PREFIX>rejected/, all of which it removes. It never changes a setting of a
// bucket, and prints no token and no key.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/cosname"
)

const usage = `usage: go run ./scripts/doctor [-media BUCKET,…] [-url URL [-role]] [-json] [-timeout 30s]
       go run ./scripts/doctor -url URL -deployed VERSION [-json] [-timeout 30s]
       go run ./scripts/doctor -settings [-json]
       go run ./scripts/doctor -policy [-for function|records|doctor] [-media BUCKET,…]

  -media BUCKET,…  buckets whose objects are tagged, each <name>-<appid>[@<region>][/<prefix>];
                   the region of the records and no prefix, unless named
  -url URL         the address of the deployed function; a token in it is not needed
  -role            with -url: have the function write a body that is no callback to the record
                   bucket and find it there, which takes the permissions of its own role
  -deployed VERSION
                   with -url: ask the deployed function alone, until it answers with this version
                   and takes every token, or the -timeout is over
  -json            one JSON document instead of lines
  -settings        check the variables as scripts/deploy.sh would deploy them, and do nothing else:
                   no request, no credentials
  -policy          print the CAM policy of the execution role, and do nothing else
  -for USER        with -policy: of whom; function (the execution role), records (who uses
                   scripts/records) or doctor
  -timeout 30s     for everything together

The variables are the function's own, and TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY and
TENCENTCLOUD_SESSIONTOKEN. Exit status: 0 all well (warnings allowed), 1 something failed, 2 usage.
`

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// world is what the doctor finds around it. Tests have one of their own.
type world struct {
	environ   []string // NAME=value
	transport http.RoundTripper
	now       func() time.Time
	out, err  io.Writer
}

// options is what the command line says.
type options struct {
	media      []target
	url        *url.URL // nil: the deployed function is not asked
	role       bool
	deployed   string // the version that is to answer at url; "" means any
	json       bool
	deployment bool // -settings
	policy     bool
	policyUser string // -for
	timeout    time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], world{
		environ: os.Environ(), transport: cosclient.NewTransport(), now: time.Now,
		out: os.Stdout, err: os.Stderr,
	})
	stop()
	os.Exit(status)
}

// run does what the command line asks for, and returns the exit status.
func run(ctx context.Context, args []string, w world) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(w.out, usage)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(w.err, "doctor: %v\n\n%s", err, usage)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	d := newDoctor(o, w)
	switch {
	case o.deployment:
		d.checkDeployment(ctx)
		return d.print()
	case o.deployed != "":
		d.checkDeployed(ctx)
		return d.print()
	case o.policy:
		return d.printPolicy()
	}
	d.runChecks(ctx)
	return d.print()
}

// parse reads the command line. Its errors show no value of -url, which may hold a token.
func parse(args []string) (options, error) {
	var o options
	var media, address string
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&media, "media", "", "")
	flags.StringVar(&address, "url", "", "")
	flags.BoolVar(&o.role, "role", false, "")
	flags.StringVar(&o.deployed, "deployed", "", "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.BoolVar(&o.deployment, "settings", false, "")
	flags.BoolVar(&o.policy, "policy", false, "")
	flags.StringVar(&o.policyUser, "for", "function", "")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "")
	err := flags.Parse(args)
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		return o, errors.New("there is an argument too many; options begin with -")
	case o.timeout <= 0:
		return o, errors.New("-timeout must be more than 0, such as 30s")
	case given["url"] && address == "" || given["deployed"] && o.deployed == "": // a shell's variable that is not set
		return o, errors.New("-url and -deployed must not be empty")
	case (o.role || o.deployed != "") && address == "":
		return o, errors.New("-role and -deployed ask the deployed function: give its -url")
	case grantsFor[o.policyUser].records == nil:
		return o, errors.New("-for must be function, records or doctor")
	case o.policyUser != "function" && !o.policy:
		return o, errors.New("-for says whose policy -policy prints: give both")
	case o.deployment && (o.policy || address != "" || media != ""):
		return o, errors.New("-settings asks nobody: it goes with -json alone")
	case o.policy && address != "":
		return o, errors.New("-policy asks nobody: it goes with -for and -media alone")
	case o.deployed != "" && (o.role || media != ""):
		return o, errors.New("-deployed asks the deployed function alone: it goes with -url, -json and -timeout")
	}
	if address != "" {
		if o.url, err = functionURL(address); err != nil {
			return o, err
		}
	}
	for _, name := range split(media) {
		t, err := parseTarget(name)
		if err != nil {
			return o, fmt.Errorf("-media: %w", err)
		}
		o.media = append(o.media, t)
	}
	return o, nil
}

// split reads a comma-separated list; empty parts are passed over.
func split(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// functionURL reads -url. The token is dropped: it comes from CALLBACK_TOKEN.
func functionURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("-url must be the address of the function, such as https://1250000000-abcdefghij.ap-guangzhou.tencentscf.com/")
	}
	if u.Scheme == "http" && !isThisMachine(u.Hostname()) {
		return nil, errors.New("-url must begin with https://: over http:// anybody on the way could read the token")
	}
	u.RawQuery, u.Fragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// isThisMachine reports whether requests to host stay on this machine, so that sending a
// secret to it in clear does no harm.
//
//	127.0.0.1, 127.5.5.5, ::1                      yes: loopback addresses
//	localhost, bucket.cos.ap-guangzhou.localhost   yes: RFC 6761 keeps these names local
//	127.evil.example, localhost.example, notlocalhost   no: names that anybody may own
func isThisMachine(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || cosname.IsLoopbackName(host)
}

// A target is a bucket whose objects are tagged.
type target struct {
	bucket string
	region string // "": that of the records
	prefix string // what the objects' keys begin with
}

// parseTarget reads <bucket>[@<region>][/<prefix>].
func parseTarget(s string) (target, error) {
	var t target
	s, t.prefix, _ = strings.Cut(s, "/")
	t.bucket, t.region, _ = strings.Cut(s, "@")
	if err := cosname.CheckBucket(t.bucket); err != nil {
		return t, err
	}
	if t.region != "" {
		if err := cosname.CheckRegion(t.region); err != nil {
			return t, err
		}
	}
	if err := cosname.CheckKey(t.prefix + "x"); err != nil {
		return t, err
	}
	return t, nil
}
