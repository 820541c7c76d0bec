package filelog

import (
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
)

// segment is a file of frames. Its number never comes back, and orders it among the
// others. Numbers may be missing between two segments.
type segment struct {
	number uint64
	size   int64  // bytes of the file, all of them written once
	last   uint64 // its newest entry, 0: none
	file   File   // nil: closed
}

func segmentName(number uint64) string { return fmt.Sprintf("%012d.log", number) }

// segmentNumbers returns the numbers of the segments among names, in order.
func segmentNumbers(names []string) []uint64 {
	var numbers []uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".log")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && segmentName(n) == name {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// window reads a file piece by piece.
type window struct {
	file File
	size int64
	tick func(n int64) error // after each piece of n bytes; may be nil

	buf []byte // from off on
	off int64
}

const windowBytes = 256 << 10

// at returns n bytes from off on, which the file must hold. They are valid until the
// next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		want := int(min(int64(max(n, windowBytes)), w.size-off))
		if cap(w.buf) < want || cap(w.buf) > 4*max(want, windowBytes) {
			w.buf = make([]byte, want)
		}
		w.buf = w.buf[:want]
		w.off = off
		if m, err := w.file.ReadAt(w.buf, off); m < want {
			w.buf = w.buf[:0]
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("cannot read %d bytes at offset %d: %w", want, off, err)
		}
		if w.tick != nil {
			if err := w.tick(int64(want)); err != nil {
				return nil, err
			}
		}
	}
	return w.buf[off-w.off:][:n], nil
}

// scan calls yield for each frame of a segment. entry is nil if the header can be
// read and the entry can't. Where no header can be read it looks for the next one.
func (w *window) scan(number uint64, yield func(f frame, off int64, entry []byte) error) error {
	for off := int64(0); off+headerBytes <= w.size; {
		b, err := w.at(off, headerBytes)
		if err != nil {
			return err
		}
		f, ok := parseHeader(b, number, w.size-off)
		if !ok {
			off += alignment
			continue
		}
		if b, err = w.at(off, headerBytes+f.length); err != nil {
			return err
		}
		entry := b[headerBytes:]
		if crc32.ChecksumIEEE(entry) != f.crc {
			entry = nil
		}
		if err := yield(f, off, entry); err != nil {
			return err
		}
		off += f.size()
	}
	return nil
}
