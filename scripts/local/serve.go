package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/ci-callback/ci-callback/pkg/scflocal"
)

// serve keeps the function running behind an HTTP gateway until ctx ends.
func serve(ctx context.Context, out io.Writer, address, cosAddress string) error {
	p, err := open("serve")
	if err != nil {
		return err
	}
	defer p.Close()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return taken("callbacks", "-listen", err)
	}
	defer listener.Close()
	if err := p.start(ctx, cosAddress); err != nil {
		return err
	}
	if err := p.putOutput(); err != nil {
		return err
	}
	at := listener.Addr().String()
	fmt.Fprintf(out, "The function listens. Send it a callback:\n\n  curl --data-binary @testdata/callbacks/digitalwatermark.xml 'http://%s/?token=%s'\n\n", at, token)
	fmt.Fprintf(out, "Records and tags are in %s, the function's log is %s. Ctrl-C ends it.\n\n", p.objects(), p.log())

	if err := p.serve(ctx, out, listener, 5*time.Second); err != nil {
		return err
	}
	fmt.Fprintln(out, "Ended.")
	return nil
}

// serve sends what comes to the function until ctx or the function ends. After that it
// waits for the answers to what came before, as long as patience.
func (p *platform) serve(ctx context.Context, out io.Writer, listener net.Listener, patience time.Duration) error {
	server := &http.Server{Handler: scflocal.Gateway{Invoke: func(r *http.Request, payload []byte) ([]byte, error) {
		return p.invoke(r, payload, out)
	}}}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case <-ctx.Done():
	case <-p.function.Exited():
		err = fmt.Errorf("the function has ended: see %s for its last words", p.log())
	case err = <-failed:
		return fmt.Errorf("listen for callbacks: %w", err)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	server.Shutdown(closing) // whoever takes longer has been waited for
	return err
}

// invoke sends an event to the function and prints a line of what came of it.
func (p *platform) invoke(r *http.Request, payload []byte, out io.Writer) ([]byte, error) {
	before, started := p.cos.RequestCount(), time.Now()
	// The function must answer even if the client has gone.
	returned, err := p.function.Invoke(context.WithoutCancel(r.Context()), p.settings, payload)
	took := time.Since(started)
	if err != nil {
		fmt.Fprintf(out, "%s  %s\n", time.Now().Format(time.TimeOnly), graphic(err.Error()))
		return nil, err
	}
	response, err := scflocal.ParseResponse(returned)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%s  %s %d  %s  %d COS requests, %.1f ms\n", time.Now().Format(time.TimeOnly), r.Method, response.StatusCode,
		graphic(summary(response.Body)), p.cos.RequestCount()-before, float64(took.Microseconds())/1000)
	return returned, nil
}

// graphic takes out what a terminal would act on instead of showing it: a callback is
// written by others.
func graphic(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, s)
}

// summary tells an answer in a few words.
func summary(body string) string {
	var a struct {
		Service string
		Error   struct{ Code, Message string }
		Results []struct {
			Kind, ID, State, Outcome string
			Tags                     []struct{ Object, Outcome, Reason string }
		}
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return "(no JSON)"
	}
	switch {
	case a.Error.Code != "":
		return a.Error.Code + ": " + a.Error.Message
	case len(a.Results) == 1:
		r := a.Results[0]
		s := fmt.Sprintf("%s %s %s: %s", r.Kind, r.ID, r.State, r.Outcome)
		for _, t := range r.Tags {
			s += fmt.Sprintf(", %s %s %s", t.Object, t.Outcome, t.Reason)
		}
		return s
	case len(a.Results) > 1:
		return fmt.Sprintf("%d jobs", len(a.Results))
	default:
		return a.Service
	}
}

// invoke hands one trigger event from a file to the function and prints what it returns.
func invoke(ctx context.Context, in io.Reader, out io.Writer, file string) error {
	var event []byte
	var err error
	if file == "-" {
		file = "standard input"
		event, err = io.ReadAll(in)
	} else {
		event, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read event: %w", err)
	case !json.Valid(event):
		return fmt.Errorf("%s holds no JSON: a trigger event is a JSON object, see testdata/events/", file)
	}
	p, err := open("invoke")
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.start(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	p.settings.Environment["CALLBACK_AUTH"] = "none" // who has the event needs no token
	returned, err := p.function.Invoke(ctx, p.settings, event)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", returned)
	return err
}
