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
// A Commit is one batch, so its groups and the totals appear together or not
// at all, and a crash leaves a state between two commits in every sync mode:
// a gap-free prefix of each slot. In mode Always the batch is synced before
// Commit returns, once for all its groups; in the other modes a crash may lose
// what was acknowledged since the last sync (Interval) or an unflushed tail
// (Off), a kill -9 included. Load shows nothing that waits for its sync (I4);
// Slots, Value and List may.
//
// # When the disk fails
//
//   - A write or a sync of the log failed, or Pebble can't go on: nobody can
//     tell any more what is durable, so Options.Fatal ends the process.
//     Nothing is acknowledged from then on, whatever Fatal does.
//   - A flush or a compaction failed, for instance on a full disk: counted,
//     logged and tried again. Commits go on until memtables are full, and then
//     wait. Who commits should look at FreeSpace before.
//   - Something can't be read, or does not fit together: an error that wraps
//     ErrCorrupt and says what, where, and what to do. Other slots go on.
//
// What can't be told apart: a log whose end was damaged after its sync looks like
// one whose last write was cut short, which is normal after a crash. What can't
// be read at the end of the newest log is dropped, and said: see TornTail. A log
// that was cut between two records, or removed while others stayed, can't be
// noticed at all, nor a manifest that lost its end. No slot has a gap then, but the
// last events may be missing. A clean stop leaves nothing in the log, so this goes
// for crashes alone.
//
// # Who may open it
//
// One Log, or several Readers: they lock the file LOCK and the folder itself, which
// holds also when the file was removed.
//
// # What reads a stopped store
//
// OpenReader opens one without writing to it, for exports and copies, and its
// Verify looks at every key: what a load would find when it is too late.
//
// # Bounds
//
// Memory is Options.MemoryBytes, plus 0.5 MiB for each running Load. On disk
// each log file is allocated ahead, at 1.1 times MemTableBytes, and up to six
// of them exist, most of them for reuse: about 106 MiB by default beside the
// tables. The
// goroutines of a Log, and those of Pebble, end with Close.
package pebblelog
