package meet

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/rendezvous"
)

// openDesk returns a desk over a store in memory, and a slot.
func openDesk(t testing.TB) (*rendezvous.Desk, *cow.Slot) {
	t.Helper()
	log, quiet := journaltest.NewMemory(), slog.New(slog.DiscardHandler)
	store, err := cow.Open(log, log, cow.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := rendezvous.Open(store, rendezvous.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		desk.Close()
		store.Close()
		log.Close()
	})
	id, _, _, err := store.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	return desk, store.Slot(id)
}

// claimBody returns a claim with a card of 2 KB that differs by turn.
func claimBody(slot *cow.Slot, turn int) []byte {
	card := cardtest.New("paul", 0).Card(fmt.Sprintf(`{"display_name":"Paul","emoji":"🐄","motto":"answers mail","notes":"%s","now":"turn %d","pronouns":"it/its","vibe":["calm","vibe-7"]}`,
		strings.Repeat("x", 1600), turn))
	return fmt.Appendf(nil, `{"nick":"paul","slot_id":"%s","relay_url":"https://relay.example:8443","card":%s}`, slot.ID(), card)
}

// A claim from its body to the body of the reply.
func BenchmarkClaim(b *testing.B) {
	desk, slot := openDesk(b)
	may := func(cow.ID) (*cow.Slot, error) { return slot, nil }
	bodies := [][]byte{claimBody(slot, 0), claimBody(slot, 1)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := Claim(desk.Handles, 0, bodies[i%2], may); err != nil {
			b.Fatal(err)
		}
	}
}
