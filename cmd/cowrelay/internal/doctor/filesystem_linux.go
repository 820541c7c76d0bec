package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystem names a file system, and judges it as the place of a store.
func fileSystem(st *unix.Statfs_t) (name, what string, s status) {
	const (
		network = "what a sync writes lies on another machine"
		memory  = "it is memory: nothing outlives the machine"
	)
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", "", ok
	case unix.XFS_SUPER_MAGIC:
		return "xfs", "", ok
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", "", ok
	case unix.TMPFS_MAGIC:
		return "tmpfs", memory, trouble
	case unix.RAMFS_MAGIC:
		return "ramfs", memory, trouble
	case unix.NFS_SUPER_MAGIC:
		return "NFS", network, warning
	case unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB", network, warning
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph", network, warning
	case unix.V9FS_MAGIC:
		return "9p", "it belongs to the host of this virtual machine", warning
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", "a program serves it, and that decides what a sync does", warning
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", "it is the layer of a container, and goes when the container is removed", warning
	}
	return fmt.Sprintf("type %#x", uint32(st.Type)), "", ok
}
