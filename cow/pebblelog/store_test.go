package pebblelog

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cowrelay/cow"
)

// commitOne commits one group and wants it stored.
func commitOne(t testing.TB, l *Log, g cow.Group) {
	t.Helper()
	groups := []cow.Group{g}
	l.Commit(groups)
	if groups[0].Outcome != cow.Stored {
		t.Fatalf("op %d: outcome %d, %v", g.Op, groups[0].Outcome, groups[0].Err)
	}
}

// scriptAppend makes the append of n script events behind count and bytes.
func scriptAppend(slot cow.ID, count, bytes uint64, n int) cow.Group {
	g := cow.Group{Op: cow.OpAppend, Slot: slot, Version: count, First: count, Count: count, Bytes: bytes}
	for range n {
		e := scriptEvent(slot, g.Count)
		g.Events = append(g.Events, e)
		g.Count, g.Bytes = g.Count+1, g.Bytes+uint64(len(e.JSON))
	}
	return g
}

func count(l *Log, slot cow.ID, from uint64) (n int, err error) {
	err = l.Load(slot, from, func(a *cow.Append) error { n += len(a.Events); return nil })
	return n, err
}

// TestLog_Refused: a group that contradicts itself is refused as a programming
// error, and does not harm the rest of its batch.
func TestLog_Refused(t *testing.T) {
	l := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
	defer l.Close()
	id, other := cow.NewID(), cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: id})
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: other})
	good := scriptAppend(id, 0, 0, 3)
	for i, spoil := range []func(*cow.Group){
		func(g *cow.Group) { g.Events = nil },
		func(g *cow.Group) { g.First++ },
		func(g *cow.Group) { g.Count++ },
		func(g *cow.Group) { g.Bytes++ },
		func(g *cow.Group) { g.Op = 0 },
		func(g *cow.Group) { g.Op = 99 },
	} {
		bad := good
		spoil(&bad)
		groups := []cow.Group{bad, {Op: cow.OpTouch, Slot: other, PulledAt: int64(i)}}
		l.Commit(groups)
		if groups[0].Outcome != cow.Refused || groups[0].Err == nil || !strings.HasPrefix(groups[0].Err.Error(), "BUG: ") {
			t.Errorf("group %d: outcome %d, %v; want refused as a bug", i, groups[0].Outcome, groups[0].Err)
		}
		if groups[1].Outcome != cow.Stored {
			t.Errorf("the group behind group %d: outcome %d, %v", i, groups[1].Outcome, groups[1].Err)
		}
	}
	if n, err := count(l, id, 0); n != 0 || err != nil {
		t.Errorf("refused groups left %d events, %v", n, err)
	}
	commitOne(t, l, good)
}

// TestLog_SlotDamage changes keys behind the store's back, as a fault in this
// package would. A load names slot, position and folder and is never short;
// other slots go on.
func TestLog_SlotDamage(t *testing.T) {
	id, healthy := cow.NewID(), cow.NewID()
	key := func(pos uint64) []byte { k := eventKey(id, pos); return k[:] }
	part := func(p byte) []byte { k := slotKey(id, p); return k[:] }
	tests := []struct {
		name   string
		change func(*Log) error
		from   uint64
		want   string
	}{
		{"gap", func(l *Log) error { return l.db.Delete(key(7), nil) }, 0, "no event at position 7"},
		{"gap at from", func(l *Log) error { return l.db.Delete(key(7), nil) }, 7, "no event at position 7"},
		{"no start", func(l *Log) error { return l.db.Delete(key(0), nil) }, 0, "no event at position 0"},
		{"short", func(l *Log) error { return l.db.Delete(key(599), nil) }, 0, "ends before position 599"},
		{"long", func(l *Log) error { return l.db.Set(key(600), []byte("\x00{}"), nil) }, 0, "behind position 600"},
		{"long at end", func(l *Log) error { return l.db.Set(key(600), []byte("\x00{}"), nil) }, 600, "behind position 600"},
		{"bytes", func(l *Log) error { return l.db.Set(key(5), []byte("\x00{}"), nil) }, 0, "bytes of events"},
		{"event", func(l *Log) error { return l.db.Set(key(300), []byte("nonsense"), nil) }, 0, "position 300"},
		{"id offset", func(l *Log) error { return l.db.Set(key(5), []byte("\x7f{}"), nil) }, 0, "position 5"},
		{"counts", func(l *Log) error { return l.db.Set(part(partCounts), []byte{0xff}, nil) }, 0, "record of slot"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
			defer l.Close()
			for _, slot := range []cow.ID{id, healthy} {
				commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot})
				commitOne(t, l, scriptAppend(slot, 0, 0, 600))
			}
			if err := test.change(l); err != nil {
				t.Fatal(err)
			}
			_, err := count(l, id, test.from)
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("load: %v, want ErrCorrupt", err)
			}
			for _, want := range []string{test.want, id.String(), `"data"`, "backup"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			n := uint64(0)
			err = l.Load(healthy, 0, func(a *cow.Append) error {
				for _, e := range a.Events {
					if want := scriptEvent(healthy, n); string(e.JSON) != string(want.JSON) || e.IDOff != want.IDOff {
						t.Fatalf("the other slot: position %d holds %.200s", n, e.JSON)
					}
					n++
				}
				return nil
			})
			if n != 600 || err != nil {
				t.Errorf("the other slot: %d events, %v", n, err)
			}
		})
	}
	for name, change := range map[string]func(*Log) error{
		"no token":    func(l *Log) error { return l.db.Delete(part(partToken), nil) },
		"no counts":   func(l *Log) error { return l.db.Delete(part(partCounts), nil) },
		"short token": func(l *Log) error { return l.db.Set(part(partToken), []byte("x"), nil) },
		"pulled":      func(l *Log) error { return l.db.Set(part(partPulled), nil, nil) },
	} {
		l := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
		commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: id})
		if err := change(l); err != nil {
			t.Fatal(err)
		}
		err := l.Slots(func(cow.SlotRecord) error { return nil })
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("%s: Slots: %v, want ErrCorrupt that names the slot", name, err)
		}
		l.Close()
	}
}

