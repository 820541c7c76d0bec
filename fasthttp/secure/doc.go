// Package secure serves TLS on the sockets of clients.
//
// A Conn is a socket like any other to those above it: a request is read and
// answered by the same code. What is different is that a part of what was given to
// it may be sealed and not yet taken by the kernel. So there are two ways to write:
//
//	Write   waits until the kernel has all of it, or the deadline is over
//	Give    never waits: it seals no more than the socket has room for, and keeps
//	        what the socket did not take after all; Unsent says whether it does
//
// Both go through one queue:
//
//	Write, Give ──▶ tls.Conn ──▶ wire.Write ──▶ sealed ──▶ pour ──▶ socket
//
// Once the handshake is over, nothing that tls.Conn does waits for the peer but a
// read: also its alerts and its answers to key updates go to the queue. So it can be
// closed at any time, from any goroutine.
//
// The package knows no certificate: its caller's tls.Config has them.
package secure
