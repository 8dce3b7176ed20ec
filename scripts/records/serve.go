package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/ci-callback/ci-callback/scripts/records/board"
)

func (t *tool) serveCommand() *cobra.Command {
	var listen string
	var write bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Show the records as pages, on this machine alone",
		Long: "Serves the board: the records as pages, on a loopback address, until Ctrl-C. With\n" +
			"--write it has buttons that receive, tag and reconcile, each after a page that says\n" +
			"what it will do.",
		Example: "  records serve\n  records serve --listen 127.0.0.1:0 --write",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return t.serve(c.Context(), listen, write) },
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9090", "a loopback address; port 0 takes a free one")
	c.Flags().BoolVar(&write, "write", false, "have buttons that write")
	return c
}

func (t *tool) serve(ctx context.Context, listen string, write bool) error {
	if t.format.json || t.format.csv {
		return usageError{errors.New("serve prints no data: leave --json and --csv out")}
	}
	if err := board.CheckAddress(listen); err != nil {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	w, err := t.open()
	if err != nil {
		return err
	}
	o := board.Options{
		Catalog: w.catalog, Bucket: w.config.RecordBucket, Region: w.config.RecordRegion,
		MD5TagKey: w.config.MD5TagKey, Look: board.LookWith(w.store),
		Log: slog.New(slog.NewTextHandler(t.err, nil)),
	}
	if write {
		m, err := w.mender()
		if err != nil {
			return err
		}
		o.Mender = board.MendWith(m)
	}
	b, err := board.New(o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for the board: %w; name another address with --listen, such as 127.0.0.1:0", err)
	}
	fmt.Fprintf(t.out, "http://%s/\n", listener.Addr())
	if write {
		t.say("The board has buttons that write to %s. Ctrl-C ends it.", w.config.RecordBucket)
	} else {
		t.say("The board only shows. Ctrl-C ends it.")
	}
	return b.Serve(ctx, listener)
}
