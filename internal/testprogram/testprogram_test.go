package testprogram_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/ci-callback/ci-callback/internal/testprogram"
)

var (
	greet  = testprogram.New("./testdata/greet", "-ldflags", "-X main.name=Ada")
	broken = testprogram.New("./testdata/missing")
)

func TestMain(m *testing.M) { testprogram.Main(m) }

func TestNew(t *testing.T) {
	t.Parallel()
	path, err := greet()
	if err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), path, "and", "Bob").Output(); err != nil || string(said) != "Ada and Bob" {
		t.Errorf("it says %q, %v", said, err)
	}
	if again, err := greet(); again != path || err != nil {
		t.Errorf("the second time it is %q, %v, not %q", again, err, path)
	}
	if path, err := broken(); err == nil || !strings.Contains(err.Error(), "testdata/missing") {
		t.Errorf("a program that is not there: %q, %v", path, err)
	}
}
