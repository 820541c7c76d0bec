package cow

import (
	"hash/maphash"
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
	postCreate                 // make a slot
	postRemove                 // remove a slot
)

// The states of a Post. Two parties may end the wait in the queue: the commit
// loop, and the poster whose patience is over. Both try to exchange the state,
// and the exchange that succeeds decides who has the say.
//
//	                 the loop takes it
//	         .-----------------------------> taken      only the loop answers it
//	queued --+
//	         '-----------------------------> abandoned  the loop passes over it
//	                 its poster gives up
//
// A post that is held or parked is still queued: its poster may give up.
const (
	postQueued uint32 = iota
	postTaken
	postAbandoned
)

// Post is one event, or one act on a slot, on its way through the commit
// pipeline. Posts come from Store.NewPost and go back by Release; they are for
// one goroutine.
type Post struct {
	queue *postQueue   // of the store; nil: Release must leave the post alone
	seed  maphash.Seed // of the store's hashes of ids

	kind   postKind
	slot   *Slot
	event  event.Event
	idHash uint32 // of the event's id
	buf    []byte // owns event
	bytes  int64  // what the post takes of the queue's bound

	// state: pairs with itself. See the picture above.
	state atomic.Uint32
	// done, of capacity 1: the loop sends once, and the poster receives behind it
	// what the loop wrote to duplicate and err.
	done  chan struct{}
	timer *time.Timer // of the poster's patience

	duplicate bool
	err       error

	// The segment that a load brought for the comparison of ids that this post
	// waits for. The loop keeps it here, so that an eviction between the load and
	// the comparison can't make the post wait again.
	pinned  *segment
	pinnedC *chunk
}

var postPool = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Post{done: make(chan struct{}, 1), timer: t}
}}

// keptPostBytes is the largest buffer that a post keeps for the next event.
// One large event must not stay in memory for thousands of small ones.
const keptPostBytes = 16 << 10

// newPost returns an empty post for a queue.
func newPost(q *postQueue, seed maphash.Seed) *Post {
	p := postPool.Get().(*Post)
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

// JSON returns the accepted event, compacted. Valid until Release.
func (p *Post) JSON() []byte { return p.event.JSON }

// RawID returns the event's id as the JSON string that it came as, or nil.
// Valid until Release.
func (p *Post) RawID() []byte { return p.event.RawID() }

// Commit puts the accepted event behind the others of the slot. It returns
// when the event is durable, or certainly not stored. duplicate says that the
// slot held its id already; nothing was stored then. Errors: ErrNoSlot,
// ErrSlotFull, ErrNoSpace, ErrBusy, ErrClosed, ErrUnknown.
func (p *Post) Commit(slot *Slot) (duplicate bool, err error) {
	p.kind, p.slot, p.bytes = postEvent, slot, int64(len(p.event.JSON))
	return p.queue.submit(p)
}

// act has a slot made or removed. Errors are those of Commit.
func (p *Post) act(kind postKind, slot *Slot) error {
	p.kind, p.slot, p.bytes = kind, slot, 0
	_, err := p.queue.submit(p)
	return err
}

// Release gives the post back.
func (p *Post) Release() {
	if p.queue == nil {
		return
	}
	if cap(p.buf) > keptPostBytes {
		p.buf = nil
	}
	p.queue, p.slot, p.event, p.err, p.pinned, p.pinnedC = nil, nil, event.Event{}, nil, nil, nil
	p.idHash, p.duplicate = 0, false
	p.state.Store(postQueued)
	postPool.Put(p)
}
