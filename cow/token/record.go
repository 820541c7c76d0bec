package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// Prefix begins the keys of all records of tokens.
const Prefix = "token/"

// Place is where a token of a slot stands. A place holds one token, so the number of
// places bounds the tokens of a slot, however many relays make them.
type Place uint16

// The places of a slot.
const (
	MostTokens  = 1000 // further tokens of the owner: places 0 to 999
	MostTickets = 100  // tickets that the slot token has made: places 1000 to 1099

	SlotPlace  Place = MostTokens + MostTickets // a slot token in place of the first
	OwnerPlace Place = SlotPlace + 1            // an owner in place of the first, or of none

	Places = int(OwnerPlace) + 1 // how many there are
)

// MaxTicketLife is how long a token may live that may stand in a URL.
const MaxTicketLife = time.Hour

// MaxNote is how many bytes the note of a token may have.
const MaxNote = 200

// SlotID is the id of a slot.
type SlotID = [16]byte

// Hash is the SHA-256 of a token's text.
type Hash = [sha256.Size]byte

// ID names a further token. It is no secret.
type ID [8]byte

// NewID returns a fresh random id.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// ParseID reads 16 lowercase hex digits.
func ParseID(text string) (id ID, ok bool) {
	return id, parseHex(id[:], text)
}

// String returns the 16 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// parseHex fills dst from lowercase hex digits of exactly its length.
func parseHex(dst []byte, text string) bool {
	if len(text) != 2*len(dst) || strings.ToLower(text) != text {
		return false
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}

// Record is a token as it is written. Times are Unix seconds.
type Record struct {
	ID      ID
	Hash    Hash
	May     Right
	By      uint64 // the client that had it made, for shares; 0 for none
	Created int64
	Expires int64 // 0: never
	Note    string
}

// Over says whether the token's time is over.
func (r *Record) Over(nowUnix int64) bool { return r.Expires != 0 && nowUnix >= r.Expires }

// Ticket says whether the token may stand in a URL.
func (r *Record) Ticket() bool {
	return r.May == Read && r.Expires != 0 && r.Expires-r.Created <= int64(MaxTicketLife/time.Second)
}

// record is the JSON of a Record. Members that are not known are passed over.
type record struct {
	ID      string `json:"id"`
	Hash    string `json:"sha256"`
	May     uint8  `json:"may"`
	By      uint64 `json:"by,omitzero"`
	Created int64  `json:"created_unix"`
	Expires int64  `json:"expires_unix,omitzero"`
	Note    string `json:"note,omitzero"`
}

// Encode returns the value of the record: one line of JSON. The note must be UTF-8.
func (r *Record) Encode() []byte {
	value, err := json.Marshal(record{
		ID: r.ID.String(), Hash: hex.EncodeToString(r.Hash[:]), May: uint8(r.May), By: r.By, Created: r.Created, Expires: r.Expires, Note: r.Note,
	})
	if err != nil {
		panic("BUG: the record of a token can't be encoded")
	}
	return append(value, '\n')
}

// errRecord says that a record can't be read. Nothing of the record is in the error.
var errRecord = errors.New("the record of a token can't be read")

// Decode reads the value of a record.
func Decode(value []byte) (Record, error) {
	var in record
	if err := json.Unmarshal(value, &in); err != nil {
		return Record{}, errRecord
	}
	r := Record{May: Right(in.May), By: in.By, Created: in.Created, Expires: in.Expires, Note: in.Note}
	switch {
	case !parseHex(r.ID[:], in.ID), !parseHex(r.Hash[:], in.Hash):
		return Record{}, errRecord
	case r.May == 0 || r.May&^OfOwner != 0:
		return Record{}, fmt.Errorf("%w: it gives rights that this program does not know", errRecord)
	case r.Created < 0 || r.Expires < 0 || !ValidNote(r.Note):
		return Record{}, errRecord
	}
	return r, nil
}

// ValidNote says whether a text may be a token's note.
func ValidNote(note string) bool { return len(note) <= MaxNote && utf8.ValidString(note) }

// Key is the key of the record of a place.
func Key(slot SlotID, p Place) string {
	return Prefix + hex.EncodeToString(slot[:]) + "/" + p.String()
}

// String returns the name of the place: "slot", "owner", or four digits.
func (p Place) String() string {
	switch p {
	case SlotPlace:
		return "slot"
	case OwnerPlace:
		return "owner"
	}
	return fmt.Sprintf("%04d", uint16(p))
}

// ParseKey is the inverse of Key.
func ParseKey(key string) (slot SlotID, p Place, ok bool) {
	rest, ok := strings.CutPrefix(key, Prefix)
	id, place, cut := strings.Cut(rest, "/")
	if !ok || !cut || !parseHex(slot[:], id) {
		return SlotID{}, 0, false
	}
	switch place {
	case "slot":
		return slot, SlotPlace, true
	case "owner":
		return slot, OwnerPlace, true
	}
	n, err := strconv.ParseUint(place, 10, 16)
	if p = Place(n); err != nil || p >= SlotPlace || p.String() != place {
		return SlotID{}, 0, false
	}
	return slot, p, true
}
