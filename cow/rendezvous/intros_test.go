package rendezvous

import (
	"encoding/json"
	"strings"
	"testing"

	"cowrelay/cow/card"
	"cowrelay/cow/card/cardtest"
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
