package rendezvous

import (
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	"github.com/RaduBerinde/btreemap"
)

// What a page of the directory may cost, however many handles there are. It ends
// at the first bound; the cursor goes on from there.
const (
	pageBytes = 1 << 20   // of rows
	pageRead  = 256 << 10 // of those, bytes that only records have, after which no more are read
	// pageWork: an entry that is looked at is one piece of work. To parse a row, or
	// to read one, is as much work as to look at many entries.
	pageWork = 20_000
	readWork = pageWork / 64
)

// Page is a part of the directory as JSON.
type Page struct {
	rows []string // shared with the directory, but for those that were read
	tail string
	size int
}

// Page returns up to limit handles behind the cursor, by nick. With a vibe it has
// only those that have it in their profile.
func (d *Directory) Page(cursor string, limit int, vibe *string) (*Page, error) {
	p := new(pager)
	p.rows = make([]string, 0, limit)
	if vibe != nil {
		text := []byte(*vibe)
		lower(text)
		p.filter, p.vibe, p.hash = true, string(text), maphash.Bytes(d.seed, text)
	}
	last, more := cursor, false
	for nick, c := range d.view.Load().listed.Ascend(btreemap.GT(cursor), btreemap.Max[string]()) {
		if more = len(p.rows) == limit || p.work >= pageWork || p.size >= pageBytes || p.read >= pageRead; more {
			break
		}
		if err := p.take(d, nick, c.Load()); err != nil {
			return nil, err
		}
		last = nick
	}
	next := []byte("null")
	if more {
		next = appendText(nil, last)
	}
	page := &Page{rows: p.rows, tail: `],"next_cursor":` + string(next) + `}`}
	page.size = len(pageHead) + p.size + max(len(p.rows)-1, 0) + len(page.tail)
	return page, nil
}

// pager makes a page.
type pager struct {
	filter     bool
	vibe       string
	hash       uint64
	rows       []string
	size       int // bytes of rows
	work, read int
}

// take adds a nick's entry to the page, if it belongs there.
func (p *pager) take(d *Directory, nick string, e *entry) error {
	p.work++
	if !e.listed { // since the view was published
		return nil
	}
	if p.filter && !e.manyVibes && !slices.Contains(e.vibes, p.hash) {
		return nil
	}
	row := e.row
	if row == "" || p.filter && e.manyVibes {
		h, _, err := d.Lookup(nick)
		p.work += readWork
		if errors.Is(err, ErrNoHandle) { // it is going
			return nil
		}
		if err != nil {
			return err
		}
		if p.filter && e.manyVibes {
			has := false
			vibesOf(h.profile, func(vibe []byte) { has = has || string(vibe) == p.vibe })
			if !has {
				return nil
			}
		}
		if row == "" {
			row = string(h.appendRow(nil))
			p.read += len(row)
		}
	}
	p.rows = append(p.rows, row)
	p.size += len(row)
	return nil
}

const pageHead = `{"handles":[`

// Size returns how many bytes WriteTo writes.
func (p *Page) Size() int { return p.size }

// pagePiece is how many bytes of a page are written at once: a page of usual size.
const pagePiece = 32 << 10

var piecePool = sync.Pool{New: func() any {
	b := make([]byte, 0, pagePiece)
	return &b
}}

// WriteTo implements io.WriterTo.
func (p *Page) WriteTo(dst io.Writer) (int64, error) { return p.WriteBehind(nil, dst) }

// WriteBehind writes the page behind a head, which n does not count. It gathers head
// and rows, as each write may be a system call.
func (p *Page) WriteBehind(head []byte, dst io.Writer) (n int64, err error) {
	held := piecePool.Get().(*[]byte)
	defer piecePool.Put(held)
	piece := append((*held)[:0], head...)
	n = -int64(len(head))
	flush := func() {
		if err == nil && len(piece) > 0 {
			var m int
			m, err = dst.Write(piece)
			n += int64(m)
		}
		piece = piece[:0]
	}
	add := func(text string) {
		for len(text) > cap(piece)-len(piece) {
			part := cap(piece) - len(piece)
			piece = append(piece, text[:part]...)
			text = text[part:]
			flush()
		}
		piece = append(piece, text...)
	}
	add(pageHead)
	for i, row := range p.rows {
		if i > 0 {
			add(",")
		}
		add(row)
		if err != nil {
			return n, err
		}
	}
	add(p.tail)
	flush()
	return n, err
}
