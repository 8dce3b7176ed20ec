//go:build unix

package scflocal_test

import (
	"syscall"
	"testing"
)

// TestOwnProcessGroup makes sure that the Ctrl-C of a terminal, which goes to the process
// group of this program, does not reach the function.
func TestOwnProcessGroup(t *testing.T) {
	t.Parallel()
	f, _ := start(t)
	group, err := syscall.Getpgid(f.Pid())
	if err != nil || group != f.Pid() {
		t.Errorf("process %d is in group %d, %v", f.Pid(), group, err)
	}
}
