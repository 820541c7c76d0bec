package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaitLog waits until the log has a message, and returns its line.
func (r *relay) awaitLog(message string) map[string]any {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if line := r.logged(message); line != nil {
			return line
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the relay does not say %q:\n%s", message, r.log.String())
		}
	}
}

// A disk that hangs for ever does not keep a relay from its end: behind the
// drain's timeout it says what hangs, and what was acknowledged is there.
func TestEnding_DiskHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, trap := startTrapped(t, dir, "--drain-timeout=500ms", "--drain-delay=0s")
	s := r.allocate()
	r.post(s, testEvent("a", 0, 300))
	st := mustStream(r, s, "")
	release := trap.holdSyncs()
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		if res, _, err := s.send(httpClient, "POST", r.eventsURL(s), postBody(testEvent("a", 1, 300))); err == nil && res.StatusCode < 500 {
			t.Errorf("answered %s", res.Status)
		}
	}()
	trap.await(t)
	r.signal(syscall.SIGTERM)
	endsWithRetry(t, st) // what does not hang ends as ever
	line := r.awaitLog("the relay has not ended in time: ending at once")
	contains(t, line["goroutines"].(string), "cowrelay/cow.(*Store).Close", `"relay":"end"`)
	release() // the thread that the trap holds can't end
	if code := r.wait(30 * time.Second); code != 1 {
		t.Errorf("exit %d", code)
	}
	<-posted
	r = startRelay(t, dir)
	if events := r.pull(s, ""); len(events) < 1 || eventID(events[0]) != "a-0" {
		t.Errorf("%s", events)
	}
	r.stop()
}

// A configuration that blocks, here a FIFO without a writer, makes a relay deaf
// neither to requests nor to signals, and is taken when it comes.
func TestEnding_ConfigurationBlocks(t *testing.T) {
	t.Parallel()
	fifo := configFIFO(t)
	writeFIFO(t, fifo, "max-slots = 1\n")
	r := startRelay(t, t.TempDir(), "--config", fifo)
	r.allocate()
	allocate := func(want int) {
		t.Helper()
		res, err := http.Post(r.url+"/v1/slot/allocate", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("allocate: %d, not %d", res.StatusCode, want)
		}
	}
	allocate(http.StatusServiceUnavailable)
	r.signal(syscall.SIGHUP)
	r.awaitLog("the configuration is still being read: does its file, or that of the admin token, block?")
	allocate(http.StatusServiceUnavailable)
	r.signal(syscall.SIGHUP) // both of these are one more reading
	r.signal(syscall.SIGHUP)
	writeFIFO(t, fifo, "max-slots = 2\n")
	r.awaitLog("configuration reloaded")
	allocate(http.StatusCreated)
	writeFIFO(t, fifo, "max-slots = 3\n")
	for deadline := time.Now().Add(30 * time.Second); r.metric("cowrelay_slots_max") != 3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not read again:\n%s", r.log.String())
		}
	}
	r.signal(syscall.SIGHUP)
	time.Sleep(50 * time.Millisecond) // so that it is most likely being read
	r.stop()
}

// While a start waits for its configuration, signals end it.
func TestEnding_ConfigurationBlocksAtStart(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		r := newRelay(t, t.TempDir(), "--config", configFIFO(t)).launch()
		select {
		case <-r.exited:
			t.Fatalf("it ended:\n%s", r.log.String())
		case <-time.After(200 * time.Millisecond):
		}
		r.signal(sig)
		r.wait(30 * time.Second)
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

// writeFIFO gives a text to the next who reads the FIFO.
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
		case <-time.After(30 * time.Second):
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
	r := startRelay(t, t.TempDir())
	r.post(r.allocate(), testEvent("a", 0, 300))
	r.hup("configuration reloaded")
	r.awaitLog("cannot tell the service manager")
	r.awaitLog("cannot tell the service manager: it does not read")
	r.stop()
}
