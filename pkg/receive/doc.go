// Package receive takes in what Cloud Infinite says of its jobs, be it the body of a
// callback or the record of an answer to a query, and sees to it that it is stored and
// that the outputs are tagged.
//
// It is what the function, a timer and a script have in common, and knows nothing of HTTP
// requests. A [Receiver] lives as long as one invocation and is safe for concurrent use.
//
// What is guaranteed: when a method returns no error, every record is stored, in its
// newest version, and every output that was to be tagged is, or there is a reason why it
// never will be. The results say what was done where there is an error too. A panic in
// any goroutine of its own comes back as a [*parallel.PanicError].
package receive
