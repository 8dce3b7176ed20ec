package testsize_test

import (
	"testing"

	"github.com/ci-callback/ci-callback/internal/testsize"
)

// TestFull sets the environment, so neither it nor its cases run in parallel.
func TestFull(t *testing.T) {
	for _, test := range []struct {
		value string
		full  bool
		size  int
	}{
		{"", false, 3},
		{"0", false, 3},
		{"1", true, 1000},
		{"yes", true, 1000},
	} {
		t.Setenv(testsize.Variable, test.value)
		if got := testsize.Full(); got != test.full {
			t.Errorf("%s=%q: Full() = %t, want %t", testsize.Variable, test.value, got, test.full)
		}
		if got := testsize.Pick(3, 1000); got != test.size {
			t.Errorf("%s=%q: Pick(3, 1000) = %d, want %d", testsize.Variable, test.value, got, test.size)
		}
	}
}
