package cow

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"cowrelay/cow/token"
)

// Store holds all slots of a relay. Open makes it; all methods may be called
// concurrently until Close.
//
// It joins the parts, which don't know it: the table of slots, the budget and the
// loader (memory_), the commit pipeline (commit_). What it gives the pipeline, and
// the calls that go through it, are in store_commit.go; the records beside the
// slots in records.go; the readers' side in read_window.go and read_subscriber.go.
type Store struct {
	opts    Options
	journal Journal
	shared  Shared // the journal, if other relays write to it too; else nil
	records Records
	clock   clock
	seed    maphash.Seed // of the hashes of event ids
	disk    disk

	slots     *xsync.MapOf[ID, *Slot]
	slotCount atomic.Int64 // what the commit loop has created and not removed
	maxSlots  atomic.Int64 // changed by SetLimits

	queue    *postQueue
	inbox    *inbox
	pipeline *commitPipeline
	loads    *loader
	budget   *budget
	stats    Stats

	tokens       *token.Books
	tokenMu      sync.Mutex      // held while a token's record is noted: a slot that enters meanwhile misses none
	blockMu      sync.Mutex      // guards blocks, and is held where the flags of slots follow it
	blocks       map[ID]struct{} // the slots whose records say that they are blocked
	blockedSlots atomic.Int64    // how many slots have blocked set
	barriers     atomic.Int64    // how many callers wait in Barrier and the like

	ending context.Context // done when the store closes
	end    context.CancelFunc
	stop   chan struct{} // closed by Close
	wg     sync.WaitGroup
	writer sync.WaitGroup // of the goroutine that calls the journal
}

// Open reads which slots the journal holds, but not their events, and starts the
// commit loop.
func Open(j Journal, r Records, opts Options) (*Store, error) {
	opts.setDefaults()
	s := &Store{
		opts: opts, journal: j, records: r, clock: clock{time.Now()}, seed: maphash.MakeSeed(),
		disk:   disk{free: opts.Free, log: opts.Logger},
		slots:  xsync.NewMapOf[ID, *Slot](),
		blocks: make(map[ID]struct{}),
		stop:   make(chan struct{}),
	}
	s.shared, _ = j.(Shared)
	s.ending, s.end = context.WithCancel(context.Background())
	s.SetLimits(opts.MaxSlots, opts.Reserve)
	limits := queueLimits{
		posts: opts.QueuePosts, bytes: int64(opts.QueueBytes),
		patience: opts.QueueTimeout, stallAfter: opts.StallAfter,
	}
	if s.shared != nil {
		limits.away = func() time.Duration { return s.shared.Health().Away }
	}
	s.queue = newPostQueue(limits, s.clock, &s.stats)
	s.queue.log = opts.Logger
	s.inbox = newInbox()
	s.budget = newBudget(opts.MemoryBudget, s.inbox.askCool)
	s.loads = newLoader(loadEnv{
		journal: j, budget: s.budget, stats: &s.stats, log: opts.Logger, seed: s.seed,
		patience: opts.LoadPatience, recount: s.inbox.askRecount,
	}, &opts)
	s.tokens = token.NewBooks(min(maxTokenBytes, opts.MemoryBudget/4), s.Charge)
	s.pipeline = newCommitPipeline(s.commitEnv(), s.queue, s.inbox)
	s.budget.meanwhile = s.pipeline.coolMeanwhile
	unwatch, err := s.load()
	if err != nil {
		s.end()
		s.inbox.end() // what is fed must not wait for a loop that never runs
		return nil, err
	}
	s.run("tokens", func() { s.keepTokens(unwatch) })
	s.run("commit", func() { s.pipeline.loop(s.stop) })
	s.writer.Go(func() { labelled("journal", s.pipeline.writeBatches) })
	s.run("evict", func() { s.budget.keep(s.stop) })
	s.run("touch", s.touchLoop)
	return s, nil
}

