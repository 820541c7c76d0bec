package life

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// handovers is how often the relay is handed over under load: HANDOVERS of make.
var handovers = flag.Int("handovers", 3, "hand-overs under load")

// plain is a client that keeps its connection, as HTTP/1.1 has it, and hides nothing:
// it sends no request twice, and whatever breaks is an error.
type plain struct {
	r    *relaytest.Relay
	slot relaytest.Slot
	at   string // a path for a Unix socket, else the address
	conn net.Conn
	br   *bufio.Reader
	// How many connections it has had.
	dialed int
}

func newPlain(r *relaytest.Relay, s relaytest.Slot) *plain {
	return &plain{r: r, slot: s, at: strings.TrimPrefix(r.URL, "http://")}
}

func (p *plain) send(method, path string, body []byte) (status int, reply []byte, err error) {
	if p.conn == nil {
		network := "tcp"
		if strings.HasPrefix(p.at, "/") {
			network = "unix"
		}
		if p.conn, err = net.DialTimeout(network, p.at, time.Minute); err != nil {
			return 0, nil, err
		}
		p.dialed++
		p.br = bufio.NewReader(p.conn)
	}
	p.conn.SetDeadline(time.Now().Add(time.Minute))
	req, err := http.NewRequest(method, "http://relay"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.slot.Token)
	req.Header.Set("Content-Type", "application/json")
	if err := req.Write(p.conn); err != nil {
		return 0, nil, fmt.Errorf("write: %w", err)
	}
	res, err := http.ReadResponse(p.br, req)
	if err != nil {
		return 0, nil, fmt.Errorf("read: %w", err)
	}
	reply, err = io.ReadAll(res.Body)
	if res.Close {
		p.close()
	}
	return res.StatusCode, reply, err
}

func (p *plain) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// handOver sends SIGUSR2, and returns when the n-th hand-over of the process is over.
func handOver(r *relaytest.Relay, n int) {
	r.T.Helper()
	r.Signal(syscall.SIGUSR2)
	awaitTakeover(r, n)
}

func awaitTakeover(r *relaytest.Relay, n int) {
	r.T.Helper()
	for deadline := time.Now().Add(2 * time.Minute); strings.Count(r.Log.String(), `"msg":"serving"`) <= n; time.Sleep(5 * time.Millisecond) {
		select {
		case <-r.Exited:
			r.T.Fatalf("the relay ended (%v):\n%s", r.Cmd.ProcessState, r.Log.String())
		default:
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("hand-over %d does not end:\n%s", n, r.Log.String())
		}
	}
}

