// Package cow holds the slots of a mailbox relay: append-only lists of JSON
// events that any number of readers slice without a lock while one owner
// appends to them.
//
// A slot is a list of chunks, each one contiguous segment of event bytes that
// is already separated for a JSON array. What readers see of it is a snapshot,
// published through one atomic pointer; what is behind a snapshot never
// changes. The bytes of sealed chunks may leave memory and come back, while the
// tables of where their events end stay; a slot that nobody uses leaves as a
// whole and keeps only its counts. A reader is a cursor: between two writes it
// holds no bytes, so readers that wait for their clients keep nothing in memory.
//
// All changes go through one owner, the commit loop (commit.go). What it stores is
// durable, then indexed, then visible, then its subscribers are woken, then its
// poster is answered. commit_finish.go alone holds that order.
//
// The package knows nothing of HTTP and nothing of a disk: it consumes the
// interfaces Journal and Records.
//
// # The way of a post
//
//   - store_commit.go: a handler takes a Post from Store.NewPost.
//   - commit_post.go, event/accept.go: Accept checks the body and copies the event.
//     Commit submits the post.
//   - commit_queue.go: submit puts it into the queue, unless too much waits or the
//     disk hangs, and waits for the answer.
//   - commit.go: the loop takes turns. In each it runs the inbox and the stages.
//   - commit_decide.go: gather takes the post out of the queue. decide finds out
//     whether it is new, a duplicate, or too much.
//   - commit_park.go, memory_load.go: if its slot or a chunk is not in memory, the
//     post is parked until that is loaded.
//   - commit_batch.go: a new event joins what the batch appends to its slot.
//   - commit_send.go: send seals the batch. commitBatch has Journal.Commit store it.
//   - commit_finish.go: publish enters it into the index (index/) and the tail chunk
//     (slot_chunk.go), publishes the snapshot (slot.go), and wakes the subscribers
//     (slot_subscribers.go). finishAppend answers.
//   - commit_queue.go: submit returns. The handler calls Release (commit_post.go).
//
// # Invariants
//
// Tests cite these numbers.
//
//   - I1: what a published snapshot shows is never written again. A writer
//     fills only the capacity behind what the newest snapshot shows.
//   - I2: positions in a slot are gap-free, start at 0 and are never reused.
//   - I3: under an always-syncing journal an acknowledged event is on stable
//     storage; under every journal it is in every snapshot loaded afterwards.
//   - I4: no event is visible (window, since, frame) before the journal said
//     that it is stored.
//   - I5: in a slot an event id occurs once, whatever the concurrency and
//     however often the relay restarts. Dedupe, quota and append are one
//     decision of one owner.
//   - I6: a subscriber gets every event behind its cursor once, in order,
//     until its stream ends.
//   - I7: a reader never waits for a writer, a subscriber, another reader, or
//     the disk for what is in memory.
//   - I8: every event that is accepted can be parsed by every client; see
//     event.Accept.
package cow
