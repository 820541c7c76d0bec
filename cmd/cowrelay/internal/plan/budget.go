// Package plan shares out what the process may take: memory and open files. serve
// runs by these plans, and check-config prints them.
package plan

// The least that the memory budget may be, and of it the least that requests may
// have: a single client can then send one body of the greatest length.
const (
	MinBudget   = 32 << 20 // bytes
	MinRequests = 6 << 20  // bytes
)

// Budget is how the memory budget is divided, in bytes.
type Budget struct {
	Slots    int64 // segments, offsets, indexes and frames of slots that are in memory
	Cache    int64 // the store's block cache
	MemTable int64 // each of the store's memtables, of which up to three are there at once
	Backlog  int64 // entries of the log that the store has not applied yet
	Log      int64 // entries on their way to and from the servers of a log that relays share; 0: the log is this relay's
	Requests int64 // bodies and pages of requests that are arriving
}

// SplitBudget divides a budget of so many bytes. The block cache gets an eighth,
// each memtable a thirty-second and the backlog a sixteenth, all within bounds: a
// store gains little from more, and needs some. A log that relays share gets an
// eighth within bounds, as the servers send up to 32 MiB ahead. Requests get what the operator says, or with 0 an eighth
// or a bit more. The slots get the rest, which is never less than an eighth.
func SplitBudget(budget, requests int64, shared bool) Budget {
	s := Budget{
		Requests: requests,
		Cache:    min(max(budget/8, 4<<20), 128<<20),
		MemTable: min(max(budget/32, 2<<20), 32<<20),
		Backlog:  min(max(budget/16, 4<<20), 64<<20),
	}
	if requests == 0 {
		s.Requests = max(budget/8, min(budget/4, 16<<20))
	}
	if shared {
		s.Log = min(max(budget/8, 4<<20), 64<<20)
	}
	s.Slots = budget - s.Cache - 3*s.MemTable - s.Backlog - s.Log - s.Requests
	return s
}
