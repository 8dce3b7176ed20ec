package coslocal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
)

// openFolder returns a server that keeps its buckets in dir.
func openFolder(t testing.TB, dir string) *coslocal.Server {
	t.Helper()
	s, err := coslocal.New(coslocal.Options{Dir: dir})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) }) // also where a test has closed it
	return s
}

// TestFolderIsLocked keeps a second server out: it would write over what the first one
// knows nothing of.
func TestFolderIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openFolder(t, dir)
	must(t, s.CreateBucket(bucket, ""))
	if _, err := coslocal.New(coslocal.Options{Dir: dir}); !errors.Is(err, coslocal.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second server: %v", err)
	}
	must(t, s.PutObject(bucket, "k", coslocal.Object{})) // the lock is still the first one's, and it goes on
	must(t, s.Close())
	again := openFolder(t, dir)
	if diff := cmp.Diff([]string{"k"}, again.Keys(bucket, "")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	must(t, newMemory(t, coslocal.Options{}).Close())
}

func TestServerOfTestUnlocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Run("inner", func(t *testing.T) { start(t, coslocal.Options{Dir: dir}) })
	openFolder(t, dir)
}

// contents returns all that the bucket holds.
func contents(s *coslocal.Server) map[string]coslocal.Object {
	objects := map[string]coslocal.Object{}
	for _, key := range s.Keys(bucket, "") {
		objects[key], _ = s.Object(bucket, key)
	}
	return objects
}

func TestFolderIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openFolder(t, dir)
	must(t, s.CreateBucket(bucket, region))
	must(t, s.CreateBucket("empty-1250000000", ""))
	keys := []string{"a", "a/b", "a/b/c", "A", "a//b", "dir/", "ci/jobs/j1.json", "目录/文件", "%41", "..a", "a.", "...", ".tmp-1", "%hash",
		"con", "a:b*c?d<e>|f\"g", "a\nb", strings.Repeat("k", 850), strings.Repeat("文", 283), strings.Repeat("d/", 425), "a/" + strings.Repeat("n", 300)}
	for i, key := range keys {
		must(t, s.PutObject(bucket, key, coslocal.Object{
			Body:         []byte(strings.Repeat(key+"\n{}\n", i)),
			Header:       http.Header{"X-Cos-Meta-A": {"1\t" + strings.Repeat("é", i*400)}, "Content-Type": {"text/plain"}},
			LastModified: time.Unix(int64(1e9+i), 0),
			Tags:         []coslocal.Tag{{Key: fmt.Sprint(i), Value: "v"}},
		}))
	}
	must(t, s.SetTags(bucket, "a/b", []coslocal.Tag{{Key: "other", Value: "tag"}}))
	must(t, s.PutObject(bucket, "a", coslocal.Object{Body: []byte("overwritten")}))
	must(t, s.DeleteObject(bucket, "A"))
	must(t, s.SetVersioning(bucket, "Enabled"))
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodPut, "/?tagging",
		"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"))), http.StatusNoContent, "")
	must(t, s.PutObject(bucket, "versioned", coslocal.Object{}))

	must(t, s.Close())
	again := openFolder(t, dir)
	if len(contents(s)) != len(keys) {
		t.Errorf("%d objects; want %d", len(contents(s)), len(keys))
	}
	if diff := cmp.Diff(contents(s), contents(again)); diff != "" {
		t.Errorf("objects (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(s.Buckets(), again.Buckets()); diff != "" {
		t.Errorf("buckets (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(s.BucketTags(bucket), again.BucketTags(bucket)); diff != "" || len(again.BucketTags(bucket)) != 1 {
		t.Errorf("bucket tags (-before +after):\n%s", diff)
	}
	if w := do(again, signed(newRequest(t, http.MethodGet, "/?versioning", ""))); !strings.Contains(w.Body.String(), "Enabled") {
		t.Errorf("versioning = %s", w.Body)
	}
	if again.CreateBucket(bucket, "ap-guangzhou") == nil {
		t.Error("the region was forgotten")
	}
	for _, key := range keys { // what can be written can be deleted, and leaves nothing
		must(t, again.DeleteObject(bucket, key))
	}
	must(t, again.DeleteObject(bucket, "versioned"))
	if left, err := os.ReadDir(filepath.Join(dir, bucket)); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestNoFolderIsMadeInVain makes sure that an object that ends up under its hash leaves
// nothing where its name did not fit.
func TestNoFolderIsMadeInVain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openFolder(t, dir)
	must(t, s.CreateBucket(bucket, ""))
	must(t, s.PutObject(bucket, "a/b", coslocal.Object{}))
	must(t, s.PutObject(bucket, "a/b/c/d", coslocal.Object{}))                       // a/b is a file
	must(t, s.PutObject(bucket, "x/y/"+strings.Repeat("n", 300), coslocal.Object{})) // too long for a file system
	must(t, s.PutObject(bucket, "z/"+strings.Repeat("n", 300)+"/z", coslocal.Object{}))
	entries, err := os.ReadDir(filepath.Join(dir, bucket))
	must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"%hash", ".meta", "a"}, names); diff != "" {
		t.Errorf("in the bucket's folder (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(4, len(contents(s))); diff != "" {
		t.Errorf("number of objects (-want +got):\n%s", diff)
	}
}

