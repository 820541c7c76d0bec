//go:build real

package outside

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

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Streams are read by clients that are not ours, while the relay is restarted
// under them: each gets every event once, in the order of the slot.

// foreign is where make test-real installs Python and Node.js packages.
const foreign = "../../../../../.cache/foreign"

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

// readEvent is one event as a client showed it to its user.
type readEvent struct{ ID, Data string }

// reader is what one foreign client has read.
type reader struct {
	t    *testing.T
	name string
	mu   sync.Mutex
	list []readEvent
	seen atomic.Int64 // one more than the highest number
	errs relaytest.Buffer
}

// got notes an event.
func (c *reader) got(e readEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, e)
	var event struct{ N *int64 }
	if json.Unmarshal([]byte(e.Data), &event) != nil || event.N == nil {
		c.t.Errorf("%s shows something that is not an event: %q", c.name, e)
		return
	}
	c.seen.Store(max(c.seen.Load(), *event.N+1))
}

// check compares what was read with what the slot has. A client that comes back
// begins behind the last id that it saw. Events behind that one without an id are
// shown again, once for each time that the relay ended.
func (c *reader) check(slot []json.RawMessage, ends int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	next, behind, last := 0, 0, "" // behind is where the client would resume
	for i, e := range c.list {
		if next >= len(slot) || e.Data != string(slot[next]) {
			if ends--; ends < 0 || e.Data != string(slot[behind]) {
				c.t.Errorf("%s: event %d is %q, want position %d of %d", c.name, i, e, next, len(slot))
				return
			}
			next = behind
		}
		next++
		if id := lineID(slot[next-1]); id != "" {
			behind, last = next, id
			if e.ID != id {
				c.t.Errorf("%s: event %d has id %q, want %q", c.name, i, e.ID, id)
			}
		} else if e.ID != "" && e.ID != last { // some tell the last one that came
			c.t.Errorf("%s: event %d has id %q, and was told none since %q", c.name, i, e.ID, last)
		}
	}
	if next != len(slot) {
		c.t.Errorf("%s has %d of %d events", c.name, next, len(slot))
	}
}

// lineID is the id that the frame of an event has a line for.
func lineID(event []byte) string {
	var e struct {
		ID string `json:"event_id"`
	}
	if json.Unmarshal(event, &e) != nil || strings.TrimSpace(e.ID) != e.ID || strings.ContainsAny(e.ID, "\x01\x7f") {
		return ""
	}
	return e.ID
}

