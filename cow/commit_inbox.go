package cow

import (
	"sync"
	"sync/atomic"

	"cowrelay/cow/event"
)

// fedBytes bounds the events of other writers that wait for the commit loop.
const fedBytes = 4 << 20

// inbox holds what others than posters ask of the commit loop: loads that have
// ended, what other writers did, slots that should go cold. The loop runs all
// of it at once, when nothing is decided, in flight or unfinished. Each kind has
// a bound, so the inbox stays small however long the loop is held up, by the
// disk for instance.
type inbox struct {
	wake chan struct{} // of capacity 1; the loop receives
	// touchesLeft is how many slots wait to have the times of their pulls written.
	// askTouch adds before it hands them over, and the loop subtracts when they
	// are in a batch. While it is not 0 nobody asks again.
	touchesLeft atomic.Int64

	mu      sync.Mutex
	room    sync.Cond // on mu: fed has room, or the loop has ended
	ended   bool      // guarded by mu
	letters           // guarded by mu
}

// letters are what waits in an inbox.
type letters struct {
	// fed is what other writers did: at most fedBytes and one entry more. The
	// journal's feed waits for room.
	fed     []foreign
	fedSize int // bytes in memory
	// A slot that the loop waits for has at most one load and one catch-up under
	// way, and one retry.
	loaded []loadNote
	caught []catchNote
	retry  []*Slot
	// recount has each slot once.
	recount map[*Slot]struct{}
	// cool is one request of the budget's, which asks again when it needs more.
	cool []*Slot
	// touched are the slots of one collection; see touchesLeft.
	touched []*Slot
	// alive is what all callers of probe wait for; one of the probes closes it.
	alive  chan struct{}
	probes []func()
	// settles are answered behind all that was fed before them. Store.Barrier bounds
	// them.
	settles []settleNote
}

// settleNote asks how many events a slot has, when its head is known. Without a slot
// it is answered at once.
type settleNote struct {
	slot   *Slot
	answer chan settled // of capacity 1
	waited bool         // for the batch that held the slot
}

// settled is the answer: so many events, or why the head could not be read.
type settled struct {
	count uint64
	err   error
}

// loadNote says how a load ended that posts wait for. chunk is nil when the
// whole slot was loaded.
type loadNote struct {
	slot    *Slot
	chunk   *chunk
	segment *segment
	err     error
}

// catchNote says what a catch-up found behind the head of a slot. more: there is
// more behind that.
type catchNote struct {
	slot *Slot
	got  []foreign
	more bool
	err  error
}

// foreign is a copy of an append that this loop did not decide.
type foreign struct {
	Append
	data []byte // all its events' JSON
}

// copyAppend copies what a journal lends for one call.
func copyAppend(a *Append) foreign {
	f := foreign{Append: *a}
	n := 0
	for _, ev := range a.Events {
		n += len(ev.JSON)
	}
	f.data = make([]byte, 0, n)
	f.Events = make([]event.Event, len(a.Events))
	for i, ev := range a.Events {
		at := len(f.data)
		f.data = append(f.data, ev.JSON...)
		f.Events[i] = event.Event{JSON: f.data[at:len(f.data):len(f.data)], IDOff: ev.IDOff}
	}
	return f
}

// size is about how many bytes the copy takes in memory.
func (f *foreign) size() int { return len(f.data) + 64*len(f.Events) + 256 }

func newInbox() *inbox {
	in := &inbox{wake: make(chan struct{}, 1)}
	in.room.L = &in.mu
	return in
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

func (in *inbox) noteLoad(n loadNote) {
	in.post(func(l *letters) { l.loaded = append(l.loaded, n) })
}

func (in *inbox) noteCatch(n catchNote) {
	in.post(func(l *letters) { l.caught = append(l.caught, n) })
}

// askRetry asks for another catch-up of a slot.
func (in *inbox) askRetry(slot *Slot) {
	in.post(func(l *letters) { l.retry = append(l.retry, slot) })
}

// askRecount asks to compare the counts of a slot with what a load brought.
func (in *inbox) askRecount(slot *Slot) {
	in.post(func(l *letters) { l.addRecount(slot) })
}

func (l *letters) addRecount(slot *Slot) {
	if l.recount == nil {
		l.recount = make(map[*Slot]struct{})
	}
	l.recount[slot] = struct{}{}
}

// settle asks for a settleNote.
func (in *inbox) settle(slot *Slot) <-chan settled {
	answer := make(chan settled, 1)
	in.post(func(l *letters) { l.settles = append(l.settles, settleNote{slot: slot, answer: answer}) })
	return answer
}

// askCool asks for slots to go cold, unless the last such request still waits.
func (in *inbox) askCool(slots []*Slot) {
	in.post(func(l *letters) {
		if len(l.cool) == 0 {
			l.cool = slots
		}
	})
}

// askTouch asks to write the times of the slots' last pulls.
func (in *inbox) askTouch(slots []*Slot) {
	in.touchesLeft.Add(int64(len(slots)))
	in.post(func(l *letters) { l.touched = append(l.touched, slots...) })
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

// The loop's side.

func (l *letters) empty() bool {
	return len(l.fed)+len(l.loaded)+len(l.caught)+len(l.retry)+len(l.recount)+len(l.cool)+len(l.touched)+len(l.probes)+len(l.settles) == 0
}

// empty says whether nothing waits.
func (in *inbox) empty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.letters.empty()
}

// take empties the inbox. Without fed it leaves there what was fed, and who waits for
// that.
func (in *inbox) take(fed bool) letters {
	in.mu.Lock()
	defer in.mu.Unlock()
	l := in.letters
	in.letters = letters{}
	if !fed {
		in.letters = letters{fed: l.fed, fedSize: l.fedSize, settles: l.settles}
		l.fed, l.fedSize, l.settles = nil, 0, nil
	}
	if len(l.fed) > 0 {
		in.room.Broadcast()
	}
	return l
}

// takeCool takes what the budget asks for.
func (in *inbox) takeCool() (slots []*Slot) {
	in.mu.Lock()
	defer in.mu.Unlock()
	slots, in.cool = in.cool, nil
	return slots
}

// end has feed wait no more: the loop has ended.
func (in *inbox) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.room.Broadcast()
}
