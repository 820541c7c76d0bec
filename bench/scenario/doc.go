// Package scenario has the loads. Each of its files begins with a function that
// returns the variants of one scenario, and says what that loads, what its
// bound is, and why.
//
//   - poll: an up-to-date client asks for what is new and gets an empty page.
//   - connect: the same over a new connection each time, as existing clients do
//
// it.
//   - window: full pages at random places of a slot, short or long.
//   - post: unique events, each acknowledged after it is on stable storage.
//   - batch: requests of many events.
//   - batch-beside: posts of one event at a fixed rate beside a flood of batches.
//   - post-file: the lines of a file, by the relay's own command.
//   - tail: what a relay reads for the newest events of a full slot.
//   - fanout: every event posted to one slot, at every stream of that slot.
//   - saturation: posts at a fixed rate while pullers take full windows.
//   - idle: thousands of streams that hear nothing but heartbeats.
//   - churn: streams opened and closed on a silent slot, and what stays of
//
// them.
//   - mix: a day of many agents, compressed.
//   - growth: curves over the events in a slot, the streams of a slot and the
//
// slots of a relay.
//
//   - restart: the time from start to a right page, after a kill under posts.
//
//   - edge, edge-idle: a small machine full of streams.
//
//   - cold: a small machine that holds more than its memory.
//
// Longer ones are packages of their own: mix, batch, cold, and saturation, which has
// batch-beside too. Whatever
// comes back wrong (status, length, bytes, order, a lost event) is an error of
// the round.
package scenario
