package reclaim

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// values of the tests can't be compressed, and all of them together are several times
// least.
const (
	groups    = 100
	each      = 64
	valueSize = 4 << 10
)

func keyOf(group, n int) []byte {
	// The byte behind the family is spread evenly, as that of a random id.
	return binary.BigEndian.AppendUint16([]byte{'e', byte(group * 256 / groups), byte(group)}, uint16(n))
}

func open(t *testing.T) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, MemTableSize: 4 << 20, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: noLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r := rand.NewChaCha8([32]byte{1})
	value := make([]byte, valueSize)
	for g := range groups {
		for n := range each {
			r.Read(value)
			if err := db.Set(keyOf(g, n), value, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	return db
}

type noLog struct{}

func (noLog) Infof(string, ...any)  {}
func (noLog) Errorf(string, ...any) {}
func (noLog) Fatalf(string, ...any) { panic("the store can't go on") }

// remove deletes nine of ten groups, by ranges or key by key, and flushes nothing.
func remove(t *testing.T, db *pebble.DB, ranges bool) {
	t.Helper()
	for g := range groups {
		if g%10 == 9 {
			continue
		}
		if ranges {
			if err := db.DeleteRange(keyOf(g, 0), keyOf(g, each), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for n := range each {
			if err := db.Delete(keyOf(g, n), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func check(t *testing.T, db *pebble.DB) {
	t.Helper()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if g := int(it.Key()[2]); g%10 != 9 || !bytes.Equal(it.Key(), keyOf(g, n%each)) || len(it.Value()) != valueSize {
			t.Fatalf("key %x with %d bytes", it.Key(), len(it.Value()))
		}
		n++
	}
	if err := it.Close(); err != nil || n != groups/10*each {
		t.Errorf("%d values stay, want %d; %v", n, groups/10*each, err)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

var bounds = Options{First: []byte{'e'}, End: []byte{'f'}, Every: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}

const (
	all  = groups * each * valueSize
	left = all / 10
)

func used(db *pebble.DB) int64 {
	m := db.Metrics()
	return int64(m.DiskSpaceUsage())
}

// Deletes give their space back without another write to the store.
func TestReclaimer(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		db := open(t)
		if n := used(db); n < all {
			t.Fatalf("the store takes %d bytes for %d", n, all)
		}
		r := Start(db, bounds)
		remove(t, db, ranges)
		r.Deleted()
		await(t, "the space is back", func() bool { return used(db) < left*3/2 })
		r.Close()
		check(t, db)
		if r.Stats().Flushes == 0 {
			t.Errorf("ranges %v: %+v", ranges, r.Stats())
		}
	}
}

// What was deleted and flushed before the start is taken back, too.
func TestReclaimer_Start(t *testing.T) {
	db := open(t)
	remove(t, db, true)
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	r := Start(db, bounds)
	await(t, "the space is back", func() bool { return used(db) < left*3/2 })
	r.Close()
	check(t, db)
}

// A look that flushes deletes sees them, and does not take them for gone.
func TestReclaimer_FlushIsSeen(t *testing.T) {
	db := open(t)
	o := bounds
	o.Every = time.Hour // the looks are the test's
	r := Start(db, o)
	defer r.Close()
	remove(t, db, true)
	r.Deleted()
	await(t, "the space is back", func() bool {
		if err := r.look(); err != nil {
			t.Fatal(err)
		}
		if r.looks == 0 && used(db) > left*3/2 {
			t.Fatal("it looks no more, and the space is not back")
		}
		time.Sleep(100 * time.Millisecond) // Pebble estimates the garbage
		return used(db) < left*3/2
	})
}

// Where nothing was deleted, nothing is flushed or compacted.
func TestReclaimer_Rests(t *testing.T) {
	db := open(t)
	o := bounds
	o.Every = time.Hour // the looks are the test's
	r := Start(db, o)
	defer r.Close()
	if err := db.Set([]byte{'z'}, nil, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	await(t, "Pebble rests", func() bool { return db.Metrics().Compact.NumInProgress == 0 })
	for range 50 {
		if err := r.look(); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.Stats(); s != (Stats{}) {
		t.Errorf("%+v", s)
	}
}

// Without room on the disk it waits, and goes on when there is room.
func TestReclaimer_Room(t *testing.T) {
	db := open(t)
	o := bounds
	room := make(chan bool, 1)
	room <- false
	o.Room = func(bytes uint64) bool {
		if bytes == 0 {
			t.Error("asked for room for nothing")
		}
		ok := <-room
		room <- ok
		return ok
	}
	remove(t, db, true)
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	r := Start(db, o)
	defer r.Close()
	await(t, "it is held", func() bool { return r.Stats().Held > 1 || used(db) < left*3/2 })
	<-room
	room <- true
	await(t, "the space is back", func() bool { return used(db) < left*3/2 })
}

// The pieces cover all keys between the bounds, without a gap.
func TestPiece(t *testing.T) {
	r := &Reclaimer{o: bounds}
	for _, n := range []int{1, 2, 3, 100, 256} {
		end := []byte{'e'}
		for i := range n {
			from, to := r.piece(i, n)
			if !bytes.Equal(from, end) || bytes.Compare(from, to) >= 0 {
				t.Fatalf("piece %d of %d is from %x to %x, behind %x", i, n, from, to, end)
			}
			end = to
		}
		if !bytes.Equal(end, []byte{'f'}) {
			t.Errorf("%d pieces end at %x", n, end)
		}
	}
}
