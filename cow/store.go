package cow

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"cowrelay/cow/index"
)

// Options are a store's limits. A zero field takes its default.
type Options struct {
	MaxSlots       int           // slots that may exist (200,000)
	StreamsPerSlot int           // subscribers a slot may have (256)
	PageBytes      int           // most bytes of a window, if more than one event (4 MiB)
	MemoryBudget   int64         // bytes for slots in memory (256 MiB)
	QueuePosts     int           // posts that may wait for the journal (4,096)
	QueueBytes     int           // and their bytes (32 MiB)
	QueueTimeout   time.Duration // how long a post waits to be handed to the journal (10 s)
	StallAfter     time.Duration // a commit that takes longer turns new posts away (1 s)
	Loads          int           // slots and chunks that are read at once (4)
	LoadPatience   time.Duration // how long a load waits for memory, in all (5 s)
	LoadTimeout    time.Duration // how long a request waits for a load, and a load for its turn (10 s)
	LoadWaiters    int           // requests that may wait for loads at once (4,096)
	TouchInterval  time.Duration // how often times of pulls are written (10 s)

	// Free tells how many bytes the journal's disk has left; nil is enough.
	// It is asked at most every 100 ms. With less than Reserve bytes left
	// (128 MiB) nothing new is written.
	Free    func() (uint64, error)
	Reserve uint64

	// Committed, if set, is told of every batch: how many posts, how many
	// bytes of events, and how long the journal took. The commit loop calls it.
	Committed func(posts, bytes int, took time.Duration)

	Logger *slog.Logger // slog.Default()
}

