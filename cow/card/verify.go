package card

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
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
	// Profile is the value of that key, nil if it is not there. It is a part of the card
	// as it stands there.
	Profile []byte
}

// Verify checks a card: its first key in the order of bytes signed it, and its
// DID commits to that key. Nothing else is checked, no version and no expiry.
// Errors wrap ErrInvalid.
func Verify(doc []byte) (Card, error) {
	d, err := parse(doc)
	if err != nil {
		return Card{}, invalid("the card is %w", err)
	}
	defer d.free()
	key, err := d.firstKey()
	if err != nil {
		return Card{}, err
	}
	var signature [ed25519.SignatureSize]byte
	if err := d.bytes(signature[:], "signature"); err != nil {
		return Card{}, err
	}
	if !ed25519.Verify(key, d.signed("signature", "public_key_id"), signature[:]) {
		return Card{}, invalid("the signature is not that of the card's first key")
	}
	did, ok := d.string("did")
	if !ok || !commits(did, key) {
		return Card{}, invalid("the did does not commit to the card's first key")
	}
	return Card{DID: did, Key: key, Profile: d.source("profile")}, nil
}

// firstKey returns the key of the entry of verify_keys whose name comes first in
// the order of UTF-8 bytes.
func (d *document) firstKey() (ed25519.PublicKey, error) {
	entries, err := parse(d.value("verify_keys"))
	if err != nil {
		return nil, invalid("verify_keys is not an object with a key")
	}
	defer entries.free()
	if len(entries.top) == 0 {
		return nil, invalid("verify_keys is not an object with a key")
	}
	first := entries.top[0]
	entry, err := parse(entries.out[first.colon+1 : first.end])
	if err != nil {
		return nil, invalid("the first of verify_keys is %w", err)
	}
	defer entry.free()
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	return key, entry.bytes(key, "key")
}

// string returns the value of a key if it is a string.
func (d *document) string(key string) (string, bool) {
	v := d.value(key)
	if len(v) == 0 || v[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), true
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err == nil
}

// bytes reads the value of a key that must be base64 of len(dst) bytes: the standard
// alphabet with padding. A line break, which Go's decoder skips, is printed as an
// escape and so refused.
func (d *document) bytes(dst []byte, key string) error {
	v := d.value(key)
	if len(v) == 0 || v[0] != '"' {
		return invalid("%s is not a string", key)
	}
	var buf [ed25519.SignatureSize + 2]byte // whole groups of three
	text := v[1 : len(v)-1]
	if len(text) == base64.StdEncoding.EncodedLen(len(dst)) {
		if n, err := base64.StdEncoding.Strict().Decode(buf[:], text); err == nil && n == len(dst) {
			copy(dst, buf[:])
			return nil
		}
	}
	return invalid("%s is not %d bytes in base64", key, len(dst))
}

// commits says whether a DID ends in the hash of the key.
func commits(did string, key ed25519.PublicKey) bool {
	rest, ok := strings.CutPrefix(did, didPrefix)
	if !ok || strings.HasPrefix(rest, "op:") || strings.HasPrefix(rest, "org:") {
		return false
	}
	sum := sha256.Sum256(key)
	i := strings.LastIndexByte(rest, '-')
	var hash [8]byte
	hex.Encode(hash[:], sum[:4])
	return i >= 0 && rest[i+1:] == string(hash[:])
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
	d, err := parse(doc)
	if err != nil {
		return Event{}, invalid("the event is %w", err)
	}
	defer d.free()
	sum := sha256.Sum256(d.signed("signature", "public_key_id", "event_id"))
	ev := Event{ID: hex.EncodeToString(sum[:])}
	if id, ok := d.string("event_id"); !ok || id != ev.ID {
		return Event{}, invalid("event_id is not the hash of the event")
	}
	var signature [ed25519.SignatureSize]byte
	if err := d.bytes(signature[:], "signature"); err != nil {
		return Event{}, err
	}
	if !ed25519.Verify(by.Key, sum[:], signature[:]) {
		return Event{}, invalid("the signature is not that of the card's first key")
	}
	if ev.From, _ = d.string("from"); ev.From != by.DID && ev.From != NickOf(by.DID) {
		return Event{}, invalid("from is neither the card's did nor its nick")
	}
	return ev, nil
}
