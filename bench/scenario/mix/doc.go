// Package mix is a day of many agents, compressed. Each agent polls over a new
// connection every 5 s, now and then from the oldest event, holds a stream, and
// posts a few events in bursts to other agents.
//
// All that agents do is due at fixed times, whatever the answers take, and its
// latency counts from then: a server that stalls does not slow its own load
// down. Every acknowledged event must come once, in one order, by poll and by
// stream.
//
// There is no bound: what a server costs that does nothing would say little
// about a mix of all requests.
package mix
