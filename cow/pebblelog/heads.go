package pebblelog

import "cowrelay/cow"

// head is what Commit has to know of a slot to judge a group.
type head struct {
	exists bool
	count  uint64
	bytes  uint64
}

// heads remembers the heads of slots that were written lately, so that an
// append to a busy slot costs a map lookup and no read of the store. Two
// generations bound it: when the young one is full it becomes the old one,
// and what was not used since is forgotten. Owned by the running Commit.
type heads struct {
	young, old map[cow.ID]head
}

// maxHeads is the size of one generation: both together hold at most 32,768
// slots in about 3 MB.
const maxHeads = 16_384

func (h *heads) lookup(slot cow.ID) (head, bool) {
	if v, ok := h.young[slot]; ok {
		return v, true
	}
	v, ok := h.old[slot]
	if ok {
		h.set(slot, v)
	}
	return v, ok
}

func (h *heads) set(slot cow.ID, v head) {
	if h.young == nil || len(h.young) >= maxHeads {
		h.old, h.young = h.young, make(map[cow.ID]head)
	}
	h.young[slot] = v
}
