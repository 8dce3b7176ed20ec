package coslocal

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// folder keeps the objects of one bucket, each in a file that is its body, byte for byte.
// What else belongs to an object is in a second file.
//
//	<dir>/.lock                           locked while a server has the folder
//	<dir>/<bucket>.json                   the bucket's settings
//	<dir>/<bucket>/ci/jobs/j1.json        the body of the object ci/jobs/j1.json
//	<dir>/<bucket>/.meta/ci/jobs/j1.json  its metadata and tags, as JSON
//	<dir>/<bucket>/%hash/<sha256 of key>  an object whose own name is not possible, such
//	                                      as a/b beside a, or one that is too long
//	<dir>/<bucket>/.tmp-*                 being written, or left by a kill
//
// In file names, characters that some file system does not take are escaped as %XX.
//
// The first file is what counts. The second holds the MD5 of the body that it belongs to,
// and is passed over beside another: after a kill between the two, or where somebody
// wrote into the folder, the object has the new body and no tags, as after any overwrite.
// A file that somebody puts there is an object of its name.
type folder struct {
	root     string // of the bodies
	metadata string // the folder of the second files, below root
	settings string
}

const (
	// temporary begins the name of a file that is not complete yet.
	temporary = ".tmp-"
	// hashed is the folder of objects that cannot have their own name. It cannot be an
	// escaped part of a key: there a % is followed by two digits.
	hashed = "%hash"
	// folderFormat is what bucket settings say of the layout. Until 1, one file held the
	// body and the rest.
	folderFormat = 2
)

func newFolder(dir, bucket string) *folder {
	root := filepath.Join(dir, bucket)
	return &folder{root: root, metadata: filepath.Join(root, ".meta"), settings: filepath.Join(dir, bucket+".json")}
}

// fileMetadata is what the second file of an object holds.
type fileMetadata struct {
	Key          string      `json:"key"`
	MD5          string      `json:"md5"` // of the body that this belongs to
	ETag         string      `json:"etag"`
	LastModified time.Time   `json:"lastModified"`
	VersionID    string      `json:"versionId,omitempty"`
	Header       http.Header `json:"header,omitempty"`
	Tags         []Tag       `json:"tags,omitempty"`
}

// write stores o where old is, or finds a place for it, and lets go of the body in
// memory. It reports whether the body was stored; with an error, the object has lost its
// metadata.
func (f *folder) write(o, old *object) (stored bool, err error) {
	body, err := writeTemp(f.root, o.body)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(body) }() // it is not there any more where all went well
	metadata, err := f.writeTempMetadata(o)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(metadata) }()
	if old != nil {
		o.path = old.path
	} else if o.path, err = f.choosePath(o.key); err != nil {
		return false, err
	}
	if f.isHashed(o.path) { // only its metadata tells the key
		if err := os.Rename(metadata, f.metadataPath(o.path)); err != nil {
			return false, err
		}
		err = os.Rename(body, o.path)
		stored = err == nil
	} else {
		if err := os.Rename(body, o.path); err != nil {
			return false, err
		}
		stored = true
		err = os.Rename(metadata, f.metadataPath(o.path))
	}
	syncFolder(filepath.Dir(o.path))
	syncFolder(filepath.Dir(f.metadataPath(o.path)))
	o.body = nil
	return stored, err
}

// writeMetadata replaces what belongs to an object besides its body.
func (f *folder) writeMetadata(o *object) error {
	metadata, err := f.writeTempMetadata(o)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(metadata) }()
	path := f.metadataPath(o.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Rename(metadata, path); err != nil {
		return err
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// writeTempMetadata writes the second file of an object under a temporary name.
func (f *folder) writeTempMetadata(o *object) (path string, err error) {
	text, err := json.MarshalIndent(fileMetadata{
		o.key, hex.EncodeToString(o.md5[:]), o.etag, o.modified, o.version, o.header, o.tags,
	}, "", "  ")
	if err != nil {
		return "", err
	}
	return writeTemp(f.metadata, append(text, '\n'))
}

// metadataPath returns where the second file of an object is, for the path of the first.
func (f *folder) metadataPath(path string) string {
	return filepath.Join(f.metadata, strings.TrimPrefix(path, f.root))
}

// isHashed reports whether an object is not under its own name.
func (f *folder) isHashed(path string) bool {
	return filepath.Dir(path) == filepath.Join(f.root, hashed)
}

// choosePath returns where a person would look for a new key and, where that cannot be,
// the key's hash. Both files can be renamed to there.
func (f *folder) choosePath(key string) (string, error) {
	path := filepath.Join(f.root, filepath.FromSlash(fileName(key)))
	if f.prepare(path) == nil {
		return path, nil
	}
	f.removeEmptyDirs(path) // what was made on the way there
	sum := sha256.Sum256([]byte(key))
	path = filepath.Join(f.root, hashed, hex.EncodeToString(sum[:]))
	return path, f.prepare(path)
}

// prepare makes the folders for a new object, and returns an error where something is in
// its place already: on a file system that takes a.json for A.json it would be another
// object's. The bucket's lock keeps others from making it in between.
func (f *folder) prepare(path string) error {
	for _, file := range []string{path, f.metadataPath(path)} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fs.ErrExist
	}
	if info, err := os.Lstat(f.metadataPath(path)); err == nil && info.IsDir() {
		return fs.ErrExist
	}
	return nil
}

// fileName escapes in a key what some file system does not take, and a dot at the start
// or the end of a name, so that nothing is hidden or leads out of the folder.
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

// isFileNameRune reports whether every file system takes r in a name.
func isFileNameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isUnreserved(byte(r)) || strings.ContainsRune("+,=@()", r)
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// keyOfName is the reverse of fileName. It also takes names that need not be escaped on
// the file system where somebody made them.
func keyOfName(name string) (string, error) {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		if segment == "%" {
			segments[i] = ""
			continue
		}
		unescaped, err := url.PathUnescape(segment)
		if err != nil || strings.Contains(unescaped, "/") {
			return "", errors.New("its name is not that of an object")
		}
		segments[i] = unescaped
	}
	key := strings.Join(segments, "/")
	return key, checkKey(key)
}

