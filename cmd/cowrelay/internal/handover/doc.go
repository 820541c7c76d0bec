// Package handover is how one program takes another one's place in the same process,
// without a gap for those who connect: a relay that is to be replaced executes the new
// binary, and leaves it what must stay open.
//
//	old program                                     new program
//	Try: does the binary start with this configuration? ──▶ Trying, says yes or no
//	lets go of its clients, closes its store
//	State.Exec ── execve ─────────────────────────▶ Take: what was left
//	                                                serves, or State.Back
//
// The process stays the same, so a service manager, a container or a shell that has
// started it sees no change, and nobody has to be told of another process. What has
// the close-on-exec flag, such as the store and its lock, is closed by the kernel.
// What stays open: the listening sockets, in whose queues new connections wait; the
// connections that wait for a request; and the old program's file. If the new program
// can't serve, it executes the old one again, which takes all of it back.
//
// The descriptors' numbers stand in a file in memory (memfd_create), whose own number
// is in the environment: a variable is too short for tens of thousands.
//
//	sockets    listening sockets, from the service manager or from the old program
//	state      what one program leaves the next
//	try        the trial of a binary
package handover
