//go:build unix

package scflocal_test

import (
	"syscall"
	"testing"
)

// TestOwnGroup: the Ctrl-C that a terminal sends to this process's group does not reach the function.
func TestOwnGroup(t *testing.T) {
	t.Parallel()
	f, _ := start(t)
	group, err := syscall.Getpgid(f.Pid())
	if err != nil || group != f.Pid() {
		t.Errorf("process %d is in group %d, %v", f.Pid(), group, err)
	}
}
