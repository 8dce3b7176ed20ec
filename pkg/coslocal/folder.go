package coslocal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// folder keeps the objects of one bucket, each in one file: the body, a newline, and one line of JSON with the rest. One
// rename therefore changes all of it, and a person finds the object ci/jobs/j1.json in the file ci/jobs/j1.json.
//
//	<dir>/.lock                            locked while a server has the folder
//	<dir>/<bucket>.json                    the bucket's settings
//	<dir>/<bucket>/ci/jobs/j1.json         an object; characters that file names should not have are escaped as %XX
//	<dir>/<bucket>/%hash/<sha256 of key>   an object whose own name is taken or not possible, such as a/b beside a
//	<dir>/<bucket>/.tmp-*                  being written, or left by a kill
//
// The key in the file counts, not the file's name.
type folder struct {
	root     string
	settings string
}

const (
	temporary = ".tmp-"
	// hashed cannot be an escaped segment: there a % is followed by two digits.
	hashed = "%hash"
)

func newFolder(dir, bucket string) *folder {
	return &folder{root: filepath.Join(dir, bucket), settings: filepath.Join(dir, bucket+".json")}
}

// fileTail is the last line of an object's file. Size tells where the body ends.
type fileTail struct {
	Size         int64       `json:"size"`
	Key          string      `json:"key"`
	ETag         string      `json:"etag"`
	CRC64        uint64      `json:"crc64,string"`
	LastModified time.Time   `json:"lastModified"`
	VersionID    string      `json:"versionId,omitempty"`
	Header       http.Header `json:"header,omitempty"`
	Tags         []Tag       `json:"tags,omitempty"`
}

// write stores o where old is, or finds a place for it, and lets go of the body in memory.
func (f *folder) write(o, old *object) error {
	tail, err := json.Marshal(fileTail{o.size, o.key, o.etag, o.crc, o.modified, o.version, o.header, o.tags})
	if err != nil {
		return err
	}
	staged, err := stage(f.root, o.body, []byte("\n"), tail, []byte("\n"))
	if err != nil {
		return err
	}
	if old != nil {
		o.path = old.path
		err = os.Rename(staged, o.path)
	} else {
		o.path, err = f.place(staged, o.key)
	}
	if err != nil {
		_ = os.Remove(staged)
		return err
	}
	syncFolder(filepath.Dir(o.path))
	o.body = nil
	return nil
}

// place moves a staged file to where a person would look for the key, and if that cannot be, to the key's hash.
func (f *folder) place(staged, key string) (string, error) {
	path := filepath.Join(f.root, filepath.FromSlash(fileName(key)))
	if moveNew(staged, path) == nil {
		return path, nil
	}
	f.prune(filepath.Dir(path)) // what was made on the way there
	sum := sha256.Sum256([]byte(key))
	path = filepath.Join(f.root, hashed, hex.EncodeToString(sum[:]))
	return path, moveNew(staged, path)
}

// moveNew never replaces a file: on a file system that takes a.json for A.json it would be another object's. The bucket's
// lock keeps others from making it in between.
func moveNew(staged, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fs.ErrExist
	}
	return os.Rename(staged, path)
}

