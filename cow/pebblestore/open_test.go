package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// damagedStore makes a store on the real disk with tables in some levels.
func damagedStore(t *testing.T) (dir string, s *script) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	st := mustOpen(t, dir, small(Options{Logger: quiet}))
	s = newScript(9)
	for i := range 60 {
		if err := s.step(st); err != nil {
			t.Fatal(err)
		}
		if i == 30 {
			if err := st.db.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := st.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := st.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, s
}

// one returns the only, or the largest, file that matches; of logs, the one
// in use.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	if pattern == "*.log" {
		return slices.Max(names)
	}
	return slices.MaxFunc(names, func(a, b string) int {
		sa, _ := os.Stat(a)
		sb, _ := os.Stat(b)
		return int(sa.Size() - sb.Size())
	})
}

func remove(pattern string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(one(t, dir, pattern)); err != nil {
			t.Fatal(err)
		}
	}
}

// removeAll removes all that match, keepAll all others.
func removeAll(pattern string, keep bool) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, name := range names {
			if ok, _ := filepath.Match(pattern, filepath.Base(name)); ok != keep {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func truncate(pattern string, size int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Truncate(one(t, dir, pattern), size); err != nil {
			t.Fatal(err)
		}
	}
}

// garble turns bytes over from a fraction of the file on.
func garble(pattern string, at float64, n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		name := one(t, dir, pattern)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		from := int(float64(len(b)) * at)
		for i := from; i < min(from+n, len(b)); i++ {
			b[i] ^= 0x5a
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Rename(one(t, dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpen_Damage damages a store in one way at a time. Each time Open, or
// the reading of the slots, says what is damaged, where, and what to do.
// Nothing is ever taken for an empty store, and nothing is repaired in secret.
func TestOpen_Damage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(*testing.T, string)
		want   string // in the error, beside folder and advice; "" where nothing is lost
	}{
		{"no marker", remove("marker.manifest.*"), "marker.manifest"},
		{"no manifest", remove("MANIFEST-*"), "MANIFEST-"},
		{"empty manifest", truncate("MANIFEST-*", 0), "MANIFEST-"},
		{"short manifest", truncate("MANIFEST-*", 30), "MANIFEST-"},
		{"garbled manifest", garble("MANIFEST-*", 0.3, 20), ".sst"}, // the tables it then lacks,
		{"marker to nowhere", rename("marker.manifest.*", "marker.manifest.000099.MANIFEST-000099"), "MANIFEST-000099"},
		{"bad marker", rename("marker.manifest.*", "marker.manifest.xyz"), `invalid marker filename: "xyz"`},
		{"no options", removeAll("OPTIONS-*", false), ""},
		{"garbled options", garble("OPTIONS-*", 0, 1<<20), ""},
		{"no table", remove("*.sst"), ".sst"},
		{"short table", truncate("*.sst", 100), ".sst"},
		{"garbled table", garble("*.sst", 0.1, 2000), ".sst"},
		{"garbled table footer", garble("*.sst", 0.999, 100), ".sst"},
		{"no log", removeAll("*.log", false), ".log"},
		{"garbled log", garble("*.log", 0, 200), ""}, // it is empty, Pebble sees to that
		{"only tables", removeAll("*.sst", true), "marker.manifest"},
		{"only logs", removeAll("*.log", true), "marker.manifest"},
		{"only options", removeAll("OPTIONS-*", true), "marker.manifest"},
		{"other store", func(t *testing.T, dir string) {
			removeAll("LOCK", true)(t, dir)
			if err := os.WriteFile(filepath.Join(dir, "CURRENT"), []byte("MANIFEST-000001\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "CURRENT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, s := damagedStore(t)
			test.damage(t, dir)
			st, err := Open(dir, small(Options{Logger: quiet, Fatal: func(err error) { t.Errorf("Fatal: %v", err) }}))
			if err == nil {
				var got state
				got, err = read(st)
				if test.want == "" && err == nil && got.equal(s.states[60]) {
					st.Close()
					return
				}
				if err == nil {
					t.Errorf("the damage went unnoticed; the store holds %d slots of %d", len(got.slots), len(s.states[60].slots))
				}
				if st.Stats().Corruptions == 0 {
					t.Error("Stats counts no corruption")
				}
				if err := st.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
			if err == nil {
				return
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("error does not wrap ErrCorrupt: %v", err)
			}
			for _, want := range []string{test.want, dir, "restore the folder from a backup"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not name %q: %v", want, err)
				}
			}
			// The folder is free again.
			lock, err := pebble.LockDirectory(dir, vfs.Default)
			if err != nil {
				t.Fatalf("the folder stayed locked: %v", err)
			}
			lock.Close()
		})
	}
}

// TestOpen_Locked: one process at a time, within it one Store.
func TestOpen_Locked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if os.Getenv("PEBBLESTORE_TEST_DIR") != "" {
		// The other process of the test below.
		_, err := Open(os.Getenv("PEBBLESTORE_TEST_DIR"), Options{Logger: quiet})
		fmt.Println(err)
		os.Exit(0)
	}
	st := mustOpen(t, dir, Options{Logger: quiet})
	want := fmt.Sprintf("data folder %q is in use by another process", dir)
	if _, err := Open(dir, Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("second Open: %v, want %s", err, want)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOpen_Locked$")
	cmd.Env = append(os.Environ(), "PEBBLESTORE_TEST_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("other process: %s%v, want %s", out, err, want)
	}
	// Nobody needs the lock file for that: the folder itself is locked.
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(os.Args[0], "-test.run=^TestOpen_Locked$")
	cmd.Env = append(os.Environ(), "PEBBLESTORE_TEST_DIR="+dir)
	if out, err = cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("other process, without lock file: %s%v, want %s", out, err, want)
	}
	if _, err := OpenReader(dir, Options{Logger: quiet}); !errors.Is(err, ErrInUse) {
		t.Errorf("a reader, without lock file: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	// Readers keep a Store that writes out, and not each other.
	r1, err := OpenReader(dir, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r2, err := OpenReader(dir, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a Store that writes beside readers: %v", err)
	}
	if err := errors.Join(r1.Close(), r2.Close()); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, dir, Options{Logger: quiet}).Close(); err != nil {
		t.Fatal(err)
	}
	mem := Options{FS: vfs.NewMem(), Logger: quiet}
	st = mustOpen(t, "data", mem)
	defer st.Close()
	if _, err := Open("data", mem); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second Open in memory: %v", err)
	}
}

// TestOpen_Modes looks at real files: folders 0700 and files 0600, whatever
// the umask.
func TestOpen_Modes(t *testing.T) {
	for _, umask := range []int{0, 0o022} {
		old := syscall.Umask(umask)
		defer syscall.Umask(old)
		top := filepath.Join(t.TempDir(), "new")
		dir := filepath.Join(top, "data")
		st := mustOpen(t, dir, small(Options{Logger: quiet}))
		s := newScript(1)
		for i := range 200 {
			if err := s.step(st); err != nil {
				t.Fatal(err)
			}
			if i%20 == 0 { // compacted tables, too
				if err := st.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		kinds := map[string]int{}
		look := func() {
			err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return nil // deleted meanwhile
				}
				info, err := d.Info()
				if err != nil {
					return nil
				}
				want := fileMode
				if d.IsDir() {
					want = folderMode
				}
				// A file gets its mode just behind its creation, which the background
				// may be about.
				for end := time.Now().Add(time.Minute); info.Mode().Perm() != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
					if info, err = os.Stat(path); err != nil {
						return nil // deleted meanwhile
					}
				}
				if info.Mode().Perm() != want {
					t.Errorf("umask %03o: %s has mode %03o, want %03o", umask, path, info.Mode().Perm(), want)
				}
				kinds[filepath.Ext(path)]++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		look()
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		look()
		if kinds[".log"] == 0 || kinds[".sst"] == 0 {
			t.Errorf("saw only %v", kinds)
		}
		syscall.Umask(old)
	}
}

// TestOpen_InTheWay: what is no damage is said as it is. The errors of the
// disk are injected: a test may run as root, whom no mode stops.
func TestOpen_InTheWay(t *testing.T) {
	tests := []struct {
		errno syscall.Errno
		want  string
	}{
		{syscall.EACCES, "is not writable for user"},
		{syscall.EROFS, "is not writable for user"},
		{syscall.ENOSPC, "make room on the disk"},
		{syscall.EMFILE, "limits of the process"},
		{syscall.EIO, "check the disk"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			for _, kind := range []errorfs.OpKind{errorfs.OpMkdirAll, errorfs.OpLock, errorfs.OpList, errorfs.OpCreate} {
				mem := vfs.NewMem()
				disk := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind == kind {
						return &fs.PathError{Op: "test", Path: op.Path, Err: test.errno}
					}
					return nil
				}))
				_, err := Open("data", Options{FS: disk, Logger: quiet, FilesPatience: 20 * time.Millisecond})
				if err == nil || errors.Is(err, ErrCorrupt) || !errors.Is(err, test.errno) ||
					!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `"data"`) {
					t.Errorf("operation %d: %v, want %q", kind, err, test.want)
				}
				// What is left is no obstacle once the way is free.
				st, err := Open("data", Options{FS: mem, Logger: quiet})
				if err != nil {
					t.Fatalf("operation %d: the next open: %v", kind, err)
				}
				st.Close()
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "data")} {
		if _, err := Open(dir, Options{Logger: quiet}); err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "choose another folder") {
			t.Errorf("open of %s: %v", dir, err)
		}
	}
}

// TestOpen_Format: a newer store and one that lost its version are refused.
func TestOpen_Format(t *testing.T) {
	open := func(change func(*pebble.DB) error) error {
		t.Helper()
		opts := small(Options{FS: vfs.NewMem(), Logger: quiet})
		st := mustOpen(t, "data", opts)
		if err := newScript(1).step(st); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(change(st.db), st.db.Flush()); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		st, err := Open("data", opts)
		if err == nil {
			st.Close()
		}
		return err
	}
	err := open(func(db *pebble.DB) error { return db.Set(metaFormat, []byte{7}, pebble.NoSync) })
	if err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "format version 7, this program reads versions up to 3") {
		t.Errorf("newer store: %v", err)
	}
	err = open(func(db *pebble.DB) error { return db.Delete(metaFormat, pebble.NoSync) })
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "no format version") {
		t.Errorf("store without version: %v", err)
	}
	err = open(func(db *pebble.DB) error { return db.Set(metaFormat, []byte("?!"), pebble.NoSync) })
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "mformat") {
		t.Errorf("store with an odd version: %v", err)
	}
	err = open(func(db *pebble.DB) error { return db.Set(metaApplied, []byte{7, 0xff}, pebble.NoSync) })
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "mapplied") {
		t.Errorf("store with odd totals: %v", err)
	}
	err = open(func(db *pebble.DB) error { return db.Delete(metaApplied, pebble.NoSync) })
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "mapplied is missing") {
		t.Errorf("store without an applied number: %v", err)
	}
	if err := open(func(*pebble.DB) error { return nil }); err != nil {
		t.Errorf("store as it was: %v", err)
	}
}
