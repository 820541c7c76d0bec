package pebblelog

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// Log is a journal and a set of records in one Pebble store. Open makes it. It must
// not be copied. Methods may be called concurrently, with two exceptions: one
// Commit runs at a time, and Close runs beside no other call.
type Log struct {
	dir  string
	opts Options
	db   *pebble.DB
	lock *pebble.Lock

	onDisk bool      // the folder is on the real disk
	folder io.Closer // the lock of the folder itself, or nil
	torn   *TornTail // the end of the newest log that Open could not read, or nil

	// Owned by the running Commit.
	batch  *pebble.Batch
	heads  heads
	order  []int     // of the groups, sorted by slot
	before []pending // the slots of the batch, as they were before it

	// A Load takes its view of the store while it holds mu. So it knows for each
	// slot whether the view may show a batch that is not durable yet.
	mu      sync.RWMutex
	pending map[cow.ID]pending // guarded by mu

	// Set where there are few descriptors, else nil.
	loading chan struct{} // holds one while a load runs
	readers *readers

	totalsMu sync.Mutex
	totals   cow.Totals // what Commit has counted; guarded by totalsMu

	records records
	counted counted

	dirty   atomic.Bool // something is written but not synced: writers set it, sync clears it before it syncs
	running atomic.Bool // Open has returned: set there, read by walError
	dead    atomic.Bool // Fatal was called: set by die, read by write

	stop    chan struct{}
	wg      sync.WaitGroup
	flusher flusher
	oldLogs oldLogs
	stats
}

// pending is a slot as it was before the batch that is being committed.
type pending struct {
	slot   cow.ID
	exists bool
	count  uint64
}

var (
	_ cow.Journal = (*Log)(nil)
	_ cow.Records = (*Log)(nil)
)

// TornTail returns the end of the log that could not be read when the store was
// opened, or nil.
func (l *Log) TornTail() *TornTail { return l.torn }

// Feed returns at once: the store has one writer.
func (l *Log) Feed(func(*cow.Append)) {}

// Totals returns the durable totals, and what Count has added.
func (l *Log) Totals() cow.Totals {
	committed := l.committedTotals()
	l.counted.mu.Lock()
	defer l.counted.mu.Unlock()
	return committed.Add(l.counted.durable)
}

// committedTotals are those that Commit has counted.
func (l *Log) committedTotals() cow.Totals {
	l.totalsMu.Lock()
	defer l.totalsMu.Unlock()
	return l.totals
}

// head is what Commit knows of a slot. It judges groups by it.
type head struct {
	exists bool
	count  uint64
	bytes  uint64
}

// heads holds the head of every slot, so that Commit never reads the store: all
// posters wait for it. A slot takes some 40 bytes here. That is why the counts are
// 32 bits wide; MaxSlotBytes bounds both. Open fills it, then the running Commit
// owns it.
type heads map[cow.ID]counts

type counts struct{ count, bytes uint32 }

func (h heads) lookup(slot cow.ID) head {
	v, ok := h[slot]
	return head{exists: ok, count: uint64(v.count), bytes: uint64(v.bytes)}
}

func (h heads) set(slot cow.ID, v head) {
	if !v.exists {
		delete(h, slot)
		return
	}
	h[slot] = counts{count: uint32(v.count), bytes: uint32(v.bytes)}
}

// readHeads fills the heads from the records of the slots.
func (l *Log) readHeads() error {
	l.heads = make(heads)
	return l.Slots(func(r cow.SlotRecord) error {
		if r.Bytes > cow.MaxSlotBytes || r.Count > r.Bytes {
			return l.corrupt(nil, "the record of slot %s says %d events of %d bytes", r.Slot, r.Count, r.Bytes)
		}
		l.heads.set(r.Slot, head{exists: true, count: r.Count, bytes: r.Bytes})
		return nil
	})
}

// Stats is what metrics show of a Log. All counts are since Open.
type Stats struct {
	Syncs            uint64 // syncs of the log
	BackgroundErrors uint64 // failed flushes and compactions; they are tried again
	Corruptions      uint64 // damage found, by loads or in the background
	SlowWrites       uint64 // operations of the disk that took seconds
	WriteStalls      uint64 // times that commits had to wait for flushes or compactions
	RangeDeletes     uint64 // of removals that gathered since the last flush
	LastError        error  // of the background or the fatal one; nil for none
	TornBytes        uint64 // at the end of the log, which Open could not read
	DiskBytes        uint64 // of all files of the store
	Pebble           *pebble.Metrics
}

// Stats takes some 10 µs and a lock of Pebble's. Call it for a scrape, not for a
// request.
func (l *Log) Stats() Stats {
	m := l.db.Metrics()
	s := Stats{
		Syncs:            l.syncs.Load(),
		BackgroundErrors: l.background.Load(),
		Corruptions:      l.corruptions.Load(),
		SlowWrites:       l.slow.Load(),
		WriteStalls:      l.stalls.Load(),
		RangeDeletes:     l.flusher.gathered.Load(),
		TornBytes:        l.tornBytes.Load(),
		DiskBytes:        m.DiskSpaceUsage(),
		Pebble:           m,
	}
	if err := l.lastError.Load(); err != nil {
		s.LastError = *err
	}
	return s
}

// stats are the counters behind Stats, and the throttles of the log lines that go
// with them.
type stats struct {
	syncs       atomic.Uint64
	background  atomic.Uint64
	corruptions atomic.Uint64
	slow        atomic.Uint64
	stalls      atomic.Uint64
	tornBytes   atomic.Uint64
	lastError   atomic.Pointer[error]

	backgroundLog, corruptLog, slowLog, stallLog, filesLog throttle
}

// throttle lets one line of a kind through in ten seconds. The next line says how
// many were dropped.
type throttle struct {
	mu      sync.Mutex
	last    time.Time
	dropped int
}

func (t *throttle) log(log *slog.Logger, level slog.Level, msg string, args ...any) {
	t.mu.Lock()
	if now := time.Now(); t.last.IsZero() || now.Sub(t.last) >= 10*time.Second {
		args = append(args, "dropped", t.dropped)
		t.last, t.dropped = now, 0
	} else {
		t.dropped++
		args = nil
	}
	t.mu.Unlock()
	if args != nil {
		log.Log(context.Background(), level, msg, args...)
	}
}
