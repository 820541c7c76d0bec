package pebblelog

import "time"

// flushPatience is how long a clean stop waits for a flush, which may fail and be
// tried again. One that writes when that is over is waited for all the same.
const flushPatience = time.Second

// emptyLog brings what the log holds into tables. Then damage to the log of a
// stopped store costs nothing, and the next start replays nothing. Where that can't
// be done the log stays as it is, and the next start replays it.
func (l *Log) emptyLog() {
	if why := l.writeTables(); why != "" {
		l.opts.Logger.Warn("the log may not be empty: the next start reads it", "folder", l.dir, "why", why)
	}
}

// writeTables says why it could not.
func (l *Log) writeTables() (why string) {
	if l.onDisk {
		// On a full disk a flush fails and is tried again, for ever. It needs room
		// for tables, and for the next log, which is made first.
		if free, err := FreeSpace(l.dir); err != nil || free < uint64(2*memTables*l.opts.MemTableBytes) {
			return "the disk is nearly full"
		}
	}
	flushed, err := l.flush()
	if err != nil {
		return err.Error()
	}
	select {
	case <-flushed:
		return ""
	case <-time.After(flushPatience):
		return "the disk is slow"
	}
}
