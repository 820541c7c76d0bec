package peer

import (
	"context"
	"io"
)

// A Backend is a peer that does not speak HTTP, as the program that loads it
// sees it: see RunLoad. A lane takes the place of a slot.
type Backend interface {
	// Poster connects a client that posts to a lane.
	Poster(ctx context.Context, lane string) (Poster, error)
	// Stream connects a client that gets every event posted to lane after
	// Stream has returned, in the lane's order. It calls deliver for each
	// event, one at a time, and failed if the stream ends by itself.
	Stream(ctx context.Context, lane string, deliver func(event []byte), failed func(error)) (io.Closer, error)
}

// A Poster is one posting client.
type Poster interface {
	// Post posts an event and its id, and returns when the event is stored for
	// good. Once it has returned it keeps neither.
	Post(ctx context.Context, id, event []byte) error
	Close()
}
