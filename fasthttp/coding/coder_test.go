package coding

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"

	"github.com/klauspost/compress/zstd"
)

// fixture is a store on a journal in memory, and a Coder.
type fixture struct {
	testing.TB
	*cow.Store
	coder  *Coder
	budget atomic.Int64 // what the coder has charged
}

func open(t testing.TB, m *journaltest.Memory, store cow.Options, edit ...func(*Options)) *fixture {
	t.Helper()
	store.Logger = slog.New(slog.DiscardHandler)
	store.LoadTimeout, store.LoadPatience, store.StallAfter, store.QueueTimeout = time.Minute, time.Minute, time.Minute, time.Minute
	s, err := cow.Open(m, m, store)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{TB: t, Store: s}
	o := Options{Workers: 2, CacheBytes: 8 << 20, ReplyBytes: 64 << 20, ClientBytes: 32 << 20, Charge: func(n int64) { f.budget.Add(n) }}
	for _, e := range edit {
		e(&o)
	}
	f.coder = New(o)
	return f
}

func (f *fixture) slot() *cow.Slot {
	f.Helper()
	id, _, _, err := f.Allocate()
	if err != nil {
		f.Fatal(err)
	}
	return f.Slot(id)
}

// post posts events, each an object.
func (f *fixture) post(slot *cow.Slot, events ...string) {
	f.Helper()
	for len(events) > 0 {
		p := f.NewPost()
		n := 0
		for bytes := 0; n < min(len(events), 500) && (n == 0 || bytes+len(events[n]) < 400<<10); n++ {
			bytes += len(events[n])
		}
		err := p.AcceptLines([]byte(strings.Join(events[:n], "\n")))
		if err == nil {
			_, _, _, err = p.CommitLines(slot)
		}
		if p.Release(); err != nil {
			f.Fatal(err)
		}
		events = events[n:]
	}
}

func (f *fixture) window(slot *cow.Slot, from uint64, limit int) *cow.Window {
	f.Helper()
	w := new(cow.Window)
	if err := f.Store.Window(slot, cow.From(from), limit, w); err != nil {
		f.Fatal(err)
	}
	return w
}

func plainOf(t testing.TB, w *cow.Window) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// drain reads a body as a page does that its client takes in pieces of n bytes.
func drain(t testing.TB, b *Body, n int) string {
	t.Helper()
	var out []byte
	for b.Left() > 0 {
		took := 0
		for _, part := range b.Parts(nil) {
			k := min(len(part), n-took)
			out = append(out, part[:k]...)
			took += k
		}
		if took == 0 {
			t.Fatal("the body gives nothing, and has something left")
		}
		b.Wrote(took)
	}
	if len(out) != b.Len() {
		t.Fatalf("%d bytes of %d", len(out), b.Len())
	}
	return string(out)
}

// decode is a client of one member of gzip, as browsers are, or of one frame of zstd.
func decode(t testing.TB, as Coding, body string) string {
	t.Helper()
	in := strings.NewReader(body)
	var out []byte
	var err error
	if as == Gzip {
		var z *gzip.Reader
		if z, err = gzip.NewReader(in); err == nil {
			z.Multistream(false)
			out, err = io.ReadAll(z)
		}
		if in.Len() > 0 {
			t.Errorf("%d bytes stand behind the first member", in.Len())
		}
	} else {
		var z *zstd.Decoder
		var head zstd.Header
		if err = head.Decode([]byte(body)); err == nil && !head.HasFCS {
			t.Error("the frame does not say its length")
		}
		if z, err = zstd.NewReader(in); err == nil {
			out, err = io.ReadAll(z)
			z.Close()
		}
		if uint64(len(out)) != head.FrameContentSize {
			t.Errorf("the first frame holds %d bytes of %d", head.FrameContentSize, len(out))
		}
	}
	if err != nil {
		t.Fatalf("%v: %v", as, err)
	}
	return string(out)
}

