package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/admin"
	"cowrelay/fasthttp/refusal"
)

// prefix is that of the records. The name of the relay follows.
const prefix = "relay/"

// Journal is what a book needs of the relay's journal.
type Journal interface {
	cow.Records
	cow.Shared
}

// Log is what a book needs of the log that the relays share.
type Log interface {
	// Purge drops entries up to seq.
	Purge(ctx context.Context, seq uint64) error
}

// Options of Open. The zero value of a field that is not named "needed" means its
// default.
type Options struct {
	Name    string        // needed
	Version string        // of the program
	Admin   string        // the operators' listener, if others may know it
	Journal Journal       // needed
	Log     Log           // needed
	Durable func() uint64 // needed: up to which entry the store keeps everything over a crash
	Flush   func() error  // needed: has the store keep what it has applied
	Entries func() uint64 // needed: how many entries this relay has sent
	Formats Formats       // needed
	Keep    time.Duration // how long an entry stays in the log; default 72 h
	Every   time.Duration // between two records; default 10 s
	Logger  *slog.Logger  // default slog.Default()
}

// Formats is what a book needs of the formats of entries.
type Formats interface {
	// Format is the newest that the relays may write.
	Format() int
	// Reads is the newest that this one reads.
	Reads() int
	// Raise lets the relays write a format.
	Raise(to int) error
}

// record is what a relay says of itself.
type record struct {
	Run     string  `json:"run"` // random at each start of a program
	Version string  `json:"version"`
	Admin   string  `json:"admin,omitempty"`
	Started int64   `json:"started"` // Unix seconds
	At      int64   `json:"at"`      // Unix seconds, by the clock of the relay
	Applied uint64  `json:"applied"`
	Durable uint64  `json:"durable"`
	Lag     uint64  `json:"lag"`
	Reads   int     `json:"reads"` // the newest format that it reads; 0: it is of a program that knows but the first
	Entries float64 `json:"entries_per_second"`
}

// seen is a record as this relay knows it.
type seen struct {
	record
	version uint64    // of the record in the log
	when    time.Time // it came; at the start: by the clock of the relay that wrote it
}

// Book keeps what relays say of themselves. Open makes it, and starts the goroutine
// that writes the own record. All methods may be called concurrently.
type Book struct {
	opts    Options
	run     string // of this relay's records
	started time.Time

	mu      sync.Mutex
	members map[string]seen // guarded by mu; by name
	told    time.Time       // guarded by mu; when the log of operators was told of another relay of this name

	twins  atomic.Uint64 // records of another relay of this name
	purged atomic.Uint64 // up to here this relay has purged the log

	// Of the goroutine that writes.
	entries uint64 // Options.Entries at the last record
	wrote   time.Time
	flushed time.Time

	watcher watcher
	unwatch func()
	cancel  context.CancelFunc
	done    chan struct{}  // closed when nothing more is written
	wg      sync.WaitGroup // of watcher
}

