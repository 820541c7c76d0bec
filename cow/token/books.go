package token

import (
	"container/heap"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Errors of Reserve.
var (
	// ErrMany: the slot has as many further tokens as it may.
	ErrMany = errors.New("token: the slot has as many tokens as it may")
	// ErrManyTickets: the slot has as many live tickets of its slot token as it may.
	ErrManyTickets = errors.New("token: the slot has as many tickets as it may")
	// ErrFull: the tokens of all slots take as much memory as they may.
	ErrFull = errors.New("token: too many tokens")
	// ErrShare: one client's tokens take as much of that as they may.
	ErrShare = errors.New("token: too many tokens of one client")
)

// Spot is a place of a slot.
type Spot struct {
	Slot  SlotID
	Place Place
}

// Key is the key of the spot's record.
func (s Spot) Key() string { return Key(s.Slot, s.Place) }

// Books are what memory holds of the tokens of all slots. They follow the records:
// Note is told of each, in the order of the journal.
//
//	Reserve ──► (the record is put) ──► Note ──► live ──► Over, or the record is
//	   │                                                  deleted: dead
//	   '──► Release, whatever became of it
//
// NewBooks makes them. All methods may be called concurrently. None waits for
// anything but the lock, which is never held for long.
type Books struct {
	most   int64       // bytes of memory that further tokens may take
	charge func(int64) // is told by how many bytes memory grew

	mu       sync.Mutex // guards all that follows, and stores to the sets of slots
	bytes    int64      // of all tokens
	further  int64      // of those that count for most: not those of SlotPlace and OwnerPlace
	count    int
	by       map[uint64]int64 // of the further ones of each client
	due      dueHeap          // tokens that end
	reserved map[Spot]struct{}
	leaving  []Spot // whose records are to be dropped
	// gone holds what was deleted while the records are read for the first time.
	// It is nil afterwards.
	gone map[Spot]struct{}
	// early is what KeepEarly has kept, by slot, and earlyCount how much that is.
	early      map[SlotID][]Early
	earlyCount int
}

// NewBooks returns empty books, for tokens that are being read. charge may be nil.
func NewBooks(most int64, charge func(int64)) *Books {
	if charge == nil {
		charge = func(int64) {}
	}
	return &Books{
		most: most, charge: charge, by: make(map[uint64]int64),
		reserved: make(map[Spot]struct{}), gone: make(map[Spot]struct{}),
	}
}

// Loaded says that all records were read.
func (b *Books) Loaded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = nil
}

// Len returns how many tokens there are beside those that slots were made with, and
// how many bytes they take.
func (b *Books) Len() (tokens int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count, b.bytes
}

// size is how many bytes of memory a token takes: itself, its note, and what points
// at it.
func (t *Token) size() int64 {
	return int64(unsafe.Sizeof(*t)) + int64(len(t.Note)) + 3*int64(unsafe.Sizeof(t))
}

