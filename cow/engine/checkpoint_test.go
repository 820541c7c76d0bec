package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cowrelay/cow"
)

// checkpoint returns the archive of a copy.
func checkpoint(t *testing.T, l *Journal) ([]byte, Manifest) {
	t.Helper()
	c, err := l.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if n, err := c.WriteTo(&b); err != nil || n != int64(b.Len()) || n < c.Bytes() {
		t.Fatalf("%d bytes of %d, files have %d: %v", n, b.Len(), c.Bytes(), err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), c.Manifest()
}

// A copy of a running relay's store has all that was stored before, and is a store: it
// is verified, opened and written to.
func TestCheckpoint_IsAStore(t *testing.T) {
	from := t.TempDir()
	l := mustOpen(t, from, Options{SegmentBytes: 1 << 20, Logger: quiet})
	slot := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot, Token: cow.TokenHash{1}})
	var size uint64
	next := func(l *Journal, n uint64) {
		g := scriptAppend(slot, n, size, 1)
		commitOne(t, l, g)
		size = g.Bytes
	}
	for n := range uint64(200) {
		next(l, n)
	}
	if _, err := l.Put("k/a", []byte("v"), 0, cow.Totals{HandleClaims: 1}); err != nil {
		t.Fatal(err)
	}
	// It is made while others write.
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := uint64(200); n < 400; n++ {
			next(l, n)
		}
	})
	c, err := l.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(context.Background()); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a second one: %v", err)
	}
	wg.Wait()
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	used, err := UsedSpace(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := UsedSpace(from); err != nil || used > after+1<<20 {
		t.Errorf("links count: %d bytes with a copy, %d without, %v", used, after, err)
	}
	if _, err := os.Stat(filepath.Join(from, checkpointFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}

	to := filepath.Join(t.TempDir(), "new", "data")
	var got int64
	m, err := Restore(context.Background(), to, &b, RestoreOptions{Received: func(n int64) { got = n }, Journal: Options{Logger: quiet}})
	if err != nil {
		t.Fatal(err)
	}
	if got < c.Bytes() || m.Applied < 202 || m.Slots != 1 || m.Log != "" {
		t.Errorf("%d bytes; manifest %+v", got, m)
	}
	if report, faults := inspect(t, to, nil); len(faults) > 0 || report.Events < 200 {
		t.Errorf("%d events, faults %v", report.Events, faults)
	}
	copied := mustOpen(t, to, Options{SegmentBytes: 1 << 20, Logger: quiet})
	n, err := count(copied, slot, 0)
	if err != nil || n < 200 {
		t.Fatalf("%d events, %v", n, err)
	}
	size = 0
	if err := copied.Load(slot, 0, func(a *cow.Append) error {
		for _, e := range a.Events {
			size += uint64(len(e.JSON))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	next(copied, uint64(n))
	if v, _, err := copied.Value("k/a"); err != nil || string(v) != "v" || copied.Totals().HandleClaims != 1 {
		t.Errorf("the record: %q, %v", v, err)
	}
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
	copied = mustOpen(t, to, Options{SegmentBytes: 1 << 20, Logger: quiet})
	if again, err := count(copied, slot, 0); err != nil || again != n+1 {
		t.Errorf("%d events after a restart, %v", again, err)
	}
	if err := errors.Join(copied.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
}

// A copy that was cut off or changed on its way is refused, and leaves the folder empty.
func TestRestore_Refuses(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: 1 << 20, Logger: quiet})
	slot := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot})
	commitOne(t, l, scriptAppend(slot, 0, 0, 20))
	whole, _ := checkpoint(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	repack := func(change func(h *tar.Header, data []byte) []byte) []byte {
		var b bytes.Buffer
		r, w := tar.NewReader(bytes.NewReader(whole)), tar.NewWriter(&b)
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if data = change(h, data); data == nil {
				continue
			}
			h.Size = int64(len(data))
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return b.Bytes()
	}
	for what, c := range map[string]struct {
		archive []byte
		says    string
	}{
		"nothing":        {nil, "cut off"},
		"no archive":     {bytes.Repeat([]byte("x"), 4096), "no copy"},
		"cut at a third": {whole[:len(whole)/3], ""},
		"no manifest":    {repack(func(h *tar.Header, d []byte) []byte { return only(h.Name != manifestName, d) }), "without a manifest"},
		"a file lacks":   {repack(func(h *tar.Header, d []byte) []byte { return only(!strings.HasPrefix(h.Name, "OPTIONS-"), d) }), "files came"},
		"another path": {repack(func(h *tar.Header, d []byte) []byte {
			if strings.HasSuffix(h.Name, ".sst") {
				h.Name = "../" + h.Name
			}
			return d
		}), "no file of a store"},
		"a folder": {repack(func(h *tar.Header, d []byte) []byte {
			if strings.HasSuffix(h.Name, ".sst") {
				h.Name = "a/" + h.Name
			}
			return d
		}), "no file of a store"},
		"a flipped bit": {repack(func(h *tar.Header, d []byte) []byte {
			if strings.HasSuffix(h.Name, ".sst") {
				d[len(d)/2] ^= 1
			}
			return d
		}), "did not come as its manifest says"},
		"a newer format": {repack(func(h *tar.Header, d []byte) []byte {
			if h.Name == manifestName {
				d = bytes.Replace(d, []byte(`"format":1`), []byte(`"format":9`), 1)
			}
			return d
		}), "format 9"},
		"another entry": {repack(func(h *tar.Header, d []byte) []byte {
			if h.Name == manifestName {
				d = bytes.Replace(d, []byte(`"applied":2`), []byte(`"applied":3`), 1)
			}
			return d
		}), "its manifest says entry 3"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		_, err := Restore(context.Background(), dir, bytes.NewReader(c.archive), RestoreOptions{Journal: Options{Logger: quiet}})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
		if empty, err := Empty(dir); !empty || err != nil {
			t.Errorf("%s: the folder is not empty: %v", what, err)
		}
	}
	// Another log than the one that was asked for; no room; a folder that is not empty.
	dir := filepath.Join(t.TempDir(), "data")
	for _, o := range []RestoreOptions{{Log: [16]byte{1}}, {Reserve: 1 << 62}} {
		o.Journal.Logger = quiet
		if _, err := Restore(context.Background(), dir, bytes.NewReader(whole), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if _, err := Restore(context.Background(), dir, bytes.NewReader(whole), RestoreOptions{Journal: Options{Logger: quiet}}); err != nil {
		t.Error(err)
	}
	if _, err := Restore(context.Background(), dir, bytes.NewReader(whole), RestoreOptions{}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a folder with data: %v", err)
	}
}

func only(keep bool, d []byte) []byte {
	if keep {
		return d
	}
	return nil
}

// A process that is killed while the files of a complete copy move to their place loses
// nothing: the next start goes on.
func TestRestore_KilledWhileFilesMove(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: 1 << 20, Logger: quiet})
	slot := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slot})
	commitOne(t, l, scriptAppend(slot, 0, 0, 20))
	whole, m := checkpoint(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for moved := range len(m.Files) + 1 {
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := Restore(context.Background(), dir, bytes.NewReader(whole), RestoreOptions{Journal: Options{Logger: quiet}}); err != nil {
			t.Fatal(err)
		}
		// Back to where the kill was.
		back := filepath.Join(dir, arrived)
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(back, 0o700); err != nil {
			t.Fatal(err)
		}
		for i, f := range list {
			if i >= moved {
				if err := os.Rename(filepath.Join(dir, f.Name()), filepath.Join(back, f.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
		if empty, err := Empty(dir); empty || err != nil {
			t.Fatalf("it passes for empty: %v", err)
		}
		if _, err := OpenReader(dir, Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), "start the relay once") {
			t.Errorf("a reader: %v", err)
		}
		l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20, Logger: quiet})
		if n, err := count(l, slot, 0); n != 20 || err != nil {
			t.Errorf("%d files moved: %d events, %v", moved, n, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
