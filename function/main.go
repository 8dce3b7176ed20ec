// Command function is the callback receiver as an SCF event function: Cloud
// Infinite posts a callback, the function answers once the record is in COS.
//
// It is built for the Go1 runtime (handler "main") by scripts/build.sh, and run on
// one's own machine by go run ./scripts/local. Read handler.go on.
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/tencentyun/scf-go-lib/cloudfunction"

	"github.com/ci-callback/ci-callback/pkg/store"
)

// version is the build's, set by scripts/build.sh.
var version = "dev"

// memoryLimit makes the garbage collector work harder before the instance's memory,
// 128 MB as deployed, is used up by a body of the largest size. GOMEMLIMIT goes first.
const memoryLimit = 80 << 20

// garbage is how much of it, in percent of what is in use, may gather below that limit.
// With the default of 100 the collector runs for each 4 MB, which takes a seventh of a
// callback's CPU; this makes it 12 MB. GOGC goes first.
const garbage = 300

// processors is how many the program runs on. SCF gives an instance one event at a time,
// and an instance of 128 MB a part of a processor: a second would only look for work,
// which takes a fifth of a callback's CPU. GOMAXPROCS goes first.
const processors = 1

func main() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	// As it is now: scf-go-lib adds to it what comes with each invocation, and nothing of
	// one is to be seen in the next.
	environ := os.Environ()
	h := NewHandler(Options{Pool: store.NewPool(nil), Output: os.Stdout, Environ: func() []string { return environ }, Version: version})
	h.log.Info("started", "version", version)
	cloudfunction.StartHandler(invoke(h.Invoke))
}

// invoke is Handler.Invoke as scf-go-lib wants it. A Handler itself, in an interface,
// would make the linker keep every method of all that it refers to, which is every
// operation of the SDK: 1.5 MB.
type invoke func(context.Context, []byte) ([]byte, error)

// Invoke answers one trigger event.
func (f invoke) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return f(ctx, payload) }
