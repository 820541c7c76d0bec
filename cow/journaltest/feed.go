package journaltest

import (
	"context"
	"sync"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// memFeed delivers in the order of the log, from one goroutine, which Feed
// starts and Close ends.
type memFeed struct {
	feedMu  sync.Mutex
	idle    sync.Cond // the queue is empty and nothing is being delivered
	arrived sync.Cond // there is something to do
	queue   []cow.Append
	deliver func(*cow.Append)
	busy    bool
	held    int
	drop    int
	own     bool
	bare    bool
	ended   bool
	done    sync.WaitGroup
}

// Feed implements cow.Journal. As in Load, the bytes of an entry are
// overwritten after deliver has returned.
func (f *memFeed) Feed(deliver func(*cow.Append)) {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	if f.deliver != nil {
		panic("BUG: second Feed")
	}
	f.deliver = deliver
	f.done.Go(f.run)
}

func (f *memFeed) run() {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	for {
		for !f.ended && (len(f.queue) == 0 || f.held > 0) {
			f.arrived.Wait()
		}
		if f.ended {
			return
		}
		a := copyAppend(f.queue[0])
		f.queue = f.queue[1:]
		f.busy = true
		f.feedMu.Unlock()
		f.deliver(&a)
		spoil(&a)
		f.feedMu.Lock()
		f.busy = false
		if len(f.queue) == 0 {
			f.idle.Broadcast()
		}
	}
}

func (f *memFeed) publish(a cow.Append, own bool) {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	if f.deliver == nil || f.ended || own && !f.own {
		return
	}
	if f.drop > 0 {
		f.drop--
		return
	}
	if f.bare && a.Op == cow.OpAppend {
		a.Events, a.Mark = nil, 0
	}
	f.queue = append(f.queue, a)
	f.arrived.Signal()
}

func (f *memFeed) closeFeed() {
	f.feedMu.Lock()
	f.ended = true
	f.arrived.Broadcast()
	f.idle.Broadcast()
	f.feedMu.Unlock()
	f.done.Wait()
}

// FeedOwn has the feed deliver one's own groups too, as a shared log does. An
// entry may arrive before Commit has returned.
func (f *memFeed) FeedOwn() {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	f.own = true
}

// BareFeed has the feed deliver appends without their events, as a journal does when too
// much waits for delivery.
func (f *memFeed) BareFeed(bare bool) {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	f.bare = bare
}

// DropFeed loses the next n entries of the feed, so that gaps arise.
func (f *memFeed) DropFeed(n int) {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	f.drop += n
}

// HoldFeed delays the feed until release is called.
func (f *memFeed) HoldFeed() (release func()) {
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	f.held++
	return sync.OnceFunc(func() {
		f.feedMu.Lock()
		defer f.feedMu.Unlock()
		f.held--
		f.arrived.Signal()
	})
}

// WaitFeed returns when all entries were delivered. The feed must not be held.
func (f *memFeed) WaitFeed() { f.waitFeed(context.Background()) }

// waitFeed is WaitFeed, and gives up when ctx ends.
func (f *memFeed) waitFeed(ctx context.Context) bool {
	defer context.AfterFunc(ctx, func() {
		f.feedMu.Lock()
		defer f.feedMu.Unlock()
		f.idle.Broadcast()
	})()
	f.feedMu.Lock()
	defer f.feedMu.Unlock()
	for !f.ended && ctx.Err() == nil && (len(f.queue) > 0 || f.busy) {
		f.idle.Wait()
	}
	return ctx.Err() == nil
}

// Foreign appends events to a slot as another writer does and returns the
// slot's new version. It panics where there is no slot.
func (m *Memory) Foreign(slot cow.ID, events ...event.Event) (version uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slots[slot]
	if s == nil {
		panic("BUG: foreign append to a slot that is not there")
	}
	m.publish(m.appendLocked(s, slot, events, 0), false)
	return s.version
}

// ForeignCreate makes a slot as another writer does.
func (m *Memory) ForeignCreate(slot cow.ID, token cow.TokenHash) (version uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.createLocked(slot, token, cow.TokenHash{})
	m.publish(a, false)
	return a.Version
}

// ForeignTouch notes times of pulls and streams as another writer does.
func (m *Memory) ForeignTouch(slot cow.ID, pulledAt, streamedAt int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.actLocked(&cow.Group{Op: cow.OpTouch, Slot: slot, PulledAt: pulledAt, StreamedAt: streamedAt}, false)
}

// ForeignRemove removes a slot as another writer does.
func (m *Memory) ForeignRemove(slot cow.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.publish(m.removeLocked(slot), false)
}
