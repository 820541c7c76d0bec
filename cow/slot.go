package cow

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"cowrelay/cow/event"
	"cowrelay/cow/frame"
	"cowrelay/cow/index"
	"cowrelay/cow/token"
)

// Slot is one append-only list of events behind a token. Store.Allocate makes it,
// Store.Slot finds it, and it must not be copied. All methods may be called
// concurrently.
//
//	        .------- load, or its first event ------.
//	        |                                       v
//	      cold                                     hot
//	        ^                                       |
//	        '------- cool: nobody needs it ---------'
//
//	either --remove--> dead, and cold
//
// Without its hot part a slot is cold: it takes some 250 bytes and still knows its
// counts. While a load runs it is cold as well: the loader knows who waits.
//
// "The owner" of a slot is the commit loop, the one goroutine that changes it.
type Slot struct {
	id    ID
	token TokenHash // of the first slot token
	owner TokenHash // of the first owner's token; zero: there was none
	// tokens is nil until the slot gets a token beside these, or in place of one. The
	// set is immutable. Stores are under the lock of Store.tokens; a Load pairs with
	// each.
	tokens atomic.Pointer[token.Set]

	// hot is nil while the slot is cold. Loads set it by compare-and-swap. Only
	// the owner clears it, or appends to what it points at.
	hot atomic.Pointer[hot]
	// subs points nowhere while there is no subscriber.
	subs members
	// count and bytes are for a cold slot. The owner writes them after the snapshot
	// that they describe. Readers of a hot slot ask its snapshot.
	count atomic.Uint64
	bytes atomic.Uint64

	// Unix seconds of the last pull and the last stream, 0 for never. They last until
	// 2106 and keep the slot small.
	pulledAt   atomic.Uint32
	streamedAt atomic.Uint32

	version uint64         // of the journal, while the slot is cold; the owner's
	pending *pendingAppend // the slot's part of a batch, or nil; the owner's
	// The small fields stand together, which keeps the slot within 176 bytes.
	touched atomic.Bool   // pulledAt or streamedAt is newer than what the journal has
	dead    atomic.Bool   // removed: set once, never cleared
	blocked atomic.Bool   // by the operator; see records.go
	usedIn  atomic.Uint32 // epoch of the budget in which it was used last
	ringAt  int32         // place in the budget's ring plus one, 0 for none; guarded by budget.mu
	leaving bool          // its removal is in a batch; the owner's
}

// hot is the part of a slot that holds events.
type hot struct {
	// snap: the Store in publish pairs with every Load of a reader. Segment bytes
	// and index entries are written before it. After it they are shared and frozen.
	snap   atomic.Pointer[snapshot]
	frames [frame.Kinds]atomic.Pointer[frame.Log] // each is nil while nobody reads that kind
	index  index.Index
	appender
	version uint64 // of the journal; the owner's
}

// hotBytes is what a hot part takes without chunks, index and frames.
const hotBytes = int64(unsafe.Sizeof(hot{}) + unsafe.Sizeof(snapshot{}))

// publish makes what the owner has added since the last call visible.
func (h *hot) publish() {
	h.snap.Store(&snapshot{chunks: h.chunks, count: h.count, bytes: h.bytes})
}

// ID returns the slot's id.
func (s *Slot) ID() ID { return s.id }

// Gone says whether the slot was removed.
func (s *Slot) Gone() bool { return s.dead.Load() }

// Hot says whether the slot is in memory.
func (s *Slot) Hot() bool { return s.hot.Load() != nil }

// Subscribers returns how many streams and long polls the slot has.
func (s *Slot) Subscribers() int { return s.subs.len() }

// Count returns how many events the slot holds.
func (s *Slot) Count() uint64 {
	if h := s.hot.Load(); h != nil {
		return h.snap.Load().count
	}
	return s.count.Load()
}

// PulledAt returns the time of the last pull in Unix seconds, 0 for never.
func (s *Slot) PulledAt() int64 { return int64(s.pulledAt.Load()) }

// ReadAt returns when somebody read the slot last, in Unix seconds: the time of the
// last pull or stream, now while a stream or long poll is open, 0 for never. Behind
// a crash the time of a stream that was open may be up to streamTouch too old.
func (s *Slot) ReadAt() int64 {
	// The stamp of a stream that closes is set before it leaves the set. So a
	// reader that finds the set empty finds the stamp.
	if s.subs.Load() != nil {
		return time.Now().Unix()
	}
	return int64(max(s.pulledAt.Load(), s.streamedAt.Load()))
}

// MarkPulled notes a pull. Some seconds later the time goes to the journal.
func (s *Slot) MarkPulled(now time.Time) {
	if t := stamp(now.Unix()); s.pulledAt.Load() != t {
		s.pulledAt.Store(t)
		s.touched.Store(true)
	}
}

// markStreamed notes that a stream is open at now.
func (s *Slot) markStreamed(now time.Time) {
	if t := stamp(now.Unix()); s.streamedAt.Load() != t {
		s.streamedAt.Store(t)
		s.touched.Store(true)
	}
}

// stamp makes Unix seconds fit a slot. What lies outside becomes the nearest time.
func stamp(unix int64) uint32 { return uint32(min(max(unix, 0), math.MaxUint32)) }

// use marks the slot as used in this epoch, without a write when it is marked.
func (s *Slot) use(epoch uint32) {
	if s.usedIn.Load() != epoch {
		s.usedIn.Store(epoch)
	}
}

// currentVersion is the version that the next act on the slot is decided on.
// Only the owner may ask.
func (s *Slot) currentVersion() uint64 {
	if h := s.hot.Load(); h != nil {
		return h.version
	}
	return s.version
}

// Bytes returns how many bytes of events the slot holds.
func (s *Slot) Bytes() uint64 {
	if h := s.hot.Load(); h != nil {
		return h.snap.Load().bytes
	}
	return s.bytes.Load()
}

// appendFrames adds the frames of the events that stand at first and behind to
// those of a kind that the subscribers share, and returns by how many bytes memory
// grew.
// Readers never look behind the head of the snapshot that they hold, so the frames
// may be there before the snapshot is. Only the owner may call it.
func (h *hot) appendFrames(ids frame.IDs, first uint64, events []event.Event, stats *Stats) (grown int64) {
	frames := &h.frames[ids]
	old := frames.Load()
	next := old.Append(ids, first, events)
	stats.FramesEncoded.Add(uint64(len(events)))
	// An eviction takes the log out, and its bytes off the books, by exchanging
	// old for nil.
	if old != nil && frames.CompareAndSwap(old, next) {
		return next.Bytes() - old.Bytes()
	}
	frames.Store(next)
	return next.Bytes()
}
