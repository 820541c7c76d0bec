package admin

import (
	"slices"
	"testing"
)

// A few kept of many are the first of them, whatever the order they come in.
func TestAdmin_Leaders(t *testing.T) {
	g := newRig(t)
	var all []ranked
	for i := range 40 {
		id, _, _, err := g.store.Allocate()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ranked{float64(i * 7 % 10), g.store.Slot(id)})
	}
	sorted := slices.SortedFunc(slices.Values(all), ranked.before)
	for limit := 1; limit <= 45; limit += 4 {
		l := leaders{limit: limit}
		for _, e := range all {
			l.offer(e)
		}
		if want := sorted[:min(limit, 40)]; !slices.Equal(l.sorted(), want) {
			t.Errorf("limit %d: %v, want %v", limit, l.list, want)
		}
	}
}
