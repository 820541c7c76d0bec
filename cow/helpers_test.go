package cow_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/journaltest"
)

// fixture is a store on a journal in memory.
type fixture struct {
	testing.TB
	*cow.Store
	m    *journaltest.Memory
	opts cow.Options
	shut bool
}

func open(t testing.TB, opts cow.Options) *fixture {
	t.Helper()
	return openOn(t, journaltest.NewMemory(), opts)
}

func openOn(t testing.TB, m *journaltest.Memory, opts cow.Options) *fixture {
	t.Helper()
	f := openJournal(t, m, m, opts)
	f.m = m
	t.Cleanup(f.close)
	return f
}

// openJournal opens a store on a journal that the caller closes.
func openJournal(t testing.TB, j cow.Journal, r cow.Records, opts cow.Options) *fixture {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	// A test that holds the journal back on a busy machine is not a disk that
	// hangs, unless it is about one.
	if opts.StallAfter == 0 {
		opts.StallAfter = time.Minute
	}
	if opts.QueueTimeout == 0 {
		opts.QueueTimeout = time.Minute
	}
	// Nor is a load that has to wait for a while one that finds no memory.
	if opts.LoadPatience == 0 {
		opts.LoadPatience = time.Minute
	}
	if opts.LoadTimeout == 0 {
		opts.LoadTimeout = time.Minute
	}
	s, err := cow.Open(j, r, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{TB: t, Store: s, opts: opts}
}

func (f *fixture) close() {
	if !f.shut {
		f.shut = true
		f.Store.Close()
		if f.m != nil {
			f.m.Close()
		}
	}
}

// restart closes the store and opens another on what the journal kept.
func (f *fixture) restart() *fixture {
	f.Helper()
	f.close()
	return openOn(f.TB, f.m.Reopen(), f.opts)
}

// slot makes a slot.
func (f *fixture) slot() *cow.Slot {
	f.Helper()
	id, _, _, err := f.Allocate()
	if err != nil {
		f.Fatal(err)
	}
	return f.Slot(id)
}

// post posts an event, which is a JSON object.
func (f *fixture) post(slot *cow.Slot, event string) (duplicate bool, err error) {
	p := f.NewPost()
	defer p.Release()
	if err := p.Accept([]byte(`{"event":` + event + `}`)); err != nil {
		return false, err
	}
	return p.Commit(slot)
}

// must posts an event that must be stored.
func (f *fixture) must(slot *cow.Slot, event string) {
	f.Helper()
	if dup, err := f.post(slot, event); dup || err != nil {
		f.Fatalf("post of %.60s: duplicate %v, error %v; want stored", event, dup, err)
	}
}

// answer is what a post in the background was told.
type answer struct {
	event string
	dup   bool
	err   error
}

// later posts in the background.
func (f *fixture) later(slot *cow.Slot, event string) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		dup, err := f.post(slot, event)
		c <- answer{event, dup, err}
	}()
	return c
}

// queued posts in the background and returns when the post waits in the queue.
func (f *fixture) queued(slot *cow.Slot, event string) <-chan answer {
	f.Helper()
	before, _ := f.Queue()
	c := f.later(slot, event)
	f.until("the post to be queued", func() bool { n, _ := f.Queue(); return n > before })
	return c
}

func (f *fixture) wait(c <-chan answer) answer {
	f.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(time.Minute):
		f.Fatal("a post was not answered")
		return answer{}
	}
}

func (f *fixture) unanswered(c <-chan answer, when string) {
	f.Helper()
	select {
	case a := <-c:
		f.Fatalf("%s: post of %.60s was answered (duplicate %v, error %v)", when, a.event, a.dup, a.err)
	default:
	}
}

