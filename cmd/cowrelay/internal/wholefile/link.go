package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Replaceable follows the symbolic links of path to the end and returns the name
// there: that of a regular file, which a new one may replace, or of none yet. The
// name is "" if something else is there: a device, a FIFO, or an open file behind
// a link of /proc. Those can be written to, but not replaced.
//
// In a folder where others may make files, a link of theirs is not followed.
func Replaceable(path string) (name string, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("%s is a folder", path)
	} else if err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	for range 40 { // as many as the system follows
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(dir, "/proc/") {
			return "", nil
		}
		if err := trustLink(path, dir, info); err != nil {
			return "", err
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if path = to; !filepath.IsAbs(to) {
			path = filepath.Join(dir, to)
		}
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}

// trustLink refuses a link that somebody else may have prepared: one in a folder
// where others may make files, that belongs neither to this user nor to the owner
// of the folder. (Linux can refuse these too, by fs.protected_symlinks.)
func trustLink(path, dir string, link fs.FileInfo) error {
	folder, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if by := Owner(link); folder.Mode().Perm()&0o022 != 0 && by != os.Geteuid() && by != Owner(folder) {
		return fmt.Errorf("%s is a symbolic link of another user (%d) in a folder where others may make some: it is not followed", path, by)
	}
	return nil
}

// Owner returns the id of the user that a file belongs to.
func Owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
