package printable_test

import (
	"testing"

	"github.com/ci-callback/ci-callback/internal/printable"
)

// TestTruncate cuts between characters.
func TestTruncate(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]string{0: "…", 1: "…", 2: "…", 3: "日…", 5: "日…", 6: "日本"} {
		if got := printable.Truncate("日本", most); got != want {
			t.Errorf("%d bytes: %q, want %q", most, got, want)
		}
	}
	if got := printable.Truncate("\x80\x80\x80", 2); got != "…" { // no text, and no first byte to cut before
		t.Errorf("%q", got)
	}
}

// TestText replaces what a terminal would obey, and cuts between characters too.
func TestText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\x1b[31mb": "a\uFFFD[31…", "a\nb": "a\uFFFDb", "日本語日本": "日本…", "plain": "plain",
	} {
		if got := printable.Text(text, 7); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
