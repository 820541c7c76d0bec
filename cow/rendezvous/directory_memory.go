package rendezvous

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"cowrelay/cow"

	"github.com/RaduBerinde/btreemap"
)

// tree is a sorted map by nick whose copies share what does not differ. The module is
// that of google/btree made into a map, and the store's engine brings it along.
type tree = btreemap.BTreeMap[string, *cell]

func newTree() *tree { return btreemap.New[string, *cell](32, cmp.Compare) }

// view is which nicks there are at one moment.
type view struct {
	all, listed *tree // the same cells
}

// cell is where the trees have a nick. A claim of a nick that is claimed already
// leaves the trees as they are and stores another entry here: a tree that changes
// copies some 10 KB, once it was published.
//
// Publish: the Store, under Directory.mu, pairs with the Loads of readers. A cell that
// is in a tree has an entry. One that is in no tree any more keeps its last.
type cell struct{ atomic.Pointer[entry] }

// entry is what memory has of a handle. Once it is in a cell it never changes.
type entry struct {
	// A page without a filter reads these alone, of a hundred entries that lie
	// anywhere in memory: they share a cache line.
	row    string // what a page shows; empty: only the record has it
	listed bool
	// vibes are hashes of the profile's vibes; manyVibes: there are more than stand
	// here, so only the row knows.
	manyVibes bool
	vibes     []uint64

	did  string // mostly a part of row; empty: the record can't be read
	slot cow.ID
	by   Source
	// What a claim has to know beside this.
	version      uint64 // of the record
	claimedAt    int64  // Unix seconds
	discoverable *bool
}

// written is a record on its way into the journal, with the entry that it makes.
type written struct {
	value []byte
	entry *entry // version is not known yet
}

// Of rows in memory.
const (
	maxRow   = 1 << 10 // bytes of one
	maxVibes = 8       // hashes of one entry
)

// changed keeps memory in step with a record. A nil value is a record that is gone.
func (d *Directory) changed(key string, value []byte, version uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.touched != nil {
		d.touched[key] = true
	}
	if d.note(key[len(handlePrefix):], value, version) && d.touched == nil {
		d.publish()
	}
}

// publish lets readers see the trees as note has changed them. mu is held.
func (d *Directory) publish() {
	d.view.Store(&view{all: d.next.all.Clone(), listed: d.next.listed.Clone()})
}

// note enters what a record says, and says whether that has changed a tree. mu is held.
func (d *Directory) note(nick string, value []byte, version uint64) (changed bool) {
	c, had := d.cells[nick]
	var old entry
	if had {
		old = *c.Load()
	}
	if value == nil {
		if had {
			delete(d.cells, nick)
			d.next.all.Delete(nick)
			d.next.listed.Delete(nick)
			d.hold(-len(old.row))
			d.give(old.by)
		}
		return had
	}
	// The nick counts for itself from here on.
	for _, p := range d.coming[nick] {
		d.leave(p)
	}
	delete(d.coming, nick)
	e := d.entryOf(nick, value)
	e.version = version
	if d.rowBytes.Load()+int64(len(e.row)-len(old.row)) > d.maxRows {
		e.did, e.row = strings.Clone(e.did), ""
	}
	d.hold(len(e.row) - len(old.row))
	d.mine[e.by]++
	if had {
		d.give(old.by)
		c.Store(e)
	} else {
		c = new(cell)
		c.Store(e)
		nick = strings.Clone(nick) // it may be a part of a larger text
		d.cells[nick] = c
		d.next.all.ReplaceOrInsert(nick, c)
	}
	if e.listed == old.listed {
		return !had
	}
	if e.listed {
		d.next.listed.ReplaceOrInsert(nick, c)
	} else {
		d.next.listed.Delete(nick)
	}
	return true
}

// entryOf returns the entry of a record. One that this relay is writing need not be
// read again: what has the same bytes says the same. mu is held.
func (d *Directory) entryOf(nick string, value []byte) *entry {
	if w, ok := d.writing[nick]; ok && bytes.Equal(w.value, value) {
		delete(d.writing, nick)
		return w.entry
	}
	h, err := DecodeHandle(nick, value)
	if err != nil { // it stays as it is, and those who ask for it get an error
		d.opts.Logger.Error("a handle is left out of the directory", "err", err)
		h = Handle{Nick: nick, unlisted: true}
	}
	return d.entryFor(&h)
}

// entry returns what memory has of a nick, nil if nobody has claimed it.
func (d *Directory) entry(nick string) *entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.cells[nick]; c != nil {
		return c.Load()
	}
	return nil
}

// write begins to write a record. If the write fails, forget has to follow. At most
// one record of a nick is remembered; another that is written at the same time is
// just read again.
func (d *Directory) write(nick string, w written) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing[nick] = w
}

func (d *Directory) forget(nick string, w written) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writing[nick].entry == w.entry {
		delete(d.writing, nick)
	}
}

// entryFor makes what memory holds of a handle.
func (d *Directory) entryFor(h *Handle) *entry {
	e := &entry{slot: h.Slot, by: h.By, claimedAt: h.ClaimedAt.Unix(), discoverable: known(h.Discoverable), listed: h.listed()}
	if e.listed {
		var hashes [maxVibes]uint64
		n := 0
		vibesOf(h.profile, func(vibe []byte) {
			if e.manyVibes = n == maxVibes; !e.manyVibes {
				hashes[n] = maphash.Bytes(d.seed, vibe)
				n++
			}
		})
		if n > 0 {
			e.vibes = slices.Clone(hashes[:n])
		}
		var room [maxRow]byte
		if row := h.appendRow(room[:0]); len(row) <= maxRow {
			e.row = string(row)
		}
	}
	e.did = partOf(e.row, len(`{"nick":"","did":"`)+len(h.Nick), h.DID)
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
