package record

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DiskUse is what the files in dir take on the disk, by their blocks, in bytes: for each
// folder in dir, and for "." the files beside these. A file that goes away meanwhile
// counts nothing.
func DiskUse(dir string) (parts map[string]int64, total int64, err error) {
	parts = map[string]int64{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		path, err = filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		part, _, inFolder := strings.Cut(path, string(filepath.Separator))
		if !inFolder {
			part = "."
		}
		parts[part] += st.Blocks * 512
		total += st.Blocks * 512
		return nil
	})
	return parts, total, err
}

func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
