// Command local runs the callback function on this machine, with a local COS and a local
// CI and no account.
//
//	go run ./scripts/local                     deliver the samples, lose one, and check
//	go run ./scripts/local serve               keep running, for callbacks of your own
//	go run ./scripts/local invoke -event FILE  hand one trigger event to the function
//
// What it makes is in .local/, which git ignores: the function's binary and log, and the
// objects of the local COS. Each of the three has a folder of its own there, and runs
// once at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ci-callback/ci-callback/scripts/records/board"
)

const usage = `usage: go run ./scripts/local
           deliver the sample callbacks, lose one, and check what comes of it
       go run ./scripts/local serve [-listen ADDRESS] [-cos ADDRESS] [-ci ADDRESS] [-board ADDRESS]
           keep running, with a board, for callbacks and jobs of your own; where no address is
           given on 127.0.0.1: callbacks 8080, COS 9000, CI 9001, the board 9090
       go run ./scripts/local invoke -event FILE
           hand one trigger event to the function; - is standard input

serve and invoke take the function's settings from the shell (TAG_MD5, RECORD_PREFIX, …),
and never its keys and endpoints.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := newProgram(os.Stdin, os.Stdout).run(ctx, os.Args[1:])
	if code := report(ctx, err, os.Stderr); code != 0 {
		os.Exit(code)
	}
}

// report prints what went wrong and returns the exit status.
func report(ctx context.Context, err error, out io.Writer) int {
	wrong, isUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case isUsage:
		fmt.Fprintf(out, "local: %v\n%s", wrong, usage)
		return 2
	case ctx.Err() != nil: // whatever failed then, such as a build, failed because of it
		fmt.Fprintln(out, "Ended.")
		return 130 // what shells have for Ctrl-C
	}
	fmt.Fprintln(out, "local:", err)
	return 1
}

// usageError is what is wrong with a command line.
type usageError string

// Error implements the error interface.
func (e usageError) Error() string { return string(e) }

// program is one run of this command.
type program struct {
	project     string   // the folder with function/ and testdata/
	folder      string   // where what is made goes
	environment []string // of the shell
	in          io.Reader
	out         io.Writer
	// build compiles the function of a project.
	build func(ctx context.Context, project, binary string) error
	// timerEvery is how often serve runs the function's timer.
	timerEvery time.Duration
	// refreshEvery is how often the board of serve looks for new records.
	refreshEvery time.Duration
}

// newProgram returns the program in the working directory.
func newProgram(in io.Reader, out io.Writer) *program {
	return &program{
		project: ".", folder: ".local", environment: os.Environ(), in: in, out: out,
		build: buildFunction, timerEvery: 10 * time.Second, refreshEvery: 2 * time.Second,
	}
}

// addresses are where serve listens.
type addresses struct{ callbacks, cos, ci, board string }

// run runs a command line.
func (p *program) run(ctx context.Context, args []string) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var at addresses
	var event string
	switch command {
	case "":
	case "serve":
		flags.StringVar(&at.callbacks, "listen", "127.0.0.1:8080", "")
		flags.StringVar(&at.cos, "cos", "127.0.0.1:9000", "")
		flags.StringVar(&at.ci, "ci", "127.0.0.1:9001", "")
		flags.StringVar(&at.board, "board", "127.0.0.1:9090", "")
	case "invoke":
		flags.StringVar(&event, "event", "", "")
	case "help", "-h", "-help", "--help":
		return p.help()
	default:
		return usageError(fmt.Sprintf("there is no command %q", command))
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return p.help()
	case err != nil:
		return usageError(err.Error())
	case flags.NArg() > 0:
		return usageError(fmt.Sprintf("unexpected argument %q", flags.Arg(0)))
	case command == "invoke" && event == "":
		return usageError("invoke needs -event FILE")
	case command == "serve":
		if err := board.CheckAddress(at.board); err != nil {
			return usageError("-board: " + err.Error())
		}
	}
	if _, err := os.Stat(filepath.Join(p.project, "function", "main.go")); err != nil {
		return errors.New("this is not the project's folder: change to where function/ and go.mod are")
	}
	switch command {
	case "serve":
		return p.serve(ctx, at)
	case "invoke":
		return p.invoke(ctx, event)
	}
	return p.demo(ctx)
}

// help prints how the command is used.
func (p *program) help() error {
	_, err := io.WriteString(p.out, usage)
	return err
}
