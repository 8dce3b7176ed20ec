package coslocal

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFileName looks for a key whose file is not found again by its name, or is outside
// the bucket's folder.
func FuzzFileName(f *testing.F) {
	for _, key := range []string{"a", "a/b", "a//b", "a/", ".a", "a.", "%", "%41", "a%", "%hash/x", "目录/文 件", "a\\b", "a:b", "..a/b.."} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkKey(key) != nil {
			return
		}
		name := fileName(key)
		if got, err := keyOfName(name); got != key || err != nil {
			t.Errorf("key %q has the file %q, which is read as %q, %v", key, name, got, err)
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) || strings.HasPrefix(name, hashed+"/") {
			t.Errorf("key %q has the file %q", key, name)
		}
		for part := range strings.SplitSeq(name, "/") {
			if part == "" || part[0] == '.' {
				t.Errorf("key %q has the file %q", key, name)
			}
		}
	})
}
