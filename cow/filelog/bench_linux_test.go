package filelog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkAppend appends to a log on the real disk that is trimmed behind.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{512, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Options{Create: true})
			entry := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				seq, err := l.Append(entry)
				if err != nil {
					b.Fatal(err)
				}
				if seq%100 == 0 && seq > 1000 {
					if err := l.Trim(seq - 1000); err != nil {
						b.Fatal(err)
					}
				}
			}
			mustClose(b, l)
		})
	}
}

// BenchmarkBound writes and syncs as much in a file of zeros, and nothing else.
func BenchmarkBound(b *testing.B) {
	for _, size := range []int{512, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "bound"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			const room = 64 << 20
			if _, err := f.Write(make([]byte, room)); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			entry := make([]byte, size)
			b.SetBytes(int64(size))
			off := 0
			for b.Loop() {
				if off+size > room {
					off = 0
				}
				if _, err := unix.Pwrite(int(f.Fd()), entry, int64(off)); err != nil {
					b.Fatal(err)
				}
				if err := unix.Fdatasync(int(f.Fd())); err != nil {
					b.Fatal(err)
				}
				off += size
			}
		})
	}
}
