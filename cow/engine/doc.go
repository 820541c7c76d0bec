// Package engine makes the journal of a relay that has a disk of its own: a log
// (cow/filelog) and a store (cow/pebblestore) in one data folder, joined by
// cow/replay. It knows nothing of HTTP.
//
// The store lies in the data folder, as it did before there was a log of its own.
// The log lies in the folder log within it. The store opens first: it locks the
// folder, and it knows from where on it needs the log.
package engine
