package ci

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzSplitElements holds the splitting against encoding/xml: whatever that reads as a
// document is taken apart in the same way, and nothing makes it panic.
func FuzzSplitElements(f *testing.F) {
	samples, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(samples) == 0 {
		f.Fatalf("%d samples: %v", len(samples), err)
	}
	for _, sample := range samples {
		body, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, body := range []string{
		"<Response/>", "<Response></Response>", "<Response ><a b='>' c=\"'\"/><a/></Response >", "<a><![CDATA[</a>]]></a>",
		"<!-- <b> --><a><!-- </a> --></a><!-- -->", "<?xml version='1.0'?><a><b><a></a></b></a>", "<a>]]></a>", "\ufeff<a/>", "<a><b></a></b>", "<a//>",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, elements, err := splitElements(body)
		wantRoot, want, wantErr := splitByDecoder(body)
		if wantErr != nil {
			return // it may be taken apart all the same: whoever reads the parts checks them
		}
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if root != wantRoot || len(elements) != len(want) {
			t.Fatalf("%q: root %q with %d elements, want %q with %q", body, root, len(elements), wantRoot, want)
		}
		for i, e := range elements {
			if !bytes.Equal(e.raw, want[i]) {
				t.Errorf("element %d is %q, want %q", i, e.raw, want[i])
			}
			ChildText(e.raw, "a")
		}
	})
}

// errBeyond means that a document is beyond what CI writes and splitElements takes.
var errBeyond = errors.New("it has a DOCTYPE, another encoding, or too many elements")

// splitByDecoder is splitElements by encoding/xml.
func splitByDecoder(body []byte) (root string, elements [][]byte, err error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	d := xml.NewDecoder(bytes.NewReader(body))
	depth := 0
	var start int64
	for {
		before := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) && root != "" && depth == 0 {
			return root, elements, nil
		}
		if err != nil {
			return "", nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth == 0 && root != "" || token.Name.Space != "" {
				return "", nil, errBeyond
			}
			if depth == 0 {
				root = token.Name.Local
			}
			if depth == 1 {
				start = before
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 1 {
				elements = append(elements, body[start:d.InputOffset()])
			}
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(token)) > 0 {
				return "", nil, errBeyond
			}
		case xml.Directive:
			return "", nil, errBeyond
		case xml.ProcInst:
			if bytes.Contains(bytes.ToLower(token.Inst), []byte("encoding")) {
				return "", nil, errBeyond
			}
		}
		if len(elements) > maxElements {
			return "", nil, errBeyond
		}
	}
}
