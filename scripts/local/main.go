// Command local runs the callback function on this machine, with a local COS and no
// account.
//
//	go run ./scripts/local                     deliver the sample callbacks and check what comes of them
//	go run ./scripts/local serve               keep running, to send callbacks to with curl
//	go run ./scripts/local invoke -event FILE  hand one trigger event to the function
//
// What it makes is in .local/, which git ignores: the function's binary and log, and the
// objects of the local COS. Each of the three has a folder of its own there, and runs once
// at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: go run ./scripts/local                     deliver the sample callbacks and check what comes of them
       go run ./scripts/local serve [-listen ADDRESS] [-cos ADDRESS]
                                                  keep running, to send callbacks to with curl
       go run ./scripts/local invoke -event FILE  hand one trigger event to the function; - is standard input
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if code := report(ctx, err, os.Stderr); code != 0 {
		os.Exit(code)
	}
}

// report says what went wrong and gives the exit status.
func report(ctx context.Context, err error, out io.Writer) int {
	wrong, isUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case isUsage:
		fmt.Fprintf(out, "local: %v\n%s", wrong, usage)
		return 2
	case ctx.Err() != nil: // what failed then failed because of it: a build that was killed
		fmt.Fprintln(out, "Ended.")
		return 130 // as shells have it for Ctrl-C
	}
	fmt.Fprintln(out, "local:", err)
	return 1
}

// usageError is what is wrong with a command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var listen, cosAddress, event string
	switch command {
	case "":
	case "serve":
		flags.StringVar(&listen, "listen", "127.0.0.1:8080", "")
		flags.StringVar(&cosAddress, "cos", "127.0.0.1:9000", "")
	case "invoke":
		flags.StringVar(&event, "event", "", "")
	case "help", "-h", "-help", "--help":
		return help(out)
	default:
		return usageError(fmt.Sprintf("there is no command %q", command))
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return help(out)
	case err != nil:
		return usageError(err.Error())
	case flags.NArg() > 0:
		return usageError(fmt.Sprintf("unexpected argument %q", flags.Arg(0)))
	case command == "invoke" && event == "":
		return usageError("invoke needs -event FILE")
	}
	if err := checkFolder(); err != nil {
		return err
	}
	switch command {
	case "serve":
		return serve(ctx, out, listen, cosAddress)
	case "invoke":
		return invoke(ctx, in, out, event)
	default:
		return deliver(ctx, out)
	}
}

func help(out io.Writer) error {
	_, err := io.WriteString(out, usage)
	return err
}
