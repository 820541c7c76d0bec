// Package attack attacks a relay, as a client would that cares for nobody, and
// watches what the other clients get meanwhile.
//
// A drill is one attack. The built relay runs as a child, in a control group of
// 512 MB and one core where this machine lets us make one. Honest clients load
// it at a fixed, modest rate: they post, poll over fresh connections, pull
// windows and cold slots, wait in long polls and read streams, and an operator
// reads the metrics. They are measured before the attack, while it lasts, and
// after it. All is on loopback. Attackers come from 127.0.0.x addresses of
// their own, or, in some variants, from the address of the honest clients.
//
//	fill, restart -> before -> during (the attack) -> after -> recovered -> SIGTERM
//	                                   |
//	                                   +-> kill, verify, restart   (with Config.Kills)
//
// A drill passes if all its bars hold: the relay does not end, no honest
// request fails, the honest p99 is at most three times what it was before, what
// the attack took (memory, goroutines, sockets) comes back, the books of the
// relay's memory agree with its live heap, everything that was acknowledged is
// there, and the relay ends in order at SIGTERM.
//
// With Config.Kills, each drill is run that many times with a SIGKILL at a
// random moment. Then the store must be sound and hold all that was
// acknowledged.
//
// The package runs on Linux only: it reads /proc and control groups. It ends
// only processes that it started, and removes the control groups that it made.
package attack
