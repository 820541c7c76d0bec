package cow

import (
	"hash/maphash"
	"time"
)

// commitEnv is the world of the commit pipeline: all that it may touch beside
// the slots that it is handed. Tests give it another one, without a journal and
// without a store.
//
// What each post needs are values. The functions are called at most once for a
// batch, an act, a load or a first event.
type commitEnv struct {
	clock  clock
	seed   maphash.Seed // of the hashes of ids
	stats  *Stats
	budget *budget

	// write is Journal.Commit. The goroutine at the journal calls it.
	write func([]Group)
	// committed, or nil, is told of each batch that is finished.
	committed func(posts, bytes int, took time.Duration)
	// room says whether the disk has room for more: ErrNoSpace if not.
	room func() error

	// The table of slots. Only the loop changes it.
	slotsLeft func() int64 // how many more slots may be made
	slot      func(ID) *Slot
	enter     func(*Slot) // makes a slot that is in the journal known, if it is not
	bury      func(*Slot) // makes a slot that is not in the journal any more unreachable

	// Reads of the journal. Each returns at once; then is called on another
	// goroutine, or here if the store closes. So the loop never reads the disk.
	loadSlot   func(slot *Slot, then func(error))
	loadChunk  func(slot *Slot, c *chunk, then func(*segment, error))
	loadBehind func(slot *Slot, from uint64, then func(got []foreign, more bool, err error))
	catchUps   int // that may run at once
}

// hotPart returns the hot part of a slot. A slot without events gets one. Nil:
// the slot must be loaded.
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

// commitPipeline is the one owner of every slot's future; commit.go says how it
// works.
type commitPipeline struct {
	env   commitEnv
	queue *postQueue
	inbox *inbox

	// The loop sends a sealed batch to toJournal and receives it from fromJournal
	// when it has landed. Of capacity 1: neither side waits to send.
	toJournal   chan *batch
	fromJournal chan *batch

	// Owned by the loop, as are all methods but writer and write.
	next     *batch  // filling
	landed   *batch  // not finished; or nil
	creating int64   // slots that next and landed will make
	touched  []*Slot // whose times of pulls are to be written
	backlog  backlog
	parking  *parking
	others   *others
	pool     batchPool
}

func newCommitPipeline(env commitEnv, q *postQueue, in *inbox) *commitPipeline {
	c := &commitPipeline{
		env: env, queue: q, inbox: in,
		toJournal: make(chan *batch, 1), fromJournal: make(chan *batch, 1),
		next: new(batch),
	}
	c.parking = &parking{env: &c.env, queue: q, inbox: in, backlog: &c.backlog, slots: make(map[*Slot]*parked)}
	c.others = &others{env: &c.env, queue: q, inbox: in, parking: c.parking, slots: make(map[*Slot]*catchUp)}
	return c
}
