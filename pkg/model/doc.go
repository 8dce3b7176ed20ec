// Package model says what a callback of Cloud Infinite (CI) means, and what is kept of it:
// the record of a job.
//
// [Decode] reads the body of one callback, XML or JSON, in any of the shapes that CI
// documents, and returns the records of the jobs, workflow runs and reviews in it.
// [DecodeQueried] reads what CI answers when it is asked for one. [Record.Encode] returns
// the bytes of a record, [ParseRecord] reads them back, and [Compare] tells which of two
// records of one job is the newer. [Record.Key] and the functions beside it name the
// objects in COS.
//
// The package is pure: no I/O, no clock, no state, nothing at start. It imports the
// standard library and cosname. It guarantees that
//
//   - a record is a function of CI's text alone: a redelivery makes the same bytes, and
//     so do the XML and the JSON of one job;
//   - nothing that CI says of a job is lost: every text that is not blank is in
//     [Record.Detail], as it was sent;
//   - a body that is not understood is refused with a [MalformedError], one of which only
//     some jobs are understood with a [PartialError], which say where and why; nothing
//     panics;
//   - the work and the memory that a body costs are bounded: see [MaxDepth] and the limits
//     beside it;
//   - the order of records is total, so that callbacks that come in any order, any number
//     of times, leave the same record.
//
// All of it is safe for concurrent use.
//
// Start reading at decode.go, which has the shapes of a body. From there: xml.go and
// json.go read a body into a tree (tree.go), fields.go has the fields at the top of a
// record, outputs.go the objects that a job wrote, normal.go and repeat.go the normal form
// of all the rest, order.go which record is newer.
package model
