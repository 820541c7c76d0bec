// Package relay is the attacked process: it starts, ends and kills a relay, in
// a control group of its own where that is possible, and watches what the
// process holds.
package relay
