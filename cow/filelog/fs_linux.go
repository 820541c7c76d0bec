package filelog

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Sync leaves out what is not needed to read the data back, such as times.
func (f diskFile) Sync() error {
	for {
		err := unix.Fdatasync(f.fd)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// Reserve finds a full disk before anything is written, and takes the room in few
// pieces.
func (f diskFile) Reserve(size int64) error {
	for {
		err := unix.Fallocate(f.fd, 0, 0, size)
		switch {
		case err == unix.EINTR:
			continue
		case err == nil, errors.Is(err, unix.EOPNOTSUPP), err == unix.ENOSYS:
			return nil
		}
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
}
