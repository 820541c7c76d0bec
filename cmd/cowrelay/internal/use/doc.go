// Package use is the commands of a relay's users: slot, post, pull and tail. It
// reaches a relay over fasthttp/client alone, as any program could, so it knows
// nothing of slots and stores.
//
// A command that uses a slot finds it in three steps: profile.go and profileload.go
// read slots that were saved under a name, target.go puts flags, environment and
// profile together, and session.go runs the command with the slot at hand. post is
// the largest command: input.go reads its events, postevents.go yields them,
// posting.go counts what became of them.
package use
