package filelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
)

// The file synced says where the log begins and up to where it was synced:
//
//	  0  "cowlog", 0, version of the format
//	  8  base: the log holds no entry up to this number
//	 16  CRC-32C of all before
//	512  the mark: number of the newest entry that was synced, in 48 bits, and 16 bits
//	     of its checksum
//
// The mark is stored after each sync of segments, in one write of 8 bytes, and not
// synced itself. So it survives the end of the process, and after a power failure it
// may be behind, never ahead. It has a file of its own, so that the sync of a segment
// does not write it.
const (
	markName    = "synced"
	markTemp    = "synced.tmp"
	markBytes   = 4096
	markOffset  = 512
	markVersion = 1
	markMagic   = "cowlog\x00"
)

// mark is the open file synced.
type mark struct {
	file File
}

// errNewer says that a newer program wrote the log.
var errNewer = errors.New("a newer program wrote it, start that one")

// errMark says that the file synced can't be understood.
var errMark = errors.New("its checksum is wrong")

func sealMark(seq uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seq&maxNumber)
	return seq&maxNumber | uint64(crc32.Checksum(b[:], castagnoli)>>16)<<48
}

// makeMark makes the file synced anew, durably, for a log that begins behind base.
func makeMark(fsys FS, dir string, base uint64) error {
	b := make([]byte, markBytes)
	copy(b, markMagic)
	b[7] = markVersion
	binary.LittleEndian.PutUint64(b[8:], base)
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	binary.LittleEndian.PutUint64(b[markOffset:], sealMark(base))
	temp := filepath.Join(dir, markTemp)
	f, err := fsys.Open(temp, true, true)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, filepath.Join(dir, markName)); err != nil {
		return err
	}
	return fsys.SyncFolder(dir)
}

// readMark reads the file synced. There is none: fs.ErrNotExist. It can't be
// understood: errMark.
func readMark(fsys FS, dir string) (base, synced uint64, err error) {
	name := filepath.Join(dir, markName)
	f, err := fsys.Open(name, false, false)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	b := make([]byte, markOffset+8)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return 0, 0, fmt.Errorf("%w: %w", errMark, err)
	}
	base = binary.LittleEndian.Uint64(b[8:])
	word := binary.LittleEndian.Uint64(b[markOffset:])
	synced = word & maxNumber
	switch {
	case string(b[:7]) != markMagic, binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli):
		return 0, 0, errMark
	case b[7] > markVersion:
		return 0, 0, fmt.Errorf("%s: %w", name, errNewer)
	case sealMark(synced) != word, base > synced:
		return 0, 0, errMark
	}
	return base, synced, nil
}

func openMark(fsys FS, dir string) (*mark, error) {
	f, err := fsys.Open(filepath.Join(dir, markName), true, false)
	if err != nil {
		return nil, err
	}
	return &mark{f}, nil
}

// store sets the mark. It belongs to one goroutine at a time.
func (m *mark) store(seq uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], sealMark(seq))
	_, err := m.file.WriteAt(b[:], markOffset)
	return err
}

// isMissing reports that a file or folder is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
