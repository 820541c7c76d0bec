package pebblelog

import "cowrelay/cow"

// head is what Commit has to know of a slot to judge a group.
type head struct {
	exists bool
	count  uint64
	bytes  uint64
}

// heads holds the head of every slot, so that Commit, for which all posters
// wait, never reads the store. It takes some 40 bytes a slot, which is why the
// counts are narrow: MaxSlotBytes bounds both. Filled by Open, then owned by
// the running Commit.
type heads map[cow.ID]counts

type counts struct{ count, bytes uint32 }

func (h heads) lookup(slot cow.ID) head {
	v, ok := h[slot]
	return head{exists: ok, count: uint64(v.count), bytes: uint64(v.bytes)}
}

func (h heads) set(slot cow.ID, v head) {
	if !v.exists {
		delete(h, slot)
		return
	}
	h[slot] = counts{count: uint32(v.count), bytes: uint32(v.bytes)}
}

// readHeads fills the heads from the records of the slots.
func (l *Log) readHeads() error {
	l.heads = make(heads)
	return l.Slots(func(r cow.SlotRecord) error {
		if r.Bytes > cow.MaxSlotBytes || r.Count > r.Bytes {
			return l.corrupt(nil, "the record of slot %s says %d events of %d bytes", r.Slot, r.Count, r.Bytes)
		}
		l.heads.set(r.Slot, head{exists: true, count: r.Count, bytes: r.Bytes})
		return nil
	})
}