// event is a signed event of about n bytes, of which 130 are random, as agents send them.
func event(r *rand.Rand, i, n int) string {
	var b strings.Builder
	noise := func(n int) []byte {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		return text
	}
	fmt.Fprintf(&b, `{"event_id":"e%d-%x","kind":1000,"from":"did:wire:paul-a1b2c3d4","signature":"%s","body":{"text":"`, i, noise(32), base64.StdEncoding.EncodeToString(noise(64)))
	for b.Len() < n {
		b.WriteByte(' ')
		b.WriteString(words[r.IntN(len(words))])
	}
	b.WriteString(`"}}`)
	return b.String()
}

var words = strings.Fields("the agent will review this change and report what it found in a deployment of services when tests are done please look at error message from build because no file matches path — retry with another token after merge request is approved by owner")

func events(r *rand.Rand, from, n, size int) (list []string) {
	for i := range n {
		list = append(list, event(r, from+i, size))
	}
	return list
}

// page gets a page by both codings, plain and encoded, and compares. It says how many
// went out compressed.
func (f *fixture) page(slot *cow.Slot, from uint64, limit int, must bool) (compressed int) {
	f.Helper()
	want := plainOf(f, f.window(slot, from, limit))
	for _, as := range []Coding{Gzip, Zstd} {
		w := f.window(slot, from, limit)
		b := f.coder.Page(Choice{as, must}, 1, slot, w)
		if b == nil {
			if got := plainOf(f, w); got != want {
				f.Fatalf("from %d, %d events, plain in the place of %v: %d bytes, want %d", from, limit, as, len(got), len(want))
			}
			continue
		}
		if got := decode(f, as, drain(f, b, 1000)); got != want {
			f.Fatalf("from %d, %d events, %v: %d bytes, want %d", from, limit, as, len(got), len(want))
		}
		b.Close()
		compressed++
	}
	return compressed
}

func (f *fixture) want(what string, got, want any) {
	f.Helper()
	if got != want {
		f.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Random pages of random slots, with other posts between, decode to the plain page, and
// nothing stays booked.
func FuzzPage(f *testing.F) {
	f.Add(uint64(1), uint16(100))
	f.Add(uint64(2), uint16(7000))
	f.Add(uint64(3), uint16(0))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16) {
		r := rand.New(rand.NewPCG(seed, 0))
		f := open(t, journaltest.NewMemory(), cow.Options{PageBytes: 200_000})
		defer f.Close()
		slot, n, compressed := f.slot(), 0, 0
		for range 6 {
			k := r.IntN(150)
			for range k {
				f.post(slot, event(r, n, int(size)*r.IntN(3)))
				n++
			}
			for range 10 {
				compressed += f.page(slot, uint64(r.IntN(n+1)), r.IntN(120), r.IntN(2) == 0)
			}
		}
		if compressed == 0 && size > 50 {
			t.Error("nothing was compressed")
		}
		c := f.coder.Counts()
		f.want("held by replies", c.Replies, int64(0))
		f.want("charged", f.budget.Load(), c.KeptBytes)
	})
}

// The bytes of a slot that does not fit into memory, and of one that is cold, are
// compressed as others are.
func TestPage_ThroughTheStore(t *testing.T) {
	m := journaltest.NewMemory()
	f := open(t, m, cow.Options{MemoryBudget: 4 << 20})
	slot := f.slot()
	r := rand.New(rand.NewPCG(1, 2))
	f.post(slot, events(r, 0, 24_000, 500)...)
	for _, from := range []uint64{0, 31, 7000, 12_345, 23_990} {
		f.want(fmt.Sprint("compressed, from ", from), f.page(slot, from, 1000, false), 2)
	}
	if f.Stats().ChunkLoads.Load() == 0 {
		t.Error("no chunk was loaded: the slot fits into memory")
	}
	f.Close()
	f = open(t, m.Reopen(), cow.Options{MemoryBudget: 4 << 20})
	defer f.Close()
	slot = f.Slot(slot.ID())
	for _, from := range []uint64{3, 9999, 20_000} {
		f.want(fmt.Sprint("compressed, cold, from ", from), f.page(slot, from, 500, false), 2)
	}
	if f.Stats().PartLoads.Load() == 0 {
		t.Error("no part of a cold slot was read")
	}
}

