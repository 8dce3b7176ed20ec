// Command screenshots takes the pictures of the board that are in the documentation:
//
//	go run ./scripts/records/screenshots            writes docs/images/board-*.png
//	go run ./scripts/records/screenshots -all DIR   writes every page, at two widths, light and dark
//
// It needs Chromium, and shows invented records of a fixed day, so that the pictures are
// the same each time, but for the machine's fonts.
package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/ci-callback/ci-callback/pkg/model"
	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/internal/browser"
	"github.com/ci-callback/ci-callback/scripts/records/internal/sample"
)

func main() {
	all := flag.String("all", "", "a folder for every page, at two widths, light and dark")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *all); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// A shot is a picture of a page.
type shot struct {
	file   string
	path   string
	width  int64
	height int64 // 0 for the whole page
	dark   bool
}

// documentShots are the pictures that the documentation shows.
func documentShots() []shot {
	return []shot{
		{"board-overview.png", "/?tz=UTC", 1280, 900, false},
		{"board-record.png", "/jobs/" + sample.Replaced + "?tz=UTC", 1280, 900, true},
	}
}

// allShots are all pages as a reader may see them.
func allShots() []shot {
	pages := map[string]string{
		"overview":       "/?tz=UTC",
		"records":        "/records?tz=UTC",
		"failed":         "/records?state=Failed&tz=UTC",
		"nothing":        "/records?state=Cancel&tz=UTC",
		"record":         "/jobs/" + sample.Replaced + "?tz=UTC",
		"broken":         "/jobs/" + sample.Broken + "?tz=UTC",
		"failures":       "/failures?tz=UTC",
		"rejected":       "/rejected?tz=UTC",
		"reconciliation": "/reconciliation?tz=UTC",
		"submit":         "/submit?tz=UTC",
		"error":          "/records?since=yesterday&tz=UTC",
	}
	var shots []shot
	for name, path := range pages {
		for _, width := range []int64{360, 1280} {
			for _, dark := range []bool{false, true} {
				theme := "light"
				if dark {
					theme = "dark"
				}
				shots = append(shots, shot{fmt.Sprintf("%s-%d-%s.png", name, width, theme), path, width, 0, dark})
			}
		}
	}
	return shots
}

func run(ctx context.Context, all string) error {
	path := browser.Path()
	if path == "" {
		return fmt.Errorf("no Chromium on PATH: install it, or name it in CI_CALLBACK_BROWSER")
	}
	folder, shots := filepath.Join("docs", "images"), documentShots()
	if all != "" {
		folder, shots = all, allShots()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	address, err := serve(ctx)
	if err != nil {
		return err
	}
	if err := waitUntilRead(ctx, address); err != nil {
		return err
	}
	tab, end := browser.Start(ctx, path)
	defer end()
	for _, s := range shots {
		if err := take(tab, address, folder, s); err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
		fmt.Println(filepath.Join(folder, s.file))
	}
	return nil
}

// serve starts a board of invented records and returns its address.
func serve(ctx context.Context) (string, error) {
	now := time.Date(2026, 11, 27, 19, 12, 0, 0, time.UTC)
	source := sample.New()
	sample.Fill(source, now, 1200)
	b, err := board.New(board.Options{
		Catalog: catalog.New(source, sample.Prefix), Bucket: sample.RecordBucket, Region: sample.Region,
		MD5TagKey: "md5", Zone: time.UTC, Clock: func() time.Time { return now },
		Look: func(_ context.Context, o model.Output) board.OutputNow {
			return board.OutputNow{Size: 18_437_120, LastModified: now.Add(-28 * time.Minute), Tags: []board.Tag{{Key: "md5", Value: o.MD5}}}
		},
		Submit: &board.SubmitForm{Types: []string{"Transcode", "Snapshot"}, Inputs: []string{"input/demo.mp4"},
			Submit: func(context.Context, board.Submission) (string, error) { return sample.Replaced, nil }},
	})
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go b.Serve(ctx, listener)
	return "http://" + listener.Addr().String(), nil
}

// take loads a page and writes its picture.
func take(tab context.Context, address, folder string, s shot) error {
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(tab, emulation.SetEmulatedMedia, media); err != nil {
		return err
	}
	err := chromedp.Do(tab, chromedp.EmulateViewport(s.width, cmp.Or(s.height, 800)), chromedp.Navigate(address+s.path))
	if err != nil {
		return err
	}
	picture := chromedp.CaptureScreenshot()
	if s.height == 0 {
		picture = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(tab, picture)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, s.file), png, 0o644)
}

// waitUntilRead waits until the board has read all records in the background: until then
// its pages say that they are not finished.
func waitUntilRead(ctx context.Context, address string) error {
	for {
		response, err := http.Get(address + "/")
		if err != nil {
			return err
		}
		page, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !bytes.Contains(page, []byte("data-live")) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
