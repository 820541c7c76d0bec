// Package replay makes a journal of two parts: a log, which a commit waits for, and a
// Store, which keeps what the log's entries did. The shape is that of a shared log with
// local materialisation (Balakrishnan et al., "Tango: Distributed Data Structures over a
// Shared Log", SOSP 2013; "Virtual Consensus in Delos", OSDI 2020).
//
// There are two kinds. Journal has a Log of its own, on one machine. SharedJournal has a
// SharedLog, which many relays write to. Both make the same entries, decide alike what
// they do, and read alike: that is in machine.
//
// # The way of a write
//
// Commit, Put and Delete put what they want into one entry, together with all that
// waits. The entry comes into the log. Then it is applied to the state in memory: that
// decides what each part of it did (see State). What held is visible from then on, and
// answered. Behind the commits, the applier writes what held into the store, many
// entries in one batch. A Log forgets what the store has made durable.
//
// What an entry does follows from the log alone. So a start that replays the log
// comes to the same state, and so does every relay that reads the same log.
//
// # What is where
//
// Between its commit and its batch an entry is in the backlog, in memory. Each read
// takes a view of the store and adds the entries behind that view.
//
//	log.go, log_shared.go    what a log has to do, of one machine and of many relays
//	store.go                 what a store has to do
//	entry.go, format.go      what an entry looks like, and which a fleet may write
//	state.go, chain.go       what an entry does; beside it, what only a shared log needs
//	machine.go               the state, the backlog and the applier, of both kinds
//	journal.go, cycle.go     how writes become entries
//	records.go               how puts and deletes wait, and who is told
//	backlog.go               what the store does not have yet
//	applier.go               how it gets there
//	read.go, readrecords.go  reads, and why they see one moment
//	open.go                  the start, the reader, the end
//	shared*.go               the journal on a shared log: its calls, its start, and how it
//	                         sends, follows and feeds
//
// # A shared log: why no act happens twice or gets lost
//
// Entries may be lost on their way, come twice or late, and no answer of a server is
// believed. So each relay has a producer, a random number of each start, and gives its
// entries the numbers 1, 2, 3 … An entry counts if its number is its producer's last
// plus one. A relay keeps its entries until the log shows them, and sends all of them
// again in order when something may be lost. So each entry counts once, in the order in
// which it was made, and a relay knows the outcome of each act when it sees its entry.
// Only an act that waits when the process ends has an outcome that nobody knows.
//
// The table of producers is a part of the state: the store keeps it in the batch of the
// entries that changed it. It has the newest 1,024. A relay that it forgot sees that in
// the log, and takes another producer (see renumber). For a copy of an entry to count
// again it would have to come later than 1,024 starts of relays.
//
// An act that is longer than an entry comes in parts, which wait in that table. It
// happens at the entry that ends it.
//
// # A shared log: why all relays have the same state
//
// All apply the same entries in the same order, from the same beginning, and what an
// entry does depends on nothing else: no clock, no chance, nothing of this machine. The
// first entry says from what the state begins. If one relay brought data of its own, the
// others need a copy of its store. Entry n of the log is entry base+n of every store, so
// the versions of records, which are made of it, go on from those that the data had.
//
// The digest of a state follows from its log and from what became of each op. Each entry
// carries the digest that its relay had. A relay that finds another one than its own
// stops, as it does at a gap in the numbers, a wrong checksum, or an entry that it does
// not know: two states must never both be served.
//
// # A shared log: what a read shows
//
// Reads show what this relay has applied, which may be old by a moment. Barrier makes an
// entry and waits until the relay has applied it. What any relay acknowledged before
// stands before it in the log. So a read behind a Barrier shows that.
//
// A conflict or a missing record is answered by the log, not by what this relay has: a
// SharedJournal decides nothing before the entry is seen.
package replay
