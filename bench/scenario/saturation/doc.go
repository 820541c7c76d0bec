// Package saturation plays an outage that a relay of this protocol once had: a
// few clients that pulled full windows of a long slot stalled everybody's
// posts.
//
// Posters post at a fixed rate to slots of their own, and latency counts from
// when each post was due. Beside them are no pullers, pullers that never rest,
// and pullers at a rate that leaves 30 % of the CPU idle. Their process is
// another one (package pullers).
//
// What is compared is the p99 of the posts, with the bound's and with the
// side's own p99 without pullers. The bound sends slices of one buffer and
// shares syncs. On a machine that is full its posts are late too, so the ratio
// says how much of that is the relay's own doing.
//
// batch-beside is the same with a flood of batches in the place of the pullers:
// posts of one event from many connections, alone and beside requests that carry a
// hundred events each.
package saturation
