package cow

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"cowrelay/cow/token"
)

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
