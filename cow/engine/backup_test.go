package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cowrelay/cow"
)

// send returns the archive of a copy for a receiver that has some tables.
func send(t *testing.T, l *Journal, o SendOptions) []byte {
	t.Helper()
	c, err := l.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := c.Send(context.Background(), &b, o); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// backedUp is a store of one slot, and a backup of it.
func backedUp(t *testing.T) (l *Journal, next func(events int), folder string, m Manifest) {
	t.Helper()
	l = mustOpen(t, t.TempDir(), Options{SegmentBytes: 1 << 20, Logger: quiet})
	slot := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot})
	n, size := uint64(0), uint64(0)
	next = func(events int) {
		g := scriptAppend(slot, n, size, events)
		commitOne(t, l, g)
		n, size = g.Count, g.Bytes
	}
	next(50)
	folder = t.TempDir()
	m, err := ReceiveBackup(context.Background(), folder, bytes.NewReader(send(t, l, SendOptions{})), BackupOptions{Journal: Options{Logger: quiet}})
	if err != nil {
		t.Fatal(err)
	}
	return l, next, folder, m
}

func hadOf(folder string, m Manifest) (had []Had) {
	for _, f := range m.Files {
		had = append(had, Had{f, filepath.Join(folder, f.Name)})
	}
	return had
}

