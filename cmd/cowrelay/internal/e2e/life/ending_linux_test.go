package life

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A disk that hangs for ever does not keep a relay from its end: behind the
// drain's timeout it says what hangs, and what was acknowledged is there.
func TestEnding_DiskHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// In the drain's time all that does not hang has to end, on a busy machine too.
	r, trap := relaytest.StartTrapped(t, dir, "--drain-timeout=5s", "--drain-delay=0s")
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	st := relaytest.MustStream(r, s, "")
	release := trap.HoldSyncs()
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		if res, _, err := s.Send(relaytest.HTTPClient, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 300))); err == nil && res.StatusCode < 500 {
			t.Errorf("answered %s", res.Status)
		}
	}()
	trap.Await(t)
	r.Signal(syscall.SIGTERM)
	endsWithRetry(t, st) // what does not hang ends as ever
	line := r.AwaitLog("the relay has not ended in time: ending at once")
	relaytest.Contains(t, line["goroutines"].(string), "cowrelay/cow.(*Store).Close", `"relay":"end"`)
	release() // the thread that the trap holds can't end
	if code := r.Wait(2 * time.Minute); code != 1 {
		t.Errorf("exit %d", code)
	}
	<-posted
	r = relaytest.Start(t, dir)
	if events := r.Pull(s, ""); len(events) < 1 || relaytest.EventID(events[0]) != "a-0" {
		t.Errorf("%s", events)
	}
	r.Stop()
}

// A configuration that blocks, here a FIFO without a writer, makes a relay deaf
// neither to requests nor to signals, and is taken when it comes.
func TestEnding_ConfigurationBlocks(t *testing.T) {
	t.Parallel()
	fifo := configFIFO(t)
	writeFIFO(t, fifo, "max-slots = 1\n")
	r := relaytest.Start(t, t.TempDir(), "--config", fifo)
	r.Allocate()
	allocate := func(want int) {
		t.Helper()
		res, err := http.Post(r.URL+"/v1/slot/allocate", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("allocate: %d, not %d", res.StatusCode, want)
		}
	}
	allocate(http.StatusServiceUnavailable)
	r.Signal(syscall.SIGHUP)
	r.AwaitLog("the configuration is still being read: does its file, or that of the admin token, block?")
	allocate(http.StatusServiceUnavailable)
	r.Signal(syscall.SIGHUP) // both of these are one more reading
	r.Signal(syscall.SIGHUP)
	writeFIFO(t, fifo, "max-slots = 2\n")
	r.AwaitLog("configuration reloaded")
	allocate(http.StatusCreated)
	writeFIFO(t, fifo, "max-slots = 3\n")
	for deadline := time.Now().Add(2 * time.Minute); r.Metric("cowrelay_slots_max") != 3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not read again:\n%s", r.Log.String())
		}
	}
	r.Signal(syscall.SIGHUP)
	time.Sleep(50 * time.Millisecond) // so that it is most likely being read
	r.Stop()
}

// While a start waits for its configuration, signals end it.
func TestEnding_ConfigurationBlocksAtStart(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		r := relaytest.New(t, t.TempDir(), "--config", configFIFO(t)).Launch()
		select {
		case <-r.Exited:
			t.Fatalf("it ended:\n%s", r.Log.String())
		case <-time.After(200 * time.Millisecond):
		}
		r.Signal(sig)
		r.Wait(2 * time.Minute)
	}
}

func configFIFO(t *testing.T) string {
	t.Helper()
	name := t.TempDir() + "/cowrelay.toml"
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// writeFIFO gives a text to the next reader of the FIFO.
func writeFIFO(t *testing.T, name, text string) {
	t.Helper()
	wrote := make(chan error, 1)
	go func() { wrote <- writeFile(name, text) }()
	t.Cleanup(func() {
		select {
		case err := <-wrote:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * time.Minute):
			t.Error("nobody reads the FIFO")
		}
	})
}

func writeFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// A service manager that does not read holds up neither the start nor the end.
func TestEnding_ManagerDoesNotRead(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	address := &net.UnixAddr{Name: dir + "/s", Net: "unixgram"}
	manager, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	full, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for err = nil; err == nil; _, err = full.Write([]byte("x")) {
		full.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	}
	t.Setenv("NOTIFY_SOCKET", address.Name)
	t.Setenv("WATCHDOG_USEC", "400000")
	r := relaytest.Start(t, t.TempDir())
	r.Post(r.Allocate(), relaytest.Event("a", 0, 300))
	r.Reload("configuration reloaded")
	r.AwaitLog("cannot tell the service manager")
	r.AwaitLog("cannot tell the service manager: it does not read")
	r.Stop()
}