func TestMetadataIsUTF8(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", t.TempDir()} {
		s := openFolder(t, dir)
		must(t, s.CreateBucket(bucket, ""))
		r := newRequest(t, http.MethodPut, "/k", "v")
		r.Header.Set("x-cos-meta-a", "\xff")
		wantAnswer(t, do(s, signed(r)), http.StatusBadRequest, "InvalidArgument")
		if s.PutObject(bucket, "k", coslocal.Object{Header: http.Header{"Cache-Control": {"a", "\xff"}}}) == nil {
			t.Error("the fixture was taken")
		}
		if keys := s.Keys(bucket, ""); len(keys) > 0 {
			t.Errorf("stored %q", keys)
		}
	}
}

// files returns the files below dir.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	}))
	return names
}

// TestFolderIsReadable is for the person who looks for a record in it.
func TestFolderIsReadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openFolder(t, dir)
	must(t, s.CreateBucket(bucket, ""))
	record := "{\"id\":\"j1\"}\n"
	must(t, s.PutObject(bucket, "ci/jobs/j1.json", coslocal.Object{Body: []byte(record)}))
	text, err := os.ReadFile(filepath.Join(dir, bucket, "ci", "jobs", "j1.json"))
	must(t, err)
	if string(text) != record {
		t.Errorf("the file is not the record: %q", text)
	}
	for key, name := range map[string]string{"目录/文件 1.json": "目录/文件%201.json", ".a/..": "", "b/": "b/%", "%hash/x": "%25hash/x"} {
		err := s.PutObject(bucket, key, coslocal.Object{})
		if name == "" {
			if err == nil {
				t.Errorf("%s was taken", key)
			}
			continue
		}
		must(t, err)
		if _, err := os.Stat(filepath.Join(dir, bucket, filepath.FromSlash(name))); err != nil {
			t.Errorf("key %s: %v", key, err)
		}
	}
}

// newObjectFile returns a folder with the object ci/j1, and where its body is.
func newObjectFile(t testing.TB) (dir, path string, before coslocal.Object) {
	t.Helper()
	dir = t.TempDir()
	s := openFolder(t, dir)
	must(t, s.CreateBucket(bucket, ""))
	must(t, s.PutObject(bucket, "ci/j1", coslocal.Object{
		Body: []byte("old"), ETag: "other-2", LastModified: time.Unix(1e9, 0), Tags: []coslocal.Tag{{Key: "a", Value: "b"}},
		Header: http.Header{"Content-Type": {"text/plain"}},
	}))
	before, _ = s.Object(bucket, "ci/j1")
	must(t, s.Close())
	return dir, filepath.Join(dir, bucket, "ci", "j1"), before
}

