package rendezvous

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"cowrelay/cow"
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

	// view is what readers see. Publish: pairs with the Loads of readers. The trees of
	// a view that was published never change; what their cells hold does.
	view     atomic.Pointer[view]
	rowBytes atomic.Int64 // of rows in memory; written under mu

	mu      sync.Mutex         // guards all that follows
	next    view               // what is published next; its trees share nodes with those that were
	cells   map[string]*cell   // those of next, by nick: to look there costs less than in a tree
	writing map[string]written // by nick: the last record that this relay began to write
	mine    map[Source]int
	coming  map[string][]*place // by nick: first claims that are being decided
	places  int                 // how many of those are held
	touched map[string]bool     // keys that changed while the records were read first; nil after that
	unwatch func()
}

func openDirectory(store *cow.Store, opts Options) (*Directory, error) {
	d := &Directory{
		opts: opts, store: store, records: store.Records(), seed: maphash.MakeSeed(), maxRows: within(store, maxRows),
		next: view{all: newTree(), listed: newTree()}, cells: make(map[string]*cell), writing: make(map[string]written),
		mine: make(map[Source]int), coming: make(map[string][]*place), touched: make(map[string]bool),
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
	d.hold(-int(d.rowBytes.Load()))
}

// hold counts bytes of rows. mu is held.
func (d *Directory) hold(bytes int) {
	d.rowBytes.Add(int64(bytes))
	d.store.Charge(int64(bytes))
}

// Len returns how many nicks are claimed.
func (d *Directory) Len() int { return d.view.Load().all.Len() }

// RowBytes returns how many bytes of rows memory holds.
func (d *Directory) RowBytes() int64 { return d.rowBytes.Load() }

// Slot returns where the mail of a nick goes.
func (d *Directory) Slot(nick string) (cow.ID, bool) {
	e := d.entry(nick)
	if e == nil {
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
