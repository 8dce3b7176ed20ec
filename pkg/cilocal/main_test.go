package cilocal_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes sure that a server leaves nothing running behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