// load reads what the journal holds. It hears of what comes before it reads what is
// there, so it misses nothing. The commit loop finds later that it knows some of it.
func (s *Store) load() (unwatch func(), err error) {
	s.journal.Feed(func(a *Append) { s.inbox.feed(copyAppend(a)) })
	if err := s.loadSlots(); err != nil {
		return nil, err
	}
	unblock, err := s.loadBlocks()
	if err != nil {
		return nil, err
	}
	untoken, err := s.loadTokens()
	if err != nil {
		unblock()
		return nil, err
	}
	return func() { unblock(); untoken() }, nil
}

// loadSlots makes the slots that the journal holds, cold.
func (s *Store) loadSlots() error {
	err := s.journal.Slots(func(rec SlotRecord) error {
		slot := &Slot{id: rec.Slot, token: rec.Token, owner: rec.Owner, version: rec.Version}
		slot.count.Store(rec.Count)
		slot.first.Store(uint32(rec.First))
		slot.bytes.Store(rec.Bytes)
		slot.pulledAt.Store(stamp(rec.PulledAt))
		slot.streamedAt.Store(stamp(rec.StreamedAt))
		s.slots.Store(rec.Slot, slot)
		s.slotCount.Add(1)
		s.stats.Events.Add(int64(rec.Count - rec.First))
		s.stats.Bytes.Add(int64(rec.Bytes))
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot read the slots: %w", err)
	}
	return nil
}

// run starts a goroutine that Close waits for. Its pprof label tells profiles of
// long-lived goroutines apart: go tool pprof -tagfocus=cow=commit.
func (s *Store) run(label string, f func()) {
	s.wg.Go(func() { labelled(label, f) })
}

func labelled(label string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("cow", label), func(context.Context) { f() })
}

// StopLoads ends the loads that wait or run with ErrClosed, and so the requests,
// streams and posts that wait for them. It lets no other begin. It is for a drain
// whose time is up. It may be called again.
func (s *Store) StopLoads() { s.loads.pool.Stop() }

