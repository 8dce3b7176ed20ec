// Package config reads the function's settings from environment variables.
//
// An [Environment] is read anew in every invocation: SCF hands variables over with each
// one, credentials among them, and they change while an instance lives. Whatever is wrong
// is reported at once, as [Errors]. Each names the variable and says what it must be; none
// shows a value that could be a secret. The package does no I/O and keeps nothing.
package config
