package cow

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/event"
	"cowrelay/cow/index"
)

// postKind is what a post asks for.
type postKind uint8

const (
	postEvent  postKind = iota // store an event
	postMany                   // store many events, all or none
	postCreate                 // make a slot
	postRemove                 // remove a slot
	postTrim                   // drop the oldest events of a slot
)

// The states of a Post. Two parties may end the wait in the queue: the commit
// loop, and the poster whose patience is over. Both try to exchange the state,
// and the exchange that succeeds decides who has the say.
//
//	                 the loop takes it
//	         .-----------------------------> taken      only the loop answers it
//	queued --+                                 |
//	         |                                 '------> left       nobody is answered
//	         |                   its poster gives up: the journal is shared, and away
//	         '-----------------------------> abandoned  the loop passes over it
//	                 its poster gives up
//
// A post that is held or parked is still queued: its poster may give up. A post that
// was left may be stored or not.
const (
	postQueued uint32 = iota
	postTaken
	postAbandoned
	postLeft
)

// Post is one event, many events of one slot, or one act on a slot, on its way
// through the commit pipeline. Posts come from Store.NewPost and go back by Release; they are for
// one goroutine.
type Post struct {
	queue *postQueue   // of the store; nil: Release must leave the post alone
	seed  maphash.Seed // of the store's hashes of ids

	kind     postKind
	slot     *Slot
	event    event.Event
	idHash   uint32 // of the event's id
	many     *many  // of a post of many events, which has no event; else nil
	trim     trimmed
	still    *Use   // of a removal: what the slot's last use must be; nil: any
	buf      []byte // owns the events
	bytes    int64  // what the post takes of the queue's bound
	queuedNs int64  // when it was queued, on the queue's clock

	// state: pairs with itself. See the picture above.
	state atomic.Uint32
	// done, of capacity 1: the loop sends once, and the poster receives behind it
	// what the loop wrote to duplicate, next, err and many.
	done  chan struct{}
	timer *time.Timer // of the poster's patience

	duplicate bool
	err       error
	lent      bool   // the journal may still read the events: the memory must not be used again
	end       int    // where its last event ends in its append; the loop's
	next      uint64 // the position behind its last event; see CommitLines

	// The segment that a load brought for the comparison of ids that this post
	// waits for. The loop keeps it here, so that an eviction between the load and
	// the comparison can't make the post wait again.
	pinned  *segment
	pinnedC *chunk

	// timed: the poster asks when the loop takes the post. The loop writes takenNs
	// before it sends to done.
	timed   bool
	takenNs int64
}

func newFreePost() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Post{done: make(chan struct{}, 1), timer: t}
}

// keptPostBytes is the largest buffer that a post keeps for the next event.
// One large event must not stay in memory for thousands of small ones.
const keptPostBytes = 16 << 10

// newPost returns an empty post for a queue.
func newPost(q *postQueue, seed maphash.Seed) *Post {
	p := q.free.Get().(*Post)
	p.queue, p.seed = q, seed
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
		p.idHash = index.Hash(p.seed, id)
	}
	return nil
}

// many is what a post of many events has in place of one. Posters fill it, and then
// it is the loop's until the post is answered.
type many struct {
	events  []event.Event // without those that repeat the id of an earlier line
	keys    []uint64      // parallel to events: idKey of each id, or 0
	repeats int           // lines that were left out for that
	table   [2048]uint16  // of places in events plus one, by hash, for sift

	// at is parallel to events: where the loop found the id. inSlot stays true
	// when the post must be decided again. So a post whose ids lie in several
	// chunks that are not in memory needs each of them once.
	at    []place
	fresh int // events that are new
}

var manyPool = sync.Pool{New: func() any { return new(many) }}

// sift leaves out the events whose id an earlier one has, and notes the keys of the
// others. So the loop has only to look at the slot.
func (m *many) sift(seed maphash.Seed) {
	clear(m.table[:])
	m.keys = slices.Grow(m.keys[:0], len(m.events))
	kept := 0
	var room [event.MaxIDBytes]byte
	for _, ev := range m.events {
		key := uint64(0)
		if id, ok := ev.ID(room[:0]); ok {
			hash := index.Hash(seed, id)
			key = idKey(hash)
			if m.enter(hash, id, kept) {
				continue
			}
		}
		m.events[kept] = ev
		m.keys = append(m.keys, key)
		kept++
	}
	m.repeats = len(m.events) - kept
	clear(m.events[kept:])
	m.events = m.events[:kept]
	m.at = slices.Grow(m.at[:0], kept)[:kept]
	clear(m.at)
}

