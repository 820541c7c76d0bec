package engine

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow/filelog"
	"cowrelay/cow/pebblestore"
)

// Options of Open and OpenReader. The zero value means the defaults.
type Options struct {
	// Sync mode of the log. Default filelog.Always.
	Sync filelog.Sync
	// Interval between two syncs in mode filelog.Interval. Default 100 ms.
	Interval time.Duration
	// SegmentBytes is the size of a file of the log. Default 16 MiB.
	SegmentBytes int64
	// AcceptLoss goes on without what a damaged log has lost. Default: Open fails.
	AcceptLoss bool
	// LeaveFleet opens the folder of a relay that shared a log with others, and gives it
	// a log of its own. Default: Open fails.
	LeaveFleet bool

	// CacheBytes of table blocks that the store keeps in memory. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is the size of each of three memtables. Default 16 MiB.
	MemTableBytes int64
	// Backlog is how many bytes of entries may wait in memory for the store.
	// Default 64 MiB.
	Backlog int64
	// Pending is how many bytes of entries may be under way to a shared log when another
	// one is made. Default 8 MiB.
	Pending int64
	// OpenFiles is how many descriptors both parts may have open together, at least
	// MinOpenFiles. Default DefaultOpenFiles.
	OpenFiles int
	// NoFiles is called while the store waits for a descriptor because the process
	// has none left. It should free one. It must not call the Journal. Default:
	// nothing.
	NoFiles func()
	// FilesPatience is how long an operation waits for that descriptor before it
	// fails. Default 30 s.
	FilesPatience time.Duration

	// FS holds the data folder. Default: the real disk, with files 0600.
	FS vfs.FS
	// Logger gets what an operator should know. Default slog.Default().
	Logger *slog.Logger
	// Fatal is called once when what is durable can't be known any more. It should
	// end the process. Default: log what failed and what to do, Exit(1).
	Fatal func(error)
	// Exit ends the process for the default Fatal. Default os.Exit.
	Exit func(code int)
	// Progress is called now and then while the log is replayed at the start: so many
	// entries of so many. Default none.
	Progress func(done, all uint64)
	// Observe is called after each write to the log with the time it took (in mode
	// filelog.Always with its sync) and its size in bytes. It must be fast and must
	// not call the Journal. Default none.
	Observe func(took time.Duration, bytes int)
}

// Bounds of Options.OpenFiles.
const (
	DefaultOpenFiles = pebblestore.DefaultOpenFiles + filelog.DefaultOpenFiles
	MinOpenFiles     = pebblestore.MinOpenFiles + filelog.MinOpenFiles
)
