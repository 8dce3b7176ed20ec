// Package mend puts right by hand what callbacks and timers left wrong: it receives
// rejected bodies again, tags outputs, compares records with Cloud Infinite (CI), and asks
// CI about every record.
//
// It works on the packages that the function works on, so that what it writes is what the
// function would have written. Each thing can be looked at before it is done: a plan
// changes nothing. All of it may be done twice.
package mend
