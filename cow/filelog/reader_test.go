package filelog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReader(dir, Options{Logger: quiet()}); !errors.Is(err, ErrMissing) {
		t.Fatalf("OpenReader of an empty folder: %v", err)
	}
	if _, err := OpenReader(dir+"/none", Options{Logger: quiet()}); !errors.Is(err, ErrMissing) {
		t.Fatalf("OpenReader of no folder: %v", err)
	}
	l := mustOpen(t, dir, Options{Create: true, SegmentBytes: 4 << 10})
	mustAppend(t, l, 50)
	mustClose(t, l)
	before := folderBytes(t, dir)
	r, err := OpenReader(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenReader(dir, Options{})
	if err != nil {
		t.Fatalf("a second reader: %v", err)
	}
	mustClose(t, other)
	wantRead(t, r, 20, 20, 50)
	if r.Last() != 50 || r.Torn() != 0 {
		t.Fatalf("Last is %d, Torn %d", r.Last(), r.Torn())
	}
	var done, total int64
	if err := r.Verify(context.Background(), func(d *Damage) { t.Error(d) }, func(d, n int64) {
		if d < done || d > n || n != r.Bytes() {
			t.Errorf("progress from %d to %d of %d", done, d, n)
		}
		done, total = d, n
	}); err != nil || done != total || total == 0 {
		t.Fatalf("Verify: %v, %d of %d bytes", err, done, total)
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if err := r.Verify(stopped, nil, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Verify that is stopped: %v", err)
	}
	mustClose(t, r)
	if after := folderBytes(t, dir); after != before {
		t.Fatal("a reader wrote")
	}

	// One byte of entry 30.
	for _, name := range segmentFiles(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(b), "entry 30. "); i >= 0 {
			b[i]++
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r, err = OpenReader(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	var d *Damage
	if first, last, err := readAll(r, 10); !errors.As(err, &d) || first != 10 || last != 29 || d.First != 30 || d.Last != 30 || !d.Needed {
		t.Fatalf("Read gave %d to %d, %v", first, last, err)
	}
	mustClose(t, r)
	if r, err = OpenReader(dir, Options{AcceptLoss: true}); err != nil {
		t.Fatal(err)
	}
	wantRead(t, r, 10, 10, 29)
	mustClose(t, r)
	if r, err = OpenReader(dir, Options{Base: 30}); err != nil {
		t.Fatal(err)
	}
	wantRead(t, r, 31, 31, 50)
	var said []*Damage
	if err := r.Verify(context.Background(), func(d *Damage) { said = append(said, d) }, nil); err != nil || len(said) != 1 || said[0].Needed {
		t.Fatalf("Verify: %v, %v", said, err)
	}
	mustClose(t, r)
	_, err = Open(dir, Options{Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), "entry 30 can't be read") || !strings.Contains(err.Error(), ".log, offset ") || !strings.Contains(err.Error(), "--accept-loss") {
		t.Fatalf("Open: %v", err)
	}
}

// TestModes: files are their owner's alone.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "log")
	mustClose(t, mustOpen(t, dir, Options{Create: true, SegmentBytes: 4 << 10}))
	for _, name := range append(segmentFiles(t, dir), filepath.Join(dir, markName)) {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
}

// TestLogLost: a start without a log says so; --accept-loss begins one behind what
// the store has.
func TestLogLost(t *testing.T) {
	m := newMemFS()
	m.MakeFolder(memDir)
	_, err := Open(memDir, Options{FS: m, Base: 70, Logger: quiet()})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "--accept-loss") {
		t.Fatalf("Open: %v", err)
	}
	l := mustOpen(t, memDir, Options{FS: m, Base: 70, AcceptLoss: true, SegmentBytes: MinSegmentBytes})
	mustAppend(t, l, 1)
	if l.Last() != 71 {
		t.Fatalf("Last is %d, want 71", l.Last())
	}
	mustClose(t, l)
	m.names[markPath].data[7]++
	if _, err := Open(memDir, Options{FS: m, Logger: quiet()}); !errors.Is(err, errNewer) || errors.Is(err, ErrDamaged) {
		t.Fatalf("a log of a newer program: %v", err)
	}
}

func TestSyncNames(t *testing.T) {
	for _, s := range []Sync{Always, Interval, Off} {
		if got, err := ParseSync(s.String()); err != nil || got != s {
			t.Errorf("ParseSync(%q) is %v, %v", s, got, err)
		}
	}
	if _, err := ParseSync("Always"); err == nil {
		t.Error("ParseSync takes a name that there is not")
	}
	if s := Sync(7).String(); s != "Sync(7)" {
		t.Errorf("mode 7 is called %q", s)
	}
}

func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("segments: %v, %v", names, err)
	}
	return names
}

// folderBytes is all that a folder holds.
func folderBytes(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range append(segmentFiles(t, dir), filepath.Join(dir, markName)) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(name)
		all.Write(b)
	}
	return all.String()
}
