package coding

import (
	"sync"
	"sync/atomic"

	"cowrelay/cow"

	"github.com/puzpuzpuz/xsync/v3"
)

// pieceKey names the text of a piece for ever: an id of a slot is never used twice, and a
// position of a slot never holds another event (I2 of cow).
type pieceKey struct {
	slot   cow.ID
	first  uint64
	events uint32
	coding Coding
}

// piece is a run of events that was compressed. It never changes.
type piece struct {
	data []byte
	size int    // of the text in bytes
	crc  uint32 // of the text; of gzip alone
	// used: somebody asked for it since eviction looked at it last.
	used atomic.Bool
}

// pieceBytes is about what a piece takes beside its data.
const pieceBytes = 192

func (p *piece) bytes() int64 { return int64(cap(p.data)) + pieceBytes }

// cache keeps pieces until they take limit bytes. Then the oldest leaves that nobody
// asked for since it was looked at last (FIFO with a second chance, also known as the
// clock). Readers take no lock.
type cache struct {
	limit  int64
	charge func(bytes int64) // counts what the pieces take on a budget
	pieces *xsync.MapOf[pieceKey, *piece]
	held   atomic.Int64 // bytes

	made, reused, evicted atomic.Uint64 // pieces

	mu  sync.Mutex
	row []pieceKey // guarded by mu: those in pieces, the oldest first
}

func newCache(limit int64, charge func(int64)) *cache {
	return &cache{limit: limit, charge: charge, pieces: xsync.NewMapOf[pieceKey, *piece]()}
}

// find returns a piece, or nil.
func (c *cache) find(k pieceKey) *piece {
	p, ok := c.pieces.Load(k)
	if !ok {
		return nil
	}
	if !p.used.Load() {
		p.used.Store(true)
	}
	c.reused.Add(1)
	return p
}

// add keeps a piece that was made just now, unless there is one.
func (c *cache) add(k pieceKey, p *piece) {
	c.made.Add(1)
	n := p.bytes()
	if n > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.pieces.LoadOrStore(k, p); there {
		return
	}
	c.row = append(c.row, k)
	c.charge(n)
	// Each piece has at most one second chance here, so this ends.
	for c.held.Add(n); c.held.Load() > c.limit; {
		oldest := c.row[0]
		c.row = c.row[1:]
		p, _ := c.pieces.Load(oldest)
		if p.used.Swap(false) {
			c.row = append(c.row, oldest)
			continue
		}
		c.pieces.Delete(oldest)
		c.held.Add(-p.bytes())
		c.charge(-p.bytes())
		c.evicted.Add(1)
	}
}
