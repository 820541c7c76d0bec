package plan

// The least that the memory budget may be, and of it the least that requests may
// have: a single client can then send one body of the greatest length.
const (
	MinBudget   = 32 << 20 // bytes
	MinRequests = 6 << 20  // bytes
)

// shares is how the memory budget is divided.
type Budget struct{ Slots, Cache, MemTable, Requests int64 }

// splitBudget gives the store's block cache an eighth, its memtables (of which
// a few exist at a time) a thirty-second each, requests that are arriving what
// the operator says or an eighth, and the slots the rest.
func SplitBudget(budget, requests int64) Budget {
	s := Budget{
		Requests: requests,
		Cache:    min(max(budget/8, 4<<20), 128<<20),
		MemTable: min(max(budget/32, 2<<20), 32<<20),
	}
	if requests == 0 {
		s.Requests = max(budget/8, min(budget/4, 16<<20))
	}
	s.Slots = budget - s.Cache - 3*s.MemTable - s.Requests
	return s
}
