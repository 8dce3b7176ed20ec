// Package ci asks Cloud Infinite (CI) about jobs, workflow runs and queues.
//
// A [Client] lives as long as one run; [Client.Bucket] returns the [Bucket] whose jobs are
// asked about. The methods are named after what they return, and their parameters as in
// CI's pages (startCreationTime, nextToken, …). A job comes as CI wrote it, a JobsDetail
// element in bytes, to be read by package model: the types of Tencent's own SDK drop fields.
//
// What is guaranteed, whatever CI and the network do:
//
//   - an answer counts only if it is CI's own: XML with the root Response, and a header
//     x-ci-request-id. A page of a proxy or a portal is an error, and never "no jobs";
//   - an answer has [MaxAnswerBytes] at most, and those over [LargeAnswerBytes] are in memory
//     one at a time, over all buckets of a Client: call Close as soon as an answer is used;
//   - no more than [MaxRequests] requests are on their way at a time, each is tried
//     [MaxTries] times at most, and every try ends with its context;
//   - every error says what was asked, how CI put it and what to do about it, and it wraps
//     [cosclient.ErrUnavailable] or [cosclient.ErrMisconfigured].
//
// It never changes anything in CI, and never shows the URL of a queue's callback, which
// holds a token, in an error.
//
// Nothing here was tried on a live account; what CI's pages leave open is said at the
// place. Where to read on: jobs.go for jobs, workflows.go for runs, request.go for how an
// answer is asked for, answer.go for how it is taken apart.
package ci
