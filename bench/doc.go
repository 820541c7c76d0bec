// Package bench loads any relay that speaks the HTTP contract of cowrelay and
// holds what it measures against a bound: a server that sends the same bytes
// and does nothing else.
//
// A run is one scenario. Its server is always a process of its own, never the
// generator's, so that its CPU time can be read by itself. Where a scenario
// has a bound, the rounds of relay and bound alternate, so that a machine that
// drifts drifts for both, and the result is the median of the ratios of the
// rounds, with the smallest and the largest. Beside throughput stands the
// ratio of server CPU-microseconds a request: generator and server share the
// cores, so throughput alone hides what a request costs.
//
// Scenarios:
//
//   - poll: an up-to-date client asks for what is new and gets an empty page.
//   - connect: the same over a new connection each time, as existing clients do
//     it.
//   - window: full pages at random places of a slot, short or long.
//   - post: unique events, each acknowledged after it is on stable storage.
//   - fanout: every event posted to one slot, at every stream of that slot.
//   - saturation: posts at a fixed rate to other slots, while pullers take full
//     windows of a 64 MiB slot.
//   - idle: thousands of streams that hear nothing but heartbeats: memory and CPU
//     of each.
//   - churn: streams opened and closed on a silent slot, and what stays of them.
//   - mix: a day of many agents, compressed: each polls at fixed times, holds a
//     stream and posts in bursts. It has no bound.
//   - growth: curves over the events in a slot, the streams of a slot and the
//     slots of a relay.
//   - restart: the time from start to a right page, after a kill under posts.
//
// RunPeers puts other servers in the place of the bound, in the scenarios that
// both can run: Nchan, NATS JetStream, or another relay of the same protocol.
//
// Whatever comes back wrong (status, length, bytes, order, a lost event) is
// counted as an error of the round, with the text of the first one.
//
// The package reads /proc and uses Linux system calls; it runs on Linux only.
package bench
