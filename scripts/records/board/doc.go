// Package board serves pages that show job records, on loopback, for one person.
//
// Pages are rendered here from html/template, with one style sheet and one small script
// of their own; without the script they work all the same. Their URLs and query names are
// an interface, written down in docs/board.md: a link that somebody sent must go on
// working.
//
// What is shown was written by strangers, and whoever reads it may have keys of the
// account in the environment. So:
//
//   - only a loopback address is listened on, and only a request whose Host is an exact
//     loopback name with the listener's port is answered;
//   - nothing is written unless [Options] has a Mender, and then only by a POST with the
//     board's own Origin and a token of this process;
//   - every text is escaped, the Content-Security-Policy lets nothing inline run and
//     nothing load from elsewhere, and the bytes of a record or a body leave only as an
//     attachment;
//   - a page reads at most 50 records while somebody waits. Charts and counts are of what
//     was read in the background by then, the newest first, and say so.
//
// Start reading at board.go, then live.go.
package board
