package rendezvous

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"
)

// Rows and the texts of pairs count on the store's budget, as far as they are in
// memory. They have a quarter of it each. All is given back: by unclaim, by a card
// with a shorter profile, with a pair, and by Close.
func TestDesk_Charges(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	m := journaltest.NewMemory()
	const budget = 1 << 20
	store, err := cow.Open(m, m, cow.Options{Logger: log, MemoryBudget: budget})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer store.Close()
	id, _, _, err := store.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(store, Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	counted := func(what string) int64 {
		t.Helper()
		n := store.Memory().Desk
		if want := d.Handles.RowBytes() + d.Pairs.held; n != want {
			t.Fatalf("%s: %d bytes are charged, rows and pairs have %d", what, n, want)
		}
		return n
	}
	claim := func(nick string, motto int) {
		t.Helper()
		card := cardtest.New(nick, 0).Card(`{"motto":"` + strings.Repeat("m", motto) + `"}`)
		if _, _, err := d.Handles.Claim(Claim{Nick: nick, Slot: store.Slot(id), Card: card}); err != nil {
			t.Fatal(err)
		}
	}
	claim("paul", 500)
	long := counted("a claim")
	claim("paul", 100)
	if short := counted("a claim again"); short != long-400 {
		t.Errorf("%d bytes after a profile that is 400 bytes shorter, %d before", short, long)
	}
	// More than a quarter of the budget.
	for i := range 600 {
		claim(fmt.Sprintf("agent-%03d", i), 500)
	}
	if n := counted("many claims"); n > budget/4 || n < budget/4-1000 {
		t.Errorf("%d bytes of rows", n)
	}
	if d.Handles.Len() != 601 {
		t.Errorf("%d handles", d.Handles.Len())
	}
	opened := 0
	for err = nil; err == nil; opened++ {
		_, err = d.Pairs.Open(0, fmt.Sprint("code", opened), strings.Repeat("p", 8000), Host)
	}
	if n := counted("pairs"); !errors.Is(err, ErrTooMany) || n > budget/2 || n < budget/2-10_000 {
		t.Errorf("%d bytes of rows and pairs, and then %v", n, err)
	}
	for i := range opened {
		d.Pairs.Abandon(fmt.Sprint("code", i))
	}
	for i := range 600 {
		if err := d.Handles.Unclaim(fmt.Sprintf("agent-%03d", i), func(Handle) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted("all given back"); n != long-400 {
		t.Errorf("%d bytes are left of one claim with %d", n, long-400)
	}
	if _, err := d.Pairs.Open(0, "code", "message", Host); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if n := store.Memory().Desk; n != 0 {
		t.Errorf("%d bytes are charged after Close", n)
	}
}
