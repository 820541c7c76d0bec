package relay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// MountDisk mounts a small disk as the relay's data folder, of size bytes.
// unmount removes it again.
func (r *Process) MountDisk(size int64) (unmount func() error, err error) {
	r.Disk = filepath.Join(r.dir, "data")
	image := filepath.Join(r.dir, "disk")
	if err := errors.Join(os.Mkdir(r.Disk, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, size)); err != nil {
		return nil, err
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, r.Disk}, {"chmod", "700", r.Disk}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("cannot have a disk to freeze: %s: %w: %.200s", argv[0], err, out)
		}
	}
	return func() error {
		if out, err := exec.Command("umount", r.Disk).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot unmount the drill's disk: %w: %s", err, out)
		}
		return nil
	}, nil
}
