// Package model says what a Cloud Infinite (CI) callback means and what the
// record of it is.
//
// [Decode] reads one callback body, XML or JSON, in any of the shapes CI
// documents, and returns the records it holds. [Record.Encode] gives a record's
// bytes, [ParseRecord] reads them back, and [Compare] says which of two records
// of one job is the newer.
//
// The package is pure: no I/O, no clock, no state, the standard library alone.
// It guarantees that
//
//   - a record is a function of the callback's text alone, so that a redelivery
//     gives the same bytes, and so do the XML and the JSON of one job;
//   - nothing that a job's callback says is lost: every leaf that is not empty is in
//     [Record.Detail], with its text as sent;
//   - a body that is not understood is refused whole, with a [MalformedError]
//     that says where and why, and never with a panic;
//   - the work and the memory that a body costs are bounded: see [MaxDepth],
//     [MaxNodes] and [MaxJobs].
//
// All of it is safe for concurrent use.
//
// Where to read on: decode.go for the shapes, normal.go for the normal form,
// repeat.go for the nodes that repeat, outputs.go for what a job wrote, order.go
// for which record wins.
package model