func (o *Options) setDefaults() {
	def(&o.MaxSlots, 200_000)
	def(&o.StreamsPerSlot, 256)
	def(&o.PageBytes, 4<<20)
	def(&o.MemoryBudget, 256<<20)
	def(&o.QueuePosts, 4096)
	def(&o.QueueBytes, 32<<20)
	def(&o.QueueTimeout, 10*time.Second)
	def(&o.StallAfter, time.Second)
	def(&o.Loads, 4)
	def(&o.LoadPatience, 5*time.Second)
	def(&o.LoadTimeout, 10*time.Second)
	def(&o.LoadWaiters, 4096)
	def(&o.TouchInterval, 10*time.Second)
	def(&o.Reserve, 128<<20)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func def[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

// Stats are counters and gauges of a store. All fields may be read at any time.
type Stats struct {
	Events, Bytes  atomic.Int64  // held by all slots
	Subscribers    atomic.Int64  // open now, waiters included
	PostsStored    atomic.Uint64 // since the store was opened
	PostsDuplicate atomic.Uint64
	PostsRejected  atomic.Uint64 // the queue was full
	PostsStalled   atomic.Uint64 // turned away while a commit hung
	PostsExpired   atomic.Uint64 // waited too long for the journal
	PostsNoSpace   atomic.Uint64
	FramesEncoded  atomic.Uint64 // into shared frames
	FramesReplayed atomic.Uint64 // for one reader
	SlotLoads      atomic.Uint64
	ChunkLoads     atomic.Uint64
	LoadErrors     atomic.Uint64
	Panics         atomic.Uint64 // that a load was saved from
	LoadsRefused   atomic.Uint64 // too many waited, or one for too long
	Recoveries     atomic.Uint64 // appends that met another writer or an unknown outcome
}

// Memory is where the budget's bytes are.
type Memory struct {
	Limit, Used, Retired        int64
	Chunks, Index, Frames       int64 // of Used
	EvictedChunks, EvictedSlots uint64
	HotSlots                    int
}

// Store holds all slots of a relay. Open makes it; all methods may be called
// concurrently until Close.
type Store struct {
	opts    Options
	journal Journal
	records Records
	clock   clock
	seed    maphash.Seed // of the hashes of event ids

	slots     *xsync.MapOf[ID, *Slot]
	slotCount atomic.Int64 // what the commit loop has created and not removed
	queue     *postQueue
	inbox     *inbox
	pipeline  *commitPipeline
	loads     *loader
	budget    *budget
	stats     Stats

	maxSlots atomic.Int64  // both change by SetLimits
	reserve  atomic.Uint64 // bytes

	freeMu sync.Mutex
	freeAt time.Time
	freeOK error

	blockMu      sync.Mutex // orders blocks and unblocks
	blockedSlots atomic.Int64

	stop chan struct{}
	wg   sync.WaitGroup
}

// Open reads what slots the journal holds, not their events, and starts the
// commit loop.
func Open(j Journal, r Records, opts Options) (*Store, error) {
	opts.setDefaults()
	s := &Store{
		opts: opts, journal: j, records: r, clock: clock{time.Now()}, seed: maphash.MakeSeed(),
		slots: xsync.NewMapOf[ID, *Slot](),
		stop:  make(chan struct{}),
	}
	s.SetLimits(opts.MaxSlots, opts.Reserve)
	s.queue = newPostQueue(queueLimits{
		posts: opts.QueuePosts, bytes: int64(opts.QueueBytes),
		patience: opts.QueueTimeout, stallAfter: opts.StallAfter,
	}, s.clock, &s.stats)
	s.inbox = newInbox()
	s.loads = newLoader(s)
	s.budget = newBudget(opts.MemoryBudget, s.inbox.askCool)
	s.pipeline = newCommitPipeline(s.commitEnv(), s.queue, s.inbox)
	err := j.Slots(func(rec SlotRecord) error {
		slot := &Slot{id: rec.Slot, token: rec.Token, version: rec.Version}
		slot.count.Store(rec.Count)
		slot.bytes.Store(rec.Bytes)
		slot.pulledAt.Store(rec.PulledAt)
		s.slots.Store(rec.Slot, slot)
		s.slotCount.Add(1)
		s.stats.Events.Add(int64(rec.Count))
		s.stats.Bytes.Add(int64(rec.Bytes))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the slots: %w", err)
	}
	if err := s.loadBlocks(); err != nil {
		return nil, err
	}
	s.wg.Go(func() { labeled("commit", func() { s.pipeline.loop(s.stop) }) })
	s.wg.Go(func() { labeled("journal", s.pipeline.writeBatches) })
	s.wg.Go(func() { labeled("evict", func() { s.budget.keep(s.stop) }) })
	s.wg.Go(func() { labeled("touch", s.touchLoop) })
	j.Feed(func(a *Append) { s.inbox.feed(copyAppend(a)) })
	return s, nil
}

// StopLoads ends the loads that wait or run with ErrClosed, and so the requests,
// streams and posts that wait for them, and lets no other begin. It is for a
// drain whose time is up; it may be called again.
func (s *Store) StopLoads() { s.loads.stop() }

// Close answers the posts that wait, writes the times of pulls, and ends the
// commit loop and the loads, so that the caller can close the journal. A request
// that is still under way gets ErrClosed for what it would need of either, and
// so does a post that waits for a load. Close waits for what the journal has
// under way: one Commit, and of each load that runs one group.
func (s *Store) Close() error {
	s.loads.stop()
	s.touch(true)
	s.queue.close()
	close(s.stop)
	s.wg.Wait()
	s.loads.finish()
	return nil
}

// Slot returns the slot with this id, or nil.
func (s *Store) Slot(id ID) *Slot {
	slot, _ := s.slots.Load(id)
	return slot
}

// All yields the slots that are there, in no order. One that comes or goes
// meanwhile may be among them or not.
func (s *Store) All(yield func(*Slot) bool) {
	s.slots.Range(func(_ ID, slot *Slot) bool { return yield(slot) })
}

// Len returns how many slots there are.
func (s *Store) Len() int { return int(s.slotCount.Load()) }

// Allocate makes a slot, durably, and returns its id and its token, which is
// not kept. Errors: ErrTooManySlots and those of Post.Commit.
func (s *Store) Allocate() (ID, string, error) {
	token := NewToken()
	slot := &Slot{id: NewID(), token: HashToken([]byte(token))}
	p := s.NewPost()
	defer p.Release()
	err := p.act(postCreate, slot)
	return slot.id, token, err
}

// Remove drops a slot with its token and events, durably. Its streams end; its
// posts that wait get ErrNoSlot.
func (s *Store) Remove(slot *Slot) error {
	p := s.NewPost()
	defer p.Release()
	if err := p.act(postRemove, slot); err != nil {
		return err
	}
	// Its id never comes again, so a record that a crash leaves here is dead
	// weight, not a fault.
	return errors.Join(s.dropRecord(healthKey(slot)), s.forgetBlock(slot))
}

// NewPost returns an empty post.
func (s *Store) NewPost() *Post { return newPost(s.queue, s.seed) }

// SetLimits changes Options.MaxSlots and Options.Reserve while the store is
// open. Slots beyond a lower limit stay; a reserve of 0 refuses nothing.
func (s *Store) SetLimits(maxSlots int, reserve uint64) {
	s.maxSlots.Store(int64(maxSlots))
	s.reserve.Store(reserve)
}

// Stats returns the live counters.
func (s *Store) Stats() *Stats { return &s.stats }

// Totals returns the durable totals of the journal.
func (s *Store) Totals() Totals { return s.journal.Totals() }

// Records returns the records that stand beside the slots.
func (s *Store) Records() Records { return s.records }

// Queue returns how many posts wait for the journal and their bytes.
func (s *Store) Queue() (posts, bytes int64) { return s.queue.waiting() }

// Memory returns the state of the budget.
func (s *Store) Memory() Memory {
	b := s.budget
	b.mu.Lock()
	hot := len(b.ring)
	b.mu.Unlock()
	return Memory{
		Limit: b.limit, Used: b.used.Load(), Retired: b.retired.Load(),
		Chunks: b.kinds[memChunk].Load(), Index: b.kinds[memIndex].Load(), Frames: b.kinds[memFrame].Load(),
		EvictedChunks: b.evictedChunks.Load(), EvictedSlots: b.evictedSlots.Load(), HotSlots: hot,
	}
}

// now is the store's clock: monotonic nanoseconds since Open.
func (s *Store) now() int64 { return s.clock.now() }

// Now returns the clock that Wakers are given.
func (s *Store) Now() int64 { return s.now() }

func (s *Store) hashID(id []byte) uint32 { return index.Hash(s.seed, id) }

// coldEmpty is what readers of a cold slot without events see.
var coldEmpty = func() *hot {
	h := new(hot)
	h.snap.Store(emptySnapshot)
	return h
}()

// heat returns the hot part of a slot for reading, and loads it if it must.
func (s *Store) heat(slot *Slot) (*hot, error) { return s.heatUntil(slot, nil) }

// heatUntil does so, and stops waiting with ErrClosed when ended is closed.
func (s *Store) heatUntil(slot *Slot, ended <-chan struct{}) (*hot, error) {
	if slot.dead.Load() {
		return nil, ErrNoSlot
	}
	slot.use(s.budget.epoch.Load())
	if h := slot.hot.Load(); h != nil {
		return h, nil
	}
	if slot.count.Load() == 0 {
		return coldEmpty, nil
	}
	return s.loads.slotUntil(slot, ended)
}

// Room says whether the disk has room for more: ErrNoSpace if not. Whoever
// writes records of its own accord should ask before.
func (s *Store) Room() error { return s.room() }

// room says whether the disk has room for more.
func (s *Store) room() error {
	if s.opts.Free == nil {
		return nil
	}
	s.freeMu.Lock()
	defer s.freeMu.Unlock()
	if now := time.Now(); now.Sub(s.freeAt) > 100*time.Millisecond {
		was := s.freeOK
		free, err := s.opts.Free()
		reserve := s.reserve.Load()
		s.freeAt, s.freeOK = now, nil
		if err == nil && free < reserve {
			s.freeOK = ErrNoSpace
		}
		if s.freeOK != nil && was == nil {
			s.opts.Logger.Error("disk nearly full: posts are refused until there is room", "free_bytes", free, "reserve_bytes", reserve)
		} else if s.freeOK == nil && was != nil {
			s.opts.Logger.Info("disk has room again", "free_bytes", free)
		}
	}
	return s.freeOK
}

// touchLoop hands the times of pulls to the commit loop now and then.
func (s *Store) touchLoop() {
	t := time.NewTicker(s.opts.TouchInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.touch(false)
		case <-s.stop:
			return
		}
	}
}

// touch collects the slots that were pulled since the last time. While some of
// those are still to be written, which the last call does not wait for, the
// slots themselves remember.
func (s *Store) touch(last bool) {
	if !last && s.inbox.untouched.Load() > 0 {
		return
	}
	var slots []*Slot
	s.slots.Range(func(_ ID, slot *Slot) bool {
		if slot.touched.Swap(false) {
			slots = append(slots, slot)
		}
		return true
	})
	if len(slots) > 0 {
		s.inbox.askTouch(slots)
	}
}

// Health returns the responder health record of a slot, or nil.
func (s *Store) Health(slot *Slot) ([]byte, error) {
	v, _, err := s.records.Value(healthKey(slot))
	if errors.Is(err, ErrNoRecord) {
		return nil, nil
	}
	return v, err
}

// SetHealth stores the responder health record of a slot, durably. Errors:
// ErrNoSpace, ErrBusy, ErrClosed and those of the records.
func (s *Store) SetHealth(slot *Slot, record []byte) error {
	done, err := s.queue.admitRecord()
	if err != nil {
		return err
	}
	defer done()
	if err := s.room(); err != nil {
		return err
	}
	for {
		_, version, err := s.records.Value(healthKey(slot))
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
		if _, err = s.records.Put(healthKey(slot), record, version); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func healthKey(slot *Slot) string { return "health/" + slot.id.String() }
