package load

import "cowrelay/bench/wire"

// A Dialect is what a peer over HTTP has in the place of the relay's protocol,
// so that the same posters and streams load both.
type Dialect interface {
	// NewSlot names a new slot; peers make one when it is first used.
	NewSlot() Slot
	// NewPost serializes a post.
	NewPost(s *Server, sl Slot, t *wire.Template) PostRequest
	// Accepts says whether a status says that an event was taken.
	Accepts(status int) bool
	// CheckStored checks the body of the answer to a post.
	CheckStored(body []byte) error
	// StreamRequest serializes the opening of a stream that misses nothing.
	// The ids of its frames need not be those of the events.
	StreamRequest(s *Server, sl Slot) []byte
}
