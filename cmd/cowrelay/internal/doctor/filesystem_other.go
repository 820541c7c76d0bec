//go:build !linux

package doctor

import "golang.org/x/sys/unix"

// fileSystem names a file system. Only on Linux it is judged, too.
func fileSystem(st *unix.Statfs_t) (name, what string, s status) {
	return unix.ByteSliceToString(st.Fstypename[:]), "", ok
}
