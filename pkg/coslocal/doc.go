// Package coslocal is Tencent Cloud Object Storage (COS) on loopback: an http.Handler that answers as COS does, so that
// a program and its tests can run without an account. Start it with [New], or in a test with
// coslocaltest.NewServer.
//
// A client must send the bucket in the host, as COS has it, {bucket}.cos.{region}.{domain} with any domain, and still
// connect here. A bucket in the path, or an address for a host, names no bucket and is answered NoSuchBucket. So:
//   - Tencent's Go SDK takes the BucketURL http://{bucket}.cos.{region}.localhost:port and an http.Client whose transport
//     dials loopback, as the client of coslocaltest.Server does; or any BucketURL, and a [Server] for the transport.
//   - Tencent's Node SDK takes the options Ip: '127.0.0.1:port' and Protocol: 'http:'.
//
// It guarantees:
//   - Every request is authenticated: signature v5 in the header or the URL, session token, validity, no exceptions.
//     Which headers are signed is the client's choice, Host included: the format has no rule.
//   - An object's bytes, metadata and tags change together or not at all, create-only (x-cos-forbid-overwrite) has
//     exactly one winner, and all of it holds over a kill when the objects are kept in a folder.
//   - Rules that clients trip over are COS's own: If-Match on PUT is ignored, tags are replaced as a whole and dropped by
//     an overwrite, create-only has no effect in a bucket that was ever versioned, "PUT /?tagging" is the bucket's tags.
//   - What a test needs to see or break is at hand: [Server.Requests], [Server.Inject], [Server.Deny], a clock.
//   - A [Server] is safe for concurrent use, and has its folder to itself until [Server.Close].
//
// It never dials out, never lets a request in unsigned, and never writes outside Options.Dir, unless through a symbolic
// link that somebody put there.
//
// Where it differs from COS: reads and lists see a write at once (COS lists later); of a versioned bucket only the newest
// version can be read; there are no ACLs and policies, only [Server.Deny]; the size of metadata is not limited; metadata
// that is not UTF-8 is refused; a body is in memory whole while it comes or goes; buckets are made in Go, not over HTTP;
// multipart upload, append, copy, ACL and data processing answer 501 NotImplemented. Where Tencent documents no answer
// (the code for a wrong token, a path with ".." in it), the answer here is a guess, and the comment at the rule says so.
package coslocal
