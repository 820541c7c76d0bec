// Package accept is what the relay's listeners have in common: how a connection
// is accepted, and who may have how many.
//
//	Listener  accepts, and waits out errors that pass
//	Places    the connections that may be open at once, shared out by client
//	Place     one connection's, from Take to Give
//	Client    an address as limits count it
//
// A place goes through these states:
//
//	        Take             Begin
//	(none) ──────► waiting ◄───────► busy ──► Serves (a stream)
//	                  │      Wait      │            │
//	           evicted: the next       └─ asked to leave, for a client
//	           read finds the end         that has clearly less
//	                  └───────── Give ─────────────┘
//
// The package knows no request and no reply: a listener that turns a connection
// away answers it by itself.
package accept
