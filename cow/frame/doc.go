// Package frame turns events into the frames of a stream: server-sent events,
// bare or in transfer chunks of HTTP/1.1. It encodes one frame (frame.go,
// chunks.go) and keeps the log of a slot's newest frames, which all live readers
// of the slot share (log.go).
//
// It knows events and nothing of slots, connections or locks.
package frame
