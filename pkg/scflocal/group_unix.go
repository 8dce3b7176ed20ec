//go:build unix

package scflocal

import "syscall"

// ownProcessGroup puts an instance in a process group of its own, which keeps the signals
// of the terminal from it. Ctrl-C reaches the program that started the instance alone,
// and that one decides when it ends.
func ownProcessGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