// Under load the relay is handed over again and again. Plain clients see no failed
// request; every event that was acknowledged is there once, in one order, at every
// stream; connections that wait for a request outlive the programs; the process stays
// the same.
func TestHandOver_UnderLoad(t *testing.T) {
	const posters, streams, idlers = 4, 4, 40
	uds := filepath.Join(shortDir(t), "s", "relay")
	r := relaytest.Start(t, t.TempDir(), "--uds="+uds)
	s := r.Allocate()
	stop := make(chan struct{})
	var work sync.WaitGroup
	var stored, polled atomic.Int64
	fail := func(what string, err error) {
		t.Errorf("%s: %v", what, err)
	}
	for w := range posters {
		work.Go(func() {
			p := newPlain(r, s)
			if w == 0 {
				p.at = uds
			}
			defer p.close()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				status, reply, err := p.send("POST", "/v1/events/"+s.ID, relaytest.PostBody(relaytest.Event(fmt.Sprint("w", w), i, 200)))
				if err != nil || status != http.StatusCreated {
					fail(fmt.Sprintf("post %d of %d", i, w), fmt.Errorf("%d %s %w", status, reply, err))
					return
				}
				stored.Add(1)
			}
		})
	}
	for name, path := range map[string]string{"poll": "?limit=10", "long poll": "?wait=2&since="} {
		work.Go(func() {
			p := newPlain(r, s)
			defer p.close()
			since := ""
			for {
				select {
				case <-stop:
					return
				default:
				}
				at := path
				if name == "long poll" {
					at += since
				}
				status, reply, err := p.send("GET", "/v1/events/"+s.ID+at, nil)
				if err != nil || status != http.StatusOK {
					fail(name, fmt.Errorf("%d %s %w", status, reply, err))
					return
				}
				polled.Add(1)
				if i := bytes.LastIndex(reply, []byte(`{"event_id":"`)); i >= 0 {
					since = relaytest.EventID(reply[i:])
				}
			}
		})
	}
	// A stream is resumed by its last id, as an EventSource does it.
	type seen struct {
		ids  []string
		ends int
	}
	read := make([]seen, streams)
	var streaming sync.WaitGroup
	total := make(chan int64, streams) // how many events there are in the end
	for i := range streams {
		streaming.Go(func() {
			last, until := "from the beginning", int64(-1)
			for {
				st, err := relaytest.OpenStream(r, s, last)
				if err != nil {
					fail("stream", err)
					return
				}
				for {
					if until < 0 {
						select {
						case until = <-total:
						default:
						}
					}
					if until >= 0 && int64(len(read[i].ids)) >= until {
						st.Conn.Close()
						return
					}
					var ev relaytest.StreamedEvent
					if ev, err = st.Next(); err != nil {
						break
					}
					last = ev.ID
					read[i].ids = append(read[i].ids, ev.ID)
				}
				st.Conn.Close()
				if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					fail("a stream did not end between two frames", err)
					return
				}
				read[i].ends++
			}
		})
	}
	var idle []*plain
	for range idlers {
		p := newPlain(r, s)
		defer p.close()
		if status, _, err := p.send("GET", "/healthz", nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		idle = append(idle, p)
	}
	for n := range *handovers {
		before := stored.Load()
		handOver(r, n+1)
		// An idle connection goes on, and so do all that have something to do.
		for i, p := range idle {
			if status, _, err := p.send("GET", "/healthz", nil); err != nil || status != http.StatusOK || p.dialed != 1 {
				t.Fatalf("idle connection %d behind hand-over %d: %d %v, dialed %d times", i, n+1, status, err, p.dialed)
			}
		}
		for end := time.Now().Add(time.Minute); stored.Load() < before+200 && !t.Failed(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d posts since the hand-over\n%s", stored.Load()-before, r.Log.String())
			}
		}
	}
	close(stop)
	work.Wait()
	// One more wakes streams that wait.
	r.Post(s, relaytest.Event("end", 0, 200))
	for range streams {
		total <- stored.Load() + 1
	}
	r.Post(s, relaytest.Event("end", 1, 200))
	streaming.Wait()
	events := r.Pull(s, "")
	if int64(len(events)) != stored.Load()+2 {
		t.Errorf("%d events of %d that were acknowledged", len(events), stored.Load()+2)
	}
	var ids []string
	for _, ev := range events {
		ids = append(ids, relaytest.EventID(ev))
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	if n := len(slices.Compact(sorted)); n != len(ids) {
		t.Errorf("%d of %d events are there twice", len(ids)-n, len(ids))
	}
	ends := 0
	for i, got := range read {
		if len(got.ids) > len(ids) || !slices.Equal(got.ids, ids[:len(got.ids)]) || int64(len(got.ids)) < stored.Load() {
			t.Errorf("stream %d has %d events, not the first of the slot's %d", i, len(got.ids), len(ids))
		}
		ends += got.ends
	}
	if ends < *handovers { // or the streams would show nothing
		t.Errorf("streams have ended %d times", ends)
	}
	if got := r.Metric("cowrelay_handovers_total"); got != float64(*handovers) {
		t.Errorf("cowrelay_handovers_total %v", got)
	}
	t.Logf("%d hand-overs, %d posts, %d polls, %d ends of streams; the last gap %.0f ms", *handovers, stored.Load(), polled.Load(), ends, 1000*r.Metric("cowrelay_handover_gap_seconds"))
	r.Stop()
	if _, err := os.Lstat(uds); err == nil {
		t.Error("the Unix socket is left behind")
	}
}

// shortDir is a folder whose path is short enough for a socket's.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "ho")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// replaced is a relay whose file a test can put another one in the place of.
type replaced struct {
	*relaytest.Relay
	file, dir string
}

func startReplaced(t *testing.T, args ...string) *replaced {
	t.Helper()
	dir := t.TempDir()
	p := &replaced{Relay: relaytest.New(t, filepath.Join(dir, "data"), args...), file: filepath.Join(dir, "relay"), dir: dir}
	data, err := os.ReadFile(relaytest.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.file, data, 0o755); err != nil {
		t.Fatal(err)
	}
	p.Cmd.Path, p.Cmd.Args[0] = p.file, p.file
	p.Start()
	return p
}

