// Package client talks to a relay: it allocates slots, posts events to them,
// pulls pages of them and follows them as streams.
//
// Events go out and come back as the bytes that they are: nothing is decoded
// and printed again, because receivers hash every field.
//
// # What is tried again
//
// Whatever can be repeated without harm is, with jittered exponential back-off
// and never before Retry-After, for as long as [Options].RetryFor says: reads,
// and posts of events that carry an event_id, since a slot stores an id once.
// A post without an id is repeated when it is certain that nothing was stored:
// no connection came about, or the relay said so (429, 503, 507). When its
// answer is lost, the error is a [*LostError] whose Sent is true, and the event
// may be stored or not.
//
// # Places in a slot
//
// The relay knows a place in a slot by the id of the event before it. Events
// need no id, so a [Cursor] is an id and how many events behind it were seen.
// Slots only grow at their end, which makes that exact: [Slot.Pull] and
// [Slot.Tail] go on behind any event, over restarts of the relay too, and
// neither lose nor repeat one.
//
// # Errors
//
// What the relay refuses is an [*Error], a relay that gave no answer a
// [*LostError], an answer that is no relay's [ErrReply]. errors.Is sorts them.
//
// All methods may be called from several goroutines at once. None leaves a
// goroutine behind; [Client.Close] closes idle connections.
package client
