// Package poll keeps pulls that wait for an event: long polls.
//
// A long poll is a subscriber that takes nothing and only hears. It waits on the
// goroutine of its request, which reads the slot again whenever it is woken:
//
//	Set.Open ──▶ Await ⇄ woken: is there something? ──▶ Close
//	               ▲
//	               └── an event, its time, a drain; or, from another goroutine,
//	                   its client has left, or it gives way to a newer poll
//
// Whoever ends a poll takes it out of its slot and of the books at once, so that
// there is room for others before its client has its reply.
//
// The package knows no HTTP: what a poll reads, and what its client gets, is the
// caller's.
package poll
