package coslocal

import (
	"bytes"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
)

// xmlHeader begins every XML body, in COS's own spelling.
const xmlHeader = "<?xml version='1.0' encoding='utf-8' ?>\n"

// answer is a whole response, built before a byte of it is sent, so that a fault can replace or lose it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func newAnswer(status int) *answer {
	return &answer{status: status, header: make(http.Header, 12)}
}

// xmlAnswer is 200 with v as the body.
func xmlAnswer(v any) (*answer, error) {
	body, err := xml.Marshal(v)
	if err != nil {
		return nil, err
	}
	a := newAnswer(http.StatusOK)
	a.header.Set("Content-Type", "application/xml")
	a.body = append([]byte(xmlHeader), body...)
	return a, nil
}

func (a *answer) write(w http.ResponseWriter, method string) {
	a.writeHeader(w)
	if method != http.MethodHead {
		_, _ = w.Write(a.body) // a client that went away is its own business
	}
}

func (a *answer) writeHeader(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	bodiless := a.status == http.StatusNoContent || a.status == http.StatusNotModified
	if header["Content-Length"] == nil && !bodiless {
		header["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	w.WriteHeader(a.status)
}

// cosError is an error in COS's terms: https://cloud.tencent.com/document/product/436/7730.
type cosError struct {
	status  int
	code    string
	message string
}

func (e *cosError) Error() string { return e.code + ": " + e.message }

// Errors that are answered from more than one place.
var (
	errAccessDenied   = &cosError{http.StatusForbidden, "AccessDenied", "Access Denied."}
	errNoSuchKey      = &cosError{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errNotImplemented = &cosError{http.StatusNotImplemented, "NotImplemented",
		"A header or operation you provided is not implemented here."}
	errMalformedXML = &cosError{http.StatusBadRequest, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema."}
)

func invalidArgument(message string) *cosError {
	return &cosError{http.StatusBadRequest, "InvalidArgument", message}
}

func invalidTag(message string) *cosError {
	return &cosError{http.StatusBadRequest, "InvalidTag", message}
}

// asCOSError puts err in COS's terms. One that is none of COS's is an error of this server, its disk for example.
func asCOSError(err error) *cosError {
	var e *cosError
	if !errors.As(err, &e) {
		e = &cosError{http.StatusInternalServerError, "InternalError", err.Error()}
	}
	return e
}

func (c *call) errorAnswer(err error) *answer {
	e := asCOSError(err)
	a := newAnswer(e.status)
	a.header.Set("Content-Type", "application/xml")
	if c.http.Method != http.MethodHead {
		a.body = c.errorBody(e)
	}
	return a
}

func (c *call) errorBody(e *cosError) []byte {
	var b bytes.Buffer
	b.WriteString(xmlHeader + "<Error>\n")
	element(&b, "Code", e.code)
	element(&b, "Message", e.message)
	element(&b, "Resource", c.seen.Host+"/"+c.seen.Key)
	element(&b, "RequestId", c.id)
	element(&b, "TraceId", c.id)
	b.WriteString("</Error>\n")
	return b.Bytes()
}

func element(b *bytes.Buffer, name, text string) {
	b.WriteString("\t<" + name + ">")
	_ = xml.EscapeText(b, []byte(text)) // a bytes.Buffer takes everything
	b.WriteString("</" + name + ">\n")
}