// Close answers the posts that wait, writes the times of pulls, and ends the commit
// loop and the loads, so that the caller can close the journal. A request that is
// still under way gets ErrClosed if it needs one of them, and so does a post that
// waits for a load. Close waits for what the journal has under way: one Commit, and
// one group of each load that runs.
//
// If relays share the journal and it does not answer in time, posts that it has get
// ErrAway, and its Commit goes on behind Close: it ends when the journal closes.
//
// The order: the loads end first, as posts may wait for them. The times of pulls
// are handed over while the loop still runs. Then the queue takes no more posts, so
// the loop comes to an end. The loads are waited for last, as the loop may start
// some until it ends.
func (s *Store) Close() error {
	s.loads.pool.Stop()
	s.end()
	s.touch(true)
	s.queue.close()
	close(s.stop)
	s.wg.Wait()
	if !s.pipeline.away.lost {
		s.writer.Wait()
	}
	s.loads.pool.Finish()
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

// ReadLines appends the events of a slot from position from up to below to, each
// with a line feed behind it, until dst would be longer than most; at least one. It
// returns the position behind the last. Events that have left are passed over.
//
// It reads the journal and leaves memory as it is: to read everything through memory
// would drive out what is in use. Errors: ErrNoSlot, ErrBusy, ErrClosed and those of
// the journal. What was appended is good even then.
func (s *Store) ReadLines(dst []byte, slot *Slot, from, to uint64, most int) (out []byte, next uint64, err error) {
	out, next = dst, from
	if from >= to {
		return out, next, nil
	}
	err = s.loads.pool.Do(func() error {
		return s.loads.read(slot, from, func(a *Append) error {
			if a.Op == OpTrim {
				next = min(max(next, a.First), to)
				return nil
			}
			for i, ev := range a.Events {
				switch pos := a.First + uint64(i); {
				case pos < from:
					continue // a journal may begin with the group that holds it
				case pos != next:
					return gapError(slot, pos, next)
				case pos == to, next > from && len(out)+len(ev.JSON)+1 > most:
					return errEnough
				}
				out = append(append(out, ev.JSON...), '\n')
				next++
			}
			return nil
		})
	})
	if err == errEnough {
		err = nil
	}
	return out, next, err
}

// Len returns how many slots there are.
func (s *Store) Len() int { return int(s.slotCount.Load()) }

// Limits returns the limits as they are now.
func (s *Store) Limits() Limits {
	return Limits{
		Slots: int(s.maxSlots.Load()), Reserve: s.disk.reserve.Load(),
		QueuePosts: s.opts.QueuePosts, QueueBytes: s.opts.QueueBytes, QueueLines: manyTimes * s.opts.QueuePosts,
	}
}

// SetLimits changes Options.MaxSlots and Options.Reserve while the store is open.
// Slots beyond a lower limit stay. A reserve of 0 refuses nothing.
func (s *Store) SetLimits(maxSlots int, reserve uint64) {
	s.maxSlots.Store(int64(maxSlots))
	s.disk.reserve.Store(reserve)
}

// Gate lets a caller write records on its own account, under the rules for posts.
// The caller calls done when the record is written. Errors: ErrClosed, ErrNoSpace,
// and ErrBusy while the disk hangs or too many requests write records.
func (s *Store) Gate() (done func(), err error) {
	if done, err = s.queue.admitRecord(); err != nil {
		return nil, err
	}
	if err := s.disk.room(); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// Room returns ErrNoSpace if the disk has no room for more.
func (s *Store) Room() error { return s.disk.room() }

// FreeSpace returns how many bytes the journal's disk has left, if Options.Free
// knows.
func (s *Store) FreeSpace() (free uint64, known bool) {
	if s.opts.Free == nil {
		return 0, false
	}
	free, err := s.opts.Free()
	return free, err == nil
}

// Stats returns the live counters.
func (s *Store) Stats() *Stats { return &s.stats }

// Totals returns the totals of the journal.
func (s *Store) Totals() Totals { return s.journal.Totals() }

// Records returns the records that stand beside the slots.
func (s *Store) Records() Records { return s.records }

// Queue returns how many posts of one event wait for the journal, and the bytes of the
// events of all posts.
func (s *Store) Queue() (posts, bytes int64) { return s.queue.waiting() }

// QueuedLines returns how many events of posts of many wait for the journal.
func (s *Store) QueuedLines() int64 { return s.queue.manyEvents.Load() }

// OldestWait returns how long the post has waited for the journal that has waited
// longest, and CommitAge how long the commit under way has taken. Both are 0 where
// nothing waits.
func (s *Store) OldestWait() time.Duration { return s.queue.oldestWait() }

// CommitAge: see OldestWait.
func (s *Store) CommitAge() time.Duration { return s.queue.commitAge() }

// nearFull is how much a slot holds that is nearly full.
const nearFull = MaxSlotBytes / 10 * 9

// Fullest returns how much the slot holds that holds most, and how many slots have
// less than a tenth of what they may hold left. It looks at every slot: call it for a
// scrape, not for a request.
func (s *Store) Fullest() (bytes uint64, near int) {
	for slot := range s.All {
		n := slot.Bytes()
		bytes = max(bytes, n)
		if n >= nearFull {
			near++
		}
	}
	return bytes, near
}

// Memory returns the state of the budget.
func (s *Store) Memory() Memory { return s.budget.state() }

// Charge counts bytes on the budget that something beside the slots holds in memory.
// A negative number gives them back. Slots make room for them. So whoever charges
// needs a bound that leaves most of the budget to the slots.
func (s *Store) Charge(bytes int64) { s.budget.add(memDesk, bytes) }

// Now returns the clock that Wakers are given: nanoseconds since Open.
func (s *Store) Now() int64 { return s.clock.now() }
