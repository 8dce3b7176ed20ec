package shell_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/scripts/internal/shell"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	got := shell.Environment([]string{"RECORD_PREFIX=a=b/", "TENCENTCLOUD_SECRETID=id", "TENCENTCLOUD_SESSIONTOKEN=", "odd"})
	want := config.Environment{
		Process:    map[string]string{"RECORD_PREFIX": "a=b/", "TENCENTCLOUD_SECRETID": "id", "TENCENTCLOUD_SESSIONTOKEN": "", "odd": ""},
		Invocation: map[string]string{"TENCENTCLOUD_SECRETID": "id"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRegion holds the order in which variables say where the function is.
func TestRegion(t *testing.T) {
	t.Parallel()
	var environ []string
	for _, variable := range []string{"", "RECORD_REGION=ap-beijing", "TENCENTCLOUD_REGION=ap-shanghai", "FUNCTION_REGION=ap-guangzhou"} {
		environ = append(environ, variable)
		_, want, _ := strings.Cut(variable, "=")
		if got := shell.Environment(environ).Region; got != want {
			t.Errorf("%q: %q, not %q", environ, got, want)
		}
	}
}
