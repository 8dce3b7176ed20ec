package testgolden

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSections reads what was written, with the name of each section and its text.
func TestSections(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "golden.txt")
	want := map[string]string{"TestA/one": "a line\n\nand one after an empty one\n", "TestA/two": "an == in a line\n", "TestB": "b\n"}
	written := &File{path: path, sections: want}
	written.write(t)
	read := Open(path)
	read.read(t)
	if diff := cmp.Diff(want, read.sections); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	read.Compare(t, "TestB", "b\n")
	read.Compare(t, "TestC", "") // nothing is said, and nothing is written down
}
