package index

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"
)

const (
	tableMax = 512 // entries of a table before it splits in two
	depthMax = 26  // a table deeper than this grows instead
)

// Index maps hashes of event ids to positions. Any number of readers look up
// without a lock while the slot's owner inserts.
//
// It is extendible hashing (Fagin et al., 1979): a directory of small
// open-addressed tables, chosen by the top bits of the hash. A table grows by
// a quarter at a time and splits in two at tableMax, so that the most
// that one insert moves is one table; only the directory, a pointer for some
// 300 entries, ever doubles. Tables are 68–85 % full: 9.4–11.8 bytes an id.
// What a split or a growth replaces is garbage at once.
//
// Equal hashes are legal: Find returns every position that may be meant, and
// the caller compares ids. The hash is seeded, so ids can't be chosen to meet.
type Index struct {
	// dir pairs with the Load in Find. The owner fills a directory or table
	// before it stores a pointer to it.
	dir   atomic.Pointer[directory]
	bytes int64  // of the live tables and directory; the owner's
	floor uint64 // positions below it are forgotten; the owner's
}

type directory struct {
	depth  uint8 // top bits of the hash that choose a table
	tables []atomic.Pointer[table]
}

type table struct {
	depth   uint8  // top bits that all its hashes share
	n       uint32 // entries in use; the owner's
	entries []atomic.Uint64
}

// Hash is what an id is entered under. A store has one seed.
func Hash(seed maphash.Seed, id []byte) uint32 { return uint32(maphash.Bytes(seed, id) >> 32) }

// An entry is hash<<32 | position+1; 0 is empty.
func packEntry(hash uint32, pos uint64) uint64 { return uint64(hash)<<32 | (pos + 1) }

// Bytes returns what the index takes in memory beside itself. Only the owner may
// call it.
func (x *Index) Bytes() int64 { return x.bytes }

func newTable(depth uint8, size int) *table {
	return &table{depth: depth, entries: make([]atomic.Uint64, size)}
}

func (t *table) bytes() int64 {
	return int64(unsafe.Sizeof(*t)) + 8*int64(len(t.entries))
}

// home is where the search for hash begins: the bits below those that chose
// the table, scaled to any length (Lemire, "Fast random integer generation in
// an interval", 2019).
func (t *table) home(hash uint32) int {
	return int(uint64(hash<<t.depth) * uint64(len(t.entries)) >> 32)
}

// put enters into a table that has room.
func (t *table) put(entry uint64) {
	i := t.home(uint32(entry >> 32))
	for t.entries[i].Load() != 0 {
		if i++; i == len(t.entries) {
			i = 0
		}
	}
	t.entries[i].Store(entry)
	t.n++
}

// Forget says that nobody asks any more for positions below floor. They leave where the
// next entries need their place: so no call takes long, and an index whose slot keeps as
// many events as it gets stays as large as it is. Find may still give some of them. Only
// the owner may call it.
func (x *Index) Forget(floor uint64) { x.floor = max(x.floor, floor) }

// sweep replaces a full table by one without forgotten positions. False: it has few.
func (x *Index) sweep(d *directory, t *table, at uint32) bool {
	if x.floor == 0 {
		return false
	}
	kept := 0
	for i := range t.entries {
		if e := t.entries[i].Load(); e != 0 && e&(1<<32-1)-1 >= x.floor {
			kept++
		}
	}
	if kept > int(t.n)*3/4 {
		return false
	}
	next := newTable(t.depth, max(4, kept*4/3+2))
	for i := range t.entries {
		if e := t.entries[i].Load(); e != 0 && e&(1<<32-1)-1 >= x.floor {
			next.put(e)
		}
	}
	x.bytes += next.bytes() - t.bytes()
	first, n := d.span(t, at)
	for i := first; i < first+n; i++ {
		d.tables[i].Store(next)
	}
	return true
}

// Find appends to buf the positions entered under hash.
func (x *Index) Find(hash uint32, buf []uint64) []uint64 {
	d := x.dir.Load()
	if d == nil {
		return buf
	}
	t := d.tables[hash>>(32-d.depth)].Load()
	for i := t.home(hash); ; {
		e := t.entries[i].Load()
		if e == 0 {
			return buf
		}
		if uint32(e>>32) == hash {
			buf = append(buf, e&(1<<32-1)-1)
		}
		if i++; i == len(t.entries) {
			i = 0
		}
	}
}

// Insert enters a position under a hash and returns by how much memory grew.
// Only the owner may call it.
func (x *Index) Insert(hash uint32, pos uint64) (grown int64) {
	was := x.bytes
	d := x.dir.Load()
	if d == nil {
		d = &directory{tables: make([]atomic.Pointer[table], 1)}
		t := newTable(0, 4)
		d.tables[0].Store(t)
		x.dir.Store(d)
		x.bytes = t.bytes() + int64(unsafe.Sizeof(*d)) + 8
	}
	for {
		at := hash >> (32 - d.depth)
		t := d.tables[at].Load()
		// One entry always stays empty: it ends the search of a reader.
		if int(t.n)+1 <= len(t.entries)*85/100 {
			t.put(packEntry(hash, pos))
			return x.bytes - was
		}
		if x.sweep(d, t, at) {
			continue
		}
		if len(t.entries) < tableMax || t.depth >= depthMax {
			x.grow(d, t, at)
			continue
		}
		if t.depth == d.depth {
			d = x.double(d)
			at = hash >> (32 - d.depth)
		}
		x.split(d, t, at)
	}
}

// span returns the first place in the directory that points at t, and how many.
func (d *directory) span(t *table, at uint32) (first, n uint32) {
	n = 1 << (d.depth - t.depth)
	return at &^ (n - 1), n
}

func (x *Index) grow(d *directory, t *table, at uint32) {
	bigger := newTable(t.depth, len(t.entries)+max(len(t.entries)/4, 2))
	for i := range t.entries {
		if e := t.entries[i].Load(); e != 0 {
			bigger.put(e)
		}
	}
	x.bytes += bigger.bytes() - t.bytes()
	first, n := d.span(t, at)
	for i := first; i < first+n; i++ {
		d.tables[i].Store(bigger)
	}
}

// double publishes a directory of twice the length with the same tables.
func (x *Index) double(d *directory) *directory {
	twice := &directory{depth: d.depth + 1, tables: make([]atomic.Pointer[table], 2*len(d.tables))}
	for i := range twice.tables {
		twice.tables[i].Store(d.tables[i/2].Load())
	}
	x.bytes += 8 * int64(len(d.tables))
	x.dir.Store(twice)
	return twice
}

// split replaces t by two tables that are told apart by one more bit.
func (x *Index) split(d *directory, t *table, at uint32) {
	var count [2]int
	bit := func(e uint64) int { return int(e >> (63 - t.depth) & 1) }
	for i := range t.entries {
		if e := t.entries[i].Load(); e != 0 {
			count[bit(e)]++
		}
	}
	var half [2]*table
	for b := range half {
		half[b] = newTable(t.depth+1, max(4, count[b]*4/3))
		x.bytes += half[b].bytes()
	}
	x.bytes -= t.bytes()
	for i := range t.entries {
		if e := t.entries[i].Load(); e != 0 {
			half[bit(e)].put(e)
		}
	}
	first, n := d.span(t, at)
	for i := range n {
		d.tables[first+i].Store(half[i/(n/2)])
	}
}