// oddEvent is the n-th event: one of two has an id that clients can't say in a
// header, or none.
func oddEvent(n int) []byte {
	ids := []string{
		`"event_id":"e-%d",`, "", `"event_id":"e-%d",`, `"event_id":"a-%d ",`, `"event_id":"e-%d",`, `"event_id":"\u0001x-%d",`,
		`"event_id":" a-%d",`, `"event_id":"e-%d",`, `"event_id":"x-%d\u007f",`,
	}
	switch id := ids[n%len(ids)]; {
	case n%90 == 7: // an id occurs once a slot, so these do
		return fmt.Appendf(nil, `{"event_id":"%s","n":%d}`, strings.Repeat(" ", n/90), n)
	case id == "":
		return fmt.Appendf(nil, `{"n":%d}`, n)
	default:
		return fmt.Appendf(nil, `{`+id+`"n":%d}`, n, n)
	}
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
			var e readEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				c.t.Errorf("%s says %q", c.name, lines.Bytes())
			}
			c.got(e)
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
			st := &relaytest.Stream{R: bufio.NewReader(out)}
			for {
				lines, err := st.Block()
				if err != nil { // a frame that was cut is none
					return
				}
				var e relaytest.StreamedEvent
				for _, l := range lines {
					if id, ok := strings.CutPrefix(l, "id: "); ok {
						e.ID = id
					}
					if data, ok := strings.CutPrefix(l, "data: "); ok {
						e.Data = data
					}
				}
				if e.Data != "" {
					if e.ID != "" {
						last = e.ID
					}
					c.got(readEvent{e.ID, e.Data})
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

// startClients starts all foreign clients that are programs.
func startClients(t *testing.T, url string, s relaytest.Slot, more ...string) (readers []*reader) {
	t.Helper()
	python, modules := foreignPath(t, "venv/bin/python"), foreignPath(t, "node_modules")
	for _, args := range [][]string{
		{python, "stream.py"}, {python, "stream_requests.py"}, {"node", "stream.mjs"}, {"node", "stream_undici.mjs"},
		append([]string{python, "stream_requests.py"}, more...),
	} {
		if len(more) == 0 && len(readers) == 4 {
			break
		}
		cmd := exec.Command(args[0], append([]string{"testdata/foreign/" + args[1], url}, args[2:]...)...)
		cmd.Env = append(os.Environ(), "TOKEN="+s.Token, "MODULES="+filepath.Dir(modules))
		c := &reader{t: t, name: strings.Join(args[1:], " ")}
		readers = append(readers, c)
		c.run(cmd)
	}
	curl, stop, stopped := &reader{t: t, name: "curl"}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		curl.curl(url, s.Token, stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return append(readers, curl)
}

// await waits for all to have seen the first n events.
func await(t *testing.T, n int64, readers []*reader) {
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

// browse reads a stream with a browser's EventSource, of a page of the relay's
// own. It can't send a token, so every request of the tab is given it.
func browse(t *testing.T, page, url string, s relaytest.Slot) *reader {
	t.Helper()
	c, b := &reader{t: t, name: "the browser"}, startBrowser(t)
	b.open(page)
	_, err := chromedp.Call(b.ctx, network.SetExtraHTTPHeaders,
		network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Authorization": "Bearer " + s.Token}})
	b.must(err)
	eval[bool](b, fmt.Sprintf(`(() => {
		window.got = [];
		window.source = new EventSource(%q);
		source.onmessage = (event) => got.push({id: event.lastEventId, data: event.data});
		return true;
	})()`, url))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
				`source.readyState === EventSource.CLOSED ? "closed" : JSON.stringify(got.splice(0))`))
			if t.Context().Err() != nil { // the test is over, and the browser ends
				return
			}
			var list []readEvent
			if err != nil || json.Unmarshal([]byte(text), &list) != nil {
				_, complaints := b.took()
				t.Errorf("the browser: %q, %v; it says %q", text, err, complaints)
				return
			}
			for _, e := range list {
				c.got(e)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return c
}

func TestReal_ForeignClientsOverRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	// The id is nobody's: a stream begins with the oldest event.
	url, address := r.EventsURL(s)+"/stream?since=none", strings.TrimPrefix(r.URL, "http://")

	// One event after the other; what was not answered is sent again.
	var posted atomic.Int64
	var enough atomic.Bool
	poster := make(chan struct{})
	go func() {
		defer close(poster)
		for n := 0; !enough.Load(); time.Sleep(40 * time.Millisecond) {
			res, _, err := s.Send(relaytest.HTTPClient, "POST", "http://"+address+"/v1/events/"+s.ID, relaytest.PostBody(oddEvent(n)))
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
	readers := append(startClients(t, url, s), browse(t, r.URL+"/healthz", url, s))
	await(t, 50, readers)
	ends := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}
	for _, sig := range ends {
		r.Signal(sig)
		r.Wait(20 * time.Second)
		r = relaytest.Start(t, dir, "--bind="+address)
		await(t, posted.Load()+20, readers)
		t.Logf("%v: %d events", sig, posted.Load())
	}
	enough.Store(true)
	<-poster
	await(t, posted.Load(), readers)
	var slot []json.RawMessage
	if err := json.Unmarshal(s.MustSend(t, 200, "GET", r.EventsURL(s)+"?limit=1000", nil), &slot); err != nil || len(slot) == 1000 {
		t.Fatalf("a page of %d events, %v: not the whole slot", len(slot), err)
	}
	for _, c := range readers {
		c.check(slot, len(ends))
	}
}

// Each client shows an event when it comes, though nothing follows that would
// fill a buffer of its own.
func TestReal_ForeignClientsShowAnEventAtOnce(t *testing.T) {
	t.Parallel()
	r := relaytest.Start(t, t.TempDir(), "--heartbeat=10m")
	s := r.Allocate()
	url := r.EventsURL(s) + "/stream"
	readers := startClients(t, url, s, "iter_lines")
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if metrics := string(ourMetrics(t, r)); strings.Contains(metrics, fmt.Sprintf("\ncowrelay_streams %d\n", len(readers))) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not all clients have opened their streams:\n%s", r.Log.String())
		}
	}
	r.Post(s, oddEvent(0))
	await(t, 1, readers)
}
