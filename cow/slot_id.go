package cow

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
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
