// Package client talks to a relay: it allocates slots, posts events to them,
// pulls pages of them and follows them as streams.
//
// An event goes out and comes back as the same bytes. The client never decodes an
// event and prints it again, because receivers hash every field.
//
// # What is tried again
//
// The client tries again what it can repeat without harm: reads, and posts of
// events that have an event_id, since a slot stores an id once. It waits between
// the tries, longer each time and with jitter, and never less than Retry-After
// says. It goes on for as long as [Options].RetryFor says. With [Options].FailFast it
// does so only once the relay has answered: a wrong address is an error at once.
//
// A post without an id is repeated only if it is certain that nothing was stored:
// there was no connection, or the relay said so (429, 503, 507). If the answer to
// such a post is lost, the error is a [*LostError] whose Sent is true. The event
// may be stored or not.
//
// Many events go out in one post with [Slot.PostBatch]: all are stored, or none. An
// [Appender] posts batches one after the other, and finds out by position what became
// of one whose answer was lost. So it needs no ids.
//
// # Places in a slot
//
// Every event has a position in its slot. A [Cursor] holds the position behind an
// event, if the relay has told it. [Slot.Pull] and [Slot.Tail] go on from there, also
// after a restart of the relay. They neither lose nor repeat an event. [Slot.Last]
// reads the newest events, and no others.
//
// A relay may have no positions. It knows a place only by the id of the event before
// it, and not every event has an id. So a Cursor also holds an id, and the number of
// events behind it that were seen. That is exact too, because slots only grow at their
// end. But it does not reach beyond a page of events without an id.
//
// What a relay has is seen from its answers. What it lacks and can't be done without is
// [ErrNotOffered].
//
// # Errors
//
// If the relay refuses a request, the error is an [*Error]. If the relay gives no
// answer, it is a [*LostError]. If the answer does not come from a relay, it is
// [ErrReply]. errors.Is tells them apart.
//
// All methods may be called from several goroutines at once. None leaves a
// goroutine behind. [Client.Close] closes idle connections.
package client
