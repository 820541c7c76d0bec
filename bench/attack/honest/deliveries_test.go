package honest

import (
	"testing"
	"time"
)

// Once it is acknowledged, an event must come to every listener.
func TestDeliveries(t *testing.T) {
	d := deliveries{open: map[string]*delivery{}}
	d.post("x", time.Now(), Before, 0b11)
	if _, phase, ok := d.seen("x", 0); !ok || phase != Before {
		t.Errorf("seen by the first: %v in phase %d", ok, phase)
	}
	if _, _, ok := d.seen("x", 0); ok {
		t.Error("seen twice by the first")
	}
	if late := d.overdue(0); len(late) != 0 {
		t.Errorf("%v are late that were not acknowledged", late)
	}
	d.posted("x", true)
	if d.none(Between) {
		t.Error("nothing is waited for")
	}
	if late := d.overdue(0); late[Before] != 1 {
		t.Errorf("late: %v, want the second listener's", late)
	}
	d.post("y", time.Now(), During, 1)
	d.posted("y", false)
	d.post("z", time.Now(), During, 1)
	d.seen("z", 0)
	d.posted("z", true)
	if !d.none(Between) {
		t.Errorf("waits for %v", d.open)
	}
}
