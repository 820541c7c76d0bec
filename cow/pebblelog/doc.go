// Package pebblelog keeps slots and records in a Pebble store: the journal of
// a relay that has a disk of its own. It implements cow.Journal and
// cow.Records, with one writer and no feed, and knows nothing of HTTP.
//
// # What is stored
//
// Keys start with a byte for their family (see keys.go): each event under its
// slot and position, so that a slot is one contiguous range; the token, the
// counts and the time of the last pull of each slot under three keys side by
// side; records; and the format version, the totals and the number of opens.
// Blocks are 32 KiB, compressed with Snappy and checksummed by Pebble.
//
// # What is durable when
//
// A Commit is one batch: its groups and the totals appear together or not at all.
// So in every sync mode a crash leaves a state between two commits, which is a
// gap-free prefix of each slot. In mode Always the batch is synced before Commit
// returns, once for all its groups. In the other modes a crash, kill -9 included,
// may lose what was acknowledged since the last sync (Interval) or a tail that was
// not flushed (Off). Load never shows a batch that waits for its sync (I4). Slots,
// Value and List may.
//
// # When the disk fails
//
//   - A write or a sync of the log failed, or Pebble can't go on. What is durable
//     is unknown then, so Options.Fatal ends the process. Nothing is acknowledged
//     from then on, whatever Fatal does.
//   - A flush or a compaction failed, for instance on a full disk. It is counted,
//     logged and tried again. Commits go on until the memtables are full, and then
//     wait. A caller should look at FreeSpace before it commits.
//   - Something can't be read, or does not fit together. The error wraps
//     ErrCorrupt and says what, where, and what to do. Other slots go on.
//
// Some damage looks like an ordinary crash. A log whose end was damaged after its
// sync looks like a log whose last write was cut short. What can't be read at the
// end of the newest log is dropped, and reported: see TornTail. Three things leave
// no trace at all: a log that was cut between two records, one that was removed
// while others stayed, and a manifest that lost its end. Then the last events may
// be missing, but no slot has a gap. All this holds after a crash alone: a clean
// stop leaves nothing in the log.
//
// # Who may open it
//
// One Log, or several Readers. They lock the file LOCK and the folder itself: that
// lock holds even if somebody removes the file.
//
// # What reads a stopped store
//
// OpenReader opens a stopped store without writing to it, for exports and copies.
// Reader.Verify looks at every key, and so finds damage before a load does.
//
// # Bounds
//
// Memory is Options.MemoryBytes, plus 0.5 MiB for each running Load. On disk
// each log file is allocated ahead, at 1.1 times MemTableBytes. Up to six of them
// exist, most of them for reuse: about 106 MiB by default, beside the tables. The
// goroutines of a Log, and those of Pebble, end with Close.
package pebblelog
