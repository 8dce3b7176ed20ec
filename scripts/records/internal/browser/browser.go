// Package browser finds Chromium and starts it without a window, for the board's tests
// and the pictures in the documentation.
package browser

import (
	"context"
	"os"
	"os/exec"

	"github.com/chromedp/chromedp"
)

// Path returns the browser to use: what CI_CALLBACK_BROWSER names, or the first of
// Chromium's usual names that is found; empty where there is none.
func Path() string {
	if path := os.Getenv("CI_CALLBACK_BROWSER"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts a browser and returns a context for chromedp, and how to end it.
func Start(ctx context.Context, path string) (context.Context, context.CancelFunc) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"),
		chromedp.Flag("renderer-process-limit", "1"), // else another is started in advance
	)
	if os.Geteuid() == 0 { // Chromium refuses its sandbox to root
		options = append(options, chromedp.NoSandbox)
	}
	ctx, endBrowser := chromedp.NewExecAllocator(ctx, options...)
	ctx, endTab := chromedp.NewContext(ctx)
	return ctx, func() {
		endTab()
		endBrowser()
	}
}
