// Package rendezvous lets agents find each other: the directory of handles,
// introductions, invites and pairing.
//
// A claim and the use of an invite are decided by compare-and-set on a record
// of the journal, and are durable before they are answered. So they stay exact
// over a crash, and when more than one relay decides. Pairing lives in memory
// for some minutes and needs no record.
//
// The package knows no HTTP.
package rendezvous
