// Package drill has the attacks. A drill is one attack in some variants. A
// variant says how the relay is started, what is stored before, what attacks,
// and which bars it adds to those that every drill has.
//
// A drill sees no more of the run than its Scene. Most attacks are a fleet of
// connections from a crowd of addresses. An attack takes what there is and
// holds it; a flood has a fixed rate, since one without would take the whole CPU
// from any relay.
package drill
