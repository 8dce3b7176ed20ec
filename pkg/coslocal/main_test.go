package coslocal_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes sure that a server is gone after its test, whatever was left hanging.
// With killDir set, the process is the one that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		writeUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}
