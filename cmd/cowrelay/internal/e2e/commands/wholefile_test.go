package commands

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// liar is a server that refuses everything with an error of its own.
func liar(t *testing.T, says string) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"%s"}`, strings.ReplaceAll(says, "\x1b", `\u001b`))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func lstat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// An export replaces regular files alone: links stay and are followed, and what
// is something else is written to.
func TestExport_OutKinds(t *testing.T) {
	f := relaytest.Fill(t, 2, 5, 200)
	want, _, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir)
	if code != 0 || len(want) == 0 {
		t.Fatalf("exit %d", code)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	export := func(out string) (stdout string) {
		t.Helper()
		stdout, stderr, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir, "--out="+out)
		if code != 0 {
			t.Errorf("--out %s: exit %d, %s", out, code, stderr)
		}
		return stdout
	}
	holds := func(path string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil || string(text) != want {
			t.Errorf("%s: %v, %d bytes", path, err, len(text))
		}
		if info := lstat(t, path); info.Mode() != 0o600 {
			t.Errorf("%s: %v", path, info.Mode())
		}
	}

	// A file, and what lies where the name of its part could be guessed.
	must(os.WriteFile(at("victim"), []byte("mine"), 0o644))
	must(os.Symlink("victim", at("file.partial")))
	must(os.WriteFile(at("file"), []byte("old"), 0o644))
	export(at("file"))
	holds(at("file"))
	if text, err := os.ReadFile(at("victim")); err != nil || string(text) != "mine" {
		t.Errorf("the file that a prepared link points at holds %.20q, %v", text, err)
	}

	// Links: to a file, to nothing, over another link from another folder.
	must(os.Mkdir(at("sub"), 0o700))
	must(os.WriteFile(at("sub/target"), []byte("old"), 0o600))
	must(os.Symlink("sub/target", at("link")))
	must(os.Symlink("new", at("sub/dangling")))
	must(os.Symlink(at("sub/dangling"), at("far")))
	export(at("link"))
	export(at("far"))
	holds(at("sub/target"))
	holds(at("sub/new"))

	// Standard output by a name, a FIFO, a device.
	must(os.Symlink("/proc/self/fd/1", at("stdout")))
	if _, err := os.Stat("/proc/self/fd/1"); err == nil {
		if got := export(at("stdout")); got != want {
			t.Errorf("%d bytes on standard output", len(got))
		}
	}
	must(syscall.Mkfifo(at("fifo"), 0o600))
	read := make(chan string, 1)
	go func() {
		text, _ := os.ReadFile(at("fifo"))
		read <- string(text)
	}()
	export(at("fifo"))
	if lstat(t, at("fifo")).Mode().Type() != fs.ModeNamedPipe {
		t.Error("the FIFO is one no more")
	}
	select {
	case got := <-read:
		if got != want {
			t.Errorf("%d bytes in the FIFO", len(got))
		}
	case <-time.After(2 * time.Minute):
		t.Error("nothing came through the FIFO")
	}
	must(os.Symlink("/dev/null", at("null")))
	export(at("null"))
	for name, was := range map[string]fs.FileMode{"link": fs.ModeSymlink, "far": fs.ModeSymlink, "sub/dangling": fs.ModeSymlink, "stdout": fs.ModeSymlink, "null": fs.ModeSymlink} {
		if info := lstat(t, at(name)); info.Mode().Type() != was {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
	if names, _ := filepath.Glob(at("*.partial")); len(names) != 1 { // the link
		t.Errorf("left: %q", names)
	}
	if _, stderr, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir, "--out="+at("sub")); code != 1 || !strings.Contains(stderr, "is a folder") {
		t.Errorf("a folder: exit %d, %s", code, stderr)
	}
}

// A profile is written whole into a folder that is its owner's, whatever lies
// prepared there; and read from nowhere else.
func TestUse_ProfileIsOurs(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	dir := strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR=")
	path := filepath.Join(dir, "default.json")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	victim := relaytest.WriteTemp(t, "mine")
	if err := os.Chmod(victim, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path+".partial"); err != nil {
		t.Fatal(err)
	}
	cmd := u.command("slot", "new", "--save=default")
	cmd.Args = append([]string{"sh", "-c", `umask 0; exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	if _, errs, code := relaytest.Finish(t, cmd); code != 0 {
		t.Fatalf("exit %d, %s", code, errs)
	}
	if info := lstat(t, path); info.Mode() != 0o600 {
		t.Errorf("the profile is %v", info.Mode())
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "mine" {
		t.Errorf("the file that a prepared link points at holds %.20q, %v", text, err)
	}
	u.run(0, "", "slot", "state")

	refuses := func(what, says string) {
		t.Helper()
		_, errs := u.run(1, "", "slot", "state")
		relaytest.Contains(t, errs, says)
		if _, errs, code := relaytest.Finish(t, u.command("slot", "new", "--save=other")); strings.HasPrefix(what, "folder") && (code != 1 || !strings.Contains(errs, says)) {
			t.Errorf("%s: a new profile: exit %d, %s", what, code, errs)
		}
		os.Remove(filepath.Join(dir, "other.json"))
	}
	for _, mode := range []fs.FileMode{0o777, 0o770} {
		os.Chmod(dir, mode)
		refuses("folder that others can write to", "others can write to "+dir)
	}
	os.Chmod(dir, 0o700)
	if os.Geteuid() == 0 {
		os.Chown(path, 65534, -1)
		refuses("file", path+" belongs to another user (65534)")
		os.Chown(path, 0, -1)
		os.Chown(dir, 65534, -1)
		refuses("folder of another user", dir+" belongs to another user (65534)")
		os.Chown(dir, 0, -1)
	}
	u.run(0, "", "slot", "state")
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses("fifo", "is no regular file")
}
