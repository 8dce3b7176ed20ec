package main

import (
	"io"
	"path/filepath"
	"testing"
)

// TestUnwritable holds that a zip that cannot be put in place is an error, as is an
// executable that cannot be read.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing", "a.zip")
	if err := run(io.Discard, missing, "main.go"); err == nil {
		t.Error("a zip in a folder that is not there")
	}
	if err := run(io.Discard, filepath.Join(t.TempDir(), "a.zip"), missing); err == nil {
		t.Error("an executable that is not there")
	}
}
