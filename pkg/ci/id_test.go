package ci_test

import (
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/ci"
)

// TestIsID holds which texts can be the id of a job, at the exact limits.
func TestIsID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "z", "A", "Z", "0", "9", "_", "-", "j1", strings.Repeat("x", 64)} {
		if !ci.IsID(id) {
			t.Errorf("%q is an id", id)
		}
	}
	for _, id := range []string{"", "`", "{", "@", "[", "/", ":", "é", "a b", "a,b", "../a", strings.Repeat("x", 65)} {
		if ci.IsID(id) {
			t.Errorf("%q is no id", id)
		}
	}
}
