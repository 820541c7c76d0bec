package life

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The data folder is its owner's alone, whatever the umask, through flushes,
// new logs and restarts.
func TestPrivate_Modes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	for round := range 2 {
		r := relaytest.New(t, dir, "--memory-budget=32MiB")
		env := r.Cmd.Env
		r.Cmd = exec.Command("sh", append([]string{"-c", `umask 000; exec "$@"`, "sh"}, r.Cmd.Args...)...)
		r.Cmd.Env = env
		r.Start()
		s := r.Allocate()
		for i := range 60 { // several memtables
			r.Post(s, relaytest.Event("a", i, 200_000))
		}
		checkModes(t, dir)
		if round == 0 {
			r.Kill()
		} else {
			r.Stop()
		}
		checkModes(t, dir)
	}
}

func checkModes(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // a log or table that had its day
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		// A file gets its mode just behind its creation. Until then the folder keeps
		// others out.
		for end := time.Now().Add(time.Minute); info.Mode().Perm() != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
			if info, err = os.Lstat(name); os.IsNotExist(err) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", name, got, want)
		}
		return nil
	})
	if err != nil || files < 4 {
		t.Errorf("%d files: %v", files, err)
	}
}

// No token is ever logged or stored, with everything logged and on all routes,
// whether it is right or wrong.
func TestPrivate_Tokens(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--log-level=debug", "--access-log")
	s := r.Allocate()
	const wrong = "a-token-that-is-not-this-slots-one"
	other := relaytest.Slot{ID: s.ID, Token: wrong}
	r.Post(s, relaytest.Event("a", 0, 300))
	r.Pull(s, "")
	relaytest.MustStream(r, s, "").Conn.Close()
	for _, c := range []struct {
		method, path, body string
		status             int // for the right token
	}{
		{"GET", "/v1/slot/" + s.ID + "/state", "", 200},
		{"POST", "/v1/slot/" + s.ID + "/responder-health", `{"status":"ok","set_at":"now"}`, 200},
		{"POST", "/v1/slot/" + s.ID + "/responder-health", `{`, 400},
		{"GET", "/v1/events/" + s.ID + "?limit=-1", "", 400},
		{"POST", "/v1/events/" + s.ID, `{"event":{}`, 400},
		{"PUT", "/v1/events/" + s.ID, `{}`, 405},
		{"GET", "/v1/events/0123456789abcdef0123456789abcdef", "", 404},
		{"GET", "/nothing", "", 404},
		{"DELETE", "/v1/slot/" + s.ID, "", 204},
	} {
		var body []byte
		if c.body != "" {
			body = []byte(c.body)
		}
		right := s
		if c.method == "DELETE" {
			right = s.AsOwner()
		}
		for _, as := range []relaytest.Slot{other, right} {
			res, text, err := as.Send(relaytest.HTTPClient, c.method, r.URL+c.path, body)
			if err != nil {
				t.Fatal(err)
			}
			if as.Token == right.Token && res.StatusCode != c.status || as.Token == wrong && res.StatusCode < 400 {
				t.Errorf("%s %s: %s %s", c.method, c.path, res.Status, text)
			}
		}
	}
	kept := r.Allocate()
	r.Post(kept, relaytest.Event("kept", 0, 300))
	// What is no request at all, with a token in it.
	broken, err := http.NewRequest("GET", r.URL+"/v1/events/"+s.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	broken.Header.Set("Authorization", "Bearer "+s.Token)
	broken.Header.Set("X-Filler", string(bytes.Repeat([]byte{'x'}, 20_000)))
	if res, err := relaytest.HTTPClient.Do(broken); err == nil {
		res.Body.Close()
	}
	secrets := []string{s.Token, s.Owner, wrong, kept.Token, kept.Owner}
	inFolder(t, dir, secrets, `"event_id":"kept-0"`) // while it runs
	r.Stop()
	inFolder(t, dir, secrets, `"event_id":"kept-0"`)
	log := r.Log.String()
	relaytest.Contains(t, log, `"msg":"request"`, s.ID, `"level":"DEBUG"`)
	for _, secret := range secrets {
		if bytes.Contains([]byte(log), []byte(secret)) {
			t.Errorf("a token is in the log:\n%s", log)
		}
	}
}

// inFolder fails if a file holds one of the secrets, or none holds the proof
// that this would be found.
func inFolder(t *testing.T, dir string, secrets []string, proof string) {
	t.Helper()
	proven := false
	look := func(name string) error {
		data, err := os.ReadFile(name)
		if info, serr := os.Stat(name); serr == nil && info.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		proven = proven || bytes.Contains(data, []byte(proof))
		for _, s := range secrets {
			if bytes.Contains(data, []byte(s)) {
				return fmt.Errorf("%s holds a token", name)
			}
		}
		return nil
	}
	relaytest.EachFile(t, dir, "*", look)
	relaytest.EachFile(t, filepath.Join(dir, "log"), "*", look)
	if !proven {
		t.Errorf("no file holds %s", proof)
	}
}
