package coslocal

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
)

// HandlerTransport is an [http.RoundTripper] that hands each request to a handler, with
// no socket between.
//
// Where a connection would break, the client sees what it would see there:
// syscall.ECONNRESET if the handler panics with http.ErrAbortHandler before a byte of its
// answer was flushed, io.ErrUnexpectedEOF within the body if it does so after that, and
// the error of the request's context if the context ends before the handler returns.
type HandlerTransport struct{ http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t HandlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := &recorder{header: make(http.Header)}
	complete := serveToEnd(t.Handler, rec, asServerRequest(r))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if complete {
		return rec.response(r, &rec.body), nil
	}
	if !rec.flushed {
		return nil, syscall.ECONNRESET
	}
	return rec.response(r, io.MultiReader(&rec.body, brokenConnection{})), nil
}

// asServerRequest returns a client's request as a server would receive it.
func asServerRequest(r *http.Request) *http.Request {
	a := r.Clone(r.Context())
	a.RequestURI = r.URL.RequestURI()
	a.RemoteAddr = "127.0.0.1:0"
	if a.Host == "" {
		a.Host = r.URL.Host
	}
	if a.Body == nil {
		a.Body = http.NoBody
	}
	if a.Body == http.NoBody {
		a.ContentLength = 0
	} else if a.ContentLength == 0 {
		a.ContentLength = -1 // a client that does not know the length leaves it at 0
		a.TransferEncoding = []string{"chunked"}
	}
	if a.ContentLength > 0 || a.ContentLength == 0 && (a.Method == http.MethodPut || a.Method == http.MethodPost) {
		a.Header.Set("Content-Length", strconv.FormatInt(a.ContentLength, 10))
	}
	return a
}

// serveToEnd reports whether the handler answered to the end and did not drop the
// connection.
func serveToEnd(h http.Handler, w http.ResponseWriter, r *http.Request) (complete bool) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return true
}

// recorder is the [http.ResponseWriter] that keeps an answer in memory.
type recorder struct {
	header  http.Header // what the handler sets
	sent    http.Header // a copy from the moment the header was written
	status  int         // 0 until then
	body    bytes.Buffer
	flushed bool // a connection would have carried something by now
}

// Header implements [http.ResponseWriter].
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements [http.Flusher].
func (w *recorder) Flush() {
	w.WriteHeader(http.StatusOK)
	w.flushed = true
}

// response returns what was recorded as the answer to r.
func (w *recorder) response(r *http.Request, body io.Reader) *http.Response {
	w.WriteHeader(http.StatusOK)
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.sent,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       r,
	}
}

// brokenConnection is the reader that stands where the rest of a body was lost.
type brokenConnection struct{}

// Read implements [io.Reader].
func (brokenConnection) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
