package filelog

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is an entry in a segment, behind a header of 32 bytes:
//
//	 0  magic, 4 bytes; the last one is the version of the format
//	 4  length of the entry in bytes
//	 8  number of the entry
//	16  synced: up to this number the log was synced before the frame was written
//	24  CRC-32 of the entry
//	28  CRC-32C of the segment's number and of all before in the header
//
// Integers are little-endian. Frames begin at multiples of 64 bytes, so that a scan
// finds those behind damage.
//
// The number of the segment is in the checksum alone. So the frames that a file held
// as another segment can't be read in this one.
//
// The checksum of the entry is not a CRC-32C: entries end with their own CRC-32C, and
// the CRC of something with its own CRC behind it is the same for all.
//
// The magic holds a zero byte. Text of clients is JSON, which holds none, so it can't
// look like a frame.
const (
	headerBytes = 32
	alignment   = 64
	magic       = 1<<24 | 0xF7<<16 | 0x00<<8 | 0xC6
	// maxNumber bounds the numbers of entries: the file synced keeps 48 bits.
	maxNumber = 1<<48 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is what a header says.
type frame struct {
	seq    uint64
	synced uint64
	length int
	crc    uint32
}

func align(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }

// frameSize is what an entry takes in a segment.
func frameSize(length int) int64 { return align(headerBytes + int64(length)) }

func (f frame) size() int64 { return frameSize(f.length) }

func headerCRC(segment uint64, header []byte) uint32 {
	var salt [8]byte
	binary.LittleEndian.PutUint64(salt[:], segment)
	return crc32.Update(crc32.Checksum(salt[:], castagnoli), castagnoli, header[:headerBytes-4])
}

// appendFrame appends the frame of an entry with what fills it up.
func appendFrame(b []byte, segment, seq, synced uint64, entry []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, magic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(entry)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, synced)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(entry))
	b = binary.LittleEndian.AppendUint32(b, headerCRC(segment, b[start:start+headerBytes-4:start+headerBytes-4]))
	b = append(b, entry...)
	var zeros [alignment]byte
	return append(b, zeros[:frameSize(len(entry))-int64(len(b)-start)]...)
}

// parseHeader reads a header of a segment. room is how many bytes the segment has
// from there on.
func parseHeader(b []byte, segment uint64, room int64) (frame, bool) {
	if len(b) < headerBytes || binary.LittleEndian.Uint32(b) != magic {
		return frame{}, false
	}
	f := frame{
		length: int(binary.LittleEndian.Uint32(b[4:])),
		seq:    binary.LittleEndian.Uint64(b[8:]),
		synced: binary.LittleEndian.Uint64(b[16:]),
		crc:    binary.LittleEndian.Uint32(b[24:]),
	}
	ok := f.length <= MaxEntry && f.size() <= room && f.seq > f.synced && f.seq <= maxNumber &&
		binary.LittleEndian.Uint32(b[28:]) == headerCRC(segment, b)
	return f, ok
}
