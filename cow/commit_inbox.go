package cow

import "sync"

// fedBytes bounds the events of other writers that wait for the commit loop.
const fedBytes = 4 << 20

// inbox is what others ask of the commit loop, which runs it when nothing is
// decided, in flight or unfinished. Each kind has a bound, so that it stays
// small however long the loop is held up: by the disk, for instance.
type inbox struct {
	mu    sync.Mutex
	wake  chan struct{} // of capacity 1; the loop receives
	room  sync.Cond     // fed has room, or the loop has ended
	ended bool
	letters
}

// letters is what waits in an inbox.
type letters struct {
	// fed is what other writers did, at most fedBytes and one entry more:
	// whoever brings it waits.
	fed     []foreign
	fedSize int
	// A slot that the loop waits for has one load and one catch-up under way at
	// most, and one retry; see recovery.
	loaded []loadNote
	caught []catchNote
	retry  []*Slot
	// settle holds a slot once.
	settle map[*Slot]struct{}
	// cool is one request of the budget's. It asks again when it needs more.
	cool []*Slot
	// touched is one collection of slots; see Store.touch.
	touched []*Slot
	// alive is what all callers of Alive wait for, closed by one probe.
	alive  chan struct{}
	probes []func()
}

func (l *letters) empty() bool {
	return len(l.fed)+len(l.loaded)+len(l.caught)+len(l.retry)+len(l.settle)+len(l.cool)+len(l.touched)+len(l.probes) == 0
}

// loadNote says how a load ended that posts wait for. chunk is nil when the
// whole slot was loaded.
type loadNote struct {
	slot    *Slot
	chunk   *chunk
	segment *segment
	err     error
}

// catchNote is what a catch-up found behind the head of a slot. more: it did
// not come to the end.
type catchNote struct {
	slot *Slot
	got  []foreign
	more bool
	err  error
}

func (in *inbox) init() {
	in.wake = make(chan struct{}, 1)
	in.room.L = &in.mu
}

// post adds to the letters and wakes the loop.
func (in *inbox) post(add func(*letters)) {
	in.mu.Lock()
	add(&in.letters)
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// empty says whether nothing waits.
func (in *inbox) empty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.letters.empty()
}

// take empties the inbox.
func (in *inbox) take() letters {
	in.mu.Lock()
	defer in.mu.Unlock()
	l := in.letters
	in.letters = letters{}
	if len(l.fed) > 0 {
		in.room.Broadcast()
	}
	return l
}

// end lets go whoever waits: the loop has ended.
func (in *inbox) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.room.Broadcast()
}

// feed brings what another writer did. It waits while too much of that waits.
func (in *inbox) feed(f foreign) {
	in.mu.Lock()
	for in.fedSize > fedBytes && !in.ended {
		in.room.Wait()
	}
	ended := in.ended
	in.mu.Unlock()
	if ended {
		return
	}
	in.post(func(l *letters) {
		l.fed = append(l.fed, f)
		l.fedSize += f.size()
	})
}

// askCool asks for slots to go cold, unless that was asked and not yet done.
func (in *inbox) askCool(slots []*Slot) {
	in.post(func(l *letters) {
		if len(l.cool) == 0 {
			l.cool = slots
		}
	})
}

func (in *inbox) askSettle(slot *Slot) {
	in.post(func(l *letters) {
		if l.settle == nil {
			l.settle = make(map[*Slot]struct{})
		}
		l.settle[slot] = struct{}{}
	})
}

// probe returns a channel that the loop closes.
func (in *inbox) probe() (answered <-chan struct{}) {
	in.post(func(l *letters) {
		if l.alive == nil {
			alive := make(chan struct{})
			l.alive = alive
			l.probes = append(l.probes, func() { close(alive) })
		}
		answered = l.alive
	})
	return answered
}

// runInbox runs what others asked for.
func (c *committer) runInbox() {
	if c.inbox.empty() {
		return
	}
	c.finish()
	l := c.inbox.take()
	for i := range l.fed {
		c.fed(&l.fed[i])
	}
	for i := range l.loaded {
		c.loaded(&l.loaded[i])
	}
	for i := range l.caught {
		c.caughtUp(&l.caught[i])
	}
	for _, slot := range l.retry {
		if r := c.waiting[slot]; r != nil && r.retrying {
			c.catchUp(slot)
		}
	}
	for slot := range l.settle {
		c.settle(slot)
	}
	c.coolAll(l.cool)
	c.touched = append(c.touched, l.touched...)
	for _, answer := range l.probes {
		answer()
	}
}
