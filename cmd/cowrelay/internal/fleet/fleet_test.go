package fleet

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
	"cowrelay/fasthttp/refusal"
)

// rig is a journal that several books share, as relays share a log.
type rig struct {
	cow.Records
	mu      sync.Mutex
	health  cow.Health // guarded by mu
	purges  []uint64   // guarded by mu
	durable atomic.Uint64
	log     strings.Builder // guarded by mu
	format  atomic.Int64    // that relays may write
	away    atomic.Bool     // nothing can be raised
}

func newRig() *rig {
	return &rig{Records: journaltest.NewMemory(), health: cow.Health{Applied: 100, Head: 100}}
}

func (r *rig) Barrier(context.Context) error { return nil }

func (r *rig) Health() cow.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

func (r *rig) set(h cow.Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health = h
}

func (r *rig) Purge(_ context.Context, seq uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.purges = append(r.purges, seq)
	return nil
}

func (r *rig) purged() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]uint64(nil), r.purges...)
}

func (r *rig) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

func (r *rig) said(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.log.String(), text)
}

func (r *rig) open(t *testing.T, name string, durable uint64) *Book {
	t.Helper()
	return r.openOn(t, r, name, durable)
}

func (r *rig) openOn(t *testing.T, j Journal, name string, durable uint64) *Book {
	t.Helper()
	b, err := Open(Options{
		Name: name, Version: "v", Journal: j, Log: r, Every: 40 * time.Millisecond, Keep: 100 * time.Millisecond,
		Durable: func() uint64 { return durable }, Flush: func() error { return nil }, Entries: r.durable.Load, Formats: &formats{r, name},
		Logger: slog.New(slog.NewTextHandler(r, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal(what)
		}
	}
}

// names are the relays that a book lists, with a ! behind those that are silent.
func names(t *testing.T, b *Book) (list string) {
	t.Helper()
	members, err := b.Members()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		list += m.Name
		if !m.Live {
			list += "!"
		}
	}
	return list
}

// mute is a log that takes no record.
type mute struct{ *rig }

func (mute) Put(string, []byte, uint64, cow.Totals) (uint64, error) { return 0, errors.New("away") }

// A relay lists itself before its first record has come through the log. What an
// earlier program of this name said is not shown for it.
func TestBook_ListsItselfAtOnce(t *testing.T) {
	r := newRig()
	check := func() {
		t.Helper()
		b := r.openOn(t, mute{r}, "a", 50)
		defer b.Close()
		if list, err := b.Members(); err != nil || len(list) != 1 || list[0].Name != "a" || !list[0].Self || !list[0].Live || list[0].Applied != 100 || list[0].Durable != 50 {
			t.Errorf("%+v, %v", list, err)
		}
	}
	check()
	if _, err := r.Records.Put(prefix+"a", []byte(`{"run":"x","started":5,"applied":7}`), 0, cow.Totals{}); err != nil {
		t.Fatal(err)
	}
	check()
}

// Relays see each other, and that one is heard of no more. The list forgets that one,
// and no other.
func TestBook_Members(t *testing.T) {
	r := newRig()
	a, b := r.open(t, "a", 50), r.open(t, "b", 60)
	defer a.Close()
	eventually(t, "both see both", func() bool { return names(t, a) == "ab" && names(t, b) == "ab" })
	eventually(t, "b knows that a comes before it", func() bool { return a.Before() == 0 && b.Before() == 1 })
	var no *refusal.Reply
	if err := a.Forget(context.Background(), "b"); !errors.As(err, &no) || no.Status != 409 {
		t.Errorf("forget one that lives: %v", err)
	}
	if err := a.Forget(context.Background(), "x"); !errors.As(err, &no) || no.Status != 404 {
		t.Errorf("forget one that never was: %v", err)
	}
	b.Close()
	eventually(t, "b is silent", func() bool { return names(t, a) == "ab!" })
	if c := a.Counts(); c.Members != 2 || c.Live != 1 {
		t.Errorf("%+v", c)
	}
	late := r.open(t, "c", 1) // it learns of b from the records
	defer late.Close()
	eventually(t, "all three", func() bool { return names(t, late) == "ab!c" })
	eventually(t, "one that is silent counts no more", func() bool { return late.Before() == 1 })
	if err := a.Forget(context.Background(), "b"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is forgotten", func() bool { return names(t, a) == "ac" && names(t, late) == "ac" })
}

// Two relays of one name are told of.
func TestBook_Twins(t *testing.T) {
	r := newRig()
	a := r.open(t, "a", 1)
	defer a.Close()
	b := r.open(t, "a", 1)
	defer b.Close()
	eventually(t, "nobody noticed", func() bool { return a.Counts().Twins > 0 && r.said("has the name of this one") > 0 })
}

// The log is purged by the first relay, behind what two of them hold and not before its
// time, and not at all while there is one.
func TestBook_Purge(t *testing.T) {
	r := newRig()
	a := r.open(t, "a", 90)
	defer a.Close()
	time.Sleep(300 * time.Millisecond)
	if got := r.purged(); len(got) > 0 {
		t.Fatalf("one relay alone purged to %v", got)
	}
	b := r.open(t, "b", 70)
	c := r.open(t, "c", 40)
	defer c.Close()
	eventually(t, "a purge", func() bool { return len(r.purged()) > 0 })
	for _, seq := range r.purged() {
		if seq != 70 && seq != 40 { // 40 as long as b was not heard of
			t.Errorf("purged to %d", seq)
		}
	}
	eventually(t, "a purge behind the second", func() bool { p := r.purged(); return p[len(p)-1] == 70 })
	b.Close()
}

// The time that an entry stays is counted from when the log had it.
func TestBook_Old(t *testing.T) {
	r := newRig()
	b := &Book{opts: Options{Journal: r, Keep: time.Hour, Every: time.Second}}
	start := time.Unix(1_000_000, 0)
	for minute := range 200 {
		r.set(cow.Health{Applied: uint64(1000 + minute), Head: uint64(1000 + minute)})
		old, err := b.old(start.Add(time.Duration(minute) * time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		newest := uint64(max(1000+minute-60, 0)) // what is an hour old
		if minute < 60 && old != 0 || minute >= 60 && (old > newest || old+2 < newest) {
			t.Fatalf("minute %d: %d, %d is an hour old", minute, old, newest)
		}
	}
	text, _, err := r.Value(marksKey)
	if err != nil || strings.Count(string(text), "seq") > 2*marksOfKeep {
		t.Errorf("%d marks, %v", strings.Count(string(text), "seq"), err)
	}
}

// The lag is since when there is an entry that is not applied, and operators are told
// once that the log is away, and once that it is back.
func TestWatcher(t *testing.T) {
	r := newRig()
	w := watcher{b: &Book{opts: Options{Journal: r, Logger: slog.New(slog.NewTextHandler(r, nil))}}}
	now := time.Unix(1000, 0)
	look := func(h cow.Health, want time.Duration) {
		t.Helper()
		now = now.Add(time.Second)
		w.look(h, now)
		w.tell(h, now)
		if got := time.Duration(w.lag.Load()); got != want {
			t.Errorf("%+v: lag %v, want %v", h, got, want)
		}
	}
	look(cow.Health{Applied: 5, Head: 5}, 0)
	look(cow.Health{Applied: 5, Head: 7}, 0)
	look(cow.Health{Applied: 6, Head: 9}, time.Second)
	look(cow.Health{Applied: 7, Head: 9}, time.Second) // 8 and 9 came a second ago
	look(cow.Health{Applied: 9, Head: 9}, 0)
	for i := range 1000 { // a long lag
		now = now.Add(time.Second)
		w.look(cow.Health{Applied: 9, Head: uint64(10 + i)}, now)
	}
	if lag := time.Duration(w.lag.Load()); lag != 999*time.Second || len(w.heads) > headsKept {
		t.Errorf("lag %v, %d heads", lag, len(w.heads))
	}
	look(cow.Health{Applied: 2000, Head: 2000}, 0)
	for _, away := range []time.Duration{0, time.Second, 4 * time.Second, 5 * time.Second, 0, 0, 6 * time.Second, 0} {
		look(cow.Health{Applied: 2000, Head: 2000, Away: away}, 0)
	}
	if away, back := r.said("can't be reached"), r.said("can be reached again"); away != 2 || back != 2 {
		t.Errorf("said %d times that it is away, %d times that it is back", away, back)
	}
}

// formats are those of a relay: one whose name begins with old reads the first alone.
type formats struct {
	r    *rig
	name string
}

func (f *formats) Reads() int {
	if strings.HasPrefix(f.name, "old") {
		return 1
	}
	return 2
}

func (f *formats) Format() int { return max(int(f.r.format.Load()), 1) }

func (f *formats) Raise(to int) error {
	if f.r.away.Load() {
		return cow.ErrAway
	}
	f.r.format.Store(int64(to))
	return nil
}

// The format is raised when all relays can read it, the silent ones too.
func TestBook_Upgrade(t *testing.T) {
	r := newRig()
	a, old := r.open(t, "a", 0), r.open(t, "old", 0)
	defer a.Close()
	status := func(err error) int {
		var reply *refusal.Reply
		if !errors.As(err, &reply) {
			return 0
		}
		return reply.Status
	}
	eventually(t, "two members", func() bool { return a.Counts().Members == 2 })
	if f, err := a.Upgrade(t.Context()); f != 1 || status(err) != 409 || !strings.Contains(err.Error(), "old (v)") || strings.Contains(err.Error(), "a (v)") {
		t.Fatalf("with an old relay: %d, %v", f, err)
	}
	// The old one does not raise what it does not read.
	if f, err := old.Upgrade(t.Context()); f != 1 || err != nil {
		t.Errorf("by the old relay: %d, %v", f, err)
	}
	old.Close()
	eventually(t, "that it is silent", func() bool { return a.Counts().Live == 1 })
	if f, err := a.Upgrade(t.Context()); f != 1 || status(err) != 409 {
		t.Errorf("with a silent old relay: %d, %v", f, err)
	}
	if err := a.Forget(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is forgotten", func() bool { return a.Counts().Members == 1 })
	r.away.Store(true)
	if f, err := a.Upgrade(t.Context()); f != 1 || status(err) != 503 {
		t.Errorf("while the log is away: %d, %v", f, err)
	}
	r.away.Store(false)
	for range 2 {
		if f, err := a.Upgrade(t.Context()); f != 2 || err != nil || a.Format() != 2 {
			t.Errorf("%d, %v, format %d", f, err, a.Format())
		}
	}
	list, err := a.Members()
	if err != nil || len(list) != 1 || list[0].Reads != 2 {
		t.Errorf("%v, %v", list, err)
	}
}
