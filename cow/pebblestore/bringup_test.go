package pebblestore

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// oldSlot and the rest of oldStore are what a store of format 1 held, as the program
// of that time read it.
type oldSlot struct {
	cow.SlotRecord
	Events string // SHA-256 over "IDOff JSON\n" of each
}

type oldRecord struct {
	Value   string
	Version uint64
}

type oldStore struct {
	Slots   map[string]oldSlot
	Records map[string]oldRecord
	Totals  cow.Totals
}

// The stores of format 1 in testdata. One was stopped. The other was killed, with
// most of what it held in Pebble's own log.
var oldStores = []string{"format1-stopped", "format1-killed"}

// openOld writes a store of format 1 to a disk in memory.
func openOld(t *testing.T, name string) (disk *vfs.MemFS, want oldStore) {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	disk = vfs.NewCrashableMem()
	if err := makeFolder(disk, "data"); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		var b []byte
		if err == nil {
			b, err = io.ReadAll(r)
		}
		if err == nil && h.Name == "expected.json" {
			err = json.Unmarshal(b, &want)
		} else if err == nil {
			err = writeFile(disk, "data/"+h.Name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, err := disk.OpenDir("data")
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil || len(want.Slots) == 0 || len(want.Records) == 0 {
		t.Fatal(err, want)
	}
	return disk, want
}

func writeFile(disk vfs.FS, name string, b []byte) error {
	f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// readOld reads a whole store.
func readOld(s *Store) (got oldStore, applied uint64, err error) {
	v, err := s.View()
	if err != nil {
		return got, 0, err
	}
	defer v.Close()
	got = oldStore{map[string]oldSlot{}, map[string]oldRecord{}, cow.Totals{}}
	if got.Totals, err = v.Totals(); err != nil {
		return got, 0, err
	}
	err = v.Slots(func(r cow.SlotRecord) error {
		h := sha256.New()
		err := v.Load(r.Slot, 0, func(a *cow.Append) error {
			for _, e := range a.Events {
				fmt.Fprintf(h, "%d %s\n", e.IDOff, e.JSON)
			}
			return nil
		})
		got.Slots[r.Slot.String()] = oldSlot{r, hex.EncodeToString(h.Sum(nil))}
		return err
	})
	return got, v.Applied(), errors.Join(err, v.List("", func(key string, value []byte, version uint64) error {
		got.Records[key] = oldRecord{string(value), version}
		return nil
	}))
}

// TestBringUp reads stores of format 1, brings them up and goes on with them.
func TestBringUp(t *testing.T) {
	for _, name := range oldStores {
		t.Run(name, func(t *testing.T) {
			disk, want := openOld(t, name)
			before := names(t, disk)
			r, err := OpenReader("data", small(Options{FS: disk, Logger: quiet}))
			if err != nil {
				t.Fatal(err)
			}
			got, base, err := readOld(r)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("a reader finds %v\n%+v, want\n%+v", err, got, want)
			}
			if !r.New() || r.Durable() != base {
				t.Errorf("to a reader the store is new: %v, and durable up to %d of %d", r.New(), r.Durable(), base)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if _, faults := inspect(t, "data", disk); len(faults) > 0 {
				t.Fatalf("%d faults, such as: %v", len(faults), faults[0])
			}
			if after := names(t, disk); after != before {
				t.Fatalf("a reader changed the folder from %s to %s", before, after)
			}

			opts := small(Options{FS: disk, Logger: quiet})
			s := mustOpen(t, "data", opts)
			got, applied, err := readOld(s)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("behind the bringing up there is %v\n%+v, want\n%+v", err, got, want)
			}
			if !s.New() || applied != base || s.Durable() != base {
				t.Errorf("the store is new: %v, stands at %d and is durable up to %d; want %d", s.New(), applied, s.Durable(), base)
			}
			for key, r := range want.Records {
				if r.Version>>seqShift >= base {
					t.Errorf("record %s has version %d, which the entry behind %d may give", key, r.Version, base)
				}
			}
			if err := s.LogMade(); err != nil {
				t.Fatal(err)
			}
			goOn(t, s, &want, base+1)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, "data", opts)
			got, applied, err = readOld(s)
			if err != nil || !reflect.DeepEqual(got, want) || applied != base+1 || s.New() {
				t.Fatalf("the next start finds entry %d, %v\n%+v, want\n%+v", applied, err, got, want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, faults := inspect(t, "data", disk); len(faults) > 0 {
				t.Fatalf("%d faults, such as: %v", len(faults), faults[0])
			}
		})
	}
}

func names(t *testing.T, disk vfs.FS) string {
	t.Helper()
	list, err := disk.List("data")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// goOn removes a slot of the store, appends to all others, and changes a record.
func goOn(t *testing.T, s *Store, want *oldStore, seq uint64) {
	b := &replay.Batch{Seq: seq, Totals: want.Totals}
	removed := false
	for name, slot := range maps.Clone(want.Slots) {
		if !removed {
			removed = true
			b.Groups = append(b.Groups, replay.Group{Op: cow.OpRemove, Slot: slot.Slot, Count: slot.Count})
			delete(want.Slots, name)
			continue
		}
		g := replay.Group{Op: cow.OpAppend, Slot: slot.Slot, First: slot.Count, Count: slot.Count, Bytes: slot.Bytes}
		for range 3 {
			e := event.Event{JSON: fmt.Appendf(nil, `{"event_id":"new-%d"}`, g.Count), IDOff: 12}
			g.Events = append(g.Events, e)
			g.Count++
			g.Bytes += uint64(len(e.JSON))
		}
		b.Totals.EventsPosted += 3
		b.Groups = append(b.Groups, g)
	}
	for key := range want.Records {
		r := oldRecord{"new", seq<<seqShift + 1}
		want.Records[key] = r
		b.Records = append(b.Records, replay.Record{Key: key, Value: []byte(r.Value), Version: r.Version})
		break
	}
	mustApply(t, s, b)
	// What a slot's events are now follows from reading them.
	got, _, err := readOld(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, slot := range want.Slots {
		slot.Count, slot.Version = slot.Count+3, slot.Version+3
		slot.Bytes = got.Slots[name].Bytes
		slot.Events = got.Slots[name].Events
		want.Slots[name] = slot
	}
	want.Totals = b.Totals
}

// TestBringUp_CrashAtEveryWrite crashes while a store is brought up. What is left is
// the store, in one format or the other.
func TestBringUp_CrashAtEveryWrite(t *testing.T) {
	for _, name := range oldStores {
		t.Run(name, func(t *testing.T) {
			disk, want := openOld(t, name)
			every := 1
			if raceEnabled {
				every = 21 // the plain run looks at each. Odd, so that both kinds of crash are among them
			}
			crashes := recordCrashes(disk, 3, every, func() (int64, int64) { return 0, 0 })
			kills := &killFS{MemFS: disk}
			crashes.under(kills)
			s := mustOpen(t, "data", small(Options{FS: crashes.fs, Logger: quiet}))
			if err := s.LogMade(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			crashes.stop()
			list := crashes.list
			for i, c := range kills.kills {
				if i%every == 0 {
					list = append(list, c)
				}
			}
			t.Logf("%d crashes, %d kills", crashes.seen, len(kills.kills))
			if crashes.seen < 40 || len(kills.kills) < 8 {
				t.Fatalf("only %d crashes and %d kills", crashes.seen, len(kills.kills))
			}
			for i, c := range list {
				for range 2 {
					s, err := Open("data", small(Options{FS: c.fs, Logger: quiet}))
					if err != nil {
						t.Fatalf("crash %d with %d %% of the unsynced: %v", i, c.unsynced, err)
					}
					got, _, err := readOld(s)
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Fatalf("crash %d with %d %% of the unsynced: %v\n%+v, want\n%+v", i, c.unsynced, err, got, want)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// TestBringUp_LostLog: a store of format 1 without its log is refused, and stays as
// it is.
func TestBringUp_LostLog(t *testing.T) {
	disk, _ := openOld(t, "format1-killed")
	list, err := disk.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		if strings.HasSuffix(name, ".log") {
			if err := disk.Remove("data/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := names(t, disk)
	for range 2 {
		if _, err := Open("data", small(Options{FS: disk, Logger: quiet})); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "*.log are missing") {
			t.Fatalf("open: %v", err)
		}
	}
	if after := names(t, disk); after != before {
		t.Errorf("the folder held %s, now %s", before, after)
	}
}
