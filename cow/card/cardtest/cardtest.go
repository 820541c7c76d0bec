// Package cardtest makes agents for tests: it signs cards and events as agents do.
package cardtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Agent signs for a DID.
type Agent struct {
	Nick, DID string
	key       ed25519.PrivateKey
}

// New returns an agent of a nick. Another number gives another agent of the same
// nick. Its key is the same in every run.
func New(nick string, number int) Agent {
	seed := sha256.Sum256(fmt.Append(nil, nick, number))
	key := ed25519.NewKeyFromSeed(seed[:])
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return Agent{nick, "did:wire:" + nick + "-" + hex.EncodeToString(sum[:4]), key}
}

// Card returns a signed card with a profile, which is JSON in canonical form.
func (a Agent) Card(profile string) []byte { return a.CardAs(profile, profile) }

// CardAs returns a signed card whose profile is spelled in another way than what is
// signed.
func (a Agent) CardAs(profile, canonical string) []byte {
	return fmt.Appendf(nil, `{"did":%q,"signature":%q,"profile":%s,"verify_keys":%s}`,
		a.DID, a.sign([]byte(a.card(canonical))), profile, a.keys())
}

func (a Agent) card(profile string) string {
	return fmt.Sprintf(`{"did":%q,"profile":%s,"verify_keys":%s}`, a.DID, profile, a.keys())
}

func (a Agent) keys() string {
	return fmt.Sprintf(`{"ed25519:k":{"key":%q}}`, base64.StdEncoding.EncodeToString(a.key.Public().(ed25519.PublicKey)))
}

func (a Agent) sign(text []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(a.key, text))
}

// Event returns a signed event from the agent. body is JSON in canonical form.
func (a Agent) Event(kind int, name, body string) []byte {
	canonical := fmt.Sprintf(`{"body":%s,"from":%q,"kind":%d,"type":%q`, body, a.DID, kind, name)
	id := sha256.Sum256([]byte(canonical + "}"))
	return fmt.Appendf(nil, `%s,"event_id":%q,"signature":%q}`, canonical, hex.EncodeToString(id[:]), a.sign(id[:]))
}
