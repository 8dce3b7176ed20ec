package store

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
)

// mostAnswer is how much is read of an answer that is no record: an error, or a tag set.
// COS's own have a few kilobytes.
const mostAnswer = 1 << 20

// guard keeps the SDK from what it would take as it comes: an error of any length is
// read into memory, and an answer that is no tag set is a set without tags.
type guard struct{ base http.RoundTripper }

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := g.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	done, tags := response.StatusCode < 300, r.URL.Query().Has("tagging")
	switch {
	case done && tags && r.Method == http.MethodGet:
		return wholeTagSet(response)
	case done && r.Method == http.MethodGet: // whoever reads an object has a limit of its own
	default:
		response.Body = limited{io.LimitReader(response.Body, mostAnswer), response.Body}
	}
	return response, nil
}

// limited is a body that is not read to its end.
type limited struct {
	io.Reader
	io.Closer
}

// wholeTagSet reads a tag set, or gives errUnreadable where the answer is none.
func wholeTagSet(response *http.Response) (*http.Response, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > mostAnswer || !isTagSet(body):
		return nil, errUnreadable
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// isTagSet tells a tag set: one TagSet, if only an empty one, of tags that have keys.
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
