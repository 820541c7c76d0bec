package rendezvous

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"
)

// claimProfile is a profile as agents have it, padded so that the card has 2 KB.
func claimProfile(nick string, turn int) string {
	return fmt.Sprintf(`{"display_name":"Agent %s","emoji":"🐄","motto":"answers mail of the other agents, one by one","notes":"%s","now":"turn %d","pronouns":"it/its","vibe":["calm","vibe-%d"]}`,
		nick, strings.Repeat("x", 1600), turn, turn)
}

// reclaims returns claims of nicks that the desk has, each nick with two cards by
// turns, so that no card is the recorded one. others more nicks are in the directory.
func reclaims(t testing.TB, others int) (*desk, []Claim) {
	t.Helper()
	d := openDesk(t, journaltest.NewMemory(), Options{})
	for i := range others {
		nick := fmt.Sprintf("other-%06d", i)
		d.put(Handle{
			Nick: nick, DID: fmt.Sprintf("did:wire:%s-%08x", nick, i), Slot: cow.ID{1}, ClaimedAt: time.Unix(1e9, 0),
			Card: []byte(`{"profile":{"motto":"always here","vibe":["calm"]}}`),
		})
	}
	const nicks = 64
	claims := make([]Claim, 2*nicks)
	for i := range claims {
		nick := fmt.Sprintf("other-%06d-x", i%nicks*max(others/nicks, 1))
		card := cardtest.New(nick, 0).Card(claimProfile(nick, i/nicks))
		claims[i] = Claim{Nick: nick, Slot: d.slot, RelayURL: "https://relay.example:8443", Card: card}
	}
	for _, c := range claims { // nobody has one yet
		if _, _, err := d.Handles.Claim(c); err != nil {
			t.Fatal(err)
		}
	}
	return d, claims
}

// What a claim costs beside its bound: one check of one signature over as many bytes.
func BenchmarkClaim(b *testing.B) {
	seed := sha256.Sum256([]byte("bound"))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	b.Run("bound", func(b *testing.B) {
		text := []byte(claimProfile("paul", 0))
		signature := ed25519.Sign(key, text)
		b.ReportAllocs()
		for b.Loop() {
			if !ed25519.Verify(public, text, signature) {
				b.Fatal("not verified")
			}
		}
	})
	for _, n := range []int{1_000, 100_000 - 64} {
		b.Run(fmt.Sprintf("nicks=%d", n), func(b *testing.B) {
			d, claims := reclaims(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, first, err := d.Handles.Claim(claims[i%len(claims)]); err != nil || first {
					b.Fatal(first, err)
				}
			}
		})
	}
}
