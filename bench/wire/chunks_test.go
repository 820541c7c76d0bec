package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// However it is cut into pieces, a body is what its chunks hold. A body that
// ends too early is an error.
func TestChunkReader(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var want, sent bytes.Buffer
		for range rng.IntN(20) {
			data := make([]byte, 1+rng.IntN(300))
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			want.Write(data)
			format := []string{"%x\r\n", "%X\r\n", "0%x;a=b\r\n"}[rng.IntN(3)]
			fmt.Fprintf(&sent, format, len(data))
			sent.Write(data)
			sent.WriteString("\r\n")
		}
		cut := sent.Len()
		sent.WriteString("0\r\n\r\n")
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(sent.Bytes()), "bytes": iotest.OneByteReader(bytes.NewReader(sent.Bytes())),
			"halves": iotest.HalfReader(bytes.NewReader(sent.Bytes())), "with its end": iotest.DataErrReader(bytes.NewReader(sent.Bytes())),
		} {
			if got, err := io.ReadAll(&chunkReader{r: r}); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("seed %d, %s: %d bytes of %d, %v", seed, name, len(got), want.Len(), err)
			}
		}
		if _, err := io.ReadAll(&chunkReader{r: bytes.NewReader(sent.Bytes()[:rng.IntN(cut+1)])}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("seed %d: a cut body ends with %v", seed, err)
		}
	}
	for _, bad := range []string{"x\r\n", "\r\n", "12345678\r\n", "-1\r\n"} {
		if _, err := io.ReadAll(&chunkReader{r: bytes.NewReader([]byte(bad + "0\r\n\r\n"))}); !errors.Is(err, errChunk) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
