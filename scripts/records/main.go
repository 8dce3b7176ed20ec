// Command records looks at job records, and mends them by hand.
//
//	go run ./scripts/records list --state Failed    the newest failed jobs
//	go run ./scripts/records show ID                one record, its history, its outputs as they are now
//	go run ./scripts/records serve                  all of it as pages, on this machine
//	go run ./scripts/records help                   the other commands
//
// It takes the function's settings and the user's own keys from the environment, and
// works against COS as well as against the local one of scripts/local. Its commands,
// flags, output and exit status are an interface: docs/board.md has them all.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // the board's tz= works on a machine without a zone database

	"github.com/spf13/cobra"

	"github.com/ci-callback/ci-callback/scripts/records/catalog"
)

// The exit status of the program.
const (
	exitFine          = 0
	exitFindings      = 1 // something was found, or failed
	exitUsage         = 2
	exitNotFound      = 3
	exitNoCredentials = 4
	exitInterrupted   = 130 // as shells have it for Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &tool{environ: os.Environ(), now: time.Now, in: os.Stdin, streams: standardStreams()}
	os.Exit(t.run(ctx, os.Args[1:]))
}

// A tool is one run of the program.
type tool struct {
	streams
	in      io.Reader
	environ []string
	now     func() time.Time
	// transport is what requests go over; nil for the network.
	transport http.RoundTripper
	format    format

	began bool // a command's own work has begun: the command line was right
}

// usageError is what is wrong with a command line.
type usageError struct{ error }

// errFindings says that all was done, and that there is something to look at. What it is
// has been printed.
var errFindings = errors.New("there are findings")

// errNoCredentials says that there are no keys to ask COS with.
var errNoCredentials = errors.New("no keys: set TENCENTCLOUD_SECRETID and TENCENTCLOUD_SECRETKEY, " +
	"for temporary ones TENCENTCLOUD_SESSIONTOKEN too")

// run does what a command line says and returns the exit status.
func (t *tool) run(ctx context.Context, args []string) int {
	root := t.command()
	root.SetArgs(args)
	root.SetOut(t.out)
	root.SetErr(t.err)
	checkCompletion(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	_, isUsage := errors.AsType[usageError](err)
	switch {
	case errors.Is(err, errFindings):
		return exitFindings
	case isUsage || !t.began:
		fmt.Fprintf(t.err, "records: %s\nrecords help shows the commands, and records COMMAND --help one of them.\n", printable(err.Error()))
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(t.err, "records: interrupted; what was done by then is above.")
		return exitInterrupted
	}
	fmt.Fprintln(t.err, "records:", printable(err.Error()))
	switch {
	case errors.Is(err, errNoCredentials):
		return exitNoCredentials
	case errors.Is(err, catalog.ErrNotFound):
		return exitNotFound
	}
	return exitFindings
}

// command returns the program's commands.
func (t *tool) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "records",
		Short: "Look at job records, and mend them",
		Long: "Looks at job records, and mends them by hand. Settings and keys come from the\n" +
			"environment, as for the function.",
		Example: "  records list --state Failed --since 24h\n  records show j8d121820f5e411ec926ef19d53ba9c6f\n  records serve\n\n" +
			"Exit status: 0 fine; 1 something was found, or failed; 2 wrong usage; 3 no such record; 4 no keys;\n130 interrupted",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.BoolVar(&t.format.json, "json", false, "print JSON")
	flags.BoolVar(&t.format.csv, "csv", false, "print CSV with a header")
	root.MarkFlagsMutuallyExclusive("json", "csv")
	root.SetHelpCommand(helpCommand())
	for _, add := range []func() *cobra.Command{
		t.listCommand, t.showCommand, t.rejectedCommand, t.replayCommand, t.reconcileCommand, t.auditCommand, t.retagCommand, t.serveCommand,
	} {
		root.AddCommand(t.begin(add()))
	}
	return root
}

// helpCommand returns the command that shows the help of another. Cobra's own takes an
// unknown one for no mistake.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("there is no command %q", strings.Join(args, " "))}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// checkCompletion has cobra's command that prints completion scripts look at its
// arguments, which it does only where it has work of its own.
func checkCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// begin notes that the command line was right, before a command's own work.
func (t *tool) begin(c *cobra.Command) *cobra.Command {
	work := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		t.began = true
		return work(c, args)
	}
	return c
}

// confirm asks whether what was planned is to be done. Where nobody can be asked, it
// takes --yes. Ctrl-C is an answer too.
func (t *tool) confirm(ctx context.Context, yes bool) error {
	if yes {
		return nil
	}
	if !t.inTerminal {
		return usageError{errors.New("nobody is there to be asked: add --yes to do it, or --dry-run where there is one")}
	}
	fmt.Fprint(t.err, "Do it? [y/N] ")
	answered := make(chan string, 1)
	go func() { // which the end of the program ends, where nobody answers
		var answer string
		fmt.Fscanln(t.in, &answer)
		answered <- strings.ToLower(answer)
	}()
	var answer string
	select {
	case answer = <-answered:
	case <-ctx.Done():
		fmt.Fprintln(t.err)
		return context.Cause(ctx)
	}
	if answer != "y" && answer != "yes" {
		fmt.Fprintln(t.err, "Nothing was done.")
		return errFindings
	}
	return nil
}
