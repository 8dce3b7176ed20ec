package board_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/ci-callback/ci-callback/internal/testgolden"
	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
)

var pages = testgolden.Open("testdata/pages.html")

// varying is what differs from build to build and from process to process: the hash in
// the address of a file, and the token of a form.
var varying = regexp.MustCompile(`(/static/[a-z]+-)[0-9a-f]{12}|(name="token" value=")[^"]*`)

// TestPagesWhole compares pages, drawings included, with golden ones, byte for byte: the
// same records make the same page.
func TestPagesWhole(t *testing.T) {
	t.Parallel()
	b := newSample(t, 40, func(o *board.Options) { o.Mender = &mender{} })
	for name, target := range map[string]string{
		"overview":       "/",
		"week":           "/?since=168h&tz=Asia/Shanghai",
		"records":        "/records?limit=5",
		"failed":         "/records?state=Failed&limit=3",
		"broken":         "/jobs/" + sample.Broken,
		"replaced":       "/jobs/" + sample.Replaced,
		"failures":       "/failures",
		"rejected":       "/rejected",
		"reconciliation": "/reconciliation",
		"ask_reconcile":  "/reconciliation/run",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := get(t, b, target)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			pages.Compare(t, name, varying.ReplaceAllString(w.Body.String(), "$1$2…"))
		})
	}
}
