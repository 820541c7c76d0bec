package handles

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// CardBytes is about the size of each card.
const CardBytes = 2 << 10

// nickOf returns the nick of agent n. Nicks sort as their numbers do.
func nickOf(n int) string { return fmt.Sprintf("agent-%06d", n) }

// newCard signs the card of agent n. It is printed as the contract's canonical form
// is, keys in order and without blanks, so the bytes to sign are the card without
// its signature.
func newCard(n int) (did, card string) {
	seed := sha256.Sum256(fmt.Appendf(nil, "bench agent %d", n))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	hash := sha256.Sum256(public)
	nick := nickOf(n)
	did = "did:wire:" + nick + "-" + hex.EncodeToString(hash[:4])
	head := fmt.Sprintf(`{"capabilities":["wire/v3.1"],"did":"%s","handle":"%s","name":"%s","notes":"`, did, nick, nick)
	profile := fmt.Sprintf(`","profile":{"display_name":"Agent %d","emoji":"🐄","motto":"answers mail of the other agents, one by one","now":"reading","pronouns":"it/its","vibe":["calm","vibe-%d"]},"schema_version":"v3.1",`, n, n%100)
	keys := fmt.Sprintf(`"verify_keys":{"ed25519:%s":{"active":true,"alg":"ed25519","key":"%s"}}}`,
		nick, base64.StdEncoding.EncodeToString(public))
	const signatureMember = `"signature":"",`
	signatureBytes := base64.StdEncoding.EncodedLen(ed25519.SignatureSize)
	rest := len(head) + len(profile) + len(signatureMember) + signatureBytes + len(keys)
	head += strings.Repeat("x", max(0, CardBytes-rest))
	signature := ed25519.Sign(key, []byte(head+profile+keys))
	return did, head + profile + `"signature":"` + base64.StdEncoding.EncodeToString(signature) + `",` + keys
}
