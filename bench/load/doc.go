// Package load is the generator: it starts or attaches servers, puts load on
// them, checks each answer, and says what a round of that came to.
//
//	Server       a server under load, over HTTP: a relay, its bound, a peer
//	Session      what the loads of one scenario share
//	RunClosed    workers that send the next request when the last was answered
//	RunNumbers   workers that do each of some numbers once
//	Pacer        says when posts of a fixed rate are due
//	Sample       a round: what was done, latencies, CPU, errors
//
// An answer that is wrong, late or missing is counted as an error of the round,
// with the text of the first one. The generator shares the machine with what it
// measures, so its loops do little: requests are serialized once, most bodies
// are dropped unread, and all bytes are compared for one answer in a thousand.
package load
