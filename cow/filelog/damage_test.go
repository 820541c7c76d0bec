package filelog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

const memDir = "/log"

var markPath = filepath.Join(memDir, markName)

// smallLog is a log with entries 1 to its Last in a few segments.
func smallLog(t testing.TB, segments int) (*memFS, uint64) {
	t.Helper()
	m := newMemFS()
	l := mustOpen(t, memDir, Options{FS: m, Create: true, SegmentBytes: MinSegmentBytes})
	left := func() int { // segments that Append has left
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.full) + len(l.kept)
	}
	for l.Stats().Segments < segments+2-1 || left() < segments-1 {
		mustAppend(t, l, 1)
	}
	mustAppend(t, l, 2)
	mustClose(t, l)
	return m, l.Last()
}

// spot is where an entry lies.
type spot struct {
	file       string
	begin, end int64 // without what fills the frame up
}

func spots(t testing.TB, m *memFS) map[uint64]spot {
	t.Helper()
	all := map[uint64]spot{}
	for _, name := range m.segments() {
		number := segmentNumbers([]string{filepath.Base(name)})[0]
		data := m.names[name].data
		w := window{file: &memFile{m, m.names[name], false}, size: int64(len(data))}
		if err := w.scan(number, func(f frame, off int64, entry []byte) error {
			all[f.seq] = spot{name, off, off + headerBytes + int64(f.length)}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// faults returns what Verify says.
func faults(t testing.TB, m *memFS, base uint64) []*Damage {
	t.Helper()
	r, err := OpenReader(memDir, Options{FS: m, Base: base, Logger: quiet()})
	if err != nil {
		if errors.Is(err, errNewer) {
			return []*Damage{{File: markPath}}
		}
		t.Fatalf("OpenReader: %v", err)
	}
	defer r.Close()
	var all []*Damage
	if err := r.Verify(context.Background(), func(d *Damage) { all = append(all, d) }, nil); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return all
}

// harmless opens the log. It reports whether the log is whole from base+1 to last. If
// it is not, Open must have said so.
func harmless(t testing.TB, m *memFS, base, last uint64, what string) bool {
	t.Helper()
	l, err := Open(memDir, Options{FS: m, Base: base, SegmentBytes: MinSegmentBytes, Logger: quiet()})
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, errNewer) {
			t.Fatalf("%s: Open: %v, want damage", what, err)
		}
		return false
	}
	defer l.Close()
	first, got, err := readAll(l, base+1)
	if err != nil || l.Last() != last || base < last && (first != base+1 || got != last) {
		t.Fatalf("%s: Open gave entries %d to %d, Last %d, %v; want %d to %d, or damage", what, first, got, l.Last(), err, base+1, last)
	}
	return true
}

// TestEveryBit flips each bit of each file. What a start needs is refused, what it
// does not need is harmless, and the check says all that hit an entry.
func TestEveryBit(t *testing.T) {
	m, last := smallLog(t, 3)
	at := spots(t, m)
	base := last / 2
	var refused, harmlessFlips, files int
	for _, name := range append(m.segments(), markPath) {
		files++
		for i := range m.names[name].data {
			if testing.Short() && i >= 128 && i%31 > 0 {
				continue // the plain run takes each
			}
			// Each bit where there are few bytes, and one of each byte elsewhere.
			bits := []int{i * 5 % 8}
			if i < 64 || name == markPath && i >= markOffset && i < markOffset+8 {
				bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
			}
			var hit uint64
			for seq, s := range at {
				if s.file == name && int64(i) >= s.begin && int64(i) < s.end {
					hit = seq
				}
			}
			for _, bit := range bits {
				what := fmt.Sprintf("%s byte %d bit %d (entry %d)", name, i, bit, hit)
				c := m.clone()
				c.names[name].data[i] ^= 1 << bit
				said := faults(t, c, 0)
				inMark := name == markPath && (i < 16 || i >= markOffset && i < markOffset+8)
				if (hit > 0 || inMark) != (len(said) > 0) {
					t.Fatalf("%s: Verify said %d faults", what, len(said))
				}
				if hit > 0 && (said[0].First != hit || said[0].Last != hit) {
					t.Fatalf("%s: Verify said entries %d to %d", what, said[0].First, said[0].Last)
				}
				if hit > 0 && (said[0].File != name || said[0].Offset != at[hit].begin) && !(at[hit].begin == 0 && strings.HasSuffix(said[0].Why, "beginning of "+name)) {
					t.Fatalf("%s: Verify named %s offset %d, want offset %d", what, said[0].File, said[0].Offset, at[hit].begin)
				}
				if ok := harmless(t, c.clone(), 0, last, what); ok != (hit == 0 && !inMark) {
					t.Fatalf("%s: harmless: %v", what, ok)
				} else if ok {
					harmlessFlips++
				} else {
					refused++
				}
				if ok := harmless(t, c, base, last, what+" with Base"); ok != (hit <= base && !inMark) {
					t.Fatalf("%s with Base %d: harmless: %v", what, base, ok)
				}
			}
		}
	}
	t.Logf("%d files, %d entries: %d flips refused, %d harmless", files, last, refused, harmlessFlips)
	if refused < MinSegmentBytes || harmlessFlips < MinSegmentBytes {
		t.Fatal("too few flips hit something, or nothing")
	}
}

// TestAcceptLoss cuts a log at each entry.
func TestAcceptLoss(t *testing.T) {
	m, last := smallLog(t, 4)
	for hit, s := range spots(t, m) {
		c := m.clone()
		c.names[s.file].data[s.begin+40] ^= 1
		opts := Options{FS: c, AcceptLoss: true, SegmentBytes: MinSegmentBytes}
		l := mustOpen(t, memDir, opts)
		if l.Last() != hit-1 {
			t.Fatalf("entry %d lost: the log ends at %d", hit, l.Last())
		}
		mustClose(t, l)
		l = mustOpen(t, memDir, Options{FS: c, SegmentBytes: MinSegmentBytes}) // it is accepted once
		mustAppend(t, l, 3)
		end := l.Last()
		mustClose(t, l)
		if said := faults(t, c, 0); len(said) > 0 {
			t.Fatalf("entry %d lost and accepted: Verify still says %v", hit, said[0])
		}
		l = mustOpen(t, memDir, Options{FS: c, SegmentBytes: MinSegmentBytes})
		mustAppend(t, l, int(last)) // over all that was there
		mustClose(t, l)
		l = mustOpen(t, memDir, Options{FS: c, SegmentBytes: MinSegmentBytes})
		first, got, err := readAll(l, 1)
		if err != nil || first != 1 || got != end+last {
			t.Fatalf("entry %d lost: then %d to %d, %v; want 1 to %d", hit, first, got, err, end+last)
		}
		mustClose(t, l)
	}
}

// TestFilesLost removes, swaps, cuts and zeroes files.
func TestFilesLost(t *testing.T) {
	m, last := smallLog(t, 4)
	names := m.segments()
	entries := spots(t, m)
	holds := map[string]bool{}
	for _, s := range entries {
		holds[s.file] = true
	}
	for _, name := range append(names, markPath) {
		c := m.clone()
		delete(c.names, name)
		if ok := harmless(t, c, 0, last, "without "+name); ok == (holds[name] || name == markPath) {
			t.Fatalf("without %s: harmless: %v", name, ok)
		}
		for cut := int64(0); cut < int64(len(m.names[name].data)); cut += 173 {
			c := m.clone()
			c.names[name].data = c.names[name].data[:cut]
			harmless(t, c, 0, last, fmt.Sprintf("%s cut to %d", name, cut))
			c = m.clone()
			copy(c.names[name].data[cut:], make([]byte, 512))
			harmless(t, c, 0, last, fmt.Sprintf("%s zeros at %d", name, cut))
		}
		for _, other := range names {
			c := m.clone()
			c.names[name], c.names[other] = c.names[other], c.names[name]
			if ok := harmless(t, c, 0, last, name+" swapped with "+other); ok && holds[name] && name != other {
				t.Fatalf("%s swapped with %s: harmless", name, other)
			}
		}
	}
	c := m.clone()
	for _, name := range names {
		delete(c.names, name)
	}
	if harmless(t, c, 0, last, "no segments") {
		t.Fatal("a log without segments was opened")
	}
	if harmless(t, c.clone(), last/2, last, "no segments") {
		t.Fatal("a log without segments was opened with Base")
	}
	if !harmless(t, c, last, last, "no segments") {
		t.Fatal("a log without segments whose entries the store holds was refused")
	}
}

// TestMarkBehind: after a power failure the mark may be behind. Then only the last
// entry may look like a torn tail.
func TestMarkBehind(t *testing.T) {
	m, last := smallLog(t, 3)
	at := spots(t, m)
	for _, seq := range []uint64{last - 1, last} {
		c := m.clone()
		binary.LittleEndian.PutUint64(c.names[markPath].data[markOffset:], seal(2))
		if !harmless(t, c.clone(), 0, last, "mark behind") {
			t.Fatal("a mark that is behind does harm")
		}
		c.names[at[seq].file].data[at[seq].end-1] ^= 1
		l, err := Open(memDir, Options{FS: c, SegmentBytes: MinSegmentBytes, Logger: quiet()})
		if seq < last {
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("entry %d ", seq)) {
				t.Fatalf("entry %d of %d damaged: %v", seq, last, err)
			}
			continue
		}
		if err != nil || l.Last() != last-1 || l.Stats().Torn == 0 {
			t.Fatalf("last entry torn: %v", err)
		}
		wantRead(t, l, 1, 1, last-1)
		mustAppend(t, l, 5)
		mustClose(t, l)
		l = mustOpen(t, memDir, Options{FS: c, SegmentBytes: MinSegmentBytes})
		wantRead(t, l, 1, 1, last+4)
		mustClose(t, l)
	}
}

// TestGarbage writes anything anywhere.
func TestGarbage(t *testing.T) {
	m, last := smallLog(t, 3)
	names := append(m.segments(), markPath)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		c := m.clone()
		for range r.IntN(4) + 1 {
			data := c.names[names[r.IntN(len(names))]].data
			from := r.IntN(len(data))
			for j := range data[from:min(from+1<<r.IntN(11), len(data))] {
				data[from+j] = byte(r.Uint32())
			}
		}
		harmless(t, c, uint64(r.IntN(int(last)+1)), last, fmt.Sprintf("round %d", i))
	}
}
