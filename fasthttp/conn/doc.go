// Package conn is the relay's side of its clients' connections: what a
// connection reads and writes, when that must be done, and what memory it may
// pin meanwhile.
//
//	Set       what all connections share
//	Conn      a connection, from Set.Open to Close
//	Arrivals  the books of the memory of requests that have not arrived as a whole
//	Page      a reply written from a slot's own bytes, holding none while it waits
//
// A connection serves one request after another. The server's goroutine that
// serves it calls these, in this order; only Close may come from elsewhere:
//
//	FirstByte ──▶ Begin, Arrived ──▶ [AwaitBody ──▶ Arrived] ──▶ Wait
//	              the header is      a body is      it is         the reply
//	              there              wanted         there         is written
//
// Times of deadlines are nanoseconds since the Set was made.
//
// The package knows no HTTP: no header, no route and no error reply.
package conn
