// Package cold loads a small machine that has far more stored than its memory
// holds. The relay runs in a control group.
//
//	fill     slots of known events, several times the relay's memory budget
//	quiet    hot slots are read, and others posted to, at fixed times
//	probe    cold slots are read without rest, to find the rate for the next phase
//	cold     as quiet, beside cold reads at that rate
//	check    what was posted is read back
//
// Each event is a function of its slot and its position, so every page is compared
// byte for byte. A cold read may be refused: then the answer is 503 with
// Retry-After, and it is counted. Everything else that is no page is an error.
package cold
