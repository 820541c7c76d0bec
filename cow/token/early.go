package token

import "bytes"

// mostEarly bounds the records that wait for their slots. They come in the order of
// the log, and so do the slots, which are behind by moments.
const mostEarly = 4096

// Early is the record of a token of a slot that is not known yet.
type Early struct {
	Spot    Spot
	Value   []byte
	Version uint64
}

// KeepEarly keeps the record of a slot that is not known yet, until TakeEarly. A nil
// value is a record that was deleted; listed is that of Note. Beyond a bound nothing
// is kept: the caller has to look at the record again.
func (b *Books) KeepEarly(spot Spot, value []byte, version uint64, listed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone != nil && value == nil {
		b.gone[spot] = struct{}{}
	}
	if _, gone := b.gone[spot]; gone && listed {
		return
	}
	value = bytes.Clone(value)
	for i, e := range b.early[spot.Slot] {
		switch {
		case e.Spot != spot:
		case value == nil:
			b.setEarly(spot.Slot, append(b.early[spot.Slot][:i], b.early[spot.Slot][i+1:]...), -1)
			return
		default:
			if e.Version < version {
				b.early[spot.Slot][i] = Early{spot, value, version}
			}
			return
		}
	}
	if value != nil && b.earlyCount < mostEarly {
		b.setEarly(spot.Slot, append(b.early[spot.Slot], Early{spot, value, version}), 1)
	}
}

// TakeEarly returns what was kept of a slot, which is known now.
func (b *Books) TakeEarly(slot SlotID) []Early {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.early[slot]
	if len(list) > 0 {
		b.setEarly(slot, nil, -len(list))
	}
	return list
}

// setEarly changes what is kept of a slot. mu is held.
func (b *Books) setEarly(slot SlotID, list []Early, more int) {
	b.earlyCount += more
	switch {
	case len(list) == 0:
		delete(b.early, slot)
	case b.early == nil:
		b.early = map[SlotID][]Early{slot: list}
	default:
		b.early[slot] = list
	}
}