// replace puts a script in the place of the relay's file, as an installation does it:
// REAL in it is a good relay.
func (p *replaced) replace(script string) {
	p.T.Helper()
	next := p.file + ".next"
	text := "#!/bin/sh\n" + strings.ReplaceAll(script, "REAL", relaytest.Binary) + "\n"
	if err := os.WriteFile(next, []byte(text), 0o755); err != nil {
		p.T.Fatal(err)
	}
	if err := os.Rename(next, p.file); err != nil {
		p.T.Fatal(err)
	}
}

// still fails unless the relay serves, by the connection that it had before and by a new
// one, in the same process.
func (p *replaced) still(s relaytest.Slot, kept *plain) {
	p.T.Helper()
	if status, _, err := kept.send("GET", "/v1/slot/"+s.ID+"/state", nil); err != nil || status != http.StatusOK || kept.dialed != 1 {
		p.T.Errorf("the connection from before: %d %v, dialed %d times", status, err, kept.dialed)
	}
	fresh := newPlain(p.Relay, s)
	defer fresh.close()
	if status, _, err := fresh.send("GET", "/v1/slot/"+s.ID+"/state", nil); err != nil || status != http.StatusOK {
		p.T.Errorf("a new connection: %d %v", status, err)
	}
}

// A program that can't start is found out before the relay lets go of anything.
func TestHandOver_ProgramIsTriedFirst(t *testing.T) {
	for name, script := range map[string]string{
		"ends with an error": `echo "no good" >&2; exit 3`,
		"is no relay":        `echo hello`,
		"is an older relay":  `unset COWRELAY_HANDOVER; exec REAL "$@"`, // it does not know what it is asked
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startReplaced(t)
			if name == "is an older relay" { // it finds its port taken
				p.Stop()
				p = startReplaced(t, "--bind="+strings.TrimPrefix(p.URL, "http://"))
			}
			s := p.Allocate()
			kept := newPlain(p.Relay, s)
			defer kept.close()
			p.Relay.Post(s, relaytest.Event("a", 0, 200))
			kept.send("GET", "/healthz", nil)
			p.replace(script)
			p.Signal(syscall.SIGUSR2)
			line := p.AwaitLog("hand-over refused: the program can't take over, and this one goes on")
			if name == "ends with an error" && !strings.Contains(fmt.Sprint(line["error"]), "no good") {
				t.Errorf("the log does not say why: %v", line)
			}
			p.still(s, kept)
			if got := p.Metric("cowrelay_handovers_refused_total"); got != 1 {
				t.Errorf("cowrelay_handovers_refused_total %v", got)
			}
			// A good one takes over all the same.
			p.replace(`exec REAL "$@"`)
			handOver(p.Relay, 1)
			p.still(s, kept)
			p.Stop()
		})
	}
}

// A configuration that the next program can't start with is found out likewise.
func TestHandOver_WrongConfiguration(t *testing.T) {
	t.Parallel()
	file := relaytest.ConfigFile(t, "max-slots = 10\n")
	r := relaytest.Start(t, t.TempDir(), "--config="+file)
	s := r.Allocate()
	if err := os.WriteFile(file, []byte("max-slots = 'many'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Signal(syscall.SIGUSR2)
	line := r.AwaitLog("hand-over refused: the program can't take over, and this one goes on")
	relaytest.Contains(t, fmt.Sprint(line["error"]), "max-slots")
	r.Post(s, relaytest.Event("a", 0, 200))
	_, errs, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + r.AdminURL}, "handover")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, "the program can't take over, and the relay goes on", "max-slots")
	r.Stop()
}

