// Command function is the callback receiver as an SCF event function: Cloud
// Infinite posts a callback, the function answers once the record is in COS.
//
// It is built for the Go1 runtime (handler "main") by scripts/build.sh, and run on
// one's own machine by go run ./scripts/local. Read handler.go on.
package main

import (
	"os"
	"runtime/debug"

	"github.com/tencentyun/scf-go-lib/cloudfunction"

	"github.com/ci-callback/ci-callback/pkg/store"
)

// version is the build's, set by scripts/build.sh.
var version = "dev"

// memoryLimit makes the garbage collector work harder before the instance's memory,
// 128 MB as deployed, is used up by a body of the largest size. GOMEMLIMIT goes first.
const memoryLimit = 80 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	h := NewHandler(Options{Pool: store.NewPool(nil), Output: os.Stdout, Environ: os.Environ, Version: version})
	h.log.Info("started", "version", version)
	cloudfunction.StartHandler(h)
}
