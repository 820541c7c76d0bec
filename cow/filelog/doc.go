// Package filelog is a replay.Log in files of one folder. An append is one write into
// room that was filled with zeros before, and one sync.
//
// # What is where
//
//   - frame.go: how an entry lies in a segment, and its checksums
//   - segment.go: files of frames, and how one is read
//   - mark.go: the file synced, which says up to where the log was synced
//   - survey.go: one pass over all, which tells a torn tail from damage
//   - damage.go: what is said of damage
//   - open.go: what a start repairs and what it refuses
//   - log.go: Append, Read, Trim, Close
//   - keeper.go: the goroutine that makes, reuses and removes segments
//   - reader.go: a log that is only read, and its check
//   - fs.go: what a log needs of a file system, and the real disk
//
// # Torn tail and damage
//
// A crash cuts off writes that were not synced. So behind the last sync anything may
// be unreadable, and nobody was told that it is stored: that is a torn tail, and a
// start drops it. What was synced must be readable: if it is not, that is damage, and
// a start refuses. The file synced and the later frames tell the two apart. After a
// power failure the file may be behind. Then damage of the very last entry looks like
// a torn tail.
//
// # Assumptions
//
// The caller keeps other processes out of the folder: the store locks the data folder
// before the log opens.
//
// A write into a sector does not harm bytes of the sector that it does not change,
// also when the power fails: frames of 64 bytes share sectors.
package filelog
