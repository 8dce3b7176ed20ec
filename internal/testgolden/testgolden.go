// Package testgolden compares what programs say with files in testdata: golden ones, that
// somebody has read and found good. Where a sentence is changed on purpose, the tests are
// run with -update, which writes the files anew, and the difference is read.
package testgolden

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// A File is a golden file. It has a section for each case, under a line with the case's
// name. It is safe for concurrent use.
type File struct {
	path     string
	mu       sync.Mutex
	sections map[string]string // nil: not read yet
}

// Open returns a golden file, which is read once it is needed.
func Open(path string) *File { return &File{path: path} }

const heading = "== "

// Compare compares what was said in a case with what the file has of it. With -update it
// writes that down instead.
func (f *File) Compare(t *testing.T, name, got string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sections == nil {
		f.read(t)
	}
	got = strings.TrimRight(got, "\n") + "\n"
	if *update && f.sections[name] != got {
		if f.sections[name] = got; got == "\n" {
			delete(f.sections, name)
		}
		f.write(t)
	}
	if got == "\n" {
		got = ""
	}
	if diff := cmp.Diff(f.sections[name], got); diff != "" {
		t.Errorf("%s, %s; if it is meant to be so, run this with -update. -golden +got:\n%s", f.path, name, diff)
	}
}

func (f *File) read(t *testing.T) {
	t.Helper()
	body, err := os.ReadFile(f.path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	f.sections = map[string]string{}
	for _, section := range strings.Split("\n"+string(body), "\n"+heading)[1:] {
		name, text, _ := strings.Cut(section, "\n")
		f.sections[name] = strings.TrimRight(text, "\n") + "\n"
	}
}

func (f *File) write(t *testing.T) {
	t.Helper()
	var body strings.Builder
	for i, name := range slices.Sorted(maps.Keys(f.sections)) {
		if i > 0 {
			body.WriteString("\n")
		}
		body.WriteString(heading + name + "\n" + f.sections[name])
	}
	if err := os.WriteFile(f.path, []byte(body.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
