// Package trigger reads the events that SCF hands a function, and writes the answer to
// those that are HTTP requests.
//
// [Parse] takes the event of an API gateway, that of a function URL, which is the same
// with fields missing, that of CloudBase's HTTP service, and that of a timer. It reads
// them tolerantly: the documented types vary from page to page, and scf-go-lib's own
// event types fail on real events. [Response.Encode] returns the integrated response
// that all the HTTP triggers expect.
//
// The package is pure: no I/O, no state, safe for concurrent use. It never fails on a
// field that it does not need, and never changes a byte of a body.
//
// https://www.tencentcloud.com/document/product/583/12513 (API gateway),
// https://www.tencentcloud.com/document/product/583/69491 (function URL),
// https://docs.cloudbase.net/service/access-cloud-function (CloudBase),
// https://www.tencentcloud.com/document/product/583/9708 (timer)
package trigger
