//go:build unix

package scflocal

import "syscall"

// ownGroup keeps the signals of the terminal from an instance: Ctrl-C is for whoever
// started it, and who ends it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
