package client

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// HonestNick is the nick that honest agents have.
const HonestNick = "honest"

// An Agent signs cards and events of one DID. Its key is the same in every run.
type Agent struct {
	Nick, did string
	key       ed25519.PrivateKey
}

// NewAgent returns the agent of a nick.
func NewAgent(nick string) Agent {
	seed := sha256.Sum256([]byte("attack " + nick))
	key := ed25519.NewKeyFromSeed(seed[:])
	hash := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return Agent{nick, "did:wire:" + nick + "-" + hex.EncodeToString(hash[:4]), key}
}

// card is the agent's card. It is printed as the contract's canonical form is, so
// the bytes to sign are the card without its signature.
func (a Agent) card() string {
	head := fmt.Sprintf(`{"did":%q,"profile":{"emoji":"🐄","motto":"answers mail, one by one"}`, a.did)
	keys := fmt.Sprintf(`,"verify_keys":{"ed25519:k":{"key":%q}}}`, base64.StdEncoding.EncodeToString(a.key.Public().(ed25519.PublicKey)))
	return head + `,"signature":"` + a.sign([]byte(head+keys)) + `"` + keys
}

func (a Agent) sign(text []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, text))
}

// Claim is the body of a claim of the agent's nick.
func (a Agent) Claim(s Slot) []byte {
	return fmt.Appendf(nil, `{"nick":%q,"slot_id":%q,"relay_url":"https://relay.example","card":%s}`, a.Nick, s.ID, a.card())
}

// Introduction is the body of an introduction of the agent. Another number gives
// another event. One that is not valid has a signature of other bytes.
func (a Agent) Introduction(number int, valid bool) []byte {
	text := fmt.Sprintf(`{"body":{"card":%s,"number":%d},"from":%q,"kind":1100,"type":"pair_drop"`, a.card(), number, a.did)
	id := sha256.Sum256([]byte(text + "}"))
	signed := id
	if !valid {
		signed[0]++
	}
	return fmt.Appendf(nil, `{"event":%s,"event_id":"%x","signature":%q}}`, text, id, a.sign(signed[:]))
}