// TestKillBeforeRename leaves what a kill leaves before the first rename: files half
// written, and the object as it was.
func TestKillBeforeRename(t *testing.T) {
	t.Parallel()
	dir, path, before := newObjectFile(t)
	body, err := os.ReadFile(path)
	must(t, err)
	for i := range len(body) + 1 {
		must(t, os.WriteFile(filepath.Join(dir, bucket, fmt.Sprintf(".tmp-%d", i)), body[:i], 0o600))
		must(t, os.WriteFile(filepath.Join(dir, bucket, ".meta", fmt.Sprintf(".tmp-%d", i)), body[:i], 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, bucket, ".DS_Store"), []byte("x"), 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, bucket, ".git", "refs"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, bucket, ".git", "HEAD"), []byte("x"), 0o600))
	if diff := cmp.Diff(map[string]coslocal.Object{"ci/j1": before}, contents(openFolder(t, dir))); diff != "" {
		t.Errorf("objects (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff([]string{".DS_Store", ".git/HEAD", ".meta/ci/j1", "ci/j1"}, files(t, filepath.Join(dir, bucket))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestKillBetweenRenames leaves a new body beside the metadata of the old one: the object
// is the new one, and has no tags, as after an overwrite.
func TestKillBetweenRenames(t *testing.T) {
	t.Parallel()
	dir, path, _ := newObjectFile(t)
	must(t, os.WriteFile(path, []byte("new"), 0o600))
	s := openFolder(t, dir)
	o, ok := s.Object(bucket, "ci/j1")
	if !ok || string(o.Body) != "new" || o.ETag != `"22af645d1859cb5ca6da0c484f1f37ea"` || len(o.Tags) != 0 ||
		time.Since(o.LastModified) > time.Hour || o.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("object %+v", o)
	}
	must(t, s.SetTags(bucket, "ci/j1", []coslocal.Tag{{Key: "c", Value: "d"}}))
	must(t, s.Close())
	if o, _ := openFolder(t, dir).Object(bucket, "ci/j1"); len(o.Tags) != 1 || string(o.Body) != "new" {
		t.Errorf("tagged since: %+v", o)
	}
}

// TestKillDuringDelete leaves metadata without an object, which is taken away.
func TestKillDuringDelete(t *testing.T) {
	t.Parallel()
	dir, path, _ := newObjectFile(t)
	must(t, os.Remove(path))
	s := openFolder(t, dir)
	if left := files(t, filepath.Join(dir, bucket)); len(s.Keys(bucket, "")) != 0 || len(left) != 0 {
		t.Errorf("keys %q, files %q", s.Keys(bucket, ""), left)
	}
	must(t, s.PutObject(bucket, "ci/j1/below", coslocal.Object{}))
	if diff := cmp.Diff([]string{".meta/ci/j1/below", "ci/j1/below"}, files(t, filepath.Join(dir, bucket))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestFileOfSomebody takes a file that was put into the folder for an object.
func TestFileOfSomebody(t *testing.T) {
	t.Parallel()
	dir, _, before := newObjectFile(t)
	must(t, os.WriteFile(filepath.Join(dir, bucket, "a b.txt"), []byte("by hand"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, bucket, ".meta", "a b.txt"), []byte("no JSON"), 0o600))
	s := openFolder(t, dir)
	if o, ok := s.Object(bucket, "a b.txt"); !ok || string(o.Body) != "by hand" || o.ETag == "" || o.Tags != nil {
		t.Errorf("object %+v", o)
	}
	if o, _ := s.Object(bucket, "ci/j1"); !cmp.Equal(o, before) {
		t.Errorf("the other: %+v", o)
	}
	must(t, s.PutObject(bucket, "a b.txt", coslocal.Object{Body: []byte("by the server")}))
	must(t, s.Close())
	if o, _ := openFolder(t, dir).Object(bucket, "a b.txt"); string(o.Body) != "by the server" {
		t.Errorf("overwritten: %+v", o)
	}
}

// TestFileChanges notices that somebody writes to an object's file under the server's
// eyes: the body would not be the one of its ETag.
func TestFileChanges(t *testing.T) {
	t.Parallel()
	dir, path, _ := newObjectFile(t)
	s := openFolder(t, dir)
	must(t, os.WriteFile(path, []byte("new"), 0o600))
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodGet, "/ci/j1", ""))), http.StatusInternalServerError, "InternalError")
}

// TestFolderNamesWhatItCannotRead makes sure that a file that can be no object is named,
// and not passed over.
func TestFolderNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"escape": "%zz", "slash": "a%2Fb", "dots": "%2E%2E", "hash": "%hash/0123", "second_of_a_name": "ci/%6A1",
	} {
		dir, _, _ := newObjectFile(t)
		path := filepath.Join(dir, bucket, filepath.FromSlash(file))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, nil, 0o600))
		if _, err := coslocal.New(coslocal.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "move it out of the folder") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	dir := t.TempDir()
	settings := filepath.Join(dir, bucket+".json")
	must(t, os.WriteFile(settings, []byte("{"), 0o600))
	if _, err := coslocal.New(coslocal.Options{Dir: dir}); err == nil {
		t.Error("took settings that are not JSON")
	}
	must(t, os.WriteFile(settings, []byte("{}"), 0o600))
	if _, err := coslocal.New(coslocal.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("a bucket of the format before this one: %v", err)
	}
	must(t, os.Remove(settings))
	must(t, os.Mkdir(settings, 0o755))
	if _, err := coslocal.New(coslocal.Options{Dir: dir}); err == nil {
		t.Error("took settings that cannot be read")
	}
	must(t, os.Remove(settings))
	openFolder(t, dir) // which the failure left unlocked
}

