package coding

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// A gzip reply is one member with one deflate stream, as many clients stop behind the
// first member (browsers do). Pieces of a deflate stream can be put together when each
// ends at a byte (a sync flush) and refers to nothing before itself (RFC 1951). pigz does
// the same.

// deflateLevel is what pieces are compressed with. Of the levels from 1 to 6 and the
// stateless one it is the best for its time, for signed events and for encrypted ones.
const deflateLevel = 3

func newDeflate() *flate.Writer {
	w, err := flate.NewWriter(nil, deflateLevel)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return w
}

// deflate writes the piece of a deflate stream that holds text.
func deflate(w *flate.Writer, dst io.Writer, text []byte) error {
	w.Reset(dst)
	w.Write(text) // Flush has its error
	return w.Flush()
}

// gzipOpen is the head of a member (RFC 1952) without a time or a name, and of the
// array.
var gzipOpen = append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, stored('[', false)...)

var gzipComma = stored(',', false)

// gzipEndBytes is the length of what gzipEnd appends.
const gzipEndBytes = 6 + 8

// gzipEnd appends the end of the array and of the member. crc and size are those of the
// whole text.
func gzipEnd(dst []byte, crc uint32, size int) []byte {
	dst = append(dst, stored(']', true)...)
	dst = binary.LittleEndian.AppendUint32(dst, crc)
	return binary.LittleEndian.AppendUint32(dst, uint32(size))
}

// stored is a block of a deflate stream that holds one byte as it is.
func stored(c byte, last bool) []byte {
	block := []byte{0, 1, 0, 0xfe, 0xff, c}
	if last {
		block[0] = 1
	}
	return block
}

// The sum of a text that is made of pieces follows from theirs. A CRC is the remainder of
// a polynomial, so the sum of what stands before n bytes is multiplied by x^8n. That is
// crc32_combine of Mark Adler's zlib (1.2.12). Bits are reflected: the highest stands for
// x^0.

// x2n holds x^(2^k) modulo the polynomial of gzip.
var x2n = func() (t [32]uint32) {
	t[0] = 1 << 30 // x
	for k := 1; k < len(t); k++ {
		t[k] = multiply(t[k-1], t[k-1])
	}
	return t
}()

// multiply multiplies modulo the polynomial. a is not 0.
func multiply(a, b uint32) (p uint32) {
	for bit := uint32(1) << 31; ; bit >>= 1 {
		if a&bit != 0 {
			if p ^= b; a&(bit-1) == 0 {
				return p
			}
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
}

// joinCRC is the sum of a text and of another of n bytes behind it.
func joinCRC(first, second uint32, n int) uint32 {
	power := uint32(1) << 31 // x^0
	for k := 3; n > 0; n, k = n>>1, k+1 {
		if n&1 != 0 {
			power = multiply(x2n[k&31], power)
		}
	}
	return multiply(power, first) ^ second
}
