package cow

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/event"
)

// Errors of the write path. A post that got one of them is not stored, with
// the exception of ErrUnknown.
var (
	// ErrBusy: too much waits, or a load found no room in time. Try again in a second.
	ErrBusy = errors.New("cow: too much waits")
	// ErrNoSpace: the disk is nearly full.
	ErrNoSpace = errors.New("cow: the disk is nearly full")
	// ErrSlotFull: the slot's byte quota would be overrun.
	ErrSlotFull = errors.New("cow: slot full")
	// ErrTooManySlots: the relay has as many slots as it may.
	ErrTooManySlots = errors.New("cow: too many slots")
	// ErrTooManyStreams: the slot has as many subscribers as it may.
	ErrTooManyStreams = errors.New("cow: too many streams on the slot")
	// ErrClosed: the store is closing.
	ErrClosed = errors.New("cow: closing")
	// ErrUnknown: the journal can't say whether the post is stored. It must
	// not be answered at all: its id makes sending it again safe.
	ErrUnknown = errors.New("cow: outcome unknown")
)

type postKind uint8

const (
	postEvent postKind = iota
	postCreate
	postRemove
)

// States of a Post. Whoever wins the exchange from queued decides: the commit
// loop (taken), after which only the loop answers, or the poster that waited
// too long (abandoned), after which the loop passes over it.
const (
	postQueued uint32 = iota
	postTaken
	postAbandoned
)

// Post is one event, or one act on a slot, on its way through the commit loop.
// Posts come from Store.NewPost and go back by Release; they are for one
// goroutine.
type Post struct {
	store *Store
	kind  postKind
	slot  *Slot
	event event.Event
	hash  uint32 // of the event's id
	buf   []byte // owns event
	bytes int64  // what it takes of the queue

	state atomic.Uint32
	done  chan struct{}
	timer *time.Timer

	// Written by the commit loop before it sends on done.
	duplicate bool
	err       error
	// What a load brought for the id comparison that this post waits for, so
	// that an eviction in between can't make it wait again.
	pinned  *segment
	pinnedC *chunk
}

var postPool = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Post{done: make(chan struct{}, 1), timer: t}
}}

// NewPost returns an empty post.
func (s *Store) NewPost() *Post {
	p := postPool.Get().(*Post)
	p.store = s
	return p
}

// Accept validates the body of a post and copies its event, compacted. The
// body may be reused at once. Errors are those of event.Accept.
func (p *Post) Accept(body []byte) error {
	ev, buf, err := event.Accept(p.buf[:0], body)
	p.buf = buf
	if err != nil {
		return err
	}
	p.event = ev
	var room [event.MaxIDBytes]byte
	if id, ok := ev.ID(room[:0]); ok {
		p.hash = p.store.hashID(id)
	}
	return nil
}

// RawID returns the event's id as the JSON string that it came as, or nil.
// Valid until Release.
func (p *Post) RawID() []byte { return p.event.RawID() }

// Commit puts the accepted event behind the others of the slot and returns
// when it is durable, or certainly not stored. duplicate says that the slot
// held its id already; nothing was stored then. Errors: ErrNoSlot, ErrSlotFull,
// ErrNoSpace, ErrBusy, ErrClosed, ErrUnknown.
func (p *Post) Commit(slot *Slot) (duplicate bool, err error) {
	p.kind, p.slot = postEvent, slot
	p.bytes = int64(len(p.event.JSON))
	return p.run()
}

// run queues the post and waits for its answer.
func (p *Post) run() (bool, error) {
	s := p.store
	if err := s.commits.enqueue(p); err != nil {
		p.state.Store(postAbandoned)
		return false, err
	}
	p.timer.Reset(s.opts.QueueTimeout)
	select {
	case <-p.done:
	case <-p.timer.C:
		if p.state.CompareAndSwap(postQueued, postAbandoned) {
			s.commits.dequeued(p)
			s.stats.PostsExpired.Add(1)
			p.store = nil // the queue still holds it: Release leaves it to the collector
			return false, ErrBusy
		}
		<-p.done // the journal has it: nothing but its word can be said
	}
	p.timer.Stop()
	return p.duplicate, p.err
}

// Release gives the post back.
func (p *Post) Release() {
	if p.store == nil {
		return
	}
	if cap(p.buf) > 16<<10 {
		p.buf = nil // one large event must not stay for thousands of small ones
	}
	p.store, p.slot, p.event, p.err, p.pinned, p.pinnedC = nil, nil, event.Event{}, nil, nil, nil
	p.hash, p.duplicate = 0, false
	p.state.Store(postQueued)
	postPool.Put(p)
}