// Reserve finds a free place for a further token of a slot, or one whose token is
// over. expected is the version that the record there has. Release must follow.
// Errors: ErrMany, ErrManyTickets, ErrFull, ErrShare.
func (b *Books) Reserve(slot SlotID, set *atomic.Pointer[Set], ticket bool, by uint64, nowUnix int64) (spot Spot, expected uint64, err error) {
	first, n, full := 0, MostTokens, ErrMany
	if ticket {
		first, n, full = MostTokens, MostTickets, ErrManyTickets
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	size := (&Token{}).size() + MaxNote
	switch {
	case b.further+size > b.most:
		return Spot{}, 0, ErrFull
	case by != 0 && b.by[by]+size > b.most/4:
		return Spot{}, 0, ErrShare
	}
	var at [MostTokens + MostTickets]*Token
	for _, t := range set.Load().More() {
		at[t.Place] = t
	}
	// Relays that share the records begin at different places, so they seldom want
	// the same one.
	begin := mathrand.IntN(n)
	over := -1
	for i := range n {
		p := first + (begin+i)%n
		spot = Spot{slot, Place(p)}
		if _, taken := b.reserved[spot]; taken {
			continue
		}
		if at[p] == nil {
			b.reserved[spot] = struct{}{}
			return spot, 0, nil
		}
		if over < 0 && !at[p].Live(nowUnix) {
			over = p
		}
	}
	if over < 0 {
		return Spot{}, 0, full
	}
	spot = Spot{slot, Place(over)}
	b.reserved[spot] = struct{}{}
	return spot, at[over].Version, nil
}

// Release ends reservations.
func (b *Books) Release(spots ...Spot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range spots {
		delete(b.reserved, s)
	}
}

// Note brings the set of a slot in step with a record. A nil value is a record that
// was deleted. listed says that the record was read from a list, and not heard of
// as a change. What is older than what is known is passed over.
//
// died says that a token is dead that was not before, so readers that it let in
// must look. An error says that the record can't be read. Then nobody has the token
// that it stands for: a new slot token that can't be read does not bring back the old
// one.
func (b *Books) Note(spot Spot, set *atomic.Pointer[Set], value []byte, version uint64, listed bool) (died bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone != nil && value == nil {
		b.gone[spot] = struct{}{}
	}
	if _, gone := b.gone[spot]; gone && listed {
		return false, nil
	}
	old := set.Load().At(spot.Place)
	if old != nil && value != nil && old.Version > version {
		return false, nil
	}
	var next *Token
	if value != nil {
		next = &Token{Slot: spot.Slot, Place: spot.Place, Version: version}
		if next.Record, err = Decode(value); err != nil {
			rand.Read(next.Hash[:])
		}
	}
	if old == nil && next == nil {
		return false, nil
	}
	set.Store(set.Load().with(spot.Place, next))
	if next != nil {
		b.add(next)
	}
	// A first slot token or owner that is replaced dies by that alone.
	died = spot.Place >= SlotPlace
	if old != nil {
		b.drop(old)
		died = !old.dead.Swap(true) || died
	}
	return died, err
}

// Forget takes out the token of a spot if it is of this version.
func (b *Books) Forget(spot Spot, set *atomic.Pointer[Set], version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := set.Load().At(spot.Place); t != nil && t.Version == version {
		set.Store(set.Load().with(spot.Place, nil))
		b.drop(t)
		t.dead.Store(true)
	}
}

// add counts a token in.
func (b *Books) add(t *Token) {
	n := t.size()
	b.count++
	b.grow(t, n)
	if t.Expires != 0 {
		heap.Push(&b.due, t)
	}
}

// drop counts a token out.
func (b *Books) drop(t *Token) {
	b.count--
	b.grow(t, -t.size())
	if t.at != 0 {
		heap.Remove(&b.due, int(t.at-1))
	}
}

func (b *Books) grow(t *Token, n int64) {
	b.bytes += n
	b.charge(n)
	if t.Place >= SlotPlace {
		return
	}
	b.further += n
	if t.By == 0 {
		return
	}
	if b.by[t.By] += n; b.by[t.By] == 0 {
		delete(b.by, t.By)
	}
}

// Bury forgets the tokens of a slot that is gone. Their records are to be dropped.
func (b *Books) Bury(set *atomic.Pointer[Set]) {
	if set.Load() == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for t := range set.Load().Each {
		b.drop(t)
		t.dead.Store(true)
		b.leaving = append(b.leaving, Spot{t.Slot, t.Place})
	}
	set.Store(nil)
}

// Over returns the tokens whose time is over, once each, at most most of them. They
// are dead now. Their records are to be dropped.
func (b *Books) Over(nowUnix int64, most int) (list []*Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.due) > 0 && len(list) < most && b.due[0].Over(nowUnix) {
		t := heap.Pop(&b.due).(*Token)
		t.dead.Store(true)
		b.leaving = append(b.leaving, Spot{t.Slot, t.Place})
		list = append(list, t)
	}
	return list
}

// Leave has the record of a spot dropped.
func (b *Books) Leave(spots ...Spot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = append(b.leaving, spots...)
}

// TakeLeaving returns up to most spots whose records are to be dropped.
func (b *Books) TakeLeaving(most int) []Spot {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.leaving), most)
	spots := b.leaving[:n:n]
	if b.leaving = b.leaving[n:]; len(b.leaving) == 0 {
		b.leaving = nil
	}
	return spots
}

// dueHeap implements heap.Interface: the token that ends first is first.
type dueHeap []*Token

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].Expires < h[j].Expires }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = int32(i+1), int32(j+1)
}

func (h *dueHeap) Push(x any) {
	t := x.(*Token)
	*h = append(*h, t)
	t.at = int32(len(*h))
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.at = 0
	return t
}
