// Package check decides from the records of calls, of streams and of full reads
// whether relays kept the contract. It knows nothing of how they work: all that it
// says is what a client could have noticed.
//
// An act whose answer is missing or is a 5xx is unknown. It may have happened, may
// happen at any time up to the end, or never happens.
package check
