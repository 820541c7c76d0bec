// Package rate limits how often something may happen, for each of many keys or
// over all. It does not know what its keys are, nor what time it is: the caller
// passes the time, in nanoseconds from any fixed point.
//
// A limit is a token bucket. A full bucket holds Burst tokens. One act takes one
// token, and one token comes back every Every. An act without a token is refused.
//
// A bucket here is a single word: the time at which it will be full again. Each
// act moves that time by Every, so an act is one compare-and-swap:
//
//	full <= now                      all Burst tokens are there
//	full <= now + (Burst-1)*Every    at least one token is there
//	full >  now + (Burst-1)*Every    none is: wait until the line above holds
//
// What holds:
//   - R1 A bucket allows exactly the acts that a plain token bucket allows, with
//     any number of callers, as long as the times that they pass don't go back. A
//     refused act takes nothing. A token that Limiter.Return gives back is for the
//     next act, at the latest until the bucket is full.
//   - R2 A Limiter never has more keys than it was made for.
//   - R3 To make room, a Limiter forgets the key whose bucket will be full again
//     first. If that bucket is full already, nothing is lost: a key without a
//     bucket counts as full. If some of its tokens are missing, then at least as
//     many are missing from every other bucket. So a flood of keys that are used
//     once only pushes out keys of the flood. A client that has reached its limit
//     gets its tokens back early only if each key of a flood has spent as many
//     tokens as the client has.
//   - R4 An act of a known key takes no lock and allocates nothing.
package rate
