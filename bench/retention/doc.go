// Package retention measures how events leave, and whether the disk gives their space
// back. It posts many small events, most of them to slots with a short lifetime of
// events, and follows the disk:
//
//	quiet    nothing but posts at a fixed rate
//	fill     the events, as fast as they are taken
//	stored   until the first event leaves
//	expiry   until all have left that should
//	space    until the data folder takes little more than what is left
//	check    what stays is read back, byte for byte, and what has left is gone
//
// The posts at a fixed rate go on through all phases but the check. So their latency
// beside expiry and compactions can be held against the quiet one.
//
// What is left is the sum of the lengths of the events that the relay still has, as it
// counts them (cowrelay_event_bytes). It must agree with what was posted.
//
// All that is read goes into one file as it comes, so a run that is cut off can be
// judged and drawn as far as it got.
package retention
