package rendezvous

// deadline is when an entry is due, and where it stands in its dueHeap.
type deadline struct {
	due int64 // Unix seconds
	at  int   // in the heap
}

func (d *deadline) when() *deadline { return d }

// dueHeap implements heap.Interface: the entry that is due first is first.
type dueHeap[E interface{ when() *deadline }] []E

func (h dueHeap[E]) Len() int           { return len(h) }
func (h dueHeap[E]) Less(i, j int) bool { return h[i].when().due < h[j].when().due }
func (h dueHeap[E]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].when().at, h[j].when().at = i, j
}

func (h *dueHeap[E]) Push(x any) {
	e := x.(E)
	e.when().at = len(*h)
	*h = append(*h, e)
}

func (h *dueHeap[E]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	return e
}
