// Package catalog reads job records for people: the command line and the board of
// scripts/records.
//
// It lists keys, reads records side by side, keeps what a table shows of each, and
// answers questions about many of them: which match a filter, how many there were in
// each hour, how long they took, which failures have the same cause, and what changed
// from one version of a record to the next.
//
// It only reads. What is in a record was written by strangers: nothing here is escaped,
// so whoever prints it, to a terminal or a page, must do that.
package catalog
