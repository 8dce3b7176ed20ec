package model_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/model"
)

var update = flag.Bool("update", false, "rewrite the golden records in testdata/records")

const (
	callbacksDir = "../../testdata/callbacks"
	recordsDir   = "../../testdata/records"
)

// callbacks returns the names of testdata's callbacks without their extension, and
// the files of each.
func callbacks(t testing.TB) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(callbacksDir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, file := range files {
		if ext := filepath.Ext(file); ext == ".xml" || ext == ".json" {
			name := strings.TrimSuffix(filepath.Base(file), ext)
			names[name] = append(names[name], file)
		}
	}
	if len(names) == 0 {
		t.Fatalf("no callbacks in %s", callbacksDir)
	}
	return names
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encode returns the records of a body, one a line.
func encode(t reporter, body []byte) []byte {
	t.Helper()
	c, err := model.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return encodeAll(t, slices.Concat(c.Records, c.Older))
}

func encodeAll(t reporter, records []*model.Record) []byte {
	t.Helper()
	var all []byte
	for _, r := range records {
		encoded, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, encoded...)
	}
	return all
}

// TestGolden compares every callback of testdata, in each of its forms, with its
// golden records, those of the body's older versions last.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, files := range callbacks(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join(recordsDir, name+".json")
			if *update {
				rewrite(t, golden, readFile(t, files[len(files)-1]))
			}
			for _, file := range files {
				c, err := model.Decode(readFile(t, file))
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if c.Probe != "" {
					if name != "probe" || c.Probe != model.ProbeConsole || len(c.Records) > 0 {
						t.Errorf("%s is probe %q and has %d records", file, c.Probe, len(c.Records))
					}
					continue
				}
				if name == "probe" {
					t.Errorf("%s is no probe", file)
				}
				if diff := cmp.Diff(string(readFile(t, golden)), string(encodeAll(t, slices.Concat(c.Records, c.Older)))); diff != "" {
					t.Errorf("%s, -golden +got:\n%s", file, diff)
				}
			}
		})
	}
}

// rewrite makes a golden file of a callback's records. A probe has none.
func rewrite(t *testing.T, golden string, body []byte) {
	t.Helper()
	records := encode(t, body)
	if len(records) == 0 {
		return
	}
	if err := os.MkdirAll(recordsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(golden, records, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGoldenIsOfACallback finds records whose callback is gone.
func TestGoldenIsOfACallback(t *testing.T) {
	t.Parallel()
	names := callbacks(t)
	for name := range goldens(t) {
		if names[name] == nil {
			t.Errorf("%s/%s.json is of no callback", recordsDir, name)
		}
	}
}

// goldens returns the golden records, by the name of the callback.
func goldens(t testing.TB) map[string][][]byte {
	t.Helper()
	if *update {
		t.Skip("the records are being rewritten")
	}
	files, err := filepath.Glob(filepath.Join(recordsDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no records in %s", recordsDir)
	}
	records := map[string][][]byte{}
	for _, file := range files {
		lines := slices.Collect(bytes.Lines(readFile(t, file)))
		records[strings.TrimSuffix(filepath.Base(file), ".json")] = lines
	}
	return records
}
