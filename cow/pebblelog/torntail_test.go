package pebblelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pebblerecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"cowrelay/cow"
)

// crashed copies the folder of a running store, as kill -9 would leave it.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "crashed")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// closeKeepingLog closes a store as a clean stop without room for tables does.
func closeKeepingLog(t *testing.T, l *Log) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	l.dirty.Store(true)
	l.sync()
	if err := errors.Join(l.batch.Close(), l.closeStore()); err != nil {
		t.Fatal(err)
	}
}

// newestLog returns the name of the newest log of a folder on the real disk, and
// what is in it.
func newestLog(t *testing.T, dir string) (name string, data []byte) {
	t.Helper()
	name = one(t, dir, "*.log")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, data
}

// A clean stop leaves nothing in the log: whatever becomes of that at rest, all
// that was acknowledged is there.
func TestClose_EmptiesTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l := mustOpen(t, dir, small(Options{Logger: quiet}))
	s := newScript(4)
	for range 40 {
		s.step(l)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name, data := newestLog(t, dir)
	_, records, whole := replayed(t, vfs.Default, dir, name)
	if records > 0 || !whole {
		t.Fatalf("the newest log holds %d records after a clean stop, and is whole: %v", records, whole)
	}
	damages := map[string][]byte{"as it was": data, "cut in half": data[:len(data)/2], "empty": nil, "zero": make([]byte, len(data))}
	for i := range min(len(data), 12) {
		flipped := bytes.Clone(data)
		flipped[i] ^= 1 << (i % 8)
		damages[fmt.Sprintf("a bit of byte %d flipped", i)] = flipped
	}
	for what, damaged := range damages {
		copied := crashed(t, dir)
		if err := os.WriteFile(filepath.Join(copied, filepath.Base(name)), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, copied, small(Options{Logger: quiet}))
		got, err := read(l)
		if err != nil || !got.equal(s.states[40]) {
			t.Errorf("%s: the store is not what was acknowledged (%v)", what, err)
		}
		if what == "as it was" && l.TornTail() != nil {
			t.Errorf("%s: %v", what, l.TornTail())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a start drops of the log after a crash is said, by the start and by who
// reads the store: a bit that flipped, and a log that was cut.
func TestOpen_SaysWhatItDrops(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l := mustOpen(t, dir, small(Options{Logger: quiet}))
	s := newScript(5)
	for range 60 {
		s.step(l)
	}
	copied := crashed(t, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name, data := newestLog(t, copied)
	if len(data) < 10_000 {
		t.Fatalf("the log has %d bytes", len(data))
	}
	end, _, _ := replayed(t, vfs.Default, copied, name)
	tests := []struct {
		what     string
		damaged  func([]byte) []byte
		torn     bool
		readable bool
	}{
		{"nothing", func(b []byte) []byte { return b }, false, false},
		{"a bit near the end", func(b []byte) []byte { b[end-5] ^= 4; return b }, true, false},
		{"half of it is cut off", func(b []byte) []byte { return b[:end/2+3] }, true, false},
		{"a bit in the last full block", func(b []byte) []byte { b[end-end%logBlock-logBlock+200] ^= 1; return b }, true, true},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			if err := os.WriteFile(name, test.damaged(bytes.Clone(data)), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := OpenReader(copied, Options{Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			again := crashed(t, copied) // opening it for writing drops the tail for good
			var log bytes.Buffer
			l := mustOpen(t, again, small(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			defer l.Close()
			for who, torn := range map[string]*TornTail{"the start": l.TornTail(), "a reader": r.TornTail()} {
				if (torn != nil) != test.torn {
					t.Errorf("%s says %v", who, torn)
				}
				if torn == nil {
					continue
				}
				if torn.File != filepath.Base(name) || torn.Bytes <= 0 || torn.Offset+torn.Bytes > int64(len(data)) || (torn.Readable > 0) != test.readable {
					t.Errorf("%s says %+v of a log of %d bytes", who, torn, len(data))
				}
				if l.Stats().TornBytes != uint64(torn.Bytes) {
					t.Errorf("the count is %d", l.Stats().TornBytes)
				}
			}
			if said := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "file="+filepath.Base(name)); said != test.torn {
				t.Errorf("the log says: %s", log.String())
			}
			if _, err := read(l); err != nil {
				t.Error(err)
			}
		})
	}
}

// replayed reads a log as Pebble's replay does: up to which offset, how many
// records, and whether it ends whole.
func replayed(t *testing.T, fs vfs.FS, dir, name string) (offset int64, records int, whole bool) {
	t.Helper()
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	number, _, ok := wal.ParseLogFilename(filepath.Base(name))
	log, there := logs.Get(number)
	if err != nil || !ok || !there {
		t.Fatalf("no log %s: %v", name, err)
	}
	r := log.OpenForRead()
	defer r.Close()
	for {
		rec, at, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return at.Physical, records, true
		}
		if err != nil {
			if !pebblerecord.IsInvalidRecord(err) && !errors.Is(err, pebblerecord.ErrInvalidChunk) {
				t.Fatal(err)
			}
			return at.Physical, records, false
		}
		if _, err := io.Copy(io.Discard, rec); err != nil {
			t.Fatal(err)
		}
		records++
	}
}

// The scan finds what Pebble's replay drops, wherever a log is damaged.
func TestTornTail_AgreesWithTheReplay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	l := mustOpen(t, dir, Options{Logger: quiet})
	for i := range 1200 { // the first ones go to a log of their own
		size := 300
		if i >= 1000 && i%150 == 100 { // of several blocks; Pebble takes long for each that is damaged
			size = 70_000
		}
		if _, err := l.Put(fmt.Sprint("key-", i), bytes.Repeat([]byte("text-"), size/5), 0, cow.Totals{}); err != nil {
			t.Fatal(err)
		}
	}
	running := crashed(t, dir)
	closeKeepingLog(t, l)
	rng := rand.New(rand.NewPCG(1, 2))
	torn, rounds := 0, 8
	if testing.Short() { // with invariants on, Pebble searches each bad block for the bit that flipped
		rounds = 2
	}
	for source, from := range map[string]string{"killed": running, "stopped": dir} {
		name, data := newestLog(t, from)
		if len(data) < 150_000 {
			t.Fatalf("the newest log has %d bytes", len(data))
		}
		number := uint32(0)
		fmt.Sscanf(filepath.Base(name), "%06d.log", &number)
		mem := vfs.NewMem()
		try := func(what string, data []byte) {
			t.Helper()
			f, err := mem.Create(filepath.Base(name), "test")
			if err != nil {
				t.Fatal(err)
			}
			f.Write(bytes.Clone(data)) // with invariants it spoils what it is given
			f.Close()
			got, err := scanLog(bytes.NewReader(data), number)
			if err != nil {
				t.Fatal(err)
			}
			offset, _, whole := replayed(t, mem, "", name)
			switch {
			case got == nil && whole:
			case got == nil: // nothing of this log was behind
				if rest := data[min(offset, int64(len(data))):]; bytes.Contains(rest, []byte("text-text-")) {
					t.Errorf("%s, %s: the replay drops events from offset %d on, the scan says nothing", source, what, offset)
				}
			case whole:
				t.Errorf("%s, %s: the log is whole up to %d, the scan says %v", source, what, offset, got)
			case got.Offset-offset < 0 || got.Offset-offset > 19 || got.Offset+got.Bytes > int64(len(data)):
				t.Errorf("%s, %s: the replay ends at offset %d, the scan says %v of %d bytes", source, what, offset, got, len(data))
			default:
				torn++
			}
		}
		try("as it was", data)
		for range rounds {
			b := bytes.Clone(data)
			at := rng.IntN(len(b))
			b[at] ^= 1 << rng.IntN(8)
			try(fmt.Sprintf("a bit flipped at %d", at), b)
			at = rng.IntN(len(b))
			try(fmt.Sprintf("cut at %d", at), bytes.Clone(data[:at]))
			b = bytes.Clone(data)
			at = rng.IntN(len(b)/512) * 512
			clear(b[at : at+512])
			try(fmt.Sprintf("a hole at %d", at), b)
			b = bytes.Clone(data)
			at = rng.IntN(len(b))
			for i := at; i < len(b); i++ { // what a recycled file held before
				b[i] = byte(rng.Uint32())
			}
			try(fmt.Sprintf("rubbish from %d on", at), b)
		}
	}
	if torn < 4*rounds-2 {
		t.Errorf("only %d logs were torn", torn)
	}
}
