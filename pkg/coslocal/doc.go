// Package coslocal is Tencent Cloud Object Storage (COS) on loopback: an http.Handler
// that answers as COS does, so that a program and its tests can run without an account.
// Start it with [New], or in a test with coslocaltest.NewServer.
//
// A client must send the bucket in the host, as for COS, {bucket}.cos.{region}.{domain}
// with any domain, and still connect here. A bucket in the path, or an address for a
// host, names no bucket and is answered NoSuchBucket. So:
//   - Tencent's Go SDK takes the BucketURL http://{bucket}.cos.{region}.localhost:port
//     and an http.Client whose transport dials loopback, or any BucketURL and a [Server]
//     for the transport.
//   - Tencent's Node SDK takes the options Ip: '127.0.0.1:port' and Protocol: 'http:'.
//
// It guarantees:
//   - Every request is authenticated, by signature v5 in the header or the URL, session
//     token and validity. There are no exceptions. Which headers are signed is the
//     client's choice, Host included: the format has no rule.
//   - An object's bytes, metadata and tags change together or not at all, and create-only
//     (x-cos-forbid-overwrite) has exactly one winner. When the objects are kept in a
//     folder, what was answered is kept over a kill. A write that a kill interrupts is
//     there, not there, or there without metadata and tags.
//   - Rules that surprise clients are COS's own. If-Match is ignored on PUT. Tags are
//     replaced as a whole, and an overwrite drops them. Create-only has no effect in a
//     bucket that was ever versioned. "PUT /?tagging" sets the bucket's tags.
//   - What a test needs to see or break is at hand, in [Frontend]: requests, faults,
//     denials, and a clock.
//   - A [Server] is safe for concurrent use, and has its folder to itself until
//     [Server.Close].
//
// It never dials out, never lets an unsigned request in, and never writes outside
// Options.Dir, unless through a symbolic link that somebody put there.
//
// Where it differs from COS: reads and lists see a write at once, where COS lists later.
// Of a versioned bucket only the newest version can be read. There are no ACLs and
// policies, only Deny. The size of metadata is not limited, and metadata that is not
// UTF-8 is refused. A body is in memory as a whole while it comes or goes. Buckets are
// made in Go, not over HTTP. Multipart upload, append, copy, ACL and data processing are
// answered 501 NotImplemented. Where Tencent documents no answer (the code for a wrong
// token, a path with ".." in it), the answer here is a guess, and the comment at the rule
// says so.
package coslocal
