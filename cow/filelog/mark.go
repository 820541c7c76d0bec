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
//	512  mark: number of the newest entry that was synced
//
// Both are words of 48 bits and 16 bits of their checksum. A word is written whole or
// not at all.
//
// The mark is stored after each sync of segments and not synced itself. So it
// survives the end of the process, and after a power failure it may be behind, never
// ahead. It has a file of its own, so that the sync of a segment does not write it.
// The base is synced before a segment goes.
const (
	markName    = "synced"
	markTemp    = "synced.tmp"
	markBytes   = 4096
	baseOffset  = 8
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

// seal makes a word.
func seal(seq uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seq&maxNumber)
	return seq&maxNumber | uint64(crc32.Checksum(b[:], castagnoli)>>16)<<48
}

func unseal(b []byte) (seq uint64, ok bool) {
	word := binary.LittleEndian.Uint64(b)
	return word & maxNumber, seal(word) == word
}

// makeMark makes the file synced anew, durably, for a log that begins behind base.
func makeMark(fsys FS, dir string, base uint64) error {
	b := make([]byte, markBytes)
	copy(b, markMagic)
	b[7] = markVersion
	binary.LittleEndian.PutUint64(b[baseOffset:], seal(base))
	binary.LittleEndian.PutUint64(b[markOffset:], seal(base))
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
	base, okBase := unseal(b[baseOffset:])
	synced, okMark := unseal(b[markOffset:])
	switch {
	case string(b[:len(markMagic)]) != markMagic, !okBase, !okMark, b[7] < markVersion:
		return 0, 0, errMark
	case b[7] > markVersion:
		return 0, 0, fmt.Errorf("%s: %w", name, errNewer)
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
func (m *mark) store(seq uint64) error { return m.write(seq, markOffset) }

// setBase sets the base durably. It may run beside store.
func (m *mark) setBase(seq uint64) error {
	if err := m.write(seq, baseOffset); err != nil {
		return err
	}
	return m.file.Sync()
}

func (m *mark) write(seq uint64, off int64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seal(seq))
	_, err := m.file.WriteAt(b[:], off)
	return err
}

// isMissing reports that a file or folder is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
