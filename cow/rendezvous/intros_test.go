package rendezvous

import (
	"encoding/json"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/card"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"
)

func introOf(a cardtest.Agent) []byte {
	var doc map[string]any
	json.Unmarshal(a.Card("{}"), &doc)
	sorted, _ := json.Marshal(doc)
	return a.Event(1100, "pair_drop", `{"card":`+string(sorted)+`}`)
}

// Whatever an event holds, what passes as an introduction is signed by its card, and
// an error's members are JSON.
func FuzzCheckIntro(f *testing.F) {
	good := introOf(cardtest.New("paul", 0))
	if by, ev, err := checkIntro(good); err != nil || by.DID != ev.From {
		f.Fatalf("%v, %v, %v", by, ev, err)
	}
	f.Add(good)
	for _, text := range []string{
		`{}`, `{"kind":1100,"type":"pair_drop"}`, `{"kind":1100,"type":"pair_drop","body":{}}`, `{"kind":1100,"type":"pair_drop","body":{"card":{}}}`,
		`{"kind":1100,"type":"pair_drop","body":{"card":1,"card":null}}`, `{"kind":11e2,"type":"pair_drop"}`, `{"kind":{},"type":[]}`,
		`{"k\u0069nd":1100,"type":"agent\u005fcard","body":` + strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100) + `}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		by, ev, err := checkIntro(doc)
		if not, ok := err.(*NotIntroError); ok && !(json.Valid([]byte(not.Kind)) && json.Valid([]byte(not.Type)) && len(not.Kind)+len(not.Type) <= 128) {
			t.Errorf("%q, %q", not.Kind, not.Type)
		}
		if err == nil && ev.From != by.DID && ev.From != card.NickOf(by.DID) {
			t.Errorf("from %q with the card of %q", ev.From, by.DID)
		}
	})
}

// Introductions never take the last room of a slot: those who have its token need
// it. One that is there already is a duplicate all the same.
func TestIntros_LeaveRoom(t *testing.T) {
	d := openDesk(t, journaltest.NewMemory(), Options{})
	paul := cardtest.New("paul", 0)
	if _, _, err := d.Handles.Claim(Claim{Nick: "paul", Slot: d.slot, Card: paul.Card("{}")}); err != nil {
		t.Fatal(err)
	}
	post := func(event []byte, commit func(*cow.Post) (bool, error)) (bool, error) {
		t.Helper()
		p := d.store.NewPost()
		defer p.Release()
		if err := p.Accept(append(append([]byte(`{"event":`), event...), '}')); err != nil {
			t.Fatal(err)
		}
		return commit(p)
	}
	drop := func(nick string) (bool, error) {
		t.Helper()
		return post(introOf(cardtest.New(nick, 0)), func(p *cow.Post) (bool, error) { return d.Intros.Drop("paul", 1, p) })
	}
	mail := func(bytes int) error {
		t.Helper()
		_, err := post([]byte(`{"p":"`+strings.Repeat("x", bytes-len(`{"p":""}`))+`"}`), func(p *cow.Post) (bool, error) { return p.Commit(d.slot) })
		return err
	}
	if duplicate, err := drop("mary"); duplicate || err != nil {
		t.Fatalf("an introduction to an empty slot: %v, %v", duplicate, err)
	}
	const large = 256 << 10
	for d.slot.Bytes() < cow.MaxSlotBytes-introReserve-large {
		if err := mail(large); err != nil {
			t.Fatal(err)
		}
	}
	if duplicate, err := drop("john"); duplicate || err != nil {
		t.Errorf("an introduction while there is room: %v, %v", duplicate, err)
	}
	if err := mail(large); err != nil {
		t.Fatal(err)
	}
	if _, err := drop("jane"); err != cow.ErrSlotFull {
		t.Errorf("an introduction into the last room: %v", err)
	}
	if duplicate, err := drop("mary"); !duplicate || err != nil {
		t.Errorf("one that is there: %v, %v", duplicate, err)
	}
	for range introReserve/large - 2 {
		if err := mail(large); err != nil {
			t.Fatalf("mail into the last room: %v", err)
		}
	}
	if n := d.Intros.Stats.Dropped.Load(); n != 2 {
		t.Errorf("%d introductions were dropped", n)
	}
}
