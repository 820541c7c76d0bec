package life

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// startFew starts a relay that may have so many files open.
func startFew(t testing.TB, limit int, dir string, args ...string) *relaytest.Relay {
	t.Helper()
	r := relaytest.New(t, dir, args...)
	r.Cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), relaytest.Binary}, r.Cmd.Args[1:]...)
	var err error
	if r.Cmd.Path, err = exec.LookPath("sh"); err != nil {
		t.Fatal(err)
	}
	return r.Start()
}

// A relay with 64 descriptors serves while clients and operators' connections
// take all that there are: its store flushes and compacts, what is open stays
// open, and what it acknowledged is there afterwards.
func TestOpenFiles_Eighty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Memtables of 2 MiB: the store flushes often.
	r := startFew(t, 64, dir, "--memory-budget=32MiB")
	if line := r.Logged("connections limited by open files"); line == nil || line["limit"] != 64.0 || !strings.Contains(line["do"].(string), "ulimit -n") {
		t.Errorf("the log does not tell: %v", line)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			return d.DialContext(ctx, network, addr)
		}}}
	s := r.Allocate()
	st := relaytest.MustStream(r, s, "from the beginning")
	hold := func() {
		for _, url := range []string{r.URL, r.AdminURL} {
			for range 60 {
				c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
			}
		}
	}
	slots := []relaytest.Slot{s}
	for range 9 {
		slots = append(slots, r.Allocate())
	}
	pad := make([]byte, 100_000)
	n := 0
	for round := range 10 {
		hold()
		for range 30 {
			for i := range pad { // tables don't shrink it
				pad[i] = byte('a' + rand.IntN(26))
			}
			event := fmt.Sprintf(`{"event_id":"e-%d","pad":"%s"}`, n, pad)
			into := slots[n%len(slots)]
			res, body, err := into.Send(client, "POST", r.EventsURL(into), relaytest.PostBody([]byte(event)))
			if err != nil || res.StatusCode != http.StatusCreated {
				t.Fatalf("round %d, post %d: %v, %v %s\n%s", round, n, err, res, body, r.Log.String())
			}
			n++
		}
		for _, url := range []string{r.URL + "/healthz", r.AdminURL + "/healthz", r.AdminURL + "/metrics"} {
			res, err := client.Get(url)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("round %d: %s: %v, %v", round, url, err, res)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		// Slots that have left memory are read back.
		from := slots[1+round%(len(slots)-1)]
		if res, body, err := from.Send(client, "GET", r.EventsURL(from)+"?limit=1", nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("round %d: a pull: %v, %v %s", round, err, res, body)
		}
	}
	for i := 0; i < n; i += len(slots) {
		if ev, err := st.Next(); err != nil || ev.ID != fmt.Sprintf("e-%d", i) {
			t.Fatalf("the stream: %v, %v", ev, err)
		}
	}
	if strings.Contains(r.Log.String(), `"level":"ERROR"`) {
		t.Errorf("errors:\n%s", r.Log.String())
	}
	newest := 0 // files are numbered as they are made
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	for _, path := range tables {
		if n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".sst")); n > newest {
			newest = n
		}
	}
	if err != nil || newest < 20 || len(tables) > newest/2 {
		t.Errorf("the store has hardly flushed or compacted: %v, %v", tables, err)
	}
	r.Signal(syscall.SIGTERM)
	if code := r.Wait(30 * time.Second); code != 0 {
		t.Errorf("exit %d:\n%s", code, r.Log.String())
	}
	if out, errs, code := relaytest.Command(t, nil, "verify", "--data-dir", dir); code != 0 || !strings.Contains(out+errs, strconv.Itoa(n)) {
		t.Errorf("verify: exit %d: %s%s", code, out, errs)
	}
}

// Beyond what files allow a connection is turned away or makes room; the process
// goes on, whatever the number.
func TestOpenFiles_Clamped(t *testing.T) {
	t.Parallel()
	r := startFew(t, 400, t.TempDir(), "--max-connections=1000")
	line := r.Logged("connections limited by open files")
	if line == nil || line["configured"] != 1000.0 {
		t.Fatalf("the log does not tell: %v", line)
	}
	for range 600 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	c, done := relaytest.NewClient()
	defer done()
	res, err := c.Get(r.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	relaytest.Contains(t, string(text), fmt.Sprintf("cowrelay_http_connections_max %v\n", line["connections"]), "\nprocess_max_fds 400\n",
		`cowrelay_http_accept_errors_total{listener="public",error="emfile"} 0`)
	r.Stop()
}

func TestOpenFiles_TooFew(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"serve --bind=127.0.0.1:0 --admin=127.0.0.1:0 --data-dir=" + t.TempDir(), "check-config"} {
		cmd := exec.Command("sh", append([]string{"-c", `ulimit -n 40; exec "$0" "$@"`, relaytest.Binary}, strings.Fields(args)...)...)
		cmd.Env = relaytest.CleanEnv()
		_, errs, code := relaytest.Finish(t, cmd)
		if code != 1 {
			t.Errorf("%s: exit %d", args, code)
		}
		relaytest.Contains(t, errs, "limit of open files is 40", "at least", "ulimit -n")
	}
	cmd := exec.Command("sh", "-c", `ulimit -n 1024; exec "$0" "$@"`, relaytest.Binary, "check-config")
	cmd.Env = relaytest.CleanEnv()
	out, _, code := relaytest.Finish(t, cmd)
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, out, "# connections limited by open files: ", " of 60000. The limit is 1024;", "configuration ok")
	if !bytes.HasSuffix([]byte(out), []byte("configuration ok\n")) {
		t.Error("the last line has changed")
	}
}
