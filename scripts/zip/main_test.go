package main

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestZip holds all that a zip tells of its one file, and that it is put in place of an
// older one with nothing left beside it.
func TestZip(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	out, executable := filepath.Join(folder, "a.zip"), filepath.Join(t.TempDir(), "some-name")
	content := strings.Repeat("an executable ", 1000)
	for path, text := range map[string]string{executable: content, out: "an older zip"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var printed strings.Builder
	if err := run(&printed, out, executable); err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprintf("%s  %d bytes  sha256 %x\n", out, len(packed), sha256.Sum256(packed)), printed.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(out); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
	archive, err := zip.OpenReader(out)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if len(archive.File) != 1 {
		t.Fatalf("%d files", len(archive.File))
	}
	file := archive.File[0]
	if file.Name != "main" || file.Mode() != 0o755 || file.Method != zip.Deflate || !file.Modified.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", file.FileHeader)
	}
	reader, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(reader); err != nil || string(unpacked) != content {
		t.Errorf("%d bytes are unpacked, %v", len(unpacked), err)
	}
}

// TestCommand holds the exit status of a command line, and what is said.
func TestCommand(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "a.zip")
	const usage = "usage: zip -o FILE.zip EXECUTABLE\n"
	for _, test := range []struct {
		args           []string
		status         int
		stdout, stderr string // how they begin
	}{
		{[]string{"-o", out, "main.go"}, 0, out + "  ", ""},
		{[]string{"-o", out, "nothing"}, 1, "", "zip: read the executable: "},
		{nil, 2, "", usage},
		{[]string{"main.go"}, 2, "", usage},
		{[]string{"-o", out}, 2, "", usage},
		{[]string{"-o", out, "main.go", "main.go"}, 2, "", usage},
		{[]string{"-x"}, 2, "", "flag provided but not defined: -x\n"},
		{[]string{"-h"}, 0, "", "Usage of zip:\n"},
	} {
		var stdout, stderr strings.Builder
		status := command(test.args, &stdout, &stderr)
		if status != test.status || !strings.HasPrefix(stdout.String(), test.stdout) || !strings.HasPrefix(stderr.String(), test.stderr) ||
			(stdout.Len() > 0) != (status == 0 && test.stdout != "") || (stderr.Len() > 0) != (test.stderr != "") {
			t.Errorf("%q: %d, %q, %q", test.args, status, &stdout, &stderr)
		}
	}
	closed, printed := io.Pipe()
	closed.Close()
	if err := run(printed, out, "main.go"); err == nil {
		t.Error("no error where the result cannot be printed")
	}
}

// TestUnwritable holds that a zip that cannot be put in place is an error, as is an
// executable that cannot be read, and that nothing is left of it.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing", "a.zip")
	if err := run(io.Discard, missing, "main.go"); err == nil || !strings.Contains(err.Error(), "create the zip") {
		t.Errorf("a zip in a folder that is not there: %v", err)
	}
	if err := run(io.Discard, filepath.Join(t.TempDir(), "a.zip"), missing); err == nil || !strings.Contains(err.Error(), "read the executable") {
		t.Errorf("an executable that is not there: %v", err)
	}
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "a.zip", "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(io.Discard, filepath.Join(folder, "a.zip"), "main.go"); err == nil || !strings.Contains(err.Error(), "put the zip in place") {
		t.Errorf("a zip in the place of a folder: %v", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}
