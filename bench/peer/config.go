package peer

import "cowrelay/bench/run"

// A peer is a server that a user would pick instead of the relay.
type peer struct {
	name string
	// missing says what has to be installed first; "": nothing.
	missing string
	// promises is what it promises less than the relay, or what a reader must
	// know.
	promises  string
	scenarios []run.Variant
}

// A Config is a run.Config for runs beside peers. Its Target, if set, is one of
// them.
type Config struct {
	run.Config
	// NATSPeer is the program that is NATS; without it that peer is skipped.
	NATSPeer string
	// Peers names the peers to run beside; all by default.
	Peers []string
}
