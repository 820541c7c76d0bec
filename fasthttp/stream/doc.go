// Package stream runs server-sent-event streams on connections that it owns.
//
// The server above admits a request and hands its connection over: Set.Open
// counts the stream in and subscribes it, Stream.Start gives it the connection.
// From then on the stream belongs to this package until it is closed.
//
//	Open ── admission, subscription
//	  │
//	Start ── the connection is the stream's; Abandon if it broke before
//	  │
//	  ├── queue ── a few writers take streams that have something to say
//	  ├── wheel ── asks silent streams for a comment line; the register of all
//	  └── hang-ups ── one epoll instance hears which clients have left
//	  │
//	close ── once, with a counted reason
//
// What holds:
//   - T1 An open stream that is idle is a Stream and a cow.Subscriber. It has no
//     goroutine and no buffer.
//   - T2 One goroutine at a time writes to a stream; see the states in stream.go.
//   - T3 No writer waits for a socket or for the store. A goroutine that is made
//     for that one wait does, and it ends by the write timeout.
//   - T4 Every stream that was opened is closed once, for one counted reason, and
//     then its place, its subscriber and its connection are given back.
//   - T5 The relay ends a stream between two frames if the client lets it. A
//     client that was cut within a frame can see that.
//
// The package knows no HTTP server, no route and no metric: its Env says what
// time it is, how to subscribe, where to log and whom to tell of a panic.
package stream
