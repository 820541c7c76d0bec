package cow

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
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
	// count and bytes are for a cold slot, and so is first below. The owner writes them
	// after the snapshot that they describe, count before first. Readers of a hot slot ask
	// its snapshot.
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
	first   atomic.Uint32 // position of its oldest event; see count
	noted   atomic.Uint32 // see Note
	usedIn  atomic.Uint32 // epoch of the budget in which it was used last
	ringAt  int32         // place in the budget's ring plus one, 0 for none; guarded by budget.mu
	leaving bool          // its removal is in a batch; the owner's
	trimmed bool          // a trim of it is in a batch; the owner's
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
	h.snap.Store(&snapshot{chunks: h.chunks, first: h.first, count: h.count, bytes: h.bytes})
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
	first, end := s.Positions()
	return end - first
}

// Positions returns the position of the oldest event of the slot, and the one behind the
// newest, where the next will stand. They are equal if the slot holds none.
func (s *Slot) Positions() (first, end uint64) {
	if h := s.hot.Load(); h != nil {
		snap := h.snap.Load()
		return snap.first, snap.count
	}
	first = uint64(s.first.Load()) // before count: both only grow
	return first, s.count.Load()
}

// end is the second of Positions.
func (s *Slot) end() uint64 {
	_, end := s.Positions()
	return end
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

// Use tells whether a slot was used between two looks at it.
type Use struct {
	End    uint64 // the second of Positions
	ReadAt int64
}

// LastUse returns the use of the slot until now.
func (s *Slot) LastUse() Use {
	read := s.ReadAt() // before the end: an event that comes between is seen
	return Use{s.end(), read}
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

// Note keeps a number with the slot for whoever ends what nobody needs, package
// retention. Noted returns it, and 0 at first. It does not outlive the process.
func (s *Slot) Note(n uint32) { s.noted.Store(n) }

// Noted: see Note.
func (s *Slot) Noted() uint32 { return s.noted.Load() }

// heard notes times that another relay has written. They don't go to the journal
// again.
func (s *Slot) heard(pulled, streamed int64) {
	raise(&s.pulledAt, stamp(pulled))
	raise(&s.streamedAt, stamp(streamed))
}

func raise(at *atomic.Uint32, t uint32) {
	for was := at.Load(); was < t && !at.CompareAndSwap(was, t); was = at.Load() {
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

// ID names a slot: 16 random bytes, written as 32 lowercase hex digits.
type ID [16]byte

// NewID returns a fresh random slot id.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// ParseID reads exactly 32 lowercase hex digits. Anything else is refused, uppercase
// digits too: an id has one spelling.
func ParseID[T string | []byte](s T) (id ID, ok bool) {
	if len(s) != 2*len(id) {
		return id, false
	}
	for i := 0; i < len(s); i++ {
		var d byte
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c && c <= 'f':
			d = c - 'a' + 10
		default:
			return id, false
		}
		id[i/2] = id[i/2]<<4 | d
	}
	return id, true
}

// String returns the 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// TokenHash is the SHA-256 of a slot token's text. The token itself is never
// kept.
type TokenHash [sha256.Size]byte

// HashToken hashes a token as it was received, whatever its shape.
func HashToken(token []byte) TokenHash { return sha256.Sum256(token) }

// NewToken returns a fresh token: 32 random bytes as lowercase hex.
func NewToken() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Equal compares in constant time.
func (h TokenHash) Equal(o TokenHash) bool {
	return subtle.ConstantTimeCompare(h[:], o[:]) == 1
}

// Grant is what a token was found to allow. The zero Grant allows nothing. It stays
// with whoever reads on the token's account for long, and says whether the token is
// still good.
type Grant struct {
	slot   *Slot
	token  *token.Token // nil: one of the two that the slot was made with
	rights token.Right
}

// Authorize finds out what the token of this hash allows on the slot at this time. A
// token that is not the slot's, or was revoked, or is over, gets the zero Grant. It
// takes no lock and allocates nothing, and how long it takes does not depend on
// the hash.
func (s *Slot) Authorize(h TokenHash, nowUnix int64) Grant {
	set := s.tokens.Load()
	slotHash, slotToken := s.token, set.OfSlot()
	if slotToken != nil {
		slotHash = slotToken.Hash
	}
	ownerHash, ownerToken := s.owner, set.OfOwner()
	if ownerToken != nil {
		ownerHash = ownerToken.Hash
	}
	isSlot, isOwner, further := slotHash.Equal(h), ownerHash.Equal(h), set.Find((*token.Hash)(&h))
	switch {
	case isOwner && ownerHash != (TokenHash{}):
		return Grant{s, ownerToken, token.OfOwner}
	case isSlot:
		return Grant{s, slotToken, token.OfSlot}
	case further != nil && further.Live(nowUnix):
		return Grant{s, further, further.May}
	}
	return Grant{}
}

// OK says whether the token is one of the slot's.
func (g Grant) OK() bool { return g.slot != nil }

// May says whether the token gives all these rights.
func (g Grant) May(r token.Right) bool { return g.rights.Has(r) }

// Ticket says whether the token may stand in a URL.
func (g Grant) Ticket() bool {
	return g.token != nil && g.token.Place < token.SlotPlace && g.token.Ticket()
}

// Live says whether the token is still good. It hears within a second that a token's
// time is over. When a Grant dies the slot's subscribers are woken.
func (g Grant) Live() bool {
	switch {
	case g.slot == nil:
		return false
	case g.token != nil:
		return !g.token.Dead()
	case g.rights.Has(token.Owner):
		return g.slot.tokens.Load().OfOwner() == nil
	}
	return g.slot.tokens.Load().OfSlot() == nil
}
