// Package pebblestore keeps what the entries of a log did in a Pebble store: it
// implements replay.Store for a relay that has a disk of its own. It knows nothing
// of HTTP.
//
// # What is stored
//
// Keys start with a byte for their family (see keys.go): events under their slot and
// the position of the first of them, several in one value (see group.go), so that a
// slot is one contiguous range; the token, the counts and the time of the last pull
// of each slot under three keys side by side; records; and under one key the number
// of the newest applied entry with the totals. Blocks are 32 KiB, compressed with
// Snappy and checksummed by Pebble.
//
// # What is durable when
//
// Pebble's own log is off. An Apply is one batch in a memtable, and costs no write to
// the disk. Memtables are flushed in their order, each with what its batches hold. So
// a crash leaves the store behind some batch, which it names, and the relay's log has
// the rest. Durable is read from the tables themselves.
//
// # A new store, and one of format 1
//
// A store of format 1 had a log of its own, which held what a commit waited for. Open
// brings it up (see bringup.go). Store.New tells both from a store that has a log, so
// that a lost log is never taken for an empty one.
//
// # A log that relays share
//
// JoinLog makes the store one of such a log. Then each batch also has the digest of the
// log, and what it changed of the table of producers, under keys of their own. LeaveLog
// takes these keys away, so that the store can have a log of its own again.
//
// # When the disk fails
//
//   - Pebble can't go on, for instance since it can't write its manifest:
//     Options.Fatal ends the process. The log has what the store lacks.
//   - A flush or a compaction failed, for instance on a full disk. It is counted,
//     logged and tried again. Apply goes on until the memtables are full, and then
//     waits.
//   - Something can't be read, or does not fit together. The error wraps
//     ErrCorrupt and says what, where, and what to do. Other slots go on.
//
// A manifest that lost its end leaves no trace here: the store then stands behind an
// earlier batch. If the log does not reach back that far, it says so.
//
// # Who may open it
//
// One Store that writes, or several that OpenReader made. They lock the file LOCK and
// the folder itself: that lock holds even if somebody removes the file. Store.Verify
// looks at every key, and so finds damage before a load does.
//
// # Bounds
//
// Memory is Options.MemoryBytes, plus 0.5 MiB for each running Load. Goroutines end with
// Close: Pebble's, and the one of package reclaim.
package pebblestore
