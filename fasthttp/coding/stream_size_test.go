//go:build !race

package coding

import (
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// What a compressor for each stream would take, at the smallest settings that keep
// anything of earlier events: why streams are not compressed. A stream takes 1 to 2 KB.
func TestCompressorOfAStream(t *testing.T) {
	const streams, stream = 16, 2 << 10
	event := []byte(event(rand.New(rand.NewPCG(1, 2)), 1, 600))
	for _, row := range []struct {
		name string
		open func() (io.WriteCloser, error)
	}{
		{"gzip, level 1", func() (io.WriteCloser, error) { return flate.NewWriter(io.Discard, flate.BestSpeed) }},
		{"gzip, level 1, a window of 1 KiB", func() (io.WriteCloser, error) { return flate.NewWriterWindow(io.Discard, 1<<10) }},
		{"zstd, fastest, a window of 1 KiB", func() (io.WriteCloser, error) {
			return zstd.NewWriter(io.Discard, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstd.MinWindowSize),
				zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		}},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		all := make([]io.WriteCloser, streams)
		for i := range all {
			w, err := row.open()
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // an event, and the flush that sends it at once
				if _, err := w.Write(event); err != nil {
					t.Fatal(err)
				}
				if err := w.(interface{ Flush() error }).Flush(); err != nil {
					t.Fatal(err)
				}
			}
			all[i] = w
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / streams
		t.Logf("%s: %d KB a stream", row.name, each/1000)
		if each < 10*stream {
			t.Errorf("%s takes %d bytes a stream: streams could be compressed after all", row.name, each)
		}
		for _, w := range all {
			w.Close()
		}
	}
}
