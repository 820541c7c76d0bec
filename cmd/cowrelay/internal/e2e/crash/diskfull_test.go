package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/engine"
)

// The reserve is crossed by really filling the file system, and crossed back
// by making room.
func TestDiskFull_Reserve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free, err := engine.FreeSpace(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Others use the file system as well: stay clear of what they take.
	margin := min(free/8, 512<<20)
	r := relaytest.Start(t, filepath.Join(dir, "data"), fmt.Sprintf("--disk-reserve=%d", free-margin))
	b := &ballast{name: filepath.Join(dir, "ballast"), step: int(margin / 8)}
	d := newDiskFull(t, r)
	d.fill(func() bool { return b.grow(t) })
	d.refused()
	if err := os.Remove(b.name); err != nil {
		t.Fatal(err)
	}
	d.goesOn(filepath.Join(dir, "data"))
}

// ballast is a file that takes room.
type ballast struct {
	name  string
	step  int
	bytes []byte
}

// grow writes one step more, and says whether there was room for it.
func (b *ballast) grow(t *testing.T) bool {
	t.Helper()
	if b.bytes == nil {
		b.bytes = make([]byte, 1<<20)
		for i := range b.bytes {
			b.bytes[i] = byte(i * 7) // nothing that a file system could leave out
		}
	}
	f, err := os.OpenFile(b.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 0; n < b.step; n += len(b.bytes) {
		if _, err := f.Write(b.bytes); err != nil {
			return false // full to the last byte
		}
	}
	// Some file systems count what was written only when it is placed.
	return f.Sync() == nil
}

// diskFull posts one event after the other and knows which were stored.
type diskFull struct {
	t      *testing.T
	r      *relaytest.Relay
	s      relaytest.Slot
	st     *relaytest.Stream
	n      int // events that were acknowledged
	size   int
	seen   int // on the stream
	client *http.Client
}

func newDiskFull(t *testing.T, r *relaytest.Relay) *diskFull {
	d := &diskFull{t: t, r: r, s: r.Allocate(), size: 2000, client: relaytest.HTTPClient}
	d.st = relaytest.MustStream(r, d.s, "from the beginning")
	for range 10 {
		if status, _ := d.post(); status != http.StatusCreated {
			t.Fatalf("status %d", status)
		}
	}
	return d
}

func (d *diskFull) post() (status int, body []byte) {
	d.t.Helper()
	res, body, err := d.s.Send(d.client, "POST", d.r.EventsURL(d.s), relaytest.PostBody(relaytest.Event("d", d.n, d.size)))
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.r.Log.String())
	}
	switch res.StatusCode {
	case http.StatusCreated:
		d.n++
		d.follow() // a stream that is not read is cut
	case http.StatusInsufficientStorage:
		checkRefusal(d.t, res, body)
	default:
		d.t.Fatalf("%s %s", res.Status, body)
	}
	return res.StatusCode, body
}

// fill takes room until posts are refused.
func (d *diskFull) fill(more func() bool) {
	d.t.Helper()
	full := false
	for range 1000 {
		if !full {
			full = !more()
		}
		time.Sleep(150 * time.Millisecond) // the free space is read now and then
		if status, _ := d.post(); status == http.StatusInsufficientStorage {
			return
		}
	}
	d.t.Fatal("the disk is full and posts are stored")
}

// refused: posts get 507, and pulls, streams and long polls go on.
func (d *diskFull) refused() {
	d.t.Helper()
	for range 5 {
		if status, _ := d.post(); status != http.StatusInsufficientStorage {
			d.t.Fatalf("status %d on a full disk", status)
		}
	}
	if body := (relaytest.Slot{}).MustSend(d.t, http.StatusInsufficientStorage, "POST", d.r.URL+"/v1/slot/allocate", []byte("{}")); len(body) == 0 {
		d.t.Error("no reason")
	}
	// A duplicate stores nothing, so it is answered.
	d.s.MustSend(d.t, http.StatusOK, "POST", d.r.EventsURL(d.s), relaytest.PostBody(relaytest.Event("d", 0, 2000)))
	d.check(d.r)
	// A new stream replays.
	st := relaytest.MustStream(d.r, d.s, fmt.Sprintf("d-%d", d.n-2))
	if ev, err := st.Next(); err != nil || ev.ID != fmt.Sprintf("d-%d", d.n-1) {
		d.t.Errorf("%v %v", ev, err)
	}
	st.Conn.Close()
	if d.r.Logged("disk nearly full: posts are refused until there is room") == nil {
		d.t.Error("the log does not tell")
	}
}

// goesOn: with room again posts are stored, the stream that was open all along
// gets them, and what was refused left no trace, over a restart too.
func (d *diskFull) goesOn(dir string) {
	d.t.Helper()
	before := d.n
	for deadline := time.Now().Add(time.Minute); d.n == before; time.Sleep(50 * time.Millisecond) {
		d.post()
		if time.Now().After(deadline) {
			d.t.Fatal("there is room and posts are refused")
		}
	}
	for range 10 {
		if status, _ := d.post(); status != http.StatusCreated {
			d.t.Fatalf("status %d with room", status)
		}
	}
	d.check(d.r)
	if d.r.Logged("disk has room again") == nil {
		d.t.Error("the log does not tell")
	}
	d.r.Kill()
	r := relaytest.Start(d.t, dir)
	d.st = nil
	d.check(r)
	r.Stop()
}

// check reads all that was acknowledged, and nothing else.
func (d *diskFull) check(r *relaytest.Relay) {
	d.t.Helper()
	events := r.Pull(d.s, "")
	if len(events) != d.n {
		d.t.Fatalf("%d events, %d were acknowledged", len(events), d.n)
	}
	for i, e := range events {
		d.same(i, e)
	}
	d.follow()
}

// follow reads the stream up to what is acknowledged.
func (d *diskFull) follow() {
	d.t.Helper()
	for ; d.st != nil && d.seen < d.n; d.seen++ {
		ev, err := d.st.Next()
		if err != nil {
			d.t.Fatalf("the stream ended at %d: %v", d.seen, err)
		}
		d.same(d.seen, []byte(ev.Data))
	}
}

func (d *diskFull) same(i int, e json.RawMessage) {
	d.t.Helper()
	size := d.size
	if i < 10 {
		size = 2000
	}
	if string(e) != string(relaytest.Event("d", i, size)) {
		d.t.Fatalf("position %d: %.100s", i, e)
	}
}

// checkRefusal: JSON with an error and when to come again.
func checkRefusal(t *testing.T, res *http.Response, body []byte) {
	t.Helper()
	var v struct {
		Error string `json:"error"`
	}
	if res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &v) != nil || v.Error == "" {
		t.Errorf("%s: %v %s", res.Status, res.Header, body)
	}
}
