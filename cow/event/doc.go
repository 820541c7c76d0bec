// Package event is the door to every slot: what an event is, which bodies of a
// post carry one, and how its bytes are kept.
//
// Accept reads a post's body once and returns the event without white space.
// Whatever passes here can be read by every parser that clients use (invariant
// I8 of package cow). Everything behind the door may rely on that: Event.ID
// decodes without checking.
//
// The package holds pure functions. It knows no slots, no disk and no HTTP.
//
// The files, from the outside in: event.go (the event and its limits), accept.go
// (the door: one call, one pass over the tokens), walk.go (the rules for keys and
// values), lines.go (the door for many events in one body), names.go (repeated keys), number.go (numbers out of range), error.go
// (why a body is refused), check.go (other documents than events),
// members.go (parts of a document that was checked).
package event
