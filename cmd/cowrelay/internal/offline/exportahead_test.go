package offline

import (
	"fmt"
	"strings"
	"testing"
)

// TestExport_AheadIsCut: of a reply that was cut, what is whole is used, and the
// rest asked for again.
func TestExport_AheadIsCut(t *testing.T) {
	id := func(i int) string { return fmt.Sprintf("%032d", i) }
	slots := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"slot_id":"%s","events":2}`+"\n{\"n\":%d}\n{}\n", id(i), i)
		}
		return b.String()
	}
	whole := slots(4)
	for cut := range len(whole) {
		got := wholeSlots([]byte(whole[:cut]))
		n := 0
		for n < 4 && len(slots(n+1)) <= cut {
			n++
		}
		if len(got) != n {
			t.Fatalf("cut at byte %d: %d slots, want %d", cut, len(got), n)
		}
	}
	for _, text := range []string{"", "\n", "<html>\n", `{"slot_id":"` + id(1) + `","events":18446744073709551615}` + "\n"} {
		if got := wholeSlots([]byte(text)); len(got) != 0 {
			t.Errorf("%q gave %v", text, got)
		}
	}
}
