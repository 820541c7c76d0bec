// Package index finds an event's position in its slot by the hash of its id. One
// goroutine inserts while any number of others look up without a lock.
//
// It knows no ids and no events: whoever looks up compares the ids of what it
// finds.
package index