// A backup behind another one has the tables that both have as links, and all else of
// its own. Only those come again that are not the same.
func TestBackup_LinksWhatIsThere(t *testing.T) {
	l, next, first, m := backedUp(t)
	next(50)
	wrong := slices.Clone(m.Files) // a table of another store, by the same name
	var tables []string
	for i, f := range wrong {
		if IsTable(f.Name) {
			if tables = append(tables, f.Name); len(tables) == 1 {
				wrong[i].SHA256 = strings.Repeat("0", 64)
			}
		}
	}
	if len(tables) < 2 {
		t.Fatalf("tables %v: too few to tell", tables)
	}
	left := int64(0)
	archive := send(t, l, SendOptions{Have: wrong, Rate: 1 << 30, LeftOut: func(n int64) error { left += n; return nil }})
	if left == 0 {
		t.Error("nothing was left out")
	}
	second := t.TempDir()
	received := int64(0)
	m2, err := ReceiveBackup(context.Background(), second, bytes.NewReader(archive), BackupOptions{
		Had: hadOf(first, m), Verify: true, Received: func(n int64) { received = n }, Journal: Options{Logger: quiet},
	})
	if err != nil {
		t.Fatal(err)
	}
	if received != m2.Bytes() {
		t.Errorf("told of %d bytes, the backup has %d", received, m2.Bytes())
	}
	for _, f := range m2.Files {
		a, err := os.Stat(filepath.Join(second, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if a.Mode() != 0o600 {
			t.Errorf("%s has mode %v", f.Name, a.Mode())
		}
		b, err := os.Stat(filepath.Join(first, f.Name))
		same := err == nil && os.SameFile(a, b)
		if want := slices.Contains(tables[1:], f.Name); same != want {
			t.Errorf("%s is a link: %v, want %v", f.Name, same, want)
		}
	}
	// The first one is as it was, and both are stores.
	for folder, events := range map[string]uint64{first: 50, second: 100} {
		if _, err := VerifyBackup(context.Background(), folder, RestoreOptions{Journal: Options{Logger: quiet}}); err != nil {
			t.Error(err)
		}
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := RestoreBackup(context.Background(), dir, folder, RestoreOptions{Journal: Options{Logger: quiet}}); err != nil {
			t.Fatal(err)
		}
		if r, faults := inspect(t, dir, nil); r.Events != events || len(faults) > 0 {
			t.Errorf("%d events, want %d; faults %v", r.Events, events, faults)
		}
		for _, name := range tables { // a compaction may have dropped them
			info, err := os.Stat(filepath.Join(dir, name))
			if b, no := os.Stat(filepath.Join(folder, name)); err == nil && no == nil && os.SameFile(info, b) {
				t.Errorf("the data folder shares %s with the backup", name)
			}
		}
	}
	// What the relay leaves out though nobody said that it is there can't be had.
	if _, err := ReceiveBackup(context.Background(), t.TempDir(), bytes.NewReader(archive), BackupOptions{Journal: Options{Logger: quiet}}); err == nil || !strings.Contains(err.Error(), "nobody said") {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Where a file can't be linked it is copied, and held against its checksum.
func TestBackup_CopiesWhereLinksFail(t *testing.T) {
	l, _, folder, m := backedUp(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m.Files, func(f File) bool { return IsTable(f.Name) })
	h := hadOf(folder, m)[i]
	good, err := os.ReadFile(h.Path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(folder, h.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The name is on another file system, so it can't be linked.
	h.Path = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	to := t.TempDir()
	if err := link(h, to); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(to, h.Name)); err != nil || !bytes.Equal(data, good) {
		t.Errorf("the copy is another one: %v", err)
	}
	h.SHA256 = strings.Repeat("1", 64)
	if err := link(h, t.TempDir()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged one: %v", err)
	}
}

// A bit that changes in any file of a backup is found, and nothing is restored.
func TestBackup_FlippedBit(t *testing.T) {
	l, _, folder, _ := backedUp(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string) {
		t.Helper()
		if _, err := VerifyBackup(context.Background(), folder, RestoreOptions{Journal: Options{Logger: quiet}}); err == nil {
			t.Errorf("%s: the backup passes for sound", what)
		}
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := RestoreBackup(context.Background(), dir, folder, RestoreOptions{Journal: Options{Logger: quiet}}); err == nil {
			t.Errorf("%s: it was restored", what)
		}
		if empty, err := Empty(dir); !empty || err != nil {
			t.Errorf("%s: the data folder is not empty: %v", what, err)
		}
	}
	for _, f := range names {
		path := filepath.Join(folder, f.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(data) / 3, len(data) - 1} {
			if len(data) == 0 {
				break
			}
			for _, bit := range []byte{1, 0x20} {
				data[at] ^= bit
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				refused(fmt.Sprintf("%s, byte %d of %d, bit %#x", f.Name(), at, len(data), bit))
				data[at] ^= bit
			}
		}
		if err := os.WriteFile(path, append(data, 0), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(f.Name() + " is longer")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		refused(f.Name() + " is gone")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := VerifyBackup(context.Background(), folder, RestoreOptions{Journal: Options{Logger: quiet}}); err != nil {
		t.Errorf("with all bits as they were: %v", err)
	}
}

// A copy ends with its context, and when its time is up.
func TestSend_Ends(t *testing.T) {
	l, _, _, m := backedUp(t)
	c, err := l.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, rate := range []int64{0, 1 << 30} {
		if _, err := c.Send(ctx, &bytes.Buffer{}, SendOptions{Rate: rate}); !errors.Is(err, context.Canceled) {
			t.Errorf("at rate %d: %v", rate, err)
		}
	}
	enough := errors.New("enough")
	if _, err := c.Send(context.Background(), &bytes.Buffer{}, SendOptions{Have: m.Files, LeftOut: func(int64) error { return enough }}); err != enough {
		t.Errorf("a copy whose time is up: %v", err)
	}
	if err := errors.Join(c.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
}

// The folder of a stopped relay is copied with what its log alone has.
func TestOpenStopped(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenStopped(filepath.Join(dir, "none"), Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("no folder: %v", err)
	}
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20, Logger: quiet})
	slot := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot})
	commitOne(t, l, scriptAppend(slot, 0, 0, 20))
	if _, err := OpenStopped(dir, Options{Logger: quiet}); !errors.Is(err, ErrInUse) {
		t.Errorf("while a relay runs: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStopped(dir, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	m, err := ReceiveBackup(context.Background(), folder, bytes.NewReader(send(t, s.Journal, SendOptions{})), BackupOptions{Verify: true, Journal: Options{Logger: quiet}})
	if err != nil || m.Slots != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, checkpointFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
}
