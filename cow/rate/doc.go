// Package rate limits how often something may happen: for each of many keys, or
// over all. It knows neither what its keys are nor what time it is: the clock
// is passed in, in nanoseconds from any fixed point.
//
// A limit is a token bucket. It holds up to Burst tokens, one act takes one, and
// one comes back each Every. Here a bucket is a single word, the time at which
// it will be full again, so that an act is one compare-and-swap.
//
// What holds:
//   - R1 Of acts at times that don't fall, exactly those are allowed that a
//     plain token bucket allows, however many callers there are. A refused act
//     takes nothing.
//   - R2 A Limiter has at most as many keys as it was made for, whatever comes.
//   - R3 The key that is forgotten to make room is the one that is full again
//     first. If its bucket is full, nothing is lost: a key without a bucket has
//     a full one. If it lacks some tokens, every other key lacks as many or
//     more, to within what came back meanwhile. So a key that is limited gets
//     its tokens back early only by a flood of keys that each spent as many as
//     it has: keys that are used once push out each other.
//   - R4 An act of a known key takes no lock, and allocates nothing.
package rate
