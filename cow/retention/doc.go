// Package retention ends what nobody needs any more: events that are old or too many,
// slots that were never used, and slots that nobody uses.
//
// An event has no time of its own that could be trusted: its sender wrote it. So the
// sweeper writes marks. Now and then it notes for each slot that has changed up to which
// position its events had come by then. Such a list is a generation, a record or some in
// the journal. When a generation is as old as events may be, its events leave, and when
// nothing more can follow from it, it is deleted. So what was begun goes on after a
// restart, a cold slot is neither woken nor read for its age, and nothing leaves early: an
// event may stay an eighth longer than it must.
//
// Relays that share a log see each other's generations. They act on them one after the
// other, see turn.go. Should two act at once, the journal refuses the second, which then
// does nothing.
//
// A slot may have a lifetime of its own. Such slots have generations of their own, by
// classes of how long they live: see own.go.
//
// A clock that is wrong must not delete what was acknowledged. See clock.
package retention
