// Package store keeps records, their history, bodies that were not understood, and tags in
// COS, over cos-go-sdk-v5.
//
// A [Pool] lives as long as the function's instance: connections, and one client of the
// SDK for each bucket. [Pool.Open] returns the [Store] of one invocation, with that
// invocation's credentials; nothing of them outlives it. Start reading at
// [Store.PutRecord].
//
// What is guaranteed, whatever COS, the network and other instances do:
//
//   - a record is written whole or not at all, and PutRecord returns without an error
//     only after what is stored is that record or a newer one;
//   - every version for which PutRecord returned without an error is the record, or in its
//     history, at any time;
//   - a record is never replaced by an older one that was compared with it, and one of a
//     later format never at all;
//   - a tag set is replaced only by one that was just read, parsed and added to, so that a
//     tag that stood when the set was read is never lost;
//   - no request leaves for a bucket, region or key that was not checked first;
//   - an operation ends with its context, and a try of it earlier, so that one stalled
//     connection does not spend the whole time limit;
//   - of objects longer than a megabyte, one at a time is in memory.
//
// Two limits come from COS, which has no compare-and-swap. Its one conditional write,
// x-cos-forbid-overwrite, has no effect on a bucket that ever had versioning. As soon as
// an answer shows that a bucket has versions, it is read before it is written to. Where
// versioning is suspended no answer shows it, and an older record can replace a newer one.
//
// And where two instances replace a record by two newer versions at once, the write of the
// older can land after that of the newer: between an instance's last GET and its PUT lies
// one round trip. A PUT that COS carries out after its client gave it up is the same case.
// The newer version is in the history then. Equal versions, or a first version beside any
// other, always end right.
//
// A Pool and a Store are safe for concurrent use.
package store
