// Package act is the clients of a round: they post, pull, stream, claim, use invites
// and tokens, through all relays, as a seed says.
package act
