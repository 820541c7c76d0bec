package coding

import (
	"github.com/klauspost/compress/zstd"
)

// A zstd reply is one frame that holds the whole page, and equal pages share it. Frames one
// behind the other would let parts of pages be shared, and RFC 8878 allows them. But many
// clients read the first alone and take it for all: Node.js, .NET and reqwest before 2025
// among them. Blocks of several frames can't stand in one, as they refer to offsets that
// were used before.

// newZstd returns an encoder for so many callers at once.
func newZstd(callers int) *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(callers), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(4<<20),              // RFC 9659 allows 8 MiB
		zstd.WithSingleSegment(true),            // a client needs no more memory than the piece takes
		zstd.WithAllLitEntropyCompression(true), // encrypted events are base64: no matches, and 6 of 8 bits
		zstd.WithEncoderCRC(false))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return e
}
