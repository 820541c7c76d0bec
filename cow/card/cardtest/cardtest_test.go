package cardtest

import (
	"testing"

	"cowrelay/cow/card"
)

func TestAgent(t *testing.T) {
	a, b := New("paul", 0), New("paul", 1)
	for _, doc := range [][]byte{a.Card(`{}`), a.CardAs(`{"b":1,"a":2}`, `{"a":2,"b":1}`)} {
		c, err := card.Verify(doc)
		if err != nil || c.DID != a.DID || c.DID == b.DID || card.NickOf(c.DID) != a.Nick {
			t.Fatalf("%s: %v, %v", doc, c, err)
		}
		if _, err := card.VerifyEvent(a.Event(1100, "pair_drop", `{"x":1}`), c); err != nil {
			t.Error(err)
		}
		if _, err := card.VerifyEvent(b.Event(1100, "pair_drop", `{"x":1}`), c); err == nil {
			t.Error("another's event verifies")
		}
	}
}
