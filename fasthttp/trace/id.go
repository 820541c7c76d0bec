package trace

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
)

const (
	// idMost is the most characters of a client's id.
	idMost = 128
	// hexMost is how many hex digits an id may have in a row. Slot ids and UUIDs have
	// 32. A longer row may be a token of a slot.
	hexMost = 32
	// part is how many characters of a secret an id may not have in common with it.
	part = 16
	// secretMost is how long bearer and target may be. In longer ones it would cost
	// more to look for parts than the rest of the request.
	secretMost = 1024
)

// ClientID returns the id that a client gives its request, or "" if the request gets
// one of ours. The id goes into logs, headers and JSON as it is. So it is 1 to 128
// letters, digits and - . _ ~ + / =. It must not be a secret: an id with a long row of
// hex digits is not taken, nor one that has a part of the bearer or of the target in
// it, nor any beside a bearer or a target of more than 1,024 bytes. The target may hold a ticket, an invite's token or a pair's id.
func ClientID(id, bearer, target []byte) string {
	if len(id) == 0 || len(id) > idMost || max(len(bearer), len(target)) > secretMost {
		return ""
	}
	row := 0
	for _, c := range id {
		if !safe[c] {
			return ""
		}
		if row++; !isHex[c] {
			row = 0
		}
		if row > hexMost {
			return ""
		}
	}
	for i := range len(id) - part + 1 {
		if p := id[i : i+part]; bytes.Contains(bearer, p) || bytes.Contains(target, p) {
			return ""
		}
	}
	return string(id)
}

var safe, isHex = set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~+/="), set("0123456789abcdefABCDEF")

func set(chars string) (s [256]bool) {
	for i := range len(chars) {
		s[chars[i]] = true
	}
	return s
}

var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// NewID returns an id for a request: 16 characters that hold 80 random bits. It says
// nothing, and opens nothing: it needs no secure source.
func NewID() string {
	var raw [10]byte
	binary.BigEndian.PutUint64(raw[:], rand.Uint64())
	binary.BigEndian.PutUint16(raw[8:], uint16(rand.Uint32()))
	return idText.EncodeToString(raw[:])
}
