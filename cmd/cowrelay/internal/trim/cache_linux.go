package trim

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache has the kernel forget the pages of a file that are on disk already. It
// begins to write the others, which a later call can drop.
func dropCache(name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOATIME, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
