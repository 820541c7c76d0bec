package card

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"strings"
)

const didPrefix = "did:wire:"

// NickOf returns the nick that a DID stands for: what is behind did:wire:,
// without a last part of eight hex digits.
func NickOf(did string) string {
	rest := strings.TrimPrefix(did, didPrefix)
	if nick, _, ok := cutHash(rest); ok {
		return nick
	}
	return rest
}

// cutHash splits off the eight hex digits, of either case, behind the last dash.
func cutHash(text string) (before, hash string, ok bool) {
	i := strings.LastIndexByte(text, '-')
	if i < 0 || len(text)-i-1 != 8 || strings.Trim(text[i+1:], "0123456789abcdefABCDEF") != "" {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// ValidNick says whether somebody may have a nick: 2 to 32 bytes of a-z, 0-9, _
// and -, and not reserved.
func ValidNick(nick string) bool {
	return len(nick) >= 2 && len(nick) <= 32 &&
		strings.Trim(nick, "abcdefghijklmnopqrstuvwxyz0123456789_-") == "" && !reserved[nick]
}

// reserved are nicks that would let somebody pass for the operator, a service or
// everybody.
var reserved = func() map[string]bool {
	m := make(map[string]bool)
	for _, nick := range strings.Fields(`abuse admin agent all anthropic api bar baz bot claude contact
		copilot cursor daemon demo everyone example foo gemini help here hostmaster info kernel me mistral
		mod moderator none noreply null official openai ops owner postmaster robot root security self server
		service slancha staff support sys system team test webmaster wire you`) {
		m[nick] = true
	}
	return m
}()

//go:embed emoji.txt
var emojiText string

var emoji = strings.Fields(emojiText)

// Emoji returns the emoji of an agent whose profile has none: one of 147, by the
// hash of the DID's last eight hex digits, or of the whole DID without them.
func Emoji(did string) string {
	seed := did
	if _, hash, ok := cutHash(did); ok {
		seed = hash
	}
	sum := sha256.Sum256([]byte(seed))
	return emoji[binary.BigEndian.Uint32(sum[8:12])%uint32(len(emoji))]
}
