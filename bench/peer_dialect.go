package bench

// A dialect is what a peer over HTTP has in the place of the relay's protocol,
// so that the same posters and streams load both.
type dialect interface {
	// newSlot names a new slot; peers make one when it is first used.
	newSlot() slot
	// newPost serializes a post.
	newPost(s *side, sl slot, t *template) postRequest
	// accepts says whether a status says that an event was taken.
	accepts(status int) bool
	// checkStored checks the body of the answer to a post.
	checkStored(body []byte) error
	// streamRequest serializes the opening of a stream that misses nothing.
	// The ids of its frames need not be those of the events.
	streamRequest(s *side, sl slot) []byte
}
