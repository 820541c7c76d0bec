package commands

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow"

	"github.com/cockroachdb/pebble/v2"
)

// damage changes a stopped store behind its back.
func damage(t *testing.T, dir string, change func(*pebble.Batch)) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatTableFormatV6, ErrorIfNotExists: true, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	change(b)
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// eventKey is where an event lies: 'e', slot, position.
func eventKey(s relaytest.Slot, pos uint64) []byte {
	id, _ := cow.ParseID(s.ID)
	k := append([]byte{'e'}, id[:]...)
	for shift := 56; shift >= 0; shift -= 8 {
		k = append(k, byte(pos>>shift))
	}
	return k
}

// rewrite stores each event of a slot under a key of its own, as value gives it. nil
// leaves it out. Before that many events were under one key.
func rewrite(b *pebble.Batch, f *relaytest.Filled, slot int, value func(pos int, right []byte) []byte) {
	for pos := range f.Events {
		const idOff = byte(len(`{"event_id":`))
		if v := value(pos, append([]byte{idOff}, f.Event(slot, pos)...)); v != nil {
			b.Set(eventKey(f.Slots[slot], uint64(pos)), v, nil)
		} else {
			b.Delete(eventKey(f.Slots[slot], uint64(pos)), nil)
		}
	}
}

// without is for rewrite: it leaves one event out.
func without(gone int) func(int, []byte) []byte {
	return func(pos int, right []byte) []byte {
		if pos == gone {
			return nil
		}
		return right
	}
}

func TestVerify(t *testing.T) {
	f := relaytest.Fill(t, 3, 50, 200)
	before := folderText(t, f.Dir)
	stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+f.Dir)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "log: it reaches to entry ") || !strings.Contains(stdout, "\nsound: looked at 3 slots, 150 events and 0 records, 0.0 MB in ") {
		t.Errorf("a sound store: exit %d, %s%s", code, stdout, stderr)
	}
	if after := folderText(t, f.Dir); after != before {
		t.Errorf("verify wrote: the folder was\n%snow\n%s", before, after)
	}
	// As serve does, it takes the folder from the environment.
	if out, _, code := relaytest.Command(t, []string{"COWRELAY_DATA_DIR=" + f.Dir}, "verify"); code != 0 || out == "" {
		t.Errorf("folder in the environment: exit %d, %s", code, out)
	}

	damage(t, f.Dir, func(b *pebble.Batch) {
		rewrite(b, f, 0, without(7))
		for pos := range uint64(4) {
			b.Set(eventKey(relaytest.Slot{ID: strings.Repeat("f", 32)}, pos), []byte("\x00{}"), nil)
		}
		rewrite(b, f, 1, func(pos int, right []byte) []byte {
			if pos == 3 {
				right[0] = 0
			}
			return right
		})
	})
	stdout, stderr, code = relaytest.Command(t, nil, "verify", "--data-dir="+f.Dir)
	if code != 1 || strings.Count(stdout, "\n") != 5 {
		t.Errorf("a damaged store: exit %d, %s%s", code, stdout, stderr)
	}
	relaytest.Contains(t, stdout, "missing: slot "+f.Slots[0].ID+" position 7 ", "index: slot "+f.Slots[1].ID+" position 3 ",
		"orphan: slot "+strings.Repeat("f", 32)+" 4 events", "not sound: looked at 3 slots, 149 events")
	relaytest.Contains(t, stderr, "the store has 3 faults")

	stdout, _, code = relaytest.Command(t, nil, "verify", "--data-dir="+f.Dir, "--json", "--max-faults=2")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 1 || len(lines) != 3 {
		t.Fatalf("exit %d, %d lines:\n%s", code, len(lines), stdout)
	}
	var fault struct {
		Kind     string `json:"kind"`
		Slot     string `json:"slot_id"`
		Position int    `json:"position"`
		What     string `json:"what"`
	}
	var sum struct {
		Sound  bool `json:"sound"`
		Slots  int  `json:"slots"`
		Faults int  `json:"faults"`
	}
	if err := json.Unmarshal([]byte(lines[2]), &sum); err != nil || sum.Sound || sum.Slots != 3 || sum.Faults != 3 {
		t.Errorf("the sum: %v, %s", err, lines[2])
	}
	for _, line := range lines[:2] {
		if err := json.Unmarshal([]byte(line), &fault); err != nil || fault.Kind == "" || len(fault.Slot) != 32 || fault.What == "" {
			t.Errorf("a fault: %v, %s", err, line)
		}
	}
}

func TestVerify_Refused(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--data-dir=" + dir}, 1, "is in use by another process: stop the relay first, or verify a copy"},
		{[]string{"--data-dir=" + t.TempDir()}, 1, "holds no store"},
		{[]string{"--data-dir=" + dir + "/none"}, 1, "there is no data folder"},
		{[]string{"--data-dir=" + dir, "--max-faults=-1"}, 2, "--max-faults"},
		{[]string{"--folder=x"}, 2, "unknown flag"},
		{[]string{"here"}, 2, ""},
	} {
		stdout, stderr, code := relaytest.Command(t, nil, append([]string{"verify"}, test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: exit %d, %s%s", test.args, code, stdout, stderr)
		}
	}
	// The relay did not notice.
	r.Post(r.Allocate(), relaytest.Event("a", 1, 100))
	r.Stop()
	if stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir); code != 0 {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}
