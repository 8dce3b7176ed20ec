// Command local runs the callback function on this machine, with a local COS and no
// account.
//
//	go run ./scripts/local                     deliver the sample callbacks and check what comes of them
//	go run ./scripts/local serve               keep running, to send callbacks to with curl
//	go run ./scripts/local invoke -event FILE  hand one trigger event to the function
//
// What it makes is in .local/, which git ignores: the function's binary and log, and the
// objects of the local COS.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	listen := flags.String("listen", "127.0.0.1:8080", "")
	cosAddress := flags.String("cos", "127.0.0.1:9000", "")
	event := flags.String("event", "", "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	known := command == "" || command == "serve" || command == "invoke" && *event != ""
	if !known {
		return errUsage
	}
	if err := checkFolder(); err != nil {
		return err
	}
	switch command {
	case "serve":
		return serve(ctx, out, *listen, *cosAddress)
	case "invoke":
		return invoke(ctx, in, out, *event)
	default:
		return deliver(ctx, out)
	}
}
