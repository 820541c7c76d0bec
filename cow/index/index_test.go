package index

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"cowrelay/cow/invariants"
)

// scramble makes hashes that are spread like a seeded hash's.
func scramble(n uint64) uint32 {
	n *= 0x9e3779b97f4a7c15
	n ^= n >> 29
	n *= 0xbf58476d1ce4e5b9
	return uint32(n >> 32)
}

func TestIndex_FindsAllThatWasInserted(t *testing.T) {
	hashes := map[string]func(uint64) uint32{
		"spread":    scramble,
		"few":       func(n uint64) uint32 { return scramble(n % 50) },       // many equal ones
		"ascending": func(n uint64) uint32 { return uint32(n) },              // all in one table for long
		"high":      func(n uint64) uint32 { return uint32(n) << 20 },        // only the top bits differ
		"neighbour": func(n uint64) uint32 { return 0xffffffff - uint32(n) }, // probing wraps around
	}
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			n := uint64(20_000)
			if invariants.Enabled {
				n = 6000
			}
			if name == "few" || name == "ascending" || name == "neighbour" {
				n = 3000
			}
			var x Index
			model := make(map[uint32][]uint64)
			for pos := range n {
				h := hash(pos)
				x.Insert(h, pos)
				model[h] = append(model[h], pos)
				if pos%197 == 0 {
					checkIndex(t, &x, hash(pos*7919%(pos+1)), model)
				}
			}
			for h := range model {
				checkIndex(t, &x, h, model)
			}
			for i := range uint64(1000) {
				h := scramble(1<<40 + i)
				checkIndex(t, &x, h, model)
			}
			if got := x.measure(); got != x.bytes {
				t.Fatalf("the index takes %d bytes and counts %d", got, x.bytes)
			}
		})
	}
}

func checkIndex(t *testing.T, x *Index, hash uint32, model map[uint32][]uint64) {
	t.Helper()
	got := x.Find(hash, nil)
	slices.Sort(got)
	if !slices.Equal(got, model[hash]) {
		t.Fatalf("hash %08x gives %d positions, want %d", hash, len(got), len(model[hash]))
	}
}

// measure counts the index from its structures.
func (x *Index) measure() (n int64) {
	d := x.dir.Load()
	if d == nil {
		return 0
	}
	n = 32 + 8*int64(len(d.tables))
	seen := make(map[*table]bool)
	for i := range d.tables {
		if t := d.tables[i].Load(); !seen[t] {
			seen[t] = true
			n += t.bytes()
		}
	}
	return n
}

// I7, I5: a reader finds everything that was inserted before it began, whatever
// splits and grows beside it, and never something that was not inserted.
func TestIndex_I7_ReadersMissNothing(t *testing.T) {
	total := uint64(200_000)
	if testing.Short() {
		total = 40_000
	}
	// Every third hash repeats an earlier one, so equal hashes are read too.
	hash := func(n uint64) uint32 { return scramble(n - n%3) }
	var x Index
	var inserted atomic.Uint64
	var wg sync.WaitGroup
	for seed := range uint64(3) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 3))
			var room [8]uint64
			for {
				n := inserted.Load()
				if n == total {
					return
				}
				if n == 0 {
					continue
				}
				pos := r.Uint64N(n)
				if r.IntN(2) == 0 {
					pos = n - 1 // the newest is what a growth could lose
				}
				found := x.Find(hash(pos), room[:0])
				if !slices.Contains(found, pos) {
					t.Errorf("position %d of %d was inserted and not found", pos, n)
					return
				}
				for _, p := range found {
					if hash(p) != hash(pos) {
						t.Errorf("hash %08x found position %d of another hash", hash(pos), p)
						return
					}
				}
			}
		})
	}
	for pos := range total {
		x.Insert(hash(pos), pos)
		inserted.Store(pos + 1)
	}
	wg.Wait()
}

// No post pays for the growth of the whole index: an insert moves at most one
// table, and the directory is a pointer for hundreds of entries.
func TestIndex_InsertMovesAtMostOneTable(t *testing.T) {
	total := 400_000
	if invariants.Enabled {
		total = 60_000
	}
	var x Index
	seen := make(map[*table]bool)
	worst, worstDir := 0, 0
	for pos := range uint64(total) {
		hash := scramble(pos)
		old := x.dir.Load()
		x.Insert(hash, pos)
		d := x.dir.Load()
		if old != nil && d != old {
			worstDir = max(worstDir, len(d.tables))
			if len(d.tables) > 1024 && len(d.tables) > int(pos)/60 {
				t.Fatalf("a directory of %d pointers for %d entries", len(d.tables), pos)
			}
		}
		at := hash >> (32 - d.depth)
		if table := d.tables[at].Load(); !seen[table] {
			moved := 0
			// The other half of a split, if there was one, is its buddy.
			first, n := d.span(table, at)
			for _, i := range []uint32{first, (first ^ n) & uint32(len(d.tables)-1)} {
				if other := d.tables[i].Load(); !seen[other] {
					seen[other] = true
					moved += int(other.n)
				}
			}
			worst = max(worst, moved)
		}
	}
	if worst > tableMax*5/4 {
		t.Fatalf("one insert moved %d entries, more than one table", worst)
	}
	t.Logf("one insert moved at most %d entries, or %d pointers of a directory", worst, worstDir)
}

// A table stands for some 300 ids.
func TestSizes(t *testing.T) {
	if got := unsafe.Sizeof(table{}); got > 32 {
		t.Errorf("a table takes %d bytes beside its entries, at most 32 allowed", got)
	}
}

// An index whose slot keeps as many entries as it gets stays as large as it is, and finds
// all that it must.
func TestIndex_Forget(t *testing.T) {
	const kept = 5000
	var x Index
	hash := func(pos uint64) uint32 { return uint32(pos * 2654435761) }
	most := int64(0)
	for pos := range uint64(20 * kept) {
		if pos >= kept {
			x.Forget(pos - kept)
		}
		x.Insert(hash(pos), pos)
		if pos == 2*kept {
			most = x.Bytes()
		}
	}
	for pos := uint64(19 * kept); pos < 20*kept; pos++ {
		if !slices.Contains(x.Find(hash(pos), nil), pos) {
			t.Fatalf("position %d is not found", pos)
		}
	}
	if x.Bytes() > 2*most {
		t.Errorf("%d bytes, and %d behind twice as many entries as are kept", x.Bytes(), most)
	}
}
