package retention

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// actsOf counts the acts that a sweeper's log tells of.
type actsOf struct {
	slog.Handler
	n atomic.Int64
}

func (a *actsOf) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "retention" {
		r.Attrs(func(at slog.Attr) bool {
			if at.Key == "slots" {
				a.n.Add(at.Value.Int64())
			}
			return true
		})
	}
	return nil
}

func (a *actsOf) Enabled(context.Context, slog.Level) bool { return true }

// member is a relay of a fleet in memory.
type member struct {
	rig
	log    actsOf
	before atomic.Int64
}

// runFleet starts relays that sweep at the same moments. Each knows how many live before
// it.
func runFleet(t *testing.T, p Policy, test func(t *testing.T, list []*member)) {
	synctest.Test(t, func(t *testing.T) {
		log := journaltest.NewFleet()
		var list []*member
		for i := range 3 {
			m := &member{rig: rig{T: t}}
			m.before.Store(int64(i))
			m.log.Handler = slog.DiscardHandler
			j := log.Join(time.Minute)
			s, err := cow.Open(j, j, cow.Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			m.store = s
			m.sweep = Start(s, Options{Policy: p, Logger: slog.New(&m.log), Before: func() int { return int(m.before.Load()) }})
			list = append(list, m)
			defer func() {
				m.sweep.Close()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
			}()
		}
		test(t, list)
	})
}

// slots makes slots with events.
func (m *member) slots(n, events int, l cow.Lifetime) (ids []cow.ID) {
	for range n {
		id := m.slotFor(l)
		m.post(id, events)
		ids = append(ids, id)
	}
	return ids
}

func acted(list []*member) (n []int64) {
	for _, m := range list {
		n = append(n, m.log.n.Load())
	}
	return n
}

// rulesOfTurns are the ways in which events leave.
var rulesOfTurns = map[string]struct {
	Policy
	cow.Lifetime
}{
	"age":    {Policy: Policy{Event: 8 * time.Hour}},
	"number": {Policy: Policy{KeepEvents: 5}},
	"own":    {Lifetime: cow.Lifetime{Event: 8 * time.Hour}},
}

// In a fleet one relay does what is due, the first. When it has gone, the next one does.
func TestTurn_OneRelayActs(t *testing.T) {
	const slots = 40
	for name, p := range rulesOfTurns {
		t.Run(name, func(t *testing.T) {
			runFleet(t, p.Policy, func(t *testing.T, list []*member) {
				ids := list[0].slots(slots, 20, p.Lifetime)
				time.Sleep(12 * time.Hour)
				if got := fmt.Sprint(acted(list)); got != fmt.Sprint([]int64{slots, 0, 0}) {
					t.Errorf("the relays acted %s times", got)
				}
				for _, m := range list {
					for _, id := range ids {
						if first, _ := m.store.Slot(id).Positions(); first < 15 {
							t.Fatalf("a slot begins with event %d", first)
						}
					}
				}
				// The first is gone, and the others hear of it.
				list[0].sweep.Close()
				list[1].before.Store(0)
				list[2].before.Store(1)
				list[1].n = 1000
				for _, id := range ids {
					list[1].post(id, 20)
				}
				time.Sleep(12 * time.Hour)
				if got := fmt.Sprint(acted(list)); got != fmt.Sprint([]int64{slots, slots, 0}) {
					t.Errorf("without the first, the relays acted %s times", got)
				}
			})
		})
	}
}

// A relay that lives and does nothing is waited for, and no longer: another one acts.
func TestTurn_IsTaken(t *testing.T) {
	for name, p := range rulesOfTurns {
		t.Run(name, func(t *testing.T) {
			runFleet(t, p.Policy, func(t *testing.T, list []*member) {
				list[0].sweep.Close()
				ids := list[2].slots(3, 20, p.Lifetime)
				time.Sleep(10 * time.Hour)
				if got := fmt.Sprint(acted(list)); got != "[0 3 0]" {
					t.Errorf("the relays acted %s times", got)
				}
				for _, id := range ids {
					if first, _ := list[2].store.Slot(id).Positions(); first < 15 {
						t.Errorf("a slot begins with event %d", first)
					}
				}
			})
		})
	}
}