// TestDiskFails makes sure that what could not be kept is not answered with 200, and is
// not there.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openFolder(t, dir)
	must(t, s.CreateBucket(bucket, ""))
	must(t, s.PutObject(bucket, "gone", coslocal.Object{Body: []byte("v")}))
	must(t, os.RemoveAll(filepath.Join(dir, bucket)))
	must(t, os.WriteFile(filepath.Join(dir, bucket), nil, 0o600)) // where the folder was
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodPut, "/k", "v"))), http.StatusInternalServerError, "InternalError")
	if _, ok := s.Object(bucket, "k"); ok {
		t.Error("the object is there all the same")
	}
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodGet, "/gone", ""))), http.StatusInternalServerError, "InternalError")
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodDelete, "/gone?tagging", ""))), http.StatusInternalServerError, "InternalError")
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodPut, "/?tagging", "<Tagging><TagSet/></Tagging>"))), http.StatusInternalServerError, "InternalError")
	if s.SetVersioning(bucket, "Enabled") == nil {
		t.Error("versioning was set although it could not be kept")
	}
	if w := do(s, signed(newRequest(t, http.MethodGet, "/?versioning", ""))); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "Enabled") {
		t.Errorf("versioning that could not be kept: %s", w.Body)
	}
}

// TestDiskFailsBetweenTheTwoFiles stores a new body whose metadata cannot be written: the
// client is told, and the object is what the disk holds.
func TestDiskFailsBetweenTheTwoFiles(t *testing.T) {
	t.Parallel()
	dir, _, _ := newObjectFile(t)
	s := openFolder(t, dir)
	metadata := filepath.Join(dir, bucket, ".meta", "ci", "j1")
	must(t, os.Remove(metadata))
	must(t, os.MkdirAll(filepath.Join(metadata, "in the way"), 0o755))
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodPut, "/ci/j1", "new"))), http.StatusInternalServerError, "InternalError")
	now, _ := s.Object(bucket, "ci/j1")
	must(t, s.Close())
	again, _ := openFolder(t, dir).Object(bucket, "ci/j1")
	if string(now.Body) != "new" || len(now.Tags) != 0 || now.ETag != again.ETag || string(again.Body) != "new" {
		t.Errorf("before the restart %+v, after it %+v", now, again)
	}
}

// TestDiskKeepsFile cannot delete an object's file: the client is told, and the object stays.
func TestDiskKeepsFile(t *testing.T) {
	t.Parallel()
	dir, body, _ := newObjectFile(t)
	s := openFolder(t, dir)
	must(t, os.Remove(body))
	must(t, os.MkdirAll(filepath.Join(body, "in the way"), 0o755))
	wantAnswer(t, do(s, signed(newRequest(t, http.MethodDelete, "/ci/j1", ""))), http.StatusInternalServerError, "InternalError")
	if w := deleteMultiple(t, s, "<Object><Key>ci/j1</Key></Object>"); !strings.Contains(w.Body.String(), "<Error><Key>ci/j1</Key><Code>InternalError</Code>") {
		t.Errorf("POST ?delete: %s", w.Body)
	}
	if err := s.DeleteObject(bucket, "ci/j1"); err == nil {
		t.Error("DeleteObject returned no error")
	}
	if keys := s.Keys(bucket, ""); len(keys) != 1 {
		t.Errorf("left %q", keys)
	}
}

// TestFolderEqualsMemory does the same to a server in memory and to one in a folder,
// which is killed and started again in between, and finds no difference.
func TestFolderEqualsMemory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		o := coslocal.Options{Clock: func() time.Time { return time.Unix(1e9, 0) }}
		memory, err := coslocal.New(o)
		if err != nil {
			t.Fatal(err)
		}
		o.Dir = filepath.Join(root, fmt.Sprint(runs))
		folder, err := coslocal.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = folder.Close() }()
		keys := rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "A", "a/", "b c", "文", strings.Repeat("k", 300)})
		both := func(f func(*coslocal.Server) error) {
			if m, d := f(memory), f(folder); (m == nil) != (d == nil) {
				t.Fatalf("in memory: %v; in a folder: %v", m, d)
			}
		}
		both(func(s *coslocal.Server) error { return s.CreateBucket(bucket, "") })
		for range rapid.IntRange(1, 12).Draw(t, "steps") { // each costs the disk a few syncs
			key := keys.Draw(t, "key")
			switch rapid.SampledFrom([]string{"put", "put", "tag", "delete", "version", "kill"}).Draw(t, "step") {
			case "put":
				body := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "body")
				both(func(s *coslocal.Server) error { return s.PutObject(bucket, key, coslocal.Object{Body: body}) })
			case "tag":
				value := rapid.StringMatching(`[a-z]{0,3}`).Draw(t, "value")
				both(func(s *coslocal.Server) error {
					return s.SetTags(bucket, key, []coslocal.Tag{{Key: "t", Value: value}})
				})
			case "delete":
				both(func(s *coslocal.Server) error { return s.DeleteObject(bucket, key) })
			case "version":
				both(func(s *coslocal.Server) error { return s.SetVersioning(bucket, "Suspended") })
			case "kill":
				_ = folder.Close()
				if folder, err = coslocal.New(o); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(contents(memory), contents(folder)); diff != "" {
				t.Fatalf("(-memory +folder):\n%s", diff)
			}
		}
	})
}
