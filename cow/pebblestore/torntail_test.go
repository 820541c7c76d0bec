package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	pebblerecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// newestLog returns the name of the newest log of an old store, and what is in it.
func newestLog(t *testing.T, disk vfs.FS) (name string, data []byte) {
	t.Helper()
	for _, n := range strings.Fields(names(t, disk)) {
		if strings.HasSuffix(n, ".log") {
			name = "data/" + n
		}
	}
	f, err := disk.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	return name, data
}

// What a start drops of the log of format 1 is said, by the start and by who reads
// the store: a bit that flipped, and a log that was cut.
func TestOpen_SaysWhatItDrops(t *testing.T) {
	disk, _ := openOld(t, "format1-killed")
	name, data := newestLog(t, disk)
	end, _, _ := replayed(t, disk, "data", name)
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
			disk, _ := openOld(t, "format1-killed")
			if err := writeFile(disk, name, test.damaged(bytes.Clone(data))); err != nil {
				t.Fatal(err)
			}
			r, err := OpenReader("data", Options{FS: disk, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s := mustOpen(t, "data", small(Options{FS: disk, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			defer s.Close()
			for who, torn := range map[string]*TornTail{"the start": s.TornTail(), "a reader": r.TornTail()} {
				if (torn != nil) != test.torn {
					t.Errorf("%s says %v", who, torn)
				}
				if torn == nil {
					continue
				}
				if torn.File != filepath.Base(name) || torn.Bytes <= 0 || torn.Offset+torn.Bytes > int64(len(data)) || (torn.Readable > 0) != test.readable {
					t.Errorf("%s says %+v of a log of %d bytes", who, torn, len(data))
				}
				if s.Stats().TornBytes != uint64(torn.Bytes) {
					t.Errorf("the count is %d", s.Stats().TornBytes)
				}
			}
			if said := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "file="+filepath.Base(name)); said != test.torn {
				t.Errorf("the log says: %s", log.String())
			}
			if _, _, err := readOld(s); err != nil {
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
	rng := rand.New(rand.NewPCG(1, 2))
	torn, rounds := 0, 8
	if testing.Short() { // with invariants on, Pebble searches each bad block for the bit that flipped
		rounds = 2
	}
	const source = "killed"
	disk, _ := openOld(t, "format1-"+source)
	name, data := newestLog(t, disk)
	if len(data) < 40_000 {
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
			if rest := data[min(offset, int64(len(data))):]; bytes.Contains(rest, []byte("xxxxxxxxxx")) {
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
	if torn < 2*rounds-2 {
		t.Errorf("only %d logs were torn", torn)
	}
}
