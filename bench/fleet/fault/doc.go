// Package fault runs relays and what they stand on, and breaks them as a seed says:
// kills, pauses, cuts.
package fault
