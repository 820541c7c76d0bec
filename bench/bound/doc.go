// Package bound has the servers that a relay is held against. A bound sends the
// same bytes as the relay and does nothing else: it checks neither tokens nor
// events, and knows one slot. With the same HTTP server, no relay can beat it.
//
//	Poll        an empty page for every pull
//	Window      slices of one buffer
//	Post        one write and one fdatasync for all posts that wait
//	Batch       Post for bodies of several events
//	Fanout      Post, then one buffer of frames and a goroutine for each stream
//	Saturation  Window and Post
//	Idle        comments to silent streams, spread over the heartbeat
//	Churn       a stream's head, then a wait for the client to leave
//
// A bound is a process of its own: the program that loads it, started again
// with Command. Its goroutines live as long as the process.
package bound
