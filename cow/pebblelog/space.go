package pebblelog

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FreeSpace returns how many bytes an unprivileged process can still write to
// the file system that holds dir.
func FreeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(dir, &s)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("cannot read the free space of %q: %w", dir, err)
		}
		return s.Bavail * uint64(s.Bsize), nil
	}
}
