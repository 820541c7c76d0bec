package call

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// An Agent claims a nick. Agents with one nick and other seeds have other DIDs.
type Agent struct {
	Nick, DID string
	card      string
}

// NewAgent returns an agent. The same seed gives the same key.
func NewAgent(nick, seed string) Agent {
	h := sha256.Sum256([]byte(seed))
	key := ed25519.NewKeyFromSeed(h[:])
	public := key.Public().(ed25519.PublicKey)
	hash := sha256.Sum256(public)
	g := Agent{Nick: nick, DID: "did:wire:" + nick + "-" + hex.EncodeToString(hash[:4])}
	// It is printed as the canonical form is. So the bytes to sign are the card
	// without its signature.
	head := fmt.Sprintf(`{"did":%q,"profile":{"motto":"one log, many relays"}`, g.DID)
	keys := fmt.Sprintf(`,"verify_keys":{"ed25519:k":{"key":%q}}}`, base64.StdEncoding.EncodeToString(public))
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(head+keys)))
	g.card = head + `,"signature":"` + signature + `"` + keys
	return g
}

// Claim is the body of a claim.
func (g Agent) Claim(s Slot) []byte {
	return fmt.Appendf(nil, `{"nick":%q,"slot_id":%q,"relay_url":null,"card":%s}`, g.Nick, s.ID, g.card)
}
