package coslocal

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
)

const (
	// maxObjectSize is COS's limit for one PUT:
	// https://cloud.tencent.com/document/product/436/14518.
	maxObjectSize = 5 << 30
	// maxXMLSize bounds a request body of XML. The largest that occurs, a thousand keys
	// to delete, is smaller.
	maxXMLSize = 2 << 20
)

// operate performs an authenticated request.
func (c *call) operate() (*Answer, error) {
	switch c.Request.Action() {
	case "PutObject":
		return c.putObject()
	case "GetObject", "HeadObject":
		return c.getObject()
	case "DeleteObject":
		return c.deleteObject()
	case "PutObjectTagging":
		return c.putObjectTagging()
	case "GetObjectTagging":
		return c.getObjectTagging()
	case "DeleteObjectTagging":
		return c.deleteObjectTagging()
	}
	return c.operateOnBucket()
}

// operateOnBucket performs a request without a key.
func (c *call) operateOnBucket() (*Answer, error) {
	switch c.Request.Action() {
	case "GetBucket":
		return c.listObjects()
	case "HeadBucket":
		return c.headBucket()
	case "PutBucket":
		return nil, &Error{http.StatusConflict, "BucketAlreadyOwnedByYou",
			"Your previous request to create the named bucket succeeded and you already own it."}
	case "GetBucketVersioning":
		return c.getBucketVersioning()
	case "PutBucketVersioning":
		return c.putBucketVersioning()
	case "PutBucketTagging":
		return c.putBucketTagging()
	case "GetBucketTagging":
		return c.getBucketTagging()
	case "DeleteBucketTagging":
		return c.deleteBucketTagging()
	case "DeleteMultipleObjects":
		return c.deleteMultipleObjects()
	}
	return nil, errNotImplemented
}

// readBody reads the whole body and checks it against Content-MD5, so that what is stored
// is what was sent.
func (c *call) readBody(limit int64) ([]byte, error) {
	length := c.HTTP.ContentLength
	if length > limit {
		return nil, errEntityTooLarge
	}
	if length == 0 && c.HTTP.RequestURI != "" && c.HTTP.Header["Content-Length"] == nil && c.HTTP.TransferEncoding == nil {
		return nil, &Error{http.StatusLengthRequired, "MissingContentLength",
			"You must provide the Content-Length HTTP header."}
	}
	body, err := readAll(c.HTTP.Body, length, limit)
	if err != nil {
		return nil, err
	}
	return body, checkMD5(c.HTTP.Header.Get("Content-MD5"), body)
}

var (
	errEntityTooLarge = &Error{http.StatusBadRequest, "EntityTooLarge",
		"Your proposed upload exceeds the maximum allowed size."}
	errIncompleteBody = &Error{http.StatusBadRequest, "IncompleteBody",
		"You did not provide the number of bytes specified by the Content-Length HTTP header."}
)

// readAll reads exactly length bytes or, when the length is not known, all there are.
func readAll(r io.Reader, length, limit int64) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	const trusted = 1 << 20 // no more memory is set aside for a length that is only announced
	if 0 < length && length <= trusted {
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, errIncompleteBody
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil || length > 0 && int64(len(body)) < length:
		return nil, errIncompleteBody
	case int64(len(body)) > limit:
		return nil, errEntityTooLarge
	}
	return body, nil
}

// checkMD5 checks a body against Content-MD5, where that is sent:
// https://cloud.tencent.com/document/product/436/32467.
func checkMD5(header string, body []byte) error {
	if header == "" {
		return nil
	}
	want, err := base64.StdEncoding.DecodeString(header)
	if err != nil || len(want) != md5.Size {
		return &Error{http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified is not valid."}
	}
	if got := md5.Sum(body); subtle.ConstantTimeCompare(got[:], want) != 1 {
		return &Error{http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received."}
	}
	return nil
}

// readXML decodes a body of one XML element, and nothing after it, into v.
func (c *call) readXML(v any) error {
	body, err := c.readBody(maxXMLSize)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return &Error{http.StatusBadRequest, "MissingRequestBodyError", "Request body is empty."}
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	if d.Decode(v) != nil {
		return errMalformedXML
	}
	for {
		switch token, err := d.Token(); token := token.(type) {
		case nil:
			if err != io.EOF {
				return errMalformedXML
			}
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return errMalformedXML
			}
		case xml.StartElement:
			return errMalformedXML
		}
	}
}
