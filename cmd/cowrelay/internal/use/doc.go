// Package use is the commands of a relay's users: slot, token, post, pull, tail and
// ping. It reaches a relay over fasthttp/client alone, as any program could, so it knows
// nothing of slots and stores.
//
// A command that uses a slot finds it in three steps: profile.go, profileload.go and
// profileslot.go keep slots under a name, target.go puts flags, environment and profile
// together, and session.go runs the command with the slot at hand. post is the largest
// command: input.go reads its events, outbox.go holds them while a post is under way,
// postbatch.go posts them, posting.go counts what became of them. postevents.go yields
// those that are posted alone.
//
// pull and tail choose and print events with sincetime.go and printer.go. exec.go runs
// tail's commands, and resume.go keeps the place behind the last of them.
package use
