package fasthttp

// leaver is told that its client has left, once or more. One goroutine tells
// all of them, so hungUp must not block.
type leaver interface{ hungUp() }

// watch is the place with hangups of a connection that it watches, from 1, or 0.
// It is under the lock of hangups.
type watch int32
