package load

import "cowrelay/bench/wire"

// A Dialect takes the place of the relay's protocol at a peer that speaks HTTP.
// So the same posters and streams load both.
type Dialect interface {
	// NewSlot names a new slot. The peer makes it at its first use.
	NewSlot() Slot
	// NewPost serializes a post.
	NewPost(s *Server, sl Slot, t *wire.Template) PostRequest
	// Accepts says whether a status means that the event was taken.
	Accepts(status int) bool
	// CheckStored checks the body of the answer to a post.
	CheckStored(body []byte) error
	// StreamRequest serializes the opening of a stream that misses nothing. The
	// ids of its frames may be others than those of the events.
	StreamRequest(s *Server, sl Slot) []byte
}