// What was compressed is found again, by pages that begin elsewhere too, and after more
// was posted.
func TestPage_Reuse(t *testing.T) {
	f := open(t, journaltest.NewMemory(), cow.Options{})
	defer f.Close()
	slot, r := f.slot(), rand.New(rand.NewPCG(3, 4))
	f.post(slot, events(r, 0, 320, 300)...)
	f.page(slot, 0, 320, false)
	c := f.coder.Counts()
	f.want("made", c.Made, uint64(11)) // ten of gzip and one of zstd
	f.want("reused", c.Reused, uint64(0))
	f.page(slot, 0, 320, false)
	f.post(slot, events(r, 320, 10, 300)...)
	f.page(slot, 32, 64, false)
	c = f.coder.Counts()
	f.want("made then", c.Made, uint64(12))
	f.want("reused then", c.Reused, uint64(13))
	f.page(slot, 33, 64, false) // two edges, one run between
	f.want("made of a page that begins elsewhere", f.coder.Counts().Made, uint64(15))
	other := f.slot()
	f.post(other, events(r, 0, 320, 300)...)
	f.page(other, 0, 320, false)
	f.want("made of another slot", f.coder.Counts().Made, uint64(26))
}

// The cache holds to its limit, what is asked for stays, and the charge follows.
func TestCache_Limit(t *testing.T) {
	f := open(t, journaltest.NewMemory(), cow.Options{}, func(o *Options) { o.CacheBytes = 100_000 })
	defer f.Close()
	slot, r := f.slot(), rand.New(rand.NewPCG(5, 6))
	f.post(slot, events(r, 0, 3200, 300)...)
	for from := uint64(32); from+32 <= 3200; from += 32 {
		f.page(slot, 0, 32, false)
		f.page(slot, from, 32, false)
		c := f.coder.Counts()
		if c.KeptBytes > c.KeptBytesMax || f.budget.Load() != c.KeptBytes {
			t.Fatalf("kept %d of %d, charged %d", c.KeptBytes, c.KeptBytesMax, f.budget.Load())
		}
	}
	c := f.coder.Counts()
	if c.Evicted == 0 || c.Kept == 0 {
		t.Errorf("evicted %d, kept %d", c.Evicted, c.Kept)
	}
	f.want("made: what is asked for stays", c.Made, uint64(2*100))
}

// All that is short, or finds no worker or no room, or gains nothing, goes out plain.
func TestPage_Courtesy(t *testing.T) {
	f := open(t, journaltest.NewMemory(), cow.Options{}, func(o *Options) { o.Workers, o.ReplyBytes, o.ClientBytes = 1, 100_000, 50_000 })
	defer f.Close()
	slot, r := f.slot(), rand.New(rand.NewPCG(7, 8))
	f.post(slot, events(r, 0, 400, 300)...)
	outcome := func(o Outcome) uint64 { return f.coder.Outcomes()[o].Load() }

	f.want("short", f.page(slot, 0, 2, false), 0)
	f.want("small", outcome(Small), uint64(2))
	f.want("short, and plain refused", f.page(slot, 0, 2, true), 2)
	f.want("empty, and plain refused", f.page(slot, 400, 2, true), 0)

	k := <-f.coder.workers
	f.want("no worker", f.page(slot, 0, 100, false), 0)
	f.want("busy", outcome(Busy), uint64(2))
	f.coder.workers <- k
	f.want("a worker", f.page(slot, 0, 100, false), 2)
	k = <-f.coder.workers
	f.want("no worker, and none needed", f.page(slot, 0, 100, false), 2)
	f.coder.workers <- k

	w := f.window(slot, 0, 100)
	held := f.coder.Page(Choice{Coding: Gzip}, 1, slot, w)
	f.want("beside another of this client", f.page(slot, 0, 100, false), 0)
	f.want("room", outcome(NoRoom), uint64(2))
	if b := f.coder.Page(Choice{Coding: Gzip}, 2, slot, f.window(slot, 0, 100)); b == nil {
		t.Error("one client takes the room of all")
	} else {
		b.Close()
	}
	held.Close()
	f.want("again", f.page(slot, 0, 100, false), 2)
	f.want("more than may be held", f.page(slot, 0, 300, false), 0)
}

