// Command function is the callback receiver as an SCF event function: Cloud
// Infinite posts a callback, the function answers once the record is in COS.
//
// It is built for the Go1 runtime (handler "main") by scripts/build.sh, and runs on one's
// own machine with go run ./scripts/local. Start reading at handler.go.
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
)

// version is the build's, set by scripts/build.sh.
var version = "dev"

// memoryLimit makes the garbage collector work harder before a body of the largest size
// uses up the instance's memory, which is 128 MB as deployed. A GOMEMLIMIT in the
// environment takes precedence.
const memoryLimit = 80 << 20

// gcPercent is how much garbage may gather below that limit, in percent of what is in
// use. With the default of 100, the collector runs after every 4 MB, which takes a
// seventh of a callback's CPU time; with 300, it runs after every 12 MB. A GOGC in the
// environment takes precedence.
const gcPercent = 300

// maxProcs is how many processors the program runs on. SCF gives an instance one event at
// a time, and an instance of 128 MB a part of one processor. A second one would only look
// for work, which takes a fifth of a callback's CPU time. A GOMAXPROCS in the environment
// takes precedence.
const maxProcs = 1

func main() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(maxProcs)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The environment is read once: scf-go-lib adds to it what comes with each invocation,
	// and nothing of one is to be seen in the next.
	environ := os.Environ()
	h := NewHandler(Options{Output: os.Stdout, Environ: func() []string { return environ }, Version: version})
	h.log.Info("started", "version", version)
	cloudfunction.StartHandler(invoke(h.Invoke))
}

// invoke is Handler.Invoke in the form that scf-go-lib wants. A Handler itself, in an
// interface, would make the linker keep every method of everything that it refers to, and
// so every operation of the SDK: 1.5 MB.
type invoke func(context.Context, []byte) ([]byte, error)

// Invoke answers one trigger event.
func (f invoke) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	growStack()
	return f(ctx, payload)
}

// stackBytes is about how much stack a callback needs.
const stackBytes = 24 << 10

// growStack lets the stack of its goroutine grow to what a callback needs, at once.
// net/rpc has a new goroutine for each event, whose stack would otherwise be copied to a
// larger place four times over, which takes a thirtieth of a callback's CPU time.
func growStack() {
	var room [stackBytes]byte
	touch(&room)
}

//go:noinline
func touch(room *[stackBytes]byte) { room[0] = 1 }
