package replay

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"cowrelay/cow"
)

// Journal is a journal and a set of records made of a log and a store. Open makes
// it. It must not be copied. Methods may be called concurrently, with two
// exceptions: one Commit runs at a time, and Close runs beside no other call.
//
// Every write is made by a cycle: one entry, for all that waits. One cycle runs at a
// time. It holds the turn.
type Journal struct {
	reads
	log  Log
	opts Options

	turn chan struct{} // a cycle runs while it holds one
	// committing: a Commit waits for the turn and will take all of the queue along.
	// Commit sets it before it waits and clears it when it has the turn. Who leads
	// the queue reads it with the turn in hand.
	committing atomic.Bool

	// Owned by the holder of the turn.
	state    *State
	producer uint64
	number   uint64 // of this producer's newest entry
	sent     []sent // the ops of the entry under way
	taken    []*recordOp

	queueMu sync.Mutex
	queue   []*recordOp // that wait for a cycle; guarded by queueMu

	watchers watchers

	dead      atomic.Bool           // Fatal was called: set by die, read before anything is acknowledged
	lastError atomic.Pointer[error] // what die was called with
	stop      chan struct{}
	wg        sync.WaitGroup
	counters
}

// sent is an op of an entry: of a group or of a record.
type sent struct {
	group  *cow.Group
	record *recordOp
}

var (
	_ cow.Journal = (*Journal)(nil)
	_ cow.Records = (*Journal)(nil)
)

func newJournal(log Log, store Store, opts Options) *Journal {
	opts.ensureDefaults()
	j := &Journal{log: log, opts: opts, turn: make(chan struct{}, 1), state: newState(), stop: make(chan struct{})}
	j.store = store
	j.backlog.init(opts.Backlog, batchBytes)
	var random [8]byte
	rand.Read(random[:])
	j.producer = binary.BigEndian.Uint64(random[:])
	return j
}

// Commit implements cow.Journal: one entry, with all records that wait, and one
// write to the log. Each group becomes one of these:
//
//   - Stored.
//   - Conflict: the slot has another version, does not exist or, for OpCreate,
//     exists.
//   - Refused: the group contradicts itself, which is a programming error.
//
// It never becomes Unknown: when the log fails, Options.Fatal is called and Commit
// does not return. The version of a slot is its count of events.
//
// Commit never reads the store, since every poster waits for it. It waits for the
// store alone when the backlog is full.
func (j *Journal) Commit(groups []cow.Group) {
	if len(groups) == 0 {
		return
	}
	j.committing.Store(true)
	j.turn <- struct{}{}
	j.committing.Store(false)
	j.cycle(groups)
	<-j.turn
}

// die ends the process, because what is durable can't be known any more. It never
// returns, not even if Options.Fatal does: then each caller that waits for the log
// or the store waits for ever, and nothing is acknowledged.
func (j *Journal) die(err error) {
	if j.dead.CompareAndSwap(false, true) {
		j.lastError.Store(&err)
		go j.opts.Fatal(err)
	}
	select {}
}

// Feed returns at once: the log has one writer.
func (j *Journal) Feed(func(*cow.Append)) {}
