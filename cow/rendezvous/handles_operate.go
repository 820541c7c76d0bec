package rendezvous

import (
	"errors"

	"cowrelay/cow"

	"github.com/RaduBerinde/btreemap"
)

// After returns the first most handles behind a nick that match, by nick and
// whether the directory lists them or not, and how many match in all. A handle
// whose record can't be read has no DID.
func (d *Directory) After(nick string, match func(by Source) bool, most int) (list []Handle, matching int) {
	for nick, c := range d.view.Load().all.Ascend(btreemap.GT(nick), btreemap.Max[string]()) {
		if !match(c.Load().by) {
			continue
		}
		if matching++; len(list) >= most {
			continue
		}
		h, _, err := d.Lookup(nick)
		switch {
		case errors.Is(err, ErrNoHandle): // it is going
			continue
		case err != nil:
			h = Handle{Nick: nick}
		}
		list = append(list, h)
	}
	return list, matching
}

// Nicks returns up to most nicks that match, by nick, and whether there are more.
func (d *Directory) Nicks(match func(by Source) bool, most int) (list []string, more bool) {
	for nick, c := range d.view.Load().all.Ascend(btreemap.Min[string](), btreemap.Max[string]()) {
		if !match(c.Load().by) {
			continue
		}
		if len(list) == most {
			return list, true
		}
		list = append(list, nick)
	}
	return list, false
}

// Most returns how many nicks may be claimed at once.
func (d *Directory) Most() int { return d.opts.MaxHandles }

// Listed says whether the directory shows the handle.
func (h *Handle) Listed() bool { return h.listed() }

// Drop frees a nick, durably, whoever has it and whether or not its record can be
// read. Errors: ErrNoHandle and the store's.
func (d *Directory) Drop(nick string) error {
	done, err := toDrop(d.store.Gate)
	if err != nil {
		return err
	}
	defer done()
	for {
		_, version, err := d.records.Value(HandleKey(nick))
		if err == nil {
			err = d.records.Delete(HandleKey(nick), version)
		}
		switch {
		case err == nil:
			d.Stats.Unclaimed.Add(1)
			return nil
		case errors.Is(err, cow.ErrNoRecord):
			return ErrNoHandle
		case !errors.Is(err, cow.ErrConflict):
			return err
		}
	}
}