// fileName escapes what some file system does not take, and a leading dot, so that nothing is hidden or climbs out.
func fileName(key string) string {
	var b strings.Builder
	for i, segment := range strings.Split(key, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		if segment == "" { // of a//b or a/
			b.WriteByte('%')
		}
		for j, r := range segment {
			if isFileNameRune(r) && !(r == '.' && (j == 0 || j == len(segment)-1)) {
				b.WriteRune(r)
				continue
			}
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	return b.String()
}

func isFileNameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isUnreserved(byte(r)) || strings.ContainsRune("+,=@()", r)
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// stage writes a file that no reader looks at yet, and has it on the disk when it returns.
func stage(dir string, parts ...[]byte) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return "", err
	}
	for _, part := range parts {
		if err == nil {
			_, err = file.Write(part)
		}
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// syncFolder asks the system to keep a rename over a power cut too. Not every one can, and a kill needs no more than the
// rename, so a failure is none.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// remove deletes the file and the folders that it leaves empty.
func (f *folder) remove(o *object) error {
	if err := os.Remove(o.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.prune(filepath.Dir(o.path))
	return nil
}

// prune removes dir and the folders above it, as far as they are there and empty.
func (f *folder) prune(dir string) {
	for ; dir != f.root; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err == nil && (!info.IsDir() || os.Remove(dir) != nil) { // another object's file, or not empty
			return
		}
	}
}

func (f *folder) writeSettings(s bucketSettings) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	staged, err := stage(f.root, text, []byte("\n"))
	if err != nil {
		return err
	}
	if err := os.Rename(staged, f.settings); err != nil {
		_ = os.Remove(staged)
		return err
	}
	syncFolder(filepath.Dir(f.settings))
	return nil
}

// content returns the body, from memory or from the file.
func (o *object) content() ([]byte, error) {
	if o.path == "" {
		return o.body, nil
	}
	file, err := os.Open(o.path)
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", o.key, err)
	}
	defer func() { _ = file.Close() }()
	body := make([]byte, o.size)
	if _, err := io.ReadFull(file, body); err != nil {
		return nil, fmt.Errorf("read object %s: %w", o.key, err)
	}
	return body, nil
}

// openBuckets reads what is in dir; a bucket is there when its settings are.
func openBuckets(dir string) (map[string]*bucket, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	buckets := map[string]*bucket{}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok || !bucketName.MatchString(name) {
			continue
		}
		b := newBucket(name, dir)
		if err := b.load(); err != nil {
			return nil, err
		}
		buckets[name] = b
	}
	return buckets, nil
}

func (b *bucket) load() error {
	text, err := os.ReadFile(b.folder.settings)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.settings); err != nil {
		return fmt.Errorf("read %s: %w", b.folder.settings, err)
	}
	err = filepath.WalkDir(b.folder.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return b.loadEntry(path, entry)
	})
	if errors.Is(err, fs.ErrNotExist) { // no object was ever written
		return nil
	}
	return err
}

// loadEntry takes up one object. What a kill left half written goes; what else is hidden, a .git for example, is none of
// ours.
func (b *bucket) loadEntry(path string, entry fs.DirEntry) error {
	hidden := strings.HasPrefix(entry.Name(), ".")
	switch {
	case entry.IsDir() && hidden:
		return fs.SkipDir
	case entry.IsDir():
		return nil
	case strings.HasPrefix(entry.Name(), temporary):
		return os.Remove(path)
	case hidden:
		return nil
	}
	o, err := readObjectFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w: it was not written here; move it out of the folder", path, err)
	}
	b.objects[o.key] = o
	return nil
}

func readObjectFile(path string) (*object, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	line, before, err := lastLine(file)
	if err != nil {
		return nil, err
	}
	var t fileTail
	if err := json.Unmarshal(line, &t); err != nil {
		return nil, err
	}
	if t.Key == "" || t.Size != before-1 {
		return nil, errors.New("its last line does not describe an object of its size")
	}
	return &object{
		key: t.Key, size: t.Size, path: path, header: t.Header, etag: t.ETag, crc: t.CRC64,
		modified: t.LastModified, version: t.VersionID, tags: t.Tags,
	}, nil
}

// lastLine returns the last line, without its newline, and how many bytes come before it.
func lastLine(file *os.File) (line []byte, before int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	size := info.Size()
	for span := int64(4 << 10); ; span *= 8 {
		span = min(span, size)
		chunk := make([]byte, span)
		if _, err := file.ReadAt(chunk, size-span); err != nil {
			return nil, 0, err
		}
		chunk = bytes.TrimSuffix(chunk, []byte("\n"))
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return chunk[i+1:], size - span + int64(i) + 1, nil
		}
		if span == size {
			return nil, 0, errors.New("it has no last line")
		}
	}
}
