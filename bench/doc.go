// Package bench is the folder of the load generator. It loads any relay that
// speaks the HTTP contract of cowrelay, and holds what it measures against a
// bound: a server that sends the same bytes and does nothing else. Command
// relaybench binds flags to it.
//
// A run is one variant of a scenario. Its server is always a process of its own,
// never the generator's, so that its CPU time can be read by itself. The rounds
// of relay and bound run by turns. Beside throughput stands the server's CPU time
// for each request: generator and server share the cores, so throughput alone
// hides what a request costs.
//
// The rooms, from the bottom up; each knows only rooms above it in this list:
//
//	wire      HTTP over bare connections, frames, events
//	proc      servers as processes, and what they use
//	load      the generator: sessions, loops, pacing, samples
//	bound     the servers that relays are held against
//	report    results, their lines and JSON, the machine, profiles
//	run       how a variant is run
//	scenario  poll, connect, window, post, batch, batch-beside, post-file, tail,
//	          fanout, saturation, idle, churn, mix, growth, restart
//	peer      the relay beside Nchan, NATS JetStream or another relay
//	attack    the relay under attack, and its honest clients meanwhile
//	soak      the mix for an hour on a small machine
//	retention many events that expire, and whether the disk comes back
//	model     what a fleet of cells costs, worked out
//	plot      pictures of results
//
// Folder peers is a module of its own, which has NATS. Folder fleet is another, which
// breaks and measures relays that share a log. Folder results holds what was measured.
// Nothing here imports the relay's packages: a load generator knows
// what a client knows.
//
// All of it reads /proc and uses Linux system calls. It runs on Linux only.
package bench
