package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// inspect verifies at a store that is closed.
func inspect(t *testing.T, dir string, fs vfs.FS) (Report, []Fault) {
	t.Helper()
	r, err := OpenReader(dir, Options{FS: fs, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(nil); err != errReadOnly {
		t.Errorf("apply to a reader: %v", err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var faults []Fault
	report, err := r.Verify(context.Background(), VerifyOptions{Fault: func(f Fault) { faults = append(faults, f) }})
	if err != nil || int(report.Faults) != len(faults) {
		t.Fatalf("%v, %d faults told, %d counted", err, len(faults), report.Faults)
	}
	return report, faults
}

func TestVerify_Clean(t *testing.T) {
	dir, s := damagedStore(t) // not yet
	report, faults := inspect(t, dir, nil)
	if len(faults) > 0 {
		t.Errorf("%d faults in a sound store, such as: %v", len(faults), faults[0])
	}
	var want Report
	last := s.states[len(s.states)-1]
	for _, r := range last.slots {
		want.Slots, want.Events, want.Bytes = want.Slots+1, want.Events+r.Count-r.First, want.Bytes+r.Bytes
	}
	want.Records = uint64(len(last.records))
	if report != want || want.Events == 0 || want.Records == 0 {
		t.Errorf("report %+v, want %+v", report, want)
	}
}

// idEvent is an event as the door makes it.
func idEvent(t *testing.T, json string) event.Event {
	t.Helper()
	ev, _, err := event.Accept(nil, []byte(`{"event":`+json+`}`))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func tenEvents(t *testing.T) (events []event.Event) {
	for i := range 10 {
		events = append(events, idEvent(t, `{"event_id":"e0`+string(rune('0'+i))+`"}`))
	}
	return events
}

// TestVerify_FindsDamage changes keys of a closed store behind its back, one
// way at a time.
func TestVerify_FindsDamage(t *testing.T) {
	a, b := cow.ID{1}, cow.ID{2} // b is sound in all cases
	event := func(pos uint64) []byte { k := eventKey(a, pos); return k[:] }
	part := func(p byte) []byte { k := slotKey(a, p); return k[:] }
	value := func(json string) []byte { return appendEvent(nil, idEvent(t, json)) }
	raw := func(off byte, json string) []byte { return append([]byte{off}, json...) }
	set := func(key, value []byte) func(*pebble.DB) error {
		return func(db *pebble.DB) error { return db.Set(key, value, pebble.NoSync) }
	}
	del := func(key []byte) func(*pebble.DB) error {
		return func(db *pebble.DB) error { return db.Delete(key, pebble.NoSync) }
	}
	health := func(text string) []byte {
		return append(binary.BigEndian.AppendUint64(nil, 2<<seqShift+9), text...)
	}
	ten := tenEvents(t)
	other := slices.Clone(ten)
	other[7] = idEvent(t, `{"event_id":"e02"}`)
	group := appendGroup(nil, ten)
	type damage struct {
		name   string
		damage func(*pebble.DB) error
		want   []string // the start of each fault
	}
	grouped := []damage{ // events share a value
		{"nothing", func(*pebble.DB) error { return nil }, nil},
		{"no events", del(event(0)), []string{"count: "}},
		{"short", set(event(0), appendGroup(nil, ten[:8])), []string{"count: slot " + a.String() + " the record says 10 events, the last one stands at position 7"}},
		{"moved", func(db *pebble.DB) error {
			return errors.Join(del(event(0))(db), set(event(1), appendGroup(nil, ten[1:]))(db))
		}, []string{"missing: slot " + a.String() + " position 0"}},
		{"cut", set(event(0), group[:len(group)-1]), []string{"event: slot " + a.String() + " position 9 it does not decode"}},
		{"longer", set(event(0), append(slices.Clone(group), 0)), []string{"event: slot " + a.String() + " position 10 it does not decode", "count: ", "totals: "}},
		{"empty", set(event(0), group[:1]), []string{"event: slot " + a.String() + " position 0 it does not decode", "count: "}},
		{"doubled id", set(event(0), appendGroup(nil, other)), []string{"duplicate: slot " + a.String() + ` position 7 its event_id "e02" is that of position 2`}},
		{"doubled id in another value", set(event(7), appendGroup(nil, other[7:])), []string{
			"repeated: slot " + a.String() + " position 7 ", `duplicate: `, `duplicate: `, `duplicate: `, "totals: "}},
	}
	tests := []damage{
		{"nothing", func(*pebble.DB) error { return nil }, nil},
		{"missing", del(event(3)), []string{"missing: slot " + a.String() + " position 3 "}},
		{"missing first", del(event(0)), []string{"missing: slot " + a.String() + " position 0 "}},
		{"missing last", del(event(9)), []string{"count: slot " + a.String() + " the record says 10 events, the last one stands at position 8"}},
		{"one more", set(event(10), value(`{"event_id":"e10"}`)), []string{"count: ", "totals: "}},
		{"count", set(part(partCounts), appendPair(nil, 9, 180)), []string{"count: "}},
		{"bytes", set(part(partCounts), appendPair(nil, 10, 179)), []string{"bytes: slot " + a.String() + " the record says 179 bytes of events, there are 180"}},
		{"absurd count", set(part(partCounts), appendPair(nil, 1<<40, 3)), []string{"record: ", "count: "}},
		{"doubled id", set(event(7), value(`{"event_id":"e02"}`)), []string{"duplicate: slot " + a.String() + ` position 7 its event_id "e02" is that of position 2`}},
		{"tripled id", func(db *pebble.DB) error {
			return errors.Join(set(event(7), value(`{"event_id":"e02"}`))(db), set(event(9), value(`{"event_id":"e02"}`))(db))
		}, []string{"duplicate: slot " + a.String() + " position 7 ", "duplicate: slot " + a.String() + " position 9 "}},
		{"doubled id, spelled otherwise", set(event(7), value(`{"event_id":"\u00650"}`)), []string{"bytes: "}},
		{"id offset", set(event(4), raw(10, `{"event_id":"e04"}`)), []string{"index: slot " + a.String() + " position 4 "}},
		{"no id offset", set(event(4), raw(0, `{"event_id":"e04"}`)), []string{"index: slot " + a.String() + " position 4 "}},
		{"garbage", set(event(4), []byte("nonsense")), []string{"event: slot " + a.String() + " position 4 it does not decode"}},
		{"refused", set(event(4), raw(0, `{"n":1e999,"a":"xx"}`)), []string{"event: slot " + a.String() + " position 4 the door refuses it: a number is out of range, at byte 5", "bytes: "}},
		{"not compact", set(event(4), raw(0, `{"n": 1,"a":"xxxx"}`)), []string{"event: slot " + a.String() + " position 4 it is not compact", "bytes: "}},
		{"far away", set(event(1<<63+5), value(`{}`)), []string{"missing: ", "event: ", "count: ", "totals: "}},
		{"orphans", func(db *pebble.DB) error {
			for i, id := range []cow.ID{{0, 1}, {1, 1}, {1, 2}, {3}} {
				k := eventKey(id, uint64(i))
				if err := db.Set(k[:], value(`{}`), pebble.NoSync); err != nil {
					return err
				}
			}
			return nil
		}, []string{"orphan: slot 0001", "orphan: slot 0101", "orphan: slot 0102", "orphan: slot 0300"}},
		{"no record", func(db *pebble.DB) error {
			return errors.Join(del(part(partCounts))(db), del(part(partToken))(db))
		}, []string{"orphan: slot " + a.String() + " 10 events"}},
		{"no token", del(part(partToken)), []string{"record: slot " + a.String() + ` part 't' of the slot's record is missing`}},
		{"no counts", del(part(partCounts)), []string{"record: "}},
		{"short token", set(part(partToken), []byte("x")), []string{"record: "}},
		{"odd counts", set(part(partCounts), []byte{0xff}), []string{"record: "}},
		{"odd pulled", set(part(partPulled), nil), []string{"record: "}},
		{"odd part", set(part('x'), nil), []string{"key: "}},
		{"odd slot key", set([]byte("short"), nil), []string{"key: "}},
		{"odd event key", set([]byte("event"), nil), []string{"key: "}},
		{"odd family", set([]byte("zebra"), nil), []string{"key: unknown family of keys 0x7a"}},
		{"last family", set([]byte{0xff, 1}, nil), []string{"key: unknown family of keys 0xff"}},
		{"odd number", set([]byte("mwhat"), nil), []string{`key: unknown key "mwhat"`}},
		{"low totals", set(metaApplied, appendApplied(nil, 2, cow.Totals{SlotAllocations: 2, EventsPosted: 19})), []string{"totals: the totals say 2 slots and 19 events"}},
		{"format 1", set(metaEpoch, []byte{1}), []string{`key: unknown key "mepoch"`}},
		{"no digest", set(metaMember, append(make([]byte, 15), 1, 0)), []string{"totals: of what it must know of a shared log"}},
		{"odd member", set(metaMember, []byte("short")), []string{`totals: the key "mmember"`, "totals: of what"}},
		{"odd digest", set(metaDigest, []byte("short")), []string{`totals: the key "mdigest"`, "totals: of what"}},
		{"producer of no log", set(append(metaProducer[:3:3], make([]byte, 8)...), appendPair(nil, 1, 1)), []string{"totals: of what"}},
		{"producer of the future", set(append(metaProducer[:3:3], make([]byte, 8)...), appendPair(nil, 1, 3)), []string{"totals: a producer's newest entry is 3", "totals: of what"}},
		{"odd producer", set(append(metaProducer[:3:3], 1), nil), []string{`totals: the key "mp/`, "totals: of what"}},
		{"record", set(recordKey("k"), []byte("short")), []string{`record: a record of "k"`}},
		{"record of the future", set(recordKey("k"), binary.BigEndian.AppendUint64(nil, 3<<seqShift)), []string{`record: a record of "k"`}},
		{"health", set(recordKey("health/"+a.String()), health(`{"status":`)), []string{"record: slot " + a.String()}},
		{"health of none", set(recordKey("health/x"), health(`{}`)), []string{`record: a record of "health"`}},
	}
	run := func(test damage, group bool) func(*testing.T) {
		return func(t *testing.T) {
			fs := vfs.NewMem()
			s := mustOpen(t, "data", small(Options{FS: fs, Logger: quiet}))
			batch := &replay.Batch{Seq: 2, Totals: cow.Totals{SlotAllocations: 2, EventsPosted: 20},
				Records: []replay.Record{{Key: "health/" + b.String(), Value: []byte(`{"status":"ok"}`), Version: 2<<seqShift + 1}}}
			for _, id := range []cow.ID{a, b} {
				batch.Groups = append(batch.Groups, replay.Group{Op: cow.OpCreate, Slot: id},
					replay.Group{Op: cow.OpAppend, Slot: id, Count: 10, Bytes: 180, Events: ten})
			}
			mustApply(t, s, batch)
			for i := 0; i < len(ten) && !group; i++ {
				if err := set(event(uint64(i)), appendEvent(nil, ten[i]))(s.db); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.damage(s.db); err != nil {
				t.Fatal(err)
			}
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			_, faults := inspect(t, "data", fs)
			var got []string
			for _, f := range faults {
				got = append(got, f.String())
				if f.Slot == b {
					t.Errorf("of the sound slot: %s", f)
				}
			}
			if len(got) != len(test.want) {
				t.Fatalf("found %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("found %q, want %q", got[i], test.want[i])
				}
			}
		}
	}
	for _, test := range tests {
		t.Run(test.name, run(test, false))
	}
	for _, test := range grouped {
		t.Run("group/"+test.name, run(test, true))
	}
}

// TestVerify_DamagedFiles: a table that fails its checksums costs the slots
// that lie in it, and the rest is looked at.
func TestVerify_DamagedFiles(t *testing.T) {
	dir, s := damagedStore(t)
	garble("*.sst", 0.1, 2000)(t, dir)
	report, faults := inspect(t, dir, nil)
	unreadable := slices.ContainsFunc(faults, func(f Fault) bool {
		return f.Kind == FaultUnreadable && strings.Contains(f.What, ".sst")
	})
	if !unreadable {
		t.Errorf("no fault names the table: %v", faults)
	}
	if n := len(s.states[60].slots); int(report.Slots) != n {
		t.Errorf("looked at %d slots of %d: %v", report.Slots, n, faults)
	}
}

func TestVerify_Ends(t *testing.T) {
	dir, _ := damagedStore(t)
	r, err := OpenReader(dir, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Verify(ctx, VerifyOptions{}); err != context.Canceled {
		t.Errorf("verify under an ended context: %v", err)
	}
}

// TestReader_Fails says what is in the way.
func TestReader_Fails(t *testing.T) {
	dir := t.TempDir()
	for want, path := range map[string]string{"there is no data folder": filepath.Join(dir, "none"), "holds no store": dir} {
		if _, err := OpenReader(path, Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open of %s: %v, want %q", path, err, want)
		}
	}
	fs := vfs.NewMem()
	s := mustOpen(t, "data", small(Options{FS: fs, Logger: quiet}))
	if _, err := OpenReader("data", Options{FS: fs, Logger: quiet}); !errors.Is(err, ErrInUse) {
		t.Errorf("open beside a relay: %v, want ErrInUse", err)
	}
	if err := s.set(func(b *pebble.Batch) { must(b.Set(metaFormat, []byte{7}, nil)) }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := OpenReader("data", Options{FS: fs, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "format version 7") {
		t.Errorf("open of a newer store: %v", err)
	}
}
