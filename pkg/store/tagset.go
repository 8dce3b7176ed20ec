package store

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"slices"

	"github.com/ci-callback/ci-callback/pkg/cosclient"
)

// maxTagSetBytes is how much is read of a tag set. COS's own have a few kilobytes.
const maxTagSetBytes = 1 << 20

// checkedTransport keeps the SDK from taking an answer that is no tag set for a set
// without tags.
type checkedTransport struct{ base http.RoundTripper }

// RoundTrip returns an error in the place of a tag set that is none.
func (t checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(r)
	if err != nil || response.StatusCode >= 300 || r.Method != http.MethodGet || !r.URL.Query().Has("tagging") {
		return response, err
	}
	return wholeTagSet(response)
}

// wholeTagSet reads a tag set, or returns ErrNotFromService where the answer is none.
func wholeTagSet(response *http.Response) (*http.Response, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTagSetBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxTagSetBytes || !isTagSet(body):
		return nil, cosclient.ErrNotFromService
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// isTagSet reports whether a body is a tag set: one TagSet, if only an empty one, of tags
// that have keys.
// https://www.tencentcloud.com/document/product/436/35709
func isTagSet(body []byte) bool {
	var tagging struct {
		XMLName xml.Name `xml:"Tagging"`
		TagSet  []struct{ Tag []struct{ Key string } }
	}
	if xml.Unmarshal(body, &tagging) != nil || len(tagging.TagSet) != 1 {
		return false
	}
	return !slices.ContainsFunc(tagging.TagSet[0].Tag, func(t struct{ Key string }) bool { return t.Key == "" })
}
