// Package cosclient holds what a client of COS and a client of CI have in common: the
// connections, the signature, the waits between tries, and what an error means.
//
// The connections ([NewTransport], [Wrap]) live as long as the function's instance. A
// [Session] lives as long as one invocation, with that invocation's credentials;
// connections keep nothing of them. Both are safe for concurrent use.
//
// What is guaranteed, whatever the service and the network do:
//
//   - a request is signed with the credentials of its own session, and the signature is
//     good for an hour;
//   - of an answer that is not what a GET asked for, no more than a megabyte is read;
//   - a try ends long before its context does, so that one stalled connection does not
//     spend the whole time limit, and no try follows once the context has ended;
//   - no error shows a URL, a signature, or any text of an answer but the service's error
//     code and request id.
package cosclient
