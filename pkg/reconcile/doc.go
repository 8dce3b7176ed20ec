// Package reconcile compares the jobs that Cloud Infinite (CI) lists with the records, and
// mends the records that are missing or wrong: no job is lost, although CI promises no
// callback.
//
// One [Run] works on all buckets side by side, and in a bucket on one job type after the
// other. It lists the jobs created since the last run, asks again for those that had not
// ended then, and compares each that ended five minutes ago or more with its record:
//
//	no record, or one of a job that still ran    → Repaired: the record of CI's answer is written
//	a record that agrees with CI                 → Recorded: nothing is written
//	a record that does not                       → Replaced: CI's answer, the other to the history
//
// What is guaranteed, whatever CI, COS and the network do:
//
//   - a job that CI lists as ended has a record after the first complete run five minutes
//     after its end, or was kept in rejected/ because it could not be understood;
//   - a run can be killed at any request, and two can run at once: a job is handled twice
//     then, and never lost. What a run knows of those before it is one object, the [State];
//   - every run comes further, however short its time is: a page that does not fit into a
//     run is finished job by job by the next ones;
//   - what keeps a run from one bucket, one type or one record does not keep it from others;
//   - no more than [ci.MaxRequests] requests to CI and [MaxCOSRequests] to COS are on their
//     way at a time, and no more than one answer of CI over a megabyte is in memory.
//
// It changes nothing in CI, and nothing in COS but records, their history, tags of outputs,
// rejected/ and its state.
//
// Where to read on: bucket.go for the course of a run, listing.go for how far it has come,
// compare.go for what is done with a job, state.go for the format of the state.
package reconcile
