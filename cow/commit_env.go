package cow

import (
	"hash/maphash"
	"time"
)

// commitEnv is the world of the commit pipeline: all that it touches beside the
// slots and posts that it is handed. Tests give it another one, without a
// journal and without a store.
//
// What every post needs is a value here. The functions are called at most once
// for a batch, an act, a load, or an append of another writer.
type commitEnv struct {
	clock  clock
	seed   maphash.Seed // of the hashes of ids
	stats  *Stats
	budget *budget
	wait   time.Duration // Options.CommitWait

	// write is Journal.Commit.
	write func([]Group)
	// committed hears of each batch that has landed. It may be nil.
	committed func(posts, bytes int, took time.Duration)
	// room says whether the disk has room for more: ErrNoSpace if not.
	room func() error

	// The table of slots. Only the loop changes it.
	slotsLeft func() int64     // how many more slots may be made
	slot      func(ID) *Slot   // nil: there is none
	enter     func(*Slot)      // makes a slot known that is in the journal, unless it is
	bury      func(slot *Slot) // makes a slot unreachable that the journal has no more

	// Reads of the journal, so that the loop never waits for a disk. Each returns
	// at once. then is called later on another goroutine, or before the return if
	// the store closes.
	loadSlot   func(slot *Slot, then func(error))
	loadChunk  func(slot *Slot, c *chunk, then func(*segment, error))
	loadBehind func(slot *Slot, from uint64, then func(got []foreign, more bool, err error))
	catchUps   int // how many loadBehind may run at once
}

// hotPart returns the hot part of a slot. A cold slot without events gets one.
// Nil: the slot must be loaded.
func (e *commitEnv) hotPart(slot *Slot) *hot {
	for {
		if h := slot.hot.Load(); h != nil {
			return h
		}
		if slot.count.Load() > 0 {
			return nil
		}
		if h := e.budget.firstHeat(slot); h != nil {
			return h
		} // else a load was faster
	}
}
