// Package store keeps job records and tags in COS, over cos-go-sdk-v5.
//
// A [Pool] lives as long as the function's instance: connections, one SDK client a
// bucket. [Pool.Open] gives the [Store] of one invocation, with that invocation's
// credentials; nothing of them outlives it.
//
// What is guaranteed, whatever COS, the network and other instances do:
//
//   - a record is written whole or not at all, and PutRecord returns without an error
//     only after what is stored is that record or a newer one;
//   - a record is never replaced by an older one that was compared with it;
//   - a tag set is replaced only by one that was just read, parsed and added to, so
//     that a tag that stood when the set was read is never lost;
//   - no request leaves for a bucket, region or key that was not checked first;
//   - an operation ends with its context, a try of it earlier, so that one stalled
//     connection does not spend the whole time limit.
//
// Two limits come from COS, which has no compare-and-swap. Its one conditional write,
// x-cos-forbid-overwrite, has no effect on a bucket that ever had versioning. Such a
// bucket is read before it is written to as soon as an answer shows it for one; where
// versioning is suspended, none does, and an older record can replace a newer. And
// where a record exists, and two instances replace it with two different newer
// versions at once, the write of the older can land after that of the newer: between
// an instance's GET and its PUT lies one round trip, kept that short by reading again
// before every try. A PUT that COS carries out after its client gave it up is the
// same case. Equal versions, or a first version beside any other, always end right.
//
// A Pool and a Store are safe for concurrent use.
package store
