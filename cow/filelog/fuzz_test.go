package filelog

import (
	"bytes"
	"testing"
)

// FuzzScan reads anything as a segment. It never panics, each entry that it gives is
// one that was written as such, and they don't overlap.
func FuzzScan(f *testing.F) {
	whole := appendFrame(appendFrame(nil, 7, 1, 0, entry(1)), 7, 2, 1, entry(2))
	f.Add(whole, uint64(7))
	f.Add(whole, uint64(8))
	f.Add(whole[:len(whole)-40], uint64(7))
	f.Add(append(make([]byte, 100), whole...), uint64(7))
	f.Add(append(bytes.Clone(whole[:100]), whole...), uint64(7))
	f.Add(appendFrame(nil, 1, 1, 0, nil), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, number uint64) {
		m := newMemFS()
		file := &memFile{m, &memNode{data: data}, false}
		w := window{file: file, size: int64(len(data))}
		end := int64(0)
		if err := w.scan(number, func(f frame, off int64, entry []byte) error {
			if off < end || off+f.size() > int64(len(data)) || f.seq <= f.synced {
				t.Fatalf("frame %+v at %d of %d, behind %d", f, off, len(data), end)
			}
			end = off + f.size()
			if entry == nil {
				return nil
			}
			made := appendFrame(nil, number, f.seq, f.synced, entry)
			if n := headerBytes + f.length; !bytes.Equal(made[:n], data[off:][:n]) {
				t.Fatalf("frame %+v at %d is not how it is written", f, off)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMark reads anything as the file synced.
func FuzzMark(f *testing.F) {
	m := newMemFS()
	if err := makeMark(m, memDir, 42); err != nil {
		f.Fatal(err)
	}
	f.Add(m.names[markPath].data)
	f.Add([]byte(markMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMemFS()
		m.names[markPath] = &memNode{data: data}
		base, synced, err := readMark(m, memDir)
		if err == nil && (base > maxNumber || synced > maxNumber) {
			t.Fatalf("base %d, synced %d", base, synced)
		}
	})
}