// enter enters the place of an event into the table. True: an earlier one has its id.
func (m *many) enter(hash uint32, id []byte, at int) bool {
	for i := hash; ; i++ {
		slot := &m.table[i%uint32(len(m.table))]
		if *slot == 0 {
			*slot = uint16(at + 1)
			return false
		}
		if j := *slot - 1; m.keys[j] == idKey(hash) && m.events[j].HasID(id) {
			return true
		}
	}
}

// bytes is how many bytes of events the post may add.
func (m *many) bytes() (n int64) {
	for _, ev := range m.events {
		n += int64(len(ev.JSON))
	}
	return n
}

// AcceptLines validates a body that holds an event a line, and copies the events,
// compacted. The body may be reused at once. Errors are those of event.AcceptLines.
func (p *Post) AcceptLines(body []byte) error {
	m := manyPool.Get().(*many)
	events, buf, err := event.AcceptLines(p.buf[:0], body, m.events[:0])
	p.buf, m.events = buf, events
	if err != nil {
		clear(m.events[:cap(m.events)]) // or the pool would keep the buffers of events that were let in before
		manyPool.Put(m)
		return err
	}
	m.sift(p.seed)
	p.many = m
	return nil
}

// Lines returns how many events AcceptLines has let in, duplicates included.
func (p *Post) Lines() int { return len(p.many.events) + p.many.repeats }

// trimmed is what a trim drops of a slot: the events from position first up to below to,
// which have so many bytes.
type trimmed struct{ first, to, bytes uint64 }

// givenUp says whether nobody waits for the post's answer any more.
func (p *Post) givenUp() bool {
	state := p.state.Load()
	return state == postAbandoned || state == postLeft
}

// JSON returns the accepted event, compacted. Valid until Release.
func (p *Post) JSON() []byte { return p.event.JSON }

// RawID returns the event's id as the JSON string that it came as, or nil.
// Valid until Release.
func (p *Post) RawID() []byte { return p.event.RawID() }

// Time has the post note when the commit loop takes it, which is when it has decided
// on the post. It is called before Commit or CommitLines.
func (p *Post) Time() { p.timed = true }

// Taken returns when that was, on the clock of Store.Now. It is 0 for a post that was
// never taken, or not timed.
func (p *Post) Taken() int64 {
	if p.queue == nil { // nobody waited for the loop, which may be writing the time
		return 0
	}
	return p.takenNs
}

// Commit puts the accepted event behind the others of the slot. It returns
// when the event is durable, or certainly not stored. duplicate says that the
// slot held its id already; nothing was stored then. Errors: ErrNoSlot,
// ErrSlotFull, ErrNoSpace, ErrBusy, ErrClosed, ErrUnknown. With a journal that relays
// share also ErrAway: the post may be stored or not, now or later.
func (p *Post) Commit(slot *Slot) (duplicate bool, err error) {
	p.kind, p.slot, p.bytes = postEvent, slot, int64(len(p.event.JSON))
	return p.queue.submit(p)
}

// CommitLines puts the accepted events behind the others of the slot: all that are
// new, in their order and side by side, in one durable act. It returns when they are
// durable, or certainly none of them is stored. An event whose id stands in the slot
// or in an earlier line is a duplicate. next is the position behind the last event
// that was stored. If all were duplicates, it is the end of the slot. Errors are
// those of Commit. ErrSlotFull says that the slot has no room for all that are new.
func (p *Post) CommitLines(slot *Slot) (stored, duplicates int, next uint64, err error) {
	p.kind, p.slot, p.bytes = postMany, slot, p.many.bytes()
	if _, err = p.queue.submit(p); err != nil {
		return 0, 0, 0, err
	}
	return p.many.fresh, p.many.duplicates(), p.next, nil
}

func (m *many) duplicates() int { return len(m.events) - m.fresh + m.repeats }

// act has a slot made, trimmed or removed. Errors are those of Commit.
func (p *Post) act(kind postKind, slot *Slot) error {
	p.kind, p.slot, p.bytes = kind, slot, 0
	_, err := p.queue.submit(p)
	return err
}

// Release gives the post back.
func (p *Post) Release() {
	q := p.queue
	if q == nil {
		return
	}
	if cap(p.buf) > keptPostBytes {
		p.buf = nil
	}
	if p.many != nil {
		clear(p.many.events)
		manyPool.Put(p.many)
	}
	p.queue, p.slot, p.event, p.many, p.err, p.pinned, p.pinnedC, p.still = nil, nil, event.Event{}, nil, nil, nil, nil, nil
	p.idHash, p.duplicate, p.end, p.next, p.trim = 0, false, 0, 0, trimmed{}
	p.timed, p.takenNs = false, 0
	p.state.Store(postQueued)
	q.free.Put(p)
}