// A page that would be longer than plain goes out plain.
func TestPage_Noise(t *testing.T) {
	f := open(t, journaltest.NewMemory(), cow.Options{})
	defer f.Close()
	slot, r := f.slot(), rand.New(rand.NewPCG(1, 1))
	var noise strings.Builder
	for range 30_000 {
		noise.WriteByte("!#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"[r.IntN(92)])
	}
	f.post(slot, `{"n":"`+noise.String()+`"}`)
	n := f.page(slot, 0, 1, false)
	f.want("grown", f.coder.Outcomes()[Grown].Load(), uint64(2-n))
	if c := f.coder.Counts(); n > 0 && c.Sent >= c.Plain {
		t.Errorf("%d bytes of %d", c.Sent, c.Plain)
	}
}

// Readers of the same pages at once get what they asked for, whoever compresses it.
func TestPage_Together(t *testing.T) {
	f := open(t, journaltest.NewMemory(), cow.Options{MemoryBudget: 4 << 20}, func(o *Options) { o.CacheBytes = 200_000 })
	defer f.Close()
	slot, r := f.slot(), rand.New(rand.NewPCG(9, 10))
	f.post(slot, events(r, 0, 12_000, 500)...)
	pages := 60
	if testing.Short() {
		pages = 15 // the plain run takes more
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(11, uint64(i)))
			for range pages {
				f.page(slot, uint64(r.IntN(12_000)), 200, i%2 == 0)
			}
		})
	}
	all.Wait()
	if f.coder.outcomes[AsGzip].Load() == 0 || f.coder.outcomes[AsZstd].Load() == 0 {
		t.Error("nothing was compressed")
	}
	c := f.coder.Counts()
	f.want("held by replies", c.Replies, int64(0))
	f.want("charged", f.budget.Load(), c.KeptBytes)
	f.want("workers", len(f.coder.workers), 2)
}

// A slot that is removed while its page is made goes out plain, and that tells.
func TestPage_Removed(t *testing.T) {
	f := open(t, journaltest.NewMemory(), cow.Options{MemoryBudget: 4 << 20})
	defer f.Close()
	slot := f.slot()
	f.post(slot, events(rand.New(rand.NewPCG(1, 2)), 0, 24_000, 500)...)
	w := f.window(slot, 0, 1000)
	if err := f.Remove(slot); err != nil {
		t.Fatal(err)
	}
	if b := f.coder.Page(Choice{Coding: Gzip}, 1, slot, w); b != nil {
		decode(t, Gzip, drain(t, b, 1<<20)) // all of it was in memory
		b.Close()
	} else if _, err := w.WriteTo(io.Discard); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("the plain page: %v", err)
	}
	f.want("held by replies", f.coder.Counts().Replies, int64(0))
}

func TestJoinCRC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		a, b := make([]byte, r.IntN(3000)), make([]byte, r.IntN(1<<r.IntN(18)))
		for i := range a {
			a[i] = byte(r.Uint32())
		}
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		want := crc32.ChecksumIEEE(append(append([]byte{}, a...), b...))
		if got := joinCRC(crc32.ChecksumIEEE(a), crc32.ChecksumIEEE(b), len(b)); got != want {
			t.Fatalf("%d and %d bytes: %x, want %x", len(a), len(b), got, want)
		}
	}
}
