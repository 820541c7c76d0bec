package rendezvous

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"cowrelay/cow"

	"github.com/RaduBerinde/btreemap"
)

// Errors of Directory, beside ErrTooMany, ErrShare, those of the records and of the
// gate.
var (
	ErrNick     = errors.New("rendezvous: nobody may have that nick")
	ErrRelayURL = errors.New("rendezvous: not the address of a relay")
	ErrNoHandle = errors.New("rendezvous: nobody has claimed that nick")
)

// DirectoryStats count what happened since the start. All fields may be read at any
// time.
type DirectoryStats struct {
	First     atomic.Uint64 // claims of a nick that nobody had
	Again     atomic.Uint64 // claims by the one who had it, moves included
	Moves     atomic.Uint64 // of those, to another slot
	Unclaimed atomic.Uint64
	Invalid   atomic.Uint64 // claims refused: nick, address or card
	Taken     atomic.Uint64 // claims refused: another has the nick
	Kept      atomic.Uint64 // claims refused: the nick's slot is in use and another was named
	Full      atomic.Uint64 // claims refused: too many nicks, or a share was used up
}

// Directory knows which agent has which nick. Records decide that, by
// compare-and-set, and hold the cards. Memory holds what pages show, sorted, as
// far as there is room. It follows the records and decides nothing but who may
// claim one nick more.
//
// openDirectory makes it. All methods may be called concurrently.
type Directory struct {
	opts    Options
	store   *cow.Store
	records cow.Records
	seed    maphash.Seed // of the hashes of vibes
	maxRows int64        // bytes of rows in memory; they are charged to the store
	Stats   DirectoryStats

	// view is what readers see. Publish: pairs with the Loads of readers. What was
	// published never changes.
	view atomic.Pointer[view]

	mu      sync.Mutex // guards all that follows
	next    view       // what is published next; its trees share nodes with those that were
	mine    map[Source]int
	coming  map[string][]*place // by nick: first claims that are being decided
	places  int                 // how many of those are held
	touched map[string]bool     // keys that changed while the records were read first; nil after that
	unwatch func()
}

// tree is a sorted map whose copies share what does not differ. The module is that
// of google/btree made into a map, and the store's engine brings it along.
type tree = btreemap.BTreeMap[string, *entry]

const treeDegree = 32

// view is the directory at one moment.
type view struct {
	all, listed *tree // by nick
	rows        int64 // bytes of rows in memory
}

// entry is what memory has of a handle. It is never changed.
type entry struct {
	nick string // mostly a part of row
	did  string // likewise; empty: the record can't be read
	row  string // what a page shows; empty: only the record has it
	slot cow.ID
	by   Source
	// What a claim has to know beside this.
	version      uint64 // of the record
	claimedAt    int64  // Unix seconds
	discoverable *bool
	// vibes are hashes of the profile's vibes; manyVibes: there are more than stand
	// here, so only the row knows.
	vibes     []uint64
	manyVibes bool
	listed    bool
}

// Of rows in memory.
const (
	maxRow   = 1 << 10 // bytes of one
	maxVibes = 8       // hashes of one entry
)

