// Package certs has the relay's certificates: of files, which it reads again when they
// change, or of an authority that it asks by ACME.
//
// A Source answers handshakes from memory, without a lock and without a wait. What
// takes time, reading files or asking an authority, is done beside them by the
// source's own goroutine. A certificate that can't be used never takes the place of
// one that can.
package certs
