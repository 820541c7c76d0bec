// Under the race detector sync.Pool drops what is put at random.

//go:build !race

package meet

import (
	"testing"

	"cowrelay/cow"
)

// What one more claim of a nick may allocate, from its body to the body of the reply:
// the texts of the claim, key and did of the card, the record, what memory holds of
// it, and the reply. Three are those of the journal in memory.
func TestClaim_Allocations(t *testing.T) {
	desk, slot := openDesk(t)
	may := func(cow.ID) (*cow.Slot, error) { return slot, nil }
	bodies := [][]byte{claimBody(slot, 0), claimBody(slot, 1)}
	i := 0
	n := testing.AllocsPerRun(200, func() {
		if _, err := Claim(desk.Handles, 0, bodies[i%2], may); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if n > 16 {
		t.Errorf("%v allocations, want 16 at most", n)
	}
}
