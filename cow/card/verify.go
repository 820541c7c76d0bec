package card

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid is what all errors of Verify and VerifyEvent wrap.
var ErrInvalid = errors.New("does not verify")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Card is what a verified card says of its agent.
type Card struct {
	DID string            // such as did:wire:paul-a1b2c3d4
	Key ed25519.PublicKey // signs the card and the agent's events
}

// Verify checks a card: its first key in the order of bytes signed it, and its
// DID commits to that key. Nothing else is checked, no version and no expiry.
// Errors wrap ErrInvalid.
func Verify(doc []byte) (Card, error) {
	o, err := split(doc)
	if err != nil {
		return Card{}, invalid("the card is %w", err)
	}
	key, err := o.firstKey()
	if err != nil {
		return Card{}, err
	}
	signature, err := o.signature()
	if err != nil {
		return Card{}, err
	}
	signed, err := o.canonical("signature", "public_key_id")
	if err != nil {
		return Card{}, invalid("the card can't be put in canonical form: %w", err)
	}
	if !ed25519.Verify(key, signed, signature) {
		return Card{}, invalid("the signature is not that of the card's first key")
	}
	did, ok := o.text("did")
	if !ok || !commits(did, key) {
		return Card{}, invalid("the did does not commit to the card's first key")
	}
	return Card{DID: did, Key: key}, nil
}

// firstKey returns the key of the entry of verify_keys whose name comes first in
// the order of UTF-8 bytes.
func (o object) firstKey() (ed25519.PublicKey, error) {
	entries, err := split(o.value("verify_keys"))
	if err != nil || len(entries) == 0 {
		return nil, invalid("verify_keys is not an object with a key")
	}
	first := slices.MinFunc(entries, func(a, b member) int { return strings.Compare(a.key, b.key) })
	entry, err := split(entries.value(first.key))
	if err != nil {
		return nil, invalid("the first of verify_keys is %w", err)
	}
	return entry.bytes("key", ed25519.PublicKeySize)
}

func (o object) signature() ([]byte, error) { return o.bytes("signature", ed25519.SignatureSize) }

// bytes returns the value of a key that must be base64 of n bytes: the standard
// alphabet with padding, and without the line breaks that Go's decoder skips.
func (o object) bytes(key string, n int) ([]byte, error) {
	text, ok := o.text(key)
	if !ok {
		return nil, invalid("%s is not a string", key)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) != n {
		return nil, invalid("%s is not %d bytes in base64", key, n)
	}
	return b, nil
}

// commits says whether a DID ends in the hash of the key.
func commits(did string, key ed25519.PublicKey) bool {
	rest, ok := strings.CutPrefix(did, didPrefix)
	if !ok || strings.HasPrefix(rest, "op:") || strings.HasPrefix(rest, "org:") {
		return false
	}
	sum := sha256.Sum256(key)
	i := strings.LastIndexByte(rest, '-')
	return i >= 0 && rest[i+1:] == hex.EncodeToString(sum[:4])
}

// Event is what a verified event says.
type Event struct {
	ID   string // lowercase hex of SHA-256 over what is signed
	From string
}

// VerifyEvent checks that an event carries its right id and a signature of it by
// the agent of the card, and that it says to be from this agent. Errors wrap
// ErrInvalid.
func VerifyEvent(doc []byte, by Card) (Event, error) {
	o, err := split(doc)
	if err != nil {
		return Event{}, invalid("the event is %w", err)
	}
	signed, err := o.canonical("signature", "public_key_id", "event_id")
	if err != nil {
		return Event{}, invalid("the event can't be put in canonical form: %w", err)
	}
	sum := sha256.Sum256(signed)
	ev := Event{ID: hex.EncodeToString(sum[:])}
	if id, ok := o.text("event_id"); !ok || id != ev.ID {
		return Event{}, invalid("event_id is not the hash of the event")
	}
	signature, err := o.signature()
	if err != nil {
		return Event{}, err
	}
	if !ed25519.Verify(by.Key, sum[:], signature) {
		return Event{}, invalid("the signature is not that of the card's first key")
	}
	if ev.From, _ = o.text("from"); ev.From != by.DID && ev.From != NickOf(by.DID) {
		return Event{}, invalid("from is neither the card's did nor its nick")
	}
	return ev, nil
}
