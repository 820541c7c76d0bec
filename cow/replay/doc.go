// Package replay makes a journal of two parts: a Log, which a commit waits for, and
// a Store, which keeps what the log's entries did. The shape is that of a shared log
// with local materialisation (Balakrishnan et al., "Tango: Distributed Data
// Structures over a Shared Log", SOSP 2013; "Virtual Consensus in Delos", OSDI
// 2020).
//
// # The way of a write
//
// Commit, Put and Delete put what they want into one entry, together with all that
// waits. The log writes and syncs the entry. Then the entry is applied to the state
// in memory: that decides what each part of it did (see State). What held is visible
// from then on, and answered. Behind the commits, the applier writes what held into
// the store, many entries in one batch, and the log forgets what the store has made
// durable.
//
// What an entry does follows from the log alone. So a start that replays the log
// comes to the same state, and so does every relay that reads the same log.
//
// # What is where
//
// Between its commit and its batch an entry is in the backlog, in memory. Each read
// takes a view of the store and adds the entries behind that view.
//
//	log.go, store.go      what a log and a store have to do
//	entry.go              what an entry looks like
//	state.go              what an entry does
//	journal.go, cycle.go  how writes become entries
//	records.go            how puts and deletes wait, and who is told
//	backlog.go            what the store does not have yet
//	applier.go            how it gets there
//	read.go               reads, and why they see one moment
//	open.go               the start, the reader, the end
package replay
