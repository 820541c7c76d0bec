package cow_test

import (
	"fmt"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// FuzzWindow runs a script of posts, pulls, evictions and restarts that the
// input spells, on a store and on a model: a list of events and a few lines.
func FuzzWindow(f *testing.F) {
	f.Add([]byte("aabbcc"), uint16(4096))
	f.Add([]byte("\x00a\x01\x05\x02\x07\x03\x00\x04\x00\x05\x03\x01\xff\x06\x00\x00b"), uint16(600))
	f.Add([]byte(strings.Repeat("\x00\x10\x07\x20\x01\x02\x02\x01\x03\x00\x01\x03", 8)), uint16(50))
	f.Add([]byte(strings.Repeat("\x08\xff", 20)+"\x03\x00\x01\x05\x04\x00\x01\x06"), uint16(0))
	f.Add([]byte("\x00\x01\x00\x02\x00\x03\x04\x00\x09\x02\x0a\x02\x0b\x01\x0b\x63"), uint16(900))
	f.Fuzz(func(t *testing.T, script []byte, page uint16) {
		if len(script) > 200 {
			script = script[:200]
		}
		fx := open(t, cow.Options{PageBytes: int(page) + 2})
		m := &windowModel{most: int(page) + 2}
		slot := fx.slot()
		for i := 0; i+1 < len(script); i += 2 {
			op, arg := script[i]%12, int(script[i+1])
			switch op {
			case 0, 7: // one event, with an id that may be there already
				m.post(t, fx, slot, fmt.Sprintf(`{"event_id":"%d"}`, arg%64), fmt.Sprint(arg%64))
			case 8: // one that is as long as the argument says
				m.post(t, fx, slot, fmt.Sprintf(`{"p":"%s"}`, strings.Repeat("x", arg*arg)), "")
			case 1, 2: // a pull
				since, limit := fmt.Sprint(arg%80), int(op)*arg%23
				if got, want := fx.page(slot, since, limit), m.window(since, limit); got != want {
					t.Fatalf("since %q limit %d gives\n%.300s\nwant\n%.300s", since, limit, got, want)
				}
			case 9, 10: // a pull by position
				limit := arg % 23
				start, at := cow.From(uint64(arg)), min(arg, len(m.events))
				if op == 10 {
					start, at = cow.Last(arg%40), max(0, len(m.events)-arg%40)
				}
				var w cow.Window
				if err := fx.Window(slot, start, limit, &w); err != nil {
					t.Fatal(err)
				}
				var got strings.Builder
				w.WriteTo(&got)
				if want := m.page(at, limit); got.String() != want {
					t.Fatalf("op %d of %d limit %d gives\n%.300s\nwant\n%.300s", op, arg, limit, got.String(), want)
				}
				if w.End() != uint64(len(m.events)) || w.Next() != uint64(at+w.Events()) {
					t.Fatalf("op %d of %d: next %d, end %d of %d events at %d, of %d", op, arg, w.Next(), w.End(), w.Events(), at, len(m.events))
				}
			case 11:
				st, err := fx.subscribeAt(slot, cow.From(uint64(arg)), frame.Positions)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := st.Behind(), uint64(max(0, len(m.events)-arg)); got != want {
					t.Fatalf("a stream from %d is %d behind, want %d", arg, got, want)
				}
				st.Close()
			case 3:
				fx.EvictChunks(slot)
			case 4:
				fx.Cool(slot)
			case 5:
				since := fmt.Sprint(arg % 80)
				st := fx.subscribe(slot, true, since)
				if got, want := st.Behind(), uint64(len(m.events)-m.after(since)); got != want {
					t.Fatalf("a stream since %q is %d behind, want %d", since, got, want)
				}
				st.Close()
			case 6:
				if arg == 0 {
					fx = fx.restart()
					slot = fx.Slot(slot.ID())
				}
			}
		}
		fx.close()
	})
}

type windowModel struct {
	most        int // bytes of a page
	events, ids []string
}

func (m *windowModel) post(t *testing.T, f *fixture, slot *cow.Slot, event, id string) {
	t.Helper()
	known := false
	for _, have := range m.ids {
		known = known || id != "" && have == id
	}
	dup, err := f.post(slot, event)
	if err != nil || dup != known {
		t.Fatalf("post of %.60s: duplicate %v, error %v; want duplicate %v", event, dup, err, known)
	}
	if !known {
		m.events, m.ids = append(m.events, event), append(m.ids, id)
	}
}

// after is the position behind the event with this id, 0 if there is none.
func (m *windowModel) after(id string) int {
	for i, have := range m.ids {
		if have == id && id != "" {
			return i + 1
		}
	}
	return 0
}

func (m *windowModel) window(since string, limit int) string { return m.page(m.after(since), limit) }

func (m *windowModel) page(at, limit int) string {
	page := "["
	for i, e := range m.events[at:] {
		if i == limit || i > 0 && len(page)+1+len(e)+1 > m.most {
			break
		}
		if i > 0 {
			page += ","
		}
		page += e
	}
	return page + "]"
}
