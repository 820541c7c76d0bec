//go:build !race

package fasthttp

import (
	"fmt"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// 2.5 and 2.6: of many events the quota takes all that is new or nothing, and the reply
// is that of a single post. A full slot takes no event, and still knows its duplicates.
//
// It has one client, which waits for each answer: the race detector would take most of
// a minute for the 64 MiB of a full slot, and see nothing. TestCommit_QuotaIsExact of
// cow fills one under it.
func TestLines_Quota(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.MemoryBudget = 512 << 20 })
	m := g.allocate()
	fat := func(i int) string { return bigEvent(fmt.Sprint("f", i), event.MaxBytes) }
	id, _ := parseSlot(m.id)
	const most = cow.MaxSlotBytes / event.MaxBytes
	for i := range most - 3 {
		p := g.store.NewPost()
		if err := p.Accept([]byte(`{"event":` + fat(i) + `}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(g.store.Slot(id)); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	m.postLines(fat(most-3)+"\n"+fat(most-2)).want(t, 201)
	half := `{"event_id":"half","p":"` + strings.Repeat("q", event.MaxBytes/2) + `"}`
	m.post(half).want(t, 201)
	count := m.state().field(t, "event_count").(float64)
	r := m.postLines("{}\n"+half+"\n"+strings.Replace(half, "half", "more", 1)).want(t, 413)
	if r.field(t, "slot_bytes_max") != float64(cow.MaxSlotBytes) || r.field(t, "slot_bytes_used") == nil || r.field(t, "remediation") == "" {
		t.Error(r.body)
	}
	if n := m.state().field(t, "event_count"); n != count {
		t.Errorf("%v events where %v were", n, count)
	}
	told(t, m.postLines("{}\n"+half), 1, 1, int(count)+1)
	told(t, m.postLines(half), 0, 1, int(count)+1)

	m.post(bigEvent("last", int(event.MaxBytes-2-len(half)))).want(t, 201)
	r = m.post(`{}`).want(t, 413)
	if r.field(t, "slot_bytes_used") != float64(cow.MaxSlotBytes) || r.field(t, "slot_bytes_max") != float64(cow.MaxSlotBytes) || r.field(t, "remediation") == "" {
		t.Errorf("full: %s", r.body)
	}
	m.post(`{"event_id":"f7"}`).want(t, 200)
	m.post(`{"event_id":"last","x":1}`).want(t, 200)
	m.post(`{"event_id":"new"}`).want(t, 413)
	if n := m.state().field(t, "event_count"); n != count+2 {
		t.Errorf("%v events, want %v", n, count+2)
	}
}