// A program that passes its trial and then can't serve gives everything back: the one
// before serves again, from its file, which has no name any more.
func TestHandOver_FailsBehindTheTrial(t *testing.T) {
	for name, more := range map[string]string{
		"the store can't be opened": "--data-dir=/dev/null/x",
		"the flags are wrong":       "--max-slots=many",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uds := filepath.Join(shortDir(t), "s", "relay")
			p := startReplaced(t, "--uds="+uds)
			s := p.Allocate()
			kept := newPlain(p.Relay, s)
			defer kept.close()
			kept.send("GET", "/healthz", nil)
			p.replace(`[ "$COWRELAY_HANDOVER" = try ] && exec REAL "$@"; exec REAL "$@" ` + more)
			_, errs, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + p.AdminURL}, "handover")
			if code != 1 {
				t.Errorf("exit %d", code)
			}
			relaytest.Contains(t, errs, "the new program could not serve, and the one before serves again")
			if p.Logged("the program that should have taken over could not serve: this one goes on") == nil {
				t.Errorf("the log does not say so:\n%s", p.Log.String())
			}
			p.still(s, kept)
			local := &plain{r: p.Relay, slot: s, at: uds}
			if status, _, err := local.send("GET", "/healthz", nil); err != nil || status != http.StatusOK {
				t.Errorf("the Unix socket: %d %v", status, err)
			}
			if got := p.Metric("cowrelay_handover_last_successful"); got != 0 {
				t.Errorf("cowrelay_handover_last_successful %v", got)
			}
			p.replace(`exec REAL "$@"`)
			out, errs, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + p.AdminURL}, "handover")
			if code != 0 || errs != "" {
				t.Errorf("exit %d, %q", code, errs)
			}
			relaytest.Contains(t, out, `"handovers":3`)
			p.still(s, kept)
			p.Stop()
		})
	}
}

// While a program is on trial a second hand-over is refused, and the relay serves.
func TestHandOver_OneAtATime(t *testing.T) {
	t.Parallel()
	p := startReplaced(t)
	s := p.Allocate()
	kept := newPlain(p.Relay, s)
	defer kept.close()
	kept.send("GET", "/healthz", nil)
	began, gate := filepath.Join(p.dir, "began"), filepath.Join(p.dir, "gate")
	p.replace(fmt.Sprintf(`[ "$COWRELAY_HANDOVER" = try ] && { : > %s; while [ ! -e %s ]; do sleep 0.02; done; }; exec REAL "$@"`, began, gate))
	p.Signal(syscall.SIGUSR2)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(began); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no trial begins\n%s", p.Log.String())
		}
	}
	p.Signal(syscall.SIGUSR2)
	p.AwaitLog("hand-over refused: another one is under way")
	_, errs, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + p.AdminURL}, "handover")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, "another hand-over is under way")
	p.still(s, kept)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitTakeover(p.Relay, 1)
	p.still(s, kept)
	p.Stop()
}

// A request that is under way when the hand-over begins is answered by the program that
// has read its beginning.
func TestHandOver_AnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	r := relaytest.Start(t, t.TempDir(), "--drain-timeout=1m")
	s := r.Allocate()
	slow := openPost(t, r, s, relaytest.Event("slow", 0, 300))
	r.Signal(syscall.SIGUSR2)
	r.AwaitLog("handing over")
	slow.finish(t, http.StatusCreated)
	awaitTakeover(r, 1)
	if events := r.Pull(s, ""); len(events) != 1 || relaytest.EventID(events[0]) != "slow-0" {
		t.Errorf("%d events behind the hand-over", len(events))
	}
	r.Stop()
}

// SIGTERM within a hand-over ends the relay in order, and nothing is executed.
func TestHandOver_StoppedWithin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--drain-timeout=1m")
	s := r.Allocate()
	slow := openPost(t, r, s, relaytest.Event("slow", 0, 300))
	r.Signal(syscall.SIGUSR2)
	r.AwaitLog("handing over")
	r.Signal(syscall.SIGTERM)
	r.AwaitLog("stopping behind the hand-over that is under way")
	slow.finish(t, http.StatusCreated)
	if code := r.Wait(time.Minute); code != 0 || strings.Count(r.Log.String(), `"msg":"starting"`) != 1 {
		t.Errorf("exit %d\n%s", code, r.Log.String())
	}
	r = relaytest.Start(t, dir)
	if events := r.Pull(s, ""); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	r.Stop()
}

// A service manager hears of one process that reloads: never that it stops, and of the
// watchdog all the while.
func TestHandOver_ServiceManager(t *testing.T) {
	m := relaytest.StartManager(t)
	r := relaytest.Start(t, t.TempDir())
	m.Await(1, "READY=1")
	for n := range 2 {
		handOver(r, n+1)
		m.Await(n+2, "READY=1")
		m.Await(n+1, "RELOADING=1")
		at := m.Await(n+1, "STATUS=opening the store")
		if n > 0 && !strings.Contains(m.Messages()[at], "WATCHDOG=1") {
			t.Errorf("the watchdog is not fed while the store opens: %q", m.Messages()[at])
		}
	}
	if m.Count("STOPPING=1") != 0 || m.Count("MONOTONIC_USEC=") != 2 {
		t.Errorf("%q", m.Messages())
	}
	r.Stop()
	m.Await(1, "STOPPING=1")
}
