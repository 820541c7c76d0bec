//go:build real

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Streams are read by clients that are not ours, while the relay is restarted
// under them: each gets every event once, in the order of the slot.

// foreign is where make test-real installs Python and Node.js packages.
const foreign = "../../.cache/foreign"

func foreignPath(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join(foreign, path))
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		t.Fatalf("%v: make test-real installs it", err)
	}
	return abs
}

// reader is what one foreign client has read.
type reader struct {
	t    *testing.T
	name string
	mu   sync.Mutex
	bad  bool
	seen atomic.Int64
	errs lockedBuffer
}

// got notes an event, which must be the next one.
func (c *reader) got(id, data string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := int(c.seen.Load())
	if want := string(testEvent("e", n, 200)); data != want || id != fmt.Sprintf("e-%d", n) {
		if !c.bad { // all that follows is wrong too
			c.t.Errorf("%s: event %d is %q %.80q", c.name, n, id, data)
		}
		c.bad = true
	}
	c.seen.Add(1)
}

// run starts a client that lives until the test ends, and reconnects itself.
func (c *reader) run(cmd *exec.Cmd) {
	c.t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Stderr = &c.errs
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e struct{ ID, Data string }
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				c.t.Errorf("%s says %q", c.name, lines.Bytes())
			}
			c.got(e.ID, e.Data)
		}
	}()
	c.t.Cleanup(func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait()
	})
}

// curl runs curl again and again, each time behind the last whole frame.
func (c *reader) curl(url, token string, stop <-chan struct{}) {
	last := ""
	for {
		cmd := exec.Command("curl", "-sSN", url, "-H", "Authorization: Bearer "+token, "-H", "Last-Event-ID: "+last)
		out, err := cmd.StdoutPipe()
		cmd.Stderr = &c.errs
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			c.t.Error(err)
			return
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			st := &stream{r: bufio.NewReader(out)}
			for {
				lines, err := st.block()
				if err != nil { // a frame that was cut is none
					return
				}
				var e event
				for _, l := range lines {
					if id, ok := strings.CutPrefix(l, "id: "); ok {
						e.id = id
					}
					if data, ok := strings.CutPrefix(l, "data: "); ok {
						e.data = data
					}
				}
				if e.data != "" {
					last = e.id
					c.got(e.id, e.data)
				}
			}
		}()
		select {
		case <-ended:
			cmd.Wait()
		case <-stop:
			cmd.Process.Kill()
			<-ended
			cmd.Wait()
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond): // as a client backs off
		}
	}
}

func TestReal_ForeignClientsOverRestarts(t *testing.T) {
	t.Parallel()
	python, modules := foreignPath(t, "venv/bin/python"), foreignPath(t, "node_modules")
	dir := t.TempDir()
	r := startRelay(t, dir)
	s := r.allocate()
	// The id is nobody's: a stream begins with the oldest event.
	url, address := r.eventsURL(s)+"/stream?since=none", strings.TrimPrefix(r.url, "http://")

	// One event after the other; what was not answered is sent again.
	var posted atomic.Int64
	var enough atomic.Bool
	poster := make(chan struct{})
	go func() {
		defer close(poster)
		for n := 0; !enough.Load(); time.Sleep(5 * time.Millisecond) {
			res, _, err := s.send(httpClient, "POST", "http://"+address+"/v1/events/"+s.ID, postBody(testEvent("e", n, 200)))
			if err == nil && (res.StatusCode == 201 || res.StatusCode == 200) {
				n++
				posted.Store(int64(n))
			}
		}
	}()
	defer func() {
		enough.Store(true)
		<-poster
	}()

	var readers []*reader
	client := func(name string) *reader {
		c := &reader{t: t, name: name}
		readers = append(readers, c)
		return c
	}
	curl, stop, stopped := client("curl"), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		curl.curl(url, s.Token, stop)
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	for _, cmd := range []*exec.Cmd{
		exec.Command(python, "testdata/foreign/stream.py", url),
		exec.Command("node", "testdata/foreign/stream.mjs", url),
	} {
		cmd.Env = append(os.Environ(), "TOKEN="+s.Token, "MODULES="+filepath.Dir(modules))
		client(filepath.Base(cmd.Path)).run(cmd)
	}
	await := func(n int64) {
		t.Helper()
		for end := time.Now().Add(90 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			behind := ""
			for _, c := range readers {
				if seen := c.seen.Load(); seen < n {
					behind += fmt.Sprintf("\n%s has %d events, want %d: %s", c.name, seen, n, c.errs.String())
				}
			}
			if behind == "" {
				return
			}
			if time.Now().After(end) || t.Failed() {
				t.Fatal(behind)
			}
		}
	}
	await(50)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		r.signal(sig)
		r.wait(20 * time.Second)
		r = startRelay(t, dir, "--bind="+address)
		await(posted.Load() + 20)
		t.Logf("%v: %d events", sig, posted.Load())
	}
	enough.Store(true)
	<-poster
	await(posted.Load())
	for _, c := range readers {
		if n, total := c.seen.Load(), len(r.pull(s, "")); n != int64(total) {
			t.Errorf("%s has %d events, the slot %d", c.name, n, total)
		}
	}
}
