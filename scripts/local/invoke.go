package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
)

// invoke hands one trigger event from a file to the function and prints what it returns.
func (p *program) invoke(ctx context.Context, file string) error {
	event, err := p.readEvent(file)
	if err != nil {
		return err
	}
	settings := defaultSettings(mediaBucket)
	maps.Copy(settings, shellSettings(p.environment))
	settings["CALLBACK_AUTH"] = "none" // whoever has the event needs no token
	delete(settings, "CALLBACK_TOKEN")
	pl, err := p.open("invoke", settings, nil)
	if err != nil {
		return err
	}
	defer pl.Close()
	if err := pl.start(ctx, p, addresses{cos: "127.0.0.1:0", ci: "127.0.0.1:0"}); err != nil {
		return err
	}
	returned, err := pl.invoke(ctx, event)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s\n", returned)
	return err
}

// readEvent reads the event of a file, or of standard input where it is "-".
func (p *program) readEvent(file string) (event []byte, err error) {
	if file == "-" {
		file = "standard input"
		event, err = io.ReadAll(p.in)
	} else {
		event, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read event: %w", err)
	case bytes.HasPrefix(bytes.TrimSpace(event), []byte("<")):
		return nil, fmt.Errorf("%s holds XML, a callback perhaps: an event holds a callback as the text of its body, see testdata/events/;"+
			" to send a callback itself, use serve", file)
	case !json.Valid(event):
		return nil, fmt.Errorf("%s holds no JSON: a trigger event is a JSON object, see testdata/events/", file)
	}
	return event, nil
}
