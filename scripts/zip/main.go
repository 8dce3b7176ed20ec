// Zip writes the package that SCF's Go1 runtime takes: a zip with one executable, `main`,
// at its root.
//
//	go run ./scripts/zip -o dist/ci-callback.zip dist/function/main
//
// The same executable gives the same bytes wherever and whenever it is packed: the file's
// own time, owner and permissions do not enter, which is why this is not left to a zip
// command. It prints the path, the size in bytes and the SHA-256 of what it wrote, as
// neither sha256sum nor shasum is on every system.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// name is what the platform starts: the handler of a Go1 function is the file's name at
// the zip's root (https://cloud.tencent.com/document/product/583/67384).
const name = "main"

// epoch is the earliest time a zip can hold.
var epoch = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command runs a command line and returns the exit status.
func command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("zip", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "", "the zip to write")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *out == "" || flags.NArg() != 1:
		fmt.Fprintln(stderr, "usage: zip -o FILE.zip EXECUTABLE")
		return 2
	}
	if err := run(stdout, *out, flags.Arg(0)); err != nil {
		fmt.Fprintln(stderr, "zip:", err)
		return 1
	}
	return 0
}

func run(stdout io.Writer, out, executable string) error {
	content, err := os.ReadFile(executable)
	if err != nil {
		return fmt.Errorf("read the executable: %w", err)
	}
	var packed bytes.Buffer
	if err := pack(&packed, content); err != nil {
		return fmt.Errorf("pack %s: %w", executable, err)
	}
	if err := replace(out, packed.Bytes()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s  %d bytes  sha256 %x\n", out, packed.Len(), sha256.Sum256(packed.Bytes()))
	return err
}

// pack writes a zip that holds content as the executable `main` and nothing else.
func pack(w io.Writer, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	header.SetMode(0o755)
	archive := zip.NewWriter(w)
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := entry.Write(content); err != nil {
		return err
	}
	return archive.Close()
}

// replace puts content at path in one step, so that a deployment running beside it never
// reads half a zip.
func replace(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("create the zip: %w", err)
	}
	defer os.Remove(temporary.Name()) // fails, as it should, once the file has its name
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
		return fmt.Errorf("write the zip: %w", err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("put the zip in place: %w", err)
	}
	return nil
}
