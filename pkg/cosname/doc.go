// Package cosname holds the rules for the names that COS and CI know: buckets, regions,
// keys of objects, keys of tags, and the addresses made of them.
//
// Whatever becomes part of a host name or of a request's path is checked here first,
// since much of it is a stranger's text. The functions are pure; the package imports
// nothing of the project and does no work at start.
package cosname
