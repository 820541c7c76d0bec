package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// TornTail is the part at the end of the newest log that can't be read. Pebble takes
// it for the rest of a write that a crash cut off, and drops it. Damage looks the
// same.
type TornTail struct {
	File   string // its name in the data folder
	Offset int64  // of the first record that is dropped
	Bytes  int64  // from there to the end of what belongs to this log
	// Readable counts the whole chunks of records behind the one that can't be
	// read. There are some if that one was damaged, or if the power failed while
	// the disk wrote out of order.
	Readable int
}

// String is what an operator reads.
func (t *TornTail) String() string {
	s := fmt.Sprintf("%d bytes at the end of %s, from offset %d on, could not be read and are dropped: the rest of a write that a crash cut off, or damage", t.Bytes, t.File, t.Offset)
	if t.Readable > 0 {
		s += fmt.Sprintf("; %d parts behind them could be read, so damage is likely", t.Readable)
	}
	return s
}

// findTornTail looks at the newest log before Pebble does, and reports what Pebble
// will drop. Older logs were closed whole: if one was not, Pebble refuses to open
// the store. Pebble also reports a log that can't be read at all.
func (s *Store) findTornTail(fsys vfs.FS) {
	logs, err := wal.Scan(wal.Dir{FS: fsys, Dirname: s.dir})
	if err != nil || len(logs) == 0 {
		return
	}
	newest := logs[len(logs)-1]
	name := fsys.PathJoin(s.dir, fmt.Sprintf("%06d.log", uint64(newest.Num)))
	f, err := fsys.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	t, err := scanLog(f, uint32(newest.Num))
	if err != nil || t == nil {
		return
	}
	t.File = fsys.PathBase(name)
	s.torn = t
	s.tornBytes.Store(uint64(t.Bytes))
	s.opts.Logger.Warn("the end of the log could not be read and is dropped: the rest of a write that a crash cut off, or damage",
		"file", t.File, "offset", t.Offset, "bytes", t.Bytes, "readable_parts_behind", t.Readable, "folder", s.dir,
		"do", "after a crash nothing, unless there are readable parts behind; else check the disk, and restore the folder from a backup if events are missing")
}

// A log has the format of Pebble's package record. It consists of blocks of 32 KiB.
// A block consists of chunks, which do not cross its end. A chunk begins with a
// header: its checksum, length and type and, except in an old format, the number of
// the log. A log file is used again for a later log; by the number a chunk of this
// log is told from an older one. A record is one chunk, or a first one, any number
// of middle ones and a last one.
const (
	logBlock    = 32 << 10
	shortHeader = 7
	longHeader  = 11
)

type logChunk struct {
	size        int // header included
	first, last bool
}

// logHeaders holds the length of the header for each type of chunk. Types 1, 5 and 9
// are whole records, 2, 6 and 10 begin one, 3, 7 and 11 are from the middle, and 4,
// 8 and 12 end one.
var logHeaders = [...]int{0, 7, 7, 7, 7, 11, 11, 11, 11, 19, 19, 19, 19}

// parseChunk reads the chunk at the beginning of b, which reaches to the end of its
// block. own says that the chunk belongs to this log; for a damaged chunk that is a
// guess.
func parseChunk(b []byte, number uint32) (c logChunk, own, ok bool) {
	if len(b) < longHeader {
		return c, false, false
	}
	kind, length := b[6], int(binary.LittleEndian.Uint16(b[4:]))
	own = binary.LittleEndian.Uint32(b[7:]) == number
	c.size = min(longHeader+length, len(b))
	if int(kind) >= len(logHeaders) || logHeaders[kind] < longHeader || logHeaders[kind]+length > len(b) {
		return c, own, false
	}
	c.size = logHeaders[kind] + length
	c.first, c.last = kind%4 == 1 || kind%4 == 2, kind%4 == 1 || kind%4 == 0
	whole := binary.LittleEndian.Uint32(b) == chunkSum(b[:c.size], number)
	return c, own || whole, own && whole
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunkSum is the checksum of a chunk of the log with this number. It is that of
// LevelDB's formats, over all bytes behind the length.
func chunkSum(b []byte, number uint32) uint32 {
	sum := crc32.Checksum(b[6:7], castagnoli)
	sum = crc32.Update(sum, castagnoli, binary.LittleEndian.AppendUint32(nil, number))
	sum = crc32.Update(sum, castagnoli, b[longHeader:])
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// logScan walks through the blocks of a log.
type logScan struct {
	number uint32
	block  []byte
	base   int64 // where the block begins
	record int64 // where the record begins of which a part was read, or -1
	stop   int64 // where the readable part of the log ends, or -1
	torn   TornTail
}

// scanLog returns nil where the log ends with a whole record.
func scanLog(f io.Reader, number uint32) (*TornTail, error) {
	s := logScan{number: number, record: -1, stop: -1}
	buf := make([]byte, logBlock)
	for ; ; s.base += logBlock {
		n, err := io.ReadFull(f, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		s.block = buf[:n]
		at, ended := 0, false
		if s.stop < 0 {
			at, ended = s.read()
		}
		if ended {
			return nil, nil
		}
		if s.stop >= 0 {
			s.search(at)
		}
		if n < logBlock {
			break
		}
	}
	if s.stop < 0 && s.record >= 0 { // it ends between two chunks of a record
		s.stopAt(s.base + int64(len(s.block)))
	}
	if s.torn.Bytes <= 0 {
		return nil, nil
	}
	return &s.torn, nil
}

// stopAt notes where the readable part ends. A record of which only a part was read
// is lost as well.
func (s *logScan) stopAt(pos int64) {
	s.stop, s.torn.Offset = pos, pos
	if s.record >= 0 {
		s.torn.Offset = s.record
		s.lost(pos)
	}
}

// lost notes that the lost part reaches up to end at least.
func (s *logScan) lost(end int64) { s.torn.Bytes = max(s.torn.Bytes, end-s.torn.Offset) }

// read reads the chunks of a block until one can't be read, and returns where that
// one begins. ended says that the log itself marks its end there.
func (s *logScan) read() (at int, ended bool) {
	for at+shortHeader <= len(s.block) {
		b := s.block[at:]
		if len(b) < 19 && allZero(b) && len(s.block) == logBlock {
			return at, false // no room for a chunk
		}
		c, own, ok := parseChunk(b, s.number)
		switch {
		case ok && s.record < 0 && !c.first: // a part of a record without its beginning: Pebble judges it
		case ok && c.last:
			s.record = -1
		case ok && s.record < 0:
			s.record = s.base + int64(at)
		case ok:
		case s.record < 0 && len(b) >= longHeader && binary.LittleEndian.Uint32(b[7:]) == s.number+1 && !own:
			return at, true
		default:
			s.stopAt(s.base + int64(at))
			switch {
			case own:
				s.lost(s.base + int64(at+c.size))
			case len(b) < longHeader && !allZero(b): // the file was cut here
				s.lost(s.base + int64(at+len(b)))
			}
			return at + 1, false
		}
		at += c.size
	}
	if b := s.block[at:]; len(s.block) < logBlock && !allZero(b) { // too short for a header
		s.stopAt(s.base + int64(at))
		s.lost(s.base + int64(len(s.block)))
	}
	return at, false
}

// search counts the chunks of this log behind the part that could not be read.
func (s *logScan) search(at int) {
	for at+longHeader <= len(s.block) {
		c, _, ok := parseChunk(s.block[at:], s.number)
		if !ok {
			at++
			continue
		}
		at += c.size
		s.torn.Readable++
		s.lost(s.base + int64(at))
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
