package token

import (
	"cmp"
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"sync/atomic"
)

// Token is a record in memory. It never changes, but that it dies.
type Token struct {
	Record
	Slot    SlotID
	Place   Place
	Version uint64 // of the record
	// dead is set once, when the token was revoked or replaced or its time was
	// over. It pairs with the Loads of Dead.
	dead atomic.Bool
	at   int32 // in the heap of Books plus one, 0 for none; guarded by its mutex
}

// Dead says whether the token was revoked or replaced, or was found to be over.
func (t *Token) Dead() bool { return t.dead.Load() }

// Live says whether the token may still be used.
func (t *Token) Live(nowUnix int64) bool { return !t.dead.Load() && !t.Over(nowUnix) }

// prefix is the part of the hash by which a Set is sorted.
func (t *Token) prefix() uint64 { return binary.BigEndian.Uint64(t.Hash[:]) }

// Set is what a slot has got since it was made. It is immutable. A nil Set is empty.
type Set struct {
	slot  *Token   // in place of the first slot token, nil for none
	owner *Token   // in place of the first owner, nil for none
	more  []*Token // sorted by prefix, then by place
}

// OfSlot returns the slot token that replaced the first, or nil.
func (s *Set) OfSlot() *Token {
	if s == nil {
		return nil
	}
	return s.slot
}

// OfOwner returns the owner's token that replaced the first, or nil.
func (s *Set) OfOwner() *Token {
	if s == nil {
		return nil
	}
	return s.owner
}

// More returns the further tokens, those too whose time is over. The caller must not
// change the list.
func (s *Set) More() []*Token {
	if s == nil {
		return nil
	}
	return s.more
}

// Find returns the further token that has this hash, or nil.
//
// How many steps it takes follows from how many tokens there are, and not from the
// hash. It allocates nothing.
func (s *Set) Find(hash *Hash) (found *Token) {
	if s == nil {
		return nil
	}
	want := binary.BigEndian.Uint64(hash[:])
	at := 0 // the first whose prefix is not below want, when span is 0
	for span := len(s.more); span > 0; {
		half := (span + 1) / 2
		if s.more[at+half-1].prefix() < want {
			at += half
		}
		span -= half
	}
	// Chance can't give two tokens one prefix, but nothing forbids it.
	for ; at < len(s.more) && s.more[at].prefix() == want; at++ {
		if t := s.more[at]; subtle.ConstantTimeCompare(t.Hash[:], hash[:]) == 1 {
			found = t
		}
	}
	return found
}

// ByID returns the further token of this id, or nil.
func (s *Set) ByID(id ID) *Token {
	for _, t := range s.More() {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// Live returns the further tokens that are live, the oldest first.
func (s *Set) Live(nowUnix int64) (list []*Token) {
	for _, t := range s.More() {
		if t.Live(nowUnix) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *Token) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Place, b.Place))
	})
	return list
}

// At returns what stands at a place, or nil.
func (s *Set) At(p Place) *Token {
	switch p {
	case SlotPlace:
		return s.OfSlot()
	case OwnerPlace:
		return s.OfOwner()
	}
	for _, t := range s.More() {
		if t.Place == p {
			return t
		}
	}
	return nil
}

// Each yields all tokens.
func (s *Set) Each(yield func(*Token) bool) {
	if s == nil {
		return
	}
	for _, t := range []*Token{s.slot, s.owner} {
		if t != nil && !yield(t) {
			return
		}
	}
	for _, t := range s.more {
		if !yield(t) {
			return
		}
	}
}

// with returns a set in which t stands at its place p, or nothing if t is nil. An
// empty set is nil.
func (s *Set) with(p Place, t *Token) *Set {
	var next Set
	if s != nil {
		next = *s
	}
	switch p {
	case SlotPlace:
		next.slot = t
	case OwnerPlace:
		next.owner = t
	default:
		room := len(next.more)
		if t != nil {
			room++
		}
		more := make([]*Token, 0, room)
		for _, o := range next.more {
			if o.Place != p {
				more = append(more, o)
			}
		}
		if t != nil {
			at, _ := slices.BinarySearchFunc(more, t, func(a, b *Token) int {
				return cmp.Or(cmp.Compare(a.prefix(), b.prefix()), cmp.Compare(a.Place, b.Place))
			})
			more = slices.Insert(more, at, t)
		}
		next.more = more
	}
	if next.slot == nil && next.owner == nil && len(next.more) == 0 {
		return nil
	}
	return &next
}
