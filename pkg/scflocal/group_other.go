//go:build !unix

package scflocal

import "syscall"

// ownGroup does nothing where there are no process groups of this kind.
func ownGroup() *syscall.SysProcAttr { return nil }
