package coding

import (
	"bytes"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"cowrelay/cow"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// smallest is the length in bytes from which on a page is compressed. A shorter one
// fits into one packet with its head, so nothing would be gained.
const smallest = 1400

// Options are what a Coder may take.
type Options struct {
	Workers     int               // pieces that are made at once
	CacheBytes  int64             // what pieces may take
	ReplyBytes  int64             // what replies under way may hold, counted by their plain length
	ClientBytes int64             // of that, one client
	Charge      func(bytes int64) // counts memory on the budget of the slots
}

// Coder compresses pages. New makes it. All methods may be called concurrently.
type Coder struct {
	opts    Options
	cache   *cache
	zstd    *zstd.Encoder
	workers chan *worker
	replies *share.Ledger[accept.Client]

	outcomes    [Outcomes]atomic.Uint64
	plain, sent atomic.Uint64 // bytes of compressed replies, before and after
}

// worker makes one piece at a time.
type worker struct {
	out     bytes.Buffer
	deflate *flate.Writer // made with the first piece that needs it
}

// Outcome is what became of a reply to a client that asked for a coding.
type Outcome int

// The outcomes. The first two went out compressed, the others plain: too short to gain,
// all workers busy, too many bytes held by replies under way, longer than plain, or not
// to be read from memory or the store.
const (
	AsGzip Outcome = iota
	AsZstd
	Small
	Busy
	NoRoom
	Grown
	Unread
	Outcomes
)

// OutcomeNames are their names.
var OutcomeNames = [Outcomes]string{"gzip", "zstd", "small", "busy", "room", "grown", "unread"}

// New returns a Coder.
func New(opts Options) *Coder {
	c := &Coder{
		opts: opts, cache: newCache(opts.CacheBytes, opts.Charge), zstd: newZstd(opts.Workers),
		workers: make(chan *worker, opts.Workers), replies: share.New[accept.Client](opts.ReplyBytes, opts.ClientBytes),
	}
	for range opts.Workers {
		c.workers <- new(worker)
	}
	return c
}

// Counts are figures of a Coder.
type Counts struct {
	Made, Reused, Evicted uint64 // pieces
	Kept, KeptBytes       int64  // pieces in the cache, and what they take
	KeptBytesMax          int64
	Plain, Sent           uint64 // bytes of compressed replies, before and after
	Replies, RepliesMax   int64  // bytes that replies under way hold, by their plain length
}

// Counts returns the figures as they are now.
func (c *Coder) Counts() Counts {
	return Counts{
		Made: c.cache.made.Load(), Reused: c.cache.reused.Load(), Evicted: c.cache.evicted.Load(),
		Kept: int64(c.cache.pieces.Size()), KeptBytes: c.cache.held.Load(), KeptBytesMax: c.opts.CacheBytes,
		Plain: c.plain.Load(), Sent: c.sent.Load(), Replies: c.replies.Used(), RepliesMax: c.opts.ReplyBytes,
	}
}

// Outcomes returns how many replies had each outcome.
func (c *Coder) Outcomes() []atomic.Uint64 { return c.outcomes[:] }

// Page returns the page in the coding, or nil if it is to go out plain. Then w stands at
// its begin. It may wait for the store, as a page of the slot does that is not in memory.
// Close must be called on the Body.
func (c *Coder) Page(as Choice, client accept.Client, slot *cow.Slot, w *cow.Window) *Body {
	if w.Events() == 0 || w.Len() < smallest && !as.Must {
		return c.goesPlain(Small)
	}
	b, done := bodyPool.Get().(*Body), false
	defer func() { // also after a panic
		if !done {
			b.Close()
			w.Seek(0)
		}
	}()
	b.coder, b.plain = c, w.Len()
	if !c.replies.Take(&b.holder, client, int64(b.plain)) {
		return c.goesPlain(NoRoom)
	}
	b.booked = true
	c.opts.Charge(int64(b.plain))
	at := 0
	if as.Coding == Zstd { // in one piece
		b.runs = append(b.runs[:0], cow.Run{First: w.Next() - uint64(w.Events()), Events: w.Events(), Bytes: w.Len()})
	} else if b.runs, at = w.Runs(b.runs[:0]), 1; len(b.runs) == 0 {
		return c.goesPlain(Unread)
	}
	for _, run := range b.runs {
		k := pieceKey{slot.ID(), run.First, uint32(run.Events), as.Coding}
		p := c.cache.find(k)
		if p == nil {
			var why Outcome
			if p, why = c.make(as.Coding, b, w, at, run.Bytes); p == nil {
				return c.goesPlain(why)
			}
			c.cache.add(k, p)
		}
		b.pieces = append(b.pieces, p)
		at += run.Bytes + 1
	}
	b.parts = b.parts[:0]
	outcome := AsGzip
	if as.Coding == Gzip {
		b.joinGzip()
	} else {
		outcome = AsZstd
		b.add(b.pieces[0].data)
	}
	if b.size >= b.plain && !as.Must {
		return c.goesPlain(Grown)
	}
	c.outcomes[outcome].Add(1)
	c.plain.Add(uint64(b.plain))
	c.sent.Add(uint64(b.size))
	done = true
	return b
}

// goesPlain counts a page that goes out plain.
func (c *Coder) goesPlain(why Outcome) *Body {
	c.outcomes[why].Add(1)
	return nil
}

// make compresses n bytes of the page that begin at byte at.
func (c *Coder) make(as Coding, b *Body, w *cow.Window, at, n int) (*piece, Outcome) {
	if len(c.workers) == 0 { // spare the copy
		return nil, Busy
	}
	w.Seek(at)
	for b.text = b.text[:0]; len(b.text) < n; {
		b.parts = w.Parts(b.parts[:0])
		if len(b.parts) == 0 {
			if w.Load() != nil { // the plain page meets the error, and tells of it
				return nil, Unread
			}
			continue
		}
		was := len(b.text)
		for _, part := range b.parts {
			b.text = append(b.text, part[:min(len(part), n-len(b.text))]...)
		}
		clear(b.parts)
		w.Wrote(len(b.text) - was)
	}
	select { // no worker waits for the store
	case k := <-c.workers:
		defer func() { c.workers <- k }() // also after a panic
		return c.compress(as, k, b.text), 0
	default:
		return nil, Busy
	}
}

// maxKept is the most bytes that a buffer has which is used again.
const maxKept = 512 << 10

// compress makes a piece of the text.
func (c *Coder) compress(as Coding, k *worker, text []byte) *piece {
	p := &piece{size: len(text)}
	k.out.Reset()
	if as == Zstd {
		k.out.Grow(c.zstd.MaxEncodedSize(len(text)))
		k.out.Write(c.zstd.EncodeAll(text, k.out.AvailableBuffer()))
	} else {
		if k.deflate == nil {
			k.deflate = newDeflate()
		}
		p.crc = crc32.ChecksumIEEE(text)
		if err := deflate(k.deflate, &k.out, text); err != nil {
			panic("BUG: " + err.Error()) // a buffer takes all
		}
	}
	p.data = make([]byte, k.out.Len())
	copy(p.data, k.out.Bytes())
	if k.out.Cap() > maxKept {
		k.out = bytes.Buffer{}
	}
	return p
}

// Body is a compressed page: pieces, and what stands between them. It is a cursor as
// cow.Window is. It holds its pieces until it is closed.
type Body struct {
	coder  *Coder
	holder share.Holder[accept.Client]
	plain  int
	booked bool // plain counts on the budget
	runs   []cow.Run
	text   []byte // of the run that is compressed now
	pieces []*piece

	parts [][]byte // all of them
	size  int      // bytes of all
	end   [gzipEndBytes]byte
	at    int // the cursor stands off bytes into parts[at]
	off   int
	done  int
}

var bodyPool = sync.Pool{New: func() any { return new(Body) }}

func (b *Body) add(part []byte) {
	b.parts = append(b.parts, part)
	b.size += len(part)
}

func (b *Body) joinGzip() {
	b.add(gzipOpen)
	crc := crc32.ChecksumIEEE([]byte{'['})
	for i, p := range b.pieces {
		if i > 0 {
			b.add(gzipComma)
			crc = crc32.Update(crc, crc32.IEEETable, []byte{','})
		}
		b.add(p.data)
		crc = joinCRC(crc, p.crc, p.size)
	}
	crc = crc32.Update(crc, crc32.IEEETable, []byte{']'})
	b.add(gzipEnd(b.end[:0], crc, b.plain))
}

// Len returns the length in bytes.
func (b *Body) Len() int { return b.size }

// Left returns how many of these bytes stand behind the cursor.
func (b *Body) Left() int { return b.size - b.done }

// maxParts is how many slices Parts gives at most; see cow.Window.
const maxParts = 512

// Parts appends the slices that come next, but at most maxParts.
func (b *Body) Parts(dst [][]byte) [][]byte {
	off := b.off
	for i := b.at; i < min(len(b.parts), b.at+maxParts); i++ {
		dst = append(dst, b.parts[i][off:])
		off = 0
	}
	return dst
}

// Wrote moves the cursor by n bytes that Parts has given.
func (b *Body) Wrote(n int) {
	b.done += n
	for n += b.off; b.at < len(b.parts) && n >= len(b.parts[b.at]); b.at++ {
		n -= len(b.parts[b.at])
	}
	b.off = n
}

// Load does nothing: all is in memory.
func (b *Body) Load() error { return nil }

// Close gives back what the body holds. It must not be used afterwards.
func (b *Body) Close() error {
	if b.booked {
		b.coder.opts.Charge(-int64(b.plain))
	}
	b.coder.replies.Give(&b.holder)
	if cap(b.text) > maxKept {
		b.text = nil
	}
	clear(b.pieces)
	clear(b.parts)
	b.booked, b.coder, b.pieces, b.parts = false, nil, b.pieces[:0], b.parts[:0]
	b.size, b.at, b.off, b.done = 0, 0, 0, 0
	bodyPool.Put(b)
	return nil
}
