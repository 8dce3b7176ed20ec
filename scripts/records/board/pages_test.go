package board_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
)

var update = flag.Bool("update", false, "rewrite the pages in testdata/pages")

// varying is what differs from build to build and from process to process: the hash in
// the address of a file, and the token of a form.
var varying = regexp.MustCompile(`(/static/[a-z]+-)[0-9a-f]{12}|(name="token" value=")[^"]*`)

// TestPagesWhole compares pages, drawings included, with those in testdata/pages, byte for
// byte: the same records make the same page.
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
			got := varying.ReplaceAll(w.Body.Bytes(), []byte("$1$2…"))
			path := filepath.Join("testdata", "pages", name+".html")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got, go test -update writes it anew:\n%s", diff)
			}
		})
	}
}