// gate is a disk whose log syncs wait while it is closed.
type gate struct {
	mu     sync.Mutex // held while closed
	closed atomic.Bool
	waits  chan struct{}
}

func (g *gate) fs(disk vfs.FS) vfs.FS {
	return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if g.closed.Load() && isLog(op) && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync) {
			select {
			case g.waits <- struct{}{}:
			default:
			}
			g.mu.Lock() // held while the gate is closed
			defer g.mu.Unlock()
		}
		return nil
	}))
}

// TestLog_I4_LoadDuringSync: while a commit waits for its sync, Pebble shows
// its events, and Load doesn't. Nor does it wait.
func TestLog_I4_LoadDuringSync(t *testing.T) {
	g := &gate{waits: make(chan struct{}, 1)}
	l := mustOpen(t, "data", small(Options{FS: g.fs(vfs.NewMem()), Logger: quiet}))
	defer l.Close()
	old, fresh, gone := cow.NewID(), cow.NewID(), cow.NewID()
	for _, id := range []cow.ID{old, gone} {
		commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: id})
		commitOne(t, l, scriptAppend(id, 0, 0, 5))
	}
	before := l.Totals()
	app := scriptAppend(old, 0, 0, 5)
	app = scriptAppend(old, app.Count, app.Bytes, 2)
	key := eventKey(old, 6)
	g.mu.Lock()
	g.closed.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		groups := []cow.Group{app, {Op: cow.OpCreate, Slot: fresh}, scriptAppend(fresh, 0, 0, 1), {Op: cow.OpRemove, Slot: gone, Version: 5}}
		l.Commit(groups)
		for i := range groups {
			if groups[i].Outcome != cow.Stored {
				t.Errorf("group %d: outcome %d, %v", i, groups[i].Outcome, groups[i].Err)
			}
		}
	}()
	<-g.waits
	time.Sleep(10 * time.Millisecond) // Pebble shows the batch now
	if _, closer, err := l.db.Get(key[:]); err != nil {
		t.Errorf("Pebble does not show the batch before its sync: %v", err)
	} else {
		closer.Close()
	}
	for from, want := range map[uint64]int{0: 5, 4: 1, 5: 0, 6: 0} {
		if n, err := count(l, old, from); n != want || err != nil {
			t.Errorf("load from %d during the sync: %d events, %v; want %d", from, n, err, want)
		}
	}
	if _, err := count(l, fresh, 0); err != cow.ErrNoSlot {
		t.Errorf("load of a slot that is being made: %v, want ErrNoSlot", err)
	}
	if _, err := count(l, gone, 0); err != cow.ErrNoSlot {
		t.Errorf("load of a slot that is being removed: %v, want ErrNoSlot", err)
	}
	if got := l.Totals(); got != before {
		t.Errorf("totals %+v during the sync, want %+v", got, before)
	}
	select {
	case <-done:
		t.Error("commit returned before its sync")
	default:
	}
	g.closed.Store(false)
	g.mu.Unlock()
	<-done
	for id, want := range map[cow.ID]int{old: 7, fresh: 1} {
		if n, err := count(l, id, 0); n != want || err != nil {
			t.Errorf("load behind the sync: %d events, %v; want %d", n, err, want)
		}
	}
}
