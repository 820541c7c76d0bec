package peer

import (
	"context"
	"io"
)

// A Backend is a peer that does not speak HTTP, as the program that loads it
// sees it: see RunPeerLoad. A lane stands for a slot.
type Backend interface {
	// Poster connects a client that posts to a lane.
	Poster(ctx context.Context, lane string) (Poster, error)
	// Stream connects a client that gets every event posted to lane after
	// Stream has returned, in the lane's order. It calls deliver for each, one
	// at a time, and failed if the stream ends by itself.
	Stream(ctx context.Context, lane string, deliver func(event []byte), failed func(error)) (io.Closer, error)
}

// A BackendPoster is one client.
type Poster interface {
	// Post posts an event, whose id is id, and returns when it is stored for
	// good. It keeps neither after it has returned.
	Post(ctx context.Context, id, event []byte) error
	Close()
}
