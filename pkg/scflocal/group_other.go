//go:build !unix

package scflocal

import "syscall"

// ownProcessGroup does nothing on systems without process groups.
func ownProcessGroup() *syscall.SysProcAttr { return nil }
