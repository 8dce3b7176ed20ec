package coslocal

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing/iotest"
)

// RoundTrip makes a Server the [http.RoundTripper] of a client: a request is answered as [Server.ServeHTTP] does, with no
// socket between. A testing/synctest bubble can hold client and COS then, where the delay of a [Fault] takes no time.
//
// What a connection would show, the client sees: syscall.ECONNRESET for Fault.Reset, io.ErrUnexpectedEOF within the body
// for Fault.Truncate, and the error of the request's context if that ends first.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	whole := serveWhole(s, recorder, arrived(r))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := recorder.Result()
	response.Request = r
	if !whole {
		if !recorder.Flushed { // not even a header arrived
			return nil, syscall.ECONNRESET
		}
		response.Body = io.NopCloser(io.MultiReader(recorder.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return response, nil
}

// arrived gives a client's request as a server gets it.
func arrived(r *http.Request) *http.Request {
	a := r.Clone(r.Context())
	a.RequestURI = r.URL.RequestURI()
	if a.Host == "" {
		a.Host = r.URL.Host
	}
	if a.Body == nil {
		a.Body = http.NoBody
	}
	if a.Body == http.NoBody {
		a.ContentLength = 0
	} else if a.ContentLength == 0 {
		a.ContentLength = -1 // a client does not know the length then
		a.TransferEncoding = []string{"chunked"}
	}
	if a.ContentLength > 0 || a.ContentLength == 0 && (a.Method == http.MethodPut || a.Method == http.MethodPost) {
		a.Header.Set("Content-Length", strconv.FormatInt(a.ContentLength, 10))
	}
	return a
}

// serveWhole tells whether the handler answered to the end, and did not drop the connection.
func serveWhole(h http.Handler, w http.ResponseWriter, r *http.Request) (whole bool) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return true
}
