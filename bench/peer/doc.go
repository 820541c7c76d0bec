// Package peer runs the relay by turns with what a user would pick in its
// place: Nchan, NATS JetStream, or another relay of the same protocol. The peer
// stands where the bound stands elsewhere, in the loads that both can run.
//
//	nchan   nginx with a module; HTTP, so a Dialect is enough to load it
//	nats    a program of its own (module bench/peers) that has the server, and
//	        the client as a Backend; RunLoad runs the same loops and checks there
//	target  a relay that runs already; nothing is translated
//
// A peer promises other things than the relay. What it promises less stands
// beside each of its figures. A peer that is not installed comes to a result
// that says what would bring it.
package peer
