package replay

import (
	"crypto/rand"
	"encoding/binary"
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
	machine
	log Log

	turn chan struct{} // a cycle runs while it holds one
	// committing: a Commit waits for the turn and will take all of the queue along.
	// Commit sets it before it waits and clears it when it has the turn. Who leads
	// the queue reads it with the turn in hand.
	committing atomic.Bool

	// Owned by the holder of the turn.
	producer uint64
	number   uint64 // of this producer's newest entry
	sent     []sent // the ops of the entry under way
	taken    []*recordOp
}

var (
	_ cow.Journal = (*Journal)(nil)
	_ cow.Records = (*Journal)(nil)
)

func newJournal(log Log, store Store, opts Options) *Journal {
	j := &Journal{log: log, turn: make(chan struct{}, 1), producer: newProducer()}
	j.init(store, opts, MaxEntry)
	if log != nil {
		j.trimLog = log.Trim
	}
	return j
}

// newProducer chooses the number that a writer has until its program ends.
func newProducer() uint64 {
	var random [8]byte
	rand.Read(random[:])
	return binary.BigEndian.Uint64(random[:])
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

// Feed returns at once: the log has one writer.
func (j *Journal) Feed(func(*cow.Append)) {}
