package pebblelog

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// Log is a journal and a set of records in one Pebble store. Open makes it; it
// must not be copied. All methods may be called concurrently, except Close
// with any other, and except that one Commit runs at a time.
type Log struct {
	dir  string
	opts Options
	db   *pebble.DB
	lock *pebble.Lock

	onDisk bool      // the folder is on the real disk
	folder io.Closer // its own lock, or nil
	torn   *TornTail // what the last log ended with when it was opened, or nil

	// Owned by the running Commit.
	batch  *pebble.Batch
	heads  heads
	order  []int     // of the groups, by slot
	before []pending // the slots of the batch as they were

	// mu guards pending. A Load makes its view of the store while it holds
	// mu, so that it knows for each slot whether the view may show a batch
	// that is not durable yet.
	mu      sync.RWMutex
	pending map[cow.ID]pending

	// Where there are few descriptors; else nil.
	loading chan struct{} // holds one while a load runs
	readers *readers

	totalsMu sync.Mutex
	totals   cow.Totals

	records records

	dirty   atomic.Bool // written but not synced; set by writers, cleared by syncLoop before it syncs
	running atomic.Bool // Open has returned; partner: walError
	dead    atomic.Bool // Fatal was called; partner: die

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

// TornTail returns what could not be read at the end of the log when the store was
// opened, or nil.
func (l *Log) TornTail() *TornTail { return l.torn }

// Feed returns at once: the store has one writer.
func (l *Log) Feed(func(*cow.Append)) {}

// Totals returns the durable totals.
func (l *Log) Totals() cow.Totals {
	l.totalsMu.Lock()
	defer l.totalsMu.Unlock()
	return l.totals
}
