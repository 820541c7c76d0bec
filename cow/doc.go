// Package cow holds the slots of a mailbox relay: append-only lists of JSON events.
// Any number of readers slice them without a lock, while one owner appends.
//
// A slot is a list of chunks. Each chunk is one contiguous segment of event bytes
// that is already separated for a JSON array. Readers see a snapshot of the list,
// published through one atomic pointer, and what a snapshot shows never changes. The
// bytes of sealed chunks may leave memory and come back; the tables of where their
// events end stay. A slot that nobody uses leaves as a whole and keeps only its
// counts. A reader is a cursor: between two writes it holds no bytes, so readers
// that wait for their clients keep nothing in memory.
//
// All changes go through one owner, the commit loop: durable, then indexed, then
// visible, then woken, then acknowledged, in that order.
//
// The package knows nothing of HTTP and nothing of a disk. It consumes the
// interfaces Journal and Records.
//
// # The rooms
//
// Files begin with their room. A room knows those above it in this list, not those
// below. The one exception: a slot points at its part of a batch, so that the commit
// loop finds it without a look-up.
//
//	event, index,     packages of their own that know no slot: the door, the map
//	frame, flight,    from ids to positions, the frames of streams, shared loads,
//	invariants        the checks of a build
//	journal.go        what the package asks of a journal
//	options.go        limits, errors, counters, the clock, the room on the disk
//	slot_             what a slot is: id, chunks, snapshot, subscribers
//	memory_           what of it is in memory: the budget, the loads
//	commit_           the commit pipeline; commit.go has its outline
//	store.go          the store, which joins the rooms; store_commit.go is the
//	                  commit pipeline's side of it
//	records           what stands beside a slot: health, lifetime, block, tokens
//	read_             the readers' cursors: a page, a subscriber
//
// # The way of a post
//
//	fasthttp/listener.go     the connection; its bytes go to upstream's server
//	fasthttp/admit.go        the head: route, limits, slot, token
//	fasthttp/events.go       the handler takes a Post and reads the body
//	event/accept.go          the door: the body is checked, the event compacted
//	commit_post.go           the post is ready and knows the hash of its id
//	commit_queue.go          it waits in the queue; its goroutine waits for the answer
//	commit_decide.go         the loop decides: new, a duplicate, too much, or to wait
//	commit_send.go           its slot's group goes into a batch, the batch to the journal
//	replay/journal.go        the batch becomes an entry of the log
//	filelog/log.go           one write and one sync: durable; the store follows later
//	commit_finish.go         indexed, visible, woken, and the answer, all the way back
//
// # The way of a pull
//
//	fasthttp/admit.go        the head, as for a post
//	fasthttp/request.go      the query: where to begin, limit and wait
//	read_window.go           Store.Window finds that and slices the newest snapshot
//	index/index.go           the position of since, without a lock
//	memory_load.go           what is not in memory is loaded, once for all who want it
//	fasthttp/poll/poll.go    nothing there and a wait: subscribe, wait, look again
//	fasthttp/conn/page.go    a long page goes out with the reply's head in one system
//	                         call; a short one is copied into the server's buffer
//	read_window.go           Parts are the segments' own bytes, Wrote moves the cursor
//	fasthttp/conn/pagesend.go
//	                         a full socket: let go of all, wait, go on at the cursor
//
// # The way of a cursor
//
//	fasthttp/stream.go       the handler opens a stream; upstream lets the connection go
//	fasthttp/stream/admit.go a place is counted, the stream subscribes
//	read_subscriber.go       Store.Subscribe: join the slot's set, then load the head
//	fasthttp/stream/start.go the connection is the stream's; no goroutine stays with it
//	commit_finish.go         an event became visible: the loop wakes the slot's set
//	slot_subscribers.go      each member's Wake is called
//	fasthttp/stream/queue.go Wake queues the stream; one of a few writers takes it
//	read_subscriber.go       Next: the bytes behind the cursor
//	frame/log.go             those are frames that all of the slot's streams share
//	fasthttp/stream/serve.go one write, Wrote moves the cursor, and idle again
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
//     Where relays share the journal these are the snapshots of the relay that has
//     acknowledged it. Those of the others follow; Store.Current waits for them.
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
