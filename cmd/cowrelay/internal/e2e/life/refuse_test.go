package life

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"github.com/cockroachdb/pebble/v2"
)

// refused runs serve, which must end by itself with status 1, one line that
// says why and what to do, and nothing else on stderr but the log.
func refused(t *testing.T, cmd *exec.Cmd, says ...string) {
	t.Helper()
	out, errs, code := relaytest.Finish(t, cmd)
	if code != 1 || out != "" {
		t.Errorf("exit %d, %q", code, out)
	}
	if n := strings.Count(errs, "cowrelay serve:"); n != 1 || strings.Contains(errs, "goroutine ") {
		t.Errorf("not one clear line:\n%s", errs)
	}
	relaytest.Contains(t, errs, says...)
}

func serveCommand(dir string, args ...string) *exec.Cmd {
	return relaytest.New(nil, dir, args...).Cmd
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
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	refused(t, serveCommand(dir), dir, "in use by another process", "choose another folder")
	r.Post(s, relaytest.Event("a", 1, 100)) // and the first is unharmed
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
	if _, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir); code != 1 || !strings.Contains(stderr, "is in use by another process: stop the relay first") {
		t.Errorf("verify: exit %d, %s", code, stderr)
	}
	r.Post(s, relaytest.Event("a", 2, 100))
	r.Stop()
	relaytest.Start(t, dir).Stop()
}

// A folder that can't be made, and one that can't be written to.
func TestServe_FolderNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, serveCommand(filepath.Join(file, "data")), "cannot make data folder", "choose another folder")

	// Root may write everywhere, so be another user.
	parent, err := os.MkdirTemp(filepath.Dir(relaytest.Binary), "")
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

// Whatever is missing or damaged, the relay never starts from empty.
func TestServe_CorruptStore(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"marker missing":     func(t *testing.T, dir string) { removeAll(t, dir, "marker.manifest.*") },
		"manifest missing":   func(t *testing.T, dir string) { removeAll(t, dir, "MANIFEST-*") },
		"manifest cut":       func(t *testing.T, dir string) { overwriteAll(t, dir, "MANIFEST-*") },
		"logs missing":       func(t *testing.T, dir string) { removeAll(t, dir, "*.log") },
		"tables missing":     func(t *testing.T, dir string) { removeAll(t, dir, "*.sst") },
		"tables overwritten": func(t *testing.T, dir string) { overwriteAll(t, dir, "*.sst") },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := relaytest.Stored(t)
			damage(t, dir)
			refused(t, serveCommand(dir), "corrupt store", dir, "restore the folder from a backup")
		})
	}
}

func removeAll(t *testing.T, dir, pattern string) {
	relaytest.EachFile(t, dir, pattern, os.Remove)
}

// overwriteAll leaves the length.
func overwriteAll(t *testing.T, dir, pattern string) {
	relaytest.EachFile(t, dir, pattern, func(name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, []byte(strings.Repeat("damage! ", int(info.Size())/8+1))[:info.Size()], 0o600)
	})
}

func TestServe_NewerFormat(t *testing.T) {
	dir, _ := relaytest.Stored(t)
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