// until waits for a condition.
func (f *fixture) until(what string, cond func() bool) {
	f.Helper()
	waitFor(f.TB, what, cond)
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// page pulls a window and returns it as text.
func (f *fixture) page(slot *cow.Slot, since string, limit int) string {
	f.Helper()
	text, err := f.tryPage(slot, since, limit)
	if err != nil {
		f.Fatalf("window since %q: %v", since, err)
	}
	return text
}

func (f *fixture) tryPage(slot *cow.Slot, since string, limit int) (string, error) {
	f.Helper()
	var w cow.Window
	if err := f.Window(slot, cow.After([]byte(since)), limit, &w); err != nil {
		return "", err
	}
	var b bytes.Buffer
	n, err := w.WriteTo(&b)
	if n != int64(b.Len()) || err == nil && b.Len() != w.Len() {
		f.Fatalf("a window of %d bytes wrote %d, said %d (%v)", w.Len(), b.Len(), n, err)
	}
	if err != nil {
		return "", err
	}
	return b.String(), nil
}

// holds checks that the slot holds exactly these events.
func (f *fixture) holds(slot *cow.Slot, events ...string) {
	f.Helper()
	if got, want := f.page(slot, "", 1<<20), "["+strings.Join(events, ",")+"]"; got != want {
		f.Fatalf("the slot holds\n%.300s\nwant\n%.300s", got, want)
	}
	if n := slot.Count(); n != uint64(len(events)) {
		f.Fatalf("the slot counts %d events, want %d", n, len(events))
	}
}

// ev is an event with an id.
func ev(id string) string { return fmt.Sprintf(`{"event_id":%q}`, id) }

// payload is the event at a position of a slot: whoever reads it anywhere can
// tell whether it is the right one.
func payload(slot cow.ID, pos uint64) string {
	pad := (pos*2654435761 + uint64(slot[0])) % 701
	if pos%37 == 0 {
		pad += 3000
	}
	return fmt.Sprintf(`{"event_id":"%x-%d","n":%d,"pad":"%s"}`, slot[:4], pos, pos, strings.Repeat(string(rune('a'+pos%26)), int(pad)))
}

func payloadID(slot cow.ID, pos uint64) string { return fmt.Sprintf("%x-%d", slot[:4], pos) }

// wrap is a frame in transfer chunks. One that is longer than a piece with its
// chunk goes out in chunks of a piece each.
func wrap(text string) (out string) {
	const most = frame.MaxPiece - len("fff8\r\n\r\n")
	for text != "" {
		n := min(len(text), most)
		out += fmt.Sprintf("%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	return out
}

// unwrap is the text of transfer chunks, which must be whole.
func unwrap(t testing.TB, data string) string {
	t.Helper()
	var text strings.Builder
	for rest := data; rest != ""; {
		head, behind, ok := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseUint(head, 16, 17)
		if !ok || err != nil || n == 0 || uint64(len(behind)) < n+2 || behind[n:n+2] != "\r\n" {
			t.Fatalf("no whole chunk %d bytes before the end of %d: %.100q", len(rest), len(data), rest)
		}
		text.WriteString(behind[:n])
		rest = behind[n+2:]
	}
	return text.String()
}

func payloadFrame(slot cow.ID, pos uint64) string {
	return wrap("id: " + payloadID(slot, pos) + "\ndata: " + payload(slot, pos) + "\n\n")
}

// fill posts the payloads of positions [from, to), many at a time.
func (f *fixture) fill(slot *cow.Slot, from, to uint64) {
	f.Helper()
	for pos := from; pos < to; pos++ {
		f.must(slot, payload(slot.ID(), pos))
	}
}

// bell is a waker that remembers one call.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) Wake(int64) {
	select {
	case b <- struct{}{}:
	default:
	}
}

// stream reads a subscriber as a connection does.
type stream struct {
	*cow.Subscriber
	bell bell
	buf  []byte
}

func (f *fixture) subscribe(slot *cow.Slot, resume bool, since string) *stream {
	f.Helper()
	st, err := f.trySubscribe(slot, resume, since)
	if err != nil {
		f.Fatalf("subscribe: %v", err)
	}
	return st
}

func (f *fixture) trySubscribe(slot *cow.Slot, resume bool, since string) (*stream, error) {
	start := cow.Newest()
	if resume {
		start = cow.After([]byte(since))
	}
	return f.subscribeAt(slot, start, frame.EventIDs)
}

func (f *fixture) subscribeAt(slot *cow.Slot, start cow.Start, ids frame.IDs) (*stream, error) {
	b := newBell()
	sub, err := f.Subscribe(slot, start, ids, b)
	if err != nil {
		return nil, err
	}
	return &stream{sub, b, make([]byte, frame.MaxPiece)}, nil
}

// piece returns the next piece, loading what it must; nil when there is none.
func (st *stream) piece() ([]byte, error) {
	for {
		data, err := st.Next(st.buf)
		if !errors.Is(err, cow.ErrNotResident) {
			return data, err
		}
		if err := st.Load(); err != nil && !errors.Is(err, cow.ErrBusy) {
			return nil, err
		}
	}
}

var errSilent = errors.New("nothing came")

// read takes a whole piece, waiting for it as long as the deadline.
func (st *stream) read(patience time.Duration) (string, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		data, err := st.piece()
		if err != nil {
			return "", err
		}
		if data != nil {
			text := string(data)
			st.Wrote(len(data))
			return text, nil
		}
		select {
		case <-st.bell:
		case <-timer.C:
			return "", errSilent
		}
	}
}

// take reads until n bytes came.
func (st *stream) take(t testing.TB, n int) string {
	t.Helper()
	var b strings.Builder
	for b.Len() < n {
		text, err := st.read(20 * time.Second)
		if err != nil {
			t.Fatalf("stream after %d of %d bytes: %v", b.Len(), n, err)
		}
		b.WriteString(text)
	}
	return b.String()
}

// all runs the functions at once and waits for them.
func all(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
	}
	wg.Wait()
}
