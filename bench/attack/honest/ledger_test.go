package honest

import (
	"strings"
	"testing"

	"cowrelay/bench/attack/client"
)

// The ledger finds everything that may be wrong with what is there.
func TestLedger(t *testing.T) {
	l := newLedger()
	e := client.Event("a-1", 100)
	l.sending("a-1", e)
	l.acknowledged("a-1", 0)
	if err := l.known("a-1", e); err != nil {
		t.Error(err)
	}
	if err := l.known("a-1", client.Event("a-1", 101)); err == nil || !strings.Contains(err.Error(), "not as it was sent") {
		t.Errorf("another event: %v", err)
	}
	if err := l.known("a-2", e); err == nil || !strings.Contains(err.Error(), "nobody sent") {
		t.Errorf("an unknown event: %v", err)
	}
	if id := client.IDOf(e); id != "a-1" {
		t.Errorf("id %q", id)
	}
}
