package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// refused runs serve, which must end by itself with status 1, one line that
// says why and what to do, and nothing else on stderr but the log.
func refused(t *testing.T, cmd *exec.Cmd, says ...string) {
	t.Helper()
	out, errs, code := finish(t, cmd)
	if code != 1 || out != "" {
		t.Errorf("exit %d, %q", code, out)
	}
	if n := strings.Count(errs, "cowrelay serve:"); n != 1 || strings.Contains(errs, "goroutine ") {
		t.Errorf("not one clear line:\n%s", errs)
	}
	contains(t, errs, says...)
}

func serveCommand(dir string, args ...string) *exec.Cmd {
	return newRelay(nil, dir, args...).cmd
}

func TestServe_PortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := ln.Addr().String()
	dir := filepath.Join(t.TempDir(), "data")
	refused(t, serveCommand(dir, "--bind="+taken), "--bind", taken, "in use by another process")
	refused(t, serveCommand(dir, "--admin="+taken), "--admin", taken, "in use by another process")
	if _, err := os.Stat(dir); err == nil {
		t.Error("the store was touched")
	}
}

func TestServe_FolderLocked(t *testing.T) {
	dir := t.TempDir()
	r := startRelay(t, dir)
	s := r.allocate()
	refused(t, serveCommand(dir), dir, "in use by another process", "choose another folder")
	r.post(s, testEvent("a", 1, 100)) // and the first is unharmed
	// Somebody removes the lock file. The folder itself is locked as well, also
	// under another name.
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, other); err != nil {
		t.Fatal(err)
	}
	refused(t, serveCommand(dir), dir, "in use by another process", "choose another folder")
	refused(t, serveCommand(other), other, "in use by another process", "choose another folder")
	if _, stderr, code := command(t, nil, "verify", "--data-dir="+dir); code != 1 || !strings.Contains(stderr, "is in use by another process: stop the relay first") {
		t.Errorf("verify: exit %d, %s", code, stderr)
	}
	r.post(s, testEvent("a", 2, 100))
	r.stop()
	startRelay(t, dir).stop()
}

// A folder that can't be made, and one that can't be written to.
func TestServe_FolderNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, serveCommand(filepath.Join(file, "data")), "cannot make data folder", "choose another folder")

	// Root may write everywhere, so be another user.
	parent, err := os.MkdirTemp(filepath.Dir(binary), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(parent, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := serveCommand(filepath.Join(parent, "data"))
	cmd.Dir = parent
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	refused(t, cmd, "is not writable", "change its owner or mode")
}

// stored makes a folder with a slot and some events and returns it with the
// relay stopped.
func stored(t *testing.T) (dir string, s slot) {
	t.Helper()
	dir = t.TempDir()
	r, s := startStored(t, dir)
	r.stop()
	return dir, s
}

func startStored(t *testing.T, dir string) (r *relay, s slot) {
	t.Helper()
	r = startRelay(t, dir)
	s = r.allocate()
	for i := range 400 { // more than one block of the log
		r.post(s, testEvent("a", i, 300))
	}
	return r, s
}

// Whatever is missing or damaged, the relay never starts from empty.
func TestServe_CorruptStore(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"marker missing":   func(t *testing.T, dir string) { removeAll(t, dir, "marker.manifest.*") },
		"manifest missing": func(t *testing.T, dir string) { removeAll(t, dir, "MANIFEST-*") },
		"manifest cut":     func(t *testing.T, dir string) { overwriteAll(t, dir, "MANIFEST-*") },
		"logs missing":     func(t *testing.T, dir string) { removeAll(t, dir, "*.log") },
		"log damaged amid": func(t *testing.T, dir string) {
			r, _ := startStored(t, dir)
			r.kill() // a clean stop leaves nothing in it
			damageLog(t, dir)
		},
		"tables missing":     func(t *testing.T, dir string) { removeAll(t, dir, "*.sst") },
		"tables overwritten": func(t *testing.T, dir string) { overwriteAll(t, dir, "*.sst") },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := stored(t)
			damage(t, dir)
			refused(t, serveCommand(dir), "corrupt store", dir, "restore the folder from a backup")
		})
	}
}

func removeAll(t *testing.T, dir, pattern string) {
	eachFile(t, dir, pattern, os.Remove)
}

// overwriteAll leaves the length.
func overwriteAll(t *testing.T, dir, pattern string) {
	eachFile(t, dir, pattern, func(name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, []byte(strings.Repeat("damage! ", int(info.Size())/8+1))[:info.Size()], 0o600)
	})
}

// damageLog overwrites a part of the first event in the log, with others
// behind it.
func damageLog(t *testing.T, dir string) {
	found := false
	eachFile(t, dir, "*.log", func(name string) error {
		data, err := os.ReadFile(name)
		if i := bytes.Index(data, []byte(`{"event_id":"a-0"`)); i >= 0 {
			found = true
			copy(data[i+40:], "damage!")
			return os.WriteFile(name, data, 0o600)
		}
		return err
	})
	if !found {
		t.Fatal("no event in the log")
	}
}

func eachFile(t *testing.T, dir, pattern string, do func(string) error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	for _, name := range names {
		if err := do(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServe_NewerFormat(t *testing.T) {
	dir, _ := stored(t)
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatTableFormatV6, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("mformat"), []byte{99}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, serveCommand(dir), "format version 99", "start a newer cowrelay")
}

type quiet struct{}

func (quiet) Infof(string, ...any)         {}
func (quiet) Errorf(string, ...any)        {}
func (quiet) Fatalf(f string, args ...any) { panic(f) }
