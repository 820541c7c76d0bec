// Under the race detector sync.Pool drops what is put at random.

//go:build !race

package card

import "testing"

// Reading a card and its keys must cost little beside the signature: what a claim
// allocates is the key and the did that it returns.
func TestVerify_Allocations(t *testing.T) {
	doc, _, _ := bigCard()
	event, c := deepEvent(true)
	verify := func(_ any, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, of := range map[string]struct {
		most float64
		run  func()
	}{
		"a card of 2 KB":          {4, func() { verify(Verify(doc)) }},
		"a deep event of 256 KiB": {64, func() { verify(VerifyEvent(event, c)) }},
	} {
		if n := testing.AllocsPerRun(200, of.run); n > of.most {
			t.Errorf("%s: %v allocations, want %v at most", name, n, of.most)
		}
	}
}
