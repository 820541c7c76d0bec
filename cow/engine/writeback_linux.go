package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack has the disk begin to write a part of a file. It waits for nothing, and an
// error does not matter: a sync follows.
func writeBack(f *os.File, from, n int64) {
	unix.SyncFileRange(int(f.Fd()), from, n, unix.SYNC_FILE_RANGE_WRITE)
}