// Open begins to write the own record, and reads those of the others.
func Open(opts Options) (*Book, error) {
	if opts.Keep <= 0 {
		opts.Keep = 72 * time.Hour
	}
	if opts.Every <= 0 {
		opts.Every = 10 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	b := &Book{opts: opts, started: time.Now(), wrote: time.Now(), entries: opts.Entries(), members: make(map[string]seen), done: make(chan struct{})}
	var random [8]byte
	rand.Read(random[:])
	b.run = fmt.Sprintf("%016x", binary.BigEndian.Uint64(random[:]))
	b.unwatch = opts.Journal.Watch(prefix, b.changed)
	err := opts.Journal.List(prefix, func(key string, value []byte, version uint64) error {
		b.note(key, value, version, time.Time{})
		return nil
	})
	if err != nil {
		b.unwatch()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.watcher.b = b
	b.wg.Go(func() { pprof.Do(ctx, pprof.Labels("relay", "fleet-watch"), b.watcher.run) })
	go pprof.Do(ctx, pprof.Labels("relay", "fleet"), b.write)
	return b, nil
}

// closePatience is how long Close waits for a record that is on its way. The log may
// be away.
const closePatience = 500 * time.Millisecond

// Close ends the book.
func (b *Book) Close() {
	b.unwatch()
	b.cancel()
	b.wg.Wait()
	select {
	case <-b.done:
	case <-time.After(closePatience):
	}
}

// silent is how long a relay that is heard of no more counts as alive: three records.
func (b *Book) silent() time.Duration { return 3 * b.opts.Every }

// changed is called by the journal for each record that changed, in the order of the
// log.
func (b *Book) changed(key string, value []byte, version uint64) {
	b.note(key, value, version, time.Now())
}

// note remembers a record. when is zero for those that were there at the start.
func (b *Book) note(key string, value []byte, version uint64, when time.Time) {
	name := strings.TrimPrefix(key, prefix)
	b.mu.Lock()
	defer b.mu.Unlock()
	if value == nil {
		delete(b.members, name)
		return
	}
	m := seen{version: version, when: when}
	if old, ok := b.members[name]; ok && old.version > version { // List came behind Watch
		return
	}
	if err := json.Unmarshal(value, &m.record); err != nil {
		b.opts.Logger.Warn("what a relay of the fleet says of itself can't be read", "relay", name, "error", err)
		return
	}
	if when.IsZero() {
		m.when = time.Unix(m.At, 0)
	} else if name == b.opts.Name && m.Run != b.run && m.Started >= b.started.Unix() {
		b.twin(name)
	}
	b.members[name] = m
}

// twin says that another relay has this one's name. The caller holds mu.
func (b *Book) twin(name string) {
	b.twins.Add(1)
	if now := time.Now(); now.Sub(b.told) > time.Minute {
		b.told = now
		b.opts.Logger.Error("another relay of the fleet has the name of this one: operators can't tell them apart", "relay", name, "do", "give one of them another --relay-name")
	}
}

// write puts the own record into the log, again and again.
func (b *Book) write(ctx context.Context) {
	defer close(b.done)
	t := time.NewTicker(b.opts.Every)
	defer t.Stop()
	for {
		if err := b.put(); err != nil && ctx.Err() == nil {
			b.opts.Logger.Debug("the fleet was not told how this relay is", "error", err)
		}
		b.flush()
		b.purge(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// flush has the store keep what it has applied, now and then: with few posts it would
// not for days, and what a store does not keep has to stay in the log.
func (b *Book) flush() {
	now := time.Now()
	if now.Sub(b.flushed) < b.markEvery() {
		return
	}
	if b.flushed.IsZero() { // a start has just brought the store up
		b.flushed = now
		return
	}
	b.flushed = now
	if err := b.opts.Flush(); err != nil {
		b.opts.Logger.Warn("the store could not be flushed", "error", err)
	}
}

// markEvery is the time between two flushes, and between two marks of the log's age.
func (b *Book) markEvery() time.Duration { return max(b.opts.Keep/marksOfKeep, b.opts.Every) }

// own is what this relay says of itself now, without what it sends a second.
func (b *Book) own(now time.Time) record {
	h := b.opts.Journal.Health()
	return record{
		Run: b.run, Version: b.opts.Version, Admin: b.opts.Admin, Started: b.started.Unix(), At: now.Unix(),
		Applied: h.Applied, Durable: b.opts.Durable(), Lag: h.Head - min(h.Applied, h.Head), Reads: b.opts.Formats.Reads(),
	}
}

// put writes the own record over whatever stands under the name.
func (b *Book) put() error {
	now, sent := time.Now(), b.opts.Entries()
	r := b.own(now)
	if passed := now.Sub(b.wrote).Seconds(); passed > 0.5 {
		r.Entries = float64(int64(10*float64(sent-b.entries)/passed)) / 10
	}
	b.entries, b.wrote = sent, now
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for range 3 { // another relay of this name may write meanwhile
		_, version, err := b.opts.Journal.Value(prefix + b.opts.Name)
		if err != nil && !errors.Is(err, cow.ErrNoRecord) {
			return err
		}
		if _, err = b.opts.Journal.Put(prefix+b.opts.Name, text, version, cow.Totals{}); !errors.Is(err, cow.ErrConflict) {
			return err
		}
	}
	return cow.ErrConflict
}

// Members implements admin.Fleet. This relay is among them from the start, also
// before its first record has come through the log.
func (b *Book) Members() ([]admin.Member, error) {
	now := time.Now()
	purger, self := b.purger(now), seen{record: b.own(now), when: now}
	b.mu.Lock()
	defer b.mu.Unlock()
	members := maps.Clone(b.members)
	if m, ok := members[b.opts.Name]; !ok || m.Run != b.run && m.Started < b.started.Unix() {
		members[b.opts.Name] = self
	}
	list := []admin.Member{}
	for name, m := range members {
		list = append(list, admin.Member{
			Name: name, Self: m.Run == b.run, Live: b.live(m, now), Purges: name == purger, Version: m.Version,
			Started: m.Started, Seen: max(now.Sub(m.when).Seconds(), 0), Applied: m.Applied, Durable: m.Durable, Lag: m.Lag, Entries: m.Entries, Reads: m.reads(), Admin: m.Admin,
		})
	}
	slices.SortFunc(list, func(x, y admin.Member) int { return cmp.Compare(x.Name, y.Name) })
	return list, nil
}

func (b *Book) live(m seen, now time.Time) bool { return now.Sub(m.when) <= b.silent() }

// Forget implements admin.Fleet.
func (b *Book) Forget(_ context.Context, name string) error {
	b.mu.Lock()
	m, ok := b.members[name]
	b.mu.Unlock()
	switch {
	case !ok:
		return &refusal.Reply{Status: http.StatusNotFound, Text: "the fleet has no relay of this name"}
	case b.live(m, time.Now()):
		return &refusal.Reply{Status: http.StatusConflict, Text: "this relay lives: stop it first"}
	}
	err := b.opts.Journal.Delete(prefix+name, m.version)
	if errors.Is(err, cow.ErrConflict) {
		return &refusal.Reply{Status: http.StatusConflict, Text: "this relay was heard of just now: stop it first"}
	}
	return err
}

// Counts are what metrics show of a book.
type Counts struct {
	Members, Live int
	Twins         uint64        // records of another relay of this name
	Purged        uint64        // up to which entry this relay has purged the log
	Lag           time.Duration // since when the log has an entry that this relay has not applied
}

// Counts takes a lock for a moment.
func (b *Book) Counts() Counts {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	c := Counts{Members: len(b.members), Twins: b.twins.Load(), Purged: b.purged.Load(), Lag: time.Duration(b.watcher.lag.Load())}
	for _, m := range b.members {
		if b.live(m, now) {
			c.Live++
		}
	}
	return c
}