func openDirectory(store *cow.Store, opts Options) (*Directory, error) {
	d := &Directory{
		opts: opts, store: store, records: store.Records(), seed: maphash.MakeSeed(), maxRows: within(store, maxRows),
		mine: make(map[Source]int), coming: make(map[string][]*place), touched: make(map[string]bool),
		next: view{all: btreemap.New[string, *entry](treeDegree, cmp.Compare), listed: btreemap.New[string, *entry](treeDegree, cmp.Compare)},
	}
	d.unwatch = d.records.Watch(handlePrefix, d.changed)
	err := d.records.List(handlePrefix, func(key string, value []byte, version uint64) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.touched[key] {
			d.note(key[len(handlePrefix):], value, version)
		}
		return nil
	})
	if err != nil {
		d.close()
		return nil, fmt.Errorf("cannot read the handles: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.touched = nil
	d.publish()
	return d, nil
}

// close gives back what the rows take. Nothing may be asked any more.
func (d *Directory) close() {
	d.unwatch()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold(-int(d.next.rows))
}

// hold counts bytes of rows. mu is held.
func (d *Directory) hold(bytes int) {
	d.next.rows += int64(bytes)
	d.store.Charge(int64(bytes))
}

// Len returns how many nicks are claimed.
func (d *Directory) Len() int { return d.view.Load().all.Len() }

// RowBytes returns how many bytes of rows memory holds.
func (d *Directory) RowBytes() int64 { return d.view.Load().rows }

// Slot returns where the mail of a nick goes.
func (d *Directory) Slot(nick string) (cow.ID, bool) {
	_, e, ok := d.view.Load().all.Get(nick)
	if !ok {
		return cow.ID{}, false
	}
	return e.slot, true
}

// Lookup returns a handle as it is recorded, and the record's version. Errors:
// ErrNoHandle.
func (d *Directory) Lookup(nick string) (Handle, uint64, error) {
	value, version, err := d.records.Value(HandleKey(nick))
	if errors.Is(err, cow.ErrNoRecord) {
		return Handle{}, 0, ErrNoHandle
	}
	if err != nil {
		return Handle{}, 0, err
	}
	h, err := DecodeHandle(nick, value)
	return h, version, err
}

// changed keeps memory in step with a record. A nil value is a record that is gone.
func (d *Directory) changed(key string, value []byte, version uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.touched != nil {
		d.touched[key] = true
	}
	d.note(key[len(handlePrefix):], value, version)
	if d.touched == nil {
		d.publish()
	}
}

// note enters what a record says. mu is held.
func (d *Directory) note(nick string, value []byte, version uint64) {
	v := &d.next
	if _, old, ok := v.all.Delete(nick); ok {
		v.listed.Delete(nick)
		d.hold(-len(old.row))
		d.give(old.by)
	}
	if value == nil {
		return
	}
	// The nick counts for itself from here on.
	for _, p := range d.coming[nick] {
		d.leave(p)
	}
	delete(d.coming, nick)
	h, err := DecodeHandle(nick, value)
	if err != nil { // it stays as it is, and those who ask for it get an error
		d.opts.Logger.Error("a handle is left out of the directory", "err", err)
		h = Handle{Nick: nick, unlisted: true}
	}
	e := d.entryOf(&h)
	e.version = version
	d.hold(len(e.row))
	d.mine[e.by]++
	v.all.ReplaceOrInsert(e.nick, e)
	if e.listed {
		v.listed.ReplaceOrInsert(e.nick, e)
	}
}

// entryOf makes what memory holds of a handle. mu is held.
func (d *Directory) entryOf(h *Handle) *entry {
	e := &entry{slot: h.Slot, by: h.By, claimedAt: h.ClaimedAt.Unix(), discoverable: known(h.Discoverable), listed: h.listed()}
	if e.listed {
		vibesOf(h.profile, func(vibe string) {
			if e.manyVibes = len(e.vibes) == maxVibes; !e.manyVibes {
				e.vibes = append(e.vibes, maphash.String(d.seed, vibe))
			}
		})
		if row := h.row(); len(row) <= maxRow && d.next.rows+int64(len(row)) <= d.maxRows {
			e.row = string(row)
		}
	}
	e.nick, e.did = partOf(e.row, len(`{"nick":"`), h.Nick), partOf(e.row, len(`{"nick":"","did":"`)+len(h.Nick), h.DID)
	return e
}

// partOf returns the text that stands at a place of the row, or a copy of it if it
// does not stand there.
func partOf(row string, at int, text string) string {
	if at <= len(row) && strings.HasPrefix(row[at:], text) {
		return row[at : at+len(text)]
	}
	return strings.Clone(text)
}

// known returns one of two pointers for all handles.
func known(discoverable *bool) *bool {
	switch {
	case discoverable == nil:
		return nil
	case *discoverable:
		return &yes
	}
	return &no
}

var yes, no = true, false

// listed says whether the directory shows the handle.
func (h *Handle) listed() bool {
	return !h.unlisted && (h.Discoverable == nil || *h.Discoverable) &&
		!strings.HasPrefix(h.Nick, "demo-") && !strings.HasPrefix(h.Nick, "test-")
}

// publish lets readers see what note has entered. mu is held.
func (d *Directory) publish() {
	d.view.Store(&view{all: d.next.all.Clone(), listed: d.next.listed.Clone(), rows: d.next.rows})
}

// place is one nick that a source will have if its claim succeeds.
type place struct {
	by   Source
	held bool // it counts; guarded by Directory.mu
}

// reserve holds a place for a nick that is being claimed first, until it is released
// or the nick is recorded. One source may have a quarter of all.
func (d *Directory) reserve(nick string, by Source) (*place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next.all.Len()+d.places >= d.opts.MaxHandles {
		return nil, ErrTooMany
	}
	if by != 0 && d.mine[by] >= max(1, d.opts.MaxHandles/4) {
		return nil, ErrShare
	}
	d.mine[by]++
	d.places++
	p := &place{by: by, held: true}
	d.coming[nick] = append(d.coming[nick], p)
	return p, nil
}

// release gives a place back, unless that has been done.
func (d *Directory) release(nick string, p *place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !p.held {
		return
	}
	d.leave(p)
	if d.coming[nick] = slices.DeleteFunc(d.coming[nick], func(o *place) bool { return o == p }); len(d.coming[nick]) == 0 {
		delete(d.coming, nick)
	}
}

// leave has a place count no more. mu is held.
func (d *Directory) leave(p *place) {
	p.held = false
	d.places--
	d.give(p.by)
}

// give takes one from what a source has. mu is held.
func (d *Directory) give(by Source) {
	if d.mine[by]--; d.mine[by] == 0 {
		delete(d.mine, by)
	}
}
