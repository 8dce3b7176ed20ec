// Package cilocal is Tencent Cloud's Cloud Infinite (CI) on loopback: an http.Handler
// that takes jobs, runs them, answers queries about them and calls back when they end, so
// that a program and its tests can run without an account. Start it with [New], or in a
// test with cilocaltest.NewServer.
//
// A client must send the bucket in the host, as for CI, {bucket}.ci.{region}.{domain}
// with any domain, and still connect here. Tencent's Go SDK takes the CIURL
// http://{bucket}.ci.{region}.localhost:port and an http.Client that dials loopback, or
// any CIURL and a [Server] for the transport.
//
// What it answers:
//
//	POST /jobs                      one job, or one for each Operation
//	GET  /jobs/<id>[,<id>…]         at most ten; those not known as NonExistJobIds
//	GET  /jobs?tag=…                with every parameter that CI documents
//	PUT  /jobs/<id>?cancel          a job that has not ended
//	GET  /queue, PUT /queue/<id>    queues, and where they call back
//	POST /triggerworkflow           a run of a workflow
//	GET  /workflowexecution…        one run, or a list of them
//
// and jobs at their old paths /pic_jobs, /ai_jobs, /asr_jobs, /doc_jobs and /file_jobs,
// queues at /picqueue, /ai_queue, /asrqueue, /docqueue and /file_queue.
//
// It guarantees:
//   - Every request is authenticated, by the code of package coslocal.
//   - A job goes from Submitted to Running to Success, Failed or Cancel, by a [Plan] that
//     a test chooses. When a query says Success, the output is in the local COS, and its
//     ETag is the MD5 that CI reports.
//   - An answer to a query and a callback differ as CI's own do: other times, another
//     message, other fields. A callback is XML or JSON.
//   - Callbacks are lost, late, doubled or out of order when a Plan says so, and never
//     otherwise. None is sent again, whatever the answer to it is.
//   - What a test needs to see or break is at hand: [Server.Jobs], [Server.Deliveries],
//     and the requests, faults and denials of [coslocal.Frontend].
//   - A [Server] is safe for concurrent use. It sends callbacks to loopback only, unless
//     Options.Transport says otherwise.
//
// Time is the system's, in a testing/synctest bubble the bubble's, and then jobs end by
// themselves. With Options.Clock nothing happens by itself: [Server.RunDue] does what is
// due, and each request does so before it is answered.
//
// Where it differs from CI: nothing is transcoded, an output is a line of text; there are
// no templates, no reviews of content, and no limits of requests a second. Where Tencent
// documents no answer, the answer here is a guess; the fields of [Options] that choose
// another guess say so.
package cilocal
