package store_test

import (
	"net/http"
	"testing"

	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/store"
)

// Something that speaks COS, but has neither request ids nor ETags, is not believed when
// it says that it did a thing: that is read again. The end is right all the same.
func TestCOSWithoutHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Inject(coslocal.Fault{Header: http.Header{"X-Cos-Request-Id": nil, "Etag": nil, "Last-Modified": nil}})
	s := w.open(t, options())
	for range 2 {
		if outcome, _, err := s.PutRecord(t.Context(), first()); outcome != store.Duplicate || err != nil {
			t.Errorf("PutRecord = %s, %v", outcome, err)
		}
		if _, err := s.PutRejected(t.Context(), []byte("x"), ""); err != nil {
			t.Errorf("PutRejected: %v", err)
		}
	}
	if outcome, _, err := s.PutRecord(t.Context(), second()); outcome != store.Updated || err != nil {
		t.Errorf("PutRecord of a newer one = %s, %v", outcome, err)
	}
	w.wantObject(t, records, jobKey, encode(t, second()))
}