// writeTemp writes a file that no reader looks at yet, and has it on the disk when it
// returns.
func writeTemp(dir string, content []byte) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return "", err
	}
	if _, err = file.Write(content); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// syncFolder asks the system to keep a rename over a power cut too. Not every system can,
// and after a kill the rename is kept anyway, so that a failure does not matter.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// remove deletes the files of an object, the one that counts first, and the folders that
// they leave empty.
func (f *folder) remove(o *object) error {
	for _, path := range []string{o.path, f.metadataPath(o.path)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f.removeEmptyDirs(o.path)
	return nil
}

// removeEmptyDirs removes the folders above the two files of an object, as far as they
// are there and empty.
func (f *folder) removeEmptyDirs(path string) {
	for _, dir := range []string{filepath.Dir(f.metadataPath(path)), filepath.Dir(path)} {
		for ; dir != f.root; dir = filepath.Dir(dir) {
			info, err := os.Lstat(dir)
			if err == nil && (!info.IsDir() || os.Remove(dir) != nil) { // another object's file, or not empty
				break
			}
		}
	}
}

// writeSettings keeps the settings of the bucket.
func (f *folder) writeSettings(s bucketSettings) error {
	s.Format = folderFormat
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	staged, err := writeTemp(f.root, append(text, '\n'))
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
	body, err := os.ReadFile(o.path)
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", o.key, err)
	}
	if md5.Sum(body) != o.md5 {
		return nil, fmt.Errorf("read object %s: somebody else wrote to its file %s", o.key, o.path)
	}
	return body, nil
}

// openBuckets reads what is in dir. A bucket is there when its settings are.
func openBuckets(dir string) (map[string]*bucket, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	buckets := map[string]*bucket{}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok || !isBucketName(name) {
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

// load reads the settings and the objects of a bucket.
func (b *bucket) load() error {
	text, err := os.ReadFile(b.folder.settings)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.settings); err != nil {
		return fmt.Errorf("read %s: %w", b.folder.settings, err)
	}
	if b.settings.Format != folderFormat {
		return fmt.Errorf("read %s: another version of this program wrote it: delete it, and the folder %s",
			b.folder.settings, b.folder.root)
	}
	if err := walkFiles(b.folder.root, b.loadObject); err != nil {
		return err
	}
	return walkFiles(b.folder.metadata, b.removeOrphan)
}

// walkFiles calls do for each file below root. What a kill left half written is deleted,
// and what else is hidden, a .git for example, is passed over.
func walkFiles(root string, do func(path string) error) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".")
		switch {
		case entry.IsDir() && hidden && path != root:
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case strings.HasPrefix(entry.Name(), temporary):
			return os.Remove(path)
		case hidden:
			return nil
		}
		return do(path)
	})
	if errors.Is(err, fs.ErrNotExist) { // nothing was ever written
		return nil
	}
	return err
}

// loadObject takes up one object.
func (b *bucket) loadObject(path string) error {
	o, err := b.folder.readObject(path)
	if err == nil && b.objects[o.key] != nil {
		err = fmt.Errorf("%s holds an object of this name too", b.objects[o.key].path)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w: move it out of the folder", path, err)
	}
	b.objects[o.key] = o
	return nil
}

// removeOrphan deletes metadata without an object, which a kill left.
func (b *bucket) removeOrphan(path string) error {
	body := filepath.Join(b.folder.root, strings.TrimPrefix(path, b.folder.metadata))
	if _, err := os.Lstat(body); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Remove(path)
}

// readObject reads an object and, where it belongs to it, what is beside its body.
func (f *folder) readObject(path string) (*object, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	m := f.readMetadata(path)
	key, err := f.readKey(path, m)
	if err != nil {
		return nil, err
	}
	o := newObject(key, body, info.ModTime())
	o.body, o.path, o.header = nil, path, storedHeader(nil)
	if m.MD5 == hex.EncodeToString(o.md5[:]) && m.Key == key {
		o.etag, o.modified, o.version, o.header, o.tags = m.ETag, m.LastModified, m.VersionID, m.Header, m.Tags
	}
	return o, nil
}

// readMetadata returns what the second file of an object holds, nothing where there is
// none or it cannot be read.
func (f *folder) readMetadata(path string) fileMetadata {
	var m fileMetadata
	text, err := os.ReadFile(f.metadataPath(path))
	if err != nil || json.Unmarshal(bytes.TrimSpace(text), &m) != nil {
		return fileMetadata{}
	}
	return m
}

// readKey returns the key of an object, from its file's name where that is not a hash.
func (f *folder) readKey(path string, m fileMetadata) (string, error) {
	name := filepath.ToSlash(strings.TrimPrefix(path, f.root+string(filepath.Separator)))
	if !f.isHashed(path) {
		return keyOfName(name)
	}
	sum := sha256.Sum256([]byte(m.Key))
	if name != hashed+"/"+hex.EncodeToString(sum[:]) {
		return "", errors.New("there is no metadata that tells its name")
	}
	return m.Key, checkKey(m.Key)
}
