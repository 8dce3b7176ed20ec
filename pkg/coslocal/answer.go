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

// Answer is a whole response. It is complete before a byte of it is sent, so that a
// [Fault] can replace or lose it.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// newAnswer returns an answer without a body.
func newAnswer(status int) *Answer {
	return &Answer{Status: status, Header: make(http.Header, 12)}
}

// XMLAnswer returns an answer of status 200 with the given XML element as its body.
func XMLAnswer(element []byte) *Answer {
	a := newAnswer(http.StatusOK)
	a.Header.Set("Content-Type", "application/xml")
	a.Body = append([]byte(xmlHeader), element...)
	return a
}

// xmlAnswer is [XMLAnswer] of v encoded.
func xmlAnswer(v any) (*Answer, error) {
	body, err := xml.Marshal(v)
	if err != nil {
		return nil, err
	}
	return XMLAnswer(body), nil
}

// write sends the answer to a request of the given method.
func (a *Answer) write(w http.ResponseWriter, method string) {
	a.writeHeader(w)
	if method != http.MethodHead {
		_, _ = w.Write(a.Body) // it fails where the client is gone, who wants no answer then
	}
}

// writeHeader sends status and header, and sets Content-Length where it is missing.
func (a *Answer) writeHeader(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range a.Header {
		header[name] = values
	}
	bodiless := a.Status == http.StatusNoContent || a.Status == http.StatusNotModified
	if header["Content-Length"] == nil && !bodiless {
		header["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
	}
	w.WriteHeader(a.Status)
}

// Error is an error as COS answers it, with a status and a code of
// https://cloud.tencent.com/document/product/436/7730. CI's errors have the same form.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Error implements the error interface.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errors that are answered from more than one place.
var (
	errAccessDenied   = &Error{http.StatusForbidden, "AccessDenied", "Access Denied."}
	errNoSuchKey      = &Error{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errNotImplemented = &Error{http.StatusNotImplemented, "NotImplemented",
		"A header or operation you provided is not implemented here."}
	errMalformedXML = &Error{http.StatusBadRequest, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema."}
)

// NoSuchBucket is the answer to a request for a bucket that does not exist; "" is what a
// host names that is not {bucket}.{service}.{region}.{domain}.
func NoSuchBucket(bucket string) *Error {
	e := &Error{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist."}
	if bucket == "" {
		e.Message = "The host names no bucket: it must be {bucket}.cos.{region}.{domain}, or .ci. for CI."
	}
	return e
}

// InvalidArgument is the answer to a parameter that is wrong.
func InvalidArgument(message string) *Error {
	return &Error{http.StatusBadRequest, "InvalidArgument", message}
}

// invalidTag is the answer to a tag that COS does not take.
func invalidTag(message string) *Error {
	return &Error{http.StatusBadRequest, "InvalidTag", message}
}

// asError returns err as COS would answer it. An error that is not COS's is one of this
// server, such as a full disk.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{http.StatusInternalServerError, "InternalError", err.Error()}
}

// errorAnswer returns the answer for err:
// https://cloud.tencent.com/document/product/436/7730.
func (x *Exchange) errorAnswer(err error) *Answer {
	e := asError(err)
	a := newAnswer(e.Status)
	a.Header.Set("Content-Type", "application/xml")
	if x.HTTP.Method == http.MethodHead {
		return a
	}
	var b bytes.Buffer
	b.WriteString(xmlHeader + "<Error>\n")
	writeElement(&b, "Code", e.Code)
	writeElement(&b, "Message", e.Message)
	writeElement(&b, "Resource", x.Request.Host+"/"+x.Request.Key)
	writeElement(&b, "RequestId", x.ID)
	writeElement(&b, "TraceId", x.ID)
	b.WriteString("</Error>\n")
	a.Body = b.Bytes()
	return a
}

// writeElement writes one XML element with a text.
func writeElement(b *bytes.Buffer, name, text string) {
	b.WriteString("\t<" + name + ">")
	_ = xml.EscapeText(b, []byte(text)) // writing to a bytes.Buffer does not fail
	b.WriteString("</" + name + ">\n")
}
